"""What may be told of client programs that fail: by their own words, which are English, never by a server's."""

import pytest

from multischema.dumps.archives import Command, Outcome, failure, made_at
from multischema.errors import FEWER_CONNECTIONS

QUOTED = "its message may quote a row, and stands in the server's log only"
RESTORE = Command("pg_restore", (), {"LC_ALL": "fr_FR.UTF-8", "PGHOST": "here"})


def told(complaint: str) -> str:
    """Return what is told of a pg_restore that complained so."""
    return str(failure(RESTORE, "target", "restore", Outcome(1, b"", f"pg_restore: error: {complaint}\nCONTEXT: Marie\n")))


def test_client_programs_speak_english_whatever_their_user_does() -> None:
    assert RESTORE.environment == {"LC_ALL": "C", "LANGUAGE": "C", "PGHOST": "here"}
    assert Command("pg_restore", ("--list", "dump")).environment["LC_ALL"] == "C"


@pytest.mark.parametrize(
    "said",
    [
        'ERROR:  invalid input syntax for type integer: "Marie"',
        "ERREUR:  syntaxe en entrée invalide pour le type integer : « Marie »",
        "FEHLER:  ungültige Eingabesyntax für Typ integer: »Marie«",
        'ОШИБКА:  неверный синтаксис для типа integer: "Marie"',
        'ERROR:  invalid input syntax for type integer: "permission denied for Marie"',
        'ERROR:  invalid input syntax for type integer: "ERROR:  relation Marie does not exist"',
        "ERREUR:  valeur invalide : « out of memory, column Marie does not exist »",
    ],
)
def test_of_what_a_server_says_of_a_row_nothing_is_told_in_any_language(said: str) -> None:
    assert told(f'COPY failed for table "users": {said}') == f"target: restore failed: table users: {QUOTED}"
    assert told(f"could not execute query: {said}") == f"target: restore failed: {QUOTED}"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("permission denied for table users", "permission denied for table users"),
        ('could not extend file "base/1": No space left on device', "could not extend file"),
        ('relation "public.users" does not exist', 'relation "public.users" does not exist'),
    ],
)
def test_what_an_english_server_says_of_no_row_is_told(said: str, reason: str) -> None:
    assert told(f'COPY failed for table "users": ERROR:  {said}').startswith(
        f"target: restore failed: table users: {reason}"
    )


def test_a_connection_refused_in_another_language_is_most_likely_one_too_many() -> None:
    said = 'connection to server at "::1", port 5432 failed: FATAL:  désolé, trop de clients sont déjà connectés'
    assert told(said) == (
        f"target: restore failed: {said}; the run's own sessions were let in, so most likely {FEWER_CONNECTIONS}"
    )


@pytest.mark.parametrize(
    "said",
    [
        'sslmode value "require" invalid when SSL support is not compiled in',
        'sslrootcert value "system" invalid when SSL support is not compiled in',
        'connection to server at "::1", port 5432 failed: root certificate file "system" does not exist',
        'invalid channel_binding value: "require"',
    ],
)
def test_a_program_without_the_tls_of_the_url_is_told_with_what_to_install_and_is_not_tried_again(said: str) -> None:
    failed = failure(Command("pg_dump", ()), "origin shop", "dump", Outcome(1, b"", f"pg_dump: error: {said}\n"))
    assert not failed.transient
    assert str(failed).startswith(f"origin shop: dump failed: {said}; this pg_dump is built without the TLS")
    assert str(failed).endswith("or use mode stream, which needs none")


def test_a_session_that_a_server_ends_in_another_language_is_lost_and_may_be_tried_again() -> None:
    said = "FATAL:  arrêt des connexions suite à la demande de l'administrateur"
    more = "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n"
    failed = failure(RESTORE, "target", "restore", Outcome(1, b"", f"pg_restore: error: query failed: {said}\n{more}"))
    assert failed.transient
    assert str(failed) == f"target: restore failed: query failed: {said}"
    quoted = 'pg_restore: error: COPY failed for table "users": ERREUR:  syntaxe invalide : « Marie »\n'
    assert "Marie" not in str(failure(RESTORE, "target", "restore", Outcome(1, b"", f"{quoted}{more}")))


LISTED = ";\n; Archive created at {}\n;     dbname: shop\n"


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("2026-11-29 21:05:07 UTC", "2026-11-29 21:05:07"),
        ("2026-11-29 21:05:07 CET", "2026-11-29 21:05:07"),
        ("2026-02-30 21:05:07 UTC", None),
        ("Sun Nov 29 21:05:07 2026", None),
        ("[unknown]", None),
    ],
)
def test_when_a_dump_was_made_is_read_of_its_list_and_never_guessed(said: str, found: str | None) -> None:
    made = made_at(LISTED.format(said))
    assert (str(made) if made else None) == found
    assert made_at(f";     dbname: x; Archive created at {said}\n") is None
