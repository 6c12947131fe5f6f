"""How messages name the Prefect server."""

from urllib.parse import urlsplit


def without_login(url: str) -> str:
    """Return the server's address for messages."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
