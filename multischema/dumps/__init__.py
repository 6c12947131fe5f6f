"""Client programs of Postgres and the files that they write; knows no session."""
