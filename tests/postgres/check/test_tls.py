"""Servers with TLS: who verifies what is told what is wrong, and client programs without TLS are."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
import trustme
from psycopg import sql

from demo.servers import Server
from multischema import pipeline
from multischema.errors import ConnectionLost, DumpError
from multischema.postgres.connecting import connect
from multischema.postgres.database import Database
from tests.conftest import PASSWORD, PROGRAMS, TEMPORARY, Place
from tests.support.dumps import ORIGIN, RULES

pytestmark = pytest.mark.slow

SYSTEM = next((name for name in PROGRAMS if name.startswith("system")), "")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return an authority that nobody knows."""
    return trustme.CA()


@pytest.fixture(scope="module")
def certificates(authority: trustme.CA) -> Iterator[Path]:
    """Return a folder with a server's certificate, its key, and the authority's own."""
    with TemporaryDirectory(prefix="certificates-", dir=TEMPORARY) as path:
        folder = Path(path)
        folder.chmod(0o755)
        issued = authority.issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(folder / "server.crt")
        issued.private_key_pem.write_to_path(folder / "server.key")
        authority.cert_pem.write_to_path(folder / "authority.crt")
        (folder / "server.key").chmod(0o600)
        yield folder


@pytest.fixture
def place(start_server: Callable[..., Server], make_place: Callable[..., Place], certificates: Path) -> Place:
    """Return a place whose origin has TLS; the servers that the tests bring with them are built without."""
    if not SYSTEM:
        pytest.skip("no system server, which could have TLS")
    server = start_server(SYSTEM, "tls")
    if os.geteuid() == 0:
        os.chown(certificates / "server.key", server.data.stat().st_uid, -1)
    files = {"ssl_cert_file": "server.crt", "ssl_key_file": "server.key", "ssl_ca_file": "authority.crt"}
    with psycopg.connect(server.url(), autocommit=True) as superuser:
        for name, file in files.items():
            superuser.execute(
                sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(str(certificates / file)))
            )
        superuser.execute("ALTER SYSTEM SET ssl = on")
    server.stop()
    server.start()
    made = make_place(SYSTEM, "18", "tls")
    made.in_origin(ORIGIN)
    return made


def refusal(place: Place, host: str, options: str) -> str:
    """Return the line about a connection that is refused."""
    url = place.origin_url.replace("127.0.0.1", host)
    with pytest.raises(ConnectionLost) as refused:
        connect(Database("origin", "shop", f"{url}?{options}"), "test")
    (line,) = refused.value.problems
    assert PASSWORD not in line
    return line


def test_what_keeps_a_server_from_being_verified_is_told_with_what_to_set(
    place: Place, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(certificates / "nowhere"))
    known = f"sslmode=verify-full&sslrootcert={certificates / 'authority.crt'}"
    authority = "; set sslrootcert in the URL to the file of the authority that signed"
    assert authority in refusal(place, "localhost", "sslmode=verify-full&sslrootcert=/nowhere.crt")
    assert authority in refusal(place, "localhost", "sslmode=verify-full&sslrootcert=system")
    assert "; connect by a name that the server's certificate is for" in refusal(place, "127.0.0.1", known)
    assert "; TLS was broken off" in refusal(place, "localhost", "sslmode=require&sslnegotiation=direct")
    url = place.origin_url.replace("127.0.0.1", "localhost")
    connect(Database("origin", "shop", f"{url}?{known}&channel_binding=require"), "test").close()


def test_a_server_that_wants_a_client_s_certificate_says_so_with_what_to_set(place: Place) -> None:
    entries = place.origin_server.data / "pg_hba.conf"
    before = entries.read_text()
    entries.write_text("hostssl all all all scram-sha-256 clientcert=verify-ca\n")
    place.origin_server.stop()
    place.origin_server.start()
    try:
        said = refusal(place, "localhost", "sslmode=require")
    finally:
        entries.write_text(before)
        place.origin_server.stop()
        place.origin_server.start()
    assert "; name the client's certificate and its key" in said


@pytest.mark.usefixtures("private")
def test_a_pg_dump_without_tls_is_told_with_what_to_install(place: Place) -> None:
    origin = Database("origin", "shop", f"{place.origin_url}?sslmode=require")
    with pytest.raises(DumpError) as failed:
        pipeline.run(place.job(mode="dump"), place.rules(RULES), origin, place.databases()[1])
    assert str(failed.value) == (
        'origin shop: dump failed: sslmode value "require" invalid when SSL support is not compiled in; this pg_dump is '
        "built without the TLS that the URL asks for, or is too old for it: want another first on the PATH: `apt-get "
        "install postgresql-client-18`, on Scalingo `dbclient-fetcher pgsql 18`, or use mode stream, which needs none"
    )
    assert place.schemas() == set()
    pipeline.run(place.job(), place.rules(RULES), origin, place.databases()[1])
    assert place.schemas() == {"shop"}


def test_a_pg_dump_that_is_too_old_to_know_the_system_s_authorities_is_told_with_what_to_install(
    place: Place, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place.origin_server.major >= 16:
        pytest.skip("the system's pg_dump knows them")
    monkeypatch.setenv("PATH", str(PROGRAMS[SYSTEM]), prepend=":")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "authority.crt"))
    url = place.origin_url.replace("127.0.0.1", "localhost")
    origin = Database("origin", "shop", f"{url}?sslmode=verify-full&sslrootcert=system")
    with pytest.raises(DumpError) as failed:
        pipeline.run(place.job(mode="dump"), place.rules(RULES), origin, place.databases()[1])
    assert 'root certificate file "system" does not exist; this pg_dump is built without the TLS' in str(failed.value)
    assert not failed.value.transient
    assert place.schemas() == set()
