"""E-cash: money that lies on a card, as the bank's books have it.

A card issued with e-cash has an account of its own for it, opened with what the customer's account paid for the starting
balance. The card spends offline what lies on it; the certificates that come later are booked against this account,
also for more than is there, since a right certificate is a payment that has been made. Loading more than the starting balance
is not done here, nor is what is left on a card that has ended paid back: certificates may still come.
"""

from collections.abc import Sequence

from shanfu.clock import local
from shanfu.errors import ConfigError, Conflict, NotFound
from shanfu.issuer.accounts import BY_ACCOUNT, Account, AccountKind, AccountState, account_name, cash_group
from shanfu.issuer.cards import Card
from shanfu.issuer.ledger import Entry, EntryKind, Move, post
from shanfu.money import Money
from shanfu.store import Book

__all__ = ["open_cash"]


def open_cash(
    accounts: Book[Account], entries: Book[Entry], orders: Sequence[tuple[Card, Money]], *, now_ms: int
) -> list[Account]:  # fmt: skip
    """Open the e-cash account of each card and pay its starting balance in from the account that the card is issued on.

    Raises NotFound where that has none in the currency, Conflict where it has not the money, ConfigError below zero.
    """
    payers = [(card.bucket, account_name(card.account_group, money.currency.numeric)) for card, money in orders]
    accounts.load(BY_ACCOUNT, payers)
    opened = []
    for key, (card, money) in zip(payers, orders, strict=True):
        payer = accounts.find(BY_ACCOUNT, key)
        if payer is None:
            raise NotFound(f"account {key[1]}: there is none, it would pay for the e-cash of card {card.masked}")
        opened.append(_open(accounts, entries, payer, order=(card, money), now_ms=now_ms))
    return opened


def _open(
    accounts: Book[Account], entries: Book[Entry], payer: Account, *, order: tuple[Card, Money], now_ms: int
) -> Account:  # fmt: skip
    card, money = order
    if money.minor < 0:
        raise ConfigError(f"card {card.masked}: e-cash of {money}, it is zero or more")
    if money.minor > payer.available_minor:
        raise Conflict(f"card {card.masked}: account {payer.account} has not the money for e-cash of {money}")
    group, currency = cash_group(card.account_group, card.card), money.currency.numeric
    account = accounts.add(
        Account(
            card.bucket, account_name(group, currency), group, payer.customer, currency, AccountKind.ECASH.value,
            AccountState.OPEN.value, 0, money.minor, 0, "", 0, 0, now_ms,
        )
    )  # fmt: skip
    payer.balance_minor -= money.minor
    if money.minor:
        move = Move(
            bucket=card.bucket, currency=currency, debit=payer.account, credit=account.account, amount_minor=money.minor,
            name=account.account, kind=EntryKind.LOAD, business_date=local(now_ms).strftime("%Y%m%d"),
        )  # fmt: skip
        post(entries, move, now_ms=now_ms)
    return account
