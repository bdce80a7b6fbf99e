"""A token service with its requestor and its issuer scripted: everything but payments."""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from shanfu.clock import ManualClock
from shanfu.errors import DecodeError
from shanfu.events import Recorder
from shanfu.hsm import LMK, Algorithm, KeyBlock, KeyUsage, SoftHSM
from shanfu.links import Inbound, Worker
from shanfu.messages import (
    Call,
    CardEvent,
    Colour,
    IDVMethod,
    IDVOption,
    KeyPolicy,
    Problem,
    ProblemCode,
    Reply,
    TokenView,
    encoded,
    operation,
    pack,
    problem,
    unpack,
)
from shanfu.messages.issuing import CardChanged, CardJudged, CodeVerdict, TokenChanges
from shanfu.messages.requestor import ChangeToken, Notice, RequestToken, SendCode, TokenRequested, VerifyCode
from shanfu.messages.wallet import CodeSent, LoggedIn
from shanfu.pan import luhn_digit
from shanfu.store import Store
from shanfu.tsp import (
    LOOKUP,
    PREFIX,
    SCHEMA,
    SEAL,
    TSP,
    RangeOrder,
    RequestorOrder,
    TSPConfig,
    add_token_range,
    enrol_requestor,
    install_key,
    pan_label,
    show,
)

LANTERN, HARBOUR = "99010000", "99020000"
TRID, HARBOUR_TRID = "90100000001", "90100000002"
CLOUD = "cloud"
ME = f"requestor/{TRID}"
START_MS = 1_767_600_000_000  # 2026-01-05 16:00 in China
MINUTE_MS, DAY_MS = 60_000, 86_400_000
RIGHT_CODE = "246810"
SMS, BANK_APP, CALL = (IDVOption(method=method, hint="138****0001") for method in IDVMethod)


def pan_of(serial: int, bin_: str = "620901") -> str:
    payload = f"{bin_}{serial:09d}"
    return payload + luhn_digit(payload)


class Died(BaseException):
    """The process was killed: nothing runs after it."""


@dataclass
class Card:
    """A card as its issuer knows it."""

    ref: str
    pan: str
    issuer: str = LANTERN
    group: str = "lin"
    expiry: str = "3012"


@dataclass
class Service:
    """The service under test, what leaves it, and an issuer that answers by script."""

    folder: Path | None = None
    config: TSPConfig = field(default_factory=lambda: TSPConfig(requestors=(TRID, HARBOUR_TRID)))
    where: str = ""

    def __post_init__(self) -> None:
        self.clock, self.hsm, self.peer = ManualClock(START_MS), SoftHSM(LMK.generate()), SoftHSM(LMK.generate())
        self.store = self._opened()
        self.sent: list[tuple[str, bytes]] = []
        self.events = Recorder()
        self.calls = 0
        self.cards: dict[str, Card] = {}
        self.judge: Callable[[Card], CardJudged | Problem] = self.judged
        self.codes: dict[str, int] = {}
        self.policy = KeyPolicy()
        self.colour, self.options = Colour.GREEN, (SMS, BANK_APP, CALL)
        self.heard: list[tuple[str, str]] = []  # (station, operation) of what the service asked
        self.silent: set[str] = set()
        self.notices: dict[str, list[Notice]] = {}
        self._ceremony()
        for trid, issuer, app in ((TRID, LANTERN, "example.lantern"), (HARBOUR_TRID, HARBOUR, "example.harbour")):
            order = RequestorOrder(trid=trid, name=app, app=app, issuer=issuer, storages=("01", "04"))
            enrol_requestor(self.store, order, now_ms=START_MS)
        for bin_, issuer in (("625094", LANTERN), ("625095", HARBOUR)):
            add_token_range(self.store, RangeOrder(bin=bin_, issuer=issuer, country="156"), now_ms=START_MS)
        self._answers: dict[str, Any] = {}
        self._ops: dict[str, str] = {}
        self.restart()

    def _opened(self) -> Store:
        where = self.where or (self.folder / "tsp.db" if self.folder else ":memory:")
        return Store.open(where, schema=SCHEMA, name="tsp")

    def restart(self, die_at: str = "", nth: int = 1) -> None:
        """Start the process; it dies when it passes the named point for the nth time."""
        self.host = TSP(self.config, self.hsm, watch=True)
        passed = itertools.count(1)

        def crash(point: str) -> None:
            if point == die_at and next(passed) == nth:
                raise Died

        self.worker = Worker(
            self.host, self.store, self.clock, send=self._send, events=self.events, crash_point=crash if die_at else None
        )

    def revive(self) -> None:
        """Open the books again after a death; what had not left is lost."""
        self.sent.clear()
        self.store.close()
        self.store = self._opened()
        self.restart()

    def _send(self, station: str, frames: list[bytes]) -> None:
        self.sent.extend((station, frame) for frame in frames)

    def _ceremony(self) -> None:
        self._install(LOOKUP, self.hsm.generate(KeyUsage.LOOKUP, Algorithm.HMAC))
        self._install(SEAL, self.hsm.generate(KeyUsage.SEAL, Algorithm.AES))
        self.shared: dict[str, KeyBlock] = {}
        for party in (LANTERN, HARBOUR, TRID, HARBOUR_TRID):
            parts = [os.urandom(32), os.urandom(32)]
            self._install(pan_label(party), self.hsm.form(KeyUsage.VAULT, Algorithm.AES, parts))
            self.shared[party] = self.peer.form(KeyUsage.VAULT, Algorithm.AES, parts)

    def _install(self, label: str, block: KeyBlock) -> None:
        install_key(self.store, label, block, now_ms=START_MS, prefix=PREFIX)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def call(
        self, op: str, body: Struct | bytes, *, caller: str = f"requestor/{TRID}", station: str = "", key: str = ""
    ) -> Any:
        """Ask the service, let the issuer answer what it asks in turn, and return the answer or the Problem."""
        name = self.put(op, body, caller=caller, station=station, key=key)
        return self.answer_to(name)

    def put(self, op: str, body: Struct | bytes, *, caller: str = ME, station: str = "", key: str = "") -> str:
        """Send one call and let everything that follows happen."""
        self.calls += 1
        name = f"c{self.calls}"
        row = operation(op)
        assert row is not None
        default = CLOUD if caller.startswith("requestor/") else caller
        raw = msgspec.Raw(body) if isinstance(body, bytes) else encoded(body)
        call = Call(id=name, op=op, caller=caller, key=key or f"{name}-{op}", body=raw)
        self._ops[name] = op
        self.arrive(Inbound(station or default, pack(call)))
        return name

    def answer_to(self, name: str) -> Any:
        return self._answers.pop(name)

    def arrive(self, *batch: Inbound) -> None:
        """Work a batch; the issuers answer what they are asked until nothing more is said."""
        arrivals = list(batch)
        while arrivals:
            self.worker.turn(arrivals)
            arrivals = [reply for station, frame in self.drain() if (reply := self._outside(station, frame)) is not None]

    def drain(self) -> list[tuple[str, bytes]]:
        sent, self.sent = self.sent, []
        return sent

    def _outside(self, station: str, frame: bytes) -> Inbound | None:
        try:
            call = unpack(frame, Call)
        except DecodeError:
            reply = unpack(frame, Reply)
            row = operation(self._ops[reply.id])
            assert row is not None
            kind: Any = row.gives if reply.ok else Problem
            self._answers[reply.id] = msgspec.json.decode(reply.body, type=kind)
            return None
        self.heard.append((station, call.op))
        if call.op in self.silent:
            return None
        answer = self._answer(station, call)
        status = answer.status if isinstance(answer, Problem) else 200
        return Inbound(station, pack(Reply(id=call.id, status=status, body=encoded(answer))))

    def _answer(self, station: str, call: Call) -> Struct:
        row = operation(call.op)
        assert row is not None
        body: Any = msgspec.json.decode(call.body, type=row.asks)
        assert call.caller == self.config.station
        if call.op in ("notices.take", "issuer.notice"):
            self.notices.setdefault(station, []).append(body)
            return msgspec.json.decode(b"{}", type=row.gives)
        if call.op == "issuer.judge":
            return self.judge(self.cards[body.card])
        if call.op == "issuer.login":
            return LoggedIn(customer="lin", name="Lin Yue", assertion="a" * 32)
        if call.op == "issuer.code.send":
            return CodeSent(hint="138****0001", expires_ms=self.clock.now_ms() + 5 * MINUTE_MS, tries_left=3)
        return CodeVerdict(assurance="11") if body.code == RIGHT_CODE else problem(ProblemCode.CODE_WRONG)

    # -- the issuer ----------------------------------------------------------------------------------------------------

    def card(self, ref: str = "card-1", serial: int = 1, **more: Any) -> Card:
        bin_ = "620911" if more.get("issuer") == HARBOUR else "620901"
        self.cards[ref] = card = Card(ref, pan_of(serial, bin_), **more)
        return card

    def sealed(self, card: Card, pan: str = "") -> str:
        item = ((pan or card.pan).encode(), f"pan/{card.ref}".encode())
        return self.peer.seal(self.shared[card.issuer], [item])[0].hex()

    def judged(self, card: Card, **odd: Any) -> CardJudged:
        values: dict[str, Any] = {
            "colour": self.colour, "pan": self.sealed(card), "pan_last4": card.pan[-4:], "expiry": card.expiry, "psn": "01",
            "account_group": card.group, "currency": "156", "label": "Lantern debit", "options": self.options,
            "policy": self.policy,
        } | odd  # fmt: skip
        return CardJudged(**values)

    def event(self, card: Card, event: CardEvent, *, pan: str = "", **more: Any) -> TokenChanges | Problem:
        sealed = self.sealed(card, pan) if pan else ""
        body = CardChanged(card=card.ref, event=event, pan=sealed, pan_last4=pan[-4:], **more)
        return self.call("tsp.card", body, caller=f"issuer/{card.issuer}")

    # -- the requestor -------------------------------------------------------------------------------------------------

    def request(self, card: Card, *, device: str = "phone-1", caller: str = ME, **odd: Any) -> Any:
        return self.call("tsp.request", self.request_of(card, device, **odd), caller=caller)

    def request_of(self, card: Card, device: str = "phone-1", **odd: Any) -> RequestToken:
        values: dict[str, Any] = {
            "card": card.ref, "customer": "lin", "device": device, "device_name": "Lin's phone", "device_model": "Pixel 8",
            "storage": "01", "attested": True, "terms": "terms-1", "terms_accepted_ms": self.clock.now_ms(),
            "colour": Colour.GREEN,
        } | odd  # fmt: skip
        return RequestToken(**values)

    def active(self, card: Card, device: str = "phone-1", *, assurance: str = "11") -> TokenView:
        """Request a token and verify its holder with a one-time code; "10" needs none."""
        if assurance == "10":
            made = self.request(card, device=device)
            assert made.decision is Colour.GREEN, made
            return made.view
        made = self.request(card, device=device, colour=Colour.YELLOW)
        assert isinstance(made, TokenRequested)
        assert made.view, made
        done = self.verify(made.view.token)
        assert done.view is not None
        return done.view

    def send_code(self, token: str, method: IDVMethod = IDVMethod.SMS, **how: Any) -> Any:
        return self.call("tsp.code.send", SendCode(token=token, method=method), **how)

    def verify(self, token: str, code: str = RIGHT_CODE, method: IDVMethod = IDVMethod.SMS, **how: Any) -> Any:
        return self.call("tsp.code.verify", VerifyCode(token=token, method=method, code=code), **how)

    def change(self, op: str, *tokens: str, actor: Any, reason: str = "OTHER", caller: str = ME, expiry: str = "") -> Any:
        return self.call(op, ChangeToken(tokens=tokens, actor=actor, reason=reason, expiry=expiry), caller=caller)

    def result(self, op: str, token: str, actor: Any, **more: Any) -> str:
        """The result's name of a change of one token."""
        [change] = self.change(op, token, actor=actor, **more).changes
        return change.result

    def view(self, token: str) -> TokenView:
        return show(self.store, token).token

    def tick(self, ms: int = 0) -> None:
        """Let time pass, and whoever is told acknowledge."""
        self.clock.advance(ms)
        self.worker.tick()
        self.arrive(*[reply for station, frame in self.drain() if (reply := self._outside(station, frame)) is not None])
