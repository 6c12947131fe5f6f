"""Numbers and points: the band that they are in, or fewer decimals."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import pairwise
from typing import Self

from psycopg import sql

from multischema.catalog import foreign
from multischema.masks.mask import Masked, Refined, Unreadable

MAX_DECIMALS = 10
_BITS = {"smallint": 16, "integer": 32, "bigint": 64}
_LIMITED = re.compile(r"numeric\((\d+),(-?\d+)\)")


@dataclass(frozen=True)
class Bands(Refined):
    """The lower bound of the band that a number is in: one of `bounds`, or a multiple of `size` if there are none.

    NULL where there is no such bound: below the first one, for NaN, and where the bound does not fit into the type.
    Infinity is in the last of the bands, and in none of a width.
    """

    bounds: tuple[Decimal, ...]
    size: Decimal = Decimal(0)

    kind = "bands"
    fits = ("int2", "int4", "int8", "numeric")

    @classmethod
    def read(cls, found: object) -> Self:
        """Return the mask that the rules describe. Raises Unreadable."""
        want = "want a list of ascending lower bounds, such as [0, 1, 3], or a width above 0, such as 5"
        if not isinstance(found, list):
            size = _number(found)
            if size is None or size <= 0:
                raise Unreadable(want)
            return cls((), size)
        bounds = tuple(number for number in map(_number, found) if number is not None)
        if not bounds or len(bounds) < len(found) or any(a >= b for a, b in pairwise(bounds)):
            raise Unreadable(want)
        return cls(bounds)

    @property
    def keeps_not_null(self) -> bool:
        """Tell whether a value always has a masked one: it may be in no band."""
        return False

    def written(self) -> object:
        """Return what `read` takes."""
        return [_written(bound) for bound in self.bounds] or _written(self.size)

    def published(self, column: Masked) -> sql.Composable:
        """Compose the lower bound of the band."""
        spelling, value = column.flat.spelling, column.value
        type_ = foreign.type_(spelling)
        if self.bounds:
            bands = [sql.SQL("WHEN {} = 'NaN' THEN NULL").format(value)] if spelling not in _BITS else []
            band = sql.SQL("WHEN {} >= {bound} THEN {bound}")
            bands += [band.format(value, bound=sql.Literal(bound)) for bound in reversed(self.bounds)]
            return sql.SQL("(CASE {} END)::{}").format(sql.SQL(" ").join(bands), type_)
        start = sql.SQL(
            "{value} - mod({value}, {size}) - CASE WHEN {value} < 0 AND mod({value}, {size}) < 0 THEN {size} ELSE 0 END"
        ).format(value=value, size=sql.Literal(self.size))
        if spelling == "numeric":  # else its zeros would tell how many decimals there were
            start = sql.SQL("trim_scale({})").format(start)
        if spelling not in _BITS:  # what comes of infinity too, which a server before 14 can't name
            start = sql.SQL("nullif({}, 'NaN')").format(start)
        start = sql.SQL("({})::{}").format(start, type_)
        if not (limits := _limits(spelling)):
            return start
        least = sql.SQL("{}::{}").format(sql.Literal(str(limits[0])), type_)
        return sql.SQL("CASE WHEN {} >= {least} - mod({least}, {}) THEN {} END").format(
            value, sql.Literal(self.size), start, least=least
        )

    def proof(self, column: Masked) -> sql.Composable:
        """Compose that a value is one of the lower bounds."""
        if self.bounds:
            return sql.SQL("{} IN ({})").format(column.name, sql.SQL(", ").join(map(sql.Literal, self.bounds)))
        is_multiple = sql.SQL("mod({}, {}) = 0").format(column.name, sql.Literal(self.size))
        if column.flat.spelling == "numeric":
            return sql.SQL("{} AND scale({name}) = min_scale({name})").format(is_multiple, name=column.name)
        return is_multiple

    def covers(self, other: Refined) -> bool:
        """Tell whether it surely shows no more than another: its bounds are among those of the other."""
        assert isinstance(other, Bands)
        if self.bounds or other.bounds:
            return bool(self.bounds) and set(self.bounds) <= set(other.bounds)
        return Fraction(self.size) % Fraction(other.size) == 0

    def misfit(self, type_: str, spelling: str) -> str | None:  # noqa: ARG002
        """Return why it can't take a type: the bound of a band does not fit into it."""
        numbers = self.bounds or (self.size,)
        limits = _limits(spelling)
        if limits is None:
            return None
        least, greatest, step = limits
        unfit = [n for n in numbers if not least <= n <= greatest or Fraction(n) % Fraction(step)]
        if not unfit:
            return None
        want = f"whole numbers from {least} to {greatest}" if spelling in _BITS else "numbers that a value can be"
        return f"{_written(unfit[0])} is no {spelling}; want {want}"

    def hides_nothing(self, type_: str, spelling: str) -> str | None:  # noqa: ARG002
        """Return why it publishes all numbers of a type as they are: each is a band."""
        limits = _limits(spelling)
        return "each number is a band; use wider ones" if limits and self.size == limits[2] else None


@dataclass(frozen=True)
class Round(Refined):
    """A number, or both of a point, rounded to so many decimals. NaN and infinity stay.

    Where the rounded number does not fit into its type, the next one towards zero does. A float is rounded to 15 digits at
    most.
    """

    decimals: int

    kind = "round"
    fits = ("numeric", "float4", "float8", "point")

    @classmethod
    def read(cls, found: object) -> Self:
        """Return the mask that the rules describe. Raises Unreadable."""
        number = _number(found)
        if number is None or number != int(number) or not 0 <= number <= MAX_DECIMALS:
            raise Unreadable(f"want a number of decimals from 0 to {MAX_DECIMALS}")
        return cls(int(number))

    @property
    def shows_values(self) -> bool:
        """Tell whether it publishes some values as they are: infinity, which not all servers hold."""
        return True

    def written(self) -> object:
        """Return what `read` takes."""
        return self.decimals

    def published(self, column: Masked) -> sql.Composable:
        """Compose the rounded value."""
        if column.flat.spelling == "point":
            return sql.SQL("point({}, {})").format(*self._coordinates(column.value))
        return self._rounded(column.value, column.flat.spelling)

    def proof(self, column: Masked) -> sql.Composable:
        """Compose that a value is the same once rounded."""
        if column.flat.spelling == "point":  # its own operator takes a millionth more or less for the same
            return sql.SQL("{name}[0] = {} AND {name}[1] = {}").format(*self._coordinates(column.name), name=column.name)
        return sql.SQL("{} = {}").format(column.name, self._rounded(column.name, column.flat.spelling))

    def covers(self, other: Refined) -> bool:
        """Tell whether it surely shows no more than another."""
        assert isinstance(other, Round)
        return self.decimals <= other.decimals

    def hides_nothing(self, type_: str, spelling: str) -> str | None:  # noqa: ARG002
        """Return why it publishes all numbers of a type as they are: they have no more decimals."""
        limited = _LIMITED.fullmatch(spelling)
        if not limited or int(limited[2]) > self.decimals:
            return None
        return f"it has no more than {max(int(limited[2]), 0)} decimals; use fewer"

    def _coordinates(self, value: sql.Composable) -> tuple[sql.Composable, sql.Composable]:
        x, y = (sql.SQL("({})[{}]").format(value, sql.Literal(number)) for number in (0, 1))
        return self._rounded(x, "double precision"), self._rounded(y, "double precision")

    def _rounded(self, value: sql.Composable, spelling: str) -> sql.Composable:
        decimals = sql.Literal(self.decimals)
        if not spelling.startswith("numeric"):
            # Plain arithmetic takes a sixth of the time of numeric; its error is too small to tell up to 2^50. The cast to
            # numeric fails on infinity before 14, and the one back on the greatest floats; what is added to -0 makes it 0.
            scale = 10**self.decimals
            return sql.SQL(
                "(CASE WHEN {value} BETWEEN -{few} AND {few} "
                "THEN sign({value}) * floor(abs({value}::float8) * {scale} + 0.5) / {scale} + 0 "
                "WHEN {value} BETWEEN -1e15 AND 1e15 THEN round({value}::float8::numeric, {decimals})::float8 "
                "ELSE round({value}::float8) END)::{type}"
            ).format(
                value=value,
                decimals=decimals,
                few=sql.Literal(2**50 // scale),
                scale=sql.SQL("{}::float8").format(sql.Literal(str(scale))),
                type=foreign.type_(spelling),
            )
        if limits := _limits(spelling):
            return sql.SQL(
                "CASE WHEN abs(round({value}, {decimals})) > {greatest} THEN trunc({value}, {decimals}) "
                "ELSE round({value}, {decimals}) END"
            ).format(value=value, decimals=decimals, greatest=sql.Literal(limits[1]))
        return sql.SQL("round({}, {})").format(value, decimals)


def _number(found: object) -> Decimal | None:
    """Return the number that the rules name, without zeros at its end; None if they name none, or one beyond measure."""
    if isinstance(found, bool) or not isinstance(found, int | float | Decimal | str):
        return None
    try:
        number = Decimal(found if isinstance(found, int) else str(found))
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number.adjusted()) > 100 or len(number.as_tuple().digits) > 100:
        return None
    text = format(number, "f")
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text) if number else Decimal(0)


def _written(number: Decimal) -> int | str:
    return int(number) if number == int(number) else format(number, "f")


def _limits(spelling: str) -> tuple[Decimal, Decimal, Decimal] | None:
    """Return the least and greatest number of a type, and the least difference of two; None if there are no such limits."""
    if bits := _BITS.get(spelling):
        return Decimal(-(2 ** (bits - 1))), Decimal(2 ** (bits - 1) - 1), Decimal(1)
    if limited := _LIMITED.fullmatch(spelling):
        digits, scale = (9,) * int(limited[1]), int(limited[2])
        return Decimal((1, digits, -scale)), Decimal((0, digits, -scale)), Decimal((0, (1,), -scale))
    return None
