"""The environment of a command: what of it is mended, and what `.env` is refused for, on which line."""

import errno
import os
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import urllib3

from multischema import environment
from multischema.errors import UsageError
from tests.conftest import OWN

LOCAL = "127.0.0.1,localhost,::1"


# Values


@pytest.mark.parametrize(
    "given",
    ["metabase", "metabase ", "metabase\r", "metabase\n", '"metabase"', "'metabase'", ' "metabase" ', '" metabase "'],
)
def test_white_space_and_quotes_around_a_value_are_no_part_of_it(given: str) -> None:
    variables = {"METABASE_USERNAME": given}
    environment.mend(variables)
    assert variables == {"METABASE_USERNAME": "metabase"}


@pytest.mark.parametrize(
    "name", ["METABASE_URL", "METABASE_DATABASE_ID", "METABASE_API_KEY", "SENTRY_DSN", "ALERT_WEBHOOK_URL"]
)
def test_who_is_told_is_mended_like_the_databases(name: str) -> None:
    variables = {name: ' "x" '}
    environment.mend(variables)
    assert variables == {name: "x"}


@pytest.mark.parametrize("given", ['"', "'a\"", 'a"b"', "", "l'avion"])
def test_other_quotes_are_part_of_a_value(given: str) -> None:
    assert environment.mended(given) == given


@pytest.mark.parametrize("name", ["PGPASSWORD", "PS1", "IFS", "PATH"])
def test_variables_that_others_read_stay_as_they_are(name: str) -> None:
    variables = {name: ' "x" '}
    environment.mend(variables)
    assert variables == {name: ' "x" '}


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("http://127.0.0.1:4200", "http://127.0.0.1:4200/api"),
        ("http://127.0.0.1:4200/", "http://127.0.0.1:4200/api"),
        ("http://127.0.0.1:4200/api", "http://127.0.0.1:4200/api"),
        ('"https://prefect.example.org/api/" ', "https://prefect.example.org/api"),
        ("https://prefect.example.org/behind/api", "https://prefect.example.org/behind/api"),
        ("https://api.prefect.cloud/api/accounts/a/workspaces/b", "https://api.prefect.cloud/api/accounts/a/workspaces/b"),
        ("http://127.0.0.1:4200/dashboard", "http://127.0.0.1:4200/dashboard"),
        ("", ""),
    ],
)
def test_the_address_of_a_server_becomes_that_of_its_api(given: str, taken: str) -> None:
    variables = {"PREFECT_API_URL": given}
    environment.mend(variables)
    assert variables == {"PREFECT_API_URL": taken}


@pytest.mark.parametrize(
    "given",
    ["127.0.0.1:4200", "localhost:4200/api", "http://u:hush@127.0.0.1:42x0/api", "http:///api", "ftp://h/api", "hush"],
)
def test_what_is_no_address_of_a_server_is_refused_without_being_told(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        environment.mend({"PREFECT_API_URL": given})
    assert caught.value.lines() == [
        "error: PREFECT_API_URL: this is not the URL of a server; want http://127.0.0.1:4200/api, or https://host/api"
    ]


# Proxies


@pytest.mark.parametrize(
    ("given", "bypassed"),
    [
        ({}, LOCAL),
        ({"NO_PROXY": "a.example, b.example"}, f"a.example,b.example,{LOCAL}"),
        ({"no_proxy": "localhost,a.example"}, "localhost,a.example,127.0.0.1,::1"),
        ({"no_proxy": "a.example", "NO_PROXY": "b.example"}, f"a.example,{LOCAL}"),  # as all that read them choose
    ],
)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
def test_no_proxy_stands_between_this_machine_and_itself(name: str, given: dict[str, str], bypassed: str) -> None:
    variables = {name: "http://proxy.example:3128", **given}
    environment.mend(variables)
    assert variables == {name: "http://proxy.example:3128", "no_proxy": bypassed, "NO_PROXY": bypassed}


def test_without_a_proxy_nothing_is_said_about_proxies() -> None:
    variables = {"HTTP_PROXY": "", "NO_PROXY": "a.example"}
    environment.mend(variables)
    assert variables == {"HTTP_PROXY": "", "NO_PROXY": "a.example"}


def test_an_environment_that_bypasses_every_proxy_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"HTTP_PROXY": "http://proxy.example:3128", "NO_PROXY": "*"}
    environment.mend(variables)
    monkeypatch.setattr(os, "environ", variables)
    assert urllib.request.proxy_bypass("a.example")


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://proxy:1080",
        "socks5h://proxy:1080",
        "socks://proxy:1080",
        "socks4://p:1",
        "ftp://p:1",
        "http://p:port",
        "http://",
    ],
)
@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "https_proxy", "HTTP_PROXY"])
def test_a_proxy_that_no_client_can_use_is_left_out_with_a_warning(
    name: str, proxy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {name: proxy.replace("://", "://user:hush@")}
    environment.mend(variables)
    assert variables == {}
    assert capsys.readouterr().err == (
        f"warning: {name} is ignored: it names no http or https proxy, and others can't be used; "
        "what is elsewhere is reached without it\n"
    )


@pytest.mark.parametrize(
    ("proxy", "used"),
    [
        *((proxy, proxy) for proxy in ("http://user:p%40@proxy:3128", "https://proxy", "http://[::1]:3128")),
        *((proxy, f"http://{proxy}") for proxy in ("proxy:3128", "proxy", "user:p%40@proxy:3128", "[::1]:3128")),
    ],
)
def test_a_proxy_that_clients_can_use_stays_with_its_scheme_and_they_can_be_made(
    proxy: str, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f'"{proxy}"')
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    environment.mend(os.environ)
    assert os.environ["HTTPS_PROXY"] == used
    httpx.Client().close()
    urllib3.ProxyManager(used)  # which Sentry's SDK makes of it


# The file


def read(directory: Path, content: bytes, module: str = "blocks") -> subprocess.CompletedProcess[str]:
    """Import a package of commands where `.env` has this content; print what the process's environment then has."""
    (directory / ".env").write_bytes(content)
    return imported(directory, module)


def imported(directory: Path, module: str) -> subprocess.CompletedProcess[str]:
    code = (
        f"import {module}, os, sys; e = os.environ; print(e.get('PREFECT_API_URL'), e.get('APP'), 'prefect' in sys.modules)"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        env={"PYTHONPATH": str(OWN), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", ["blocks", "flows", "deployment"])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("A=1\n".encode("utf-16"), "line 1: is UTF-16; save the file as UTF-8"),
        ("A=1\nB=2\n".encode("utf-16-be"), "line 1: holds a NUL; save the file as UTF-8 text"),
        ("A=1\nB=hush é\n".encode("latin-1"), "line 2: is not UTF-8; save the file as UTF-8"),
        (b"A=1\n\nB=hush\0\n", "line 3: holds a NUL; save the file as UTF-8 text"),
        (
            b'A=1\n\n# x\nB="hush\nC=2\n',
            "line 4: a quote is not closed, or something follows a closed one; want lines NAME=value",
        ),
        (
            b"A=1\r\nB='hush\r\n",
            "line 2: a quote is not closed, or something follows a closed one; want lines NAME=value",
        ),
        (b'ETL_DB_URL="hush\nC="\n', "line 1: the value of ETL_DB_URL goes on over several lines; close its quote"),
        (b"A=1\nhush hush\n", "line 2: can't be read; want lines NAME=value"),
    ],
)
def test_a_file_that_cant_be_read_is_one_line_before_prefect_reads_it(
    module: str, content: bytes, problem: str, tmp_path: Path
) -> None:
    run = read(tmp_path, content, module)
    assert (run.returncode, run.stdout, run.stderr) == (2, "", f"error: .env: {problem}\n")


def test_a_directory_is_no_file_of_variables(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    run = imported(tmp_path, "flows")
    assert (run.returncode, run.stdout, run.stderr) == (2, "", "error: .env: is a directory; want a file, or none\n")


def test_a_file_that_cant_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(".env")
    run = imported(tmp_path, "flows")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "error: .env: too many levels of symbolic links; want a file that this user can read, or none\n"


def test_a_folder_that_can_t_be_searched_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(self: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")  # which root never meets

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(UsageError, match=r"^\.env: permission denied; want a file that this user can read, or none$"):
        environment.load()


def test_a_pipe_is_read_once_by_the_command_and_nobody_waits_for_it_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APP", "")
    monkeypatch.delenv("APP")
    os.mkfifo(".env")
    assert imported(tmp_path, "flows").stdout == "None None False\n"
    with ThreadPoolExecutor() as writer:
        writer.submit(Path(".env").write_text, "APP=shop")
        environment.load()
    assert os.environ["APP"] == "shop"


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffPREFECT_API_URL=http://127.0.0.1:4200\r\nAPP=shop\r\n",
        "export PREFECT_API_URL='http://127.0.0.1:4200/api'  # ours\nEMPTY=\nKEY='-----BEGIN\nhush\n'\nNAME\n",
        '# é\n\nPREFECT_API_URL = "http://127.0.0.1:4200/" \n',
    ],
)
def test_prefects_variables_are_mended_before_it_is_imported_and_others_stay_in_the_file(
    content: str, tmp_path: Path
) -> None:
    run = read(tmp_path, content.encode())
    assert (run.stdout, run.stderr) == ("http://127.0.0.1:4200/api None False\n", "")


def test_commands_load_the_whole_file_and_the_environment_stands_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("APP", "CONFIG_PATH", "HTTP_PROXY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "x")
    for name in ("APP", "HTTP_PROXY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name)
    (tmp_path / ".env").write_text("\ufeffAPP=' shop'\nCONFIG_PATH=file\nHTTP_PROXY=http://proxy:3128\n")
    environment.load()
    assert [os.environ.get(name) for name in ("APP", "CONFIG_PATH", "NO_PROXY")] == ["shop", "x", LOCAL]
    (tmp_path / ".env").write_bytes(b"APP=\xff")
    with pytest.raises(UsageError, match=r"^\.env: line 1: is not UTF-8; save the file as UTF-8$"):
        environment.load()
