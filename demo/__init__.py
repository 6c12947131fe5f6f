"""Show a whole run on this machine: throw-away servers and origins full of invented people."""
