"""The token leg with the token service itself at its other end: real keys in phones, real cryptograms, both hosts' books."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shanfu.iso8583 import Message, Value, parse_par
from shanfu.links import Inbound, Kind
from shanfu.messages import TokenState
from shanfu.network import VAULT, add_route, dead_letters, enrol_member, forward_queue, install_key, journal_lines, mmk_label
from tests.network.switch import LANTERN, NETWORK, PIN_DIGITS, START_MS, TODAY, Peer, Switch
from tests.tsp.payhouse import BIN, PAR_OF_LIN, SERVICE, PayHouse, Phone


class House(PayHouse):
    """The token service, whose keys for the network are formed in the switch's own HSM."""

    def __init__(self, folder: Path, switch: Switch) -> None:
        self.switch = switch
        super().__init__(folder)

    def _ceremony(self) -> None:
        self.peer, self.clock = self.switch.hsm, self.switch.clock
        super()._ceremony()


class Pair(Switch):
    """The switch and the service, a wire between them; acquirer and issuers are scripted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.house = House(folder, self)
        enrol_member(self.store, SERVICE, name="token service", roles=frozenset({"tsp"}))
        install_key(self.store, mmk_label(SERVICE), self.house.mmk, now_ms=START_MS)
        install_key(self.store, VAULT, self.house.vault, now_ms=START_MS)
        add_route(self.store, BIN, LANTERN, station=SERVICE, now_ms=START_MS)
        self.to_service: list[bytes] = []
        self.cut = False

    def _sent(self, station: str, frames: list[bytes]) -> None:
        if station == SERVICE:
            self.to_service += frames
        else:
            super()._sent(station, frames)

    def turn(self, *batch: tuple[Peer, bytes]) -> None:
        super().turn(*batch)
        self.pump()

    def tick(self, ms: int = 0) -> None:
        super().tick(ms)
        if not self.cut:
            self.house.worker.tick()
        self.pump()

    def pump(self) -> None:
        """Carry frames between switch and service until neither has any; a cut wire loses them."""
        while self.to_service or self.house.sent:
            ours, theirs = self.to_service, list(self.house.sent)
            self.to_service = []
            self.house.sent.clear()
            if not self.cut and ours:
                self.house.worker.turn([Inbound(NETWORK, frame, arrived_ms=self.clock.now_ms()) for frame in ours])
            if not self.cut and theirs:
                self.worker.turn([Inbound(SERVICE, frame, arrived_ms=self.clock.now_ms()) for frame in theirs])

    def join(self) -> None:
        """Let the link to the service stand: it signs on by itself."""
        self.cut = False
        now_ms = self.clock.now_ms()
        self.worker.turn([Inbound(SERVICE, kind=Kind.UP, arrived_ms=now_ms)])
        self.house.worker.turn([Inbound(NETWORK, kind=Kind.UP, arrived_ms=now_ms)])
        self.pump()

    # -- payments ------------------------------------------------------------------------------------------------------

    def tapped(self, phone: Phone, minor: int = 1000, *, pin: bool = False, **odd: Any) -> Message:
        """The acquirer's request for a tap with this phone."""
        tags = {name: value for name, value in odd.items() if name[0] == "t" or name == "atc"}
        fields: dict[str, Value | None] = {
            "f14": phone.expiry, "f35": f"{phone.number}={phone.expiry}2010000000000", "f55": phone.chip(minor, **tags),
        }  # fmt: skip
        fields |= {name: value for name, value in odd.items() if name[0] == "f"}
        return self.purchase(minor, phone.number, pin=pin, **fields)

    def echo(self, asked: Message, code: str = "00") -> Message:
        return self.issuer.answer(asked, code, f63=asked.binary(63))

    def bought(self, phone: Phone, minor: int = 1000, code: str = "00", **odd: Any) -> tuple[Message, Message]:
        request = self.tapped(phone, minor, **odd)
        asked = self.forwarded(request)
        self.inbox(self.acquirer)
        assert self.send(self.issuer, self.echo(asked, code)) == []
        [reply] = self.inbox(self.acquirer)
        return request, reply

    def state(self, request: Message) -> tuple[str, str]:
        row = self.house.history(request)
        return (row.state, row.response_code) if row else ("", "")

    def lines(self) -> list[tuple[str, str, str]]:
        return [(line.state, line.response_code, line.reason) for line in journal_lines(self.store, TODAY)]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    pair.sign_on()
    pair.join()
    yield pair
    pair.store.close()
    pair.house.store.close()


def test_a_tap_with_a_pin_all_the_way(pair: Pair) -> None:
    phone = pair.house.token()
    request = pair.tapped(phone, pin=True)
    asked = pair.forwarded(request)
    assert asked.text(2) == "6209010000000001"
    assert pair.issuer.read_pin(asked).digits == PIN_DIGITS
    pair.send(pair.issuer, pair.echo(asked))
    [reply] = pair.inbox(pair.acquirer)
    assert (reply.text(2), reply.text(39), parse_par(reply.binary(56))) == (phone.number, "00", PAR_OF_LIN)
    assert pair.state(request) == ("APPROVED", "00")
    assert (forward_queue(pair.store), dead_letters(pair.store)) == ([], [])


def test_a_declined_payment_is_declined_in_both_books(pair: Pair) -> None:
    request, reply = pair.bought(pair.house.token(), code="51")
    assert (reply.text(39), pair.state(request)) == ("51", ("DECLINED", "51"))


# fmt: off
REFUSED = [
    # code  reason               what the phone does
    ("59", "ATC_OUT_OF_WINDOW",  {"atc": 1}),
    ("59", "KEY_UNKNOWN",        {"atc": 40}),
    ("59", "CRYPTOGRAM_WRONG",   {"t9F26": bytes(8)}),
    ("30", "CHIP_DATA_ERROR",    {"f55": None}),
]
# fmt: on


@pytest.mark.parametrize(("code", "reason", "odd"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_the_service_refuses_no_issuer_hears_of(pair: Pair, code: str, reason: str, odd: dict[str, Any]) -> None:
    phone = pair.house.token()
    pair.bought(phone)
    [reply] = pair.send(pair.acquirer, pair.tapped(phone, pin=True, **odd))
    assert (reply.text(2), reply.text(39)) == (phone.number, code)
    assert pair.lines()[-1] == ("DECLINED", code, reason)
    assert pair.inbox(pair.issuer) == []


def test_an_unknown_token(pair: Pair) -> None:
    phone = pair.house.token()
    phone.number = "6250940000009994"
    [reply] = pair.send(pair.acquirer, pair.tapped(phone))
    assert (reply.text(39), pair.lines()) == ("14", [("DECLINED", "14", "TOKEN_UNKNOWN")])


def test_a_reversal_reaches_both_books(pair: Pair) -> None:
    request, _ = pair.bought(pair.house.token())
    assert pair.ask(pair.acquirer, pair.reversal(request)).text(39) == "00"
    pair.tick(100)
    [theirs] = pair.inbox(pair.issuer)
    assert (theirs.mti, theirs.text(2)) == ("0420", "6209010000000001")
    pair.send(pair.issuer, pair.echo(theirs))
    assert (pair.state(request)[0], forward_queue(pair.store)) == ("REVERSED", [])


def test_the_issuer_silent(pair: Pair) -> None:
    request = pair.tapped(pair.house.token(), pin=True)
    pair.forwarded(request)
    pair.tick(30_000)
    assert [reply.text(39) for reply in pair.inbox(pair.acquirer)] == ["98"]
    pair.tick(100)
    assert pair.state(request)[0] == "REVERSED"
    assert [item.target for item in forward_queue(pair.store)] == [pair.issuer.station]


def test_the_service_silent_and_back_again(pair: Pair) -> None:
    phone = pair.house.token()
    pair.cut = True
    request = pair.tapped(phone)
    assert pair.send(pair.acquirer, request) == []
    pair.tick(8_000)
    assert [reply.text(39) for reply in pair.inbox(pair.acquirer)] == ["98"]
    pair.join()
    pair.tick(100)
    assert pair.state(request)[0] == "TOMBSTONE"  # it never heard of the payment, and never will
    assert (forward_queue(pair.store), pair.inbox(pair.issuer)) == ([], [])
    assert pair.bought(phone)[1].text(39) == "00"


def test_a_void_and_a_refund_find_their_account_through_the_history(pair: Pair) -> None:
    phone = pair.house.token()
    first, _ = pair.bought(phone)
    second, _ = pair.bought(phone)
    void = pair.void(first)
    asked = pair.forwarded(void)
    pair.send(pair.issuer, pair.echo(asked))
    assert [reply.text(39) for reply in pair.inbox(pair.acquirer)] == ["00"]
    pair.house.change(phone, state=TokenState.DEACTIVATED.value)
    pair.house.new_pan(phone, "6209010000000777")
    assert pair.ask(pair.acquirer, pair.refund(second)).text(39) == "00"
    pair.tick(100)
    pair.tick(100)
    [booked] = pair.inbox(pair.issuer)
    assert (booked.mti, booked.text(2)) == ("0220", "6209010000000777")
    pair.send(pair.issuer, pair.echo(booked))
    assert (forward_queue(pair.store), dead_letters(pair.store)) == ([], [])
    pair.inbox(pair.acquirer)
    [reply] = pair.send(pair.acquirer, pair.tapped(phone))
    assert reply.text(39) == "62"


def test_a_refund_of_what_the_service_never_saw_is_a_dead_letter(pair: Pair) -> None:
    phone = pair.house.token()
    never = pair.tapped(phone)
    assert pair.ask(pair.acquirer, pair.refund(never)).text(39) == "00"
    pair.tick(100)
    assert [(letter.target, letter.last_code) for letter in dead_letters(pair.store)] == [(SERVICE, "25")]


@pytest.mark.parametrize("point", ["after-handle", "before-commit", "after-commit"])
def test_the_service_dies_while_it_is_asked(pair: Pair, point: str) -> None:
    phone = pair.house.token()
    request = pair.tapped(phone, pin=True)
    pair.house.dying(point, lambda: pair.send(pair.acquirer, request))
    pair.join()
    assert pair.inbox(pair.acquirer) == []
    pair.tick(8_000)
    assert [reply.text(39) for reply in pair.inbox(pair.acquirer)] == ["98"]
    pair.tick(100)
    assert pair.state(request)[0] in ("REVERSED", "TOMBSTONE")
    assert (forward_queue(pair.store), pair.inbox(pair.issuer)) == ([], [])
    assert pair.bought(phone)[1].text(39) == "00"
