"""How messages say things: names that fit on a line, numbers for people, and how many more there are."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence

_LONGEST = 63  # bytes
# C0 and C1, DEL, the two line separators, and characters that change the writing direction
_CONTROLS = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def cut(name: str) -> str:
    """Return a name from the rules, cut if it is longer than Postgres allows."""
    whole = name.encode()
    return name if len(whole) <= _LONGEST else whole[: _LONGEST - len("…".encode())].decode(errors="ignore") + "…"


def escaped(text: str) -> str:
    r"""Return a text as one line, with escapes (`\n`, `\x1b`) for what breaks lines or commands a terminal."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_markdown(text: str) -> str:
    """Return a text as one line that Markdown shows as it is, in a cell of a table too."""
    text = escaped(text)
    for character in "\\|*_`<>[]":
        text = text.replace(character, f"\\{character}")
    return text


_SHOWN = 3  # names in a warning: there may be a thousand partitions


def some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def suggestion(name: str, wanted: Iterable[str]) -> str:
    """Return the name that was meant, in parentheses, if one comes close."""
    meant = nearest(name, wanted)
    return f" (did you mean {meant}?)" if meant else ""


def nearest(name: str, wanted: Iterable[str]) -> str:
    """Return the name that was meant, "" if none comes close.

    Case, accents and punctuation make no difference, nor does a schema in front; else it differs by few letters.
    """
    names = [each for each in wanted if len(each) <= 2 * _LONGEST]
    spelt = {plain for part in (name, name.rpartition(".")[2]) if len(part) <= 2 * _LONGEST and (plain := _plain(part))}
    alike = next((each for each in names if spelt and _plain(each) in spelt), "")
    return alike or next(iter(difflib.get_close_matches(name[:_LONGEST], names, n=1)), "")


def _plain(name: str) -> str:
    """Return the letters and digits of a name, without case and accents."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", name).casefold()))


_NBSP = "\N{NO-BREAK SPACE}"


def plural(number: int, noun: str, many: str = "") -> str:
    """Return a noun as it is for so many."""
    return noun if number == 1 else many or f"{noun}s"


def count(number: int, noun: str, many: str = "") -> str:
    """Return a number with its noun, as in `1,204 rows`."""
    return f"{number:,} {plural(number, noun, many)}"


def size(bytes_: float) -> str:
    """Return a size in bytes with the unit that keeps it short."""
    for unit in ("B", "kB", "MB", "GB"):
        if bytes_ < 1000 or unit == "GB":
            return f"{bytes_:.0f} {unit}" if unit == "B" or bytes_ >= 100 else f"{bytes_:.1f} {unit}"
        bytes_ /= 1000
    raise AssertionError


def seconds(value: float) -> str:
    """Return a duration in seconds."""
    return f"{value:.1f} s"
