"""Servers that speak another language than English: a session asks for that where its role may choose."""

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from multischema.postgres.connecting import connect
from multischema.postgres.database import Database
from tests.conftest import PAIRS, Place

pytestmark = pytest.mark.slow


def language(database: Database) -> str:
    """Return the language of a session's messages, as a locale."""
    with connect(database, "test") as connection:
        (row,) = connection.execute("SHOW lc_messages").fetchall()
    return str(row["lc_messages"])


@pytest.mark.parametrize(("origin", "target"), PAIRS)
def test_a_session_has_messages_in_english_where_its_role_may_choose_and_else_as_the_server_has_them(
    origin: str, target: str, make_place: Callable[..., Place]
) -> None:
    place = make_place(origin, target)
    # a locale that every system has, and that is not the one that is asked for
    with psycopg.connect(place.origin_server.url(), autocommit=True) as superuser:
        superuser.execute(sql.SQL("ALTER DATABASE {} SET lc_messages = 'POSIX'").format(sql.Identifier(place.name)))
        assert language(Database("origin", "shop", place.origin_url)) == "POSIX"
        assert language(Database("origin", "shop", place.origin_server.url(place.name))) == "C"
        if place.origin_server.major >= 15:
            superuser.execute(sql.SQL("GRANT SET ON PARAMETER lc_messages TO {}").format(sql.Identifier(place.app)))
            assert language(Database("origin", "shop", place.origin_url)) == "C"
