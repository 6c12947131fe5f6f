"""`python -m flows.rules_draft`: a first draft of an app's rules, complete for its database, texts masked."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flows import apps, command_line, grants, rules_draft
from flows.etl import etl
from flows.rules import draft
from multischema import download
from tests.conftest import OWN, PASSWORD, Place
from tests.support.snippets import pasted

ORIGIN = """
CREATE TYPE status AS ENUM ('open', 'closed');
CREATE DOMAIN mail AS text;
CREATE TABLE users (
    id serial PRIMARY KEY, uuid uuid UNIQUE, name text NOT NULL, mail mail, phone varchar(20), tags text[], extra jsonb,
    born date, birth_year integer, status status, created_at timestamptz, is_admin boolean, last_sign_in_ip inet,
    commentable_type text, salary numeric(10, 2), photo bytea, "Nom d'usage" char(10)
);
CREATE TABLE visits (user_id integer REFERENCES users, number integer, note text, PRIMARY KEY (user_id, number));
CREATE TABLE "Étrange table" ("select" text, "yes" text, "a: b" text, "#" integer);
CREATE TABLE schema_migrations (version varchar PRIMARY KEY);
CREATE TABLE events (at timestamptz NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW admins AS SELECT * FROM users WHERE is_admin;
INSERT INTO users (name, mail) VALUES ('Marie', 'marie@example.org');
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command here, with the variables of an app that no prefect.yaml has."""
    monkeypatch.chdir(place.path)
    monkeypatch.setattr("blocks.urls._given", {})
    variables = {
        "APP": "invented-shop",
        "ORIGIN_DB_URL": place.origin_url,
        "ETL_DB_URL": place.target_url,
        "METABASE_USERNAME": place.reader,
    }

    def run(main: Callable[..., int], *arguments: object, **changed: str) -> tuple[int, str, str]:
        for name, value in {**variables, **changed}.items():
            monkeypatch.setenv(name, value)
        status = main(*arguments)
        return status, *capsys.readouterr()

    return run


def test_a_draft_reads_the_schema_that_prefect_yaml_names(
    place: Place, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin("CREATE SCHEMA app; CREATE TABLE app.orders (id serial PRIMARY KEY)")
    file = tmp_path / "prefect.yaml"
    file.write_text("deployments: [{parameters: {app: invented-shop, rules: a.yml, origin_schema: app}}]\n")
    monkeypatch.setattr(apps, "_FILE", file)
    status, out, err = run(draft.main, [])
    assert (status, err) == (0, "")
    assert "table_name: orders" in out


def test_the_draft_of_an_origin_passes_the_check_unchanged(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    status, draft, err = run(rules_draft.main, [])
    assert (status, err) == (0, "")
    status, out, err = run(command_line.main, etl, ["--check", "--rules", place.rules(draft)])
    assert (status, err) == (0, "")
    assert "checked invented-shop: 4 tables to copy, 1 truncated" in out


def test_an_app_s_own_schema_is_drafted_from_and_no_app_need_be_named(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin("CREATE TABLE users (id integer); CREATE SCHEMA other; CREATE TABLE other.visits (id integer)")
    (place.path / "prefect.yaml").write_text(
        "deployments: [{name: shop, parameters: {app: shop, rules: rules.yml, origin_schema: other}}]"
    )
    monkeypatch.setattr(apps, "_FILE", place.path / "prefect.yaml")
    for name, table in (("shop", "visits"), ("", "users")):
        status, draft, err = run(rules_draft.main, [], APP=name)
        assert (status, err) == (0, "")
        assert [each["table_name"] for each in yaml.safe_load(draft)["tables"]] == [table]


def test_the_draft_masks_texts_and_what_its_name_makes_personal(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    _, draft, _ = run(rules_draft.main, [])
    tables = {table["table_name"]: table for table in yaml.safe_load(draft)["tables"]}
    assert set(tables) == {"users", "visits", "Étrange table", "schema_migrations", "events"}
    assert set(tables["users"]["anonymized_column_names"]) == {
        "name",
        "mail",
        "phone",
        "tags",
        "extra",
        "born",
        "birth_year",
        "last_sign_in_ip",
        "salary",
        "photo",
        "uuid",
        "Nom d'usage",
    }
    assert set(tables["users"]["non_anonymized_column_names"]) == {"status", "created_at", "is_admin", "commentable_type"}
    assert tables["visits"]["anonymized_column_names"] == ["note"]
    assert set(tables["Étrange table"]["anonymized_column_names"]) == {"select", "yes", "a: b", "#"}
    assert tables["schema_migrations"] == {"table_name": "schema_migrations", "truncated": True}
    assert "Marie" not in draft


def test_the_draft_passes_the_check_with_the_masks_that_it_suggests(place: Place, run: Run) -> None:
    place.in_origin(
        ORIGIN + "ALTER TABLE users ADD code_postal varchar(5), ADD died_at timestamptz, ADD nombre_enfants smallint, "
        "ADD zip text UNIQUE; UPDATE users SET born = '1984-02-29', code_postal = '62100', nombre_enfants = 2"
    )
    _, draft, _ = run(rules_draft.main, [])
    suggested = draft.replace("\n    # ", "\n    ")
    tables = {table["table_name"]: table for table in yaml.safe_load(suggested)["tables"]}
    assert tables["users"]["masks"] == {
        "born": {"period": "year"},
        "code_postal": "department",
        "died_at": {"period": "year"},
        "nombre_enfants": {"bands": [0, 1, 3]},
    }
    status, _, err = run(command_line.main, etl, ["--check", "--rules", place.rules(suggested)])
    assert (status, err) == (0, "")
    place.run(suggested)
    assert place.read("SELECT born::text, code_postal, nombre_enfants FROM shop.users") == [("1984-01-01", "62", 1)]


def test_the_draft_can_be_published_with_and_no_text_of_a_row_comes_through(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    _, draft, _ = run(rules_draft.main, [])
    place.run(draft)
    assert place.read("SELECT name, mail FROM shop.users") == [("[valeur unique anonymisée 1]",) * 2]


KEYS = """
CREATE DOMAIN nir AS numeric(15);
CREATE TYPE status AS ENUM ('open', 'closed');
CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text, expire_date timestamptz);
CREATE TABLE people (email text PRIMARY KEY, manager text REFERENCES people);
CREATE TABLE letters (id serial PRIMARY KEY, recipient text NOT NULL REFERENCES people, sender text REFERENCES people);
CREATE TABLE insured (nir nir PRIMARY KEY, city_id integer);
CREATE TABLE refunds (insured nir REFERENCES insured, number smallint, PRIMARY KEY (insured, number));
CREATE TABLE phones (phone bigint PRIMARY KEY, "telPortable" bigint UNIQUE);
CREATE TABLE calls (caller bigint REFERENCES phones, callee bigint REFERENCES phones ("telPortable"),
                    at timestamptz, PRIMARY KEY (caller, at)) PARTITION BY RANGE (at);
CREATE TABLE calls_1 PARTITION OF calls DEFAULT;
CREATE TABLE recordings (caller bigint, at timestamptz, id uuid PRIMARY KEY, FOREIGN KEY (caller, at) REFERENCES calls);
CREATE TABLE states (status status, closed boolean, day date, PRIMARY KEY (status, closed, day));
CREATE TABLE tokens_of_people (uuid uuid PRIMARY KEY, national_id bigint UNIQUE);
CREATE TABLE access_tokens (token text PRIMARY KEY);
CREATE TABLE logins (login bigserial PRIMARY KEY, token text REFERENCES access_tokens);
CREATE TABLE addresses (address integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, shared uuid UNIQUE, alone uuid UNIQUE);
CREATE TABLE homes (id integer PRIMARY KEY, address integer REFERENCES addresses, shared uuid REFERENCES addresses (shared),
                    family integer REFERENCES letters);
CREATE TABLE plain (id integer PRIMARY KEY, user_id bigint, phone bigint, nir bigint, code_postal integer, handicap boolean,
                    salaire numeric, emails_count integer, email_confirmed boolean, participants integer,
                    description_id bigint, "âge" integer, passport_id bigint);
CREATE TABLE cures (id integer PRIMARY KEY, numero_securite_sociale bigint UNIQUE, "carteVitale" numeric, session_id uuid,
                    secret_id uuid UNIQUE, place_id uuid, api_key uuid);
CREATE TABLE visits (token uuid PRIMARY KEY, seen boolean);
CREATE TABLE pages (id uuid PRIMARY KEY, token uuid REFERENCES visits, session_id uuid REFERENCES recordings);
CREATE SCHEMA other;
CREATE TABLE other.phones (phone bigint PRIMARY KEY, id bigint UNIQUE);
CREATE TABLE faxes (fax bigint REFERENCES other.phones, phone_id bigint PRIMARY KEY REFERENCES other.phones (id));
INSERT INTO django_session VALUES ('s3cret', '', now());
INSERT INTO people VALUES ('marie@example.org', NULL);
INSERT INTO letters (recipient) VALUES ('marie@example.org');
INSERT INTO insured VALUES (183027500000000, 1);
INSERT INTO refunds VALUES (183027500000000, 1);
INSERT INTO phones VALUES (33639984900, 33639984901);
INSERT INTO calls VALUES (33639984900, 33639984901, now());
INSERT INTO recordings SELECT caller, at, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' FROM calls;
INSERT INTO states VALUES ('open', false, '2024-02-29');
INSERT INTO access_tokens VALUES ('s3cret');
INSERT INTO logins (token) VALUES ('s3cret');
"""
MASKED_KEYS = {
    "access_tokens": {"token"},
    "people": {"email", "manager"},
    "letters": {"recipient", "sender"},
    "insured": {"nir"},
    "refunds": {"insured"},
    "phones": {"phone", "telPortable"},
    "calls": {"caller", "callee", "at"},
    "recordings": {"caller", "at"},
    "states": {"status", "closed", "day"},
    "tokens_of_people": {"national_id"},
    "logins": {"token"},
    "addresses": {"alone"},
    "homes": set(),
    "plain": {"phone", "nir", "code_postal", "handicap", "salaire", "âge", "passport_id", "participants"},
    "faxes": {"fax"},
    "cures": {"numero_securite_sociale", "carteVitale", "session_id", "secret_id", "api_key"},
    "visits": {"token"},
    "pages": {"token"},
}


def test_the_draft_masks_every_key_that_is_no_surrogate_and_what_refers_to_it(place: Place, run: Run) -> None:
    place.in_origin(KEYS)
    _, draft, _ = run(rules_draft.main, [])
    tables = {table["table_name"]: table for table in yaml.safe_load(draft)["tables"]}
    assert tables.pop("django_session") == {"table_name": "django_session", "truncated": True}
    assert {name: set(table["anonymized_column_names"] or ()) for name, table in tables.items()} == MASKED_KEYS


def test_of_the_keys_of_a_draft_the_check_has_nothing_to_tell_and_none_comes_through_a_run(place: Place, run: Run) -> None:
    place.in_origin(KEYS)
    _, draft, _ = run(rules_draft.main, [])
    published = place.run(draft)
    assert [line for line in published.plan.told().warnings if " left out: " not in line and " built as " not in line] == [
        "not read: the origin's other schema other"
    ]
    told = [
        str(place.read(f"SELECT coalesce(jsonb_agg(t), '[]')::text FROM shop.\"{table}\" AS t"))
        for table in (*MASKED_KEYS, "django_session")
    ]
    assert not [value for value in ("s3cret", "marie", "1830275", "336399849", "2024-02-29") if value in "".join(told)]
    assert place.read("SELECT id::text FROM shop.recordings") == [("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",)]


@pytest.mark.parametrize(
    ("arguments", "changed", "status", "message"),
    [
        (
            [],
            {"APP": "", "ORIGIN_DB_URL": ""},
            2,
            "error: missing variable ORIGIN_DB_URL: want the URL of the origin, or --app, for an app with a variable of its "
            "own\n",
        ),
        ([], {"ORIGIN_DB_URL": ""}, 2, "error: missing variable ORIGIN_DB_URL: want the URL of the origin invented-shop\n"),
        (["--app", "rdvi"], {}, 2, "error: missing variable RDV_INSERTION_DB_URL: want the URL of the origin rdvi\n"),
        (
            ["--origin-schema", "none"],
            {},
            2,
            "error: origin invented-shop: schema none holds no table; migrate the database first, or name another with "
            "--origin-schema\n",
        ),
    ],
)
def test_without_a_database_to_draft_from_it_says_what_is_missing(
    arguments: list[str], changed: dict[str, str], status: int, message: str, place: Place, run: Run
) -> None:
    assert run(rules_draft.main, arguments, **changed) == (status, "", message)


def test_a_wrong_password_is_one_line_without_it(place: Place, run: Run) -> None:
    url = place.origin_server.url(place.name, place.etl, PASSWORD)
    status, out, err = run(rules_draft.main, [], ORIGIN_DB_URL=url)
    assert (status, out) == (1, "")
    assert err.startswith("error: origin invented-shop: can't connect: ")
    assert "password authentication failed" in err
    assert len(err.splitlines()) == 1
    assert PASSWORD not in err


def test_the_other_origin_is_not_drafted_from_for_an_app_that_it_does_not_belong_to(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    status, out, err = run(rules_draft.main, ["--app", "garage"])
    assert (status, out) == (2, "")
    assert err == "error: ORIGIN_DB_URL belongs to APP=invented-shop, not to garage\n"


def test_all_commands_take_entries_with_a_name_and_nothing_else(place: Place, run: Run) -> None:
    place.in_origin(
        ORIGIN + "CREATE TABLE roles (user_id integer REFERENCES users, visit integer, PRIMARY KEY (user_id, visit));"
    )
    _, draft, _ = run(rules_draft.main, [])
    entry = "  - table_name: roles\n    anonymized_column_names:\n    non_anonymized_column_names:\n"
    assert entry in draft
    rules = place.rules(draft.replace(entry, "  - table_name: roles\n"))
    status, granted, err = run(grants.main, ["--rules", rules])
    assert (status, err) == (0, "")
    assert 'GRANT SELECT ("user_id", "visit", "xmin", "ctid") ON TABLE "public"."roles"' in granted
    status, out, err = run(command_line.main, etl, ["--check", "--rules", rules])
    assert (status, err) == (0, "")
    assert "checked invented-shop: 5 tables to copy" in out
    of_users = "tables:\n- table_name: users\n"
    status, _, err = run(command_line.main, etl, ["--check", "--rules", place.rules(of_users)])
    assert status == 1
    assert "missing rule for column users.name" in err
    # what the message has the user paste is complete, and decides nothing about keys
    complete = pasted(of_users, "# " + err.partition("\n# ")[2])
    status, out, err = run(command_line.main, etl, ["--check", "--rules", place.rules(complete)])
    assert (status, err) == (0, "")


HALF = """# the shop's rules, held since 2024
tables:
  - table_name: users  # people
    anonymized_column_names: [name, phone, "Nom d'usage"]  # known
    non_anonymized_column_names:
      - status
      # why not
      - staus
"""
TOLD = "added 4 tables (events, schema_migrations, visits and 1 more) and 12 columns (users.uuid, users.mail, users.tags"


@pytest.fixture
def half(place: Place) -> Path:
    """Return a rules file that lacks tables and columns of the origin."""
    place.in_origin(ORIGIN)
    path = place.path / "anonymizer.yml"
    path.write_text(HALF)
    path.chmod(0o640)
    return path


def test_what_a_file_lacks_is_printed_with_it_and_the_check_passes_then(half: Path, place: Place, run: Run) -> None:
    status, out, err = run(draft.main, ["--add", str(half)])
    assert (status, half.read_text()) == (0, HALF)
    assert err.startswith(TOLD)
    assert err.endswith(": look for # decide\n")
    assert [line for line in HALF.splitlines() if line not in out.splitlines()] == [
        """    anonymized_column_names: [name, phone, "Nom d'usage"]  # known"""
    ]
    status, out, err = run(command_line.main, etl, ["--check", "--rules", place.rules(out)])
    assert status == 0, err
    assert "checked invented-shop: 4 tables to copy, 1 truncated" in out


def test_it_is_written_into_the_file_in_one_step_which_keeps_its_mode_and_a_link_to_it(half: Path, run: Run) -> None:
    _, expected, _ = run(draft.main, ["--add", str(half)])
    link = half.with_name("link.yml")
    link.symlink_to(half)
    assert run(draft.main, ["--add", str(link), "--write"])[:2] == (0, "")
    assert (half.read_text(), half.stat().st_mode & 0o777, link.is_symlink()) == (expected, 0o640, True)
    before = half.stat()
    assert run(draft.main, ["--add", str(half), "--write"]) == (0, "", "nothing is missing\n")
    assert (half.stat().st_ino, half.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert {path.name for path in half.parent.iterdir() if path.name.startswith(".anonymizer")} == set()


def test_a_file_that_can_not_be_written_stays_whole_and_nothing_is_left_beside_it(
    half: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    names = {path.name for path in half.parent.iterdir()}
    status, out, err = run(draft.main, ["--add", str(half), "--write"])
    assert (status, out, half.read_text()) == (1, "", HALF)
    assert err == f"error: rules: {half}: can't be written: No space left on device; nothing was changed\n"
    assert {path.name for path in half.parent.iterdir()} == names


def test_a_file_that_changed_meanwhile_is_not_written_over(half: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read = download.fetch

    def fetch(source: str) -> bytes:
        content = read(source)
        half.write_text(f"{HALF}# mine\n")
        return content

    monkeypatch.setattr(download, "fetch", fetch)
    status, _, err = run(draft.main, ["--add", str(half), "--write"])
    assert (status, half.read_text()) == (1, f"{HALF}# mine\n")
    assert err == f"error: rules: {half}: changed meanwhile, nothing was written; run it again\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"tables: [", "error: rules: line 1: not YAML at character 10: "),
        (b"tables:\n\t- table_name: x\n", "error: rules: line 2: not YAML at character 1: "),
        (b"tables:\n- table_name: \xe9", "error: rules: line 2: not UTF-8; save the file as UTF-8"),
        (b"", "error: rules: empty; want the key tables"),
    ],
)
def test_what_is_no_rules_file_is_told_and_not_written(content: bytes, message: str, half: Path, run: Run) -> None:
    half.write_bytes(content)
    status, out, err = run(draft.main, ["--add", str(half), "--write"])
    assert (status, out, half.read_bytes()) == (1, "", content)
    assert err.startswith(message)


def test_a_file_that_is_not_there_is_told_by_name(half: Path, run: Run) -> None:
    status, out, err = run(draft.main, ["--add", "gone.yml"])
    assert (status, out) == (1, "")
    assert err.startswith("error: rules: gone.yml: ")
    with pytest.raises(SystemExit, match="2"):
        run(draft.main, ["--write"])


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_draft_in_a_file_is_utf_8_whatever_the_locale_is(encoding: str, place: Place) -> None:
    place.in_origin(ORIGIN)
    variables = {"APP": "shop", "ORIGIN_DB_URL": place.origin_url, "PATH": "/nowhere", "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "flows.rules", "draft"]
    done = subprocess.run(command, cwd=OWN, env=variables, capture_output=True, timeout=60, check=True)
    assert "Étrange table" in [table["table_name"] for table in yaml.safe_load(done.stdout.decode())["tables"]]
