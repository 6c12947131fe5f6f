"""What a database has. Pure: imports nothing of ours but words and errors."""
