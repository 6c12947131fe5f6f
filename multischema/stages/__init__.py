"""The stages of a run, a file each: read, decide, do."""
