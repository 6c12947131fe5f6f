"""The door to what is known of names: the words and the tables of frameworks that stand in files beside the rules."""

from functools import cache
from importlib import resources

from multischema.rules.draft import Guesses
from multischema.rules.frameworks import read_frameworks
from multischema.rules.words import Words, read_words


@cache
def read_guesses() -> Guesses:
    """Read the words in names of columns, and the tables that frameworks make."""
    return Guesses(Words(read_words(_text("words.txt"))), read_frameworks(_text("frameworks.yml")))


def _text(name: str) -> str:
    return resources.files("multischema.rules").joinpath(name).read_text(encoding="utf-8")
