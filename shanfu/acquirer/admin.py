"""The acquirer's back office: what its staff do, as plain functions over a store.

Enrolling merchants and their terminals, installing keys, and the lists that people and reconciliation ask for: the journal by
business date, batches, what is stored to be forwarded and what has died on the way. The sandbox and the command line call
these; the host need not run. A running host owns its books, so whoever writes here opens the store himself.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

from sqlalchemy import bindparam

from shanfu.acquirer.batches import BATCHES, Batch, totals_of
from shanfu.acquirer.config import tmk_label
from shanfu.acquirer.forward import FORWARDS, Forward, ForwardState
from shanfu.acquirer.journal import JOURNAL
from shanfu.acquirer.merchants import ALL_KINDS, BY_MERCHANT, MERCHANTS, Merchant
from shanfu.acquirer.terminals import TERMINALS, Terminal
from shanfu.errors import ConfigError, NotFound
from shanfu.hosts import JournalLine, Lines, install_key
from shanfu.hsm import KeyBlock, MACAlgorithm
from shanfu.iso8583 import Totals
from shanfu.money import Currency
from shanfu.store import Shelf, Statement, Store, bucket_of

__all__ = [
    "BatchView", "MerchantOrder", "TerminalLine", "close_merchant", "dead_letters", "enrol_merchant", "enrol_terminal",
    "forward_queue", "journal_lines", "list_batches", "list_merchants", "list_terminals", "revive",
]  # fmt: skip

R = TypeVar("R")


# -- enrolling ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantOrder:
    """A merchant to be enrolled: `merchant` is DE42; `permits` lists what it may do, `pin_free` that small ones need no PIN."""

    merchant: str
    name: str
    currency: Currency
    mcc: str
    name_zh: str = ""
    pin_free: bool = False
    permits: str = ALL_KINDS


def enrol_merchant(store: Store, order: MerchantOrder, *, now_ms: int) -> Merchant:
    """Enter a merchant; raise Conflict when the number is taken, ConfigError when it is none."""
    if len(order.merchant) != 15 or not order.merchant.isalnum():
        raise ConfigError(f"merchant {order.merchant!r}: a number has 15 characters (ISO 8583 DE42)")
    if len(order.mcc) != 4 or not order.mcc.isdecimal():
        raise ConfigError(f"merchant {order.merchant}: category {order.mcc!r} is not four digits (ISO 8583 DE18)")
    row = Merchant(
        0, order.merchant, order.name, order.name_zh, order.mcc, order.currency.numeric, int(order.pin_free), order.permits, 1,
        now_ms,
    )  # fmt: skip
    _add(store, MERCHANTS, row)
    return row


def enrol_terminal(
    store: Store,
    terminal: str,
    *,
    merchant: str,
    tmk: KeyBlock,
    now_ms: int,
    mac_algorithm: MACAlgorithm = MACAlgorithm.UNIONPAY_ECB,
    buckets: int = 1,
) -> Terminal:
    """Enter a terminal (DE41) at a merchant, with the master key that was injected into it; raise Conflict, NotFound."""
    if len(terminal) != 8 or not terminal.isalnum():
        raise ConfigError(f"terminal {terminal!r}: a number has 8 characters (ISO 8583 DE41)")
    with store.begin() as tx:
        merchants = MERCHANTS.open(tx)
        merchants.load(BY_MERCHANT, [(0, merchant)])
        if merchants.find(BY_MERCHANT, (0, merchant)) is None:
            raise NotFound(f"merchant {merchant}: there is none")
    row = Terminal(bucket_of(terminal, buckets), terminal, merchant, mac_algorithm.value, "", 0, now_ms)
    _add(store, TERMINALS, row)
    install_key(store, tmk_label(terminal), tmk, now_ms=now_ms)
    return row


def close_merchant(store: Store, merchant: str) -> None:
    """Serve a merchant no more; what is under way goes on. Raise NotFound."""
    with store.begin() as tx:
        book = MERCHANTS.open(tx)
        book.load(BY_MERCHANT, [(0, merchant)])
        row = book.find(BY_MERCHANT, (0, merchant))
        if row is None:
            raise NotFound(f"merchant {merchant}: there is none")
        row.open = 0
        book.save()


def _add(store: Store, shelf: Shelf[R], row: R) -> None:
    with store.begin() as tx:
        book = shelf.open(tx)
        book.add(row)
        book.save()


# -- lists -------------------------------------------------------------------------------------------------------------

_ALL_MERCHANTS: Final = Statement(MERCHANTS.select().order_by(MERCHANTS.table.c.merchant))
_ALL_TERMINALS: Final = Statement(TERMINALS.select().order_by(TERMINALS.table.c.terminal))
_ALL_BATCHES: Final = Statement(BATCHES.select().order_by(BATCHES.table.c.terminal, BATCHES.table.c.opened_ms))


def list_merchants(store: Store) -> list[Merchant]:
    """Return all merchants by number."""
    with store.begin() as tx:
        return MERCHANTS.open(tx).select(_ALL_MERCHANTS)


def list_terminals(store: Store) -> list[Terminal]:
    """Return all terminals by number."""
    with store.begin() as tx:
        return TERMINALS.open(tx).select(_ALL_TERMINALS)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """A batch with the sums of its journal, and how many requests still wait."""

    batch: Batch
    totals: Totals
    waiting: int


def list_batches(store: Store) -> list[BatchView]:
    """Return all batches by terminal, oldest first."""
    with store.begin() as tx:
        views = []
        for batch in BATCHES.open(tx).select(_ALL_BATCHES):
            totals, waiting = totals_of(tx, batch.bucket, batch.terminal, batch=batch.number)
            views.append(BatchView(batch=batch, totals=totals, waiting=waiting))
        return views


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalLine(JournalLine):
    """A line that bears its terminal's name too; what never left here bears that name in both places."""

    terminal_name: str

    @property
    def forwarded(self) -> bool:
        """Whether it left for the network, so that others can know it."""
        return self.name != self.terminal_name


journal_lines: Final = Lines(JOURNAL, TerminalLine)

# -- store-and-forward -------------------------------------------------------------------------------------------------

_f = FORWARDS.table.c
_IN_STATE: Final = Statement(FORWARDS.select().where(_f.state == bindparam("state")).order_by(_f.seq), "state")


def forward_queue(store: Store) -> list[Forward]:
    """Return what is still to reach the network, oldest first."""
    with store.begin() as tx:
        return FORWARDS.open(tx).select(_IN_STATE, (ForwardState.QUEUED.value,))


def dead_letters(store: Store) -> list[Forward]:
    """Return what the network refused too often; people look after these."""
    with store.begin() as tx:
        return FORWARDS.open(tx).select(_IN_STATE, (ForwardState.DEAD.value,))


def revive(store: Store, name: str, *, now_ms: int) -> None:
    """Send a dead letter again, after people have looked after its cause; raise NotFound."""
    with store.begin() as tx:
        book = FORWARDS.open(tx)
        found = [item for item in book.select(_IN_STATE, (ForwardState.DEAD.value,)) if item.name == name]
        if not found:
            raise NotFound(f"dead letter {name}: there is none")
        found[0].state, found[0].refusals, found[0].deadline_ms = ForwardState.QUEUED.value, 0, now_ms
        book.save()
