"""The story that `./run` plays: one day at the till, with real processes, real time-outs and a real kill.

Each act is what people do (`title`), what the parties told about it (`events`), and what came of it (`receipt` or
`report`). The world is impatient (time-outs of a second or two), otherwise the one that every command makes.
"""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shanfu.events import Event
from shanfu.messages import CardEvent
from shanfu.money import Currency, Money
from shanfu.sandbox.build import open_or_build
from shanfu.sandbox.desk import order_card_script, report_card
from shanfu.sandbox.holder import Holder, hold
from shanfu.sandbox.journals import business_dates, reconcile_world
from shanfu.sandbox.people import API_PORTS, PIN, PORTS, merchant_named
from shanfu.sandbox.processes import EventEnds, Fleet
from shanfu.sandbox.reconcile import Report
from shanfu.sandbox.settings import Settings, Timeouts
from shanfu.sandbox.story import one_story
from shanfu.sandbox.till import Feeds, Till, acquirer_of, remote_world, tcp_till
from shanfu.sandbox.world import HOSTS, World
from shanfu.terminal import Receipt
from shanfu.wallet import Added, CardLine

__all__ = ["Act", "play"]

IMPATIENT = Timeouts(issuer_ms=800, network_ms=1_500, acquirer_ms=3_000, terminal_ms=6_000)
QUIET_S = 0.4  # nobody has told anything for so long: the act is over
PATIENCE_S = 20.0
ISSUER = "issuer-lantern"
SHOP, METRO = "teahouse", "metro"
PHONE, COPY = "phone", "second"
DRY_TAPS = 10  # one use is spent already: nine are left, and the tenth tap is the token's eleventh


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act: its title in English and Chinese, the events in order, and the receipt or report that ends it."""

    number: int
    title: str
    title_zh: str
    events: list[Event] = field(default_factory=list)
    receipt: Receipt | None = None
    report: Report | None = None
    words: tuple[tuple[str, str], ...] = ()  # what came of it in sentences, English and Chinese


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
            yield Act(
                number=number,
                title=title,
                title_zh=title_zh,
                events=events,
                receipt=outcome if isinstance(outcome, Receipt) else None,
                report=outcome if isinstance(outcome, Report) else None,
                words=outcome if isinstance(outcome, tuple) else (),
            )


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


Sentences = tuple[tuple[str, str], ...]
Outcome = tuple[list[Event], Receipt | Report | Sentences]


class Stage:
    """What the acts play on."""

    def __init__(self, world: World, fleet: Fleet) -> None:
        self.world, self.fleet = world, fleet
        self._refundable: Receipt | None = None

    def sign_in(self) -> None:
        """Open the shops: each terminal gets its batch, its keys, and those of the certification authority."""
        for shop in (SHOP, METRO):
            with self._till(shop, {}) as till:
                till.sign_in()
                till.do(till.terminal.download())
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
        money = _money(SHOP, amount)
        with tcp_till(self.world, SHOP, keypad=lambda _: pin, feeds=feeds) as till, self.world.card(card) as chip:
            till.present(chip)
            receipt = till.do(till.terminal.pay(money))
        return feeds["terminal"], receipt

    def _story(self, terminal: list[Event], ends: EventEnds) -> list[Event]:
        return one_story({"terminal": terminal, **ends.told()}, acquirer=acquirer_of(SHOP))

    # -- slot, stripe, and a card that pays alone ------------------------------------------------------------------------

    def insert(self, amount: str) -> Outcome:
        """Insert the card, for which its bank has an order."""
        order_card_script(self.world, "debit", "put-data", tag=bytes.fromhex("9F78"), value=bytes.fromhex("000000020000"))
        self._quiet()
        ends, feeds = EventEnds(self.world), dict[str, list[Event]]()
        with self._till(SHOP, feeds) as till, self.world.card("debit") as chip:
            till.insert(chip)
            receipt = till.do(till.terminal.insert(_money(SHOP, amount)))
            till.take_away()
            till.do(till.terminal.reverse_pending())  # the result of the order goes before the next payment, here at once
        self._quiet()
        return self._story(feeds["terminal"], ends), receipt

    def swipe(self, amount: str) -> Outcome:
        """Swipe the card's stripe: refused; then once more, after its chip has failed."""
        ends, feeds = EventEnds(self.world), dict[str, list[Event]]()
        money, stripe = _money(SHOP, amount), self.world.stripe("debit")
        with self._till(SHOP, feeds) as till, self.world.card("debit") as chip:
            till.do(till.terminal.swipe(stripe, money))
            till.insert(chip, dead=True)
            till.do(till.terminal.insert(money))
            till.take_away()
            receipt = till.do(till.terminal.swipe(stripe, money))
        self._quiet()
        return self._story(feeds["terminal"], ends), receipt

    def alone(self, amount: str) -> Outcome:
        """Wave an e-cash card where small amounts ask nobody; in the evening the terminal hands the card's word in."""
        ends, day, evening = EventEnds(self.world), dict[str, list[Event]](), dict[str, list[Event]]()
        with self._till(METRO, day) as till, self.world.card("cash") as chip:
            till.present(chip)
            receipt = till.do(till.terminal.pay(_money(METRO, amount)))
            till.take_away()
            till.do(till.terminal.reverse_pending())  # what is kept is sent, the card's word too
        self._quiet()
        paid = self._story(day["terminal"], ends)
        with self._till(METRO, evening) as till:
            till.do(till.terminal.settle())
        self._quiet()
        return paid + self._story(evening["terminal"], ends), receipt

    def _till(self, shop: str, feeds: Feeds) -> AbstractContextManager[Till]:
        return tcp_till(self.world, shop, keypad=lambda _: PIN, feeds=feeds)

    # -- the phone -----------------------------------------------------------------------------------------------------

    def enrol(self) -> Outcome:
        """Add the bank card to the phone, with the one-time code that comes by SMS."""
        ends = EventEnds(self.world)
        with self._phone() as holder:
            added = holder.add_card("debit")
            assert isinstance(added, Added), added
            card = holder.card(added.view.token)
            assert card is not None
        self._quiet()
        return self._story([], ends), (_card_words(card),)

    def wave_phone(self, amount: str, *, pin: str | None = PIN) -> Outcome:
        """Wave the phone as a card is waved."""
        ends = EventEnds(self.world)
        with self._phone() as holder:
            told, receipt = self._tap(holder, amount, pin=pin)
        self._quiet()
        return self._story(told, ends), receipt

    def run_dry(self, amount: str) -> Outcome:
        """Take the network away and pay until the phone refuses; then give it back, and be refused still."""
        lines: list[tuple[str, str]] = []
        with self._phone() as holder:
            holder.phone.online(False)
            for _ in range(DRY_TAPS):
                lines.append(self._tap_words(holder, amount))
            holder.phone.online()
            lines.append(("the network is back:", "网络恢复："))
            lines.append(self._tap_words(holder, amount))
        self._quiet()
        return [], tuple(lines)

    def open_app(self, amount: str) -> Outcome:
        """Open the app, and pay again."""
        ends = EventEnds(self.world)
        with self._phone() as holder:
            holder.do(holder.app.open())
            self._quiet()
            opened = self._story([], ends)
            told, receipt = self._tap(holder, amount, pin=None)
            self._refundable = receipt
        self._quiet()
        return opened + self._story(told, ends), receipt

    def copy_phone(self, amount: str) -> Outcome:
        """Copy the phone's storage into another phone, and wave that."""
        phones = self.world.folder / "phones"
        shutil.copyfile(phones / f"{PHONE}.mem", phones / f"{COPY}.mem")
        with self._phone(COPY) as holder:
            words = self._tap_words(holder, amount)
        return [], (words,)

    def lose_card(self, amount: str) -> Outcome:
        """Report the card lost at the bank; the phone does not know yet, and is refused by the token service."""
        report_card(self.world, "debit", CardEvent.LOST, reason="CARDHOLDER_REPORTED")
        self._quiet()
        ends = EventEnds(self.world)
        with self._phone() as holder:
            told, receipt = self._tap(holder, amount, pin=None)
        self._quiet()
        return self._story(told, ends), receipt

    def refund(self) -> Outcome:
        """Give the money of a phone's payment back, after its token was deleted."""
        ends, feeds = EventEnds(self.world), dict[str, list[Event]]()
        paid = self._refundable
        assert paid is not None
        assert paid.amount is not None
        with self._phone() as holder:
            [card] = holder.app.cards()
            holder.do(holder.app.delete(card.token))
        self._quiet()
        with tcp_till(self.world, SHOP, keypad=lambda _: None, feeds=feeds) as till:
            original = next(t for t in till.terminal.journal.transactions.values() if t.rrn == paid.rrn)
            receipt = till.do(till.terminal.refund(original, paid.amount))
        self._quiet()
        return self._story(feeds["terminal"], ends), receipt

    @contextmanager
    def _phone(self, name: str = PHONE) -> Iterator[Holder]:
        with remote_world(self.world, feeds={}) as reach, hold(reach, name) as holder:
            yield holder

    def _tap(self, holder: Holder, amount: str, *, pin: str | None) -> tuple[list[Event], Receipt]:
        feeds: Feeds = {}
        money = _money(SHOP, amount)
        with tcp_till(self.world, SHOP, keypad=lambda _: pin, feeds=feeds) as till:
            till.present(holder.phone.tap_target)
            receipt = till.do(till.terminal.pay(money))
            till.take_away()
        return feeds["terminal"], receipt

    def _tap_words(self, holder: Holder, amount: str) -> tuple[str, str]:
        """Tap, and return what the terminal and the phone say."""
        seen = len(holder.phone.shown)
        _, receipt = self._tap(holder, amount, pin=None)
        shown = holder.phone.shown[-1] if len(holder.phone.shown) > seen else None
        outcome = receipt.outcome.value + (f" {receipt.response_code}" if receipt.response_code else "")
        return f"{outcome} · phone: {shown.en if shown else '-'}", f"{outcome} · 手机：{shown.zh if shown else '-'}"

    # -- the day -------------------------------------------------------------------------------------------------------

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


def _money(shop: str, amount: str) -> Money:
    return Money.parse(amount, Currency.of(merchant_named(shop).currency))


def _card_words(card: CardLine) -> tuple[str, str]:
    """Return a card on a phone in a sentence; it shows no digits of the token, which are drawn anew in every world."""
    keys = f"{card.uses_left} of {card.max_uses} uses"
    return (
        f"card …{card.pan_last4} is {card.state.value} on the phone under a token of its own; its key set: {keys}",
        f"尾号{card.pan_last4}的银行卡已在手机上启用（{card.state.value}），可用次数{card.uses_left}/{card.max_uses}",
    )


# fmt: off
ACTS: tuple[tuple[str, str, Callable[[Stage], Outcome]], ...] = (
    ("¥1280.00: a tap with the PIN",
     "¥1280.00：挥卡并输入密码",
     lambda stage: stage.pay("1280.00")),
    ("¥12.34: small, at an enrolled merchant, no PIN",
     "¥12.34：小额免密",
     lambda stage: stage.pay("12.34", pin=None)),
    ("¥2000.00: the wrong PIN",
     "¥2000.00：密码错误",
     lambda stage: stage.pay("2000.00", pin="654321")),
    ("¥88.00: not enough money",
     "¥88.00：余额不足",
     lambda stage: stage.pay("88.00", card="poor")),
    ("¥45.00: the issuer is silent",
     "¥45.00：发卡行无应答",
     lambda stage: stage.silent("45.00")),
    ("¥67.00: the issuer's process is killed in the middle of the tap, and comes back",
     "¥67.00：发卡行进程中途被杀，随后恢复",
     lambda stage: stage.killed("67.00")),
    ("¥300.00: the card is inserted, proves itself, and does what its bank has ordered",
     "¥300.00：插卡，芯片自证，并执行发卡行脚本",
     lambda stage: stage.insert("300.00")),
    ("¥25.00: the stripe is swiped and refused; once the chip has failed it pays, with the PIN",
     "¥25.00：刷磁条被拒；芯片失败后凭密码受理",
     lambda stage: stage.swipe("25.00")),
    ("¥3.00 at the metro: the card pays alone, and its word is handed in later",
     "¥3.00：地铁脱机支付，日终上送",
     lambda stage: stage.alone("3.00")),
    ("a card is added to the phone: log in, accept the terms, a one-time code by SMS",
     "添加手机卡片：登录、同意条款、短信验证码",
     Stage.enrol),
    ("¥1280.00 with the phone: the POS asks for the bank card's PIN",
     "¥1280.00：挥手机，POS输入银行卡密码",
     lambda stage: stage.wave_phone("1280.00")),
    ("the phone goes offline: it pays until its uses are spent; the network alone does not wake it",
     "手机离线：次数用完为止，恢复网络也不会自动刷新",
     lambda stage: stage.run_dry("1.00")),
    ("the app is opened, and the phone pays again",
     "打开App后可再次支付",
     lambda stage: stage.open_app("2.00")),
    ("the phone's storage is copied into another phone",
     "手机存储被复制到另一部手机",
     lambda stage: stage.copy_phone("3.00")),
    ("the card is reported lost, and its token with it",
     "银行卡挂失，手机卡片随之停用",
     lambda stage: stage.lose_card("4.00")),
    ("the token is deleted; a payment it made is refunded all the same",
     "手机卡片已删除，其交易仍可退货",
     Stage.refund),
    ("the day is closed and reconciled",
     "日终：结算、切日、对账",
     Stage.close),
)
# fmt: on
