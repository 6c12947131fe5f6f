"""Catalogs and rules as values, for tests of what is decided from them. A type is one of TYPES, as the server spells it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from multischema.catalog.servers import Server
from multischema.catalog.tables import Catalog, Column, Fingerprint, ForeignKey, Index, Table, Type
from multischema.plan.tables import TablePlan, plan_table
from multischema.rules.file import Rules, TableRules

SERVER = Server(
    major=16,
    encoding="UTF8",
    database="analytics",
    database_oid=16384,
    started="2026-01-01 00:00:00+00",
    locale="C.UTF-8 C.UTF-8 c",
    role="etl",
    in_recovery=False,
    may_create_schemas=True,
    may_use_schema=True,
    may_fill_schema=True,
    address="db.example.org:5432",
)


def _type(oid: int, name: str, **values: Any) -> Type:
    known: dict[str, Any] = {
        "schema": "pg_catalog",
        "kind": "b",
        "element": 0,
        "base": 0,
        "base_text": "",
        "binary": True,
        "labels": (),
        "fields": (),
        "extension": None,
    }
    return Type(oid, name=name, **{**known, **values})


_SPELLED = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "numeric": "numeric",
    "boolean": "bool",
    "text": "text",
    "character varying": "varchar",
    "character": "bpchar",
    '"char"': "char",
    "name": "name",
    "uuid": "uuid",
    "date": "date",
    "timestamp with time zone": "timestamptz",
    "json": "json",
    "jsonb": "jsonb",
    "bit": "bit",
    "tsvector": "tsvector",
}
_OIDS = {spelling: oid for oid, spelling in enumerate(_SPELLED, 100)}
_OWN = {
    "int4range": _type(200, "int4range", kind="r"),
    "regclass": _type(201, "regclass"),
    "aclitem": _type(202, "aclitem", binary=False),
    "status": _type(203, "status", schema="public", kind="e", labels=("new", "done")),
    "address": _type(204, "address", schema="public", kind="c"),
    "floatrange": _type(205, "floatrange", schema="public", kind="r"),
    "floats": _type(206, "floats", schema="public", kind="m"),
    "citext": _type(207, "citext", schema="public", extension="citext"),
    "hstore": _type(208, "hstore", schema="public", extension="hstore"),
    "ltree": _type(209, "ltree", schema="public", extension="ltree"),
    "positive": _type(210, "positive", schema="public", kind="d", base=_OIDS["integer"], base_text="integer"),
    "small": _type(211, "small", schema="public", kind="d", base=210, base_text="positive"),
    "postcode": _type(
        212, "postcode", schema="public", kind="d", base=_OIDS["character varying"], base_text="character varying(5)"
    ),
    "tags": _type(213, "tags", schema="public", kind="d", base=1000 + _OIDS["text"], base_text="text[]"),
    "home": _type(214, "home", schema="public", kind="d", base=204, base_text="address"),
    # an app's own type that has the name of one of Postgres or of an extension
    "public.citext": _type(215, "citext", schema="public", kind="e", labels=("new", "done")),
}
_SIMPLE = {spelling: _type(_OIDS[spelling], name) for spelling, name in _SPELLED.items()} | _OWN
TYPES: Mapping[int, Type] = {type_.oid: type_ for type_ in _SIMPLE.values()} | {
    1000 + type_.oid: _type(1000 + type_.oid, f"_{type_.name}", schema=type_.schema, element=type_.oid)
    for type_ in _SIMPLE.values()
}


def oid(spelling: str) -> int:
    """Return the OID of a type, such as `character varying(10)[]`."""
    simple = re.sub(r"\([\d,]+\)", "", spelling.removesuffix("[]"))
    return _SIMPLE[simple].oid + (1000 if spelling.endswith("[]") else 0)


def column(name: str, spelling: str = "text", *, default: str | None = None, **values: Any) -> Column:
    """Return a column, nullable and without more to say of it unless `values` do."""
    known: dict[str, Any] = {
        "not_null": False,
        "generated": "s" if "generated_from" in values else "",
        "generation": None,
        "generated_from": (),
        "collation_schema": None,
        "collation_name": None,
        "comment": None,
        "readable": True,
    }
    return Column("", name, type_oid=oid(spelling), type_text=spelling, default=default, **{**known, **values})


def index(table: str, name: str, *keys: str | None, **values: Any) -> Index:
    """Return an index over key columns (None is an expression)."""
    known: dict[str, Any] = {
        "unique": False,
        "valid": True,
        "bytes": 8192,
        "method": "btree",
        "constraint_kind": "",
        "columns": tuple(key for key in keys if key),
        "definition": f"USING btree ({', '.join(key or 'f(x)' for key in keys)})",
    }
    return Index(table, name, key_columns=keys, **{**known, **values})


def foreign_key(table: str, name: str, referenced: str, key: str = "id", *, schema: str = "public") -> ForeignKey:
    """Return a foreign key of one column, of that name."""
    return ForeignKey(table, f"{table}_{name}_fkey", (name,), schema, referenced, (key,))


def table(
    name: str,
    *columns: Column,
    key: Iterable[str] = (),
    indexes: Iterable[Index] = (),
    foreign_keys: Iterable[ForeignKey] = (),
    **values: Any,
) -> Table:
    """Return a table; `key` are the columns of its primary key."""
    primary = [index(name, f"{name}_pkey", *key, unique=True, constraint_kind="p")] if key else []
    known: dict[str, Any] = {
        "oid": 1,
        "kind": "r",
        "is_partition": False,
        "comment": None,
        "row_security": False,
        "unlogged": False,
        "bytes": 8192,
    }
    return Table(
        name=name,
        columns=tuple(replace(column, table=name) for column in columns),
        indexes=(*primary, *indexes),
        foreign_keys=tuple(foreign_keys),
        **{**known, **values},
    )


def catalog(*tables: Table, **values: Any) -> Catalog:
    """Return the catalog of these tables."""
    known: dict[str, Any] = {
        "schema": "public",
        "types": TYPES,
        "fingerprints": {table.oid: Fingerprint(table.oid, "", "") for table in tables},
        "others": {},
        "partitions": {},
        "other_schemas": (),
        "keys_of_partitions": {},
    }
    return Catalog(tables=tables, **{**known, **values})


def masking(table: str, *anonymized: str) -> TableRules:
    """Return the rules of a table that anonymize these columns."""
    return TableRules(table, False, frozenset(anonymized), frozenset())


def truncating(table: str) -> TableRules:
    """Return the rules of a truncated table."""
    return TableRules(table, True, frozenset(), frozenset())


def all_rules(*tables: TableRules) -> Rules:
    """Return the rules of an app."""
    return Rules({table.table: table for table in tables})


def planned(table: Table, *anonymized: str, collations: Iterable[str] = ()) -> TablePlan:
    """Return the plan of a table of which these columns are anonymized."""
    return plan_table(table, masking(table.name, *anonymized), catalog(table), frozenset(collations))
