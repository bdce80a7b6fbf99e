"""Pushes: what a phone should hear soon, numbered for each phone, kept until it has asked for the next ones.

A push has an expiry; a phone that gets it later does not act on it, but remembers that something was missed (facts §4.7). A
phone that is off for longer than pushes are kept reads its tokens' states, which is all a push would have made it do.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Index, bindparam

from shanfu.cloud.tables import METADATA, PREFIX
from shanfu.messages import wallet
from shanfu.store import Shelf, Statement, book_of

__all__ = ["BY_PUSHES_DEVICE", "OLD_PUSHES", "PUSHES", "PushRow"]

BY_PUSHES_DEVICE: Final = ("bucket", "device")
MOST_OLD: Final = 256  # rows that one tick clears away


@dataclass(slots=True)
class PushRow:
    """Push `number` of a device; `notice` names the notice of the token service that it comes from."""

    bucket: int
    device: str
    number: int
    token: str
    event: str
    reason: str
    notice: str
    expires_ms: int

    @property
    def message(self) -> wallet.Push:
        """The push as it travels."""
        return wallet.Push(
            number=self.number, token=self.token, event=self.event, reason=self.reason, expires_ms=self.expires_ms
        )


_PUSHES = book_of(f"{PREFIX}pushes", METADATA, PushRow, "device", "number")
Index(f"{PREFIX}pushes_age", _PUSHES.c.expires_ms)

PUSHES: Final = Shelf(_PUSHES, PushRow)
OLD_PUSHES: Final = Statement(
    PUSHES.select().where(_PUSHES.c.expires_ms <= bindparam("before_ms")).limit(MOST_OLD), "before_ms"
)
