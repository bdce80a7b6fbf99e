"""Accounts: what money there is, what is set aside, and what was spent today.

An *account group* is what a card is issued on: one account per currency. All rows of a group lie in one bucket, and an
account's name is its group and currency, so a card and a currency lead to it without a look-up of their own. What lies on a
card as e-cash stands on an account of that card alone (`cash_group`), in the bucket of its group.

The balance is what the ledger says (credits less debits; a credit card that owes is negative) and is kept here because a
decision needs it at once; `admin.unbalanced` proves that both agree. The day's counters belong to one business date and
start again with the next.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import Index

from shanfu.issuer.tables import METADATA
from shanfu.store import Shelf, book_of

__all__ = [
    "ACCOUNTS", "BY_ACCOUNT", "BY_OWNER", "OF_GROUP", "Account", "AccountKind", "AccountState", "account_name", "bucket_group",
    "cash_group",
]  # fmt: skip

BY_ACCOUNT: Final = ("bucket", "account")
BY_OWNER: Final = ("customer",)
OF_GROUP: Final = ("account_group",)


class AccountKind(StrEnum):
    """Debit posts at once; credit has a limit and sets money aside until clearing; e-cash was spent when the card said so."""

    DEBIT = "debit"
    CREDIT = "credit"
    ECASH = "e-cash"


class AccountState(StrEnum):
    """Whether the account takes part."""

    OPEN = "open"
    CLOSED = "closed"


def account_name(group: str, currency: str) -> str:
    """Return the account of a group in a currency (numeric code).

    >>> account_name("A0000001", "156")
    'A0000001/156'
    """
    return f"{group}/{currency}"


_CASH: Final = "/e-cash/"


def cash_group(group: str, card: str) -> str:
    """Return the group in which a card's e-cash lies; `card` is the keyed hash of its number.

    >>> account_name(cash_group("A0000001", "00ff"), "156")
    'A0000001/e-cash/00ff/156'
    """
    return f"{group}{_CASH}{card}"


def bucket_group(account: str) -> str:
    """Return the group whose bucket an account lies in, from the account's name.

    >>> bucket_group("A0000001/156"), bucket_group("A0000001/e-cash/00ff/156")
    ('A0000001', 'A0000001')
    """
    return account.rpartition("/")[0].partition(_CASH)[0]


@dataclass(slots=True)
class Account:
    """One account; amounts in minor units of `currency` (numeric code)."""

    bucket: int
    account: str
    account_group: str
    customer: str
    currency: str
    kind: str
    state: str
    limit_minor: int
    balance_minor: int = field(repr=False)
    held_minor: int = field(repr=False)
    day: str
    day_minor: int
    day_count: int
    since_ms: int

    @property
    def available_minor(self) -> int:
        """What a payment may use: balance and credit limit, less what is set aside."""
        return self.balance_minor + self.limit_minor - self.held_minor

    def spent_on(self, day: str) -> tuple[int, int]:
        """Return amount and number of the payments of this business date; one that is past counts with the current one."""
        return (self.day_minor, self.day_count) if day <= self.day else (0, 0)

    def count(self, day: str, amount_minor: int) -> None:
        """Count a payment of this business date."""
        if day > self.day:
            self.day, self.day_minor, self.day_count = day, 0, 0
        self.day_minor += amount_minor
        self.day_count += 1

    def uncount(self, day: str, amount_minor: int, *, payments: int = 0) -> None:
        """Give back what a payment of this date had counted; nothing when the day has changed since."""
        if day == self.day:
            self.day_minor = max(0, self.day_minor - amount_minor)
            self.day_count = max(0, self.day_count - payments)


_TABLE: Final = book_of("accounts", METADATA, Account, "account")
Index("accounts_customer", _TABLE.c.customer)
Index("accounts_group", _TABLE.c.account_group)
ACCOUNTS: Final = Shelf(_TABLE, Account)
