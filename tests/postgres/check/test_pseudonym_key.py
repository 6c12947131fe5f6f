"""The pseudonym key in the check: missing, lost on the way or set otherwise is a line each, before a row is read."""

import ctypes
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from multischema import download, pipeline
from multischema.errors import ConnectionLost, UsageError
from multischema.masks import pseudonyms
from multischema.masks.pseudonyms import pseudonym
from multischema.plan.plan import Plan
from multischema.plan.state import State
from multischema.postgres.connecting import connect
from multischema.postgres.database import Database
from multischema.stages import check as stage_of_check
from multischema.stages.run import Run
from tests.conftest import KEY, ROOT, Place
from tests.support.checks import check, problems
from tests.support.pooler import pooled

RULES = """
tables:
  - table_name: users
    anonymized_column_names: [email]
    masks: {email: {pseudonym: person_email}}
"""
PLAIN = RULES.replace("masks: {email: {pseudonym: person_email}}", "")
LOST = (
    "{}: the pseudonym keys, which a session gets as it starts (options), did not arrive: {}; if the URL leads to a pooler "
    "(such as PgBouncer), use the server's own address and port"
)


@pytest.fixture
def shop(place: Place) -> Place:
    """Return a place with an origin of one person."""
    place.in_origin("CREATE TABLE users (id int PRIMARY KEY, email text); INSERT INTO users VALUES (1, 'marie@a.fr')")
    return place


def missing() -> bytes:
    """Find no key."""
    raise UsageError("there is no Secret block etl-pseudonym-key: make one")


def test_a_missing_key_is_told_with_the_other_problems_and_only_where_the_rules_need_one(shop: Place) -> None:
    shop.in_origin("CREATE TABLE visits (id int PRIMARY KEY, at date)")
    told, *others = problems(shop, RULES, find_key=missing)
    assert told == ("the rules name the pseudonym domain person_email: there is no Secret block etl-pseudonym-key: make one")
    assert any("visits" in line for line in others)
    shop.in_origin("DROP TABLE visits")
    assert problems(shop, RULES, find_key=missing) == [told]
    check(shop, PLAIN, find_key=missing)


def test_the_check_sets_the_fingerprint_before_it_looks_at_the_last_run(
    shop: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.run(RULES)
    # what others built on the published tables has the check ask whether this run is a refresh
    shop.in_target("CREATE SCHEMA mine; CREATE FUNCTION mine.f(shop.users) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    seen: list[str] = []
    recall = stage_of_check.recall

    def recalling(run: Run, plan: Plan) -> State | str:
        seen.append(run.key_fingerprint)
        return recall(run, plan)

    monkeypatch.setattr(stage_of_check, "recall", recalling)
    with pipeline.open_run(shop.job(refresh="auto"), *shop.databases(), find_key=lambda: KEY) as run:
        pipeline.check(run, download.fetch(shop.rules(RULES)), lock=False)
        assert run.key_fingerprint == pseudonyms.fingerprint(KEY)
        assert not any(value in repr(run) for _, value in run.secrets)
    assert seen == [pseudonyms.fingerprint(KEY)]


def test_rules_without_pseudonyms_set_no_key(shop: Place) -> None:
    with pipeline.open_run(shop.job(), *shop.databases(), find_key=missing) as run:
        pipeline.check(run, download.fetch(shop.rules(PLAIN)), lock=False)
        assert (run.key_fingerprint, run.secrets) == ("", ())


@pytest.mark.parametrize("ignored", [[], ["options"]], ids=["refuses", "ignores"])
def test_a_pooler_that_refuses_or_ignores_options_is_named_and_never_gets_the_key(
    ignored: list[str], shop: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = psycopg.connect

    def connecting(*url: str, **parameters: Any) -> psycopg.Connection[Any]:
        opened.append(str(parameters.get("options", "")))
        return real(*url, **parameters)

    monkeypatch.setattr(psycopg, "connect", connecting)
    with pooled(shop.origin_url, "session", ignored=ignored) as origin:
        (refused,) = problems(shop, RULES, origin=origin)
        check(shop, PLAIN, origin=origin)
    sent = " ".join(opened)
    assert "etl.ipad_person_email=" in sent
    assert not any(value in sent for value in pseudonyms.settings(KEY, ["person_email"]).values())
    port = urlsplit(origin).port
    failed = f'connection to server at "127.0.0.1", port {port} failed: FATAL: unsupported startup parameter: options'
    lost = 'computing a pseudonym failed: unrecognized configuration parameter "etl.opad_person_email" (42704)'
    assert refused == LOST.format("origin shop", lost if ignored else failed)


@pytest.mark.usefixtures("private")
def test_in_mode_dump_the_target_must_take_the_key_and_the_origin_gets_none(shop: Place) -> None:
    with pooled(shop.target_url, "session", ignored=["options"]) as target:
        (refused,) = problems(shop, RULES, target=target, mode="dump")
    assert refused.startswith("target: the pseudonym keys, which a session gets as it starts (options), did not arrive")
    shop.run(RULES, mode="dump")
    assert shop.read("SELECT email FROM shop.users") == [(pseudonym(KEY, "person_email", "marie@a.fr"),)]


def test_the_key_of_the_run_wins_over_one_that_a_role_or_a_database_sets(shop: Place) -> None:
    for what in (f"ROLE {shop.app}", f"DATABASE {shop.name}"):
        shop.in_origin(f"ALTER {what} SET etl.ipad_person_email = '{'00' * 64}'", superuser=True)
    shop.run(RULES)
    assert shop.read("SELECT email FROM shop.users") == [(pseudonym(KEY, "person_email", "marie@a.fr"),)]


def test_one_that_the_url_sets_is_refused_and_its_own_options_stay(shop: Place) -> None:
    (refused,) = problems(shop, RULES, origin=f"{shop.origin_url}?options={quote('-c etl.ipad_person_email=' + '00' * 64)}")
    assert refused == LOST.format("origin shop", "a session that starts with them computes with others")
    check(shop, RULES, origin=f"{shop.origin_url}?options={quote('-c work_mem=5MB')}")


@pytest.mark.parametrize("broken", ["-c", "-c geqo", "-x", "a=b", "-c work_mem=x"])
def test_an_error_about_the_options_of_a_url_never_quotes_the_key(broken: str, shop: Place) -> None:
    secrets = tuple(pseudonyms.settings(KEY, ["person_email"]).items())
    url = f"{shop.origin_url}?options={quote(broken)}"
    with pytest.raises(ConnectionLost) as refused:
        connect(Database("origin", "shop", url, secrets=secrets), "test")
    assert not any(value in str(refused.value) for _, value in secrets)
    assert not any(value in shop.origin_server.log.read_text() for _, value in secrets)


def test_more_domains_than_a_start_up_packet_holds_are_refused_by_name(place: Place) -> None:
    names = [f"d{number}" for number in range(pseudonyms.MAX_DOMAINS + 1)]
    place.in_origin(f"CREATE TABLE users (id int PRIMARY KEY, {', '.join(f'{name} text' for name in names)})")
    entry = RULES.replace("[email]", f"[{', '.join(names)}]")
    masks = ", ".join(f"{name}: {{pseudonym: {name}}}" for name in names)
    (refused,) = problems(place, entry.replace("email: {pseudonym: person_email}", masks))
    assert refused.startswith("rules: 21 pseudonym domains (d0, d1, d10")
    assert refused.endswith("; a run can have 20: name one domain where columns hold the same kind of value")
    check(place, entry.replace("email: {pseudonym: person_email}", masks.partition(", d20")[0]))


def test_twenty_domains_of_the_longest_names_reach_the_server(place: Place) -> None:
    names = [f"{'d' * 38}{number:02}" for number in range(pseudonyms.MAX_DOMAINS)]
    place.in_origin(f"CREATE TABLE users (id int PRIMARY KEY, {', '.join(f'{name} text' for name in names)})")
    masks = ", ".join(f"{name}: {{pseudonym: {name}}}" for name in names)
    rules = RULES.replace("[email]", f"[{', '.join(names)}]").replace("email: {pseudonym: person_email}", masks)
    check(place, rules, origin=f"{place.origin_url}?options={quote('-c work_mem=5MB')}")


def test_only_the_sessions_that_mask_rows_have_the_key(shop: Place) -> None:
    with pipeline.open_run(shop.job(), *shop.databases(), find_key=lambda: KEY) as run:
        pipeline.check(run, download.fetch(shop.rules(RULES)), lock=False)
        asked = b"SELECT current_setting('etl.ipad_person_email', true) IS NOT NULL AS has"
        has = []
        for database in (run.masking, run.source, run.target, run.masking, run.origin):
            with run.sessions.lend(database) as connection:
                has += [row["has"] for row in connection.execute(asked).fetchall()]
        assert has == [True, False, False, True, False]
        assert not any(value in str(run.origin.environment()) for _, value in run.secrets)
        assert not any(value in str(run.masking.environment()) for _, value in run.secrets)


CRASH = """
import ctypes, os, resource, signal, sys
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
from multischema import core_files
key = bytes.fromhex(sys.argv[1])
{forbid}
print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="how Linux is asked whether it would write a core file")
@pytest.mark.parametrize("forbid", ["core_files.forbid()", ""], ids=["with a key", "control"])
def test_a_process_with_a_key_writes_no_core_file(forbid: str, tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
    command = [sys.executable, "-c", CRASH.format(forbid=forbid), KEY.hex()]
    child = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert child.returncode == -signal.SIGSEGV, child.stderr
    said, dumpable = child.stdout.split()
    assert dumpable == ("0" if forbid else "1")
    assert said == "0" if forbid else int(said) == limit
    cores = [file for file in tmp_path.iterdir() if KEY in file.read_bytes()]
    if forbid:
        assert cores == []
    elif Path("/proc/sys/kernel/core_pattern").read_text().strip() == "core" and limit == resource.RLIM_INFINITY:
        assert cores != []


@pytest.mark.skipif(sys.platform != "linux", reason="how Linux is asked whether it would write a core file")
def test_a_run_forbids_core_files_before_it_has_the_key_and_not_without_one(shop: Place) -> None:
    prctl = ctypes.CDLL(None).prctl
    seen: list[int] = []

    def find_key() -> bytes:
        seen.append(prctl(3, 0, 0, 0, 0))
        return KEY

    before, limits = prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)
    try:
        prctl(4, 1, 0, 0, 0)
        check(shop, PLAIN, find_key=find_key)
        assert prctl(3, 0, 0, 0, 0) == 1
        check(shop, RULES, find_key=find_key)
        assert seen == [0]
    finally:
        prctl(4, before, 0, 0, 0)
        resource.setrlimit(resource.RLIMIT_CORE, limits)


def test_a_key_that_another_schema_was_not_made_with_is_told_until_both_have_one(shop: Place) -> None:
    def warned(key: bytes, **changes: Any) -> list[str]:
        plan = check(shop, RULES, find_key=lambda: key, **changes)
        return [line for line in plan.warnings if "key" in line]

    other = bytes(range(1, 33))
    shop.run(RULES)
    shop.run(RULES, app="club", schema="club")
    assert warned(KEY) == []
    assert warned(other, app="depot", schema="depot") == [
        f"pseudonyms of schema {schema} were made with another key, and join none that this one makes: unless this key is "
        "the wrong one, run its app too"
        for schema in ("club", "shop")
    ]
    assert warned(other) == [
        "the pseudonym key is not that of the last run: a run makes every pseudonym anew",
        "pseudonyms of schema club were made with another key, and join none that this one makes: unless this key is the "
        "wrong one, run its app too",
    ]
    check(shop, PLAIN, find_key=missing)
    shop.in_target("DROP SCHEMA club CASCADE")
    assert warned(other) == ["the pseudonym key is not that of the last run: a run makes every pseudonym anew"]


def test_a_run_warns_of_schemas_with_another_key_as_a_check_does(shop: Place) -> None:
    shop.run(RULES)
    origin, target = shop.databases()
    job = shop.job(app="club", schema="club")
    published = pipeline.run(job, shop.rules(RULES), origin, target, lambda: bytes(range(1, 33)))
    assert any("pseudonyms of schema shop were made with another key" in line for line in published.plan.warnings)
