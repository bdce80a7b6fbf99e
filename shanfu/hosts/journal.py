"""The words in which the three journals agree, and what reconciliation compares of them.

Acquirer, network and issuer each keep one `journal` row per transaction under its interbank name. Each adds columns of its
own; the states and the columns named here are common. Money counts in APPROVED rows only. Source: the wires page, 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import bindparam, select

from shanfu.store import Shelf, Statement, Store

__all__ = ["BY_NAME", "JournalLine", "Lines", "State", "overdue"]

BY_NAME: Final = ("bucket", "name")


class State(StrEnum):
    """What became of a transaction; the issuer answers at once, so WAITING and EXPIRED are states of the others."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"  # no answer that counts; its reversal is under way
    REVERSED = "REVERSED"
    TOMBSTONE = "TOMBSTONE"  # its reversal came first
    WAITING = "WAITING"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """A transaction as reconciliation compares it."""

    name: str
    rrn: str
    business_date: str
    currency: str
    institution: str
    issuer: str
    mti: str
    processing_code: str
    amount_minor: int
    state: str
    response_code: str
    reason: str


L = TypeVar("L", bound=JournalLine)


class Lines(Generic[L]):
    """How a journal is read as lines."""

    def __init__(self, shelf: Shelf[Any], kind: type[L]) -> None:
        columns, self._kind, self._names = shelf.table.columns, kind, tuple(kind.__dataclass_fields__)
        wanted = select(*(columns[name] for name in self._names)).where(columns.business_date == bindparam("day"))
        self._statement = Statement(wanted.order_by(columns.seq), "day")

    def __call__(self, store: Store, date: str) -> Sequence[L]:
        """Return the transactions of a business date (YYYYMMDD) in the order of arrival."""
        with store.begin() as tx:
            rows = tx.rows(self._statement, (date,))
        return [self._kind(**dict(zip(self._names, row, strict=True))) for row in rows]


def overdue(shelf: Shelf[Any], *, most: int) -> Statement:
    """Return the statement for WAITING rows whose deadline has passed, the longest overdue first."""
    columns = shelf.table.columns
    waiting = shelf.select().where(columns.state == State.WAITING.value, columns.deadline_ms <= bindparam("now_ms"))
    return Statement(waiting.order_by(columns.deadline_ms).limit(most), "now_ms")
