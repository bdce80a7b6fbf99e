"""The mirror of the requestors' tokens, and how far the token service has been heard.

The service owns the tokens; the cloud keeps the newest view that it has seen of each, by reference and never by number. The
highest version wins, so notices may come twice, late and out of order. `CursorRow` is the number up to which every notice of a
requestor has been heard: one that is further on leaves a gap, and the cloud asks what it missed.
"""

from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Index

from shanfu.cloud.tables import METADATA, PREFIX
from shanfu.messages import TokenState, TokenView
from shanfu.store import Shelf, book_of

__all__ = [
    "BY_CURSOR", "BY_TOKEN", "BY_TOKENS_DEVICE", "CURSORS", "DEAD", "TOKENS", "CursorRow", "TokenRow",
    "token_row",
]  # fmt: skip

BY_TOKEN: Final = ("bucket", "token")
BY_TOKENS_DEVICE: Final = ("bucket", "device")
BY_CURSOR: Final = ("bucket", "trid")
DEAD: Final = frozenset({TokenState.DEACTIVATED.value, TokenState.DECLINED.value})


@dataclass(slots=True)
class TokenRow:
    """A token of a device; `view` is its TokenView as JSON. `hour_ms` and `hour_sets` bound the key sets of an hour."""

    bucket: int
    token: str
    device: str
    trid: str
    card: str
    state: str
    version: int
    view: bytes
    hour_ms: int
    hour_sets: int
    changed_ms: int

    @property
    def seen(self) -> TokenView:
        """The token as the service last told it."""
        return msgspec.json.decode(self.view, type=TokenView)

    @property
    def dead(self) -> bool:
        """Whether nothing brings this token back."""
        return self.state in DEAD

    def take(self, view: TokenView, *, now_ms: int) -> bool:
        """Take a view over if it is newer than ours; say whether it was."""
        if view.version <= self.version:
            return False
        self.state, self.version, self.view, self.changed_ms = view.state.value, view.version, msgspec.json.encode(view), now_ms
        return True


@dataclass(slots=True)
class CursorRow:
    """How far a requestor's notices have been heard without a gap; `asked_ms` is when we last asked for what is missing."""

    bucket: int
    trid: str
    number: int
    asked_ms: int


def token_row(view: TokenView, *, now_ms: int) -> TokenRow:
    """Return the row of a token that is seen for the first time."""
    return TokenRow(
        0,
        view.token,
        view.device,
        view.trid,
        view.card,
        view.state.value,
        view.version,
        msgspec.json.encode(view),
        0,
        0,
        now_ms,
    )


_TOKENS = book_of(f"{PREFIX}tokens", METADATA, TokenRow, "token")
Index(f"{PREFIX}tokens_device", _TOKENS.c.bucket, _TOKENS.c.device)
_CURSORS = book_of(f"{PREFIX}cursors", METADATA, CursorRow, "trid")

TOKENS: Final = Shelf(_TOKENS, TokenRow)
CURSORS: Final = Shelf(_CURSORS, CursorRow)
