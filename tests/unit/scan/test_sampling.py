"""How many rows of a table the scan reads, and what is left once chance is taken off."""

import pytest

from multischema.scan.sampling import FEWEST, MOST_BYTES, Extent, Sample, beyond_chance, is_small, share


def test_a_table_with_up_to_twice_the_rows_that_are_wanted_is_read_whole() -> None:
    assert share(Extent(pages=1_000, bytes=8_192_000, density=100.0), 100.0, 50_000) == Sample()
    assert share(Extent(pages=1_001, bytes=8_200_192, density=100.0), 100.0, 50_000).percent is not None


def test_a_sample_is_a_share_of_the_pages_and_has_an_end() -> None:
    assert share(Extent(pages=10_000, bytes=1, density=100.0), 100.0, 50_000) == Sample(percent=5.0, limit=100_000)


def test_wide_rows_tell_with_fewer_but_never_with_a_handful() -> None:
    wide = share(Extent(pages=10_000, bytes=100 * MOST_BYTES, density=100.0), 100.0, 50_000)
    assert wide == Sample(percent=1.0, limit=20_000)
    widest = share(Extent(pages=10_000, bytes=10_000 * MOST_BYTES, density=100.0), 100.0, 50_000)
    assert widest.limit == 2 * FEWEST


def test_nobody_need_count_the_rows_of_a_small_table() -> None:
    assert is_small(Extent(pages=300, bytes=0, density=None), 50_000)
    assert not is_small(Extent(pages=400, bytes=0, density=None), 50_000)


@pytest.mark.parametrize(
    ("own", "of_others", "left"), [(0, 0, 0), (1, 0, 1), (500, 0, 500), (500, 490, 0), (500, 100, 400), (5, 50, 0)]
)
def test_what_others_values_are_found_in_too_does_not_count(own: int, of_others: int, left: int) -> None:
    assert beyond_chance(own, of_others) == left
