"""Net positions: what each institution is owed (positive) or owes, per business date and currency.

Sums over the journal: an approved purchase credits the acquirer and debits the issuer, an approved void or refund the other
way round. When a day closes its sums are written; what changes a closed day afterwards (a reversal that came late, an answer
that was on its way) adds a row of its own. So rows are only ever inserted, and for a closed day their sum is what the journal
gives live. Over all institutions each currency sums to zero.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Index, bindparam, func, select

from shanfu.hosts import State
from shanfu.network.journal import JOURNAL, JournalRow
from shanfu.network.tables import METADATA
from shanfu.store import Params, Shelf, Statement, Transaction, book_of

__all__ = ["POSITIONS", "Position", "PositionRow", "counted", "kept_positions", "live_positions"]

CLOSE: Final = "close"  # the cause of the rows that are written when a day closes
SIGNS: Final = {"000000": 1, "200000": -1}  # DE3: purchase, void and refund; nothing else moves money


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What `institution` is owed for a business date; `count` transactions contributed."""

    institution: str
    currency: str
    amount_minor: int
    count: int


@dataclass(slots=True)
class PositionRow:
    """A sum of a closed day, or an adjustment to it whose `cause` is a transaction's name."""

    bucket: int
    seq: int
    business_date: str
    institution: str
    currency: str
    amount_minor: int
    count: int
    cause: str


_TABLE: Final = book_of("positions", METADATA, PositionRow, "seq")
Index("positions_day", _TABLE.c.business_date)
POSITIONS: Final = Shelf(_TABLE, PositionRow)

_J: Final = JOURNAL.table.c
_LIVE: Final = Statement(
    select(_J.institution, _J.issuer, _J.currency, _J.processing_code, func.sum(_J.amount_minor), func.count())
    .where(_J.business_date == bindparam("day"), _J.state == State.APPROVED.value, _J.processing_code.in_(tuple(SIGNS)))
    .group_by(_J.institution, _J.issuer, _J.currency, _J.processing_code),
    "day",
)
_P: Final = _TABLE.c
_KEPT: Final = Statement(
    select(_P.institution, _P.currency, func.sum(_P.amount_minor), func.sum(_P.count))
    .where(_P.business_date == bindparam("day"))
    .group_by(_P.institution, _P.currency),
    "day",
)


def live_positions(tx: Transaction, day: str) -> list[Position]:
    """Return the net positions of a business date as the journal gives them now."""
    flows = []
    for acquirer, issuer, currency, processing, amount, count in tx.rows(_LIVE, (day,)):
        signed = SIGNS[processing] * int(amount)
        flows += [(acquirer, currency, signed, count), (issuer, currency, -signed, count)]
    return _summed(flows)


def kept_positions(tx: Transaction, day: str) -> list[Position]:
    """Return the net positions of a closed business date as they were written, adjustments included."""
    return _summed(tx.rows(_KEPT, (day,)))


def counted(row: JournalRow) -> list[tuple[str, int]]:
    """Return what a journal row moves: institution and signed amount; nothing unless it is approved."""
    sign = SIGNS.get(row.processing_code, 0) if row.state == State.APPROVED else 0
    return [(row.institution, sign * row.amount_minor), (row.issuer, -sign * row.amount_minor)] if sign else []


def _summed(flows: Iterable[Params]) -> list[Position]:
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for institution, currency, amount, count in flows:
        before = sums.get((institution, currency), (0, 0))
        sums[institution, currency] = (before[0] + int(amount), before[1] + int(count))
    return [
        Position(institution=institution, currency=currency, amount_minor=amount, count=count)
        for (institution, currency), (amount, count) in sorted(sums.items())
        if count
    ]
