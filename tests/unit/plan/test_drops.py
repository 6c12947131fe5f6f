"""Which tables lost too many rows: the thresholds, and the line about each."""

from dataclasses import replace

import pytest

from multischema.job import Job
from multischema.plan.drops import drop_problems, unknown_problems

JOB = Job("rdvs", "rdvs", "public", "metabase", 4, 60, "0123abcd")


@pytest.mark.parametrize(
    ("before", "after", "rows", "percent", "is_drop"),
    [
        (100, 50, 100, 50, False),
        (100, 49, 100, 50, True),
        (101, 50, 100, 50, True),
        (99, 0, 100, 50, False),
        (100, 0, 100, 50, True),
        (100, 200, 100, 50, False),
        (0, 0, 1, 50, False),
        (1, 0, 1, 100, True),
        (10**12, 1, 100, 100, False),
        (10**12, 10**12 - 10**10 - 1, 100, 1, True),
        (10**12, 10**12 - 10**10, 100, 1, False),
    ],
)
def test_a_drop_is_more_than_the_share_or_all(before: int, after: int, rows: int, percent: int, is_drop: bool) -> None:
    job = replace(JOB, drop_rows=rows, drop_percent=percent)
    assert bool(drop_problems(job, "origin rdvs", {"users": before}, {"users": after})) == is_drop


def test_each_table_has_a_line_that_says_what_to_do() -> None:
    before = {"users": 4711, "rdvs": 1000, "gone": 500, "accepted": 500}
    job = replace(JOB, accept_drop=("accepted",))
    assert drop_problems(job, "origin rdvs", before, {"users": 12, "rdvs": 0, "new": 0, "accepted": 0}) == [
        "target: table rdvs would hold 0 rows; 1,000 were published: all of them are gone, and drop_percent is 50; look "
        "into origin rdvs; if that is right, start again with accept_drop (--accept-drop rdvs)",
        "target: table users would hold 12 rows; 4,711 were published: 99 % of them are gone, and drop_percent is 50; look "
        "into origin rdvs; if that is right, start again with accept_drop (--accept-drop users)",
    ]


def test_nearly_all_is_never_said_to_be_all() -> None:
    (line,) = drop_problems(JOB, "origin rdvs", {"users": 1_000_000}, {"users": 1})
    assert "99 % of them are gone" in line


def test_a_name_to_accept_that_is_no_table_is_told_with_its_neighbour() -> None:
    job = replace(JOB, accept_drop=("user", "users", "zzz"))
    assert unknown_problems(job, ["users", "rdvs"]) == [
        "accept_drop: user is no published table (did you mean users?); name a table of schema rdvs",
        "accept_drop: zzz is no published table; name a table of schema rdvs",
    ]
