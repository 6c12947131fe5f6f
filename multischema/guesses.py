"""The door to what is known of names: the words and the tables of frameworks that stand in files beside the rules."""

from functools import cache
from importlib import resources

from multischema.rules.words import Words, read_words


@cache
def words() -> Words:
    """Read the words in names of columns."""
    return Words.of(read_words(_text("words.txt")))


def _text(name: str) -> str:
    return resources.files("multischema.rules").joinpath(name).read_text(encoding="utf-8")
