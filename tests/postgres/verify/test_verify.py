"""What verify refuses: rows that are not masked, rows too many or too few, and a reader who could read too much."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from multischema import pipeline
from multischema.errors import CheckError, EtlError, VerifyError
from multischema.job import Job
from multischema.masks.mask import Masked
from multischema.masks.whole import Whole
from multischema.postgres.database import Database
from multischema.stages.run import Run
from tests.conftest import PASSWORD, Place
from tests.support.readers import Watched

ORIGIN = """
CREATE TYPE mood AS ENUM ('calm', 'odd');
CREATE TABLE users (
    id serial PRIMARY KEY, name text, email text NOT NULL, tags text[], details jsonb, born date,
    score int NOT NULL DEFAULT 7, mood mood NOT NULL, city text
);
INSERT INTO users (name, email, tags, details, born, score, mood, city) VALUES
    ('Marie', 'marie@exemple.org', '{a,b}', '{"a": 1}', '1980-02-03', 3, 'odd', 'Lyon'),
    ('Paul', 'paul@exemple.org', '{c}', '{"b": 2}', '1990-02-03', 4, 'odd', 'Brest'),
    (NULL, 'x@exemple.org', NULL, NULL, NULL, 5, 'odd', 'Nice');
CREATE TABLE notes (note text, city text);
INSERT INTO notes VALUES ('Marie is ill', 'Lyon'), ('Paul too', 'Brest'), ('all well', 'Nice');
"""
MASKED = ("name", "email", "tags", "details", "born", "score", "mood")
RULES = f"""
tables:
  - table_name: users
    anonymized_column_names: [{", ".join(MASKED)}]
    non_anonymized_column_names: [city]
  - table_name: notes
    anonymized_column_names: [note]
    non_anonymized_column_names: [city]
"""


def refuse(place: Place, *problems: str, by: type[EtlError] = VerifyError, **changes: Any) -> None:
    """Run again, and see it refused for these reasons, the published schema and the servers as they were before."""
    before = place.read("SELECT * FROM shop.users ORDER BY id")
    with pytest.raises(by) as refused:
        place.run(RULES, **changes)
    assert sorted(refused.value.problems) == sorted(problems)
    assert place.read("SELECT * FROM shop.users ORDER BY id") == before
    assert {name for name in place.schemas() if name.startswith("etl_staging")} == set()
    assert place.sessions() == {"origin": 0, "target": 0}


def published(place: Place) -> Place:
    """Publish the origin once."""
    place.in_origin(ORIGIN)
    place.run(RULES)
    return place


def test_columns_that_come_unmasked_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    published(place)

    def unmasked(mask: Whole, column: Masked) -> sql.Composable:
        return sql.SQL("{}::{}").format(column.name, sql.SQL(column.type))

    monkeypatch.setattr(Whole, "expression", unmasked)

    # where a value is NULL there is nothing to mask
    rows = {"name": 2, "email": 3, "tags": 2, "details": 2, "born": 2, "score": 3, "mood": 3}
    refuse(
        place,
        *(f"target: column users.{column} holds {rows[column]} rows that are not masked" for column in MASKED),
        "target: column notes.note holds 3 rows that are not masked",
    )


def test_a_single_row_that_comes_unmasked_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    published(place)
    expression = Whole.expression

    def almost_masked(mask: Whole, column: Masked) -> sql.Composable:
        if column.name != sql.Identifier("name"):
            return expression(mask, column)
        return sql.SQL("CASE WHEN {} = 'Paul' THEN 'Paul' ELSE {} END").format(column.name, expression(mask, column))

    monkeypatch.setattr(Whole, "expression", almost_masked)

    refuse(place, "target: column users.name holds 1 rows that are not masked")


def test_a_mask_with_the_key_of_another_row_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    published(place)
    expression = Whole.expression

    def swapped(mask: Whole, column: Masked) -> sql.Composable:
        if column.name != sql.Identifier("email"):
            return expression(mask, column)
        return sql.SQL("'email_anonymise_' || (id % 3) + 1 || '@exemple.fr'")

    monkeypatch.setattr(Whole, "expression", swapped)

    refuse(place, "target: column users.email holds 3 rows that are not masked")


def test_a_value_around_a_mask_without_a_key_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    published(place)
    expression = Whole.expression

    def around(mask: Whole, column: Masked) -> sql.Composable:
        if column.name != sql.Identifier("note"):
            return expression(mask, column)
        return sql.SQL(
            "CASE city WHEN 'Lyon' THEN '[valeur unique anonymisée 1] ' || note"
            " WHEN 'Nice' THEN note || E'\\n[valeur unique anonymisée 1]' ELSE '[valeur unique anonymisée ]' END"
        )

    monkeypatch.setattr(Whole, "expression", around)

    refuse(place, "target: column notes.note holds 3 rows that are not masked")


def before(stage: str, monkeypatch: pytest.MonkeyPatch, act: Callable[[Job], None]) -> None:
    """Have something happen to the staging schema as a stage begins."""
    work = getattr(pipeline, stage)

    def act_then_work(run: Run, *arguments: Any) -> Any:
        act(run.job)
        return work(run, *arguments)

    monkeypatch.setattr(pipeline, stage, act_then_work)


def test_a_row_too_few_or_too_many_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    published(place)
    before(
        "verify",
        monkeypatch,
        lambda job: place.in_target(
            f"DELETE FROM {job.staging}.users WHERE id = 2; INSERT INTO {job.staging}.notes VALUES (NULL, 'Metz')"
        ),
    )
    refuse(
        place,
        "target: table users holds 2 rows; 3 left the origin",
        "target: table notes holds 4 rows; 3 left the origin",
    )


def test_rows_in_a_table_that_the_rules_truncate_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.in_origin(ORIGIN)
    before("verify", monkeypatch, lambda job: place.in_target(f"INSERT INTO {job.staging}.notes VALUES ('Marie', 'Lyon')"))
    truncating = RULES.partition("  - table_name: notes")[0] + "  - {table_name: notes, truncated: true}"
    with pytest.raises(VerifyError, match="target: table notes holds 1 rows; 0 left the origin"):
        place.run(truncating)
    assert place.schemas() == set()


def test_all_problems_are_told_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    published(place)
    place.in_target("CREATE TABLE public.spare (a int)")
    before(
        "verify",
        monkeypatch,
        lambda job: place.in_target(
            f"DELETE FROM {job.staging}.users WHERE id = 2; UPDATE {job.staging}.notes SET note = 'Marie';"
            f"UPDATE {job.staging}.users SET born = '1980-02-03', details = '[]';"
            f"GRANT SELECT ON public.spare TO {place.reader}"
        ),
    )
    refuse(
        place,
        "target: table users holds 2 rows; 3 left the origin",
        "target: column users.details holds 2 rows that are not masked",
        "target: column users.born holds 2 rows that are not masked",
        "target: column notes.note holds 3 rows that are not masked",
        f"target: the reader {place.reader} could read table public.spare, which is not published; revoke it, or drop it",
    )


# Invariant 5: of what the ETL makes, a reader can read published schemas and nothing else.


def test_tables_of_the_etl_in_public_that_a_reader_may_read_are_refused(place: Place, watched: Watched) -> None:
    published(place)
    group, other = f"group_{place.number}", f"other_{place.number}"
    tables = ["to_reader", "a_column", "to_all", "a_column_to_all", "to_group", "to_other", "parted"]
    place.in_target("".join(f"CREATE TABLE public.{name} (name text, city text);" for name in tables[:-1]))
    place.in_target("CREATE TABLE public.parted (a int) PARTITION BY LIST (a); CREATE VIEW public.a_view AS SELECT 1 AS a")
    place.in_target("CREATE MATERIALIZED VIEW public.a_matview AS SELECT 1 AS a")
    place.run(RULES, **watched.options)  # nobody may read them: fine
    place.in_target(
        f"""
        CREATE ROLE {group};
        CREATE ROLE {other};
        GRANT {group} TO {watched.quoted};
        GRANT {other} TO {watched.quoted} WITH INHERIT FALSE;
        GRANT SELECT ON public.to_reader, public.parted, public.a_view, public.a_matview TO {watched.quoted};
        GRANT SELECT (city) ON public.a_column TO {watched.quoted};
        GRANT SELECT ON public.to_all TO PUBLIC;
        GRANT SELECT (city) ON public.a_column_to_all TO PUBLIC;
        GRANT SELECT ON public.to_group TO {group};
        GRANT SELECT ON public.to_other TO {other};
        """,
        superuser=True,
    )
    exposed = {watched.role: [*tables, "a_view", "a_matview"]}
    if watched.kind == "schema_reader":  # what everybody may, the reader may too
        exposed[place.reader] = ["to_all", "a_column_to_all"]
    refuse(
        place,
        *(
            f"target: the reader {role} could read table public.{name}, which is not published; revoke it, or drop it"
            for role, names in exposed.items()
            for name in names
        ),
        by=CheckError,
        **watched.options,
    )


def test_a_table_in_public_that_a_reader_cannot_reach_or_that_is_not_the_etls_is_no_matter(
    place: Place, watched: Watched
) -> None:
    published(place)
    place.in_target(
        f"""
        CREATE TABLE public.theirs (a int);
        GRANT SELECT ON public.theirs TO {watched.quoted};
        CREATE SEQUENCE public.counter;
        """,
        superuser=True,
    )
    place.run(RULES, **watched.options)
    place.in_target(
        f"""
        REVOKE USAGE ON SCHEMA public FROM PUBLIC;
        GRANT CREATE, USAGE ON SCHEMA public TO {place.etl};
        CREATE TABLE public.raw (a int);
        ALTER TABLE public.raw OWNER TO {place.etl};
        GRANT SELECT ON public.raw TO {watched.quoted};
        """,
        superuser=True,
    )
    place.run(RULES, **watched.options)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        watched.read("SELECT * FROM public.raw")


def test_the_rights_are_checked_whatever_the_etls_role_is_called(place: Place) -> None:
    role = f'Etl-Rôle "{place.number}'
    quoted = '"' + role.replace('"', '""') + '"'
    place.in_target(
        f"""
        CREATE ROLE {quoted} LOGIN PASSWORD '{PASSWORD}';
        ALTER DATABASE {place.name} OWNER TO {quoted};
        GRANT CREATE ON SCHEMA public TO {quoted};
        """,
        superuser=True,
    )
    origin, _ = place.databases()
    target = Database("target", "shop", place.target_server.url(place.name, role, PASSWORD))
    place.in_origin(ORIGIN)
    pipeline.run(place.job(), place.rules(RULES), origin, target)
    place.in_target(
        f"CREATE TABLE public.raw (a int); ALTER TABLE public.raw OWNER TO {quoted}; "
        f"GRANT SELECT ON public.raw TO {place.reader}",
        superuser=True,
    )
    with pytest.raises(CheckError, match=r"could read table public\.raw"):
        pipeline.run(place.job(), place.rules(RULES), origin, target)


def test_an_old_schema_that_a_reader_may_still_use_is_refused(place: Place, watched: Watched) -> None:
    published(place)
    # of another app: our own run would drop it first
    place.in_target("CREATE SCHEMA etl_old_other_0123abcd")
    place.in_target(f"GRANT USAGE ON SCHEMA etl_old_other_0123abcd TO {watched.quoted}")
    refuse(
        place,
        f"target: the reader {watched.role} could read schema etl_old_other_0123abcd, which is not published; "
        "revoke it, or drop it",
        by=CheckError,
        **watched.options,
    )


def test_default_privileges_do_not_show_the_staging_schema(
    place: Place, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    group = f"group_{place.number}"
    place.in_target(
        f"""
        CREATE ROLE {group};
        GRANT {group} TO {watched.quoted};
        ALTER DEFAULT PRIVILEGES FOR ROLE {place.etl} GRANT USAGE ON SCHEMAS TO {watched.quoted}, {group}, PUBLIC;
        ALTER DEFAULT PRIVILEGES FOR ROLE {place.etl} GRANT SELECT ON TABLES TO {watched.quoted}, {group}, PUBLIC;
        """,
        superuser=True,
    )
    tried = []

    def look(job: Job) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            watched.read(f"SELECT * FROM {job.staging}.users")
        tried.append(job.staging)

    before("verify", monkeypatch, look)
    place.run(RULES, **watched.options)
    assert len(tried) == 1
    assert watched.read("SELECT count(*) FROM shop.users") == [(3,)]


@pytest.mark.parametrize("stage", ["verify", "publish"])
def test_rights_that_change_while_a_run_goes_on_are_refused(
    stage: str, place: Place, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    place.in_target("CREATE TABLE public.raw (a int)")
    etl, reader = place.etl, watched.quoted
    for change, back, problem in [
        ("GRANT USAGE ON SCHEMA {} TO PUBLIC", "SELECT 1", "could read schema etl_staging_shop_"),
        (f"GRANT {etl} TO {reader}", f"REVOKE {etl} FROM {reader}", f"is too powerful: it is a member of {etl}"),
        (f"ALTER ROLE {reader} SUPERUSER", f"ALTER ROLE {reader} NOSUPERUSER", "is a superuser"),
        (f"ALTER ROLE {reader} RENAME TO gone", f"ALTER ROLE gone RENAME TO {reader}", "does not exist"),
        (f"GRANT SELECT ON public.raw TO {reader}", "SELECT 1", r"could read table public\.raw"),
    ]:
        with monkeypatch.context() as patched:

            def act(job: Job, change: str = change) -> None:
                place.in_target(change.format(job.staging), superuser=True)

            before(stage, patched, act)
            with pytest.raises(VerifyError, match=problem):
                place.run(RULES, **watched.options)
            place.in_target(back, superuser=True)
            assert place.schemas() == {"shop"}
    assert place.sessions() == {"origin": 0, "target": 0}


def test_members_of_extensions_in_public_are_no_matter(place: Place) -> None:
    published(place)
    place.in_target(
        f"""
        CREATE TABLE public.spatial (a int);
        ALTER TABLE public.spatial OWNER TO {place.etl};
        GRANT SELECT ON public.spatial TO PUBLIC;
        """,
        superuser=True,
    )
    refuse(
        place,
        f"target: the reader {place.reader} could read table public.spatial, which is not published; revoke it, or drop it",
        by=CheckError,
    )
    place.in_target("ALTER EXTENSION plpgsql ADD TABLE public.spatial", superuser=True)
    place.run(RULES)


def test_a_reader_who_is_too_powerful_is_refused_before_anything_is_read(place: Place, watched: Watched) -> None:
    place.in_origin(ORIGIN)
    place.in_target(f"GRANT {place.etl} TO {watched.quoted}", superuser=True)
    with pytest.raises(CheckError, match="too powerful"):
        place.run(RULES, **watched.options)
    assert place.schemas() == set()
