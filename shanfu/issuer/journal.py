"""The journal: one row per transaction, under its interbank name, never removed.

It answers repeats, carries what a void, refund or reversal must know of its original, and is what reconciliation compares.
A row's money counts while it is APPROVED. A reversal has no row of its own: it changes its original's, or leaves a TOMBSTONE
under the original's name, which refuses that original if it comes later.

A hold is a state of an approved credit payment, not a row elsewhere: HELD until the clearing of its business date makes it
POSTED, a void or reversal RELEASES it, or it has LAPSED.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from sqlalchemy import Index

from shanfu.issuer.tables import METADATA
from shanfu.store import Shelf, book_of, open_index

__all__ = ["FORMAT", "JOURNAL", "Hold", "JournalRow"]

FORMAT: Final = 1


class Hold(IntEnum):
    """Where the money of a credit payment stands; NONE for all that was posted at once."""

    NONE = 0
    HELD = 1
    POSTED = 2
    RELEASED = 3
    LAPSED = 4


@dataclass(slots=True)
class JournalRow:
    """One transaction. `balances` and `chip` are DE54 and DE55 of the answer, kept for a repeat."""

    bucket: int
    seq: int
    format: int
    business_date: str
    batch: str
    institution: str
    currency: str
    name: str
    mti: str
    processing_code: str
    issuer: str
    rrn: str
    amount_minor: int
    card: str
    account: str
    state: str
    response_code: str
    reason: str
    auth_code: str
    balances: str = field(repr=False)
    chip: bytes = field(repr=False)
    original: str  # of a void or refund: the name of the payment it takes back
    undone_by: str  # of a payment: the void that took it back
    refunded_minor: int
    hold: int
    token_last4: str  # of a payment by phone: which token, of whose app, and how its holder was once verified
    trid: str
    assurance: str
    arrived_ms: int


_TABLE: Final = book_of("journal", METADATA, JournalRow, "seq")
Index("journal_name", _TABLE.c.bucket, _TABLE.c.name, unique=True)
open_index("journal_held", _TABLE.c.business_date, where=_TABLE.c.hold == int(Hold.HELD))
JOURNAL: Final = Shelf(_TABLE, JournalRow)
