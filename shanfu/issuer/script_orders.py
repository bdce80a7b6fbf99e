"""Orders for cards, as the bank's staff give, list and withdraw them (`scripts` says what becomes of them).

    asked = ScriptOrder(kind=ScriptKind.PUT_DATA, tag=0x9F78, value=bytes.fromhex("000000020000"), by="Wu")
    order_script(store, hsm, pan, asked, now_ms=now)

A new PIN comes from the PIN pad of a branch as a block enciphered under `pik/desk`, lies so in the order until the card has
taken it, and is then the PIN that this bank checks too. `enter_order` works on books that a turn has opened; the others open
the store themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from shanfu.errors import ConfigError, Conflict, DecodeError, NotFound
from shanfu.hosts import SEAL
from shanfu.hsm import HSM, PINBlockFormat, PINCheck
from shanfu.issuer.admin import find_card
from shanfu.issuer.books import IssuerBooks
from shanfu.issuer.cards import Card
from shanfu.issuer.config import DESK_PIK, pvk_label
from shanfu.issuer.journal import JOURNAL
from shanfu.issuer.scripts import KINDS, OF_CARD, PUT_DATA, SCRIPTS, STATES, ScriptKind, ScriptRow, ScriptState
from shanfu.pan import PAN
from shanfu.store import Book, Sequencer, Store, Transaction

__all__ = ["ScriptOrder", "ScriptView", "cancel_script", "enter_order", "list_scripts", "order_script", "withdraw"]

MOST_OPEN: Final = 8  # orders that wait for one card: one goes with each payment, so more would be of another year
LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptOrder:
    """What a card is to do: `tag` and `value` of PUT DATA, `pin_block` (under `pik/desk`) and its format of a PIN change.

    `by` is who orders it.
    """

    kind: ScriptKind
    tag: int = 0
    value: bytes = b""
    pin_block: bytes = field(default=b"", repr=False)
    pin_format: PINBlockFormat = PINBlockFormat.ISO_0
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptView:
    """An order as staff see it: `tag` (see `PUT_DATA`) and `value` of what is set, `failed_at` which command the card refused.

    Commands count from 1; 0: not told.
    """

    number: int
    kind: ScriptKind
    tag: int
    value: bytes
    state: ScriptState
    times: int  # how often it was sent
    payment: str  # the interbank name of the payment that carried it last
    failed_at: int
    by: str
    ordered_ms: int
    sent_ms: int
    ended_ms: int


def order_script(store: Store, hsm: HSM, pan: PAN, asked: ScriptOrder, *, now_ms: int) -> ScriptView:
    """Have a card run a script when it is next inserted; raise NotFound, ConfigError for an order that makes no sense.

    Conflict when too much waits for this card already.
    """
    with store.begin() as tx:
        _, card = find_card(tx, hsm, pan)
        books = IssuerBooks(tx, now_ms=now_ms, numbers=Sequencer(JOURNAL.table))
        view = enter_order(books, hsm, card, asked)
        books.save()
        return view


def enter_order(books: IssuerBooks, hsm: HSM, card: Card, asked: ScriptOrder) -> ScriptView:
    """The same on books that a turn has opened."""
    orders = books.scripts.load(OF_CARD, [(card.bucket, card.card)])
    if sum(order.open for order in orders) >= MOST_OPEN:
        raise Conflict(f"card {card.masked}: {MOST_OPEN} orders wait for it already")
    number = max((order.number for order in orders), default=0) + 1
    row = _row(card, asked, number, books.now_ms)
    if asked.kind is ScriptKind.PIN_CHANGE:
        row.pvv = _pvv(books, hsm, card, asked)
    return _view(books.scripts.add(row))


def list_scripts(store: Store, hsm: HSM, pan: PAN) -> Sequence[ScriptView]:
    """Return all orders of a card, the oldest first; raise NotFound for a card that is none of ours."""
    with store.begin() as tx:
        return [_view(row) for row in _orders(tx, hsm, pan)[1]]


def cancel_script(store: Store, hsm: HSM, pan: PAN, number: int, *, now_ms: int) -> ScriptView:
    """Withdraw an order; one that was sent may have been run all the same. Raise NotFound, Conflict for one that has ended."""
    with store.begin() as tx:
        book, orders = _orders(tx, hsm, pan)
        view = withdraw(orders, number, now_ms=now_ms)
        book.save()
        return view


def withdraw(orders: Sequence[ScriptRow], number: int, *, now_ms: int) -> ScriptView:
    """The same on a card's orders that a turn has loaded."""
    row = next((order for order in orders if order.number == number), None)
    if row is None:
        raise NotFound(f"script {number}: was not ordered for this card")
    if not row.open:
        raise Conflict(f"script {number}: is {STATES[row.state].en} already")
    row.end(ScriptState.CANCELLED, now_ms)
    return _view(row)


def _orders(tx: Transaction, hsm: HSM, pan: PAN) -> tuple[Book[ScriptRow], list[ScriptRow]]:
    _, card = find_card(tx, hsm, pan)
    book = SCRIPTS.open(tx)
    return book, sorted(book.load(OF_CARD, [(card.bucket, card.card)]), key=lambda row: row.number)


def _row(card: Card, asked: ScriptOrder, number: int, now_ms: int) -> ScriptRow:
    put, pin = asked.kind is ScriptKind.PUT_DATA, asked.kind is ScriptKind.PIN_CHANGE
    if put:
        known = PUT_DATA.get(asked.tag)
        if known is None:
            raise ConfigError(f"tag {asked.tag:X}: PUT DATA sets {', '.join(f'{tag:X}' for tag in PUT_DATA)}")
        if len(asked.value) != known[0]:
            raise ConfigError(f"tag {asked.tag:X}: {len(asked.value)} bytes, it has {known[0]} (JR/T 0025.5)")
    elif asked.tag or asked.value:
        raise ConfigError(f"{asked.kind}: takes no tag and no value")
    if pin != bool(asked.pin_block):
        raise ConfigError(f"{asked.kind}: {'needs' if pin else 'takes no'} PIN block")
    if len(asked.by) > LONGEST_NAME:
        raise ConfigError(f"name of who orders: {len(asked.by)} characters, at most {LONGEST_NAME}")
    data = asked.tag.to_bytes(2) + asked.value if put else b""
    return ScriptRow(
        card.bucket, card.card, number, asked.kind.value, data, asked.pin_block, asked.pin_format.value if pin else "", "",
        ScriptState.WAITING.value, "", 0, 0, asked.by, now_ms, 0, 0,
    )  # fmt: skip


def _pvv(books: IssuerBooks, hsm: HSM, card: Card, asked: ScriptOrder) -> str:
    """Have the HSM read the new PIN and compute its verification value; ConfigError when the block cannot be read."""
    keys = books.keys
    keys.load([DESK_PIK, SEAL, pvk_label(card.pvki)])
    [digits] = hsm.unseal(keys.current(SEAL), [(card.pan_sealed, f"cards/{card.card}".encode())])
    check = PINCheck(
        block=asked.pin_block, key=keys.current(DESK_PIK), format=asked.pin_format, pan=digits.decode(),
        pvk=keys.current(pvk_label(card.pvki)), pvki=card.pvki, pvv="",
    )  # fmt: skip
    try:
        return hsm.make_pvv(check)
    except DecodeError:
        raise ConfigError(f"card {card.masked}: the block of the new PIN cannot be read") from None


def _view(row: ScriptRow) -> ScriptView:
    return ScriptView(
        number=row.number, kind=KINDS[row.kind], tag=int.from_bytes(row.data[:2]), value=row.data[2:],
        state=STATES[row.state], times=row.times, payment=row.name, failed_at=row.failed_at, by=row.by,
        ordered_ms=row.ordered_ms, sent_ms=row.sent_ms, ended_ms=row.ended_ms,
    )  # fmt: skip
