"""What reconciliation asks the issuer: its journal by business date, what the ledger has posted for it, and whether both agree.

A double-entry sum is zero by construction, so it proves little; what proves the books is that each account's balance is the
sum of its entries, that what is held is what the journal holds, and that each transaction has posted just what its state says.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, bindparam, func, select

from shanfu.hosts import JournalLine, Lines, State
from shanfu.issuer.accounts import ACCOUNTS
from shanfu.issuer.journal import JOURNAL, Hold
from shanfu.issuer.ledger import ENTRIES, Chart, trial_balance
from shanfu.store import Statement, Store

__all__ = ["PostingLine", "journal_lines", "postings_of", "unbalanced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostingLine:
    """One transaction in the ledger: what it should have posted by now, and what it has; positive debits the cardholder."""

    name: str
    business_date: str
    currency: str
    expected_minor: int
    posted_minor: int
    held_minor: int

    @property
    def agrees(self) -> bool:
        """Whether ledger and journal say the same."""
        return self.expected_minor == self.posted_minor


_ALL_ACCOUNTS: Final = Statement(ACCOUNTS.select().order_by(ACCOUNTS.table.c.account))
_j, _e = JOURNAL.table.c, ENTRIES.table.c
_MONEY: Final = Statement(
    select(_j.name, _j.currency, _j.processing_code, _j.amount_minor, _j.state, _j.hold)
    .where(_j.business_date == bindparam("day"), _j.amount_minor > 0)
    .order_by(_j.seq),
    "day",
)


journal_lines: Final = Lines(JOURNAL, JournalLine)

_SETTLEMENT: Final = f"{Chart.SETTLEMENT.value}/" + _e.currency  # the other side of every payment


def _posted(settlement_side: ColumnElement[str]) -> Statement:
    rows = select(_e.name, func.sum(_e.amount_minor)).group_by(_e.name)
    return Statement(rows.where(_e.business_date == bindparam("day"), settlement_side == _SETTLEMENT), "day")


_DEBITED: Final = _posted(_e.credit)
_CREDITED: Final = _posted(_e.debit)


def postings_of(store: Store, date: str) -> list[PostingLine]:
    """Return what journal and ledger say of the money of a business date, one line per transaction that either knows."""
    posted: dict[str, int] = {}
    with store.begin() as tx:
        for sign, rows in ((1, tx.rows(_DEBITED, (date,))), (-1, tx.rows(_CREDITED, (date,)))):
            for name, total in rows:
                posted[name] = posted.get(name, 0) + sign * int(total)
        rows = tx.rows(_MONEY, (date,))
    lines = [_posting(row, date, posted.pop(row[0], 0)) for row in rows]
    lines += [
        PostingLine(name=name, business_date=date, currency="", expected_minor=0, posted_minor=much, held_minor=0)
        for name, much in posted.items()
        if much
    ]
    return lines


def _posting(row: tuple[str, str, str, int, str, int], date: str, posted: int) -> PostingLine:
    name, currency, processing, amount, state, hold = row
    counts = state == State.APPROVED and hold not in (Hold.HELD, Hold.RELEASED, Hold.LAPSED)
    signed = amount if processing.startswith("00") else -amount
    held = amount if state == State.APPROVED and hold == Hold.HELD else 0
    return PostingLine(
        name=name,
        business_date=date,
        currency=currency,
        expected_minor=signed if counts else 0,
        posted_minor=posted,
        held_minor=held,
    )


def unbalanced(store: Store) -> list[str]:
    """Say in words what does not agree: balances with entries, held money with the journal, a currency's sum with zero."""
    sums = {line.account: line.balance_minor for line in trial_balance(store)}
    faults = []
    with store.begin() as tx:
        held = {(row[0], row[1]): int(row[2]) for row in tx.rows(_HELD)}
        accounts = ACCOUNTS.open(tx).select(_ALL_ACCOUNTS)
    for account in accounts:
        if account.balance_minor != sums.get(account.account, 0):
            faults.append(f"{account.account}: balance {account.balance_minor}, entries {sums.get(account.account, 0)}")
        if account.held_minor != held.get((account.bucket, account.account), 0):
            faults.append(
                f"{account.account}: holds {account.held_minor}, journal {held.get((account.bucket, account.account), 0)}"
            )
    return faults


_HELD: Final = Statement(
    select(_j.bucket, _j.account, func.sum(_j.amount_minor)).where(_j.hold == int(Hold.HELD)).group_by(_j.bucket, _j.account)
)
