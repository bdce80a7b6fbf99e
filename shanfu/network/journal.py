"""The journal: one row per transaction, under its interbank name, never removed.

It answers repeats, knows where an answer goes, and is what reconciliation and net positions read. A row's money counts while
it is APPROVED. While the issuer is asked, `kept` holds what a time-out needs of the request, sealed; afterwards it is empty,
so no card number stays longer than the question.

A reversal has no row of its own: it changes its original's, or leaves a TOMBSTONE under the original's name.
"""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Index

from shanfu.hosts import State, overdue
from shanfu.network.tables import METADATA
from shanfu.store import Shelf, book_of, open_index

__all__ = ["FORMAT", "JOURNAL", "OVERDUE", "JournalRow"]

FORMAT: Final = 1
MOST_OVERDUE: Final = 256  # time-outs worked in one tick: each writes a row and a reversal


@dataclass(slots=True)
class JournalRow:
    """One transaction. `origin` and `target` are the stations of acquirer and issuer; `balances`, `chip`: DE54, DE55."""

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
    origin: str
    target: str
    state: str
    response_code: str
    reason: str
    auth_code: str
    balances: str = field(repr=False)
    chip: bytes = field(repr=False)
    kept: bytes = field(repr=False)
    deadline_ms: int
    arrived_ms: int


_TABLE: Final = book_of("journal", METADATA, JournalRow, "seq")
Index("journal_name", _TABLE.c.bucket, _TABLE.c.name, unique=True)
open_index("journal_waiting", _TABLE.c.deadline_ms, where=_TABLE.c.state == State.WAITING.value)
JOURNAL: Final = Shelf(_TABLE, JournalRow)

OVERDUE: Final = overdue(JOURNAL, most=MOST_OVERDUE)
