"""A bank with its network's end of the link: own HSM, own keys, real cards computed from their master keys."""

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from shanfu.clock import ManualClock, local
from shanfu.crypto import (
    PIN,
    CardAlgorithm,
    Cipher,
    PinFormat,
    SessionKey,
    card_code,
    combine,
    encipher_pin,
    odd_parity,
    session_key_pboc,
    udk_option_a,
)
from shanfu.crypto import Algorithm as Block
from shanfu.emv import Message55, cryptogram_input, decode_field55, encode_field55
from shanfu.events import Recorder
from shanfu.hsm import LMK, Algorithm, KeyBlock, KeyUsage, MACAlgorithm, MACJob, PINBlockFormat, PINCheck, SoftHSM
from shanfu.iso8583 import (
    InterbankFrame,
    InterbankHeader,
    Message,
    OriginalData,
    Value,
    decode_interbank,
    encode_interbank,
    mac_input,
    prepare_interbank,
)
from shanfu.issuer import (
    CVK,
    DESK_PIK,
    LOOKUP,
    SCHEMA,
    SEAL,
    AccountKind,
    CardOrder,
    CardState,
    Issuer,
    IssuerConfig,
    Policy,
    deposit,
    imk_label,
    install_key,
    issue_card,
    open_account,
    open_customer,
    pvk_label,
)
from shanfu.links import Inbound, Kind, Worker
from shanfu.money import Currency
from shanfu.pan import PAN, luhn_digit
from shanfu.store import Store

NETWORK, BANK, ACQUIRER = "00010000", "99010000", "99020000"
START_MS = 1_767_600_000_000  # 2026-01-05 16:00 in China
CNY, HKD = Currency.of("CNY"), Currency.of("HKD")
PIN_DIGITS = "123456"
TODAY, TOMORROW = "20260105", "20260106"


def number(prefix: str) -> PAN:
    return PAN(prefix + luhn_digit(prefix))


def shared_key(usage: KeyUsage, algorithm: Algorithm, *hsms: SoftHSM) -> tuple[bytes, list[KeyBlock]]:
    """One key in several HSMs, formed from the same components as in a ceremony, and its clear value for the test."""
    parts = [os.urandom(16) if algorithm is Algorithm.SM4 else odd_parity(os.urandom(16)) for _ in range(3)]
    return combine(parts), [hsm.form(usage, algorithm, parts) for hsm in hsms]


@dataclass
class Plastic:
    """A card: computes cryptograms with the key that its master key derives."""

    pan: PAN
    imk: bytes
    algorithm: Algorithm = Algorithm.TDES
    psn: str = "01"
    expiry: str = "3012"
    atc: int = 0
    dki: int = 1

    def chip(self, amount_minor: int, currency: str, **odd: bytes) -> bytes:
        """Return DE55 of the next transaction; `odd` replaces tags (t95=…) before the cryptogram is made."""
        self.atc += 1
        sm4 = self.algorithm is Algorithm.SM4
        values = {
            0x9F02: bytes.fromhex(f"{amount_minor:012d}"), 0x9F03: bytes(6), 0x9F1A: bytes.fromhex("0156"), 0x95: bytes(5),
            0x5F2A: bytes.fromhex(f"0{currency}"), 0x9A: bytes.fromhex("260105"), 0x9C: b"\x00", 0x9F37: os.urandom(4),
            0x82: bytes.fromhex("7C00"), 0x9F36: self.atc.to_bytes(2), 0x9F27: b"\x80", 0x9F33: bytes.fromhex("E0E1C8"),
            0x9F10: bytes((7, self.dki, 1)) + bytes.fromhex("03A00000") + bytes((4 if sm4 else 1,)),
        } | {int(name[1:], 16): value for name, value in odd.items()}  # fmt: skip
        block = Block.SM4 if sm4 else Block.TDES
        udk = udk_option_a(Cipher(block, self.imk), self.pan.digits, self.psn)
        session = session_key_pboc(Cipher(block, udk), self.atc)
        key = SessionKey(CardAlgorithm.SM4 if sm4 else CardAlgorithm.TDES, session)
        self.session = key
        self.arqc = key.cryptogram(cryptogram_input(values[0x9F10][2], values))
        return encode_field55(values | {0x9F26: self.arqc} | {int(n[1:], 16): v for n, v in odd.items() if n == "t9F26"})


@dataclass
class Bank:
    """Issuer, its store and clock, and the network's end."""

    folder: Path
    config: IssuerConfig = field(default_factory=lambda: IssuerConfig(institution=BANK))
    where: str = ""

    def __post_init__(self) -> None:
        self.clock = ManualClock(START_MS)
        self.hsm, self.peer = SoftHSM(LMK.generate()), SoftHSM(LMK.generate())
        self.store = Store.open(self.where or self.folder / "issuer.db", schema=SCHEMA, name="issuer")
        self.sent: deque[bytes] = deque()
        self.events = Recorder()
        self.stan = 0
        self.imk: dict[tuple[str, Algorithm], bytes] = {}
        self.cards: dict[str, Plastic] = {}
        self._ceremony()
        self.restart()

    def restart(self, config: IssuerConfig | None = None) -> None:
        self.host = Issuer(config or self.config, self.hsm, watch=True)
        self.worker = Worker(
            self.host, self.store, self.clock, send=lambda _, frames: self.sent.extend(frames), events=self.events
        )

    # -- keys ----------------------------------------------------------------------------------------------------------

    def _ceremony(self) -> None:
        now_ms = self.clock.now_ms()
        _, (self.own_mmk, self.mmk) = shared_key(KeyUsage.KEK, Algorithm.TDES, self.hsm, self.peer)
        install_key(self.store, f"mmk/{NETWORK}", self.own_mmk, now_ms=now_ms)
        install_key(self.store, LOOKUP, self.hsm.generate(KeyUsage.LOOKUP, Algorithm.HMAC), now_ms=now_ms)
        install_key(self.store, SEAL, self.hsm.generate(KeyUsage.SEAL, Algorithm.AES), now_ms=now_ms)
        self.pvk = self.hsm.generate(KeyUsage.PVK, Algorithm.TDES)
        install_key(self.store, pvk_label("1"), self.pvk, now_ms=now_ms)
        for family, algorithm in (("debit", Algorithm.TDES), ("debit", Algorithm.SM4)):
            clear, [block] = shared_key(KeyUsage.IMK_AC, algorithm, self.hsm)
            self.imk[family, algorithm] = clear
            install_key(self.store, imk_label(family, algorithm, 1), block, now_ms=now_ms)
        self.new_mak()
        self.new_pik()
        install_key(self.store, f"mak/{NETWORK}", self._import(self.mak, KeyUsage.MAK), now_ms=now_ms)
        install_key(self.store, f"pik/{NETWORK}", self._import(self.pik, KeyUsage.PIK), now_ms=now_ms)

    def _import(self, key: KeyBlock, usage: KeyUsage) -> KeyBlock:
        return self.hsm.import_working_key(self.peer.export_working_key(key, self.mmk), self.own_mmk, usage, Algorithm.TDES)

    def chip_keys(self) -> None:
        """The keys that scripts and stripes need; `script_keys` and `cvk` are their clear values."""
        now_ms = self.clock.now_ms()
        self.script_keys: dict[tuple[str, Algorithm], bytes] = {}
        for use, usage in (("mac", KeyUsage.IMK_MAC), ("enc", KeyUsage.IMK_ENC)):
            for algorithm in (Algorithm.TDES, Algorithm.SM4):
                self.script_keys[use, algorithm], [block] = shared_key(usage, algorithm, self.hsm)
                install_key(self.store, imk_label("debit", algorithm, 1, use=use), block, now_ms=now_ms)
        self.cvk, [block] = shared_key(KeyUsage.CVK, Algorithm.TDES, self.hsm)
        install_key(self.store, CVK, block, now_ms=now_ms)
        self.desk_pik, [block] = shared_key(KeyUsage.PIK, Algorithm.TDES, self.hsm)
        install_key(self.store, DESK_PIK, block, now_ms=now_ms)

    def new_mak(self) -> None:
        _, [self.mak] = shared_key(KeyUsage.MAK, Algorithm.TDES, self.peer)

    def new_pik(self) -> None:
        self.pik_clear, [self.pik] = shared_key(KeyUsage.PIK, Algorithm.TDES, self.peer)

    # -- customers -----------------------------------------------------------------------------------------------------

    def customer(self, name: str, *, balance: int = 500_000, currency: Currency = CNY, limit: int = 0) -> str:
        """Open a customer with one account and money in it; a limit makes it a credit account."""
        now_ms = self.clock.now_ms()
        open_customer(self.store, name, name=name, now_ms=now_ms, buckets=self.config.buckets)
        return self.account(name, balance=balance, currency=currency, limit=limit)

    def account(self, name: str, *, balance: int, currency: Currency, limit: int = 0) -> str:
        kind = AccountKind.CREDIT if limit else AccountKind.DEBIT
        now_ms = self.clock.now_ms()
        when = {"now_ms": now_ms, "buckets": self.config.buckets}
        opened = open_account(self.store, customer=name, currency=currency, kind=kind, limit_minor=limit, **when)
        if balance:
            deposit(self.store, opened.account, balance, name=f"opening.{opened.account}", **when)
        return opened.account

    def card(
        self, name: str, group: str, *, digits: str = "", algorithm: Algorithm = Algorithm.TDES, **order: object
    ) -> Plastic:
        """Issue a card with the PIN 123456."""
        pan = number(digits or f"62090100000{len(self.cards):04d}")
        plastic = Plastic(pan, self.imk["debit", algorithm], algorithm)
        block = encipher_pin(Cipher(Block.TDES, self.pik_clear), PinFormat.ISO0, PIN(PIN_DIGITS), pan=pan.digits)
        pik = self._import(self.pik, KeyUsage.PIK)
        check = PINCheck(block=block, key=pik, format=PINBlockFormat.ISO_0, pan=pan.digits, pvk=self.pvk, pvv="0000")
        details = {"expiry": plastic.expiry, "algorithms": (algorithm,), "state": CardState.ACTIVE} | order
        order_ = CardOrder(pan=pan, group=group, pvv=self.hsm.make_pvv(check), **details)  # type: ignore[arg-type]
        issue_card(self.store, self.hsm, order_, now_ms=self.clock.now_ms(), buckets=self.config.buckets)
        self.cards[name] = plastic
        return plastic

    # -- messages ------------------------------------------------------------------------------------------------------

    def purchase(self, card: Plastic, minor: int, *, currency: str = "156", pin: str | None = PIN_DIGITS, **more) -> Message:
        """A purchase; `more` holds fields (f4="…", None drops one), chip tags (t95=…), day and processing code."""
        tags = {name: value for name, value in more.items() if name[0] == "t"}
        fields = self._common(card, minor, currency, more.get("day", TODAY))
        fields |= {3: more.get("code", "000000"), 22: "071" if pin else "072", 14: card.expiry}
        fields |= {35: f"{card.pan.digits}={card.expiry}2011234", 55: card.chip(minor, currency, **tags)}
        if pin:
            cipher = Cipher(Block.TDES, self.pik_clear)
            fields |= {26: "12", 52: encipher_pin(cipher, PinFormat.ISO0, PIN(pin), pan=card.pan.digits)}
            fields[53] = "2600000000000000"
        return Message("0200", self._odd(fields, more))

    def swipe(self, card: Plastic, minor: int, **more) -> Message:
        """A fallback: the stripe of a card whose chip could not be read; `service`, `cvv` and `month` are what it bears."""
        service, month = more.pop("service", "220"), more.pop("month", card.expiry)
        code = card_code("cvn", self.cvk, pan=card.pan.digits, expiry_yymm=month, service_code=service)
        track = f"{card.pan.digits}={month}{service}{more.pop('cvv', code)}000000"
        pinned = more.get("pin", PIN_DIGITS) is not None
        stripe = {"f22": "021" if pinned else "022", "f23": None, "f35": track, "f55": None, "f60": "0000062003"}
        card.atc -= 1  # the chip takes no part
        return self.purchase(card, minor, **stripe | more)

    def insert(self, card: Plastic, minor: int, **more) -> Message:
        """A purchase with the card in the slot."""
        return self.purchase(card, minor, **{"f22": "051" if more.get("pin", PIN_DIGITS) else "052"} | more)

    def offline(self, card: Plastic, minor: int, *, currency: str = "156", **more) -> Message:
        """The advice of what a card has approved by itself."""
        tags = {"t9F27": b"\x40", "t9F10": issuer_data(card, "03900000")}
        tags |= {name: value for name, value in more.items() if name[0] == "t"}
        fields = self._common(card, minor, currency, more.get("day", TODAY))
        fields |= {3: "000000", 22: "072", 14: card.expiry, 55: card.chip(minor, currency, **tags)}
        return Message("0220", self._odd(fields, more))

    def script_result(self, payment: Message, results: str, **more) -> Message:
        """0620: what the card made of the scripts that came with the answer to this payment; `results` is DF31 in hex."""
        fields = self._common(Plastic(PAN(payment.text(2)), b""), int(payment.text(4)), payment.text(49), TODAY)
        text, sent = payment.text, decode_field55(payment.binary(55))
        fields |= {3: text(3), 22: text(22), 43: None}
        identity = {"mti": payment.mti, "stan": text(11), "sent": text(7), "acquirer": text(32), "forwarder": text(33)}
        fields[90] = OriginalData.of(**identity).encode()
        told = {tag: sent[tag] for tag in (0x9F26, 0x9F10, 0x9F36, 0x82, 0x95, 0x9F1A, 0x9A, 0x9F33, 0x9F37)}
        fields[55] = encode_field55(told | {0xDF31: bytes.fromhex(results)}, Message55.SCRIPT_NOTICE)
        return Message("0620", self._odd({n: v for n, v in fields.items() if v is not None}, more))

    def balance(self, card: Plastic, **more) -> Message:
        return self.purchase(card, 0, code="310000", f4=None, **more)

    def follow_up(self, mti: str, original: Message, **more) -> Message:
        """A void (0200), refund (0220) or reversal (0420) of an original."""
        text = original.text
        day = more.get("day", TODAY)
        fields = self._common(Plastic(PAN(text(2)), b""), int(text(4, "0")), text(49), day)
        fields |= {22: "012", 3: text(3) if mti[:2] == "04" else "200000"}
        identity = {"mti": original.mti, "stan": text(11), "sent": text(7), "acquirer": text(32), "forwarder": text(33)}
        fields[90] = OriginalData.of(**identity).encode()
        if mti[:2] == "04":
            fields |= {39: "98"}
        if "f4" not in more and 4 in original:
            fields[4] = text(4)
        return Message(mti, self._odd(fields, more))

    def void(self, original: Message, **more) -> Message:
        return self.follow_up("0200", original, **more)

    def refund(self, original: Message, **more) -> Message:
        return self.follow_up("0220", original, **more)

    def reversal(self, original: Message, **more) -> Message:
        return self.follow_up("0420", original, **more)

    def _common(self, card: Plastic, minor: int, currency: str, day: str) -> dict[int, Value]:
        self.stan += 1
        now = local(self.clock.now_ms())
        return {
            2: card.pan.digits, 4: f"{minor:012d}", 7: now.strftime("%m%d%H%M%S"), 11: f"{self.stan:06d}",
            12: now.strftime("%H%M%S"), 13: now.strftime("%m%d"), 15: day[4:], 18: "5812", 23: "001", 25: "00",
            32: ACQUIRER, 33: ACQUIRER, 37: f"{self.stan:012d}", 41: "10000001", 42: "990290058120001",
            43: "TEAHOUSE".ljust(40), 49: currency, 60: "0000060003", 100: BANK,
        }  # fmt: skip

    @staticmethod
    def _odd(fields: dict[int, Value], more: dict) -> dict[int, Value]:
        odd = {int(name[1:]): value for name, value in more.items() if name[0] == "f" and name[1:].isdigit()}
        return {number: value for number, value in (fields | odd).items() if value is not None}

    # -- the wire ------------------------------------------------------------------------------------------------------

    def sealed(self, message: Message, *, key: KeyBlock | None = None, spoil: bool = False) -> bytes:
        """The frame as the network sends it."""
        frame = InterbankFrame(InterbankHeader(destination=BANK, source=NETWORK), message)
        if message.mti[:3] == "082":
            return encode_interbank(frame)
        unsealed = prepare_interbank(frame)
        [mac] = self.peer.make_macs([MACJob(key=key or self.mak, algorithm=MACAlgorithm.X9_19, data=unsealed.mab)])
        return unsealed.seal(b"00000000" if spoil else mac)

    def sealed_raw(self, message: Message, number: int, value: str) -> bytes:
        """The same for a message whose field is not what a table allows: written from `kept`, MACed with `value`."""
        bare = InterbankFrame(InterbankHeader(destination=BANK, source=NETWORK), message)
        odd = Message(message.mti, message.fields | {number: value})
        job = MACJob(key=self.mak, algorithm=MACAlgorithm.X9_19, data=mac_input(odd))
        return prepare_interbank(bare).seal(self.peer.make_macs([job])[0])

    def send(self, *frames: bytes, station: str = NETWORK, arrived_ms: int = 0) -> list[Message]:
        """Let the issuer work these frames as one batch; return what it answers, MACs checked."""
        self.sent.clear()
        self.worker.turn([Inbound(station, frame, arrived_ms=arrived_ms) for frame in frames])
        return [self.opened(frame) for frame in self.sent]

    def opened(self, frame: bytes) -> Message:
        message = decode_interbank(frame).message
        if 128 in message:
            job = MACJob(key=self.mak, algorithm=MACAlgorithm.X9_19, data=mac_input(message))
            assert self.peer.verify_macs([(job, message.text(128).encode())]) == [True], "the answer's MAC is wrong"
        return message

    def ask(self, message: Message, **how) -> Message:
        """Send one message and return its one answer."""
        [answer] = self.send(self.sealed(message, **how))
        return answer

    def code(self, message: Message, **how) -> str:
        return self.ask(message, **how).text(39)

    def reason(self) -> str:
        """The reason of the last decision."""
        return [event.reason for event in self.events.events if event.reason][-1]

    def tick(self, ms: int = 0) -> list[Message]:
        self.clock.advance(ms)
        self.sent.clear()
        self.worker.tick()
        return [self.opened(frame) for frame in self.sent]

    def link(self, kind: Kind) -> list[Message]:
        self.sent.clear()
        self.worker.turn([Inbound(NETWORK, kind=kind)])
        return [self.opened(frame) for frame in self.sent]

    def key_reset(self, usage: KeyUsage, *, under: KeyBlock | None = None) -> Message:
        """The network's 0800/101 for its newest key of this usage."""
        self.stan += 1
        key = self.mak if usage is KeyUsage.MAK else self.pik
        wrapped = self.peer.export_working_key(key, under or self.mmk)
        control = "2600000000000000" if usage is KeyUsage.MAK else "1600000000000000"
        fields = {7: "0105160000", 11: f"{self.stan:06d}", 33: NETWORK, 48: b"NK" + wrapped.cryptogram, 53: control, 70: "101"}
        return Message("0800", fields)

    def management(self, code: str, **more) -> Message:
        self.stan += 1
        fields = {7: "0105160000", 11: f"{self.stan:06d}", 33: NETWORK, 70: code}
        return Message("0820", self._odd(fields, more))


def issuer_data(card: Plastic, cvr: str, *, cvn: int = 1) -> bytes:
    """9F10 with this CVR."""
    return bytes((7, card.dki, cvn)) + bytes.fromhex(cvr) + bytes((4 if card.algorithm is Algorithm.SM4 else 1,))


def chip_of(message: Message) -> dict[int, bytes]:
    return decode_field55(message.binary(55), Message55.ANSWER)


__all__ = ["Bank", "Plastic", "Policy", "chip_of", "issuer_data"]
