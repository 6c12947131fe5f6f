"""Where somebody lives or comes from: a French postal or INSEE code becomes its department, an address its network."""

from dataclasses import dataclass
from typing import Self

from psycopg import sql

from multischema.catalog import foreign
from multischema.masks.mask import LONGEST, Masked, Refined, Unreadable

# INSEE's list of departments and of what stands beside them overseas. 984 and 989 are in it and not here: nobody lives in
# the southern lands or on Clipperton, so who is there is one of few. Monaco (980) is another state; 99 are births abroad,
# 00 are the army's sectors, and a CEDEX is of the department that its code begins with.
_OVERSEAS = ("971", "972", "973", "974", "975", "976", "977", "978", "986", "987", "988")
DEPARTMENTS = (*(f"{number:02}" for number in range(1, 96) if number != 20), "2A", "2B", *_OVERSEAS)
_BLANKS = " \t\r\n"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_BYTE}(?:[.]{_BYTE}){{3}}"
_BITS, _MORE_BITS = "(?:/(?:3[0-2]|[12]?[0-9]))?", "(?:/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9]))?"
_IPV4_BITS, _IPV6_BITS = 16, 32


class _Place(Refined):
    """A mask that is a word alone in the rules, and leaves NULL where a value says nothing of a place."""

    @property
    def keeps_not_null(self) -> bool:
        """Tell whether a value always has a masked one."""
        return False

    @classmethod
    def read(cls, found: object) -> Self:
        """Return the mask that the rules describe. Raises Unreadable."""
        if found is not None:
            raise Unreadable("want no value")
        return cls()

    def written(self) -> object:
        """Return what `read` takes."""
        return None

    def covers(self, other: Refined) -> bool:  # noqa: ARG002
        """Tell whether it surely shows no more than another: there is one."""
        return True


@dataclass(frozen=True)
class Department(_Place):
    """The department of a postal or INSEE code of five characters; NULL for anything else.

    Postal codes are those of the post office that delivers: a few places have one of the next department.
    """

    kind = "department"
    fits = ("text",)

    def published(self, column: Masked) -> sql.Composable:
        """Compose the department of a code.

        Most are five digits: comparisons and a pattern for what is no digit tell these in half the time. Patterns that
        capture nothing are ten times as fast as one that does.
        """
        text = sql.SQL('({} COLLATE "C")').format(column.value)
        return sql.SQL(
            "(CASE WHEN octet_length({text}) = 5 AND {text} BETWEEN '01000' AND '95999' "
            "AND {text} NOT BETWEEN '20' AND '20999' AND {text} !~ '[^0-9]' THEN left({text}, 2) "
            "WHEN octet_length({text}) > {longest} THEN NULL "
            "WHEN {code} ~ '^(?:0[1-9]|1[0-9]|2[1-9AB]|[3-8][0-9]|9[0-5])[0-9][0-9][0-9]$' THEN left({code}, 2) "
            "WHEN {code} ~ '^(?:97[1-8]|98[678])[0-9][0-9]$' THEN left({code}, 3) "
            "WHEN {code} ~ '^20[01][0-9][0-9]$' THEN '2A' WHEN {code} ~ '^20[2-6][0-9][0-9]$' THEN '2B' END)::{type}"
        ).format(
            text=text,
            longest=sql.Literal(LONGEST),
            code=sql.SQL("btrim({}, {})").format(text, sql.Literal(_BLANKS)),
            type=foreign.type_(column.type),
        )

    def proof(self, column: Masked) -> sql.Composable:
        """Compose that a value is a department."""
        return sql.SQL('{} COLLATE "C" = ANY ({})').format(column.name, sql.Literal(list(DEPARTMENTS)))


@dataclass(frozen=True)
class Network(_Place):
    """The network of an IP address: 16 bits, of IPv6 32; fewer where it is one of fewer. NULL for a text that is no address.

    Of a text, ports, zones, lists and zeros in front (which some read as octal) make no address.
    """

    kind = "network"
    fits = ("inet", "cidr", "text")

    @property
    def width(self) -> int:
        """Return the bytes that a masked value leaves in its row once it is moved out of line."""
        return 18

    def published(self, column: Masked) -> sql.Composable:
        """Compose the network of an address."""
        value = column.value
        network = sql.SQL("network(set_masklen({address}, least(masklen({address}), {bits})))::{type}").format(
            address=_address(value), bits=_bits(value), type=foreign.type_(column.type)
        )
        if column.flat.family != "text":
            return network
        return sql.SQL("CASE WHEN {} THEN {} END").format(_is_address(value), network)

    def proof(self, column: Masked) -> sql.Composable:
        """Compose that a value is a network, and of no more bits than are shown."""
        name, is_text = column.name, column.flat.family == "text"
        proof = sql.SQL("masklen({address}) <= {bits} AND {name} = network({address}){text}").format(
            address=_address(name),
            bits=_bits(name),
            name=sql.SQL('{} COLLATE "C"').format(name) if is_text else name,
            text=sql.SQL("::text" if is_text else ""),
        )
        return sql.SQL("CASE WHEN {} THEN {} END").format(_is_address(name), proof) if is_text else proof


def _address(value: sql.Composable) -> sql.Composable:
    return sql.SQL("{}::inet").format(value)


def _bits(value: sql.Composable) -> sql.Composable:
    return sql.SQL("CASE family({}) WHEN 4 THEN {} ELSE {} END").format(
        _address(value), sql.Literal(_IPV4_BITS), sql.Literal(_IPV6_BITS)
    )


def _is_address(value: sql.Composable) -> sql.Composable:
    """Compose that a text is an address which every server reads: only that of 16 and later can tell by itself.

    One pattern for all of IPv6 is so big that a match takes 15 µs: these are small, and colons are counted.
    """
    ipv4, mapped = (sql.Literal(f"^{before}{_IPV4}{bits}$") for before, bits in (("", _BITS), ("::[Ff]{4}:", _MORE_BITS)))
    return sql.SQL(
        "octet_length({text}) <= {longest} AND ({text} ~ {ipv4} OR {text} ~ {ipv6} AND {text} !~ {odd} AND "
        "length({text}) - length(replace({text}, ':', '')) BETWEEN "
        "CASE WHEN strpos({text}, '::') > 0 THEN 2 ELSE 7 END AND 7 OR {text} ~ {mapped})"
    ).format(
        text=sql.SQL('({} COLLATE "C")').format(value),
        longest=sql.Literal(LONGEST),
        ipv4=ipv4,
        ipv6=sql.Literal(f"^[0-9A-Fa-f:]+{_MORE_BITS}$"),
        odd=sql.Literal("[0-9A-Fa-f]{5}|:::|::.*::|^:[^:]|[^:]:(?:/|$)"),
        mapped=mapped,
    )
