"""Where a run says that it goes: hosts and databases, and nothing of a URL that is secret."""

import pytest
from psycopg.pq import Conninfo

from multischema.errors import DatabaseError
from multischema.job import Job
from multischema.postgres.database import Database
from multischema.stages.run import route

JOB = Job("rdv", "rdvs", "public", "metabase", 4, 60, "0123abcd")
TARGET = Database("target", "rdv", "postgresql://etl:hush@an.example:6432/analytics?sslmode=require")


def address(url: str) -> str:
    """Return what a run says of this URL."""
    return Database("origin", "rdv", url).address


@pytest.fixture(autouse=True)
def nothing_set_for_libpq(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no variable of the machine's stand in for a missing part."""
    for option in Conninfo.get_defaults():
        if option.envvar:
            monkeypatch.delenv(option.envvar.decode(), raising=False)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:hush@db.example/rdv", "db.example:5432/rdv"),
        ("postgres://me:hush@db.example:6543/rdv", "db.example:6543/rdv"),
        ("postgresql://me:hush@a.example:1,b.example:2/rdv", "a.example:1,b.example:2/rdv"),
        ("postgresql://me:hush@/rdv?host=a.example,b.example&port=7", "a.example:7,b.example:7/rdv"),
        ("postgresql://me:hush@[::1]:5433/rdv", "[::1]:5433/rdv"),
        ("postgresql://me:hush@/rdv?hostaddr=10.0.0.1", "10.0.0.1:5432/rdv"),
        ("postgresql:///rdv?host=/run/postgresql", "socket /run/postgresql:5432/rdv"),
        ("postgresql://%2Frun%2Fpostgresql/rdv", "socket /run/postgresql:5432/rdv"),
        ("postgresql:///rdv?user=me", "local socket:5432/rdv"),
        ("postgresql:///?service=production", "service production"),
        ("postgresql:///rdv?service=production", "service production/rdv"),
        ("postgresql://db.example/?dbname=host%3Dx%20password%3Dhush", "db.example:5432"),
        ("postgresql://db.example/a%0Ab", "db.example:5432/a\\nb"),
    ],
)
def test_an_address_has_hosts_ports_and_the_database(url: str, said: str) -> None:
    assert address(url) == said


def test_variables_of_libpq_fill_what_the_url_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGHOST": "db.example", "PGPORT": "7", "PGPASSWORD": "hush"}.items():
        monkeypatch.setenv(name, value)
    assert address("postgresql:///rdv") == "db.example:7/rdv"
    assert address("postgresql://other.example/shop") == "other.example:7/shop"


def test_a_route_goes_from_the_origin_or_the_file_of_a_backup_to_the_published_schema() -> None:
    origin = Database("origin", "rdv", "postgresql://me:hush@db.example:5432/rdv")
    to = "→ target an.example:6432/analytics, schema rdvs"
    assert route(JOB, origin, TARGET) == f"origin db.example:5432/rdv {to}"
    assert route(Job(**{**vars(JOB), "from_dump": "/backups/last night.dump"}), TARGET.backup(), TARGET) == (
        f"backup last night.dump {to}"
    )


def test_a_url_that_can_not_be_read_is_not_quoted() -> None:
    with pytest.raises(DatabaseError, match="origin rdv: this is not a Postgres URL") as caught:
        address("mysql://me:hush@db.example/rdv")
    assert "hush" not in str(caught.value)
    assert route(JOB, Database("origin", "rdv", "mysql://me:hush@db.example/rdv"), TARGET) == (
        "origin (its URL can't be read) → target an.example:6432/analytics, schema rdvs"
    )
