"""Files as they were in a revision of a git repository. Revisions go to git as its input: none is ever an option of it."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from multischema.download import MAX_BYTES
from multischema.errors import RulesError, UsageError
from multischema.words import escaped

_PATIENCE = 60.0  # seconds: a partial clone asks its server for what it lacks
# a hook runs with these, and with them git would look elsewhere than in the folder that it is given
_OF_ANOTHER_REPOSITORY = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE"),
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
)
# a folder that a pull request adds may be made like a bare repository, whose settings would run what they name
_OWN_REPOSITORY = ("-c", "safe.bareRepository=explicit")
_REVISION = re.compile(r"(?P<revision>(?:[^:{]|\{[^}]*\})+)(?::(?P<path>.+))?", re.DOTALL)
_SHALLOW = (
    "this clone is shallow: fetch its history first, with fetch-depth: 0 for actions/checkout, GIT_DEPTH: 0 in GitLab, or "
    "`git fetch --unshallow`"
)


@dataclass(frozen=True)
class Revision:
    """A file in a revision: its content, None if the revision has no such file; `name` is how git writes it."""

    name: str
    content: bytes | None


def read(given: str, file: Path | None) -> Revision:
    """Return what REV or REV:PATH has, of the repository that `file` is in; REV alone has that very file.

    Without a file, the repository is that of the working directory. Raises UsageError, and RulesError for what is no file.
    """
    found = _REVISION.fullmatch(given)
    if not found or "\n" in given:
        raise UsageError(
            f"OLD {given}: want a file, an https URL, or a git revision such as origin/main or HEAD~1:rules.yml"
        )
    revision, path = found["revision"], found["path"]
    if not path and file is None:
        raise UsageError(f"OLD {given}: NEW is no file of a repository; want {given}:PATH, a file or an https URL")
    itself = file.resolve() if file else Path.cwd() / "rules"
    if "\n" in itself.name:
        raise UsageError(f"{itself.name}: git can't be asked for a name with a line break")
    folder, name = itself.parent, f"{revision}:{path or f'./{itself.name}'}"
    commit, blob = _looked_up(folder, given, f"{revision}^{{commit}}", name)
    if commit is None:
        raise UsageError(f"OLD {given}: no file, and no revision of the repository in {folder}; {_advice(folder)}")
    if blob is None:
        return Revision(name, None)
    identity, kind, size = blob
    if kind != "blob":
        raise RulesError(f"rules: {name}: not a file; want REV:PATH of a rules file")
    if size > MAX_BYTES:
        raise RulesError(f"rules: {name}: more than {MAX_BYTES} bytes; want rules, which are far smaller")
    return Revision(name, _git(folder, given, "cat-file", "blob", identity))


def _looked_up(folder: Path, given: str, *names: str) -> list[tuple[str, str, int] | None]:
    """Return the identity, the kind and the bytes of each object of these names, None for one that is not there."""
    said = _git(folder, given, "cat-file", "--batch-check", asked="".join(f"{name}\n" for name in names))
    answers = (re.fullmatch(r"([0-9a-f]{40,64}) (\w+) (\d+)", line) for line in said.decode(errors="replace").splitlines())
    return [(answer[1], answer[2], int(answer[3])) if answer else None for answer in answers]


def _advice(folder: Path) -> str:
    is_shallow = _git(folder, "", "rev-parse", "--is-shallow-repository").strip() == b"true"
    return _SHALLOW if is_shallow else "want one that `git log` shows there; `git fetch origin` brings those of its server"


def _git(folder: Path, given: str, *arguments: str, asked: str = "") -> bytes:
    """Return what git prints, asked for in a folder. Raises UsageError, RulesError."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_REPOSITORY}
    try:
        done = subprocess.run(
            ["git", *_OWN_REPOSITORY, *arguments],
            cwd=folder,
            env={**environment, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
            input=asked.encode(errors="surrogateescape"),
            capture_output=True,
            timeout=_PATIENCE,
        )
    except FileNotFoundError:
        missing = "git is not installed" if folder.is_dir() else f"there is no folder {folder}"
        raise UsageError(f"OLD {given}: no such file, and no revision either: {missing}") from None
    except subprocess.TimeoutExpired:
        raise RulesError(f"rules: {given}: git did not answer within {_PATIENCE:g} s; fetch the revision first") from None
    except OSError as error:
        raise UsageError(f"OLD {given}: no such file, and git can't be run: {(error.strerror or '').lower()}") from None
    if done.returncode:
        raise UsageError(f"OLD {given}: no such file, and no revision either: {_reason(folder, done.stderr)}")
    return done.stdout


def _reason(folder: Path, complaints: bytes) -> str:
    """Return why git gave up, and what to do."""
    said = complaints.decode(errors="replace")
    if "dubious ownership" in said or "unsafe repository" in said:
        advised = re.search(r"git config --global --add safe\.directory .*", said)
        cure = advised[0].strip() if advised else f"git config --global --add safe.directory {folder}"
        return f"the repository belongs to another user; if you trust it, `{cure}`"
    if "not a git repository" in said:
        return f"{folder} is in no git repository"
    lines = [line.removeprefix("fatal: ") for line in said.splitlines() if line.strip()]
    return escaped(f"git says {lines[-1][:200] if lines else 'nothing'}")
