"""What tells personal data in a text, as data: a pattern, a cheap condition that comes first, and a proof of what matches.

All of it is ASCII and compares by bytes, so that it runs in any encoding. No pattern has a back-reference, and a look-around
has a bounded one or ends with the word: Postgres then matches in a time that grows with the text and not faster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from psycopg import sql

OWN_DATA = "own-data"
SHORTEST = 4  # of a masked value that is searched for, in characters; a shorter one is in any text
SHORTEST_NUMBER = 9  # digits of a column's number in which anything is found

# Where a number begins: not inside a word, another number or a decimal fraction, but after "tel." and "ref-".
_START = r"(?:^|[^0-9A-Za-z+.,-]|(?:^|[^0-9])[.,-])"
_END = r"(?![0-9A-Za-z]|[.,-][0-9])"
_PAIRS = r"(?:[ .-]?[0-9]{8}|(?: [0-9]{2}){4}|(?:\.[0-9]{2}){4}|(?:-[0-9]{2}){4}|[0-9]{2}(?: [0-9]{3}){2})"
_NAMELESS = r"(?:no|ne|do)[._-]?(?:not[._-]?|pas[._-]?)?(?:reply|repondre|repondez)"
_ADDRESSEE = r"""[^][[:space:]@<>"'(),:;/=\\{}|]"""
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
# Networks of nobody: private, loopback, link-local, shared, documentation, benchmarks, multicast and above; one address that
# is all single digits is a version or a public resolver, and .0 or .255 at its end a browser's version or a network.
_NOBODYS = (
    r"(?!0\.|10\.|127\.|169\.254\.|172\.(?:1[6-9]|2[0-9]|3[01])\.|192\.(?:168|0\.[02])\.|198\.(?:1[89]|51\.100)\.|203\.0\.113\."
    r"|100\.(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.|2(?:2[4-9]|[345][0-9])\.|[0-9]\.[0-9]\.[0-9]\.[0-9](?![0-9])"
    r"|[0-9]+\.[0-9]+\.[0-9]+\.(?:0|255)(?![0-9]))"
)
_HEX = r"[0-9A-Fa-f]{1,4}"
_STREETS = (
    r"rue|avenue|ave?\.?|boulevard|b(?:oule)?v?d\.?|place|pl\.|chemin|ch(?:em)?\.|impasse|imp\.|all(?:e|[^ -~]{1,2})es?"
    r"|cours|quai|route|rte\.?|square|r(?:e|[^ -~]{1,2})sidence|lotissement|villa|passage|faubourg|fbg?\.?|hameau"
    r"|lieu[ -]dit|mont(?:e|[^ -~]{1,2})e|sentier|venelle|esplanade|promenade|rond[ -]point|cit(?:e|[^ -~]{1,2})"
)
# Lengths of IBANs, from SWIFT's registry.
_IBANS = (
    '{"AD":24,"AE":23,"AL":28,"AT":20,"AZ":28,"BA":20,"BE":16,"BG":22,"BH":22,"BI":27,"BR":29,"BY":28,"CH":21,"CR":22,'
    '"CY":28,"CZ":24,"DE":22,"DJ":27,"DK":18,"DO":28,"EE":20,"EG":29,"ES":24,"FI":18,"FK":18,"FO":18,"FR":27,"GB":22,'
    '"GE":22,"GI":23,"GL":18,"GR":27,"GT":28,"HR":21,"HU":28,"IE":22,"IL":23,"IQ":23,"IS":26,"IT":27,"JO":30,"KW":30,'
    '"KZ":20,"LB":28,"LC":32,"LI":21,"LT":20,"LU":20,"LV":21,"LY":25,"MC":27,"MD":24,"ME":22,"MK":19,"MN":20,"MR":27,'
    '"MT":31,"MU":30,"NI":28,"NL":18,"NO":15,"OM":23,"PK":24,"PL":28,"PS":29,"PT":25,"QA":29,"RO":24,"RS":22,"RU":33,'
    '"SA":24,"SC":31,"SD":18,"SE":24,"SI":19,"SK":24,"SM":27,"SO":23,"ST":25,"SV":28,"TL":23,"TN":24,"TR":26,"UA":29,'
    '"VA":22,"VG":24,"XK":20,"YE":30}'
)

# One pass over a text tells whether it holds any number that others look for, then a pass for each kind: a gate reads
# several times as fast as the patterns proper.
DIGITS = r"[0-9](?:[ .()-]{0,2}[0-9]){8}|2[ABab](?:[ .-]?[0-9]){8}"  # more than a date has
_PLACE = (  # what a postal address has besides its street
    r"[0-9](?: ?(?:[Bb][Ii][Ss]|[Tt][Ee][Rr]|[Qq][A-Za-z]{5}|[A-Da-d]))?,? +[^ 0-9].*[^0-9A-Za-z][0-9]{5}(?:[^0-9A-Za-z]|$)"
)
_HOST = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:"
AT = "@"
HOLDS_AT = sql.SQL("strpos({text}, '@') > 0 OR strpos({text}, '%40') > 0")
NUMBERED = f"{DIGITS}|{_PLACE}|{_HOST}"
_NIR = sql.SQL(
    "97 - replace(replace(upper(left({found}, 13)), '2A', '19'), '2B', '18')::bigint % 97 = right({found}, 2)::bigint"
)
_LUHN = sql.SQL(
    "(SELECT sum(CASE WHEN (length({found}) - digit.place) % 2 = 0 THEN digit.value::int "
    "WHEN digit.value < '5' THEN digit.value::int * 2 ELSE digit.value::int * 2 - 9 END) % 10 = 0 "
    "FROM unnest(string_to_array({found}, NULL)) WITH ORDINALITY AS digit (value, place))"
)
# What follows an IBAN may look like a part of it: the country says where it ends.
_MOD_97 = sql.SQL(
    "(SELECT string_agg(CASE WHEN sign.value > '9' THEN (ascii(sign.value) - 55)::text ELSE sign.value END, '' "
    "ORDER BY sign.place)::numeric % 97 = 1 FROM unnest(string_to_array(substr({found}, 5, ({lengths}::jsonb ->> "
    "left({found}, 2))::int - 4) || left({found}, 4), NULL)) WITH ORDINALITY AS sign (value, place) "
    "WHERE length({found}) >= ({lengths}::jsonb ->> left({found}, 2))::int)"
)


@dataclass(frozen=True)
class Detector:
    """A kind of personal data: a text holds it if the pattern `gate` is in it, or an @, and one that costs more.

    With a `proof`, the pattern's first group, without blanks, dots and hyphens, must meet that too. `patterns` has those of
    the kinds of columns that it looks into, see `columns.kind`.
    """

    name: str
    patterns: Mapping[str, str]
    gate: str = DIGITS
    proof: sql.SQL | None = None
    any_case: bool = False

    def condition(self, kind: str, text: sql.Composable, gates: Mapping[str, sql.Composable]) -> sql.Composed:
        """Compose the condition that a text of such a column holds it; `gates` tell whether AT, NUMBERED and DIGITS do."""
        pattern = sql.Literal(self.patterns[kind])
        matches = sql.SQL("{} {} {}").format(text, sql.SQL("~*" if self.any_case else "~"), pattern)
        first = gates.get(self.gate)
        if not first:
            first = sql.SQL("{} AND {} ~ {}").format(gates[NUMBERED], text, sql.Literal(self.gate))
        if not self.proof:
            return sql.SQL("CASE WHEN {} THEN {} END").format(first, matches)
        return sql.SQL(
            "CASE WHEN {first} THEN CASE WHEN {matches} THEN EXISTS (SELECT FROM regexp_matches({text}, {pattern}, 'g') "
            "AS match (groups), translate(match.groups[1], ' .-', '') AS found (value) WHERE {proof}) END END"
        ).format(
            first=first,
            matches=matches,
            text=text,
            pattern=pattern,
            proof=self.proof.format(found=sql.SQL("found.value"), lengths=sql.Literal(_IBANS)),
        )


_NIR_SHAPE = (
    r"[1-478][ .-]?[0-9]{2}[ .-]?(?:0[1-9]|1[0-2]|[23][0-9]|4[0-2]|[5-9][0-9])[ .-]?(?:[0-9]{2}|2[ABab])"
    r"[ .-]?[0-9][ .-]?[0-9]{2}[ .-]?[0-9]{3}[ .-]?[0-9]{2}"
)
_CARD_SHAPE = (
    r"(?:4[0-9]{3}|5[1-5][0-9]{2}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)|6(?:011|5[0-9]{2}))"
    r"(?:[ -]?[0-9]{4}){3}|3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}"
)


def _same(pattern: str, *kinds: str) -> Mapping[str, str]:
    return MappingProxyType(dict.fromkeys(kinds, pattern))


DETECTORS = (
    Detector(
        "email",
        _same(
            rf"(?:^|{_ADDRESSEE.replace('[^', '[', 1)})(?!{_NAMELESS}|git@){_ADDRESSEE}+(?:@|%40)"
            r"(?!(?:[a-z0-9-]+\.){0,4}(?:example|exemple|test|invalid|localhost)(?![a-z0-9-])|[0-9]x\.)"
            r"[a-z0-9](?:[a-z0-9-]*\.)+[a-z]{2,}",
            "text",
        ),
        gate=AT,
        any_case=True,
    ),
    Detector(
        "phone",
        MappingProxyType(
            {
                "text": rf"{_START}0[1-9]{_PAIRS}{_END}"
                rf"|(?:^|[^0-9A-Za-z])(?:\+|00)(?:33|262|508|590|594|596|687|689)[ .-]?(?:\(0\)[ .-]?)?[1-9]{_PAIRS}{_END}",
                # a number has lost its zero; of those that remain, mobile ones alone differ from identifiers
                "number": r"^(?:[67][0-9]{8}|33[1-9][0-9]{8})(?:\.0+)?$",
            }
        ),
    ),
    Detector("nir", _same(rf"{_START}({_NIR_SHAPE}){_END}", "text", "number"), proof=_NIR),
    Detector(
        "iban",
        _same(
            r"(?:^|[^0-9A-Za-z])([A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?)"
            r"(?![0-9A-Za-z])",
            "text",
        ),
        proof=_MOD_97,
    ),
    Detector("card", _same(rf"{_START}({_CARD_SHAPE}){_END}", "text", "number"), proof=_LUHN),
    Detector(
        "ip-address",
        _same(
            rf"(?:^|[^0-9A-Za-z./_-]|//){_NOBODYS}{_BYTE}(?:\.{_BYTE}){{3}}(?![0-9A-Za-z_-]|\.[0-9])"
            # of IPv6, what is routed begins with 2 or 3; 2001:db8 is documentation
            rf"|(?:^|[^0-9A-Za-z:.])(?!2001:0?db8:)[23][0-9A-Fa-f]{{3}}(?:(?::{_HEX}){{7}}|(?::{_HEX}){{0,6}}::"
            rf"(?:{_HEX}(?::{_HEX}){{0,5}})?)(?![0-9A-Za-z:])",
            "text",
            "address",
        ),
        gate=_HOST,
    ),
    Detector(
        "postal-address",
        _same(
            rf"(?:^|[^0-9A-Za-z])[0-9]{{1,4}}(?: ?(?:bis|ter|quater|[a-d]))?,? +(?:{_STREETS}) .{{1,80}}[^0-9]"
            r"[0-9]{5}(?![0-9])",
            "text",
        ),
        gate=_PLACE,
        any_case=True,
    ),
)
