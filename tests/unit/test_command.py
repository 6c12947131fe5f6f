"""How commands end: by an error, by Ctrl-C, by a reader that has enough, and how `flows.rules` finds its own."""

import signal
import subprocess
import sys

import pytest

from flows.rules import __main__ as rules
from multischema import command
from multischema.errors import CheckError, UsageError
from multischema.findings import problem
from multischema.words import suggestion
from tests.conftest import ROOT

MANY_LINES = "[print('line', number) for number in range(100000)]"
ENDED = "import sys; from multischema import command; sys.exit(command.ended(lambda: {}, variables=False))"


def raising(error: BaseException) -> int:
    """Return how a command ends whose work raises an error."""

    def work() -> None:
        raise error

    return command.ended(work, variables=False)


def test_an_error_is_its_lines_and_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert [raising(CheckError(problem("a", "one"), problem("b", "two"))), raising(UsageError("three"))] == [1, 2]
    assert capsys.readouterr().err == "error: one\nerror: two\nerror: three\n"


def test_an_interrupted_command_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(KeyboardInterrupt()) == 1
    assert capsys.readouterr().err == "interrupted\n"


def test_a_command_that_gets_ctrl_c_ends_without_a_traceback() -> None:
    sleeping = ENDED.format("(print('started', flush=True), __import__('time').sleep(60))")
    with subprocess.Popen([sys.executable, "-c", sleeping], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout
        assert run.stdout.readline() == b"started\n"
        run.send_signal(signal.SIGINT)
        assert run.communicate(timeout=60) == (b"", b"interrupted\n")
        assert run.returncode == 1


@pytest.mark.parametrize("lines", [MANY_LINES, "print('x' * 10)"])
def test_a_reader_that_has_enough_gets_no_traceback(lines: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDED.format(f"(__import__('sys').stdin.readline(), {lines})")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        assert run.stdin
        assert run.stdout
        assert run.stderr
        run.stdout.close()
        run.stdin.close()
        assert run.stderr.read() == b""
        assert run.wait(60) == 1


def test_a_command_without_an_output_ends_well() -> None:
    run = subprocess.run(
        ["bash", "-c", 'exec "$0" -c "$1" >&-', sys.executable, ENDED.format("print('x')")],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, b"")


def test_rules_without_a_command_shows_its_help_and_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert rules.main([], "etl rules") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("usage: etl rules [-h] COMMAND ...\n")
    assert [name for name in rules.COMMANDS if f"\n  {name} " not in shown.err] == []


@pytest.mark.parametrize("name", ["chek", "drft", "--app", "", "a\n\x1b[31m"])
def test_a_command_that_rules_does_not_have_is_named_with_its_neighbour(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        rules.main([name, "--help"])
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert "\x1b" not in shown.err
    assert f"{suggestion(name, rules.COMMANDS)}; want check, draft" in shown.err
    assert len(shown.err.splitlines()) == 2


def test_rules_says_its_help_where_it_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["-h"], ["--help"]):
        with pytest.raises(SystemExit) as ended:
            rules.main(arguments)
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith("usage: python -m flows.rules [-h] COMMAND ...\n")
