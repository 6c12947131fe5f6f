"""What stands around a command: a server's variables, proxies, a full home. It works, or says at once what is wrong."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import Shop
from tests.support.disks import may_mount, small_disk
from tests.support.foreign import listening
from tests.support.servers import PATIENCE, furnish

pytestmark = pytest.mark.slow

ORIGIN = "CREATE TABLE users (id serial PRIMARY KEY, name text); INSERT INTO users (name) VALUES ('Marie')"
RULES = "tables: [{table_name: users, anonymized_column_names: [name]}]"
SERVER = {
    "PREFECT_SERVER_API_AUTH_STRING": "admin:a login of another server",
    "PREFECT_SERVER_API_BASE_PATH": "/behind",
    "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
    "PREFECT_SERVER_ENCRYPTION_KEY": "none",
    "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://someone:hush@127.0.0.1:1/prefect",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://someone:hush@127.0.0.1:1/prefect",
    "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "nowhere.messaging",
    "PREFECT_API_AUTH_STRING": "admin:a login of another server",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home for Prefect, with a database that was made before."""
    folder = tmp_path / "home"
    folder.mkdir()
    furnish(folder)
    return folder


def published(shop: Shop, home: Path, **environment: str) -> str:
    """Publish the shop on a temporary server; return what was said to stderr."""
    shop.place.in_origin(ORIGIN)
    given: dict[str, Any] = {"PREFECT_API_URL": None, "PREFECT_HOME": str(home), **environment}
    command = shop.command(rules=RULES, **given)
    assert command.wait(5 * PATIENCE) == 0, command.text
    assert shop.read("SELECT name FROM {}.users") == [("[valeur unique anonymisée 1]",)]
    return command.err


@pytest.mark.parametrize("where", ["environment", "file"])
def test_the_variables_of_a_server_to_keep_are_none_of_the_temporary_ones(where: str, shop: Shop, home: Path) -> None:
    if where == "file":
        (shop.directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in SERVER.items()))
    assert published(shop, home, **(SERVER if where == "environment" else {})) == ""


def test_a_home_that_is_the_working_directory_changes_nothing(shop: Shop) -> None:
    furnish(shop.directory)
    (shop.directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in SERVER.items()))
    assert published(shop, Path()) == ""


@pytest.mark.parametrize(
    "names", [("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), ("http_proxy", "https_proxy", "all_proxy"), ("HTTPS_PROXY",)]
)
def test_no_proxy_stands_before_the_temporary_server(names: tuple[str, ...], shop: Shop, home: Path) -> None:
    with listening() as proxy:
        given = dict.fromkeys(names, f"http://127.0.0.1:{proxy.port}")
        assert published(shop, home, NO_PROXY="prefect.example.org", **given) == ""
    assert proxy.calls == []


def test_a_socks_proxy_is_left_out_and_does_not_stop_the_temporary_server(shop: Shop, home: Path) -> None:
    (line,) = published(shop, home, ALL_PROXY="socks5://someone:hush@127.0.0.1:1").splitlines()
    assert line.startswith("warning: ALL_PROXY is ignored: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_stands_before_a_server_on_this_machine(host: str, shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    with listening() as proxy:
        given: dict[str, Any] = dict.fromkeys(("HTTP_PROXY", "https_proxy", "ALL_PROXY"), f"http://127.0.0.1:{proxy.port}")
        url = shop.server.url.replace("127.0.0.1", host)
        command = shop.command(rules=RULES, PREFECT_API_URL=url, **given)
        assert command.wait(5 * PATIENCE) == 0, command.text
    assert (command.err, proxy.calls) == ("", [])
    shop.server.tasks(shop.last(), "copy users")  # told through a websocket


def test_a_rules_url_goes_through_the_proxy_all_the_same(shop: Shop) -> None:
    with listening() as proxy:
        command = shop.command(
            "--check", "--rules", "https://rules.invalid/a.yml", HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}"
        )
        assert command.wait() == 1
    assert [call.split()[:2] for call in proxy.calls] == [[b"CONNECT", b"rules.invalid:443"]]
    assert command.err == "error: rules: https://rules.invalid/a.yml: the other side closed the connection\n"


def refused(shop: Shop, home: Path) -> str:
    """Return the one line of a run that has no home for its server."""
    command = shop.command(rules=RULES, PREFECT_API_URL=None, PREFECT_HOME=str(home))
    assert command.wait() == 2, command.text
    assert command.out == ""
    (line,) = command.err.splitlines()
    found = re.fullmatch(
        rf"error: {re.escape(str(home))}: (.*): the temporary Prefect server can't keep its database there; name in "
        r"PREFECT_HOME a folder that can be written, with 4\.0 MB free",
        line,
    )
    assert found, line
    return found[1]


def test_a_home_that_can_t_be_made_or_written_is_one_line(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    assert refused(shop, tmp_path / "file") == "not a folder"
    assert refused(shop, tmp_path / "file" / "home") == "not a directory"
    assert refused(shop, Path("/proc/home")) == "no such file or directory"


@pytest.mark.skipif(not may_mount(), reason="nobody may mount a small disk here")
def test_a_home_on_a_full_disk_is_one_line(shop: Shop) -> None:
    with small_disk(1) as home:
        assert refused(shop, home) == "no space left on device"


def test_a_database_that_is_none_is_told_with_its_folder(shop: Shop, home: Path) -> None:
    (home / "prefect.db").unlink(missing_ok=True)
    (home / "prefect.db").mkdir()
    command = shop.command(rules=RULES, PREFECT_API_URL=None, PREFECT_HOME=str(home))
    assert command.wait(5 * PATIENCE) == 1
    assert command.err == (
        f"error: the temporary Prefect server, which keeps its database in {home}, did not start: OperationalError: "
        "(sqlite3.OperationalError) unable to open database file; name another folder in PREFECT_HOME, or a server of your "
        "own in PREFECT_API_URL\n"
    )
