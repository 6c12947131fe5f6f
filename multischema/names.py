"""Names in messages: none longer than Postgres has them, no character that breaks a line or plays tricks on a terminal."""

import re
from collections.abc import Mapping
from typing import Any

_LONGEST = 63  # bytes
# C0 and C1, DEL, the two separators that break lines, and what changes the direction of what is written
_CONTROLS = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def cut(name: str) -> str:
    """Return a name from the rules, cut where it is longer than any that Postgres has."""
    whole = name.encode()
    return name if len(whole) <= _LONGEST else whole[: _LONGEST - len("…".encode())].decode(errors="ignore") + "…"


def escaped(text: str) -> str:
    r"""Return a text as one line: what breaks lines or commands a terminal is an escape, such as `\n` and `\x1b`."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def place(server: Mapping[str, Any]) -> str:
    """Return where a statement is to run: URLs may be swapped, and who pastes it must see on which server it is."""
    return f"in database {server['database']} on {server['address']}"
