"""A key cloud with phones before it and a token service behind it; keys came through a ceremony, as they would."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Raw, Struct, structs

from shanfu.clock import ManualClock
from shanfu.cloud import PREFIX, SCHEMA, SIGN, TEST_FORMAT, Cloud, CloudConfig
from shanfu.crypto import Algorithm as Block
from shanfu.crypto import (
    Cipher,
    P256Key,
    agreed_session,
    derive_key,
    session_context,
    udk_option_a,
    unwrap_secret,
    verify_signature,
)
from shanfu.events import Recorder
from shanfu.hosts import install_key
from shanfu.hsm import LMK, Algorithm, KeyUsage, SoftHSM
from shanfu.links import LoopNet
from shanfu.messages import (
    Call,
    Device,
    JSONFrames,
    KeySetTerms,
    Problem,
    Reply,
    decoded,
    encoded,
    operation,
    pack,
    unpack,
    wallet,
)
from shanfu.store import Store
from shanfu.tokens import KeyScheme, key_index_bytes
from tests.cloud.service import NUMBERS, TRID, TSP, Service

START_MS = 1_767_600_000_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
PATIENCE_MS = 20_000
HALVES = (bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"), bytes.fromhex("11111111111111112222222222222222"))
LANTERN, HARBOUR = "example.lantern", "example.harbour"
T = TypeVar("T", bound=Struct)


@dataclass
class World:
    """The cloud, its store, the service behind it, and the net between them."""

    path: Path
    config: CloudConfig = field(default_factory=CloudConfig)
    url: str = ""  # of another database than SQLite

    def __post_init__(self) -> None:
        self.clock, self.told = ManualClock(START_MS), Recorder()
        self.hsm = SoftHSM(LMK(os.urandom(32)))
        self.store = Store.open(self.url or self.path / "cloud.db", schema=SCHEMA, name="cloud")
        self.service = self._ceremony()
        self.net = LoopNet(self.clock)
        self.cloud = Cloud(self.config, self.hsm, watch=True)
        self.net.add(self.cloud, self.store, events=self.told)
        self.net.add(self.service, Store.open(":memory:", schema=SCHEMA, name="tsp"))
        self.net.wire(("cloud", TSP), ("tsp", "cloud"), framing=JSONFrames)
        self.net.pump()
        self.service.asked.clear()

    def _ceremony(self) -> Service:
        theirs = SoftHSM(LMK(os.urandom(32)))
        parts = [os.urandom(32), os.urandom(32)]
        here, there = (hsm.form(KeyUsage.KBPK, Algorithm.AES, parts) for hsm in (self.hsm, theirs))
        numbers = theirs.generate(KeyUsage.VAULT, Algorithm.AES, exportable=True)
        keys = {
            SIGN: self.hsm.generate(KeyUsage.SIGN, Algorithm.P256),
            "token-imk/625094/01": self.hsm.form(KeyUsage.IMK_AC, Algorithm.TDES, HALVES),
            f"pan/{TRID}": self.hsm.import_block(theirs.export_block(numbers, there), here),
        }
        for label, block in keys.items():
            install_key(self.store, label, block, now_ms=START_MS, prefix=PREFIX)
        return Service(theirs, numbers)

    def phone(self, **info: Any) -> "Phone":
        return Phone(self, info=info)

    def ready(self, **info: Any) -> "Phone":
        """A phone with a session, a customer and an active token."""
        phone = self.phone(**info)
        phone.enrol()
        phone.open()
        phone.login()
        phone.add()
        return phone

    def asked(self, op: str) -> list[Any]:
        """The bodies with which the service was asked this."""
        return [body for name, _, body in self.service.asked if name == op]

    def settle(self, ms: int = 1_000) -> None:
        """Let notices travel."""
        self.net.advance(ms)

    def close(self) -> None:
        self.store.close()


def expected_keys(token: str, terms: KeySetTerms) -> bytes:
    """What the keys of a set must be, computed without any HSM."""
    master = bytes(a ^ b for a, b in zip(*HALVES, strict=True))
    udk = udk_option_a(Cipher(Block.TDES, master), NUMBERS[int(token, 16)], "00")
    udk = udk if isinstance(udk, Cipher) else Cipher(Block.TDES, udk)
    if terms.scheme is not KeyScheme.SUK:
        return derive_key(terms.scheme, udk, key_index_bytes(terms.index))
    atcs = range(terms.atc_first, terms.atc_last + 1)
    return b"".join(derive_key(terms.scheme, udk, atc.to_bytes(2)) for atc in atcs)


class Phone:
    """A phone's side of the wire: its keys, its session, its counter."""

    def __init__(self, world: Any, *, info: dict[str, Any], host: str = "cloud") -> None:
        self.world = world
        self.sign, self.wrap = P256Key.generate(), P256Key.generate()
        self.device = self.session = self.token = ""
        self.counter = 0
        self.calls = 0
        self.key: Any = None
        about: dict[str, Any] = {
            "name": "Li Lei's phone", "model": "Pixel", "os": "android", "os_version": "14", "nfc": True, "app": LANTERN
        }  # fmt: skip
        self.info = wallet.DeviceInfo(**(about | info))
        self.line = world.net.terminal(
            host, framing=JSONFrames, timeout_ms=PATIENCE_MS, matches=lambda _asked, reply: self._is_mine(reply)
        )
        self._waits = ""

    @property
    def frames(self) -> list[bytes]:
        """What has arrived and nobody has read."""
        return self.line.received

    @property
    def end(self) -> tuple[str, str]:
        """The phone's end at the cloud, dialled when it is not."""
        self.line._end = self.line._end or self.world.net.dial(self.line)
        return self.line._end

    def _is_mine(self, frame: bytes) -> bool:
        return unpack(frame, Reply).id == self._waits

    # -- calls outside a session ---------------------------------------------------------------------------------------

    def fresh(self, op: str, body: Struct, *, by: P256Key | None = None, **device: Any) -> Call:
        """A call that stands alone: signed, with time and nonce."""
        self.calls += 1
        given = {"device": self.device, "time_ms": self.world.clock.now_ms(), "nonce": os.urandom(8).hex()} | device
        call = Call(id=f"call-{self.calls}", op=op, device=Device(**given), body=encoded(body))
        return self.signed(call, by or self.sign)

    def signed(self, call: Call, by: P256Key) -> Call:
        assert call.device
        device = structs.replace(call.device, signature=by.sign(wallet.signed_bytes(call)).hex())
        return structs.replace(call, device=device)

    def send(self, call: Call) -> Reply:
        self._waits = call.id
        return unpack(self.line.ask(pack(call)), Reply)

    def send_all(self, calls: list[Call]) -> list[Reply]:
        """Put several calls on their way before any is answered, and return their replies."""
        return send_all([(self, call) for call in calls])

    def enrolment(self, attested_by: P256Key | None = None, **changes: Any) -> wallet.Enrol:
        asked = wallet.Enrol(info=self.info, sign_key=self.sign.point.hex(), wrap_key=self.wrap.point.hex())
        asked = structs.replace(asked, **changes)
        if attested_by is None:
            return asked
        statement = attested_by.sign(wallet.enrolment_statement(asked)).hex()
        return structs.replace(asked, attestation=wallet.Attestation(format=TEST_FORMAT, statement=statement))

    def enrol(self, asked: wallet.Enrol | None = None, **device: Any) -> wallet.Enrolled | Problem:
        answer = answer_of("devices.enrol", self.send(self.fresh("devices.enrol", asked or self.enrolment(), **device)))
        if isinstance(answer, wallet.Enrolled):
            self.device, self.cloud_key = answer.device, bytes.fromhex(answer.cloud_key)
        return answer

    def open(self, **device: Any) -> wallet.SessionOpened | Problem:
        """Open a session; the cloud's signature and the agreed key are checked as a phone checks them."""
        ephemeral = P256Key.generate()
        asked = wallet.OpenSession(device=self.device, ephemeral=ephemeral.point.hex())
        answer = answer_of("sessions.open", self.send(self.fresh("sessions.open", asked, **device)))
        if isinstance(answer, wallet.SessionOpened):
            verify_signature(self.cloud_key, wallet.opened_statement(answer, asked), bytes.fromhex(answer.signature))
            host = bytes.fromhex(answer.ephemeral)
            context = session_context(self.device, phone=ephemeral.point, host=host)
            self.key, self.session, self.counter = agreed_session(ephemeral, host, context=context), answer.session, 0
        return answer

    # -- calls in a session --------------------------------------------------------------------------------------------

    def call(self, op: str, body: Struct, *, key: str = "", **device: Any) -> Call:
        """A call of this session: body sealed, counter one higher, signed."""
        self.calls += 1
        self.counter += 1
        given = {"device": self.device, "session": self.session, "counter": self.counter} | device
        context = wallet.sealing_context(op, given["session"], given["counter"], reply=False)
        nonce = os.urandom(12)
        sealed = nonce + self.key.seal(nonce, encoded(body), aad=context)
        plain = Call(
            id=f"call-{self.calls}", op=op, key=key, device=Device(**given), body=encoded(wallet.Sealed(sealed=sealed.hex()))
        )
        return self.signed(plain, self.sign)

    def ask(self, op: str, body: Struct, *, key: str = "", **device: Any) -> Any:
        """Ask and open the answer."""
        call = self.call(op, body, key=key, **device)
        return self.opened(call, self.send(call))

    def opened(self, call: Call, reply: Reply) -> Any:
        """The answer or the Problem; what comes plain can only be a refusal."""
        assert call.device
        if b'"sealed"' not in bytes(reply.body):
            assert not reply.ok, "an answer must be sealed"
            return answer_of(call.op, reply)
        sealed = bytes.fromhex(decoded(reply.body, wallet.Sealed, path="sealed").sealed)
        context = wallet.sealing_context(call.op, call.device.session, call.device.counter, reply=True)
        plain = self.key.open(sealed[:12], sealed[12:], aad=context)
        return answer_of(call.op, structs.replace(reply, body=Raw(plain)))

    def login(self, user: str = "lilei", password: str = "open sesame") -> Any:
        return self.ask("accounts.login", wallet.Login(user=user, password=password))

    def provision(self, card: str = "card-1", *, key: str = "", **changes: Any) -> Any:
        now_ms = self.world.clock.now_ms()
        asked = wallet.Provision(card=card, customer="customer lilei", terms="t-1", terms_accepted_ms=now_ms)
        return self.ask("cards.provision", structs.replace(asked, **changes), key=key)

    def add(self, card: str = "card-1") -> wallet.Provisioned:
        """Add a card with its one-time code."""
        provisioned = self.provision(card)
        assert isinstance(provisioned, wallet.Provisioned), provisioned
        assert provisioned.view
        self.token, method = provisioned.view.token, provisioned.options[0].method
        self.ask("idv.choose", wallet.ChooseIDV(token=self.token, method=method))
        active = self.ask("idv.submit", wallet.SubmitCode(token=self.token, method=method, code="246810"))
        assert isinstance(active, wallet.Provisioned), active
        return active

    def replenish(self, sequence: int = 1, *, token: str = "", key: str = "") -> Any:
        return self.ask("keys.replenish", wallet.ReplenishKeys(token=token or self.token, sequence=sequence), key=key)

    def confirm(self, sequence: int = 1) -> Any:
        return self.ask("keys.confirm", wallet.ConfirmKeys(token=self.token, sequence=sequence))

    def news(self, since: int = 0) -> wallet.News:
        news = self.ask("news.take", wallet.NewsAsked(since=since))
        assert isinstance(news, wallet.News), news
        return news

    def keys(self, key_set: wallet.KeySet) -> bytes:
        """What the phone finds in a set."""
        terms = key_set.terms
        context = f"keys/{key_set.token}/{terms.index}/{terms.sequence}".encode()
        return unwrap_secret(self.wrap, bytes.fromhex(key_set.wrapped), context=context)


def send_all(calls: list[tuple[Phone, Call]]) -> list[Reply]:
    """Let several calls, of whatever phones, reach the cloud in one turn."""
    net = calls[0][0].world.net
    for phone, call in calls:
        phone.frames.clear()
        net.from_terminal(phone.end, pack(call))
    net.pump()
    found = {(id(phone), reply.id): reply for phone, _ in calls for reply in (unpack(f, Reply) for f in phone.frames)}
    return [found[id(phone), call.id] for phone, call in calls]


def answer_of(op: str, reply: Reply) -> Any:
    row = operation(op)
    assert row is not None
    return decoded(reply.body, row.gives if reply.ok else Problem, path=op)


def said(answer: Any) -> str:
    """A refusal as tables write it: its code and its reason; an answer by its kind."""
    return f"{answer.code} {answer.reason}".rstrip() if isinstance(answer, Problem) else type(answer).__name__
