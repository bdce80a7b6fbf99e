"""Tokens of our cards, as far as the bank knows them: on which phone each is, what it has decided, how it stands now.

A row begins when the token service asks whether a card may become a token; its state then follows the service's notices, of
which the one with the highest version counts. The number of a token is not here, only its last digits.
"""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Index

from shanfu.issuer.tables import METADATA
from shanfu.messages import TokenState, TokenView
from shanfu.store import Shelf, book_of

__all__ = ["BY_SENDER", "BY_TOKEN", "BY_TOKEN_CARD", "HEARD", "LIVING", "TOKENS", "HeardRow", "TokenRow", "follow"]

BY_TOKEN: Final = ("bucket", "token")
BY_TOKEN_CARD: Final = ("card",)
BY_SENDER: Final = ("bucket", "sender")
LIVING: Final = frozenset((TokenState.INACTIVE.value, TokenState.ACTIVE.value, TokenState.SUSPENDED.value))


@dataclass(slots=True)
class TokenRow:
    """One token; `card` is the card's reference, `proofs` the ways in which its holder was verified for it, spaced.

    `asked` is the question as it came, so that other rules can be tried on it.
    """

    bucket: int
    token: str
    card: str
    customer: str
    trid: str
    device: str
    device_name: str
    device_model: str
    asked: bytes = field(repr=False)
    colour: str
    reasons: str
    tries_left: int
    proofs: str
    state: str
    suspended_by: str
    version: int
    token_last4: str
    pan_last4: str
    expiry: str
    par: str
    assurance: str
    reason: str
    asked_ms: int
    changed_ms: int


@dataclass(slots=True)
class HeardRow:
    """How far the notices of a token service were heard without a gap; `asked_ms` when we asked for what is missing."""

    bucket: int
    sender: str
    number: int
    asked_ms: int


def follow(row: TokenRow, view: TokenView, *, at_ms: int) -> bool:
    """Take over how a token stands, unless something newer is known; say whether anything was new."""
    if view.version <= row.version:
        return False
    row.version, row.state = view.version, view.state.value
    row.suspended_by = " ".join(actor.value for actor in view.suspended_by)
    row.token_last4, row.pan_last4, row.expiry, row.par = view.token_last4, view.pan_last4, view.expiry, view.par
    row.assurance, row.reason, row.changed_ms = view.assurance, view.reason, at_ms
    return True


_TABLE: Final = book_of("tokens", METADATA, TokenRow, "token")
Index("tokens_card", _TABLE.c.card)
TOKENS: Final = Shelf(_TABLE, TokenRow)
HEARD: Final = Shelf(book_of("heard", METADATA, HeardRow, "sender"), HeardRow)
