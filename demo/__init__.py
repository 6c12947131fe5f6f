"""Show the whole journey on this machine: throw-away servers and origins full of invented people."""
