"""The statements of the scan: what columns that are published as they are hold, as counts. No value leaves the server."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from multischema.catalog.flat import as_text
from multischema.catalog.tables import Table
from multischema.plan.tables import ColumnPlan, TablePlan
from multischema.scan import columns
from multischema.scan.detectors import DETECTORS, NUMBERED, OWN_DATA, SHORTEST
from multischema.scan.sampling import Sample
from multischema.statements.reading import rows_of

LONGEST = 20_000  # characters of a value that are looked at
LARGEST = 1_000_000  # bytes, as stored, of a value that must be read whole to read its beginning: a document, an array
_LONGEST_MASKED = 200  # characters of a masked value that are searched for
_ITEMS = 20  # of an array of masked values
_FEWEST_DIGITS = 6  # of a masked number that is searched for
_APART = 97  # rows between two whose masked values are compared: those that follow each other are often of one person
_OTHERS = "others"
_BY_BYTES = sql.SQL('{} COLLATE "C"')
# by bytes it takes a twentieth of the time that the locale's takes; of letters with accents, masked values have each case
_LOWER = sql.SQL('lower({} COLLATE "C")')
_CASES = sql.SQL(
    "LATERAL (SELECT masked.value UNION ALL SELECT unnest(ARRAY[upper(masked.value), lower(masked.value), "
    "initcap(masked.value)]) WHERE octet_length(masked.value) > length(masked.value)) AS cased (value)"
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

    @property
    def numbered(self) -> sql.Identifier:
        """Return the name of what tells whether there are numbers in it."""
        return sql.Identifier(f"numbered_{self.place}")


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

    Each inner SELECT computes what the next one reads several times: OFFSET 0 keeps the server from computing it again.
    """
    counts = [count for each in its for count in _counts(each)]
    return sql.SQL("SELECT count(*) AS rows, ARRAY[{}]::int8[] AS counts FROM ({}) AS met").format(
        sql.SQL(", ").join(counts), _met(_compared(its, _read(table, known, its, schema, sample)))
    )


def _counts(its: Looked) -> list[sql.Composable]:
    """Compose the number of a column's values, then those of `questions`."""
    conditions = [
        detector.condition(its.kind, its.text, its.numbered) for detector in DETECTORS if its.kind in detector.patterns
    ]
    lower = _LOWER.format(its.text)
    for masked in ("own", "others"):
        there = sql.SQL("CASE WHEN {masked} IS NOT NULL THEN {holds} END")
        conditions.append(there.format(masked=sql.Identifier(masked), holds=_holds_any(lower, sql.Identifier(masked))))
    return [
        sql.SQL("count({})").format(its.text),
        *(sql.SQL("count(*) FILTER (WHERE {})").format(condition) for condition in conditions),
    ]


def _met(compared: sql.Composable) -> sql.Composed:
    """Compose the rows with their masked values, and another row's, where any column holds any of them: few do."""
    columns = (
        sql.SQL("CASE WHEN {} THEN {} END AS {}").format(
            _holds_any(sql.Identifier("whole"), sql.Identifier(name)), sql.Identifier(name), sql.Identifier(as_)
        )
        for name, as_ in (("masked", "own"), ("masked_apart", "others"))
    )
    return sql.SQL("SELECT *, {} FROM ({}) AS compared OFFSET 0").format(sql.SQL(", ").join(columns), compared)


def _compared(its: Sequence[Looked], read: sql.Composable) -> sql.Composed:
    """Compose the rows with the texts of all their columns as one, the masked values of another row, and a first test."""
    numbered = [
        sql.SQL("{} ~ {} AS {}").format(each.text, sql.Literal(NUMBERED), each.numbered)
        if each.kind == "text"
        else sql.SQL("true AS {}").format(each.numbered)
        for each in its
    ]
    whole = _LOWER.format(sql.SQL("array_to_string(ARRAY[{}], ' ')").format(sql.SQL(", ").join(each.text for each in its)))
    return sql.SQL(
        "SELECT *, {numbered}, CASE WHEN masked <> '{{}}' THEN {whole} END AS whole, "
        "lag(masked, {apart}) OVER () AS masked_apart FROM ({read}) AS read OFFSET 0"
    ).format(numbered=sql.SQL(", ").join(numbered), whole=whole, apart=sql.Literal(_APART), read=read)


def _read(table: TablePlan, known: Table, its: Sequence[Looked], schema: str, sample: Sample) -> sql.Composed:
    """Compose the rows: the texts of their clear columns, and their masked values."""
    texts = (sql.SQL("{} AS {}").format(_text(each.column), each.text) for each in its)
    limit = sql.SQL("OFFSET 0") if sample.limit is None else sql.SQL("LIMIT {}").format(sql.Literal(sample.limit))
    return sql.SQL("SELECT {texts}, {masked} AS masked FROM {rows} {limit}").format(
        texts=sql.SQL(", ").join(texts),
        masked=_masked(table, known),
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
    """Compose the array of a row's masked values that can be searched for, in lower case."""
    scalars: list[sql.Composable] = []
    arrays: list[sql.Composable] = []
    for column in table.masked:
        origin = known.column(column.name)
        name, type_, kind = sql.Identifier(column.name), origin.type_text, columns.kind(origin.type_text)
        if not origin.readable or not kind or type_ in ("json", "jsonb", "xml"):
            continue
        hidden = [] if not column.mask else [where for where in [column.mask.hidden_where] if where]
        if type_.endswith("[]"):
            items = _if_small(name, sql.SQL("array_to_string(({})[1:{}], chr(1))").format(name, sql.Literal(_ITEMS)))
            arrays.append(sql.SQL("string_to_array({}, chr(1))").format(_only(hidden, _BY_BYTES.format(items))))
        else:
            scalars += [_only(hidden, value) for value in _searched(name, type_, kind)]
    if not scalars and not arrays:
        return sql.SQL("'{{}}'::text[]").format()
    values = sql.SQL(" || ").join([sql.SQL("ARRAY[{}]::text[]").format(sql.SQL(", ").join(scalars)), *arrays])
    return sql.SQL(
        "ARRAY(SELECT DISTINCT {lower} FROM unnest({values}) AS given (value), "
        'LATERAL (SELECT btrim(left(given.value, {most})) COLLATE "default" AS value) AS masked, {cases} '
        "WHERE length(cased.value) >= {least})"
    ).format(
        lower=_LOWER.format(sql.SQL("cased.value")),
        values=values,
        most=sql.Literal(_LONGEST_MASKED),
        cases=_CASES,
        least=sql.Literal(SHORTEST),
    )


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
    text = (
        sql.SQL("left({}::text, {})").format(name, sql.Literal(_LONGEST_MASKED))
        if columns.is_sliced(type_)
        else _if_small(name, as_text(name))
    )
    local = sql.SQL("CASE WHEN strpos({text}, '@') > 0 THEN split_part({text}, '@', 1) END").format(
        text=_BY_BYTES.format(text)  # a collation may not let a text be searched, before Postgres 18
    )
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
        "EXISTS (SELECT FROM unnest({}) AS masked_value (value) WHERE strpos({}, masked_value.value) > 0)"
    ).format(masked, text)
