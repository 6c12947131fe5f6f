"""What names say of columns: words for personal data, and words for what is nobody's, read from `words.txt`."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

# what a column holds, as far as words tell personal from technical; an enum counts as text
Form = Literal["text", "number", "flag", "moment", "date", "uuid"]
FORMS: tuple[Form, ...] = ("text", "number", "flag", "moment", "date", "uuid")
ANY = "any"
TECHNICAL = "technical"
FREE_TEXT = "text"
# for words that a name does not hold: a pattern that never matches
_NONE = re.compile(r"(?!)")


@dataclass(frozen=True)
class Word:
    """A word of the list: its kind, and the forms of columns for which it counts, or `any`."""

    text: str
    kind: str
    forms: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """Return the word as a regular expression."""
        return self.text.replace("*", "[a-z]*")


@dataclass(frozen=True)
class Words:
    """Words by what they do: `always` count whatever else a name says; `personal` and `technical` by a column's form."""

    always: Mapping[str, re.Pattern[str]]
    personal: Mapping[str, Mapping[str, re.Pattern[str]]]
    first: Mapping[str, re.Pattern[str]]
    last: Mapping[str, re.Pattern[str]]

    @classmethod
    def of(cls, words: Iterable[Word]) -> "Words":
        """Return the words, ready to look names up."""
        always: defaultdict[str, list[str]] = defaultdict(list)
        personal: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        technical: defaultdict[str, list[str]] = defaultdict(list)
        for word in words:
            if word.forms == (ANY,):
                always[word.kind].append(word.pattern)
                continue
            for form in word.forms:
                found = technical[form] if word.kind == TECHNICAL else personal[form][word.kind]
                found.append(word.pattern)
        return cls(
            {kind: _anywhere(patterns) for kind, patterns in always.items()},
            {form: {kind: _anywhere(found) for kind, found in kinds.items()} for form, kinds in personal.items()},
            {form: re.compile(rf"(?:{'|'.join(patterns)})(?![a-z])") for form, patterns in technical.items()},
            {form: re.compile(rf"(?<![a-z])(?:{'|'.join(patterns)})[_0-9]*$") for form, patterns in technical.items()},
        )

    def kind_of(self, name: str, form: Form = "text") -> str | None:
        """Return what personal datum a name says a column of this form holds, such as `contact`; None if it says none."""
        found = self._kind(snake(name), form)
        return None if found == FREE_TEXT else found

    def are_technical(self, name: str, form: Form) -> bool:
        """Tell whether a name says that a column of this form is no person's; one that says nothing does not."""
        name = snake(name)
        if self._kind(name, form):
            return False
        return bool(self.last.get(form, _NONE).search(name) or self.first.get(form, _NONE).match(name))

    def _kind(self, name: str, form: Form) -> str | None:
        kinds = [*self.always.items()]
        if not self.last.get(form, _NONE).search(name):
            kinds += self.personal.get(form, {}).items()
        return next((kind for kind, pattern in kinds if pattern.search(name)), None)


def read_words(text: str) -> tuple[Word, ...]:
    """Return the words of a list in the form of `words.txt`. Raises ValueError for a line that is none."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, kind, *forms = line.split()
            if not forms or not {*forms} <= {ANY, *FORMS}:
                raise ValueError(
                    f"words: {word} counts for {' '.join(forms) or 'nothing'}; want {ANY} or {', '.join(FORMS)}"
                )
            found.append(Word(word, kind, tuple(forms)))
    return tuple(found)


def snake(name: str) -> str:
    """Return a name in lowercase without accents, `_` between words, so that `dateNaissance` and `Âge` match too."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


def _anywhere(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds one of these words in a name, not inside a longer word."""
    return re.compile(rf"(?<![a-z])(?:{'|'.join(patterns)})(?![a-z])")
