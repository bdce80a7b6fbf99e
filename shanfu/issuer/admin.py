"""The bank's counter: what its staff do, as plain functions over a store.

Opening customers and accounts, paying in, issuing cards, changing their state, reading balances, and the two lists that
reconciliation asks for: the journal by business date, and what the ledger has posted for it. The sandbox and the command line
call these; the host need not run. A running host owns its books, so whoever writes here opens the store himself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, bindparam, func, select

from shanfu.clock import local
from shanfu.errors import NotFound
from shanfu.hsm import HSM, Algorithm, KeyBlock, Keyring
from shanfu.issuer.accounts import ACCOUNTS, BY_ACCOUNT, Account, AccountKind, AccountState, account_name
from shanfu.issuer.books import KEYS
from shanfu.issuer.cards import BY_CARD, CARDS, Card, CardState
from shanfu.issuer.config import LOOKUP, SEAL
from shanfu.issuer.customers import CUSTOMERS, Customer
from shanfu.issuer.journal import JOURNAL, Hold, State
from shanfu.issuer.ledger import ENTRIES, Chart, EntryKind, Move, internal, post, trial_balance
from shanfu.issuer.policy import Policy
from shanfu.money import Currency
from shanfu.pan import PAN
from shanfu.store import Book, Statement, Store, Transaction, bucket_of

__all__ = [
    "CardOrder", "CardView", "JournalLine", "PostingLine", "account_names", "balance", "card_state", "deposit", "install_key",
    "issue_card", "issue_cards", "journal_lines", "list_accounts", "open_account", "open_customer", "postings_of", "reset_pin",
    "set_status", "unbalanced", "unlock_pin",
]  # fmt: skip


# -- keys --------------------------------------------------------------------------------------------------------------


def install_key(store: Store, label: str, block: KeyBlock, *, now_ms: int) -> None:
    """Put a key into the issuer's keyring, as a key ceremony does; in force at once."""
    with store.begin() as tx:
        keys = Keyring(KEYS, tx, now_ms=now_ms)
        keys.load([label])
        keys.install(label, block)
        keys.save()


# -- customers and accounts --------------------------------------------------------------------------------------------


def open_customer(store: Store, customer: str, *, name: str, name_zh: str = "", now_ms: int, buckets: int = 1) -> Customer:
    """Enter a customer under an identifier of the bank's choice; raise Conflict when it is taken."""
    with store.begin() as tx:
        book = CUSTOMERS.open(tx)
        row = book.add(Customer(bucket_of(customer, buckets), customer, name, name_zh, now_ms))
        book.save()
        return row


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
    """Open an account in a group (the customer's own, unless named); raise Conflict when the group has that currency."""
    group = group or customer
    account = Account(
        bucket_of(group, buckets), account_name(group, currency.numeric), group, customer, currency.numeric, kind.value,
        AccountState.OPEN.value, limit_minor, 0, 0, "", 0, 0, now_ms,
    )  # fmt: skip
    with store.begin() as tx:
        book = ACCOUNTS.open(tx)
        book.add(account)
        book.save()
    return account


def deposit(store: Store, account: str, amount_minor: int, *, name: str, now_ms: int, buckets: int = 1) -> int:
    """Pay cash in: an entry from the bank's cash to the account, under a `name` that makes it happen once; new balance."""
    with store.begin() as tx:
        accounts, row = _account(tx, account, buckets)
        entries = ENTRIES.open(tx)
        row.balance_minor += amount_minor
        move = Move(
            bucket=row.bucket,
            currency=row.currency,
            debit=internal(Chart.CASH, row.currency),
            credit=row.account,
            amount_minor=amount_minor,
            name=name,
            kind=EntryKind.DEPOSIT,
            business_date=local(now_ms).strftime("%Y%m%d"),
        )
        post(entries, move, now_ms=now_ms)
        entries.save()
        accounts.save()
        return row.balance_minor


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
    key = (bucket_of(account.rpartition("/")[0], buckets), account)
    book.load(BY_ACCOUNT, [key])
    found = book.find(BY_ACCOUNT, key)
    if found is None:
        raise NotFound(f"account {account}: there is none")
    return book, found


# -- cards -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOrder:
    """What is to be issued: `imk_family` names the master keys, `algorithms` what the chip computes with, expiry is YYMM."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CardView:
    """A card as staff see it: no number, no PVV."""

    masked: str
    group: str
    psn: str
    expiry: str
    state: CardState
    product: str
    pin_tries_left: int
    atc: int


def issue_cards(store: Store, hsm: HSM, orders: Sequence[CardOrder], *, now_ms: int, buckets: int = 1) -> None:
    """Issue cards, all or none; numbers are sealed before they are stored. Raise Conflict when a PAN is issued already."""
    with store.begin() as tx:
        keys = Keyring(KEYS, tx, now_ms=now_ms)
        keys.load([LOOKUP, SEAL])
        digits = [order.pan.digits.encode() for order in orders]
        cards = hsm.lookup(keys.current(LOOKUP), digits)
        contexts = [f"cards/{card}".encode() for card in cards]
        sealed = hsm.seal(keys.current(SEAL), list(zip(digits, contexts, strict=True)))
        book = CARDS.open(tx)
        for order, card, box in zip(orders, cards, sealed, strict=True):
            book.add(_new_card(order, card, box, (bucket_of(order.group, buckets), now_ms)))
        book.save()


def issue_card(store: Store, hsm: HSM, order: CardOrder, *, now_ms: int, buckets: int = 1) -> None:
    """Issue one card."""
    issue_cards(store, hsm, [order], now_ms=now_ms, buckets=buckets)


def _new_card(order: CardOrder, card: str, sealed: bytes, where: tuple[int, int]) -> Card:
    bucket, now_ms = where
    algorithms = " ".join(algorithm.name for algorithm in order.algorithms)
    return Card(
        bucket, card, order.group, sealed, str(order.pan), order.psn, order.expiry, order.state.value, order.product,
        order.imk_family, algorithms, order.pvki, order.pvv, order.pin_tries, order.atc, now_ms,
    )  # fmt: skip


def set_status(store: Store, hsm: HSM, pan: PAN, state: CardState) -> None:
    """Report a card lost, block it, activate it again; raise NotFound."""
    with store.begin() as tx:
        book, card = _card(tx, hsm, pan)
        card.state = state.value
        book.save()


def unlock_pin(store: Store, hsm: HSM, pan: PAN, *, policy: Policy | None = None) -> None:
    """Give the card all its PIN tries back; raise NotFound."""
    with store.begin() as tx:
        book, card = _card(tx, hsm, pan)
        card.pin_tries_left = (policy or Policy.default()).pin_tries
        book.save()


def reset_pin(store: Store, hsm: HSM, pan: PAN, *, pvv: str, pvki: str = "1") -> None:
    """Set another PIN by its verification value; raise NotFound."""
    with store.begin() as tx:
        book, card = _card(tx, hsm, pan)
        card.pvv, card.pvki = pvv, pvki
        book.save()


def card_state(store: Store, hsm: HSM, pan: PAN) -> CardView:
    """Return a card as staff see it; raise NotFound."""
    with store.begin() as tx:
        _, card = _card(tx, hsm, pan)
    return CardView(
        masked=card.masked,
        group=card.account_group,
        psn=card.psn,
        expiry=card.expiry,
        state=_STATES[card.state],
        product=card.product,
        pin_tries_left=card.pin_tries_left,
        atc=card.atc,
    )


_STATES: Final = {state.value: state for state in CardState}


def _card(tx: Transaction, hsm: HSM, pan: PAN) -> tuple[Book[Card], Card]:
    keys = Keyring(KEYS, tx, now_ms=0)
    keys.load([LOOKUP])
    [key] = hsm.lookup(keys.current(LOOKUP), [pan.digits.encode()])
    book = CARDS.open(tx)
    book.load(BY_CARD, [key])
    card = book.find(BY_CARD, key)
    if card is None:
        raise NotFound(f"card {pan}: was not issued here")
    return book, card


# -- reconciliation ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """One transaction as reconciliation compares it."""

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


_j, _e = JOURNAL.table.c, ENTRIES.table.c
_LINES: Final = Statement(
    select(
        _j.name, _j.rrn, _j.business_date, _j.currency, _j.institution, _j.issuer, _j.mti, _j.processing_code,
        _j.amount_minor, _j.state, _j.response_code, _j.reason,
    ).where(_j.business_date == bindparam("day")).order_by(_j.seq),
    "day",
)  # fmt: skip
_MONEY: Final = Statement(
    select(_j.name, _j.currency, _j.processing_code, _j.amount_minor, _j.state, _j.hold)
    .where(_j.business_date == bindparam("day"), _j.amount_minor > 0)
    .order_by(_j.seq),
    "day",
)


def journal_lines(store: Store, date: str) -> list[JournalLine]:
    """Return the transactions of a business date (YYYYMMDD) in the order of arrival."""
    names = JournalLine.__dataclass_fields__
    with store.begin() as tx:
        return [JournalLine(**dict(zip(names, row, strict=True))) for row in tx.rows(_LINES, (date,))]


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
