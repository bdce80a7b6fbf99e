"""A token service with the network's end of its link, a requestor, cards, tokens, and phones with real keys."""

import contextlib
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, get_type_hints

import msgspec

from shanfu.clock import ManualClock, local
from shanfu.crypto import Algorithm as Block
from shanfu.crypto import CardAlgorithm, Cipher, SessionKey, combine, odd_parity, udk_option_a
from shanfu.crypto.luk import cryptogram_key, derive_key
from shanfu.emv import KeyIndexData, cryptogram_input, encode_field55
from shanfu.events import Recorder
from shanfu.hsm import LMK, Algorithm, KeyBlock, KeyUsage, MACAlgorithm, MACJob, SoftHSM
from shanfu.iso8583 import (
    InterbankFrame,
    InterbankHeader,
    Message,
    OriginalData,
    Outcome,
    TokenAnswer,
    Value,
    decode_interbank,
    encode_outcomes,
    mac_input,
    prepare_interbank,
)
from shanfu.links import Inbound, Worker
from shanfu.messages import (
    Call,
    KeyPolicy,
    KeySetTerms,
    Reply,
    TokenState,
    UseReport,
    decoded,
    encoded,
    operation,
    pack,
    unpack,
)
from shanfu.messages.requestor import ConfirmKeys, IssueKeys
from shanfu.messages.wallet import TransactionsAsked
from shanfu.store import Store
from shanfu.tokens import KeyScheme, key_index_bytes, token_number
from shanfu.tsp import LOOKUP, PREFIX, SCHEMA, SEAL, TSP, VAULT, TSPBooks, TSPConfig, imk_label, install_key, pan_label
from shanfu.tsp.history import BY_NAME, HistoryRow, explained
from shanfu.tsp.key_sets import BY_COUNTER, BY_SEQUENCE, CounterRow, KeySetRow
from shanfu.tsp.requestors import RequestorRow, RequestorState
from shanfu.tsp.vault import CardRow, CardState, TokenRow, number_context, pan_context

NETWORK, SERVICE, ACQUIRER, ISSUER = "00010000", "90100000", "99012900", "99010000"
TRID, OTHER_TRID = "90100000001", "90100000002"
BIN, DKI = "625094", 1
START_MS = 1_767_600_000_000  # 2026-01-05 16:00 in China
TODAY = "20260105"
PAR_OF_LIN = "SF01" + "LIN".ljust(25, "0")


def shared_key(usage: KeyUsage, algorithm: Algorithm, *hsms: SoftHSM) -> tuple[bytes, list[KeyBlock]]:
    """One key in several HSMs, formed from the same components as in a ceremony, and its clear value for the test."""
    wide = algorithm is Algorithm.AES
    parts = [os.urandom(32) if wide else odd_parity(os.urandom(16)) for _ in range(3)]
    return combine(parts), [hsm.form(usage, algorithm, parts) for hsm in hsms]


R = TypeVar("R")


def filled(row: type[R], **values: object) -> R:
    """A row with these values, and nothing in its other columns."""
    nothing = {str: "", int: 0, bytes: b""}
    return row(*(values.get(name, nothing[kind]) for name, kind in get_type_hints(row).items()))


@dataclass
class Phone:
    """A phone that keeps no rules of its own: it makes any cryptogram it is told to."""

    reference: str
    number: str
    expiry: str
    imk: bytes
    device: str
    terms: KeySetTerms | None = None
    atc: int = 0
    uses: list[UseReport] = field(default_factory=list)

    def take(self, terms: KeySetTerms) -> None:
        """Store a key set; the next ATC is its first."""
        self.terms, self.atc = terms, terms.atc_first - 1

    def chip(self, amount_minor: int, *, atc: int = 0, currency: str = "156", **odd: bytes) -> bytes:
        """Return DE55 of a tap; `odd` replaces tags before the cryptogram is made (t95=…), t9F26 afterwards."""
        assert self.terms
        self.atc = atc or self.atc + 1
        iad = bytes((7, DKI, 1)) + bytes.fromhex("03A00000") + b"\x01"
        index = bytes(KeyIndexData(self.terms.index))
        values = {
            0x9F02: bytes.fromhex(f"{amount_minor:012d}"), 0x9F03: bytes(6), 0x9F1A: bytes.fromhex("0156"), 0x95: bytes(5),
            0x5F2A: bytes.fromhex(f"0{currency}"), 0x9A: bytes.fromhex("260105"), 0x9C: b"\x00", 0x9F37: os.urandom(4),
            0x82: bytes.fromhex("7C00"), 0x9F36: self.atc.to_bytes(2), 0x9F27: b"\x80", 0x9F33: bytes.fromhex("E0E1C8"),
            0x9F10: iad + bytes((len(index),)) + index,
        } | {int(name[1:], 16): value for name, value in odd.items()}  # fmt: skip
        arqc = self.key(self.atc).cryptogram(cryptogram_input(values[0x9F10][2], values))
        report = UseReport(
            atc=self.atc, index=self.terms.index, at_ms=START_MS, amount=amount_minor, un=values[0x9F37].hex()
        )  # fmt: skip
        self.uses.append(report)
        return encode_field55(values | {0x9F26: arqc} | {int(n[1:], 16): v for n, v in odd.items() if n == "t9F26"})

    def key(self, atc: int) -> SessionKey:
        """The key of one tap."""
        assert self.terms
        udk = Cipher(Block.TDES, udk_option_a(Cipher(Block.TDES, self.imk), self.number, "00"))
        scheme = self.terms.scheme
        diversifier = atc.to_bytes(2) if scheme is KeyScheme.SUK else key_index_bytes(self.terms.index)
        luk = derive_key(scheme, udk, diversifier)
        return SessionKey(CardAlgorithm.TDES, cryptogram_key(scheme, luk, atc))


class Death(BaseException):
    """The service dies here, as by SIGKILL."""


@dataclass
class PayHouse:
    """The service, its store and clock, and the network's end."""

    folder: Path
    config: TSPConfig = field(default_factory=TSPConfig)
    where: str = ""

    def __post_init__(self) -> None:
        self.clock = ManualClock(START_MS)
        self.hsm, self.peer = SoftHSM(LMK.generate()), SoftHSM(LMK.generate())
        self.store = Store.open(self.where or self.folder / "tsp.db", schema=SCHEMA, name="tsp")
        self.sent: deque[bytes] = deque()
        self.events = Recorder()
        self.stan = self.calls = 0
        self.dies_at = ""
        self.phones: dict[str, Phone] = {}
        self._ceremony()
        self.restart()
        self.requestor(TRID)

    def restart(self) -> None:
        self.host = TSP(self.config, self.hsm, watch=True)
        self.worker = Worker(
            self.host, self.store, self.clock, send=lambda _, frames: self.sent.extend(frames), events=self.events,
            crash_point=self._passing,
        )  # fmt: skip

    def _passing(self, point: str) -> None:
        if point == self.dies_at:
            self.dies_at = ""
            raise Death

    def dying(self, point: str, work: Callable[[], object]) -> None:
        """Let the service work until it dies at this point; then its next life begins over the same books."""
        self.dies_at = point
        with contextlib.suppress(Death):
            work()
        assert not self.dies_at, f"never came to {point}"
        self.worker.abandon()
        self.sent.clear()
        self.restart()

    def _ceremony(self) -> None:
        now_ms = self.clock.now_ms()

        def install(label: str, block: KeyBlock) -> None:
            install_key(self.store, label, block, now_ms=now_ms, prefix=PREFIX)

        _, (mak, self.mak) = shared_key(KeyUsage.MAK, Algorithm.TDES, self.hsm, self.peer)
        _, (vault, self.vault) = shared_key(KeyUsage.VAULT, Algorithm.AES, self.hsm, self.peer)
        _, (pans, self.pans) = shared_key(KeyUsage.VAULT, Algorithm.AES, self.hsm, self.peer)
        self.imk, (imk,) = shared_key(KeyUsage.IMK_AC, Algorithm.TDES, self.hsm)
        _, (mmk, self.mmk) = shared_key(KeyUsage.KEK, Algorithm.TDES, self.hsm, self.peer)
        install(f"mmk/{NETWORK}", mmk)
        install(f"mak/{NETWORK}", mak)
        install(VAULT, vault)
        install(pan_label(TRID), pans)
        install(imk_label(BIN, DKI), imk)
        install(LOOKUP, self.hsm.generate(KeyUsage.LOOKUP, Algorithm.HMAC))
        install(SEAL, self.hsm.generate(KeyUsage.SEAL, Algorithm.AES))

    # -- the vault -----------------------------------------------------------------------------------------------------

    def books(self) -> TSPBooks:
        """Books in a transaction of their own; end with `keep`."""
        return TSPBooks(self.store.begin(), now_ms=self.clock.now_ms())

    @staticmethod
    def keep(books: TSPBooks) -> None:
        books.save()
        books.tx.commit()

    def requestor(self, trid: str, **changes: str) -> None:
        usual = {"issuer": ISSUER, "channels": "contactless", "entry_modes": "07 98", "state": RequestorState.ACTIVE.value}
        books = self.books()
        books.requestors.add(filled(RequestorRow, trid=trid, **{**usual, **changes}))
        self.keep(books)

    def token(self, name: str = "lin", *, policy: KeyPolicy | None = None, keys: bool = True, **changes: object) -> Phone:
        """Make a card and an active token of it, in a phone; with `keys` its first key set is stored there."""
        serial = len(self.phones) + 1
        reference, number, device = f"{serial:032x}", token_number(BIN, serial).digits, f"device-{name}"
        pan = f"62090100000{serial:05d}"
        books = self.books()
        card = filled(
            CardRow, issuer=ISSUER, card=f"card-{name}", par=PAR_OF_LIN, account_group=name, pan=self.digest(books, pan),
            pan_last4=pan[-4:], generation=1, expiry="3012", psn="01", currency="156", state=CardState.ACTIVE.value,
        )  # fmt: skip
        card.pan_sealed = self.seal(books, pan, pan_context(card))
        fields = {
            "token": reference, "number": self.digest(books, number),
            "number_sealed": self.seal(books, number, number_context(reference)), "token_last4": number[-4:],
            "expiry": "2901", "psn": "00", "dki": DKI, "par": PAR_OF_LIN, "trid": TRID, "issuer": ISSUER, "card": card.card,
            "generation": 1, "pan_last4": pan[-4:], "device": device, "device_name": "Phone", "storage": "01",
            "assurance": "11", "state": TokenState.ACTIVE.value, "suspended_by": "", "version": 1, "reason": "",
            "policy": msgspec.json.encode(policy or KeyPolicy()), "expires_ms": START_MS + 10**11,
        }  # fmt: skip
        books.cards.add(card)
        books.tokens.add(filled(TokenRow, **{**fields, **changes}))
        self.keep(books)
        self.phones[name] = phone = Phone(reference, number, "2901", self.imk, device)
        if keys:
            self.refresh(phone)
        return phone

    def digest(self, books: TSPBooks, digits: str) -> str:
        return self.hsm.lookup(books.keys.current(LOOKUP), [digits.encode()])[0]

    def seal(self, books: TSPBooks, digits: str, context: bytes) -> bytes:
        return self.hsm.seal(books.keys.current(SEAL), [(digits.encode(), context)])[0]

    def change(self, phone: Phone, **changes: object) -> None:
        """Change the token's row, as its life would."""
        books = self.books()
        row = books.token(phone.reference)
        for name, value in changes.items():
            setattr(row, name, value)
        self.keep(books)

    def change_card(self, phone: Phone, **changes: object) -> None:
        books = self.books()
        token = books.token(phone.reference)
        assert token
        row = books.card(token.issuer, token.card)
        for name, value in changes.items():
            setattr(row, name, value)
        self.keep(books)

    def new_pan(self, phone: Phone, pan: str) -> None:
        """Replace the card: a new number under the same reference."""
        books = self.books()
        token = books.token(phone.reference)
        assert token
        card = books.card(token.issuer, token.card)
        assert card
        card.generation += 1
        card.pan_sealed, card.pan = self.seal(books, pan, pan_context(card)), self.digest(books, pan)
        self.keep(books)

    # -- JSON ----------------------------------------------------------------------------------------------------------

    def call(self, op: str, body: msgspec.Struct, *, caller: str = f"requestor/{TRID}", key: str = "") -> Reply:
        """Ask the desk as the key cloud does."""
        self.calls += 1
        call = Call(id=str(self.calls), op=op, caller=caller, key=key, body=encoded(body))
        self.sent.clear()
        self.worker.turn([Inbound("http/1", pack(call))])
        replies = [unpack(frame, Reply) for frame in self.sent if frame[:1] == b"\x00" and b'"status"' in frame]
        [reply] = [reply for reply in replies if reply.id == call.id]
        return reply

    def asked(self, op: str, body: msgspec.Struct, **how: str):
        """The answer of a call that must be granted."""
        reply = self.call(op, body, **how)
        assert reply.ok, bytes(reply.body)
        row = operation(op)
        assert row
        return decoded(reply.body, row.gives, path=op)

    def issue(
        self, phone: Phone, sequence: int, *, atc: int | None = None, uses: list[UseReport] | None = None, **more
    ) -> Reply:
        """Ask for a key set, with the phone's log."""
        body = IssueKeys(
            token=phone.reference, device=more.get("device", phone.device), sequence=sequence,
            uses=tuple(phone.uses if uses is None else uses), atc=phone.atc if atc is None else atc,
            lowered=more.get("lowered", False),
        )  # fmt: skip
        return self.call("tsp.keys.issue", body)

    def refresh(self, phone: Phone, *, confirm: bool = True) -> KeySetTerms:
        """Fetch the next key set into the phone."""
        sequence = phone.terms.sequence + 1 if phone.terms else 1
        reply = self.issue(phone, sequence)
        assert reply.ok, bytes(reply.body)
        row = operation("tsp.keys.issue")
        assert row
        issued = decoded(reply.body, row.gives, path="issued")
        phone.uses.clear()
        phone.take(issued.terms)
        if confirm:
            self.confirm(phone, sequence)
        return issued.terms

    def confirm(self, phone: Phone, sequence: int) -> Reply:
        return self.call("tsp.keys.confirm", ConfirmKeys(token=phone.reference, sequence=sequence))

    def transactions(self, phone: Phone, **more):
        return self.asked("tsp.transactions", TransactionsAsked(token=phone.reference, **more))

    # -- messages ------------------------------------------------------------------------------------------------------

    def purchase(self, phone: Phone, minor: int = 1000, **more) -> Message:
        """A purchase; `more` holds fields (f4="…", None drops one), chip tags (t95=…), atc and processing code."""
        tags = {name: value for name, value in more.items() if name[0] == "t"}
        fields = self._common(phone, minor) | {3: more.get("code", "000000"), 22: "072", 14: phone.expiry}
        fields[55] = phone.chip(minor, atc=more.get("atc", 0), **tags)
        return Message("0200", self._odd(fields, more))

    def balance(self, phone: Phone, **more) -> Message:
        return self.purchase(phone, 0, code="310000", f4=None, **more)

    def follow_up(self, mti: str, original: Message, **more) -> Message:
        """A void (0200), refund (0220) or reversal (0420) of an original."""
        text = original.text
        holder = Phone("", text(2), "", b"", "")
        fields = self._common(holder, int(text(4, "0")))
        fields |= {22: "012", 3: text(3) if mti[:2] == "04" else "200000"}
        fields[90] = original_data(original)
        if mti[:2] == "04":
            fields[39] = "98"
        return Message(mti, self._odd(fields, more))

    def outcome(self, original: Message, code: str = "00", **more) -> Message:
        """The network's advice of what the issuer said."""
        ends = encode_outcomes([Outcome(original_data(original), code, "123456" if code == "00" else "")])
        named = {number: self._common(Phone("", "", "", b"", ""), 0)[number] for number in (7, 11)}
        return Message("0620", self._odd({**named, 32: NETWORK, 33: NETWORK, 59: ends}, more))

    def _common(self, phone: Phone, minor: int) -> dict[int, Value]:
        self.stan += 1
        now = local(self.clock.now_ms())
        return {
            2: phone.number, 4: f"{minor:012d}", 7: now.strftime("%m%d%H%M%S"), 11: f"{self.stan:06d}",
            12: now.strftime("%H%M%S"), 13: now.strftime("%m%d"), 15: now.strftime("%m%d"), 18: "5812", 23: "000", 25: "00",
            32: ACQUIRER, 33: ACQUIRER, 37: f"{self.stan:012d}", 41: "10000001", 42: "990290058120001",
            43: "TEAHOUSE".ljust(40), 49: "156", 60: "0000060003",
        }  # fmt: skip

    @staticmethod
    def _odd(fields: dict[int, Value], more: dict) -> dict[int, Value]:
        odd = {int(name[1:]): value for name, value in more.items() if name[0] == "f" and name[1:].isdigit()}
        return {number: value for number, value in (fields | odd).items() if value is not None}

    # -- the wire ------------------------------------------------------------------------------------------------------

    def sealed(self, message: Message, *, spoil: bool = False) -> bytes:
        """The frame as the network sends it."""
        unsealed = prepare_interbank(InterbankFrame(InterbankHeader(destination=SERVICE, source=NETWORK), message))
        [mac] = self.peer.make_macs([MACJob(key=self.mak, algorithm=MACAlgorithm.X9_19, data=unsealed.mab)])
        return unsealed.seal(b"00000000" if spoil else mac)

    def send(self, *frames: bytes, station: str = NETWORK, arrived_ms: int = 0) -> list[Message]:
        """Let the service work these frames as one batch; return what it answers, MACs checked."""
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
        [answer] = self.send(self.sealed(message), **how)
        return answer

    def said(self, message: Message, **how) -> tuple[str, str]:
        """The code and the named reason of an answer ("" when it is granted)."""
        return verdict(self.ask(message, **how))

    def pay(self, phone: Phone, minor: int = 1000, **more) -> Message:
        """A purchase that must be resolved; returns the request."""
        request = self.purchase(phone, minor, **more)
        assert self.said(request) == ("00", "")
        return request

    # -- what the books hold -------------------------------------------------------------------------------------------

    def history(self, message: Message) -> HistoryRow | None:
        text = message.text
        name = f"{text(7)}.{text(11)}.{text(32)}.{text(33)}"
        books = self.books()
        books.history.load(BY_NAME, [name])
        row = books.history.find(BY_NAME, name)
        books.tx.rollback()
        return row

    def key_set(self, phone: Phone, sequence: int) -> KeySetRow:
        books = self.books()
        [row] = books.key_sets.load(BY_SEQUENCE, [(0, phone.reference, sequence)])
        books.tx.rollback()
        return row

    def counter(self, phone: Phone) -> CounterRow:
        books = self.books()
        [row] = books.counters.load(BY_COUNTER, [(0, phone.reference)])
        books.tx.rollback()
        return row

    def token_row(self, phone: Phone) -> TokenRow:
        books = self.books()
        row = books.token(phone.reference)
        books.tx.rollback()
        assert row
        return row

    def explained(self, message: Message) -> dict[str, tuple[bool, str]]:
        """Every check of a payment: whether it was passed, and what was compared."""
        row = self.history(message)
        assert row
        return {step.check: (step.passed, step.detail) for step in explained(row)}

    def pan_in(self, answer: Message, phone: Phone) -> str:
        """The PAN of an answer, which its vault record must confirm."""
        record = TokenAnswer.of_field(answer.binary(63)).record
        [pan] = self.peer.unseal(self.vault, [(record, b"token/" + phone.number.encode())])
        assert pan.decode() == answer.text(2)
        return answer.text(2)

    def risks(self) -> list[str]:
        """Reasons of the risk events so far."""
        return [event.reason for event in self.events.events if event.title.startswith("risk: ")]


def original_data(original: Message) -> str:
    text = original.text
    return OriginalData.of(
        mti=original.mti, stan=text(11), sent=text(7), acquirer=text(32), forwarder=text(33)
    ).encode()  # fmt: skip


def verdict(answer: Message) -> tuple[str, str]:
    """The code of an answer, and the name that DE63 RS gives a refusal."""
    return answer.text(39), TokenAnswer.of_field(answer.binary(63, b"")).reason
