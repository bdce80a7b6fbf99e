"""The journal: one row per transaction, under the terminal's name for it and the interbank one; never removed.

A forwarded request is a row that WAITS; its answer is matched by the interbank name, and the row knows which terminal link,
TPDU and header the answer goes back to. The row holds every value of the answer, so a repeat gets them again. What never
left here (a refusal of our own, a tombstone) bears the terminal's name in both places.

The PAN is sealed for as long as a reversal or an advice may need it; PIN blocks and tracks pass through and are not kept.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import Index, bindparam

from shanfu.acquirer.tables import METADATA
from shanfu.hosts import State, overdue
from shanfu.store import Shelf, Statement, book_of, open_index

__all__ = [
    "ADVISED",
    "BY_TERMINAL_NAME",
    "EXPIRED",
    "FORMAT",
    "JOURNAL",
    "NEVER_MS",
    "SEALED",
    "JournalRow",
    "PaymentKind",
]

BY_TERMINAL_NAME: Final = ("bucket", "terminal_name")
FORMAT: Final = 1
NEVER_MS: Final = 2**62  # a deadline that does not come
ROWS_PER_TURN: Final = 64  # a few milliseconds of work, between two batches of payments


class PaymentKind(StrEnum):
    """What was asked, or told: a script result has no row of its own."""

    BALANCE = "balance"
    OFFLINE = "offline approval"
    PURCHASE = "purchase"
    REFUND = "refund"
    SCRIPT = "script result"
    UNKNOWN = "unknown"
    VOID = "void"


# Kinds whose item of store-and-forward bears their own name.
ADVISED: Final = frozenset({PaymentKind.OFFLINE.value, PaymentKind.REFUND.value})


@dataclass(slots=True)
class JournalRow:
    """One transaction. `station`, `tpdu` and `header` say where its answer goes; `balances` and `chip` are DE54 and DE55.

    `par` is the account reference that came with the answer to a token: the same for all tokens of a card and the card.
    """

    bucket: int
    seq: int
    format: int
    business_date: str
    batch: str
    institution: str
    currency: str
    name: str
    terminal_name: str
    kind: str
    mti: str
    processing_code: str
    issuer: str
    rrn: str
    amount_minor: int
    merchant: str
    terminal: str
    stan: str
    card: str
    pan_sealed: bytes = field(repr=False)
    sealed: int
    entry: str
    psn: str
    condition: str
    local_date: str
    local_time: str
    de60: str
    station: str
    tpdu: str
    header: str
    has_mac: int
    state: str
    response_code: str
    reason: str
    auth_code: str
    balances: str = field(repr=False)
    chip: bytes = field(repr=False)
    par: str = field(repr=False)
    original: str  # of a void or refund: the terminal's name of the payment it takes back
    undone_by: str  # of a payment: the void that takes it back
    refunded_minor: int
    reversed_ms: int
    arrived_ms: int
    deadline_ms: int

    @property
    def forwarded(self) -> bool:
        """Whether it left for the network."""
        return self.name != self.terminal_name


_TABLE: Final = book_of("journal", METADATA, JournalRow, "seq")
Index("journal_name", _TABLE.c.bucket, _TABLE.c.name, unique=True)
Index("journal_terminal_name", _TABLE.c.bucket, _TABLE.c.terminal_name, unique=True)
Index("journal_batch", _TABLE.c.bucket, _TABLE.c.terminal, _TABLE.c.batch)
Index("journal_day", _TABLE.c.business_date)
open_index("journal_waiting", _TABLE.c.deadline_ms, where=_TABLE.c.state == State.WAITING.value)
open_index("journal_sealed", _TABLE.c.business_date, where=_TABLE.c.sealed == 1)
JOURNAL: Final = Shelf(_TABLE, JournalRow)

EXPIRED: Final = overdue(JOURNAL, most=ROWS_PER_TURN)
SEALED: Final = Statement(
    JOURNAL.select()
    .where(_TABLE.c.sealed == 1, _TABLE.c.business_date < bindparam("day"))
    .order_by(_TABLE.c.business_date)
    .limit(ROWS_PER_TURN),
    "day",
)
