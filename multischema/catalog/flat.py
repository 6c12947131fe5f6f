"""The types of published tables, which any BI tool can read, and how the origin's values are converted to them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from psycopg import sql

from multischema.catalog import foreign
from multischema.catalog.tables import Type

_HSTORE_PAIR = r'"((?:[^"\\]|\\.)*)"=>(?:"((?:[^"\\]|\\.)*)"|NULL)'
_TEXT = {"varchar", "text", "bpchar", "char", "name", "citext"}
_KEYS = {"int2", "int4", "int8", "uuid"}
_NEUTRAL = {
    "bool": "false",
    "bytea": "",
    "date": "1970-01-01",
    "timestamp": "1970-01-01 00:00:00",
    "timestamptz": "1970-01-01 00:00:00+00",
    "time": "00:00:00",
    "timetz": "00:00:00+00",
    "interval": "0",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "json": "{}",
    "jsonb": "{}",
    "jsonpath": "$",
    "varbit": "",
    "inet": "0.0.0.0",
    "cidr": "0.0.0.0/32",
    "macaddr": "00:00:00:00:00:00",
    "macaddr8": "00:00:00:00:00:00:00:00",
    "point": "(0,0)",
    "line": "{0,1,0}",
    "lseg": "[(0,0),(0,0)]",
    "box": "(0,0),(0,0)",
    "path": "((0,0))",
    "polygon": "((0,0))",
    "circle": "<(0,0),0>",
    "tsvector": "",
    "xml": "",
    "pg_lsn": "0/0",
    "tid": "(0,0)",
    "txid_snapshot": "1:1:",
    "pg_snapshot": "1:1:",
    "refcursor": "",
    # no server reads back the binary that it writes for an empty tsquery or vector: these have one item, a zero
    "tsquery": "0",
    "int2vector": "0",
    "oidvector": "0",
}


@dataclass(frozen=True)
class Flat:
    """A published type: `spelling` in SQL, `conversion` from the origin's type, `neutral` as the text of a constant.

    `family` decides the mask: text, text array, jsonb or other. `conversion` is none, base (of a domain), text (what the
    type's own output function writes), array (the same, read as an array), items (each item's text, if the separator is
    not a comma), jsonb, hstore, or one of the last two with array.
    """

    spelling: str
    family: str
    conversion: str
    neutral: str
    is_key: bool = False
    takes_default: bool = True

    @property
    def unlimited(self) -> str:
        """Return the type that fits a mask of any length: the text family without its limits."""
        if not self.family.startswith("text"):
            return self.spelling
        name = "character varying" if self.spelling.startswith("character varying") else "text"
        return f"{name}[]" if self.family == "text array" else name


def flatten(type_oid: int, spelling: str, types: Mapping[int, Type]) -> Flat:
    """Return the published type of a column, given how the origin spells its type."""
    type_ = types[type_oid]
    if type_.kind == "d":
        base = flatten(type_.base, type_.base_text, types)
        return base if base.conversion != "none" else _with(base, conversion="base")
    if type_.element:
        return _flatten_array(type_, spelling, types)
    text_family = type_.name in _TEXT and (type_.schema == "pg_catalog" or type_.extension == "citext")
    if text_family:
        kept = type_.schema == "pg_catalog"
        return Flat(spelling if kept else "text", "text", "none" if kept else "text", "")
    if type_.kind == "e":
        return Flat("text", "other", "text", type_.labels[0] if type_.labels else "")
    if type_.kind == "c" or is_hstore(type_):
        return Flat("jsonb", "other", "hstore" if is_hstore(type_) else "jsonb", "{}", takes_default=False)
    if not _is_kept(type_):
        return Flat("text", "other", "text", {"r": "empty", "m": "{}"}.get(type_.kind, ""))
    family = "jsonb" if type_.name == "jsonb" else "other"
    return Flat(spelling, family, "none", _neutral(type_, spelling), is_key=type_.name in _KEYS)


def is_hstore(type_: Type) -> bool:
    """Tell whether a type is the hstore extension's, whose values become jsonb objects."""
    return type_.extension == "hstore" and type_.name == "hstore"


def is_array_of_arrays(type_: Type, types: Mapping[int, Type]) -> bool:
    """Tell whether a type is an array of a domain over arrays."""
    base = element = types.get(type_.element)
    while base and base.kind == "d":
        base = types[base.base]
    return base != element and bool(base and base.element)


def convert(flat: Flat, value: sql.Composable, *, raw: bool = False) -> sql.Composable:
    """Compose the published value from the origin's, or with `raw` from a raw table's, where hstore is text."""
    if raw and flat.conversion in ("base", "text", "array"):
        return value  # a raw column has the published type
    if flat.conversion == "base":
        return sql.SQL("{}::{}").format(value, foreign.type_(flat.spelling))
    if flat.conversion == "text":
        return _or_null(value)
    if flat.conversion == "array":
        return sql.SQL("CASE WHEN {value} IS NOT NULL THEN {text}::{type} END").format(
            value=value, text=as_text(value), type=foreign.type_(flat.spelling)
        )
    if flat.conversion == "items":
        return _mapped(value, _or_null, flat.spelling)
    if flat.conversion in ("jsonb", "hstore"):
        return _parsed_hstore(value) if raw and flat.conversion == "hstore" else _as_jsonb(value)
    if flat.conversion in ("jsonb array", "hstore array"):
        return _mapped(value, _parsed_hstore if raw and flat.conversion == "hstore array" else _as_jsonb, flat.spelling)
    return value


def as_text(value: sql.Composable) -> sql.Composable:
    """Compose what a type's own output function writes, and an empty text for NULL.

    A cast to text may be user-defined, and then returns anything.
    """
    return sql.SQL("concat({})").format(value)


def literal_default(expression: str | None) -> str | None:
    """Return the text of a column's default if it is a literal, else None, as for a function call."""
    match = _LITERAL.fullmatch(expression or "")
    if not match:
        return None
    if match["array"]:
        return "{}"
    if match["text"] is None:
        return match["plain"]
    text = match["text"].replace("''", "'")
    return text.replace("\\\\", "\\") if match["escaped"] else text


_LITERAL = re.compile(
    r"""\(*(?:(?P<escaped>E)?B?'(?P<text>(?:[^']|'')*)'|(?P<plain>-?\d+(?:\.\d+)?|true|false)|(?P<array>ARRAY\[\]))\)*
        (?:::[^'():,]+(?:\([\d,\s]+\))?(?:\ with(?:out)?\ time\ zone)?(?:\[\])*)?""",
    re.VERBOSE,
)


def _flatten_array(type_: Type, spelling: str, types: Mapping[int, Type]) -> Flat:
    element = flatten(type_.element, spelling.removesuffix("[]"), types)
    if is_array_of_arrays(type_, types):  # no cast flattens them into one array
        return Flat("text[]", "other", "array", "{}")
    family = "text array" if element.family == "text" else "other"
    if element.conversion == "none" and type_.schema == "pg_catalog":
        return Flat(spelling, family, "none", _NEUTRAL.get(type_.name, "{}"))
    if element.conversion in ("jsonb", "hstore"):
        return Flat("jsonb[]", "other", f"{element.conversion} array", "{}", takes_default=False)
    parted = types[type_.element].delimiter == "," or element.conversion == "base"
    return Flat(f"{element.spelling}[]", family, "array" if parted else "items", "{}")


def _or_null(value: sql.Composable) -> sql.Composable:
    return sql.SQL("CASE WHEN {value} IS NOT NULL THEN {text} END").format(value=value, text=as_text(value))


def _as_jsonb(value: sql.Composable) -> sql.Composable:
    return sql.SQL("to_jsonb({})").format(value)


def _mapped(value: sql.Composable, expression: Callable[[sql.Composable], sql.Composable], spelling: str) -> sql.Composable:
    """Compose the array that results from applying an expression to each item, with the value's dimensions and bounds.

    Only the input function of arrays makes one with any number of dimensions. So for an uncommon shape this composes the
    array's text: that of an array of x with this shape, split at each x, with an item after each piece. The value never
    shares a scope with a name made up here: a column of the same name would capture it.
    """
    # in FROM, unnest() would spread a composite over columns, and turn NULL into a row of NULLs
    items = sql.SQL("(SELECT unnest({value}) AS value) AS item").format(value=value)
    return sql.SQL(
        "CASE WHEN {value} IS NULL THEN NULL WHEN array_ndims({value}) > 1 OR array_lower({value}, 1) <> 1 THEN "
        "(SELECT string_agg(concat(piece, text), '' ORDER BY place) FROM ROWS FROM ("
        "regexp_split_to_table(concat(array_fill('x'::text, "
        "array_remove(ARRAY[{lengths}], NULL), array_remove(ARRAY[{bounds}], NULL))), 'x'), "
        "unnest(ARRAY(SELECT regexp_replace(concat(ARRAY[{mapped}]), '^.|.$', '', 'g') FROM {items}))) "
        "WITH ORDINALITY AS shape (piece, text, place))::{type} "
        "ELSE ARRAY(SELECT {mapped} FROM {items}) END"
    ).format(
        value=value,
        items=items,
        mapped=expression(sql.Identifier("item", "value")),
        lengths=_of_each_dimension("array_length", value),
        bounds=_of_each_dimension("array_lower", value),
        type=foreign.type_(spelling),
    )


def _of_each_dimension(function: str, value: sql.Composable) -> sql.Composable:
    """Compose a function's answer for each dimension that an array may have, NULL for those it lacks."""
    calls = (sql.SQL("{}({}, {})").format(sql.SQL(function), value, sql.Literal(number)) for number in range(1, 7))
    return sql.SQL(", ").join(calls)


def _parsed_hstore(value: sql.Composable) -> sql.Composable:
    """Compose from an hstore's text what to_jsonb() makes of it: https://www.postgresql.org/docs/18/hstore.html."""
    return sql.SQL(
        "CASE WHEN {value} IS NOT NULL THEN (SELECT coalesce(jsonb_object_agg("
        "regexp_replace(pair[1], {escape}, {escaped}, 'g'), regexp_replace(pair[2], {escape}, {escaped}, 'g')), '{{}}') "
        "FROM regexp_matches({value}, {pair}, 'g') AS pair) END"
    ).format(value=value, pair=sql.Literal(_HSTORE_PAIR), escape=sql.Literal(r"\\(.)"), escaped=sql.Literal(r"\1"))


def _is_kept(type_: Type) -> bool:
    """Tell whether every server has a type and reads it in binary. `reg*` carry numbers that mean nothing elsewhere."""
    odd = type_.name.startswith(("reg", "pg_", "gts", "aclitem")) and type_.name not in ("pg_lsn", "pg_snapshot")
    return type_.schema == "pg_catalog" and type_.binary and type_.kind in ("b", "r", "m") and not odd


def _neutral(type_: Type, spelling: str) -> str:
    if type_.kind in ("r", "m"):
        return "empty" if type_.kind == "r" else "{}"
    if type_.name == "bit":
        length = re.search(r"\d+", spelling)
        return "0" * (int(length[0]) if length else 1)
    return _NEUTRAL.get(type_.name, "0")


def _with(flat: Flat, conversion: str) -> Flat:
    return Flat(flat.spelling, flat.family, conversion, flat.neutral, flat.is_key, flat.takes_default)
