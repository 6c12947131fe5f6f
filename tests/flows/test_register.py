"""`python -m blocks.register`: what the environment provides becomes Secret blocks, and no value is ever said."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.system import Secret
from pydantic import SecretStr

from blocks import urls
from tests.conftest import PASSWORD
from tests.flows.conftest import Command, Shop
from tests.support.servers import PrefectServer

pytestmark = pytest.mark.slow

URL = "postgresql://someone:hush-7391@db.example.org:5432/{}"
ALL = {
    "ETL_DB_URL": URL.format("target"),
    "RDV_SOLIDARITES_DB_URL": URL.format("rdvs"),
    "RDV_SERVICE_PUBLIC_DB_URL": URL.format("rdvsp"),
    "RDV_INSERTION_DB_URL": URL.format("rdvi"),
}
Register = Callable[..., Command]


@pytest.fixture
def register(server: PrefectServer, work: Path) -> Iterator[Register]:
    """Return a function that runs the command with these variables; blocks are deleted before and after the test."""

    def run(**environment: str) -> Command:
        command = Command.start(work, "blocks.register", (), {"PREFECT_API_URL": server.url, **environment})
        command.wait()
        return command

    forget()
    yield run
    forget()


def forget() -> None:
    """Delete the blocks that there may be."""
    for name in ("rdvs-db-url", "rdvsp-db-url", "rdvi-db-url", "aei-db-url", "etl-db-url"):
        try:
            Secret.delete(name)
        except ValueError:
            continue


def saved(name: str) -> str | None:
    """Return the value of a block, None where there is none."""
    try:
        secret: Any = Secret.load(name)
    except ValueError:
        return None
    return str(secret.get())


def test_what_the_environment_provides_is_saved_and_named_and_no_value_is_said(register: Register) -> None:
    command = register(**ALL)
    assert command.wait() == 0
    assert command.err == ""
    assert command.out.splitlines() == [
        "saved Secret block etl-db-url from ETL_DB_URL",
        "saved Secret block rdvs-db-url from RDV_SOLIDARITES_DB_URL",
        "saved Secret block rdvsp-db-url from RDV_SERVICE_PUBLIC_DB_URL",
        "saved Secret block rdvi-db-url from RDV_INSERTION_DB_URL",
    ]
    for block, name in (("etl", "target"), ("rdvs", "rdvs"), ("rdvsp", "rdvsp"), ("rdvi", "rdvi")):
        assert saved(f"{block}-db-url") == URL.format(name)


def test_registering_again_replaces_a_value_and_leaves_what_is_not_provided(register: Register) -> None:
    register(**ALL)
    command = register(RDV_INSERTION_DB_URL=URL.format("moved"))
    assert command.wait() == 0
    assert command.out == "saved Secret block rdvi-db-url from RDV_INSERTION_DB_URL\n"
    assert saved("rdvi-db-url") == URL.format("moved")
    assert saved("rdvs-db-url") == URL.format("rdvs")


def test_an_environment_that_provides_nothing_is_a_usage_error(register: Register) -> None:
    command = register(METABASE_USERNAME="metabase", ORIGIN_DB_URL=URL.format("whose"), ETL_DB_URL="")
    assert command.wait() == 2
    assert command.out == ""
    assert command.err == (
        "error: the environment provides nothing to save: want one of ETL_DB_URL, RDV_SOLIDARITES_DB_URL, "
        "RDV_SERVICE_PUBLIC_DB_URL, RDV_INSERTION_DB_URL, or ORIGIN_DB_URL with APP, or METABASE_URL, METABASE_DATABASE_ID, "
        "METABASE_API_KEY, or ETL_PSEUDONYM_KEY\n"
    )


def test_another_app_is_saved_under_its_own_name(register: Register) -> None:
    command = register(APP="aei", ORIGIN_DB_URL=URL.format("aei"))
    assert command.wait() == 0
    assert command.out == "saved Secret block aei-db-url from ORIGIN_DB_URL\n"
    assert saved("aei-db-url") == URL.format("aei")


def test_the_other_origin_is_never_saved_as_that_of_a_known_app(register: Register) -> None:
    command = register(APP="rdvi", ORIGIN_DB_URL=URL.format("other"), ETL_DB_URL=URL.format("target"))
    assert command.wait() == 0
    assert command.out == "saved Secret block etl-db-url from ETL_DB_URL\n"
    assert saved("rdvi-db-url") is None


def test_a_name_that_no_block_can_have_is_a_usage_error(register: Register) -> None:
    command = register(APP="Bad Name", ORIGIN_DB_URL=URL.format("other"))
    assert command.wait() == 2
    assert command.err == "error: app 'Bad Name': want a name of lowercase letters, digits and dashes\n"


def test_a_file_of_variables_is_read_and_the_environment_stands_above_it(register: Register, work: Path) -> None:
    (work / ".env").write_text(f"ETL_DB_URL={URL.format('file')}\nRDV_INSERTION_DB_URL={URL.format('file')}\n")
    command = register(ETL_DB_URL=URL.format("environment"))
    assert command.wait() == 0
    assert saved("etl-db-url") == URL.format("environment")
    assert saved("rdvi-db-url") == URL.format("file")


def test_without_a_prefect_server_nothing_is_saved_anywhere(work: Path) -> None:
    command = Command.start(work, "blocks.register", (), ALL)
    assert command.wait() == 2
    assert command.text == "error: missing variable PREFECT_API_URL: want the URL of the Prefect server, https://…/api\n"


def test_what_docker_and_a_paste_leave_around_a_value_is_not_saved(
    register: Register, server: PrefectServer, work: Path
) -> None:
    command = register(
        PREFECT_API_URL=f'"{server.url.removesuffix("/api")}/" ',
        ETL_DB_URL=f'"{URL.format("target")}"',
        RDV_INSERTION_DB_URL=f"'{URL.format('rdvi')}'\r",
    )
    assert command.wait() == 0, command.text
    assert (saved("etl-db-url"), saved("rdvi-db-url")) == (URL.format("target"), URL.format("rdvi"))


def test_a_block_that_was_saved_with_the_end_of_a_line_is_read_without_it(server: PrefectServer) -> None:
    Secret(value=SecretStr(f'"{URL.format("target")}" \n')).save("etl-db-url", overwrite=True)
    assert urls.load("etl-db-url") == URL.format("target")


def test_a_missing_block_fails_the_run_in_one_line_that_names_the_cure(shop: Shop) -> None:
    Secret.delete(f"{shop.app}-db-url")
    shop.place.in_origin("CREATE TABLE users (id serial PRIMARY KEY)")
    state = shop.run("tables: [{table_name: users, anonymized_column_names: []}]")
    assert state.is_failed()
    assert str(state.result(raise_on_failure=False)) == (
        f"there is no Secret block {shop.app}-db-url: save it with `python -m blocks.register`, "
        "or in Prefect's UI under Blocks"
    )


def test_a_block_without_a_url_fails_the_run_in_one_line(shop: Shop) -> None:
    shop.place.in_origin("CREATE TABLE users (id serial PRIMARY KEY)")
    for value, message in (
        (PASSWORD, "target: this is not a Postgres URL; want postgresql://user:password@host:port/database"),
        ("123456", "the Secret block etl-db-url holds no URL; want postgresql://user:password@host:port/database"),
    ):
        shop.register(ETL_DB_URL=value)
        state = shop.run("tables: [{table_name: users, anonymized_column_names: []}]")
        assert state.is_failed()
        assert str(state.result(raise_on_failure=False)) == message
