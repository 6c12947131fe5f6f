"""The statements of the scan: what columns that are published as they are hold, as counts. No value leaves the server."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from multischema.catalog.flat import as_text
from multischema.catalog.tables import Table
from multischema.plan.tables import ColumnPlan, TablePlan
from multischema.scan import columns
from multischema.scan.detectors import (
    AT,
    DETECTORS,
    DIGITS,
    HOLDS_AT,
    NUMBERED,
    OWN_DATA,
    SHORTEST,
    SHORTEST_NUMBER,
    Detector,
)
from multischema.scan.sampling import Sample
from multischema.statements.reading import rows_of

LONGEST = 20_000  # characters of a value that are looked at
LARGEST = 1_000_000  # bytes, as stored, of a value that must be read whole to read its beginning: a document, an array
_LONGEST_MASKED = 200  # characters of a masked value that are searched for
_ITEMS = 20  # of an array of masked values
_FEWEST_DIGITS = 6  # of a masked number that is searched for
_APART = 97  # rows between two whose masked values are compared: those that follow each other are often of one person
_OTHERS = "others"
_NAMES = (
    *(detector.name for detector in DETECTORS),
    OWN_DATA,
    _OTHERS,
)  # a hit is the place of a column and of one of these
_BY_BYTES = sql.SQL('{} COLLATE "C"')
# by bytes it takes a twentieth of the time that the locale's takes; of letters with accents, masked values have each case
_LOWER = sql.SQL('lower({} COLLATE "C")')
_CASES = sql.SQL(
    "CASE WHEN octet_length(hidden) > length(hidden) "
    "THEN concat_ws(chr(1), hidden, upper(hidden), lower(hidden), initcap(hidden)) ELSE hidden END"
)


@dataclass(frozen=True)
class Looked:
    """A clear column to look into, by its place in the statement, and the kind of its values."""

    place: int
    column: ColumnPlan
    kind: str

    @property
    def text(self) -> sql.Identifier:
        """Return the name of its text."""
        return sql.Identifier(f"text_{self.place}")


def looked(table: TablePlan, names: Sequence[str]) -> list[Looked]:
    """Return those of the columns that hold what the scan can look into."""
    kinds = [(column, columns.kind(column.type)) for column in table.columns if column.name in names and not column.mask]
    return [Looked(place, column, kind) for place, (column, kind) in enumerate(pair for pair in kinds if pair[1])]


def questions(its: Looked) -> list[str]:
    """Return what is counted in a column, in the order of the counts, after the number of its values."""
    return [*(detector.name for detector in DETECTORS if its.kind in detector.patterns), OWN_DATA, _OTHERS]


def probing(table: TablePlan, schema: str, percent: float) -> sql.Composed:
    """Return the SELECT that counts the rows of some pages."""
    return sql.SQL("SELECT count(*) AS rows FROM {}").format(rows_of(table, schema, percent))


def scanning(table: TablePlan, known: Table, its: Sequence[Looked], schema: str, sample: Sample) -> sql.Composed:
    """Return the one SELECT that counts rows, and in columns values, and those of each detector.

    Each inner SELECT computes what the next one reads several times: OFFSET 0 keeps the server from computing it again. A
    pattern costs the server microseconds before it reads its first character, so that the first one is matched once a row,
    with the texts of all columns as one; few rows go on to where each column is matched.
    """
    counts = [count for place, each in enumerate(its, start=1) for count in _counts(each, place)]
    return sql.SQL("SELECT count(*) AS rows, ARRAY[{}]::int8[] AS counts FROM ({}) AS found").format(
        sql.SQL(", ").join(counts),
        _found(its, _met(its, _joined(its, _read(table, its, _masked(table, known), schema, sample)))),
    )


def _counts(its: Looked, place: int) -> list[sql.Composable]:
    """Compose the number of a column's values, then those of `questions`; it is at this place of its statement."""
    hit = sql.SQL("count(*) FILTER (WHERE {} = ANY (hits))")
    return [
        sql.SQL("count({})").format(its.text),
        *(hit.format(sql.Literal(place * len(_NAMES) + _NAMES.index(name))) for name in questions(its)),
    ]


def _found(its: Sequence[Looked], met: sql.Composable) -> sql.Composed:
    """Compose the rows with the numbers of what is found in them, where the first test says that there may be anything."""
    found = [_condition(detector) for detector in DETECTORS] + [sql.Identifier("each", name) for name in ("own", "others")]
    return sql.SQL(
        "SELECT *, CASE WHEN numbered OR addressed OR own IS NOT NULL OR others IS NOT NULL THEN "
        "ARRAY(SELECT each.place * {width} + hit.number FROM ({chosen}) AS each, "
        "LATERAL (VALUES {found}) AS hit (number, is_there) WHERE hit.is_there) END AS hits FROM ({met}) AS met OFFSET 0"
    ).format(
        width=sql.Literal(len(_NAMES)),
        chosen=_chosen(its),
        found=sql.SQL(", ").join(
            sql.SQL("({}, {})").format(sql.Literal(number), condition) for number, condition in enumerate(found)
        ),
        met=met,
    )


def _condition(detector: Detector) -> sql.Composable:
    """Compose the condition that a chosen column holds what a detector looks for."""
    gates = {NUMBERED: "numbered", DIGITS: "digits", AT: "addressed"}
    given = {gate: sql.Identifier("each", name) for gate, name in gates.items()}
    conditions = (
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(kind), detector.condition(kind, sql.Identifier("each", "text"), given))
        for kind in detector.patterns
    )
    return sql.SQL("CASE each.kind {} END").format(sql.SQL(" ").join(conditions))


def _chosen(its: Sequence[Looked]) -> sql.Composed:
    """Compose the columns of a row that meet the first test by themselves; `own` and `others` tell whether they hold any."""
    text, own, others = (sql.Identifier(*name) for name in (("given", "value"), ("met", "own"), ("met", "others")))
    lower = _LOWER.format(text)
    return sql.SQL(
        "SELECT *, numbered AND text ~ {digits} AS digits FROM (SELECT place, kind, value AS text, met.numbered AND "
        "CASE kind WHEN 'text' THEN value ~ {any} WHEN 'number' THEN {is_long} "
        "ELSE kind = 'address' END AS numbered, met.addressed AND kind = 'text' AND ({at}) AS addressed, "
        "{own} IS NOT NULL AND {holds_own} AS own, {others} IS NOT NULL AND {holds_others} AS others "
        "FROM unnest(ARRAY[{texts}]::text[], {kinds}::text[]) WITH ORDINALITY AS given (value, kind, place) "
        "WHERE value IS NOT NULL OFFSET 0) AS gated WHERE numbered OR addressed OR own OR others OFFSET 0"
    ).format(
        digits=sql.Literal(DIGITS),
        any=sql.Literal(NUMBERED),
        is_long=_is_long(text),
        at=HOLDS_AT.format(text=text),
        own=own,
        holds_own=_holds_any(lower, own),
        others=others,
        holds_others=_holds_any(lower, others),
        texts=sql.SQL(", ").join(each.text for each in its),
        kinds=sql.Literal([each.kind for each in its]),
    )


def _met(its: Sequence[Looked], joined: sql.Composable) -> sql.Composed:
    """Compose the rows with a first test of all columns: few hold a number of any use, an @, or a masked value.

    Of those, the row's masked values are `own`, and another row's `others`.
    """
    numbered = [sql.SQL("joined ~ {}").format(sql.Literal(NUMBERED))]
    numbered += [_is_long(each.text) for each in _of(its, "number")]
    numbered += [sql.SQL("{} IS NOT NULL").format(each.text) for each in _of(its, "address")]
    held = (
        sql.SQL("CASE WHEN {} THEN {} END AS {}").format(
            _holds_any(sql.Identifier("whole"), sql.Identifier(name)), sql.Identifier(name), sql.Identifier(as_)
        )
        for name, as_ in (("masked", "own"), ("masked_apart", "others"))
    )
    return sql.SQL(
        "SELECT *, {numbered} AS numbered, {addressed} AS addressed, {held} FROM (SELECT *, lag(masked, {apart}) OVER () "
        "AS masked_apart FROM ({joined}) AS joined OFFSET 0) AS compared OFFSET 0"
    ).format(
        numbered=sql.SQL(" OR ").join(numbered),
        addressed=HOLDS_AT.format(text=sql.Identifier("joined")),
        held=sql.SQL(", ").join(held),
        apart=sql.Literal(_APART),
        joined=joined,
    )


def _joined(its: Sequence[Looked], read: sql.Composable) -> sql.Composed:
    """Compose the rows with the texts of all their columns as one, and their masked values as an array."""
    return sql.SQL(
        "SELECT *, {texts} AS joined, CASE WHEN hidden <> '' THEN {whole} END AS whole, "
        "CASE WHEN hidden <> '' THEN string_to_array({masked}, chr(1)) END AS masked FROM ({read}) AS read OFFSET 0"
    ).format(
        texts=_BY_BYTES.format(_as_one(_of(its, "text"))),
        whole=_LOWER.format(_as_one(its)),
        masked=_LOWER.format(_CASES),
        read=read,
    )


def _is_long(number: sql.Composable) -> sql.Composed:
    """Compose the condition that a number's text has as many digits as anything that is looked for, before its point."""
    return sql.SQL("octet_length({number}) >= {least} AND strpos(left({number}, {least}), '.') = 0").format(
        number=number, least=sql.Literal(SHORTEST_NUMBER)
    )


def _of(its: Sequence[Looked], kind: str) -> list[Looked]:
    return [each for each in its if each.kind == kind]


def _as_one(its: Sequence[Looked]) -> sql.Composed:
    return sql.SQL("array_to_string(ARRAY[{}]::text[], chr(10))").format(sql.SQL(", ").join(each.text for each in its))


def _read(table: TablePlan, its: Sequence[Looked], hidden: sql.Composable, schema: str, sample: Sample) -> sql.Composed:
    """Compose the rows: the texts of their clear columns, and their masked values as one."""
    texts = (sql.SQL("{} AS {}").format(_text(each.column), each.text) for each in its)
    limit = sql.SQL("OFFSET 0") if sample.limit is None else sql.SQL("LIMIT {}").format(sql.Literal(sample.limit))
    return sql.SQL("SELECT {texts}, {hidden} AS hidden FROM {rows} {limit}").format(
        texts=sql.SQL(", ").join(texts),
        hidden=hidden,
        rows=rows_of(table, schema, sample.percent),
        limit=limit,
    )


def _text(column: ColumnPlan) -> sql.Composed:
    """Compose the beginning of a column's published value as text; NULL for an empty one, and one too large to begin."""
    name = sql.Identifier(column.name)
    value = (
        sql.SQL("{}::text").format(column.expression)
        if columns.is_sliced(column.type)
        else sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(name, as_text(column.expression))
    )
    if not columns.is_sliced(column.type) or column.is_converted:
        value = _if_small(name, value)
    return _BY_BYTES.format(sql.SQL("nullif(left({}, {}), '')").format(value, sql.Literal(LONGEST)))


def _masked(table: TablePlan, known: Table) -> sql.Composable:
    """Compose a row's masked values that can be searched for, as one text with chr(1) between them."""
    values: list[sql.Composable] = []
    for column in table.masked:
        origin = known.column(column.name)
        name, type_, kind = sql.Identifier(column.name), origin.type_text, columns.kind(origin.type_text)
        if not origin.readable or not kind or type_ in ("json", "jsonb", "xml"):
            continue
        hidden = [] if not column.mask else [where for where in [column.mask.hidden_where] if where]
        searched = [_items(name)] if type_.endswith("[]") else _searched(name, type_, kind)
        values += [_only(hidden, value) for value in searched]
    return sql.SQL('concat_ws(chr(1), {}) COLLATE "default"').format(sql.SQL(", ").join([sql.SQL("NULL::text"), *values]))


def _items(name: sql.Identifier) -> sql.Composable:
    """Compose the first items of an array as one text."""
    items = sql.SQL(
        "array_to_string(ARRAY(SELECT {item} FROM (SELECT unnest(({name})[1:{most}]) AS value) AS item), chr(1))"
    ).format(item=_start(as_text(sql.Identifier("item", "value"))), name=name, most=sql.Literal(_ITEMS))
    return _if_small(name, items)


def _start(text: sql.Composable) -> sql.Composed:
    """Compose so much of a masked text as is searched for."""
    return sql.SQL('btrim(left({}, {}) COLLATE "C")').format(text, sql.Literal(_LONGEST_MASKED))


def _searched(name: sql.Identifier, type_: str, kind: str) -> list[sql.Composable]:
    """Compose the texts by which a masked value may stand elsewhere: an address' beginning too, a date as in French."""
    if kind == "number":
        return [
            sql.SQL("CASE WHEN length({text}) >= {least} THEN {text} END").format(
                text=as_text(name), least=sql.Literal(_FEWEST_DIGITS)
            )
        ]
    if kind == "moment":
        # a date past the year 294276 is no timestamp, which to_char() takes
        dated = sql.SQL("CASE WHEN {0} BETWEEN date '0001-01-01' AND date '9999-12-31' THEN to_char({0}, 'DD/MM/YYYY') END")
        return [as_text(name), dated.format(name)] if type_ == "date" else []
    if kind != "text":
        return [as_text(name)]
    text = _start(sql.SQL("{}::text").format(name)) if columns.is_sliced(type_) else _if_small(name, _start(as_text(name)))
    local = sql.SQL("CASE WHEN strpos({text}, '@') > 0 THEN split_part({text}, '@', 1) END").format(text=text)
    return [text, local]


def _only(hidden: Sequence[sql.Composable], value: sql.Composable) -> sql.Composable:
    """Compose a value where its mask hides it."""
    return sql.SQL("CASE WHEN {} THEN {} END").format(hidden[0], value) if hidden else value


def _if_small(name: sql.Identifier, value: sql.Composable) -> sql.Composed:
    """Compose what must read a column's value whole, if that is stored in few bytes."""
    return sql.SQL("CASE WHEN pg_column_size({}) <= {} THEN {} END").format(name, sql.Literal(LARGEST), value)


def _holds_any(text: sql.Composable, masked: sql.Composable) -> sql.Composed:
    """Compose the condition that a text holds one of some masked values."""
    return sql.SQL(
        "EXISTS (SELECT FROM unnest({}) AS masked_value (value) WHERE strpos({}, masked_value.value) > 0 "
        "AND length(masked_value.value) >= {})"
    ).format(masked, text, sql.Literal(SHORTEST))
