"""Which columns the scan can look into, by their types as Postgres spells them."""

import re

_KINDS = (
    (re.compile(r"(smallint|integer|bigint|numeric.*|real|double precision)"), "number"),
    (re.compile(r"(date|timestamp.*)"), "moment"),
    (re.compile(r"(inet|cidr)"), "address"),
    (re.compile(r"uuid"), "uuid"),
    (
        re.compile(
            r"(boolean|bytea|money|interval|time( .*|\(.*)?|bit.*|macaddr8?|tid|pg_.*|txid_.*|xid8?|cid|oid.*"
            r"|ts(query|vector)|point|line|lseg|box|path|polygon|circle|.*range)"
        ),
        "",
    ),
)
_PLAIN = re.compile(r"(text|character varying|character|name|json|xml)(\(\d+\))?")


def kind(type_: str) -> str:
    """Return what a column's values are to the scan: text, number, moment, address or uuid; nothing if it can't tell.

    A type that is none of Postgres' own is text: an enum, a domain, what an extension brings.
    """
    base = type_.removesuffix("[]")
    found = next((kind for pattern, kind in _KINDS if pattern.fullmatch(base)), "text")
    return "text" if found and base != type_ else found


def is_sliced(type_: str) -> bool:
    """Tell whether the server reads the beginning of a long value without the rest."""
    return _PLAIN.fullmatch(type_) is not None
