"""The history: one row for each payment of a token, under its interbank name, kept for 18 months.

It answers repeats, says why a payment was refused (the explain record), and is how a void, a refund or a reversal finds the
account long after: by the original's name, or its DE37 and DE7, whatever became of the token since. It holds no PAN and no
token's number, only the token's reference and a keyed hash: money goes to the PAN that the vault has *now*.

    RESOLVED → APPROVED or DECLINED (the issuer's outcome) → REVERSED
    REFUSED (by us: the issuer never hears)      TOMBSTONE (its reversal came first)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import msgspec
from sqlalchemy import Index, bindparam

from shanfu.hosts import JournalLine, Lines, State
from shanfu.messages import ExplainStep, TransactionView
from shanfu.store import Shelf, Statement, Store, book_of
from shanfu.tsp.interbank import Kind
from shanfu.tsp.tables import METADATA, PREFIX

__all__ = [
    "BY_NAME", "BY_RRN", "FORMAT", "HISTORY", "PAGE", "RECENT", "HistoryRow", "HistoryState", "Step", "explained",
    "journal_lines", "packed", "view",
]  # fmt: skip

FORMAT: Final = 1
BY_NAME: Final = ("name",)
BY_RRN: Final = ("rrn", "sent")
MOST_COMPARED: Final = 256  # authorisations that one usage report is compared with: more than a key set can have


class HistoryState(StrEnum):
    """What became of a payment, as far as we know."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    REFUSED = "REFUSED"
    RESOLVED = "RESOLVED"
    REVERSED = "REVERSED"
    TOMBSTONE = "TOMBSTONE"


@dataclass(slots=True)
class HistoryRow:
    """One payment. `number` is the keyed hash of the token's number as it was sent, `token` the reference, "" if unknown.

    `sequence` is the key set that paid (0 without one), `atc` its counter, -1 unless the cryptogram was right. `response_code`
    and `reason` are ours until the issuer's outcome comes. `explain` holds every check.
    """

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
    kind: str
    rrn: str
    sent: str
    amount_minor: int
    number: str
    token: str
    trid: str
    issuer: str
    sequence: int
    atc: int
    un: str
    state: str
    response_code: str
    reason: str
    auth_code: str
    original: str
    merchant: str
    explain: bytes
    arrived_ms: int


_TABLE: Final = book_of(f"{PREFIX}history", METADATA, HistoryRow, "seq")
Index(f"{PREFIX}history_name", _TABLE.c.name, unique=True)
Index(f"{PREFIX}history_rrn", _TABLE.c.rrn, _TABLE.c.sent)
Index(f"{PREFIX}history_token", _TABLE.c.token, _TABLE.c.seq)
HISTORY: Final = Shelf(_TABLE, HistoryRow)

_mine = HISTORY.select().where(_TABLE.c.token == bindparam("token"))
_told = _mine.where(
    _TABLE.c.seq < bindparam("before"),
    _TABLE.c.kind != Kind.BALANCE.name,
    _TABLE.c.state.not_in([HistoryState.RESOLVED.value, HistoryState.TOMBSTONE.value]),
)
# a payment that still waits for its issuer is told when the outcome is there
PAGE: Final = Statement(_told.order_by(_TABLE.c.seq.desc()).limit(bindparam("limit")), "token", "before", "limit")
_paid = _mine.where(_TABLE.c.atc > bindparam("atc"))
RECENT: Final = Statement(_paid.order_by(_TABLE.c.seq.desc()).limit(MOST_COMPARED), "token", "atc")

_TOLD: Final = {
    HistoryState.APPROVED: "APPROVED",
    HistoryState.DECLINED: "DECLINED",
    HistoryState.REFUSED: "DECLINED",
    HistoryState.REVERSED: "REVERSED",
}
_CREDITS: Final = frozenset({Kind.REFUND.name, Kind.VOID.name})
Step = tuple[str, bool, str]  # a check, whether it was passed, what was compared


def packed(steps: Sequence[Step]) -> bytes:
    """Return an explain record as it is kept."""
    return msgspec.json.encode(steps)


def explained(row: HistoryRow) -> tuple[ExplainStep, ...]:
    """Return every check of a payment with its result; () for what was never resolved, such as a tombstone."""
    if not row.explain:
        return ()
    kept = msgspec.json.decode(row.explain, type=list[Step])
    return tuple(ExplainStep(check=check, passed=passed, detail=detail) for check, passed, detail in kept)


_LINES: Final = Lines(HISTORY, JournalLine)
_AS_JOURNAL: Final = {HistoryState.RESOLVED.value: State.WAITING.value, HistoryState.REFUSED.value: State.DECLINED.value}


def journal_lines(store: Store, date: str) -> list[JournalLine]:
    """Return the token payments of a business date (YYYYMMDD) as reconciliation compares them, in the order of arrival.

    A resolved payment whose outcome has not come waits; what was refused here is declined, as it is at the network.
    """
    return [replace(line, state=_AS_JOURNAL.get(line.state, line.state)) for line in _LINES(store, date)]


def view(row: HistoryRow) -> TransactionView:
    """Return a payment as its holder sees it."""
    return TransactionView(
        token=row.token, rrn=row.rrn, at_ms=row.arrived_ms, kind="REFUND" if row.kind in _CREDITS else "PURCHASE",
        result=_TOLD[HistoryState(row.state)], amount=row.amount_minor, currency=row.currency, merchant=row.merchant,
        response_code=row.response_code, reason=row.reason, atc=max(row.atc, 0),
    )  # fmt: skip
