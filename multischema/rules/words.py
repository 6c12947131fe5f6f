"""What names say of columns: words for personal data, and words for what is nobody's, read from `words.txt`."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

# what a column holds, as far as words go by it (an enum is a text); `table` is for names of tables
Form = Literal["text", "number", "flag", "moment", "date", "uuid", "table"]
ANY = "any"
FIRST = "first"
FORMS = (*get_args(Form), ANY, FIRST)
# the kinds that are no kind of personal datum
TECHNICAL = "technical"
SETTING = "setting"
FREE_TEXT = "text"
_NOTHING = re.compile("(?!)")


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
        always: defaultdict[str, list[str]] = defaultdict(list)
        personal: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        last: defaultdict[str, list[str]] = defaultdict(list)
        elsewhere: defaultdict[str, list[str]] = defaultdict(list)
        settings: list[str] = []
        for word in words:
            if word.kind == SETTING:
                settings.append(word.pattern)
            elif ANY in word.forms:
                always[word.kind].append(word.pattern)
            for form in word.forms - {ANY, FIRST}:
                if word.kind == TECHNICAL:
                    last[form].append(word.pattern)
                    if FIRST in word.forms or form == "flag":
                        elsewhere[form].append(word.pattern)
                elif word.kind != SETTING:
                    personal[form][word.kind].append(word.pattern)
        self._always = {kind: _anywhere(patterns) for kind, patterns in always.items()}
        self._personal = {
            form: {kind: _anywhere(patterns) for kind, patterns in kinds.items()} for form, kinds in personal.items()
        }
        self._last = {form: re.compile(rf"(?<![a-z]){_one_of(patterns)}[_0-9]*$") for form, patterns in last.items()}
        # as the first word of a name, or wherever it is in that of a flag
        self._elsewhere: Mapping[str, re.Pattern[str]] = {
            form: _anywhere(patterns) if form == "flag" else re.compile(rf"^{_one_of(patterns)}(?![a-z])")
            for form, patterns in elsewhere.items()
        }
        self._settings = re.compile(rf"{_one_of(settings)}(?![a-z])") if settings else _NOTHING

    def kind_of(self, name: str, form: Form = "text") -> str | None:
        """Return what personal datum a name says a column of this form holds, such as `contact`; None if it says none."""
        return next(iter(self.kinds_of(name, form)), None)

    def kinds_of(self, name: str, form: Form) -> tuple[str, ...]:
        """Return every kind of personal datum that a name says a column of this form holds."""
        return tuple(kind for kind in self._kinds(snake(name), form) if kind != FREE_TEXT)

    def are_technical(self, name: str, form: Form) -> bool:
        """Tell whether a name says that a column of this form is nobody's; one that says nothing does not."""
        name = snake(name)
        if form == "flag" and self._settings.match(name):
            return True
        if self._kinds(name, form):
            return False
        return self._ends_technical(name, form) or bool(self._elsewhere.get(form, _NOTHING).search(name))

    def _ends_technical(self, name: str, form: Form) -> bool:
        return bool(self._last.get(form, _NOTHING).search(name))

    def _kinds(self, name: str, form: Form) -> list[str]:
        kinds = [*self._always.items()]
        if not self._ends_technical(name, form):
            kinds += self._personal.get(form, {}).items()
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


def snake(name: str) -> str:
    """Return a name in lowercase without accents, `_` between words, so that `dateNaissance` and `Âge` match too."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


def _anywhere(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds one of these words in a name, not inside a longer word."""
    return re.compile(rf"(?<![a-z]){_one_of(patterns)}(?![a-z])")


def _one_of(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"
