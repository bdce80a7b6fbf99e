"""The ledger: double entry, never changed. One row moves one amount from a debited to a credited account.

Since both sides stand in one row, the sum per currency is zero by construction; what proves the books is that balances agree
with entries and entries with the journal (`admin`). The chart: customer accounts; `settlement/CURRENCY`, what the bank owes
the network; `cash/CURRENCY`, where deposits come from; `suspense/CURRENCY`, money that has to go somewhere and cannot go
where it belongs. The latter three are only ever summed: a row that every payment changes would be everybody's bottleneck.

E-cash lies on accounts of its cards (`cash`). An entry's name is the transaction's and what happened to it, so nothing can be
posted twice. Its business date is the transaction's: a reversal undoes the day on which the payment counted.

There is no index by account: it would cost each payment one more page. A statement is read rarely and reads the ledger once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import bindparam, func, or_, select

from shanfu.issuer.tables import METADATA
from shanfu.store import Book, Shelf, Statement, Store, book_of

__all__ = [
    "ENTRIES", "Chart", "Entry", "EntryKind", "Line", "TrialLine", "internal", "post", "statement", "trial_balance",
]  # fmt: skip


class Chart(StrEnum):
    """The bank's own accounts, one per currency."""

    CASH = "cash"
    SETTLEMENT = "settlement"
    SUSPENSE = "suspense"


class EntryKind(StrEnum):
    """What an entry is about; the end of its name."""

    CLEARING = "clearing"  # a held payment of a closed day
    DEPOSIT = "deposit"
    LOAD = "load"  # from a customer's account onto his card
    OFFLINE = "offline"  # paid with what lay on the card
    PURCHASE = "purchase"
    REFUND = "refund"
    REVERSAL = "reversal"
    VOID = "void"


def internal(account: Chart, currency: str) -> str:
    """Return the name of one of the bank's own accounts.

    >>> internal(Chart.SETTLEMENT, "156")
    'settlement/156'
    """
    return f"{account.value}/{currency}"


@dataclass(slots=True)
class Entry:
    """One movement of `amount_minor` of `currency` (numeric code) from `debit` to `credit`."""

    bucket: int
    entry: str
    business_date: str
    currency: str
    debit: str
    credit: str
    amount_minor: int
    name: str
    kind: str
    booked_ms: int


_TABLE: Final = book_of("entries", METADATA, Entry, "entry")
ENTRIES: Final = Shelf(_TABLE, Entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What is to be posted: the two accounts, how much, and for which transaction of which date."""

    bucket: int
    currency: str
    debit: str
    credit: str
    amount_minor: int
    name: str
    kind: EntryKind
    business_date: str


def post(entries: Book[Entry], move: Move, *, now_ms: int) -> None:
    """Add the entry; raise Conflict when it was posted before, ValueError when it would move nothing or backwards."""
    if move.amount_minor <= 0:
        raise ValueError(f"{move.name}: an entry moves a positive amount, not {move.amount_minor}")
    entries.add(
        Entry(
            move.bucket,
            f"{move.name}/{move.kind.value}",
            move.business_date,
            move.currency,
            move.debit,
            move.credit,
            move.amount_minor,
            move.name,
            move.kind.value,
            now_ms,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLine:
    """One account's sums over all entries."""

    account: str
    currency: str
    debits_minor: int
    credits_minor: int

    @property
    def balance_minor(self) -> int:
        """Credits less debits."""
        return self.credits_minor - self.debits_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a statement: positive came in, negative went out; `balance_minor` is the balance after it."""

    booked_ms: int
    business_date: str
    kind: str
    name: str
    amount_minor: int
    balance_minor: int


_c = _TABLE.c
_DEBITS = Statement(select(_c.debit, _c.currency, func.sum(_c.amount_minor)).group_by(_c.debit, _c.currency))
_CREDITS = Statement(select(_c.credit, _c.currency, func.sum(_c.amount_minor)).group_by(_c.credit, _c.currency))
_OF_ACCOUNT = Statement(
    select(_c.booked_ms, _c.business_date, _c.kind, _c.name, _c.credit, _c.amount_minor)
    .where(or_(_c.debit == bindparam("debit"), _c.credit == bindparam("credit")))
    .order_by(_c.booked_ms, _c.entry),
    "debit",
    "credit",
)


def trial_balance(store: Store) -> list[TrialLine]:
    """Sum all entries by account, sorted by currency and account; the balances of each currency sum to zero."""
    sums: dict[tuple[str, str], list[int]] = {}
    with store.begin() as tx:
        for side, rows in enumerate((tx.rows(_DEBITS), tx.rows(_CREDITS))):
            for account, currency, total in rows:
                sums.setdefault((currency, account), [0, 0])[side] = int(total)
    return [
        TrialLine(account=account, currency=currency, debits_minor=debited, credits_minor=credited)
        for (currency, account), (debited, credited) in sorted(sums.items())
    ]


def statement(store: Store, account: str) -> Sequence[Line]:
    """Return all movements of one account in the order of booking."""
    lines, balance = [], 0
    with store.begin() as tx:
        rows = tx.rows(_OF_ACCOUNT, (account, account))
    for booked_ms, business_date, kind, name, credit, amount in rows:
        signed = amount if credit == account else -amount
        balance += signed
        lines.append(
            Line(
                booked_ms=booked_ms,
                business_date=business_date,
                kind=kind,
                name=name,
                amount_minor=signed,
                balance_minor=balance,
            )
        )
    return lines
