"""The door to Postgres: sessions, catalog reads, COPY."""
