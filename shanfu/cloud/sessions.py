"""The sessions of phones: a key both ends agreed on, a counter that rises, and who has logged in.

A phone has one session at a time: opening another ends the one before, so that nobody goes on with a copy of it. The key is a
block that only the HSM can open.
"""

from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import Index, bindparam

from shanfu.cloud.tables import METADATA, PREFIX
from shanfu.store import Shelf, Statement, book_of

__all__ = ["BY_SESSION", "BY_SESSIONS_DEVICE", "OLD_SESSIONS", "SESSIONS", "Offer", "SessionRow"]

BY_SESSION: Final = ("bucket", "session")
BY_SESSIONS_DEVICE: Final = ("bucket", "device")
MOST_OLD: Final = 256  # rows that one tick clears away


class Offer(Struct, frozen=True):
    """A card that its issuer has offered to who is logged in, and the terms to accept."""

    card: str
    terms: str


@dataclass(slots=True)
class SessionRow:
    """A session. `counter` is the highest that was used; `customer` is "" until somebody logs in; `offers` is JSON."""

    bucket: int
    session: str
    device: str
    block: str = field(repr=False)
    counter: int
    customer: str = field(repr=False)
    offers: bytes
    opened_ms: int
    expires_ms: int

    def offer(self, card: str) -> Offer | None:
        """Return the offer of this card to who is logged in."""
        offers = msgspec.json.decode(self.offers, type=list[Offer])
        return next((offer for offer in offers if offer.card == card), None)


_SESSIONS = book_of(f"{PREFIX}sessions", METADATA, SessionRow, "session")
Index(f"{PREFIX}sessions_device", _SESSIONS.c.bucket, _SESSIONS.c.device)
Index(f"{PREFIX}sessions_age", _SESSIONS.c.expires_ms)

SESSIONS: Final = Shelf(_SESSIONS, SessionRow)
OLD_SESSIONS: Final = Statement(
    SESSIONS.select().where(_SESSIONS.c.expires_ms <= bindparam("before_ms")).order_by(_SESSIONS.c.expires_ms).limit(MOST_OLD),
    "before_ms",
)
