"""Whatever is lost, doubled, late or out of order on either wire, and wherever the host dies: a name is answered in one way,
and in the end the acquirer's journal and the network agree on every payment."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shanfu.acquirer import forward_queue, journal_lines, list_batches
from shanfu.iso8583 import Message, decode_pos
from shanfu.links import Inbound, Outbound
from tests.acquirer.bank import NETWORK, Bank
from tests.budget import examples

DAYS = ("20260105", "20260106")
MONEY = {"000000": 1, "200000": -1}


@dataclass
class Switch:
    """A network that never forgets: answers a name once for all, a reversal beats its original."""

    bank: Bank
    codes: dict[str, str] = field(default_factory=dict)
    amounts: dict[str, int] = field(default_factory=dict)
    reversed: set[str] = field(default_factory=set)
    noted: set[str] = field(default_factory=set)  # originals of script results
    times: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def work(self, raw: bytes, *, declines: bool) -> bytes | None:
        message = self.bank.network.hear(raw).message
        assert self.bank.network.wrong_macs == 0
        text = message.text
        if message.mti[:2] == "08":
            return None
        if message.mti[:3] == "042":
            original = text(90)
            self.reversed.add(f"{original[10:20]}.{original[4:10]}")
            return self.bank.network.answer(message)
        if message.mti[:3] == "062":
            self.noted.add(text(90))
            return self.bank.network.answer(message)
        name = f"{text(7)}.{text(11)}"
        self.times[name] += message.mti == "0200"
        if name not in self.codes:
            late = name in self.reversed
            self.codes[name] = "94" if late else "51" if declines and message.mti == "0200" else "00"
            self.amounts[name] = int(text(4)) * MONEY[text(3)]
        return self.bank.network.answer(message, self.codes[name])

    @property
    def money(self) -> dict[str, int]:
        """What counts in the end, by name."""
        return {n: self.amounts[n] for n, code in self.codes.items() if code == "00" and n not in self.reversed}


@dataclass
class World:
    """Wires that lose, double and reorder, with a till at one end and the switch at the other."""

    bank: Bank
    to_host: list[tuple[str, bytes]] = field(default_factory=list)
    to_network: list[bytes] = field(default_factory=list)
    requests: list[Message] = field(default_factory=list)
    reversals: dict[str, bytes] = field(default_factory=dict)
    answers: dict[tuple[str, str], list[tuple[str, str, str]]] = field(default_factory=lambda: defaultdict(list))
    paid: dict[str, Message] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.switch, self.till = Switch(self.bank), self.bank.till

    def step(self, op: str, number: int) -> None:
        getattr(self, f"do_{op}")(number)

    # -- the till ------------------------------------------------------------------------------------------------------

    def say(self, frame: bytes) -> None:
        self.to_host.append((self.till.station, frame))

    def do_pay(self, number: int) -> None:
        self.say(self.till.purchase(100 + number % 50))
        self.requests.append(self.till.sent[-1])

    def do_take_back(self, number: int) -> None:
        """Void or refund a payment that the till holds for approved."""
        known = [r for r in self.requests if r.text(3) == "000000" and r.text(11) in self.paid]
        if known:
            original = known[number % len(known)]
            paid = self.paid[original.text(11)]
            void = number % 3
            self.say(self.till.void(original, paid) if void else self.till.refund(original, paid, 60))
            self.requests.append(self.till.sent[-1])

    def do_reverse(self, number: int) -> None:
        known = [request for request in self.requests if request.mti == "0200"]
        if known:
            request = known[number % len(known)]
            stan = request.text(11)
            self.reversals.setdefault(stan, self.till.reversal(request))
            self.say(self.reversals[stan])

    def do_upload(self, number: int) -> None:
        """Tell what the card has approved by itself."""
        self.say(self.till.offline(100 + number % 50))

    def do_note(self, number: int) -> None:
        """Tell what became of the scripts of a payment that was answered."""
        known = [request for request in self.requests if request.text(11) in self.paid and request.text(3) == "000000"]
        if known:
            original = known[number % len(known)]
            self.say(self.till.script_result(original, self.paid[original.text(11)]))

    # -- the wires -----------------------------------------------------------------------------------------------------

    def do_deliver(self, number: int) -> None:
        if self.to_host:
            self.arrive([self.to_host.pop(number % len(self.to_host))])

    def do_deliver_many(self, number: int) -> None:
        batch, self.to_host = self.to_host, []
        self.arrive(batch[number % 3 :] + batch[: number % 3])

    def do_carry(self, number: int) -> None:
        """Let what is under way reach the other side; the answers may or may not come back."""
        self.do_deliver_many(number)
        while self.to_network:
            self.do_switch(number)
            number += 1 if (number + 1) % 5 else 2
        if number % 2:
            self.do_deliver_many(number)

    def do_double(self, number: int) -> None:
        if self.to_host:
            self.to_host.append(self.to_host[number % len(self.to_host)])

    def do_lose(self, number: int) -> None:
        if self.to_host:
            self.to_host.pop(number % len(self.to_host))

    def do_lose_outbound(self, number: int) -> None:
        if self.to_network:
            self.to_network.pop(number % len(self.to_network))

    def do_switch(self, number: int) -> None:
        if self.to_network:
            raw = self.to_network.pop(number % len(self.to_network))
            answer = self.switch.work(raw, declines=number % 4 == 0)
            if answer:
                self.to_host.append((NETWORK, answer))
            if number % 5 == 0:
                self.to_network.append(raw)

    def do_wait(self, number: int) -> None:
        self.leave(self.bank.tick((100, 20_000, 46_000)[number % 3]))

    def do_die(self, number: int) -> None:
        """Work what has arrived and lose power before the commit; another process takes over."""
        tx = self.bank.store.begin()
        books = self.bank.host.books(tx, now_ms=self.bank.clock.now_ms())
        self.bank.host.handle([Inbound(station, frame) for station, frame in self.to_host], books)
        books.save()
        tx.rollback()
        self.bank.restart()

    def arrive(self, batch: list[tuple[str, bytes]]) -> None:
        self.leave(self.bank.turn(*batch))

    def leave(self, out: list[Outbound]) -> None:
        for each in out:
            if each.station == NETWORK:
                self.to_network.append(each.frame)
                continue
            message = decode_pos(each.frame).message
            if message.text(39) == "00":
                assert self.till.right(each.frame)
            told = (message.text(39), message.text(37, ""), message.text(38, ""))
            self.answers[message.mti, message.text(11)].append(told)
            if message.mti == "0210" and message.text(3) == "000000" and told[0] == "00":
                self.paid[message.text(11)] = message

    def calm_down(self) -> None:
        """Let everything arrive, and time pass, until nothing is under way."""
        for _ in range(60):
            while self.to_host or self.to_network:
                self.do_deliver_many(0)
                while self.to_network:
                    self.do_switch(1)
            if not forward_queue(self.bank.store) and not any(line.state == "WAITING" for line in self.lines()):
                return
            self.leave(self.bank.tick(50_000))
        raise AssertionError("something is under way for ever")

    def lines(self) -> list:
        return [line for day in DAYS for line in journal_lines(self.bank.store, day)]


# Only generated, not shrunk: a story takes a tenth of a second, and a failing one is short enough to read.
OPS = [
    "pay", "pay", "take_back", "take_back", "reverse", "reverse", "carry", "carry", "carry", "deliver", "deliver_many",
    "double", "lose", "lose_outbound", "switch", "wait", "die", "upload", "note",
]  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(OPS), st.integers(0, 999)), min_size=15, max_size=60)


@settings(
    max_examples=examples(40, heavy=300), deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow]
)
@given(steps=STEPS)
def test_any_order_any_loss(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        bank = Bank(Path(folder), where=":memory:", watch=False).open()
        world = World(bank)
        for op, number in steps:
            world.step(op, number)
        world.calm_down()
        for (mti, stan), told in world.answers.items():
            kinds = list(dict.fromkeys(told))
            if mti == "0210" and stan in world.reversals:  # once taken back, the name is spent
                kinds = [kind for kind in kinds if kind[0] != "94"]
                codes = [kind[0] for kind in told]
                assert "00" not in codes[codes.index("94") :] if "94" in codes else True
            if mti == "0410" and len(kinds) == 2:  # it was voided, and could be taken back when the void had been
                codes = [kind[0] for kind in told]
                assert codes == sorted(codes, reverse=True), (mti, stan, told)
                kinds = [kind for kind in kinds if kind[0] != "12"]
            assert len(kinds) <= 1, (mti, stan, told)
            assert mti not in ("0330", "0630") or kinds[0][0] == "00"
        assert len(world.switch.noted) == len({told[0][1] for (mti, _), told in world.answers.items() if mti == "0630"})
        for line in world.lines():
            assert world.switch.times[line.name[:17]] <= 1 + sum(n % 5 == 0 for _, n in steps)
        approved = [line for line in world.lines() if line.state == "APPROVED"]
        counted = {line.name[:17]: line.amount_minor * MONEY[line.processing_code] for line in approved}
        assert counted == world.switch.money
        [view] = [view for view in list_batches(bank.store) if view.batch.terminal == world.till.terminal]
        assert view.totals.debit_minor - view.totals.credit_minor == sum(counted.values())
        bank.store.close()
