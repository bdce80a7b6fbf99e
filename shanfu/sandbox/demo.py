"""The story that `./run` plays: one day at the till, with real processes, real time-outs and a real kill.

Seven acts. Each is what people do (`title`), what the parties told about it (`events`), and what came of it (`receipt` or
`report`). The world is impatient (time-outs of a second or two), otherwise the one that every command makes.
"""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shanfu.events import Event
from shanfu.money import Currency, Money
from shanfu.sandbox.build import open_or_build
from shanfu.sandbox.journals import business_dates, reconcile_world
from shanfu.sandbox.people import API_PORTS, PIN, PORTS, merchant_named
from shanfu.sandbox.processes import EventEnds, Fleet
from shanfu.sandbox.reconcile import Report
from shanfu.sandbox.settings import Settings, Timeouts
from shanfu.sandbox.story import one_story
from shanfu.sandbox.till import Feeds, acquirer_of, tcp_till
from shanfu.sandbox.world import HOSTS, World
from shanfu.terminal import Receipt

__all__ = ["Act", "play"]

IMPATIENT = Timeouts(issuer_ms=800, network_ms=1_500, acquirer_ms=3_000, terminal_ms=6_000)
QUIET_S = 0.4  # nobody has told anything for so long: the act is over
PATIENCE_S = 20.0
ISSUER = "issuer-lantern"
SHOP = "teahouse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act: its title in English and Chinese, the events in order, and the receipt or report that ends it."""

    number: int
    title: str
    title_zh: str
    events: list[Event] = field(default_factory=list)
    receipt: Receipt | None = None
    report: Report | None = None


def play(folder: Path) -> Iterator[Act]:
    """Build a world in an empty folder, run it, and play the acts one after the other; stops everything at the end."""
    world = open_or_build(folder, settings=Settings(timeouts=IMPATIENT, **free_ports()))
    with Fleet(world, watch=True) as fleet:
        fleet.start()
        fleet.wait_signed_on()
        stage = Stage(world, fleet)
        stage.sign_in()
        for number, (title, title_zh, act) in enumerate(ACTS, 1):
            events, outcome = act(stage)
            report = outcome if isinstance(outcome, Report) else None
            receipt = outcome if isinstance(outcome, Receipt) else None
            yield Act(number=number, title=title, title_zh=title_zh, events=events, receipt=receipt, report=report)


def free_ports() -> dict[str, Any]:
    """Return settings that give every host free loopback ports."""
    with ExitStack() as held:
        return {
            kind: {name: _free_port(held) for name in names} for kind, names in (("ports", PORTS), ("api_ports", API_PORTS))
        }


def _free_port(held: ExitStack) -> int:
    one = held.enter_context(socket.socket())
    one.bind(("127.0.0.1", 0))
    return int(one.getsockname()[1])


Outcome = tuple[list[Event], Receipt | Report]


class Stage:
    """What the acts play on."""

    def __init__(self, world: World, fleet: Fleet) -> None:
        self.world, self.fleet = world, fleet

    def sign_in(self) -> None:
        """Open the shop: the terminal gets its batch and its keys."""
        with tcp_till(self.world, SHOP, keypad=lambda _: None, feeds={}) as till:
            till.sign_in()
        self._quiet()

    def pay(self, amount: str, *, card: str = "debit", pin: str | None = PIN) -> Outcome:
        """Wave a card at the teahouse, and wait until nobody has anything left to do."""
        ends = EventEnds(self.world)
        told, receipt = self._wave(amount, card=card, pin=pin)
        self._quiet()
        return self._story(told, ends), receipt

    def silent(self, amount: str) -> Outcome:
        """Pay while the issuer is frozen, then let it go on."""
        ends, watched = EventEnds(self.world), EventEnds(self.world)
        self.fleet.freeze(ISSUER)
        told, receipt = self._wave(amount)
        self._wait(lambda: any(event.title.startswith("0420") for event in watched.told()["network"]))
        self.fleet.thaw(ISSUER)  # it finds the request and its reversal waiting; the reversal is worked first
        self._quiet()
        return self._story(told, ends), receipt

    def killed(self, amount: str) -> Outcome:
        """Kill the issuer while it holds the request, start it again, and let it sign on."""
        ends, watched = EventEnds(self.world), EventEnds(self.world)
        self.fleet.freeze(ISSUER)
        with ThreadPoolExecutor(1) as elsewhere:
            payment = elsewhere.submit(self._wave, amount)
            self._wait(lambda: any(event.target == HOSTS[ISSUER].id for event in watched.told()["network"]))
            self.fleet.kill(ISSUER)
            told, receipt = payment.result()
        self.fleet.start([ISSUER])
        self.fleet.wait_signed_on()
        self._quiet()
        return self._story(told, ends), receipt

    def _wave(self, amount: str, *, card: str = "debit", pin: str | None = PIN) -> tuple[list[Event], Receipt]:
        feeds: Feeds = {}
        money = Money.parse(amount, Currency.of(merchant_named(SHOP).currency))
        with tcp_till(self.world, SHOP, keypad=lambda _: pin, feeds=feeds) as till, self.world.card(card) as chip:
            till.present(chip)
            receipt = till.do(till.terminal.pay(money))
        return feeds["terminal"], receipt

    def _story(self, terminal: list[Event], ends: EventEnds) -> list[Event]:
        return one_story({"terminal": terminal, **ends.told()}, acquirer=acquirer_of(SHOP))

    def close(self) -> Outcome:
        """Settle the terminal, close the business date, clear it, and reconcile."""
        ends, feeds = EventEnds(self.world), dict[str, list[Event]]()
        with tcp_till(self.world, SHOP, keypad=lambda _: None, feeds=feeds) as till:
            till.do(till.terminal.settle())
        day = business_dates(self.world)[-1]
        self.fleet.close_day()
        self._quiet()
        report = reconcile_world(self.world, day)
        return self._story(feeds["terminal"], ends), report

    def _quiet(self) -> None:
        """Wait until no host has told anything for a while."""
        ends, since = EventEnds(self.world), time.monotonic()
        while time.monotonic() - since < QUIET_S:
            time.sleep(0.05)
            if any(ends.told().values()):
                since = time.monotonic()

    @staticmethod
    def _wait(happened: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not happened() and time.monotonic() < until:
            time.sleep(0.02)


# fmt: off
ACTS: tuple[tuple[str, str, Callable[[Stage], Outcome]], ...] = (
    ("¥1280.00: a tap with the PIN", "¥1280.00：挥卡并输入密码",
     lambda stage: stage.pay("1280.00")),
    ("¥12.34: small, at an enrolled merchant, no PIN", "¥12.34：小额免密",
     lambda stage: stage.pay("12.34", pin=None)),
    ("¥2000.00: the wrong PIN", "¥2000.00：密码错误",
     lambda stage: stage.pay("2000.00", pin="654321")),
    ("¥88.00: not enough money", "¥88.00：余额不足",
     lambda stage: stage.pay("88.00", card="poor")),
    ("¥45.00: the issuer is silent", "¥45.00：发卡行无应答",
     lambda stage: stage.silent("45.00")),
    ("¥67.00: the issuer's process is killed in the middle of the tap, and comes back", "¥67.00：发卡行进程中途被杀，随后恢复",
     lambda stage: stage.killed("67.00")),
    ("the day is closed and reconciled", "日终：结算、切日、对账",
     Stage.close),
)
# fmt: on
