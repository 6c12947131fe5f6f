"""How many rows of a table the scan reads, and which: pages from all over it, never its first ones."""

from dataclasses import dataclass
from math import sqrt

MOST_BYTES = 20_000_000  # of rows, with what is stored out of line: wide rows tell with fewer
FEWEST = 1_000
_ROWS_OF_A_PAGE = 291  # the most that 8 kB take


@dataclass(frozen=True)
class Extent:
    """The pages of a table with what is read with it, its bytes, and its rows per page: None if nobody counted yet."""

    pages: int
    bytes: int
    density: float | None


@dataclass(frozen=True)
class Sample:
    """What to read: a `percent` of the pages, all of them if there is none, and no more rows than `limit`."""

    percent: float | None = None
    limit: int | None = None


def is_small(extent: Extent, wanted: int) -> bool:
    """Tell whether a table can't have many more rows than are wanted, whatever its density."""
    return extent.pages * _ROWS_OF_A_PAGE <= 2 * wanted


def share(extent: Extent, density: float, wanted: int) -> Sample:
    """Return what to read of a table to get about so many rows; one of up to twice as many is read whole."""
    rows = max(density * extent.pages, 1.0)
    wanted = max(min(wanted, round(MOST_BYTES * rows / max(extent.bytes, 1))), min(wanted, FEWEST))
    if rows <= 2 * wanted:
        return Sample()
    return Sample(percent=100 * wanted / rows, limit=2 * wanted)


def beyond_chance(own: int, of_others: int) -> int:
    """Return in how many rows a column holds masked values of the row, less those that hold another row's just as well.

    A masked `Paris` is in a clear column of cities by chance as often as another row's. Nothing is left of a difference
    that chance explains.
    """
    left = own - of_others
    return left if not of_others or left > 2 * sqrt(own + of_others) else 0
