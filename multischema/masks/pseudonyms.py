"""Pseudonyms: a keyed hash of a value, the same for equal values in all apps whose rules name the same domain.

The server computes HMAC-SHA256 itself, as `sha256(opad || sha256(ipad || value))`, with the padded keys of its session's
settings: a key never stands in a statement. Here is the same in Python, which the check compares with.
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from psycopg import sql

from multischema.catalog.flat import Flat, as_text
from multischema.masks.mask import Mask, Masked, Refined, Unreadable

KEY_BYTES = 32
MAX_DOMAINS = 20  # a session's settings stand in its start-up packet, which holds 10,000 bytes
_DOMAIN = "[a-z][a-z0-9_]{0,39}"
_BLOCK = 64  # bytes of a block of SHA-256
_PADS = {"ipad": 0x36, "opad": 0x5C}
_EMAIL = {"email", "mail", "courriel"}
_PHONE = {"phone", "telephone", "tel", "mobile", "portable"}
_SPACES = " \t\n\r\f\v"
# What becomes of the digits of a phone number, after a ^ that stands for its start: the signs that say how it is dialled
_DIALLED = (("^+", "^00"), ("+", ""), ("^00330", "^+33"), ("^0033", "^+33"), ("^00", "^+"), ("^0", "^+33"))
_SHAPE = "^p_[0-9a-f]{32}$"
# Of a text, in characters, which are as many in each encoding. On a longer one, translate() of a phone number would take
# minutes, and btrim() fails on 256 MB.
_LONGEST = 500
# not a domain, so that no domain's key begins with what is known of the fingerprint
_FINGERPRINT = b"fingerprint of the key"


@dataclass(frozen=True)
class Pseudonym(Refined):
    """`p_` and the first 128 bits of the HMAC of a normalized value, in hexadecimal; of a uuid, a uuid of these bits."""

    name: str

    kind = "pseudonym"
    fits = ("text", "uuid", "int8", "int4", "int2")
    keeps_apart = True

    @classmethod
    def read(cls, found: object) -> Self:
        """Return the mask that the rules describe. Raises Unreadable."""
        if not isinstance(found, str) or not re.fullmatch(_DOMAIN, found):
            raise Unreadable("want the name of a domain such as person_email: a-z, 0-9 and _, at most 40 characters")
        return cls(found)

    @property
    def domain(self) -> str:
        """Return the pseudonym domain whose key it needs."""
        return self.name

    @property
    def width(self) -> int:
        """Return the bytes that a masked value leaves in its row once it is moved out of line."""
        return 18

    def joins(self, other: Mask | None) -> bool:
        """Tell whether a masked column still refers to the right rows of another: the domain decides."""
        return isinstance(other, Pseudonym) and other.name == self.name

    def is_unique(self, *, key_is_unique: bool) -> bool:  # noqa: ARG002
        """Tell whether all masked values are distinct where the values are, however they are written."""
        return True

    def type_of(self, flat: Flat) -> str:
        """Return the published type."""
        return "uuid" if flat.spelling == "uuid" else "text"

    def written(self) -> object:
        """Return what `read` takes."""
        return self.name

    def covers(self, other: Refined) -> bool:
        """Tell whether it surely shows no more than another."""
        return self == other

    def expression(self, column: Masked) -> sql.Composable:
        """Compose the masked value; where the column may be NULL, it is of an empty value."""
        if column.not_null:
            return self.published(column)
        return sql.SQL("CASE WHEN {} THEN {} END").format(_is_something(self.name, _text(column)), self.published(column))

    def published(self, column: Masked) -> sql.Composable:
        """Compose the pseudonym of a value that is there."""
        digits = _digits(self.name, _normal_form(self.name, _text(column)))
        return sql.SQL("{}::uuid").format(digits) if column.type == "uuid" else _as_text(digits)

    def proof(self, column: Masked) -> sql.Composable:
        """Compose that a value has the shape of a pseudonym: any uuid has that of one."""
        if column.type == "uuid":
            return sql.SQL("true")
        return sql.SQL("{} ~ {}").format(column.name, sql.Literal(_SHAPE))


def tested(domains: Iterable[str], value: str) -> sql.Composed:
    """Compose the SELECT of a constant's pseudonyms, one for each domain, as a session computes them."""
    text = sql.SQL('({}::text COLLATE "C")').format(sql.Literal(value))
    found = (_as_text(_digits(name, _normal_form(name, text))) for name in domains)
    return sql.SQL("SELECT ARRAY[{}] AS pseudonyms").format(sql.SQL(", ").join(found))


def pseudonym(master: bytes, domain: str, value: str) -> str:
    """Return the pseudonym of a value as published in a text column."""
    return f"p_{_hmac(domain_key(master, domain), normalized(domain, value).encode())[:32]}"


def normalized(domain: str, value: str) -> str:
    """Return a value as its domain writes it, so that all apps agree; a long text stays as it is."""
    if len(value) > _LONGEST:
        return value
    if _is_phone(domain):
        text = "^" + "".join(sign for sign in value if sign in "+0123456789").rstrip("+")
        for found, dialled in _DIALLED:
            text = text.replace(found, dialled)
        return text.lstrip("^")
    text = value.strip(_SPACES)
    return "".join(sign.lower() if sign.isascii() else sign for sign in text) if _is_email(domain) else text


def domain_key(master: bytes, domain: str) -> bytes:
    """Return the key of a domain."""
    return hmac.digest(master, domain.encode(), "sha256")


def settings(master: bytes, domains: Iterable[str]) -> Mapping[str, str]:
    """Return the settings of a session that computes pseudonyms: the padded keys of each domain, in hexadecimal."""
    return {
        f"etl.{pad}_{domain}": bytes(byte ^ mark for byte in domain_key(master, domain).ljust(_BLOCK, b"\0")).hex()
        for domain in domains
        for pad, mark in _PADS.items()
    }


def fingerprint(master: bytes) -> str:
    """Return what stands for a master key in records: it can't be turned back, nor does it tell of a domain's key."""
    return _hmac(master, _FINGERPRINT)[:16]


def _hmac(key: bytes, message: bytes) -> str:
    return hmac.digest(key, message, "sha256").hex()


def _is_email(domain: str) -> bool:
    return not _EMAIL.isdisjoint(domain.split("_"))


def _is_phone(domain: str) -> bool:
    return not _is_email(domain) and not _PHONE.isdisjoint(domain.split("_"))


def _text(column: Masked) -> sql.Composable:
    """Compose a value as text, of a collation that no locale changes and every function takes."""
    value = column.value if column.flat.family == "text" else as_text(column.value)
    return sql.SQL('({} COLLATE "C")').format(value)


def _digits(domain: str, text: sql.Composable) -> sql.Composable:
    """Compose 128 bits of the HMAC of a text in hexadecimal. A subquery runs once, not for each row.

    Bytes of an origin without an encoding are hashed as they are: those that are no UTF-8 can't be converted.
    """
    ipad, opad = (
        sql.SQL("(SELECT decode(current_setting({}), 'hex'))").format(sql.Literal(f"etl.{pad}_{domain}")) for pad in _PADS
    )
    encoding = sql.SQL("(SELECT CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END::name)")
    inner = sql.SQL("sha256({} || convert_to({}, {}))").format(ipad, text, encoding)
    return sql.SQL("encode(substr(sha256({} || {}), 1, 16), 'hex')").format(opad, inner)


def _as_text(digits: sql.Composable) -> sql.Composable:
    return sql.SQL("'p_' || {}").format(digits)


def _is_something(domain: str, text: sql.Composable) -> sql.Composable:
    """Compose the condition that the normal form is not empty."""
    if _is_phone(domain):
        found = sql.SQL("translate({text}, '0123456789', '') <> {text}").format(text=text)
    else:
        found = sql.SQL("{} <> ''").format(_trimmed(text))
    return _unless_long(text, found, sql.SQL("true"))


def _normal_form(domain: str, text: sql.Composable) -> sql.Composable:
    """Compose what `normalized` returns."""
    if _is_phone(domain):
        rest = sql.SQL("translate({text}, '+0123456789', '')").format(text=text)
        kept = sql.SQL("'^' || rtrim(translate({text}, {rest}, ''), '+')").format(text=text, rest=rest)
        for found, dialled in _DIALLED:
            kept = sql.SQL("replace({}, {}, {})").format(kept, sql.Literal(found), sql.Literal(dialled))
        form: sql.Composable = sql.SQL("ltrim({}, '^')").format(kept)
    else:
        form = sql.SQL("lower({})").format(_trimmed(text)) if _is_email(domain) else _trimmed(text)
    return _unless_long(text, form, text)


def _unless_long(text: sql.Composable, short: sql.Composable, long: sql.Composable) -> sql.Composable:
    return sql.SQL("CASE WHEN length({}) <= {} THEN {} ELSE {} END").format(text, sql.Literal(_LONGEST), short, long)


def _trimmed(text: sql.Composable) -> sql.Composable:
    return sql.SQL("btrim({}, E' \\t\\n\\r\\f\\x0b')").format(text)
