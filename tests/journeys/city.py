"""The same world with its hosts as processes of their own, and shoppers who pay all the time from threads.

`Town` shows each fault exactly; here nobody knows when it strikes: real processes, real sockets, real time. When the hosts have
stopped, the folder is opened as a `Town` again, drained in virtual time and judged by the same judge.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from shanfu.clock import SystemClock
from shanfu.sandbox import PIN, Fleet, Timeouts, World, free_ports
from shanfu.sandbox.settings import read_settings, write_settings
from shanfu.sandbox.till import tcp_line, till
from shanfu.terminal import Kind, Receipt, State
from tests.journeys.judge import judge
from tests.journeys.town import Town, money

IMPATIENT = Timeouts(issuer_ms=2_000, network_ms=3_000, acquirer_ms=4_000, terminal_ms=5_000)
# who shops where: a card is in one hand at a time
SHOPPERS = {
    "teahouse": ("debit", "credit"),
    "bookshop": ("debit-sm4", "lab"),
    "ferry": ("harbour",),
    "market": ("credit-sm4", "faults"),
}


def prepared(folder: Path, *, tls: bool = True, timeouts: Timeouts = IMPATIENT) -> World:
    """Give a copied world ports of its own and short patience."""
    settings = read_settings(folder / "world.toml")
    write_settings(folder / "world.toml", replace(settings, tls=tls, timeouts=timeouts, **free_ports()))
    return World.open(folder)


class Shopper(threading.Thread):
    """Pays, voids and refunds at one counter until told to stop."""

    def __init__(self, world: World, merchant: str, seed: int) -> None:
        super().__init__(name=merchant, daemon=True)
        self.world, self.merchant, self.dice = world, merchant, random.Random(f"{seed}/{merchant}")
        self.receipts: list[Receipt] = []
        self.fault: BaseException | None = None
        self.enough = threading.Event()

    def run(self) -> None:
        try:
            while not self.enough.is_set():  # a terminal that is switched off and on now and then
                self._shift()
        except BaseException as fault:
            self.fault = fault

    def _shift(self) -> None:
        with (
            tcp_line(self.world, self.merchant) as line,
            till(self.world, self.merchant, line, keypad=lambda _: PIN) as here,
        ):
            for _ in range(self.dice.randrange(5, 30)):
                if self.enough.is_set():
                    return
                receipt = self._one_thing(here)
                self.receipts.append(receipt)
                self.enough.wait(0.05 if receipt.approved else 0.25)

    def _one_thing(self, here) -> Receipt:
        journal = here.terminal.journal
        payments = [t for t in journal.transactions.values() if (t.kind, t.state) == (Kind.PURCHASE, State.APPROVED)]
        standing = [t for t in payments if not journal.undone_minor(t)]
        if standing and self.dice.random() < 0.3:
            paid = self.dice.choice(standing)
            if self.dice.random() < 0.7:
                return here.do(here.terminal.void(paid.stan))
            return here.do(here.terminal.refund(paid, money(self.merchant, "0.01")))
        with self.world.card(self.dice.choice(SHOPPERS[self.merchant])) as card:
            here.present(card)
            return here.do(here.terminal.pay(money(self.merchant, f"{self.dice.randrange(1, 300) / 100:.2f}")))


@contextmanager
def shopping(world: World, *, seed: int) -> Iterator[list[Shopper]]:
    """Have people shop at four counters meanwhile; whoever met an exception instead of a receipt fails the test."""
    shoppers = [Shopper(world, merchant, seed) for merchant in SHOPPERS]
    for shopper in shoppers:
        shopper.start()
    try:
        yield shoppers
    finally:
        for shopper in shoppers:
            shopper.enough.set()
        for shopper in shoppers:
            shopper.join(60)
    for shopper in shoppers:
        assert not shopper.is_alive(), f"{shopper.name} waits for ever"
        if shopper.fault:
            raise shopper.fault


@contextmanager
def running(world: World, *, watch: bool = False) -> Iterator[Fleet]:
    """All hosts as processes, signed on."""
    with Fleet(world, watch=watch) as fleet:
        fleet.start()
        fleet.wait_signed_on()
        yield fleet


def settle_accounts(world: World, receipts: list[Receipt], *, opening: dict[str, int]) -> Town:
    """With the hosts stopped: let in virtual time everything go its way that was kept, and judge."""
    with Town.open(world.folder, now_ms=SystemClock().now_ms()) as town:
        town.known |= set(SHOPPERS)
        town.receipts += receipts
        town.drain()
        judge(town, opening=opening)
        return town


def opening_of(world: World) -> dict[str, int]:
    with Town.open(world.folder, now_ms=SystemClock().now_ms()) as town:
        return town.available()
