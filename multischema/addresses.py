"""Addresses of servers: which of them are this machine, and where nobody on the way can read what is sent."""

import ipaddress
from urllib.parse import SplitResult


def is_here(host: str) -> bool:
    """Tell whether a name or an address is this machine's own, which no network leads to."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_private(url: SplitResult) -> bool:
    """Tell whether nobody on the way can read what is sent to a URL: by https, or by http on this machine."""
    return url.scheme == "https" or (url.scheme == "http" and is_here(url.hostname or ""))
