"""Batches: what a terminal settles at once. One row per terminal and number; its sums are computed from the journal.

A sign-in opens a batch when the last one is settled. A settlement compares the terminal's totals with ours: equal ones close
the batch, others leave it open, so that what is under way can still arrive and the comparison be made again.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import bindparam, case, func, select

from shanfu.acquirer.journal import JOURNAL, PaymentKind
from shanfu.acquirer.tables import METADATA
from shanfu.hosts import State
from shanfu.iso8583 import Totals
from shanfu.store import Shelf, Statement, Transaction, book_of

__all__ = ["BATCHES", "BY_BATCH", "Batch", "BatchState", "following", "totals_of"]

BY_BATCH: Final = ("bucket", "terminal", "number")
LAST: Final = 999_999  # DE60.2 has six digits


class BatchState(StrEnum):
    """Whether payments still join it."""

    OPEN = "OPEN"
    SETTLED = "SETTLED"


@dataclass(slots=True)
class Batch:
    """One batch. `settled_by` is the DE11 of the settlement that closed it, `answer` and `rrn` its DE48 and DE37."""

    bucket: int
    terminal: str
    number: str
    state: str
    opened_ms: int
    closed_ms: int
    settled_by: str
    answer: str
    rrn: str


BATCHES: Final = Shelf(
    book_of("batches", METADATA, Batch, "terminal", "number"),
    Batch,
)

_t = JOURNAL.table.c
_is_debit = _t.kind.in_((PaymentKind.PURCHASE.value, PaymentKind.OFFLINE.value))
_is_credit = _t.kind.in_((PaymentKind.VOID.value, PaymentKind.REFUND.value))
_counts = _t.state == State.APPROVED.value
_waits = (_t.state == State.WAITING.value) & (_t.kind != PaymentKind.REFUND.value)


def _sum(condition: object, what: object) -> object:
    return func.coalesce(func.sum(case((condition, what), else_=0)), 0)  # type: ignore[arg-type]


_TOTALS: Final = Statement(
    select(
        _sum(_counts & _is_debit, _t.amount_minor),  # type: ignore[call-overload]
        _sum(_counts & _is_debit, 1),
        _sum(_counts & _is_credit, _t.amount_minor),
        _sum(_counts & _is_credit, 1),
        _sum(_waits, 1),
    ).where(_t.bucket == bindparam("bucket"), _t.terminal == bindparam("terminal"), _t.batch == bindparam("batch")),
    "bucket",
    "terminal",
    "batch",
)


def totals_of(tx: Transaction, bucket: int, terminal: str, *, batch: str) -> tuple[Totals, int]:
    """Return what the journal says of a batch, and how many of its requests still wait for an answer; saved rows only."""
    row = tx.one(_TOTALS, (bucket, terminal, batch))
    assert row
    debit, debits, credit, credits_, waiting = (int(value) for value in row)
    return Totals(debit, debits, credit, credits_), waiting


def following(batch: str) -> str:
    """Return the number of the batch after this one.

    >>> following(""), following("000007"), following("999999")
    ('000001', '000008', '000001')
    """
    return f"{(int(batch or 0) % LAST) + 1:06d}"
