"""Entries of a rules file, as YAML to paste."""

from collections.abc import Sequence

import yaml

from multischema.rules.file import TableRules
from multischema.words import cut, escaped


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


def scalar(name: str) -> str:
    """Return a name as YAML writes it, on one line."""
    if escaped(name) != name:
        # a node, because Prefect makes PyYAML write multi-line strings as blocks everywhere
        node = yaml.ScalarNode("tag:yaml.org,2002:str", name, style='"')
        return yaml.serialize(node, Dumper=yaml.SafeDumper, width=1000).removesuffix("\n")
    return yaml.safe_dump(name, allow_unicode=True, width=1000).removesuffix("\n").removesuffix("\n...")
