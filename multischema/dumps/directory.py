"""The private directories where dumps lie."""

import fcntl
import gzip
import json
import os
import resource
import shutil
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote

from multischema.dumps import archives
from multischema.errors import DumpError, EtlError

_NAME = "multi-schema-postgres-etl"
_RUN, _NEW, _KEPT = f"{_NAME}-run-", f"{_NAME}-new-", f"{_NAME}-kept-"
_GZIP, _DUMP = b"\x1f\x8b", b"PGDMP"
_FACTS = "facts.json"
_HEAD = 4096  # bytes of a file that tell what it is


class PrivateDirectory:
    """A directory that this user alone can read, of a name that nobody can guess; it is gone when the run ends.

    The run holds a lock on it, which dies with the run: a directory without one was left by a run that was killed.
    """

    def __init__(self) -> None:
        _forbid_core_dumps()
        made = Path(tempfile.mkdtemp(prefix=_NEW, dir=_folder()))  # not under its name before it is locked
        self._descriptor = _locked(made)
        self.path = made.rename(made.with_name(made.name.replace(_NEW, _RUN)))

    @property
    def archive(self) -> Path:
        """Return where a dump goes."""
        return self.path / "dump"

    def write(self, name: str, text: str) -> str:
        """Write a file and return its path."""
        file = self.path / name
        file.write_text(text)
        return str(file)

    def unpacked(self, file: Path) -> Path:
        """Return the dump that a file holds: itself, or what stands in a .tar.gz, unpacked once. Raises DumpError."""
        unpacking = self.path / "unpacking"
        try:
            if is_tar(file):
                with tarfile.open(file) as whole:
                    whole.getmembers()  # pg_restore takes a table that is cut short for one that is wrong
                return file
            if file.is_dir():
                return file
            if not _head(file).startswith(_GZIP):
                _refuse_others(file, _head(file))
                return file
            if self.archive.exists():
                return self.archive
            with gzip.open(file) as content:
                head = content.read(_HEAD)
            _refuse_others(file, head, "it holds no tar: ")
            if head.startswith(_DUMP):
                raise archives.no_dump(str(file), "it is a dump that is compressed with gzip, and no tar; unpack it first")
            with tarfile.open(file, "r:gz") as packed:
                inside = [member for member in packed if member.isfile()]
                if len(inside) != 1:
                    raise DumpError(f"dump {file}: the .tar.gz holds {len(inside)} files; want one, a dump of pg_dump")
                self.refuse_if_full(inside[0].size, f"unpacking {file}")
                with cast(IO[bytes], packed.extractfile(inside[0])) as source, unpacking.open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise archives.no_dump(str(file), _reason(error, file)) from None
        _refuse_others(file, _head(unpacking), f"the .tar.gz holds {inside[0].name}: ")
        return unpacking.rename(self.archive)

    def refuse_if_full(self, wanted: int, doing: str) -> None:
        """Raise EtlError where the disk has not so many bytes to spare."""
        free = shutil.disk_usage(self.path).free
        if free < wanted:
            raise DumpError(
                f"{doing}: {free >> 20} MiB are free in {self.path.parent}, want about {wanted >> 20}; free space, set "
                "TMPDIR to another disk, or use mode stream, which needs none"
            )

    def keep(self, schema: str, facts: Mapping[str, Any]) -> Path:
        """Move the dump to where the next run with `keep_dump` finds it, with what must be known of it."""
        (self.path / _FACTS).write_text(json.dumps(facts))
        kept = kept_path(schema)
        _remove(kept)
        kept.mkdir(mode=0o700)
        archive = self.archive.rename(kept_archive(schema))
        (self.path / _FACTS).rename(kept / _FACTS)  # last: what has none is no whole dump
        return archive

    def drop_archive(self) -> None:
        """Delete the dump, or what was unpacked of one."""
        _remove(self.archive)

    def remove(self) -> None:
        """Delete the directory with all that is in it."""
        _remove(self.path)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def kept_path(schema: str) -> Path:
    """Return where the kept dump of an app is, if there is one."""
    return _folder() / f"{_KEPT}{quote(schema, safe='')}"


def kept_archive(schema: str) -> Path:
    """Return where the dump is in there."""
    return kept_path(schema) / "dump"


def kept_dump(schema: str) -> dict[str, Any] | None:
    """Return what must be known of a kept dump, None where there is none. Raises DumpError for what is not ours."""
    kept = kept_path(schema)
    try:
        found = kept.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
            raise DumpError(f"dump {kept}: is no directory that this user alone can read; delete it")
        facts: dict[str, Any] = json.loads((kept / _FACTS).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return facts


def drop_abandoned() -> None:
    """Delete the directories of runs that were killed; those of other users, and of runs that live, stay."""
    try:
        folder = _folder()
    except EtlError:
        return  # mode stream needs none
    for path in folder.glob(f"{_RUN}*"):
        descriptor = _locked(path)
        if descriptor is not None:
            _remove(path)
            os.close(descriptor)


def is_tar(archive: Path) -> bool:
    """Tell a dump in tar format."""
    try:
        with tarfile.open(archive, "r:"):
            return True
    except (tarfile.TarError, OSError):
        return False


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of a directory's files."""
    sizes = []
    for file in [path, *path.glob("*")] if path.exists() else []:
        try:
            sizes.append(file.stat().st_size if file.is_file() else 0)
        except FileNotFoundError:
            continue
    return sum(sizes)


def _forbid_core_dumps() -> None:
    """Have no program that this process starts leave its memory in a file when it crashes: it holds raw rows."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _folder() -> Path:
    """Return where dumps lie: TMPDIR, or the system's own where it is not set. Raises DumpError; it never takes another."""
    wanted = os.environ.get("TMPDIR")
    try:
        found = tempfile.gettempdir()
    except FileNotFoundError:
        found = ""
    if not found or (wanted and found != os.path.abspath(wanted)):
        what = f"TMPDIR is {wanted}, which" if wanted else "the folder of temporary files"
        raise DumpError(f"dump: {what} can't be written; set TMPDIR to a folder that can, or use mode stream")
    return Path(found)


def _head(file: Path) -> bytes:
    with file.open("rb") as content:
        return content.read(_HEAD)


def _refuse_others(file: Path, head: bytes, where: str = "") -> None:
    """Raise DumpError for what is no dump by its first bytes."""
    if found := archives.other_than_a_dump(head):
        raise archives.no_dump(str(file), f"{where}{found}")


def _reason(error: Exception, file: Path) -> str:
    """Return why a tar, or a .tar.gz, can't be read."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (EOFError, zlib.error)) or "end of data" in str(error):
        return f"it is cut short or damaged: it has {file.stat().st_size:,} bytes"
    return "it is no tar, or a damaged one"


def _locked(path: Path) -> int | None:
    """Return the descriptor of a directory of ours that nobody has locked, locked now; None for any other."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            raise PermissionError
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
