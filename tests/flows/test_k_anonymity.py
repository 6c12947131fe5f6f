"""The k gate in Prefect: a run that it refuses says so and is not tried again; a warning is in the report."""

from multischema.errors import VerifyError
from tests.flows.conftest import Shop

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, born date, post_code text);
INSERT INTO users SELECT n, '1980-05-06', '75011' FROM generate_series(1, 5) AS n;
INSERT INTO users VALUES (6, '1923-04-05', '97133');
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [born]
    non_anonymized_column_names: [post_code]
    masks: {{born: {{period: year}}}}
    k_anonymity: {{columns: [born, post_code], per: id, on_breach: {}}}
"""
LINE = "table users: 1 combination of born, post_code is shared by fewer than 5 different id (1 row); coarsen a mask, "
REFUSED = f"target: {LINE}take a column out of k_anonymity, or set on_breach: warn"
WARNED = f"{LINE}or take a column out of k_anonymity"


def test_a_refused_run_fails_with_the_numbers_alone_and_is_not_tried_again(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    state = shop.run(RULES.format("refuse"))
    assert isinstance(state.result(raise_on_failure=False), VerifyError)
    run = shop.last()
    assert run["state"]["message"] == REFUSED
    task = shop.server.tasks(run, f"verify {shop.app}")[f"verify {shop.app}"]
    assert task["run_count"] == 1
    assert shop.place.schemas() == set()
    logged = [line["message"] for line in shop.server.logs(run, "Finished in state Failed")]
    assert not [line for line in logged if "1923" in line or "97133" in line]


def test_a_warning_is_in_the_report_and_counted_in_the_history(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    assert shop.run(RULES.format("warn")).is_completed()
    text = shop.server.artifact(f"{shop.app}-report")["data"].replace("\\", "")
    assert f"* {WARNED} [rare-combinations users]\n" in text
    assert "1923" not in text
    assert shop.place.read("SELECT warnings FROM etl_report.runs") == [(1,)]
    shop.place.in_origin("UPDATE users SET born = '1980-01-01', post_code = '75011'")
    assert shop.run(RULES.format("warn")).is_completed()
    assert WARNED not in shop.server.artifact(f"{shop.app}-report")["data"].replace("\\", "")
