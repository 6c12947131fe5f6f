"""Schema readers in a refresh: whom the list gains or loses makes the next run full; what is checked of each stops it."""

import pytest

from multischema import pipeline
from multischema.errors import CheckError, DatabaseError, VerifyError
from tests.conftest import Place
from tests.support import ledger
from tests.support.readers import make_role, read_as
from tests.support.refreshes import decided

OTHERWISE = "full: the app's parameters, its readers, the target's version or this tool changed since the last run"
COUNT = "SELECT count(*) FROM shop.accounts"


def team_of(place: Place) -> tuple[str, str]:
    """Make two roles that may be schema readers, and return their names."""
    return make_role(place, f"Team {place.number}"), make_role(place, f"analysts_{place.number}")


def test_a_role_that_joins_the_list_or_leaves_it_makes_the_next_run_full_and_no_other(
    place: Place,
) -> None:
    team, analysts = team_of(place)
    ledger.publish(place)
    told = []
    for number, roles in enumerate([(team,), (team,), (team, analysts), (analysts, team), (analysts,), (analysts,)], 1):
        ledger.change(place, number)
        run = place.run(ledger.RULES, refresh="auto", schema_reader=roles)
        told.append(run.choice.line().partition(":")[0] if run.refreshed else run.choice.line())
        for role in roles:
            assert read_as(place, role, COUNT) == [(1000,)]
    assert told == [OTHERWISE, "refresh", OTHERWISE, "refresh", OTHERWISE, "refresh"]
    with pytest.raises(Exception, match="permission denied for schema shop"):
        read_as(place, team, COUNT)


@pytest.mark.parametrize("unwritten", [True, False])
def test_a_right_that_somebody_took_from_a_schema_reader_makes_the_run_full_which_gives_it_again(
    place: Place, unwritten: bool
) -> None:
    team, analysts = team_of(place)
    ledger.publish(place)
    place.run(ledger.RULES, schema_reader=(team, analysts))
    for taken, readers in (
        (f'REVOKE SELECT ON shop.accounts FROM "{team}", {analysts}', f"readers {team}, {analysts}"),
        (f"REVOKE SELECT ON shop.accounts FROM {analysts}", f"reader {analysts}"),
    ):
        place.in_target(taken)
        if not unwritten:
            ledger.change(place, len(readers))
        run = place.run(ledger.RULES, refresh="auto", schema_reader=(team, analysts))
        assert decided(run) == f"full: the {readers} may not SELECT table shop.accounts, though the run granted it"
        assert read_as(place, team, COUNT) == read_as(place, analysts, COUNT) == [(1000,)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["reader", "schema_reader"])
def test_a_reader_that_could_read_too_much_by_now_stops_a_refresh_in_the_check_and_before_it_publishes(
    kind: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    team, _ = team_of(place)
    role = place.reader if kind == "reader" else team
    gone = f"gone {place.number}"
    ledger.publish(place)
    place.run(ledger.RULES, schema_reader=(team,))
    ledger.change(place)
    before = ledger.rows(place)
    verify = pipeline.refresh.publish
    for change, back, said in (
        (f'GRANT {place.etl} TO "{role}"', f'REVOKE {place.etl} FROM "{role}"', f"reader {role} is too powerful: it is a"),
        (f'ALTER ROLE "{role}" SUPERUSER', f'ALTER ROLE "{role}" NOSUPERUSER', f"reader {role} is a superuser"),
        (f'ALTER ROLE "{role}" RENAME TO "{gone}"', f'ALTER ROLE "{gone}" RENAME TO "{role}"', f'{role}"? does not exist'),
    ):
        with monkeypatch.context() as patched:

            def change_before(*given: object, change: str = change) -> object:
                place.in_target(change, superuser=True)
                return verify(*given)  # type: ignore[arg-type]

            patched.setattr(pipeline.refresh, "publish", change_before)
            with pytest.raises((VerifyError, DatabaseError), match=said):
                place.run(ledger.RULES, refresh="auto", schema_reader=(team,))
        with pytest.raises(CheckError, match=said):
            place.run(ledger.RULES, refresh="auto", schema_reader=(team,))
        place.in_target(back, superuser=True)
        assert ledger.rows(place) == before
    assert place.run(ledger.RULES, refresh="auto", schema_reader=(team,)).refreshed
