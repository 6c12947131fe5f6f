"""E-mail addresses: what stands behind the @, where so many have it that it tells nothing about one of them."""

import re
from dataclasses import dataclass
from typing import Self

from psycopg import sql

from multischema.catalog import foreign
from multischema.masks.mask import LONGEST, Masked, Refined, Unreadable

OTHER = "autre"
# Those of millions, the most common first: before 14, servers compare one after the other.
PROVIDERS = (
    *("gmail.com", "hotmail.fr", "hotmail.com", "orange.fr", "yahoo.fr", "free.fr", "outlook.fr", "laposte.net", "sfr.fr"),
    *("wanadoo.fr", "icloud.com", "live.fr", "outlook.com", "yahoo.com", "neuf.fr", "msn.com", "bbox.fr", "aol.com"),
    *("me.com", "mac.com", "googlemail.com", "live.com", "ymail.com", "aol.fr", "gmx.fr", "gmx.com", "gmx.net"),
    *("proton.me", "protonmail.com", "pm.me", "club-internet.fr", "numericable.fr", "cegetel.net", "aliceadsl.fr"),
)
PUBLIC_BODIES = "*.gouv.fr"
_LONGEST_SHOWN = 63
_DOMAIN = re.compile(r"(?:\*\.)?(?:[a-z0-9-]{1,63}\.)+[a-z0-9-]{1,63}")
_AROUND = " \t\r\n.>"  # "Marie <marie@gmail.com>", and the dot at the end of a full name


@dataclass(frozen=True)
class Domain(Refined):
    """The domain of an e-mail address, in lower case, if it is on the list or the file's `domains` have it; else `autre`.

    It is what follows the last @. Of `*.cd62.fr`, all that ends so is shown: names of a few labels, 63 characters at most.
    """

    more: tuple[str, ...] = ()

    kind = "domain"
    fits = ("text",)

    @property
    def width(self) -> int:
        """Return the bytes that a masked value leaves in its row once it is moved out of line."""
        return 18

    @classmethod
    def read(cls, found: object) -> Self:
        """Return the mask that shows these domains too. Raises Unreadable."""
        domains = [] if found is None else found
        if not isinstance(domains, list) or not all(isinstance(one, str) and _DOMAIN.fullmatch(one) for one in domains):
            raise Unreadable("want domains such as cd62.fr or *.departement.fr, in lower case")
        return cls(tuple(sorted(set(domains))))

    def written(self) -> object:
        """Return what `read` takes."""
        return list(self.more) or None

    def published(self, column: Masked) -> sql.Composable:
        """Compose the domain. Without an @ it is empty."""
        # split_part() takes from the end from 14 on only
        domain = sql.SQL("lower(btrim(right({text}, greatest(strpos(reverse({text}), '@') - 1, 0)), {around}))").format(
            text=sql.SQL('({} COLLATE "C")').format(column.value), around=sql.Literal(_AROUND)
        )
        return sql.SQL("(CASE WHEN octet_length({}) <= {} AND {} THEN {} ELSE {} END)::{}").format(
            column.value,
            sql.Literal(LONGEST),
            self._is_shown(domain),
            domain,
            sql.Literal(OTHER),
            foreign.type_(column.type),
        )

    def proof(self, column: Masked) -> sql.Composable:
        """Compose that a value is a domain that is shown, or says that it is another."""
        name = sql.SQL('({} COLLATE "C")').format(column.name)
        return sql.SQL("{} = {} OR {}").format(name, sql.Literal(OTHER), self._is_shown(name))

    def covers(self, other: Refined) -> bool:
        """Tell whether it surely shows no more than another."""
        assert isinstance(other, Domain)
        return set(self.more) <= set(other.more)

    def _is_shown(self, domain: sql.Composable) -> sql.Composable:
        exact = [*PROVIDERS, *(one for one in self.more if one[0] != "*")]
        ends = [f"%{one[1:]}" for one in (PUBLIC_BODIES, *self.more) if one[0] == "*"]
        return sql.SQL(
            "({domain} = ANY ({exact}) OR {domain} LIKE ANY ({ends}) "
            "AND {domain} ~ '^[a-z0-9-]+(?:[.][a-z0-9-]+)+$' AND length({domain}) <= {longest})"
        ).format(domain=domain, exact=sql.Literal(exact), ends=sql.Literal(ends), longest=sql.Literal(_LONGEST_SHOWN))
