"""Entries of a rules file, as YAML to paste."""

from collections.abc import Sequence

from multischema.rules.file import TableRules
from multischema.rules.nodes import scalar
from multischema.words import cut


def entry(table: str, rules: TableRules | None, undecided: Sequence[str]) -> str:
    """Return a whole entry of a rules file; what is undecided is anonymized until someone decides."""
    decided = sorted(rules.anonymized) if rules else []
    kept = sorted(rules.non_anonymized - rules.anonymized.union(undecided)) if rules else []
    decided, kept = (
        [name for name in names if cut(name) == name] for names in (decided, kept)
    )  # no column has a longer name
    lines = [f"  - table_name: {scalar(table)}", "    anonymized_column_names:"]
    lines += [f"      - {scalar(name)}" for name in decided]
    if undecided:
        lines += ["      # decide:", *(f"      - {scalar(name)}" for name in undecided)]
    lines += ["    non_anonymized_column_names:", *(f"      - {scalar(name)}" for name in kept)]
    return "\n".join(lines) + "\n"
