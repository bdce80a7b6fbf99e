"""Where a card's issuer is: BIN prefixes, the longest that fits decides (ISO 7812: the issuer stands in the first digits).

Tokens have BINs of their own. Their routes lead to the station of the token service, which knows the card behind each; the
institution named beside it is their issuer all the same, to whom positions count. Which station is a token service's, its
member says.

The table is read whole and kept while the books' `routes_version` stays the same: it is small, changes rarely, and a payment
must not pay for it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shanfu.network.tables import METADATA
from shanfu.store import Shelf, Statement, book_of

__all__ = ["ALL_ROUTES", "BY_PREFIX", "ROUTES", "RouteRow", "RouteTable"]

BY_PREFIX: Final = ("bucket", "prefix")


@dataclass(slots=True)
class RouteRow:
    """Cards or tokens beginning with `prefix` are `institution`'s; `station` is asked about them first."""

    bucket: int
    prefix: str
    institution: str
    station: str


_TABLE: Final = book_of("routes", METADATA, RouteRow, "prefix")
ROUTES: Final = Shelf(_TABLE, RouteRow)
ALL_ROUTES: Final = Statement(ROUTES.select().order_by(_TABLE.c.prefix))


class RouteTable:
    """All routes, for look-up by card number."""

    __slots__ = ("_lengths", "_routes", "version")

    def __init__(self, rows: Iterable[RouteRow], version: int) -> None:
        self._routes = {row.prefix: row for row in rows}
        self._lengths = sorted({len(prefix) for prefix in self._routes}, reverse=True)
        self.version = version

    def find(self, pan: str) -> RouteRow | None:
        """Return the route of the longest prefix that fits, or None.

        >>> routes = RouteTable([RouteRow(0, "62", "99010000", "a"), RouteRow(0, "620911", "99020000", "b")], 1)
        >>> routes.find("6209110000000014").station, routes.find("6222000000000000").station, routes.find("4000000000000000")
        ('b', 'a', None)
        """
        for length in self._lengths:
            route = self._routes.get(pan[:length])
            if route:
                return route
        return None
