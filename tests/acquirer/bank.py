"""An acquirer with terminals in front and a network behind it: own HSMs on all sides, every MAC and PIN block real.

`Till` is a terminal that speaks the POS dialect by hand; `Network` signs the acquirer on, resets its keys, checks what it
sends and answers as a test says. Nobody here shares code with the acquirer: keys are crypto functions, frames the codec's.
"""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shanfu.acquirer import (
    LOOKUP,
    SCHEMA,
    SEAL,
    Acquirer,
    AcquirerConfig,
    MerchantOrder,
    enrol_merchant,
    enrol_terminal,
    install_key,
    list_batches,
)
from shanfu.clock import ManualClock, local
from shanfu.crypto import PIN, Cipher, PinFormat, decipher_pin, ecb_mac, encipher_pin, left4_text, odd_parity, x9_19
from shanfu.crypto import Algorithm as Block
from shanfu.events import Recorder
from shanfu.hsm import LMK, Algorithm, KeyUsage, MACAlgorithm, SoftHSM
from shanfu.iso8583 import (
    InterbankFrame,
    InterbankHeader,
    Message,
    PosFrame,
    SettlementTotals,
    Totals,
    UsageField,
    Value,
    decode_interbank,
    decode_pos,
    encode_interbank,
    encode_pos,
    mab_of,
    mac_input,
    parse_working_keys,
    prepare_interbank,
    prepare_pos,
    response_mti,
)
from shanfu.links import Inbound, Kind, Outbound, Worker
from shanfu.money import Currency
from shanfu.pan import luhn_digit
from shanfu.store import Store

NETWORK, ACQUIRER, ISSUER = "00010000", "99012900", "99010000"
START_MS = 1_767_600_000_000  # 2026-01-05 16:00 in China
TEAHOUSE, BOOKSHOP = "990290058120001", "990290059420002"
PAN = "620901000000001" + luhn_digit("620901000000001")
PAN_2 = "620902000000001" + luhn_digit("620902000000001")
CHIP = bytes.fromhex("9F2608A1A2A3A4A5A6A7A89F100807010103A00000019F360200019F3303E0E1C8")
ANSWER_CHIP = bytes.fromhex("910A010203040506070830309F36020001")
TC = bytes.fromhex("9F2608B1B2B3B4B5B6B7B89F2701409F100807010103940000019F360200058A025931")
SCRIPTS = bytes.fromhex("9F2608A1A2A3A4A5A6A7A89F100807010103A00000019F36020001DF31052000000001")
PIN_DIGITS = "123456"
Fields = dict[int, Value | None]


def key() -> bytes:
    return odd_parity(os.urandom(16))


def halves(clear: bytes) -> list[bytes]:
    """Two components of a key."""
    other = os.urandom(len(clear))
    return [other, bytes(a ^ b for a, b in zip(other, clear, strict=True))]


@dataclass
class Network:
    """The other end of the interbank link."""

    mmk: bytes
    mak: bytes = b""
    pik: bytes = b""
    seen: list[Message] = field(default_factory=list)  # transactions as they arrived, MAC right
    wrong_macs: int = 0
    pins: list[str] = field(default_factory=list)
    managed: list[Message] = field(default_factory=list)
    clock: ManualClock = field(default_factory=lambda: ManualClock(START_MS))
    stan: int = 0

    def hear(self, raw: bytes) -> InterbankFrame:
        frame = decode_interbank(raw)
        message = frame.message
        assert (frame.header.destination, frame.header.source) == (NETWORK, ACQUIRER)
        if message.mti.startswith("08"):
            self.managed.append(message)
            return frame
        good = self.mac(message, self.mak) == message.text(128, "").encode()
        self.wrong_macs += not good
        self.seen.append(message)
        if 52 in message:
            block = message.binary(52)
            self.pins.append(decipher_pin(Cipher(Block.TDES, self.pik), PinFormat.ISO0, block, pan=message.text(2)).digits)
        return frame

    @staticmethod
    def mac(message: Message, mak: bytes) -> bytes:
        return left4_text(x9_19(mak, mac_input(message)))

    def frame(self, message: Message, *, mak: bytes | None = None) -> bytes:
        frame = InterbankFrame(InterbankHeader(destination=ACQUIRER, source=NETWORK), message)
        if message.mti in ("0820", "0830"):
            return encode_interbank(frame)
        return prepare_interbank(frame).seal(self.mac(message, mak or self.mak))

    def answer(self, asked: Message, code: str = "00", *, mak: bytes | None = None, **odd: Value | None) -> bytes:
        """Answer what was asked; `odd` replaces fields (de4=…), None takes one away."""
        fields: Fields = asked.copy(2, 3, 4, 7, 11, 12, 13, 25, 32, 33, 37, 41, 42, 49, 60) | {
            15: "0105",
            39: code,
            100: ISSUER,
        }
        if code == "00" and asked.mti in ("0200", "0220", "0221"):
            fields |= {38: "654321"}
        if asked.mti == "0200" and 55 in asked:
            fields |= {55: ANSWER_CHIP}
        if asked.text(3, "") == "310000" and code == "00":
            fields |= {54: "2001156C000000500000" + "2002156C000000450000"}
        fields |= {int(name[2:]): value for name, value in odd.items()}
        kept = {number: value for number, value in fields.items() if value is not None}
        return self.frame(Message(response_mti(asked.mti), kept), mak=mak)

    def management(self, mti: str, code: str, **fields: Value) -> bytes:
        self.stan += 1
        sent = local(self.clock.now_ms()).strftime("%m%d%H%M%S")
        more = {int(name[2:]): value for name, value in fields.items()}
        return self.frame(Message(mti, {7: sent, 11: f"{self.stan:06d}", 33: NETWORK, 70: code, **more}))

    def key_reset(self, kind: str, clear: bytes, *, under: bytes | None = None) -> bytes:
        """0800/101 with a key under the member's master key; a MAK's message is authenticated with that very MAK."""
        self.stan += 1
        sent = local(self.clock.now_ms()).strftime("%m%d%H%M%S")
        wrapped = Cipher(Block.TDES, under or self.mmk).encrypt(clear)
        check = Cipher(Block.TDES, clear).encrypt(bytes(8))[:4]
        field48 = UsageField(items=(("NK", wrapped + check),), wrapped=False).encode()
        control = {"PIK": "1", "MAK": "2"}[kind] + "6" + "0" * 14
        fields: dict[int, Value] = {7: sent, 11: f"{self.stan:06d}", 33: NETWORK, 48: field48, 53: control, 70: "101"}
        return self.frame(Message("0800", fields), mak=clear if kind == "MAK" else None)


@dataclass
class Till:
    """A terminal on a counter; `stan` and `batch` are its own."""

    terminal: str
    merchant: str
    tmk: bytes
    station: str
    currency: str = "156"
    batch: str = "000000"
    stan: int = 0
    pik: bytes = b""
    mak: bytes = b""
    sent: list[Message] = field(default_factory=list)
    mac_of: Callable[[bytes, bytes], bytes] = lambda mak, mab: ecb_mac(Cipher(Block.TDES, mak), mab)

    def next_stan(self) -> str:
        self.stan += 1
        return f"{self.stan:06d}"

    def frame(self, mti: str, fields: Fields, *, mac: bool = True) -> bytes:
        message = Message(mti, {number: value for number, value in fields.items() if value is not None})
        self.sent.append(message)
        frame = PosFrame("6000030000", "613100310000", message)
        if not mac:
            return encode_pos(frame)
        unsealed = prepare_pos(frame)
        return unsealed.seal(self.mac_of(self.mak, unsealed.mab))

    def _changed(self, fields: Fields, odd: dict[str, Value | None]) -> Fields:
        return fields | {int(name[2:]): value for name, value in odd.items()}

    # -- management ----------------------------------------------------------------------------------------------------

    def sign_in(self, **odd: Value | None) -> bytes:
        fields: Fields = {
            11: self.next_stan(),
            41: self.terminal,
            42: self.merchant,
            60: f"00{self.batch}003",
            62: b"Sequence No08" + b"10000001",
            63: "01 ",
        }
        return self.frame("0800", self._changed(fields, odd), mac=False)

    def take_keys(self, answer: Message) -> None:
        keys = {each.name: each for each in parse_working_keys(answer.binary(62), "40_PIK16_MAK16")}
        tmk = Cipher(Block.TDES, self.tmk)
        for name in ("PIK", "MAK"):
            clear = tmk.decrypt(keys[name].encrypted)
            assert Cipher(Block.TDES, clear).encrypt(bytes(8))[:4] == keys[name].check
            setattr(self, name.lower(), clear)
        self.batch = answer.text(60)[2:8]

    def echo(self) -> bytes:
        return self.frame("0820", {41: self.terminal, 42: self.merchant, 60: f"00{self.batch}301"}, mac=False)

    def sign_off(self) -> bytes:
        stan = self.next_stan()
        return self.frame("0820", {11: stan, 41: self.terminal, 42: self.merchant, 60: f"00{self.batch}002"}, mac=False)

    def settlement(self, totals: Totals, **odd: Value | None) -> bytes:
        fields: Fields = {
            11: self.next_stan(), 41: self.terminal, 42: self.merchant, 48: SettlementTotals(domestic=totals).encode(),
            49: self.currency, 60: f"00{self.batch}201", 63: "01 ",
        }  # fmt: skip
        return self.frame("0500", self._changed(fields, odd), mac=False)

    # -- money ---------------------------------------------------------------------------------------------------------

    def _money(self, amount_minor: int, kind: str, processing: str, *, pan: str = PAN) -> Fields:
        return {
            2: pan, 3: processing, 4: f"{amount_minor:012d}", 11: self.next_stan(), 22: "072", 25: "00", 41: self.terminal,
            42: self.merchant, 49: self.currency, 60: f"{kind}{self.batch}000600",
        }  # fmt: skip

    def purchase(self, amount_minor: int = 1234, *, pin: str | None = None, pan: str = PAN, **odd: Value | None) -> bytes:
        fields = self._money(amount_minor, "22", "000000", pan=pan)
        fields |= {14: "3012", 23: "001", 35: f"{pan}=30122011234567899", 53: "0600000000000000", 55: CHIP}
        return self.frame("0200", self._changed(fields | self.pin(pin, pan), odd))

    def pin(self, digits: str | None, pan: str = PAN) -> Fields:
        if digits is None:
            return {}
        block = encipher_pin(Cipher(Block.TDES, self.pik), PinFormat.ISO0, PIN(digits), pan=pan)
        return {22: "071", 26: "12", 52: block, 53: "2600000000000000"}

    def balance(self, *, pin: str | None = PIN_DIGITS, **odd: Value | None) -> bytes:
        fields = self._money(0, "01", "310000") | {14: "3012", 23: "001", 35: f"{PAN}=30122011234567899", 55: CHIP, 4: None}
        return self.frame("0200", self._changed(fields | self.pin(pin), odd))

    def void(self, original: Message, paid: Message, **odd: Value | None) -> bytes:
        fields = self._money(int(original.text(4)), "23", "200000", pan=original.text(2))
        fields |= {22: "012", 37: paid.text(37), 38: paid.text(38, "") or None}
        fields |= {61: original.text(60)[2:8] + original.text(11)}
        return self.frame("0200", self._changed(fields, odd))

    def refund(self, original: Message, paid: Message, amount_minor: int, **odd: Value | None) -> bytes:
        fields = self._money(amount_minor, "25", "200000", pan=original.text(2)) | {22: "012", 37: paid.text(37), 63: "CUP"}
        fields |= {61: original.text(60)[2:8] + original.text(11) + paid.text(13)}
        return self.frame("0220", self._changed(fields, odd))

    def reversal(self, original: Message, reason: str = "98", **odd: Value | None) -> bytes:
        fields: Fields = original.copy(2, 3, 4, 11, 14, 22, 23, 25, 41, 42, 49, 60) | {39: reason}  # type: ignore[assignment]
        return self.frame("0400", self._changed(fields, odd))

    # -- chips and stripes ---------------------------------------------------------------------------------------------

    def swipe(self, amount_minor: int = 1234, *, pin: str | None = PIN_DIGITS, **odd: Value | None) -> bytes:
        """A stripe that stands in for a chip which could not be read."""
        mode, condition = "021" if pin else "022", f"22{self.batch}000620"
        fallback: dict[str, Value | None] = {"de22": mode, "de23": None, "de55": None, "de60": condition}
        return self.purchase(amount_minor, pin=pin, **(fallback | odd))

    def offline(self, amount_minor: int = 500, **odd: Value | None) -> bytes:
        """An offline approval, uploaded."""
        fields = self._money(amount_minor, "36", "000000") | {14: "3012", 23: "001", 55: TC}
        return self.frame("0320", self._changed(fields, odd))

    def script_result(self, original: Message, paid: Message, **odd: Value | None) -> bytes:
        fields: Fields = dict(original.copy(2, 3, 4, 22, 23, 25, 41, 42, 49))
        fields |= {11: self.next_stan(), 37: paid.text(37), 55: SCRIPTS, 60: f"00{self.batch}951600"}
        fields |= {61: original.text(60)[2:8] + original.text(11) + paid.text(13)}
        return self.frame("0620", self._changed(fields, odd))

    def download(self, mti: str, code: str, de62: bytes | None = None) -> bytes:
        """A message about what there is to download."""
        fields: Fields = {11: self.next_stan(), 41: self.terminal, 42: self.merchant, 60: f"00{self.batch}{code}", 62: de62}
        return self.frame(mti, fields, mac=False)

    @staticmethod
    def sent_fields(raw: bytes) -> Fields:
        """The fields of a frame without its MAC."""
        return {number: value for number, value in decode_pos(raw).message.fields.items() if number != 64}

    def right(self, raw: bytes) -> bool:
        """Whether the MAC of an answer is right."""
        return self.mac_of(self.mak, mab_of(raw)) == decode_pos(raw).message.fields[64]


@dataclass
class Bank:
    """Acquirer, its store and clock, two tills, and the network's end."""

    folder: Path
    config: AcquirerConfig = field(default_factory=lambda: AcquirerConfig(institution=ACQUIRER))
    where: str = ""
    watch: bool = True
    delay_ms: int = 0  # how long frames have lain in the inbox

    def __post_init__(self) -> None:
        self.clock, self.hsm, self.events = ManualClock(START_MS), SoftHSM(LMK.generate()), Recorder()
        self.store = Store.open(self.where or self.folder / "acquirer.db", schema=SCHEMA, name="acquirer")
        self.out: deque[Outbound] = deque()
        mmk = key()
        self.network = Network(mmk, clock=self.clock)
        now_ms = self.clock.now_ms()
        block = self.hsm.form(KeyUsage.KEK, Algorithm.TDES, halves(mmk))
        install_key(self.store, f"mmk/{NETWORK}", block, now_ms=now_ms)
        install_key(self.store, LOOKUP, self.hsm.generate(KeyUsage.LOOKUP, Algorithm.HMAC), now_ms=now_ms)
        install_key(self.store, SEAL, self.hsm.generate(KeyUsage.SEAL, Algorithm.AES), now_ms=now_ms)
        cny = Currency.of("CNY")
        orders = (
            MerchantOrder(merchant=TEAHOUSE, name="Teahouse", name_zh="万福茶楼", currency=cny, mcc="5812", pin_free=True),
            MerchantOrder(merchant=BOOKSHOP, name="New Street Books", currency=cny, mcc="5942", permits="PURCHASE"),
        )
        for order in orders:
            enrol_merchant(self.store, order, now_ms=now_ms)
        self.till = self.install("10000001", TEAHOUSE)
        self.books_till = self.install("10000002", BOOKSHOP)
        self.restart()

    def install(self, terminal: str, merchant: str, algorithm: MACAlgorithm = MACAlgorithm.UNIONPAY_ECB) -> Till:
        tmk, now_ms = key(), self.clock.now_ms()
        block = self.hsm.form(KeyUsage.KEK, Algorithm.TDES, halves(tmk))
        enrol_terminal(self.store, terminal, merchant=merchant, tmk=block, now_ms=now_ms, mac_algorithm=algorithm)
        return Till(terminal, merchant, tmk, f"till-{terminal}")

    def restart(self, config: AcquirerConfig | None = None) -> None:
        self.host = Acquirer(config or self.config, self.hsm, watch=self.watch)
        self.worker = Worker(self.host, self.store, self.clock, send=self._send, events=self.events)

    def _send(self, station: str, frames: list[bytes]) -> None:
        self.out.extend(Outbound(station, frame) for frame in frames)

    # -- talking -------------------------------------------------------------------------------------------------------

    def turn(self, *batch: tuple[str, bytes]) -> list[Outbound]:
        """Work a batch of (station, frame) and return what leaves."""
        arrived_ms = self.clock.now_ms() - self.delay_ms
        self.worker.turn([Inbound(station, frame, arrived_ms=arrived_ms) for station, frame in batch])
        return self.drain()

    def drain(self) -> list[Outbound]:
        out = list(self.out)
        self.out.clear()
        return out

    def tick(self, ms: int = 0) -> list[Outbound]:
        self.clock.advance(ms)
        self.worker.tick()
        return self.drain()

    def ask(self, till: Till, frame: bytes) -> Message:
        """Send a terminal's frame that is answered at once."""
        [back] = self.turn((till.station, frame))
        assert back.station == till.station, decode_interbank(back.frame)
        return self.answered(till, back.frame)

    def answered(self, till: Till, raw: bytes) -> Message:
        """Read an answer as its terminal does: address, type, trace, and its MAC if it has one."""
        frame = decode_pos(raw)
        assert (frame.tpdu, frame.header) == ("6000000003", "613100310000")
        if 64 in frame.message:
            assert till.right(raw)
        return frame.message

    def forwarded(self, till: Till, frame: bytes) -> Message:
        """Send a terminal's frame that is forwarded; return what the network hears."""
        [out] = self.turn((till.station, frame))
        assert out.station == NETWORK, decode_pos(out.frame).message.fields
        return self.network.hear(out.frame).message

    def reply(self, asked: Message, code: str = "00", **odd: Value | None) -> list[Outbound]:
        return self.turn((NETWORK, self.network.answer(asked, code, **odd)))

    def complete(self, till: Till, frame: bytes, code: str = "00", **odd: Value | None) -> Message:
        """Carry a request to the network and its answer back."""
        asked = self.forwarded(till, frame)
        [back] = self.reply(asked, code, **odd)
        assert back.station == till.station
        return self.answered(till, back.frame)

    def heard(self, out: list[Outbound]) -> list[Message]:
        return [self.network.hear(each.frame).message for each in out if each.station == NETWORK]

    # -- opening -------------------------------------------------------------------------------------------------------

    def sign_on(self) -> None:
        """The link comes up, the network answers and resets both keys."""
        self.worker.turn([Inbound(NETWORK, kind=Kind.UP)])
        [out] = self.drain()
        asked = self.network.hear(out.frame).message
        assert (asked.mti, asked.text(70)) == ("0820", "001")
        answer = Message("0830", asked.copy(7, 11, 33, 70) | {39: "00"})
        assert self.turn((NETWORK, self.network.frame(answer))) == []
        self.reset_keys()

    def link_down(self) -> None:
        self.worker.turn([Inbound(NETWORK, kind=Kind.DOWN)])

    def link_up(self) -> None:
        """The link comes back; nobody answers the sign-on yet."""
        self.worker.turn([Inbound(NETWORK, kind=Kind.UP)])
        self.drain()

    def settle(self, till: Till) -> Message:
        """Settle what the journal says, and open the next batch."""
        [view] = [v for v in list_batches(self.store) if (v.batch.terminal, v.batch.number) == (till.terminal, till.batch)]
        answer = self.ask(till, till.settlement(view.totals))
        assert SettlementTotals.parse(answer.text(48)).domestic_verdict == 1
        self.sign_in(till)
        return answer

    def reset_keys(self) -> None:
        for kind in ("MAK", "PIK"):
            clear = key()
            frame = self.network.key_reset(kind, clear)
            setattr(self.network, kind.lower(), clear)
            [out] = self.turn((NETWORK, frame))
            answer = self.network.hear(out.frame).message
            assert (answer.mti, answer.text(39)) == ("0810", "00")
            assert answer.text(128).encode() == self.network.mac(answer, self.network.mak)

    def sign_in(self, till: Till) -> Message:
        answer = self.ask(till, till.sign_in())
        assert answer.text(39) == "00", answer.fields
        till.take_keys(answer)
        return answer

    def open(self) -> "Bank":
        self.sign_on()
        self.sign_in(self.till)
        self.sign_in(self.books_till)
        self.events.drain()
        return self
