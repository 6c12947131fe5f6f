"""The key of pseudonyms as a Secret block and as a variable: made, saved, replaced when asked, and never said."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.system import Secret
from pydantic import SecretStr

from blocks import pseudonym_key, urls
from blocks.pseudonym_key import BLOCK
from multischema.errors import UsageError
from multischema.masks.pseudonyms import pseudonym
from tests.conftest import KEY
from tests.flows.conftest import Command, Shop, variables
from tests.support.servers import PrefectServer

OTHER = "ab" * 32
WANTED = "want 64 hexadecimal digits (32 random bytes)"
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [email]
    masks: {email: {pseudonym: person_email}}
"""
Register = Callable[..., Command]


@pytest.fixture
def register(server: PrefectServer, work: Path) -> Iterator[Register]:
    """Return a function that runs the command; there is no key before and after the test."""

    def run(*arguments: str, **environment: str) -> Command:
        command = Command.start(work, "blocks.register", arguments, {"PREFECT_API_URL": server.url, **environment})
        command.wait()
        assert held() is None or str(held()) not in command.text
        return command

    forget()
    yield run
    forget()


def said(command: Command) -> tuple[int, str]:
    """Return the exit status and what the command said: one line."""
    return command.wait(), command.text.removesuffix("\n")


def forget() -> None:
    """Delete the block if there is one."""
    try:
        Secret.delete(BLOCK)
    except ValueError:
        return


def held() -> Any:
    """Return what the block holds, None where there is none."""
    try:
        return Secret.load(BLOCK).get()  # type: ignore[union-attr]
    except ValueError:
        return None


@pytest.mark.slow
def test_a_key_is_made_once_and_never_shown(register: Register) -> None:
    made = register("--new-pseudonym-key")
    assert said(made) == (0, "saved Secret block etl-pseudonym-key: a new key")
    first = held()
    assert len(bytes.fromhex(first)) == 32
    again = register("--new-pseudonym-key")
    assert said(again) == (
        2,
        "error: there is a Secret block etl-pseudonym-key, and it was left as it is; to replace the key, and with it all "
        "pseudonyms, use --rotate-pseudonym-key",
    )
    assert held() == first


@pytest.mark.slow
def test_a_key_of_the_environment_is_saved_and_replaces_no_other_one(register: Register) -> None:
    saved = register(ETL_PSEUDONYM_KEY=KEY.hex())
    assert said(saved) == (0, "saved Secret block etl-pseudonym-key from ETL_PSEUDONYM_KEY")
    again = register(ETL_PSEUDONYM_KEY=KEY.hex().upper())
    assert said(again) == (0, "Secret block etl-pseudonym-key holds the key of ETL_PSEUDONYM_KEY already")
    other = register(ETL_PSEUDONYM_KEY=OTHER, APP="aei", ORIGIN_DB_URL="postgresql://aei@host/aei")
    assert said(other) == (
        2,
        "error: the Secret block etl-pseudonym-key holds another key than ETL_PSEUDONYM_KEY, and nothing was saved: unset "
        "the variable; to replace the key, and with it all pseudonyms, use --rotate-pseudonym-key",
    )
    assert (held(), urls.find("aei-db-url")) == (KEY.hex(), None)


@pytest.mark.slow
def test_a_key_is_rotated_by_one_command_which_says_what_follows(register: Register) -> None:
    nothing = register("--rotate-pseudonym-key")
    assert nothing.wait() == 2
    assert nothing.text.startswith("error: there is no Secret block etl-pseudonym-key to replace: make and save one with ")
    register(ETL_PSEUDONYM_KEY=KEY.hex())
    rotated = register("--rotate-pseudonym-key")
    assert said(rotated) == (
        0,
        "replaced Secret block etl-pseudonym-key with a new key; the next run of each app with pseudonyms makes them all "
        "anew: run every such app, as until then its pseudonyms are the old ones and join no other app's",
    )
    assert held() != KEY.hex()
    assert register("--rotate-pseudonym-key", ETL_PSEUDONYM_KEY=OTHER).wait() == 0
    assert held() == OTHER
    same = register("--rotate-pseudonym-key", ETL_PSEUDONYM_KEY=OTHER)
    assert same.wait() == 2
    assert OTHER not in same.text


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("s3cr", f"holds no key: {WANTED}; found 4 characters"),
        ("c0" * 31, f"holds no key: {WANTED}; found 62 characters"),
        ("c0" * 33, f"holds no key: {WANTED}; found 66 characters"),
        ("zz" * 32, f"holds no key: {WANTED}; found others than 0 to 9 and a to f"),
        ("c0 " * 21 + "c", f"holds no key: {WANTED}; found others than 0 to 9 and a to f"),
        ("00" * 32, f"holds zeros and no key; {WANTED}"),
        ("12" * 32, f"holds a number, as Prefect reads it, and no key; {WANTED}, with one of a to f at least"),
        ("1e" + "1" * 62, f"holds a number, as Prefect reads it, and no key; {WANTED}, with one of a to f at least"),
        (12, f"holds a number, as Prefect reads it, and no key; {WANTED}, with one of a to f at least"),
        ({"a": 1}, f"holds a number, as Prefect reads it, and no key; {WANTED}, with one of a to f at least"),
        ("", f"holds no key: {WANTED}; found 0 characters"),
    ],
)
def test_what_is_no_key_is_refused_in_a_line_without_it(value: Any, problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        pseudonym_key.key_of(value, "the Secret block etl-pseudonym-key")
    assert str(refused.value) == f"the Secret block etl-pseudonym-key {problem}"
    assert not value or str(value) not in str(refused.value)


def test_a_key_is_read_in_either_case_and_without_what_a_paste_leaves_around_it() -> None:
    assert pseudonym_key.key_of(f' "{KEY.hex().upper()}"\r\n', "x") == KEY


@pytest.mark.slow
def test_a_run_of_a_deployment_takes_the_block_and_fails_in_a_line_without_one(register: Register, shop: Shop) -> None:
    shop.place.in_origin("CREATE TABLE users (id int PRIMARY KEY, email text); INSERT INTO users VALUES (1, 'marie@a.fr')")
    needed = "the rules name the pseudonym domain person_email: "
    state = shop.run(RULES)
    assert state.is_failed()
    assert str(state.result(raise_on_failure=False)) == (
        f"{needed}there is no Secret block etl-pseudonym-key: make and save one with "
        "`python -m blocks.register --new-pseudonym-key`"
    )
    Secret(value=SecretStr("c0" * 31)).save(BLOCK)
    state = shop.run(RULES)
    assert str(state.result(raise_on_failure=False)) == (
        f"{needed}the Secret block etl-pseudonym-key holds no key: {WANTED}; found 62 characters"
    )
    Secret(value=SecretStr(f"{KEY.hex()}\n")).save(BLOCK, overwrite=True)
    assert shop.run(RULES).is_completed()
    assert shop.read("SELECT email FROM {}.users") == [(pseudonym(KEY, "person_email", "marie@a.fr"),)]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [(), ("--check",)], ids=["run", "check"])
def test_the_command_line_takes_the_variable_and_never_the_block(
    arguments: tuple[str, ...], register: Register, shop: Shop
) -> None:
    shop.place.in_origin("CREATE TABLE users (id int PRIMARY KEY, email text); INSERT INTO users VALUES (1, 'marie@a.fr')")
    Secret(value=SecretStr(OTHER)).save(BLOCK)
    without = shop.command(*arguments, rules=RULES)
    assert without.wait() == 1
    assert (
        "the rules name the pseudonym domain person_email: missing variable ETL_PSEUDONYM_KEY: "
        f"{WANTED}, those that the other apps have; for the first app, or for a check alone, new ones: "
        "`openssl rand -hex 32`"
    ) in without.err
    wrong = shop.command(*arguments, rules=RULES, ETL_PSEUDONYM_KEY="c0" * 31)
    assert wrong.wait() == 1
    assert f"variable ETL_PSEUDONYM_KEY holds no key: {WANTED}; found 62 characters" in wrong.err
    with_key = shop.command(*arguments, rules=RULES, ETL_PSEUDONYM_KEY=f'"{KEY.hex()}"')
    assert with_key.wait() == 0, with_key.text
    if not arguments:
        assert shop.read("SELECT email FROM {}.users") == [(pseudonym(KEY, "person_email", "marie@a.fr"),)]


# a command, and whether its process would write a core file in the end
COMMAND = """
import atexit, ctypes, runpy, sys
atexit.register(lambda: print("dumpable:", ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)))
_, module, *arguments = sys.argv
sys.argv[1:] = arguments
runpy.run_module(module, run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="how Linux is asked whether it would write a core file")
@pytest.mark.parametrize(
    ("arguments", "key", "dumpable"),
    [
        (["blocks.register", "--new-pseudonym-key"], None, 0),
        (["blocks.register", "--rotate-pseudonym-key"], None, 0),
        (["blocks.register"], KEY.hex(), 0),
        (["deployment.setup"], KEY.hex(), 0),
        (["flows.etl", "--app", "aei"], KEY.hex(), 0),
        (["flows.etl", "--app", "aei"], None, 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "key" if isinstance(value, str) else None,
)
def test_a_command_that_takes_or_makes_the_key_leaves_no_core_file(
    arguments: list[str], key: str | None, dumpable: int, work: Path
) -> None:
    # nobody answers there, so that it ends in an error
    environment = variables({"PREFECT_API_URL": "http://127.0.0.1:9/api", "ETL_PSEUDONYM_KEY": key})
    command = [sys.executable, "-c", COMMAND, *arguments]
    ended = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert "error" in ended.stderr
    assert ended.stdout.splitlines()[-1] == f"dumpable: {dumpable}"
