"""A shop to test in: terminal, PIN pad and card are the real ones; the acquirer follows a script, with real cryptography.

`Shop.drive` moves a dialogue step by step, writes down what was asked and kept, and can cut the power before any step:
what was kept stays, everything else is gone. `Acquirer` holds the terminal's keys itself (crypto functions only), refuses
a wrong MAC, remembers what it booked, and misbehaves when the script says so.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from shanfu.card import Card, CardKeys, CardProfile, Interface, debit_2_0, personalise
from shanfu.clock import ManualClock
from shanfu.crypto import Algorithm, CardAlgorithm, Cipher, PinFormat, Place, decipher_pin, ecb_mac, kcv
from shanfu.dialogue import Ask, Dialogue, Finished, Keep, advance
from shanfu.errors import LinkClosed, LinkError, LinkTimeout
from shanfu.events import Recorder
from shanfu.iso8583 import (
    Balance,
    Message,
    PosFrame,
    SettlementTotals,
    decode_pos,
    encode_balances,
    encode_pos,
    encode_working_keys,
    mab_of,
    prepare_pos,
    response_mti,
)
from shanfu.money import Currency, Money
from shanfu.pan import PAN, luhn_digit
from shanfu.store import DictMemory
from shanfu.terminal import PinPad, PresentedCard, Reader, Receipt, Terminal, TerminalConfig, unionpay_aids

CNY = Currency.of("CNY")
TMK = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
PIK = bytes.fromhex("1111222233334444AAAABBBBCCCCDDDD")
MAK = bytes.fromhex("5555666677778888EEEEFFFF00001111")
WORKING_KEYS = {"PIK": PIK, "MAK": MAK}
IMK = CardKeys(ac=b"\x11" * 16, mac=b"\x22" * 16, enc=b"\x33" * 16)
PAN_DIGITS = "620901000000001" + luhn_digit("620901000000001")
PIN_DIGITS = "123456"
NOON_MS = 1_795_320_000_000


def yuan(text: str) -> Money:
    return Money.parse(text, CNY)


def config(**changes: object) -> TerminalConfig:
    fixed = {"merchant_id": "990290058120001", "merchant_name": "Teahouse", "terminal_id": "10000001", "currency": CNY}
    return TerminalConfig(**{**fixed, "aids": unionpay_aids(enrolled=True), **changes})  # type: ignore[arg-type]


def card(profile: CardProfile | None = None) -> Card:
    profile = profile or debit_2_0(PAN(PAN_DIGITS))
    memory = DictMemory()
    keys = CardKeys.derive(IMK, CardAlgorithm.TDES, pan=profile.pan, psn=profile.psn)
    personalise(profile, keys, memory)
    return Card(memory)


Play = Callable[["Acquirer", PosFrame], bytes]


@dataclass
class Acquirer:
    """Answers 00 unless `script` holds something else for the next request of the kind (MTI) it is written for."""

    script: dict[str, deque[Play]] = field(default_factory=dict)
    asked: list[Message] = field(default_factory=list)
    booked: dict[str, Message] = field(default_factory=dict)  # by batch and trace number
    reversed: dict[str, str] = field(default_factory=dict)  # the reason, by batch and trace number
    pins: list[str] = field(default_factory=list)
    batch: int = 7
    rrn: int = 0

    def plays(self, mti: str, *plays: Play) -> None:
        self.script.setdefault(mti, deque()).extend(plays)

    def answer(self, frame: bytes) -> bytes:
        request = decode_pos(frame)
        message = request.message
        self.asked.append(message)
        if 64 in message and ecb_mac(Cipher(Algorithm.TDES, MAK), mab_of(frame)) != message.fields[64]:
            return self.reply(request, "A0")
        plays = self.script.get(message.mti)
        return plays.popleft()(self, request) if plays else self.approve(request)

    def approve(self, request: PosFrame) -> bytes:
        message = request.message
        name = f"{message.text(60)[2:8]}.{message.text(11, '')}"
        again = self.booked.get(name)
        repeat = again is not None and message.mti in ("0220", "0320") and again.fields == message.fields
        assert message.mti == "0400" or again is None or repeat, f"{name} is used twice"
        if 52 in message:
            block = message.binary(52)
            pin = decipher_pin(Cipher(Algorithm.TDES, PIK), PinFormat.ISO0, block, pan=message.text(2))
            self.pins.append(pin.digits)
            if pin.digits != PIN_DIGITS:
                return self.reply(request, "55")
        if message.mti == "0400":
            self.reversed[name] = message.text(39)
        elif message.mti in ("0200", "0220", "0320"):
            self.booked[name] = message
        return self.reply(request, "00")

    def reply(self, request: PosFrame, code: str, **changes: str | bytes) -> bytes:
        """Build the answer; `changes` are fields by "de11" and so on."""
        message = request.message
        self.rrn += 1
        fields = message.copy(3, 4, 11, 25, 41, 42, 49, 60)
        fields |= {12: "120000", 13: "1122", 15: "1123", 32: "99010000", 37: f"{self.rrn:012d}", 39: code}
        if message.mti in ("0200", "0220") and code == "00":
            fields[38] = "654321"
        if message.text(3, "") == "310000":
            fields[54] = encode_balances([Balance(account_type="10", amount_type="02", currency="156", amount_minor=500_000)])
        if message.mti == "0800" and code == "00":
            fields |= {60: f"00{self.batch:06d}003", 62: self.working_keys()}
        if message.mti == "0500":
            claimed = SettlementTotals.parse(message.text(48))
            fields[48] = SettlementTotals(domestic=claimed.domestic, domestic_verdict=1).encode()
        fields |= {int(name[2:]): value for name, value in changes.items()}
        answer = request.answer(Message(response_mti(message.mti), fields))
        if 64 not in message or code != "00":
            return encode_pos(answer)
        unsealed = prepare_pos(answer)
        return unsealed.seal(ecb_mac(Cipher(Algorithm.TDES, MAK), unsealed.mab))

    def working_keys(self) -> bytes:
        tmk = Cipher(Algorithm.TDES, TMK)
        keys = {
            name: (tmk.encrypt(key), kcv(Cipher(Algorithm.TDES, key), Place.SIGN_IN))
            for name, key in (("PIK", PIK), ("MAK", MAK))
        }
        return encode_working_keys(keys, "40_PIK16_MAK16")

    @property
    def booked_minor(self) -> int:
        """What the host believes was paid: booked purchases that nothing has reversed, less what was given back."""
        signs = {"000000": 1, "200000": -1, "310000": 0}
        kept = (message for name, message in self.booked.items() if name not in self.reversed)
        return sum(signs[m.text(3)] * int(m.text(4, "0")) for m in kept)


def declines(code: str) -> Play:
    return lambda host, request: host.reply(request, code)


def silent(host: Acquirer, request: PosFrame) -> bytes:
    raise LinkTimeout("no answer")


def closed(host: Acquirer, request: PosFrame) -> bytes:
    raise LinkClosed("hung up")


def lost(host: Acquirer, request: PosFrame) -> bytes:
    host.approve(request)  # it is booked, and the answer never arrives
    raise LinkTimeout("no answer")


def bad_mac(host: Acquirer, request: PosFrame) -> bytes:
    return host.approve(request)[:-1] + b"!"


def without_mac(host: Acquirer, request: PosFrame) -> bytes:
    answer = decode_pos(host.approve(request))
    del answer.message.fields[64]
    return encode_pos(answer)


def garbage(host: Acquirer, request: PosFrame) -> bytes:
    return host.approve(request)[:-20]


def altered(**changes: str) -> Play:
    def play(host: Acquirer, request: PosFrame) -> bytes:
        host.approve(request)
        return host.reply(request, "00", **changes)

    return play


class PowerCut(Exception):
    """The plug was pulled."""


@dataclass
class Shop:
    """One till; `restart` is what follows a power cut: new objects over what was kept."""

    settings: TerminalConfig = field(default_factory=config)
    typed: list[str | None] = field(default_factory=lambda: [PIN_DIGITS])
    host: Acquirer = field(default_factory=Acquirer)
    card: PresentedCard | None = field(default_factory=card)
    memory: DictMemory = field(default_factory=DictMemory)
    pad_memory: DictMemory = field(default_factory=DictMemory)
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOON_MS))
    heard: Recorder = field(default_factory=Recorder)
    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = Reader()
        self.restart()

    def restart(self) -> None:
        self.terminal = Terminal(self.settings, self.memory, clock=self.clock, events=self.heard)
        self.pad = PinPad(TMK, self.pad_memory, self.type_in)

    def type_in(self, prompt: str) -> str | None:
        return self.typed[0] if len(self.typed) == 1 else self.typed.pop(0)

    def pay(self, text: str = "12.34", *, tear_after: int | None = None) -> Receipt:
        if self.reader.interface is not Interface.CONTACTLESS:
            self.reader = Reader()
        if self.card:
            self.reader.present(self.card, tear_after=tear_after)
        return self.drive(self.terminal.pay(yuan(text)))

    def insert(self, text: str = "12.34", *, tear_after: int | None = None, silent_after: int | None = None) -> Receipt:
        """Put the card into the slot and pay."""
        self.reader = Reader(Interface.CONTACT)
        if self.card:
            self.reader.present(self.card, tear_after=tear_after, silent_after=silent_after)
        return self.drive(self.terminal.insert(yuan(text)))

    def drive(self, dialogue: Dialogue[Receipt], *, cut_before: int = -1) -> Receipt:
        """Move a dialogue to its end; raise PowerCut just before its step number `cut_before` (from 0) is carried out."""
        self.steps = []
        step = advance(dialogue)
        while not isinstance(step, Finished):
            if len(self.steps) == cut_before:
                dialogue.close()
                raise PowerCut
            self.steps.append(self.name_of(step))
            reply, error = self.carry(step)
            step = advance(dialogue, reply, error)
        return step.result

    def carry(self, step: Ask | Keep) -> tuple[object, LinkError | None]:
        if isinstance(step, Keep):
            self.memory.write({step.name: step.record})
            return None, None
        peers = {"card": self.reader.ask, "pin-pad": self.pad.answer, "acquirer": self.host.answer}
        try:
            return peers[step.to](step.message), None
        except LinkError as fault:
            return None, fault

    @staticmethod
    def name_of(step: Ask | Keep) -> str:
        if isinstance(step, Keep):
            return f"keep {step.name.split('-')[0]}"
        if step.to == "pin-pad":
            return f"pad {type(step.message).__name__}"
        if step.to == "card":
            return f"card {step.message[1]:02X}"
        return f"host {decode_pos(step.message).message.mti}"
