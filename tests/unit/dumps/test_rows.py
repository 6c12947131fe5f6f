"""The rows of a dump, as a program prints them."""

import sys
import tempfile
from pathlib import Path

import pytest

from multischema.catalog.backup import Copy
from multischema.catalog.tokens import Name
from multischema.dumps.archives import Command
from multischema.dumps.rows import read_rows
from multischema.errors import DumpError

_HEAD = b"SET client_encoding = 'UTF8';\n\nCOPY a.b (c) FROM stdin;\n"
_CHUNK = 64 * 1024


def _rows(printed: bytes, folder: Path) -> tuple[Copy, bytes]:
    """Return what is read of the text that a program prints."""
    file = folder / "printed"
    file.write_bytes(printed)
    program = "import shutil, sys; shutil.copyfileobj(open(sys.argv[1], 'rb'), sys.stdout.buffer)"
    with (
        tempfile.TemporaryFile() as complaints,
        read_rows(Command(sys.executable, ("-c", program, str(file)), {}), complaints, "backup") as rows,
    ):
        return rows.copy, b"".join(rows.lines)


@pytest.mark.parametrize("before", range(-4, 5))
def test_rows_end_at_their_mark_wherever_a_chunk_ends(before: int, tmp_path: Path) -> None:
    lines = b"x" * (_CHUNK - len(_HEAD) + before - 1) + b"\n"
    assert _rows(_HEAD + lines + b"\\.\n\n\n", tmp_path) == (Copy(Name("a", "b"), ("c",)), lines)


@pytest.mark.parametrize("lines", [b"", b"\n", b"\\\\.\n", b"x\\.\n", b"COPY x FROM stdin;\n"])
def test_rows_are_what_stands_before_the_mark(lines: bytes, tmp_path: Path) -> None:
    assert _rows(_HEAD + lines + b"\\.\n", tmp_path)[1] == lines


@pytest.mark.parametrize(
    "name", ['"x (c) FROM stdin;\n"', '"\n\\.\n"', '"; DROP TABLE x; --"'], ids=["a head", "a mark", "a statement"]
)
def test_a_name_may_look_like_what_stands_around_rows(name: str, tmp_path: Path) -> None:
    copy, lines = _rows(f"COPY a.{name} (c) FROM stdin;\n1\n\\.\n".encode(), tmp_path)
    assert (copy.table.name, lines) == (name[1:-1], b"1\n")


@pytest.mark.parametrize(
    "printed",
    [
        b"",
        b"x" * (2 << 20),
        b"\nINSERT INTO a.b VALUES (1);\n",
        b"CREATE TABLE a.b ();\n" + _HEAD + b"\\.\n",
        _HEAD + b"1\n",
        _HEAD + b"\\.\nDROP TABLE a.b;\n",
        _HEAD + b"\\.\n" + _HEAD + b"\\.\n",
        b"COPY a.b (c) FROM program 'x' FROM stdin;\n\\.\n",
    ],
    ids=["nothing", "no head", "inserts", "a table", "no end", "a statement behind", "rows behind", "a program"],
)
def test_anything_else_is_no_rows_of_pg_dump(printed: bytes, tmp_path: Path) -> None:
    with pytest.raises(DumpError) as failed:
        _rows(printed, tmp_path)
    (problem,) = failed.value.problems
    assert "\n" not in problem
