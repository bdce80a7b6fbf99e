"""The journal: one row per transaction, under its interbank name, never removed.

It answers repeats, knows where an answer goes, and is what reconciliation and net positions read. A row's money counts while
it is APPROVED. While the issuer is asked, `kept` holds what a time-out needs of the request, sealed; afterwards it is empty,
so no card number stays longer than the question.

A reversal has no row of its own: it changes its original's, or leaves a TOMBSTONE under the original's name.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import Index, bindparam

from shanfu.network.tables import METADATA
from shanfu.store import Sequencer, Shelf, Statement, journal, number, octets, open_index, text

__all__ = ["BY_NAME", "FORMAT", "JOURNAL", "OVERDUE", "JournalRow", "State", "journal_numbers"]

BY_NAME: Final = ("bucket", "name")
FORMAT: Final = 1
MOST_OVERDUE: Final = 256  # time-outs worked in one tick: each writes a row and a reversal


class State(StrEnum):
    """What became of a transaction."""

    WAITING = "WAITING"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"  # no (authentic) answer, or reversed while asked; the issuer's reversal is under way
    REVERSED = "REVERSED"
    TOMBSTONE = "TOMBSTONE"


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


_TABLE: Final = journal(
    "journal", METADATA, text("name"), text("mti"), text("processing_code"), text("issuer"), text("rrn"),
    number("amount_minor"), text("card"), text("origin"), text("target"), text("state"), text("response_code"),
    text("reason"), text("auth_code"), text("balances"), octets("chip"), octets("kept"), number("deadline_ms"),
    number("arrived_ms"),
)  # fmt: skip
Index("journal_name", _TABLE.c.bucket, _TABLE.c.name, unique=True)
open_index("journal_waiting", _TABLE.c.deadline_ms, where=_TABLE.c.state == State.WAITING.value)
JOURNAL: Final = Shelf(_TABLE, JournalRow)


def journal_numbers() -> Sequencer:
    """Return what gives journal rows their numbers."""
    return Sequencer(_TABLE)


OVERDUE: Final = Statement(
    JOURNAL.select()
    .where(_TABLE.c.state == State.WAITING.value, _TABLE.c.deadline_ms <= bindparam("now_ms"))
    .order_by(_TABLE.c.deadline_ms)
    .limit(MOST_OVERDUE),
    "now_ms",
)
