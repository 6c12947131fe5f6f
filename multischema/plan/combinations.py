"""The combinations of values that the rules' `k_anonymity` judges: those that few share point at somebody."""

from multischema.findings import Finding, problem
from multischema.plan.plan import Plan
from multischema.plan.tables import TablePlan
from multischema.words import count

# by the published type; other types have no equality, or one that no key goes by
_TELL_APART = ("smallint", "integer", "bigint", "numeric", "uuid", "text", "character", "name", "bytea")


def per_problems(plan: Plan) -> list[Finding]:
    """Return a problem for each table whose `per` is of a type that does not tell one from another."""
    return [
        problem(
            "k-anonymity-per-type",
            f"table {table.name}: k_anonymity counts per {column.name}, which is of type {column.type}",
            "want a column of numbers, uuids or text",
            table=table.name,
            column=column.name,
        )
        for table in plan.copied
        for column in table.columns
        if table.k_anonymity and column.name == table.k_anonymity.per and not column.type.startswith(_TELL_APART)
    ]


def counts_rows(plan: Plan, table: TablePlan) -> bool:
    """Tell whether counting rows will do: there is no `per`, or each row has another one, by a key published as it is."""
    assert table.k_anonymity
    per = table.k_anonymity.per
    column = next((column for column in table.columns if column.name == per), None)
    if not column:
        return True
    plain = column.not_null and not column.mask and not column.is_converted
    return plain and any(
        index.table == table.name and index.unique and index.key_columns == (per,) and " WHERE " not in index.definition
        for index in plan.keys.indexes
    )


def breach(table: TablePlan, combinations: int, rows: int) -> Finding:
    """Return what is said of combinations that too few share, without any of their values."""
    rule = table.k_anonymity
    assert rule
    noun = "combination" if len(rule.columns) > 1 else "value"
    line = (
        f"table {table.name}: {count(combinations, noun)} of {', '.join(rule.columns)} "
        f"{'is' if combinations == 1 else 'are'} shared by fewer than {rule.k:,} "
        f"{f'different {rule.per}' if rule.per else 'rows'} ({count(rows, 'row')})"
    )
    if rule.on_breach == "warn":
        return Finding("rare-combinations", line, "coarsen a mask, or take a column out of k_anonymity", table=table.name)
    todo = "coarsen a mask, take a column out of k_anonymity, or set on_breach: warn"
    return problem("rare-combinations", line, todo, side="target", table=table.name)
