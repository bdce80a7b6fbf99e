"""A town to live in: the sandbox's world with all its hosts in one process, terminals that are switched on when used, cards in
a drawer, and a clock that moves when told. Everything is the real thing; only the wires are loops, which can go wrong on order.

A world is made once a session (`conftest.py`) and copied for each test. `Town.tap` and its siblings do what a cashier does;
`drain` lets everything that was kept go its way; `tests.journeys.judge` then says whether anything was lost.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shanfu import acquirer, issuer, network
from shanfu.clock import ManualClock
from shanfu.dialogue import Dialogue, Finished, Keep, advance
from shanfu.errors import LinkError
from shanfu.events import Events, nobody
from shanfu.issuer import Account
from shanfu.links import FaultKind, Host, LoopNet, Passage
from shanfu.money import Currency, Money
from shanfu.pan import PAN
from shanfu.sandbox import HOSTS, PIN, PROCESSES, Till, World, bank_of_card, card_named, merchant_named, open_net
from shanfu.sandbox.serve import served
from shanfu.sandbox.till import loop_line, till
from shanfu.store import Store
from shanfu.terminal import Receipt, Transaction

NOON_MS = 1_795_320_000_000  # 2026-11-22, noon in Beijing
TICK_MS = 1_000
LONGEST_MS = 45 * 60_000  # what store-and-forward may need to come to rest


@dataclass
class Town:
    """A world with its hosts running."""

    world: World
    clock: ManualClock
    net: LoopNet
    stack: ExitStack
    events: Events = nobody
    typed: list[str | None] = field(default_factory=list)
    frames: list[Passage] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    tills: dict[str, Till] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)  # merchants whose terminal has been used

    @classmethod
    @contextmanager
    def open(cls, folder: Path, *, now_ms: int = NOON_MS, events: Events = nobody) -> Iterator["Town"]:
        clock = ManualClock(now_ms)
        world = World.open(folder, clock=clock)
        with open_net(world, clock, events=events) as net:
            net.tick_ms = TICK_MS
            town = cls(world, clock, net, ExitStack(), events)
            net.start = town._start  # type: ignore[method-assign]  # what starts again after a death knows only its books
            town.heal()
            try:
                yield town
            finally:
                town.close_tills()

    def _start(self, name: str, host: Host[Any] | None = None, store: Store | None = None) -> None:
        LoopNet.start(self.net, name, host or served(self.world, name, watch=self.events is not nobody), store)

    # -- tills ---------------------------------------------------------------------------------------------------------

    def till(self, merchant: str = "teahouse") -> Till:
        """The merchant's terminal, switched on when it is not."""
        if merchant not in self.tills:
            line = self.stack.enter_context(loop_line(self.net, self.world, merchant))
            switched_on = till(self.world, merchant, line, keypad=self._keypad, events=self.events)
            self.tills[merchant] = self.stack.enter_context(switched_on)
            self.known.add(merchant)
        return self.tills[merchant]

    def close_tills(self) -> None:
        """Switch all terminals off: what they keep lies in their files."""
        self.tills.clear()
        self.stack.close()

    def _keypad(self, prompt: str) -> str | None:
        return self.typed.pop(0) if self.typed else None

    def do(self, merchant: str, dialogue: Callable[[Till], Dialogue[Receipt]]) -> Receipt:
        it = self.till(merchant)
        receipt = it.do(dialogue(it))
        self.receipts.append(receipt)
        return receipt

    # -- what a cashier does -------------------------------------------------------------------------------------------

    def tap(
        self, card: str = "debit", merchant: str = "teahouse", *, amount: str = "12.34", pin: str | None = PIN,
        tear_after: int | None = None,
    ) -> Receipt:  # fmt: skip
        """Wave a card and pay."""
        self.typed = [pin]
        with self.world.card(card) as held:
            self.till(merchant).reader.present(held, tear_after=tear_after)
            return self.do(merchant, lambda it: it.terminal.pay(money(merchant, amount)))

    def insert(
        self, card: str = "debit", merchant: str = "teahouse", *, amount: str = "12.34", pins: tuple[str | None, ...] = (PIN,),
        dead: bool = False, tear_after: int | None = None,
    ) -> Receipt:  # fmt: skip
        """Put a card into the slot and pay; a `dead` chip answers nothing."""
        self.typed = list(pins)
        with self.world.card(card) as held:
            self.till(merchant).insert(held, dead=dead, tear_after=tear_after)
            try:
                return self.do(merchant, lambda it: it.terminal.insert(money(merchant, amount)))
            finally:
                self.till(merchant).take_away()

    def swipe(
        self, card: str = "debit", merchant: str = "teahouse", *, amount: str = "12.34", pin: str | None = PIN,
        stripe: str = "",
    ) -> Receipt:  # fmt: skip
        """Draw a card's stripe through the reader, or one that somebody has made."""
        self.typed = [pin]
        stripe = stripe or self.world.stripe(card)
        return self.do(merchant, lambda it: it.terminal.swipe(stripe, money(merchant, amount)))

    def order(self, kind: issuer.ScriptKind, card: str = "debit", **what: Any) -> None:
        """Have the bank's staff order a script for a card."""
        bank, pan = bank_of_card(card), PAN(card_named(card).pan)
        asked = issuer.ScriptOrder(kind=kind, by="branch", **what)
        store = self.net._seats[bank].store
        issuer.order_script(store, self.world.hsm(bank), pan, asked, now_ms=self.clock.now_ms())

    def orders(self, card: str = "debit") -> list[str]:
        """What has become of a card's scripts."""
        bank, pan = bank_of_card(card), PAN(card_named(card).pan)
        with self.store(bank) as store:
            return [view.state.value for view in issuer.list_scripts(store, self.world.hsm(bank), pan)]

    def balance(self, card: str = "debit", merchant: str = "teahouse", *, pin: str | None = PIN) -> Receipt:
        self.typed = [pin]
        with self.world.card(card) as held:
            self.till(merchant).reader.present(held)
            return self.do(merchant, lambda it: it.terminal.balance())

    def void(self, paid: Receipt, merchant: str = "teahouse") -> Receipt:
        return self.do(merchant, lambda it: it.terminal.void(paid.stan))

    def refund(self, paid: Receipt, amount: str, merchant: str = "teahouse") -> Receipt:
        original = self.till(merchant).terminal.journal.find(paid.stan, batch=paid.batch)
        assert original is not None, f"{paid.batch}.{paid.stan}: not in the terminal's journal"
        return self.do(merchant, lambda it: it.terminal.refund(original, money(merchant, amount)))

    def settle(self, merchant: str = "teahouse") -> Receipt:
        return self.do(merchant, lambda it: it.terminal.settle())

    def sign_in(self, merchant: str = "teahouse") -> Receipt:
        return self.do(merchant, lambda it: it.terminal.sign_in())

    def cut(self, merchant: str, dialogue: Dialogue[Receipt], *, after: int, peers: Mapping[str, Any], lost: bool) -> bool:
        """Pull the terminal's plug after so many steps, with the last one's reply lost or never asked; False: it had ended."""
        memory = self.till(merchant)._memory
        step = advance(dialogue)
        for number in itertools.count(1):
            if isinstance(step, Finished):
                return False
            if number == after and not lost:
                break
            reply, error = None, None
            if isinstance(step, Keep):
                memory.write({step.name: step.record})
            else:
                try:
                    reply = peers[step.to](step.message)
                except LinkError as fault:
                    error = fault
            if number == after:
                break
            step = advance(dialogue, reply, error)
        dialogue.close()
        self.close_tills()
        return True

    # -- what hosts have -----------------------------------------------------------------------------------------------

    @contextmanager
    def store(self, host: str) -> Iterator[Store]:
        with self.world.store(host, read_only=True) as store:
            yield store

    def accounts(self) -> dict[str, Account]:
        """All accounts of all banks by name, for instance lin-yue/156."""
        found = {}
        for name in hosts("issuer"):
            with self.store(name) as store:
                found |= {account.account: account for account in issuer.list_accounts(store)}
        return found

    def available(self) -> dict[str, int]:
        """What each account could spend now, in minor units."""
        return {name: account.available_minor for name, account in self.accounts().items()}

    # -- time and faults -----------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """End all faults; every frame that leaves anybody is seen."""
        self.net.heal()
        self.net.fault(FaultKind.DROP, self._seen, times=None)

    def _seen(self, passage: Passage) -> bool:
        self.frames.append(passage)
        return False

    def ask_for_cut_off(self) -> str:
        """Have the network end its business date with its next tick; return the date that will close."""
        store = self.net._seats["network"].store
        return network.close_day(store, now_ms=self.clock.now_ms())

    def close_day(self) -> str:
        """End the business date and let everybody hear of it; return the date that is closed."""
        day = self.ask_for_cut_off()
        self.net.advance(5 * TICK_MS)
        return day

    def drain(self) -> None:
        """End all faults, start what is down, and let time pass until nobody has anything left to send."""
        self.heal()
        for name in PROCESSES:
            if self.net._seats[name].worker is None:
                self.net.start(name)
        for _ in range(LONGEST_MS // 60_000):
            self.net.advance(5 * TICK_MS)
            for merchant in sorted(self.known):
                it = self.till(merchant)
                if any(open_still(t) for t in it.terminal.journal.transactions.values()):
                    it.do(it.terminal.reverse_pending())
            if not self.unfinished():
                return
            self.net.advance(60_000)
        raise AssertionError(f"never came to rest: {self.unfinished()}")

    def unfinished(self) -> list[str]:
        """What somebody still has to send or to hear."""
        left = []
        for name in hosts("acquirer"):
            with self.store(name) as store:
                left += [f"{name}: {item}" for item in acquirer.forward_queue(store)]
        with self.store("network") as store:
            left += [f"network: {item}" for item in network.forward_queue(store)]
            for day in network.business_dates(store):
                left += [f"network: {line.name} waits" for line in network.journal_lines(store, day) if line.state == "WAITING"]
        for merchant in sorted(self.known):
            kept = self.till(merchant).terminal.journal.transactions.values()
            left += [f"{merchant}: {t.name}" for t in kept if open_still(t)]
        return left


def open_still(t: Transaction) -> bool:
    """Whether a terminal has something left to send for it that money hangs on."""
    return t.due or t.given_up or t.upload_due


def hosts(kind: str) -> list[str]:
    return [name for name, role in HOSTS.items() if role.kind == kind]


def money(merchant: str, amount: str) -> Money:
    return Money.parse(amount, Currency.of(merchant_named(merchant).currency))
