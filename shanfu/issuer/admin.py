"""The bank's counter: what its staff do, as plain functions over a store.

Opening customers and accounts, paying in, issuing cards, changing their state, reading balances. The sandbox and the command
line call these; the host need not run. A running host owns its books, so whoever writes here opens the store himself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from shanfu.clock import local
from shanfu.errors import ConfigError, NotFound
from shanfu.hosts import LOOKUP, SEAL
from shanfu.hsm import HSM, Algorithm, Keyring
from shanfu.issuer.accounts import (
    ACCOUNTS,
    BY_ACCOUNT,
    OF_GROUP,
    Account,
    AccountKind,
    AccountState,
    account_name,
    bucket_group,
    cash_group,
)
from shanfu.issuer.books import SHELVES
from shanfu.issuer.cards import BY_CARD, CARDS, Card, CardState
from shanfu.issuer.cash import open_cash
from shanfu.issuer.customers import BY_CUSTOMER, CUSTOMERS, Customer
from shanfu.issuer.ledger import ENTRIES, Chart, Entry, EntryKind, Move, internal, post
from shanfu.issuer.passwords import set_mobile, set_password
from shanfu.issuer.policy import Policy
from shanfu.issuer.scripts import OF_CARD, SCRIPTS, ChipState, ScriptRow, chip_state
from shanfu.money import Currency, Money
from shanfu.pan import PAN
from shanfu.store import Book, Statement, Store, Transaction, bucket_of

__all__ = [
    "AccountOrder", "CardOrder", "CardView", "Contact", "account_names", "balance", "card_state", "cash_of", "deposit",
    "enter_cards", "find_card", "issue_card", "issue_cards", "list_accounts", "load_cash", "open_account", "open_accounts",
    "open_customer", "reset_pin", "set_contact", "set_status", "unlock_pin", "view_of",
]  # fmt: skip

REFERENCE_BYTES: Final = 16  # of a card's name outside the bank, which cannot be guessed


# -- customers and accounts --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """How a customer is reached outside the bank, and how he logs in to its app; "" for what he has not."""

    mobile: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


def open_customer(
    store: Store, customer: str, *, name: str, name_zh: str = "", now_ms: int, buckets: int = 1,
    contact: Contact | None = None, hsm: HSM | None = None,
) -> Customer:  # fmt: skip
    """Enter a customer under an identifier of the bank's choice; raise Conflict when it is taken. A contact needs the HSM."""
    with store.begin() as tx:
        book = CUSTOMERS.open(tx)
        bucket = bucket_of(customer, buckets)
        row = book.add(Customer(bucket, customer, name, name_zh, "", "", b"", now_ms, b"", "", 0, 0, now_ms))
        if contact is not None:
            _set_contact(tx, _required(hsm), row, contact=contact, now_ms=now_ms)
        book.save()
        return row


def set_contact(store: Store, hsm: HSM, customer: str, *, contact: Contact, now_ms: int, buckets: int = 1) -> None:
    """Change a customer's mobile number and password, as far as they are given; raise NotFound."""
    with store.begin() as tx:
        book, key = CUSTOMERS.open(tx), (bucket_of(customer, buckets), customer)
        book.load(BY_CUSTOMER, [key])
        row = book.find(BY_CUSTOMER, key)
        if row is None:
            raise NotFound(f"customer {customer}: there is none")
        _set_contact(tx, hsm, row, contact=contact, now_ms=now_ms)
        book.save()


def _set_contact(tx: Transaction, hsm: HSM, row: Customer, *, contact: Contact, now_ms: int) -> None:
    keys = Keyring(SHELVES.keys, tx, now_ms=now_ms)
    keys.load([LOOKUP, SEAL])
    if contact.mobile:
        set_mobile(hsm, keys, row, mobile=contact.mobile, now_ms=now_ms)
    if contact.password:
        set_password(hsm, keys, row, contact.password)
        row.wrong_logins = row.locked_until_ms = 0


def _required(hsm: HSM | None) -> HSM:
    if hsm is None:
        raise ConfigError("customer: mobile number and password need the HSM")
    return hsm


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOrder:
    """What account is to be opened, in which group (the customer's own, unless named), and what is paid in at once."""

    customer: str
    currency: Currency
    kind: AccountKind = AccountKind.DEBIT
    limit_minor: int = 0
    group: str = ""
    paid_in_minor: int = 0


def open_accounts(store: Store, orders: Sequence[AccountOrder], *, now_ms: int, buckets: int = 1) -> list[Account]:
    """Open accounts, all or none; raise Conflict when a group has an account in that currency already."""
    with store.begin() as tx:
        accounts, entries = ACCOUNTS.open(tx), ENTRIES.open(tx)
        opened = [accounts.add(_new_account(order, now_ms, buckets)) for order in orders]
        for order, account in zip(orders, opened, strict=True):
            if order.paid_in_minor:
                _pay_in(entries, account, order.paid_in_minor, (f"opening/{account.account}", now_ms))
        accounts.save()
        entries.save()
    return opened


def open_account(
    store: Store,
    *,
    customer: str,
    currency: Currency,
    kind: AccountKind = AccountKind.DEBIT,
    limit_minor: int = 0,
    group: str = "",
    now_ms: int,
    buckets: int = 1,
) -> Account:
    """Open one account; raise Conflict when the group has that currency."""
    order = AccountOrder(customer=customer, currency=currency, kind=kind, limit_minor=limit_minor, group=group)
    [account] = open_accounts(store, [order], now_ms=now_ms, buckets=buckets)
    return account


def _new_account(order: AccountOrder, now_ms: int, buckets: int) -> Account:
    group, currency = order.group or order.customer, order.currency.numeric
    return Account(
        bucket_of(group, buckets), account_name(group, currency), group, order.customer, currency, order.kind.value,
        AccountState.OPEN.value, order.limit_minor, 0, 0, "", 0, 0, now_ms,
    )  # fmt: skip


def deposit(store: Store, account: str, amount_minor: int, *, name: str, now_ms: int, buckets: int = 1) -> int:
    """Pay cash in: an entry from the bank's cash to the account, under a `name` that makes it happen once; new balance."""
    with store.begin() as tx:
        accounts, row = _account(tx, account, buckets)
        entries = ENTRIES.open(tx)
        _pay_in(entries, row, amount_minor, (name, now_ms))
        entries.save()
        accounts.save()
        return row.balance_minor


def _pay_in(entries: Book[Entry], account: Account, amount_minor: int, cause: tuple[str, int]) -> None:
    name, now_ms = cause
    move = Move(
        bucket=account.bucket,
        currency=account.currency,
        debit=internal(Chart.CASH, account.currency),
        credit=account.account,
        amount_minor=amount_minor,
        name=name,
        kind=EntryKind.DEPOSIT,
        business_date=local(now_ms).strftime("%Y%m%d"),
    )
    post(entries, move, now_ms=now_ms)
    account.balance_minor += amount_minor


def balance(store: Store, account: str, *, buckets: int = 1) -> Account:
    """Return an account as it stands; raise NotFound."""
    with store.begin() as tx:
        return _account(tx, account, buckets)[1]


_ALL_ACCOUNTS: Final = Statement(ACCOUNTS.select().order_by(ACCOUNTS.table.c.account))


def list_accounts(store: Store) -> list[Account]:
    """Return all accounts by name."""
    with store.begin() as tx:
        return ACCOUNTS.open(tx).select(_ALL_ACCOUNTS)


def account_names(store: Store, customer: str) -> list[str]:
    """Return the names of a customer's accounts."""
    return [account.account for account in list_accounts(store) if account.customer == customer]


def _account(tx: Transaction, account: str, buckets: int) -> tuple[Book[Account], Account]:
    book = ACCOUNTS.open(tx)
    key = (bucket_of(bucket_group(account), buckets), account)
    book.load(BY_ACCOUNT, [key])
    found = book.find(BY_ACCOUNT, key)
    if found is None:
        raise NotFound(f"account {account}: there is none")
    return book, found


# -- cards -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOrder:
    """What is to be issued: `imk_family` names the master keys, `algorithms` what the chip computes with, expiry is YYMM.

    `cash` is the e-cash that lies on it from the start, paid from the account of its group; None: the card has none.
    """

    pan: PAN
    group: str
    expiry: str = field(repr=False)
    pvv: str = field(repr=False)
    psn: str = "01"
    pvki: str = "1"
    product: str = "debit"
    imk_family: str = "debit"
    algorithms: tuple[Algorithm, ...] = (Algorithm.TDES,)
    state: CardState = CardState.ACTIVE
    pin_tries: int = 3
    atc: int = 0
    reference: str = ""  # of the card that it replaces; a new one when there is none
    generation: int = 1
    cash: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardView:
    """A card as staff see it: no number, no PVV. `chip` is how it stands by the scripts it has run (`scripts.chip_state`)."""

    masked: str
    group: str
    psn: str
    expiry: str
    state: CardState
    product: str
    pin_tries_left: int
    atc: int
    reference: str  # its name outside the bank
    chip: ChipState = ChipState.OPEN


def issue_cards(store: Store, hsm: HSM, orders: Sequence[CardOrder], *, now_ms: int, buckets: int = 1) -> None:
    """Issue cards, all or none; numbers are sealed before they are stored. Raise Conflict when a PAN is issued already."""
    with store.begin() as tx:
        keys, book = Keyring(SHELVES.keys, tx, now_ms=now_ms), CARDS.open(tx)
        keys.load([LOOKUP, SEAL])
        rows = enter_cards(book, keys, hsm, orders=orders, where=(buckets, now_ms))
        accounts, entries = ACCOUNTS.open(tx), ENTRIES.open(tx)
        load_cash(accounts, entries, rows, orders=orders, now_ms=now_ms)
        for changed in (book, accounts, entries):
            changed.save()


def enter_cards(
    book: Book[Card], keys: Keyring, hsm: HSM, *, orders: Sequence[CardOrder], where: tuple[int, int]
) -> list[Card]:
    """Put cards into a book that is open; `where` is the number of buckets and the time."""
    buckets, now_ms = where
    digits = [order.pan.digits.encode() for order in orders]
    cards = hsm.lookup(keys.current(LOOKUP), digits)
    contexts = [f"cards/{card}".encode() for card in cards]
    sealed = hsm.seal(keys.current(SEAL), list(zip(digits, contexts, strict=True)))
    rows = []
    for order, card, box in zip(orders, cards, sealed, strict=True):
        row = book.add(_new_card(order, card, box, (bucket_of(order.group, buckets), now_ms)))
        row.reference = order.reference or hsm.random(REFERENCE_BYTES).hex()
        rows.append(row)
    return rows


def load_cash(
    accounts: Book[Account], entries: Book[Entry], cards: Sequence[Card], *, orders: Sequence[CardOrder], now_ms: int
) -> None:
    """Open the e-cash accounts of those cards that were ordered with e-cash."""
    wanted = [(card, order.cash) for card, order in zip(cards, orders, strict=True) if order.cash is not None]
    if wanted:
        open_cash(accounts, entries, wanted, now_ms=now_ms)


def issue_card(store: Store, hsm: HSM, order: CardOrder, *, now_ms: int, buckets: int = 1) -> None:
    """Issue one card."""
    issue_cards(store, hsm, [order], now_ms=now_ms, buckets=buckets)


def _new_card(order: CardOrder, card: str, sealed: bytes, where: tuple[int, int]) -> Card:
    bucket, now_ms = where
    algorithms = " ".join(algorithm.name for algorithm in order.algorithms)
    return Card(
        bucket, card, order.group, sealed, str(order.pan), order.psn, order.expiry, order.state.value, order.product,
        order.imk_family, algorithms, order.pvki, order.pvv, order.pin_tries, order.atc, order.reference, order.generation, 0,
        now_ms,
    )  # fmt: skip


def set_status(store: Store, hsm: HSM, pan: PAN, state: CardState) -> None:
    """Report a card lost, block it, activate it again; raise NotFound."""
    with store.begin() as tx:
        book, card = find_card(tx, hsm, pan)
        card.state = state.value
        book.save()


def unlock_pin(store: Store, hsm: HSM, pan: PAN, *, policy: Policy | None = None) -> None:
    """Give the card all its PIN tries back; raise NotFound."""
    with store.begin() as tx:
        book, card = find_card(tx, hsm, pan)
        card.pin_tries_left = (policy or Policy.default()).pin_tries
        book.save()


def reset_pin(store: Store, hsm: HSM, pan: PAN, *, pvv: str, pvki: str = "1") -> None:
    """Set another PIN by its verification value; raise NotFound."""
    with store.begin() as tx:
        book, card = find_card(tx, hsm, pan)
        card.pvv, card.pvki = pvv, pvki
        book.save()


def card_state(store: Store, hsm: HSM, pan: PAN) -> CardView:
    """Return a card as staff see it; raise NotFound."""
    with store.begin() as tx:
        _, card = find_card(tx, hsm, pan)
        return view_of(card, SCRIPTS.open(tx).load(OF_CARD, [(card.bucket, card.card)]))


def cash_of(store: Store, hsm: HSM, pan: PAN) -> list[Account]:
    """Return the e-cash accounts of a card, by currency; raise NotFound for a card that is none of ours."""
    with store.begin() as tx:
        _, card = find_card(tx, hsm, pan)
        found = ACCOUNTS.open(tx).load(OF_GROUP, [cash_group(card.account_group, card.card)])
    return sorted(found, key=lambda account: account.currency)


def view_of(card: Card, scripts: Sequence[ScriptRow] = ()) -> CardView:
    """Return what staff may see of a card."""
    return CardView(
        masked=card.masked,
        group=card.account_group,
        psn=card.psn,
        expiry=card.expiry,
        state=_STATES[card.state],
        product=card.product,
        pin_tries_left=card.pin_tries_left,
        atc=card.atc,
        reference=card.reference,
        chip=chip_state(scripts),
    )


_STATES: Final = {state.value: state for state in CardState}


def find_card(tx: Transaction, hsm: HSM, pan: PAN) -> tuple[Book[Card], Card]:
    """Return a card in its book; raise NotFound."""
    keys = Keyring(SHELVES.keys, tx, now_ms=0)
    keys.load([LOOKUP])
    [key] = hsm.lookup(keys.current(LOOKUP), [pan.digits.encode()])
    book = CARDS.open(tx)
    book.load(BY_CARD, [key])
    card = book.find(BY_CARD, key)
    if card is None:
        raise NotFound(f"card {pan}: was not issued here")
    return book, card
