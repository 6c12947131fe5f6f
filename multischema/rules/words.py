"""What names say of columns: words for personal data, and words for what is nobody's, read from `words.txt`."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from multischema.catalog.flat import flatten
from multischema.catalog.tables import Column, Type
from multischema.masks.mask import type_name

# what a column holds, as far as words go by it (an enum is a text); `table` is for names of tables
Form = Literal["text", "number", "flag", "moment", "date", "uuid", "table"]
ANY = "any"
FIRST = "first"
FORMS = (*get_args(Form), ANY, FIRST)
# the kinds that are no kind of personal datum
TECHNICAL = "technical"
SETTING = "setting"
FREE_TEXT = "text"
_FORMS: Mapping[Form, re.Pattern[str]] = {
    "number": re.compile(r"(?:smallint|integer|bigint|numeric.*|double precision|real)(?:\[\])?"),
    "flag": re.compile(r"boolean(?:\[\])?"),
    "moment": re.compile(r"(?:timestamp.*|time|time\(.*|time with.*|interval.*)"),
    "date": re.compile("date"),
    "uuid": re.compile(r"uuid(?:\[\])?"),
}


@dataclass(frozen=True)
class Word:
    """A word of the list: its kind, and the forms of columns for which it counts."""

    text: str
    kind: str
    forms: frozenset[str]

    @property
    def pattern(self) -> str:
        """Return the word as a regular expression."""
        return self.text.replace("*", "[a-z]*")


class Words:
    """Words, ready to look names up."""

    def __init__(self, words: Iterable[Word]) -> None:
        """Group words by what they do: the head of `words.txt` says what that is."""
        words = tuple(words)
        personal = [word for word in words if word.kind not in (TECHNICAL, SETTING)]
        technical = {form: [w for w in words if w.kind == TECHNICAL and form in w.forms] for form in get_args(Form)}
        self._always = _by_kind(word for word in personal if ANY in word.forms)
        self._personal = {form: _by_kind(word for word in personal if form in word.forms) for form in technical}
        self._last = {form: _one_of(found, end="[_0-9]*$") for form, found in technical.items()}
        self._first = {
            form: _one_of((word for word in found if FIRST in word.forms), start="^") for form, found in technical.items()
        }
        self._first["flag"] = _one_of(technical["flag"])  # wherever it is
        self._settings = _one_of((word for word in words if word.kind == SETTING), start="^")

    def kind_of(self, name: str, form: Form = "text") -> str | None:
        """Return what personal datum a name says a column of this form holds, such as `contact`; None if it says none."""
        return next(iter(self.kinds_of(name, form)), None)

    def kinds_of(self, name: str, form: Form) -> tuple[str, ...]:
        """Return every kind of personal datum that a name says a column of this form holds."""
        return tuple(kind for kind in self._kinds(snake(name), form) if kind != FREE_TEXT)

    def are_technical(self, name: str, form: Form) -> bool:
        """Tell whether a name says that a column of this form is nobody's; one that says nothing does not."""
        name = snake(name)
        if form == "flag" and self._settings.search(name):
            return True
        said = self._last[form].search(name) or self._first[form].search(name)
        return bool(said) and not self._kinds(name, form)

    def _kinds(self, name: str, form: Form) -> list[str]:
        kinds = [*self._always.items()]
        if not self._last[form].search(name):
            kinds += self._personal[form].items()
        return [kind for kind, pattern in kinds if pattern.search(name)]


def read_words(text: str) -> tuple[Word, ...]:
    """Return the words of a list in the form of `words.txt`. Raises ValueError for a line that is none."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, kind, *forms = line.split()
            if not forms or not {*forms} <= {*FORMS}:
                raise ValueError(f"words: {word} counts for {' '.join(forms) or 'nothing'}; want of {', '.join(FORMS)}")
            found.append(Word(word, kind, frozenset(forms)))
    return tuple(found)


def form_of(column: Column, types: Mapping[int, Type]) -> Form | None:
    """Return what a column holds as far as words go by it, None for what can hold anything: JSON, bytes, addresses."""
    flat = flatten(column.type_oid, column.type_text, types)
    if flat.family in ("text", "text array") or type_name(column.type_oid, types) == "enum":
        return "text"
    return next((form for form, pattern in _FORMS.items() if pattern.fullmatch(flat.spelling)), None)


def snake(name: str) -> str:
    """Return a name in lowercase without accents, `_` between words, so that `dateNaissance` and `Âge` match too."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


def _by_kind(words: Iterable[Word]) -> dict[str, re.Pattern[str]]:
    kinds: defaultdict[str, list[Word]] = defaultdict(list)
    for word in words:
        kinds[word.kind].append(word)
    return {kind: _one_of(found) for kind, found in kinds.items()}


def _one_of(words: Iterable[Word], start: str = "(?<![a-z])", end: str = "(?![a-z])") -> re.Pattern[str]:
    """Return a pattern that finds one of these words in a name, none inside a longer word; of no words, it finds nothing."""
    patterns = [word.pattern for word in words]
    return re.compile(f"{start}(?:{'|'.join(patterns)}){end}" if patterns else "(?!)")
