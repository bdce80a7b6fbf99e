"""The gate: whether a call of a phone is that phone's, fresh, and of a session that stands.

Outside a session a call is signed and fresh: its time is of these minutes, its nonce new. Inside one it is signed, its counter
rises, and its body opens under the session's key. All signatures of a turn are verified by one call of the HSM, all bodies of a
session opened by one. A call that is refused here changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Raw, structs

from shanfu.cloud.books import CloudBooks
from shanfu.cloud.config import CloudConfig
from shanfu.cloud.decide import freshness_refusal, on_sm2, session_refusal, well_named
from shanfu.cloud.devices import BY_NONCE, DeviceRow, DeviceState, key_name
from shanfu.cloud.prove import Prover, SealedBody
from shanfu.cloud.reasons import Reason
from shanfu.cloud.sessions import SessionRow
from shanfu.errors import DecodeError
from shanfu.hosts import Origin
from shanfu.hsm import KeyBlock
from shanfu.links import Inbound
from shanfu.messages import Call, Device, Problem, ProblemCode, Role, decoded, operation, problem, wallet

__all__ = ["Gate", "Knock", "octets"]

ENROL = "devices.enrol"
COUNTER_END = 2**53  # what any JSON reader keeps exactly


@dataclass(slots=True)
class Knock:
    """A phone's call on its way in: refused with a problem, or opened."""

    inbound: Inbound
    call: Call
    problem: Problem | None = None
    device: DeviceRow | None = None
    session: SessionRow | None = None
    point: bytes = b""
    nonce: str = ""

    @property
    def signed(self) -> Device:
        """How the phone signed it."""
        assert self.call.device is not None
        return self.call.device

    @property
    def origin(self) -> Origin:
        """Where its answer goes."""
        session, call = self.session, self.call
        return Origin(
            station=self.inbound.station, id=call.id, op=call.op, key=call.key,
            caller=f"device/{self.device.device}" if self.device else "",
            session=session.session if session else "", counter=self.signed.counter if session else 0,
        )  # fmt: skip

    def refuse(self, reason: Reason, detail: str = "") -> None:
        """Turn it away."""
        self.problem = reason.problem(detail)


class Gate:
    """Lets calls of phones in."""

    def __init__(self, config: CloudConfig, prover: Prover) -> None:
        self._config, self._prover = config, prover

    def admit(self, knocks: Sequence[Knock], books: CloudBooks) -> None:
        """Judge a turn's calls; those that are let in have their body opened."""
        for knock in knocks:
            if knock.call.device is None:
                knock.refuse(Reason.CALL_UNSIGNED)
            elif not well_named(knock.call):
                knock.refuse(Reason.NAMES_MALFORMED)
        self._load(_left(knocks), books)
        for knock in _left(knocks):
            self._who(knock, books)
        signed = _left(knocks)
        jobs = [(knock.point, wallet.signed_bytes(knock.call), octets(knock.signed.signature)) for knock in signed]
        for knock, right in zip(signed, self._prover.signatures(jobs), strict=True):
            if not right:
                knock.refuse(Reason.SIGNATURE_WRONG)
        for knock in _left(knocks):
            self._counted(knock)
        self._open([knock for knock in _left(knocks) if knock.session])
        for knock in _left(knocks):  # one after the other: of two with one nonce or counter, the second is stale
            self._fresh(knock, books)

    def _load(self, knocks: Sequence[Knock], books: CloudBooks) -> None:
        names = [knock.signed.device for knock in knocks]
        books.load(devices=names, sessions=[knock.signed.session for knock in knocks])
        fresh = [knock for knock in knocks if not knock.signed.session]
        for knock in fresh:
            knock.nonce = self._nonce(knock)
        books.nonces.load(BY_NONCE, [(0, knock.nonce) for knock in fresh])

    def _nonce(self, knock: Knock) -> str:
        """Return the name under which a nonce is used up: one phone's nonces never meet another's."""
        who = knock.signed.device
        if knock.call.op == ENROL:
            try:
                who = key_name(decoded(knock.call.body, wallet.Enrol, path=ENROL).sign_key)
            except DecodeError:
                who = ""
        return f"{who}/{knock.signed.nonce}"[:128]

    # -- who it is -----------------------------------------------------------------------------------------------------

    def _who(self, knock: Knock, books: CloudBooks) -> None:
        if knock.call.op == ENROL:
            self._enrolling(knock, books)
            return
        knock.device = books.device(knock.signed.device)
        if knock.device is None:
            knock.refuse(Reason.DEVICE_UNKNOWN)
            return
        knock.point = bytes.fromhex(knock.device.sign_key)
        self._blocked(knock)
        row = operation(knock.call.op)
        if row is not None and row.role is Role.DEVICE and knock.problem is None:
            knock.session = books.session(knock.signed.session) if knock.signed.session else None
            if refusal := session_refusal(knock.signed, knock.session, now_ms=books.now_ms):
                knock.session = None
                knock.refuse(refusal)

    def _enrolling(self, knock: Knock, books: CloudBooks) -> None:
        """Find the keys of a phone that enrols in what it brings."""
        try:
            asked = decoded(knock.call.body, wallet.Enrol, path=ENROL)
        except DecodeError as fault:
            knock.problem = problem(ProblemCode.FORMAT, str(fault))
            return
        points = [octets(asked.sign_key), octets(asked.wrap_key)]
        if any(on_sm2(point) for point in points):
            knock.refuse(Reason.SM2_NOT_TAKEN)
        elif not all(self._prover.hsm.valid_points(points)):
            knock.refuse(Reason.KEY_NOT_POINT)
        else:
            knock.point = points[0]
            knock.device = books.device_of_key(key_name(asked.sign_key))
            self._blocked(knock)

    def _blocked(self, knock: Knock) -> None:
        if knock.device is not None and knock.device.state == DeviceState.BLOCKED:
            knock.refuse(Reason.DEVICE_BLOCKED)

    # -- whether it is new ---------------------------------------------------------------------------------------------

    def _counted(self, knock: Knock) -> None:
        """Refuse a counter that does not rise; it is used up only when the body has opened as well."""
        if knock.session is not None and not knock.session.counter < knock.signed.counter < COUNTER_END:
            knock.refuse(Reason.COUNTER_USED)

    def _fresh(self, knock: Knock, books: CloudBooks) -> None:
        if knock.session is not None:
            self._counted(knock)
            if knock.problem is None:
                knock.session.counter = knock.signed.counter
            return
        refusal = freshness_refusal(knock.signed, now_ms=books.now_ms, fresh_ms=self._config.fresh_ms)
        if refusal is None and not books.use_nonce(knock.nonce):
            refusal = Reason.NONCE_USED
        if refusal is not None:
            knock.refuse(refusal)

    def _open(self, knocks: Sequence[Knock]) -> None:
        bodies: list[tuple[Knock, SealedBody]] = []
        for knock in knocks:
            assert knock.session
            try:
                sealed = decoded(knock.call.body, wallet.Sealed, path=knock.call.op).sealed
            except DecodeError:
                knock.refuse(Reason.BODY_UNREADABLE)
                continue
            signed = knock.signed
            context = wallet.sealing_context(knock.call.op, signed.session, signed.counter, reply=False)
            bodies.append((knock, SealedBody(KeyBlock(knock.session.block), octets(sealed), context)))
        for (knock, _), plain in zip(bodies, self._prover.open_bodies([body for _, body in bodies]), strict=True):
            if plain is None:
                knock.refuse(Reason.BODY_UNREADABLE)
            else:
                knock.call = structs.replace(knock.call, body=Raw(plain))


def _left(knocks: Sequence[Knock]) -> list[Knock]:
    return [knock for knock in knocks if knock.problem is None]


def octets(text: str) -> bytes:
    """Read lower-case hex; what is none gives no bytes, which no signature and no sealed body is.

    Only one text stands for one value: a signature that was written otherwise is another call.
    """
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return b""
    return found if found.hex() == text else b""
