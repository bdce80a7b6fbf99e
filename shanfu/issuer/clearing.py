"""What time asks of the ledger: holds of closed days become postings, holds that nobody cleared lapse.

Each turn takes a bounded number of rows, so a long day's clearing never keeps a payment waiting. A hold that arrives after
its day was closed is simply found by the next turn.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import bindparam, func, select

from shanfu.clock import local
from shanfu.issuer.accounts import BY_ACCOUNT
from shanfu.issuer.books import SHELVES, IssuerBooks
from shanfu.issuer.journal import JOURNAL, Hold, JournalRow
from shanfu.issuer.record import clear, lapse
from shanfu.store import Statement

__all__ = ["ROWS_PER_TURN", "clear_closed_days", "release_lapsed"]

ROWS_PER_TURN: Final = 256  # a few milliseconds of work, between two batches of payments

_d = SHELVES.days.table.c
_CLOSED_THROUGH: Final = Statement(select(func.max(_d.business_date)).where(_d.bucket == 0))
_t = JOURNAL.table.c
_HELD_THROUGH: Final = Statement(
    JOURNAL.select()
    .where(_t.hold == int(Hold.HELD), _t.business_date <= bindparam("day"))
    .order_by(_t.business_date)
    .limit(ROWS_PER_TURN),
    "day",
)


def clear_closed_days(books: IssuerBooks) -> int:
    """Post what is held of the days that the network has closed; return how many payments."""
    closed = books.tx.one(_CLOSED_THROUGH)
    if not closed or closed[0] is None:
        return 0
    held = _held_through(books, closed[0])
    for payment in held:
        account = books.account(payment.bucket, payment.account)
        assert account
        clear(books, payment, account)
    return len(held)


def release_lapsed(books: IssuerBooks, *, days: int) -> int:
    """Release what has been held for more than `days`; return how many payments."""
    held = _held_through(books, (local(books.now_ms) - timedelta(days=days + 1)).strftime("%Y%m%d"))
    for payment in held:
        account = books.account(payment.bucket, payment.account)
        assert account
        lapse(payment, account)
    return len(held)


def _held_through(books: IssuerBooks, day: str) -> list[JournalRow]:
    rows = [row for row in books.journal.select(_HELD_THROUGH, (day,)) if row.hold == Hold.HELD]
    books.accounts.load(BY_ACCOUNT, [(row.bucket, row.account) for row in rows])
    return rows
