"""A workbench for phones: a small key cloud with real cryptography, a terminal's values, taps, memories that die.

`Cloud` is the other end of the wire as `shanfu.messages.wallet` states it: it verifies signatures, counters and freshness,
opens and seals bodies, derives keys from a token's master key and wraps them for the device. It also judges cryptograms, as
the token service does. A test may lose its answers (`lose`), its questions (`drop`), or change what it knows.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import msgspec
from msgspec import structs

from shanfu.card import Interface
from shanfu.clock import ManualClock
from shanfu.crypto import (
    Algorithm,
    CardAlgorithm,
    Cipher,
    P256Key,
    SealKey,
    SessionKey,
    agreed_session,
    cryptogram_key,
    derive_key,
    session_context,
    udk_option_a,
    verify_signature,
    wrap_secret,
)
from shanfu.emv import FCI, IssuerApplicationData, commands, cryptogram_input, parse_gpo_response
from shanfu.errors import IntegrityError, LinkClosed, LinkTimeout
from shanfu.iso7816 import CommandAPDU, ResponseAPDU
from shanfu.messages import (
    OPERATIONS,
    Actor,
    Call,
    Empty,
    IDVMethod,
    IDVOption,
    KeyPolicy,
    KeySetTerms,
    Problem,
    ProblemCode,
    Reply,
    TokenState,
    TokenView,
    TransactionView,
    decoded,
    encoded,
    problem,
    wallet,
)
from shanfu.store import DictMemory
from shanfu.tokens import KeyScheme, key_index_bytes, key_index_now, token_number
from shanfu.wallet import DeviceKeyStore, HostCard, Model, Phone
from tests.card.bench import TERMINAL

APP, OTHER = "example.lantern", "example.harbour"
NOON_MS = 1_795_320_000_000  # 2026-11-22
IMK = bytes(range(16))
CODE = "424242"


@dataclass
class Token:
    """What the cloud knows of a token."""

    view: TokenView
    number: str
    app: str
    sets: dict[int, wallet.KeySet] = field(default_factory=dict)
    confirmed: set[int] = field(default_factory=set)
    atc_high: int = 0
    seen: set[int] = field(default_factory=set)
    uses: Counter[str] = field(default_factory=Counter)
    reports: list[tuple[int, ...]] = field(default_factory=list)


@dataclass
class Device:
    app: str
    sign: bytes
    wrap: bytes


@dataclass
class Session:
    device: str
    key: SealKey
    expires_ms: int
    counter: int = 0


class Cloud:
    """Answers calls; one for all apps of a phone."""

    def __init__(self, clock: ManualClock, *, policy: KeyPolicy | None = None) -> None:
        self.clock, self.policy, self.key = clock, policy or KeyPolicy(), P256Key.generate()
        self.devices: dict[str, Device] = {}
        self.sessions: dict[str, Session] = {}
        self.tokens: dict[str, Token] = {}
        self.calls: list[str] = []
        self.kept: dict[str, Reply] = {}
        self.nonces: set[str] = set()
        self.lost: Counter[str] = Counter()  # operations whose answer is lost, so many times
        self.dropped: Counter[str] = Counter()  # operations that never arrive
        self.refuse: dict[str, Problem] = {}
        self.pushes: list[wallet.Push] = []
        self.changes: dict[str, Callable[[Any], Any]] = {}  # what becomes of an answer before it is sealed
        self.profile: dict[str, str] = {}  # what its profiles say otherwise
        self.green = False
        self._serial = count(1)

    def __call__(self, call: Call) -> Reply:
        call = msgspec.json.decode(msgspec.json.encode(call), type=Call)  # as the wire does
        if self.dropped[call.op]:
            self.dropped[call.op] -= 1
            raise LinkTimeout("lost on the way")
        self.calls.append(call.op)
        reply = self.work(call)
        if self.lost[call.op]:
            self.lost[call.op] -= 1
            raise LinkTimeout("its answer was lost")
        return reply

    # -- proof ---------------------------------------------------------------------------------------------------------

    def work(self, call: Call) -> Reply:
        row, head = OPERATIONS[call.op], call.device
        assert row.host == "cloud"
        assert head is not None
        if head.nonce in self.nonces or abs(head.time_ms - self.clock.now_ms()) > 300_000:
            return refusal(call, problem(ProblemCode.STALE))
        self.nonces.add(head.nonce)
        if call.op in ("devices.enrol", "sessions.open"):
            body = decoded(call.body, row.asks, path=call.op)
            answer = self.enrol(call, body) if isinstance(body, wallet.Enrol) else self.open(call, body)
            return refusal(call, answer) if isinstance(answer, Problem) else Reply(id=call.id, body=encoded(answer))
        session = self.sessions.get(head.session)
        if session is None or session.expires_ms <= self.clock.now_ms():
            return refusal(call, problem(ProblemCode.SESSION_GONE))
        if not self.signed(call, self.devices[session.device].sign) or head.device != session.device:
            return refusal(call, problem(ProblemCode.SIGNATURE_WRONG))
        if head.counter <= session.counter:
            return refusal(call, problem(ProblemCode.STALE))
        session.counter = head.counter
        sealed = bytes.fromhex(decoded(call.body, wallet.Sealed, path="body").sealed)
        aad = wallet.sealing_context(call.op, head.session, head.counter, reply=False)
        plain = session.key.open(sealed[:12], sealed[12:], aad=aad)
        name = f"{session.device}|{call.key}"
        answer = self.kept.get(name) if call.key else None
        if answer is None:
            body = decoded(plain, row.asks, path=call.op)
            answer = self.refuse.get(call.op) or getattr(self, call.op.replace(".", "_"))(session.device, body)
            answer = self.changes.get(call.op, lambda said: said)(answer)
            if call.key and not isinstance(answer, Problem):
                self.kept[name] = answer
        status = answer.status if isinstance(answer, Problem) else 200
        aad = wallet.sealing_context(call.op, head.session, head.counter, reply=True)
        nonce = len(self.calls).to_bytes(12)
        body = wallet.Sealed(sealed=(nonce + session.key.seal(nonce, bytes(encoded(answer)), aad=aad)).hex())
        return Reply(id=call.id, status=status, body=encoded(body))

    @staticmethod
    def signed(call: Call, key: bytes) -> bool:
        assert call.device is not None
        try:
            verify_signature(key, wallet.signed_bytes(call), bytes.fromhex(call.device.signature))
        except IntegrityError:
            return False
        return True

    def enrol(self, call: Call, body: wallet.Enrol) -> wallet.Enrolled | Problem:
        if not body.info.nfc:
            return problem(ProblemCode.NFC_MISSING)
        key = bytes.fromhex(body.sign_key)
        if not self.signed(call, key):
            return problem(ProblemCode.SIGNATURE_WRONG)
        known = (name for name, one in self.devices.items() if one.sign == key)
        device = next(known, f"d{len(self.devices) + 1}")
        self.devices[device] = Device(body.info.app, key, bytes.fromhex(body.wrap_key))
        return wallet.Enrolled(device=device, cloud_key=self.key.point.hex(), lowered=("no attestation",))

    def open(self, call: Call, body: Any) -> wallet.SessionOpened | Problem:
        device = self.devices.get(body.device)
        if device is None:
            return problem(ProblemCode.DEVICE_UNKNOWN)
        if not self.signed(call, device.sign):
            return problem(ProblemCode.SIGNATURE_WRONG)
        mine, theirs = P256Key.generate(), bytes.fromhex(body.ephemeral)
        context = session_context(body.device, phone=theirs, host=mine.point)
        name, expires_ms = f"s{len(self.sessions) + 1}", self.clock.now_ms() + 900_000
        self.sessions[name] = Session(body.device, agreed_session(mine, theirs, context=context), expires_ms)
        opened = wallet.SessionOpened(session=name, ephemeral=mine.point.hex(), expires_ms=expires_ms, signature="")
        signature = self.key.sign(wallet.opened_statement(opened, body)).hex()
        return structs.replace(opened, signature=signature)

    # -- operations ----------------------------------------------------------------------------------------------------

    def accounts_login(self, device: str, body: wallet.Login) -> Any:
        if body.password != "right":
            return problem(ProblemCode.LOGIN_WRONG)
        cards = tuple(
            wallet.CardOffer(card=card, last4=card[-4:], product="debit", terms="t1") for card in ("card-0013", "card-0026")
        )
        return wallet.LoggedIn(customer="c1", name="Lin Yue", assertion="assertion", cards=cards)

    def cards_provision(self, device: str, body: wallet.Provision) -> Any:
        serial = next(self._serial)
        app = self.devices[device].app
        number = token_number("625094", serial).digits
        state = TokenState.ACTIVE if self.green else TokenState.INACTIVE
        view = TokenView(
            token=f"{serial:032x}", state=state, version=1, token_last4=number[-4:], pan_last4=body.card[-4:], expiry="2912",
            par="SF01" + "A" * 25, trid="90100000001", device=device, card=body.card, policy=self.policy,
        )  # fmt: skip
        self.tokens[view.token] = Token(view, number, app)
        options = () if self.green else (IDVOption(method=IDVMethod.SMS, hint="138****0001"),)
        return wallet.Provisioned(decision="GREEN" if self.green else "YELLOW", view=view, options=options)

    def idv_choose(self, device: str, body: wallet.ChooseIDV) -> Any:
        return wallet.CodeSent(hint="138****0001", expires_ms=self.clock.now_ms() + 300_000, tries_left=3)

    def idv_submit(self, device: str, body: wallet.SubmitCode) -> Any:
        if body.code not in (CODE, "assertion"):
            return problem(ProblemCode.CODE_WRONG)
        return wallet.Provisioned(decision="GREEN", view=self.set(body.token, state=TokenState.ACTIVE))

    def tokens_profile(self, device: str, body: wallet.ProfileAsked) -> Any:
        token = self.tokens[body.token]
        profile = wallet.TokenProfile(
            number=token.number, psn="00", expiry=token.view.expiry, par=token.view.par, trid=token.view.trid, currency="156",
            country="156", label="QUICKPASS", credit=False, dki=1, phone_cvm=self.policy.phone_cvm.value,
            pan_last4=token.view.pan_last4,
        )  # fmt: skip
        profile = structs.replace(profile, **self.profile)
        plain, context = msgspec.json.encode(profile), f"profile/{body.token}".encode()
        wrapped = wrap_secret(self.devices[device].wrap, plain, context=context)
        return wallet.Profile(token=body.token, wrapped=wrapped.hex())

    def keys_replenish(self, device: str, body: wallet.ReplenishKeys) -> Any:
        token = self.tokens[body.token]
        token.reports.append(tuple(use.atc for use in body.uses))
        if body.sequence in token.sets:
            return token.sets[body.sequence]
        if token.view.state is not TokenState.ACTIVE or body.sequence != len(token.sets) + 1:
            return problem(ProblemCode.WRONG_STATE, reason=token.view.state.value)
        now_ms, policy = self.clock.now_ms(), token.view.policy
        terms = KeySetTerms(
            index=key_index_now(now_ms, len(token.sets) % 100), sequence=body.sequence, atc_first=token.atc_high + 1,
            atc_last=token.atc_high + policy.max_uses, max_uses=policy.max_uses, max_amount=policy.max_amount,
            issued_ms=now_ms, expires_ms=now_ms + policy.ttl_s * 1000, scheme=policy.scheme,
        )  # fmt: skip
        token.atc_high = terms.atc_last
        return self.wrapped(device, body.token, terms)

    def wrapped(self, device: str, name: str, terms: KeySetTerms) -> wallet.KeySet:
        """Derive a key set, wrap it for the device, and keep it for repeats."""
        token, context = self.tokens[name], f"keys/{name}/{terms.index}/{terms.sequence}".encode()
        wrapped = wrap_secret(self.devices[device].wrap, self.keys(token, terms), context=context)
        made = token.sets[terms.sequence] = wallet.KeySet(token=name, terms=terms, wrapped=wrapped.hex())
        return made

    def keys_confirm(self, device: str, body: wallet.ConfirmKeys) -> Any:
        self.tokens[body.token].confirmed.add(body.sequence)
        return Empty()

    def tokens_freeze(self, device: str, body: wallet.ChangeToken) -> Any:
        if self.tokens[body.token].view.state is TokenState.DEACTIVATED:
            return problem(ProblemCode.WRONG_STATE, reason="DEACTIVATED")
        return self.news(self.set(body.token, state=TokenState.SUSPENDED, suspended_by=(Actor.CARDHOLDER,)))

    def tokens_unfreeze(self, device: str, body: wallet.ChangeToken) -> Any:
        if self.tokens[body.token].view.state is TokenState.DEACTIVATED:
            return problem(ProblemCode.WRONG_STATE, reason="DEACTIVATED")
        left = tuple(actor for actor in self.tokens[body.token].view.suspended_by if actor is not Actor.CARDHOLDER)
        state = TokenState.SUSPENDED if left else TokenState.ACTIVE
        return self.news(self.set(body.token, state=state, suspended_by=left))

    def tokens_delete(self, device: str, body: wallet.ChangeToken) -> Any:
        return self.news(self.set(body.token, state=TokenState.DEACTIVATED))

    def tokens_renew(self, device: str, body: wallet.ProfileAsked) -> Any:
        return self.news(self.set(body.token, state=TokenState.ACTIVE, expiry="3312"))

    def news_take(self, device: str, body: wallet.NewsAsked) -> Any:
        mine = tuple(one.view for one in self.tokens.values() if one.view.device == device)
        pushes = tuple(push for push in self.pushes if push.number > body.since)
        return wallet.News(tokens=mine, pushes=pushes, number=max([body.since, *(push.number for push in pushes)]))

    def transactions_list(self, device: str, body: wallet.TransactionsAsked) -> Any:
        one = TransactionView(
            token=body.token, rrn="000000000001", at_ms=NOON_MS, kind="PURCHASE", result="DECLINED", amount=100, currency="156",
            merchant="Teahouse", response_code="51", reason="NOT_ENOUGH_MONEY", atc=1,
        )  # fmt: skip
        return wallet.TransactionList(items=(one,))

    @staticmethod
    def news(*views: TokenView) -> wallet.News:
        return wallet.News(tokens=views)

    # -- what the bank does --------------------------------------------------------------------------------------------

    def set(self, token: str, **changes: Any) -> TokenView:
        one = self.tokens[token]
        one.view = structs.replace(one.view, version=one.view.version + 1, **changes)
        return one.view

    def udk(self, token: Token) -> Cipher:
        return Cipher(Algorithm.TDES, udk_option_a(Cipher(Algorithm.TDES, IMK), token.number, "00"))

    def keys(self, token: Token, terms: KeySetTerms) -> bytes:
        if terms.scheme is KeyScheme.SUK:
            numbers = range(terms.atc_first, terms.atc_last + 1)
            return b"".join(derive_key(terms.scheme, self.udk(token), atc.to_bytes(2)) for atc in numbers)
        return derive_key(terms.scheme, self.udk(token), key_index_bytes(terms.index))

    def judge(self, answer: dict[int, bytes], said: dict[int, bytes]) -> str:
        """Judge a cryptogram as the token service does: the name of what is wrong, or OK."""
        number = answer[0x57].hex()[:16]
        token = next(one for one in self.tokens.values() if one.number == number)
        iad, atc = IssuerApplicationData.parse(answer[0x9F10]), int.from_bytes(answer[0x9F36])
        terms = next((one.terms for one in token.sets.values() if one.terms.index == iad.key_index), None)
        if atc in token.seen:
            return "ATC_OUT_OF_WINDOW"
        if terms is None or not terms.atc_first <= atc <= terms.atc_last:
            return "KEY_UNKNOWN"
        if token.uses[terms.index] >= terms.max_uses:
            return "KEY_EXHAUSTED"
        diversifier = atc.to_bytes(2) if terms.scheme is KeyScheme.SUK else key_index_bytes(terms.index)
        key = cryptogram_key(terms.scheme, derive_key(terms.scheme, self.udk(token), diversifier), atc)
        if SessionKey(CardAlgorithm.TDES, key).cryptogram(cryptogram_input(iad.cvn, said | answer)) != answer[0x9F26]:
            return "CRYPTOGRAM_WRONG"
        token.seen.add(atc)
        token.uses[terms.index] += 1
        return "OK"


def refusal(call: Call, what: Problem) -> Reply:
    return Reply(id=call.id, status=what.status, body=encoded(what))


# -- phones ------------------------------------------------------------------------------------------------------------


@dataclass
class Bench:
    """A phone, its memories, and its cloud."""

    cloud: Cloud
    clock: ManualClock
    storage: DictMemory = field(default_factory=DictMemory)
    keystore: DictMemory = field(default_factory=DictMemory)
    model: Model = field(default_factory=lambda: Model(name="Lin's phone"))
    phone: Phone = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> Phone:
        """Switch the phone off and on: what is not in its memories is gone."""
        keys = DeviceKeyStore(self.keystore)
        self.phone = Phone(self.storage, keys, model=self.model, clock=self.clock, cloud=self.cloud)
        return self.phone

    def enrolled(self, app: str = APP) -> "Bench":
        """Enrol, log in and add a card, verified by a code, in one session."""
        bank = self.phone.app(app)
        self.phone.do(bank.enrol())
        self.phone.do(bank.login("lin", "right"))
        added: Any = self.phone.do(bank.add_card("card-0013"))
        if added.options:
            added = self.phone.do(bank.submit_code(added.view.token, IDVMethod.SMS, CODE))
        assert added.missing is None, added
        return self

    @property
    def token(self) -> str:
        return next(iter(self.cloud.tokens))

    def held(self, token: str = "") -> Any:
        return self.phone.handset.state().tokens[token or self.token]

    def tap(self, amount: int = 100, **said: str) -> str:
        """Wave the phone once: OK or the judge's word when a cryptogram came, else the status word; see `shown`."""
        return tap(self.phone.tap_target, self.cloud, amount=amount, **said)

    def taps(self, times: int, amount: int = 100) -> list[str]:
        return [self.tap(amount) for _ in range(times)]

    @property
    def sentence(self) -> str:
        """The name of the last reason that the screen showed, "" after a payment."""
        last = self.phone.shown[-1]
        return last.reason.value if last.reason else ""


def bench(**policy: Any) -> Bench:
    clock = ManualClock(NOON_MS)
    return Bench(Cloud(clock, policy=KeyPolicy(**policy)), clock)


def ask(to: HostCard, command: CommandAPDU) -> ResponseAPDU:
    return ResponseAPDU.parse(to.answer(bytes(command)))


def tap(to: HostCard, cloud: Cloud, *, amount: int = 100, **said: str) -> str:
    values = {tag: bytes.fromhex(text) for tag, text in TERMINAL.items()}
    values |= {0x9F02: bytes.fromhex(f"{amount:012d}")} | {int(tag[1:], 16): bytes.fromhex(text) for tag, text in said.items()}
    if not to.power_on(Interface.CONTACTLESS):
        return "silent"
    try:
        listed = ask(to, commands.select_ppse())
        if not listed.ok:
            return f"PPSE {listed.sw:04X}"
        aid = bytes.fromhex("A000000333010101")
        selected = ask(to, commands.select(aid))
        if not selected.ok:
            return f"SELECT {selected.sw:04X}"
        pdol = FCI.parse(selected.data).pdol
        assert pdol is not None
        answer = ask(to, commands.get_processing_options(pdol.fill(values)))
        return cloud.judge(parse_gpo_response(answer.data), values) if answer.ok else f"{answer.sw:04X}"
    finally:
        to.power_off()


class Dead(Exception):
    """The phone's power is gone."""


class Dying(DictMemory):
    """A memory on a shared fuse: at write number `at` the phone dies, before or after it."""

    def __init__(self, inner: DictMemory, fuse: "Fuse") -> None:
        self.inner, self.fuse = inner, fuse

    def read(self, name: str) -> bytes | None:
        self.fuse.alive()
        return self.inner.read(name)

    def names(self) -> list[str]:
        return self.inner.names()

    def write(self, records: Any) -> None:
        self.fuse.burn(lambda: self.inner.write(records))


@dataclass
class Fuse:
    at: int
    after: bool
    writes: int = 0
    dead: bool = False

    def alive(self) -> None:
        if self.dead:
            raise Dead

    def burn(self, write: Callable[[], None]) -> None:
        self.alive()
        self.writes += 1
        if self.writes == self.at and not self.after:
            self.dead = True
            raise Dead
        write()
        if self.writes == self.at:
            self.dead = True
            raise Dead


def dying(one: Bench, *, at: int, after: bool) -> tuple[Bench, Fuse]:
    """The same phone with a fuse in both memories."""
    fuse = Fuse(at, after)
    storage, keystore = Dying(one.storage, fuse), Dying(one.keystore, fuse)
    return replace_bench(one, storage, keystore), fuse


def replace_bench(one: Bench, storage: DictMemory, keystore: DictMemory) -> Bench:
    return Bench(one.cloud, one.clock, storage, keystore, one.model)


def offline(_: Call) -> Reply:
    raise LinkClosed("no network")


__all__ = ["APP", "CODE", "NOON_MS", "OTHER", "Bench", "Cloud", "Dead", "bench", "dying", "offline", "replace", "tap"]
