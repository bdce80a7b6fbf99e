"""The members: institutions that are linked to the network, each link under the name of its station.

An institution with one link has a station of its own identifier; one whose acquirer and issuer dial apart has two stations.
Being signed on belongs to a life of the network's process: after a crash every link is new, and nobody is signed on who has
not said so to *this* process. `ready` means that the key resets after signing on were confirmed too; a token service needs
no PIN key, so its MAK is enough.

`resets` keeps the new key of a reset under way until the member has confirmed it.
"""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import bindparam

from shanfu.network.tables import METADATA
from shanfu.store import Shelf, Statement, book_of

__all__ = [
    "ALL_MEMBERS", "BY_STATION", "DUE_RESETS", "MEMBERS", "READY", "RESETS", "MemberRow", "ResetRow",
]  # fmt: skip

BY_STATION: Final = ("bucket", "station")
MOST_RESETS: Final = 64  # a tick's share when all members sign on at once


@dataclass(slots=True)
class MemberRow:
    """One link. `acquirer`, `issuer` and `tsp` (token service) are 0 or 1; `signed_on_ms` counts only with our own `life`."""

    bucket: int
    station: str
    institution: str
    name: str
    acquirer: int
    issuer: int
    tsp: int
    signed_on_ms: int
    ready: int
    life: str

    def signed_on(self, life: str) -> bool:
        """Whether the member has signed on to this process."""
        return self.signed_on_ms > 0 and self.life == life

    def reachable(self, life: str) -> bool:
        """Whether requests may be sent: signed on, and the keys are agreed."""
        return self.ready == 1 and self.signed_on(life)

    @property
    def moves_pins(self) -> bool:
        """Whether PIN blocks cross its link."""
        return bool(self.acquirer or self.issuer)

    def sign_off(self) -> None:
        """Forget that the member was there."""
        self.signed_on_ms, self.ready = 0, 0


@dataclass(slots=True)
class ResetRow:
    """A key reset under way: `usage` is MAK or PIK, `block` the new key, `name` the DE7.DE11 that the answer repeats."""

    bucket: int
    station: str
    usage: str
    block: str = field(repr=False)
    name: str
    next_ms: int
    attempts: int


_MEMBERS: Final = book_of("members", METADATA, MemberRow, "station")
MEMBERS: Final = Shelf(_MEMBERS, MemberRow, kept=True)
ALL_MEMBERS: Final = Statement(MEMBERS.select().order_by(_MEMBERS.c.station))
READY: Final = Statement(MEMBERS.select().where(_MEMBERS.c.ready == 1, _MEMBERS.c.life == bindparam("life")), "life")

_RESETS: Final = book_of("resets", METADATA, ResetRow, "station")
RESETS: Final = Shelf(_RESETS, ResetRow, kept=True)
DUE_RESETS: Final = Statement(
    RESETS.select().where(_RESETS.c.next_ms <= bindparam("now_ms")).order_by(_RESETS.c.next_ms).limit(MOST_RESETS), "now_ms"
)
