"""Speaking with the key cloud: enrolment, the session, and calls that are sealed and signed.

    enrol  ->  the device's name and the cloud's key            signed by the key that is brought, fresh by time and nonce
    open   ->  a session's key from two ephemeral keys          signed by both sides
    call   ->  an answer, or `Refused`                          sealed under the session, numbered, signed by the device

A call whose answer is lost is asked once more, with the same Idempotency-Key and the session's next number; a session that
the cloud has forgotten is opened anew. The phone believes sealed answers and the cloud's signature only: what comes in plain
can refuse a call, never change anything.

Called by `refresh.py` and the bank's app. Sources: `shanfu.messages.wallet` (the form of both), FIPS 186-5, NIST SP 800-38D.
"""

import os
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from shanfu.crypto import P256Key, agreed_session, session_context, valid_point, verify_signature
from shanfu.dialogue import Ask, Dialogue
from shanfu.errors import DecodeError, IntegrityError, LinkError, LinkTimeout
from shanfu.messages import Call, Device, Problem, ProblemCode, Reply, decoded, encoded, operation, wallet
from shanfu.wallet.handset import Handset, Session
from shanfu.wallet.reasons import Reason, Refused, refused
from shanfu.wallet.state import AppState
from shanfu.wallet.storage import Tampered

__all__ = ["CLOUD", "call", "enrol"]

CLOUD: Final = "cloud"  # the name of the peer
NONCE_BYTES: Final = 12  # NIST SP 800-38D 8.2.2
SENDS: Final = 2  # a lost answer is asked for once more; what is lost twice is told to the holder


class _Again(Exception):  # it is no error: the session is over, another one may be opened
    """The cloud does not know the session any more."""


def enrol(handset: Handset, app: str) -> Dialogue[AppState | Refused]:
    """Make this phone known to the bank behind an app, and keep its name there and the cloud's key."""
    handset.state()  # a new phone sets its storage up first
    sign_key, wrap_key = handset.keystore.points(app)
    model = handset.model
    info = wallet.DeviceInfo(
        name=model.name, model=model.model, os=model.os, os_version=model.os_version, nfc=model.nfc, app=app
    )
    asked = wallet.Enrol(info=info, sign_key=sign_key.hex(), wrap_key=wrap_key.hex())
    asked = replace(asked, attestation=handset.attest(asked))
    answer = yield from _plain(handset, app, "devices.enrol", body=asked, device="")
    if isinstance(answer, Refused):
        return answer
    cloud_key, before = _hex(answer.cloud_key), handset.state().apps.get(app)
    trusted = handset.pins.get(app) or (before.cloud_key if before else cloud_key)  # without a pin the first one is believed
    if not valid_point(cloud_key) or cloud_key != trusted:
        return Refused(reason=Reason.CLOUD_UNTRUSTED)
    known = AppState(device=answer.device, cloud_key=cloud_key, lowered=answer.lowered)
    handset.sessions.pop(app, None)
    return handset.storage.change(lambda now, _: now.enrolled(app, known)).apps[app]


def call(handset: Handset, app: str, op: str, *, body: Struct, key: str = "") -> Dialogue[Any]:
    """Ask the cloud inside the app's session; returns the operation's answer, or `Refused`. `key` names a repeat."""
    try:
        known = handset.state().apps.get(app)
    except Tampered as fault:
        return Refused(reason=fault.reason)
    if known is None:
        return Refused(reason=Reason.NOT_ENROLLED)
    answer: Any = Refused(reason=Reason.NO_ANSWER)
    for _ in range(SENDS):
        session = yield from _session(handset, app, known)
        if isinstance(session, Refused):
            return session
        try:
            answer = yield from _in_session(handset, (app, known.device), session, op=op, body=body, key=key)
            break
        except _Again:
            handset.sessions.pop(app, None)
    handset.tell(op, target=CLOUD, reason=str(answer.reason) if isinstance(answer, Refused) else "")
    return answer


def _session(handset: Handset, app: str, known: AppState) -> Dialogue[Session | Refused]:
    """Return the app's session, opened when there is none or it is about to end."""
    session = handset.session(app)
    if session is not None:
        return session
    ephemeral = P256Key.generate()
    asked = wallet.OpenSession(device=known.device, ephemeral=ephemeral.point.hex())
    opened = yield from _plain(handset, app, "sessions.open", body=asked, device=known.device)
    if isinstance(opened, Refused):
        return opened
    theirs = _hex(opened.ephemeral)
    try:
        verify_signature(known.cloud_key, wallet.opened_statement(opened, asked), _hex(opened.signature))
        context = session_context(known.device, phone=ephemeral.point, host=theirs)
        key = agreed_session(ephemeral, theirs, context=context)
    except (IntegrityError, DecodeError):
        return Refused(reason=Reason.CLOUD_UNTRUSTED)
    made = handset.sessions[app] = Session(id=opened.session, key=key, expires_ms=opened.expires_ms)
    return made


def _plain(handset: Handset, app: str, op: str, *, body: Struct, device: str) -> Dialogue[Any]:
    """Make a call outside of a session: signed, and fresh by time and nonce; a repeat is a new call."""
    for _ in range(SENDS):
        head = Device(device=device, time_ms=handset.clock.now_ms(), nonce=os.urandom(16).hex())
        asked = _signed(handset, app, Call(id=os.urandom(8).hex(), op=op, device=head, body=encoded(body)))
        reply = yield from _ask(handset, asked)
        if reply is not None:
            answer = _read(op, reply.body, ok=reply.ok) if isinstance(reply, Reply) else reply
            break
    else:
        answer = Refused(reason=Reason.NO_ANSWER)
    handset.tell(op, target=CLOUD, reason=str(answer.reason) if isinstance(answer, Refused) else "")
    return answer


def _in_session(handset: Handset, who: tuple[str, str], session: Session, *, op: str, body: Struct, key: str) -> Dialogue[Any]:
    """Make a call in a session; `who` is the app and its name as a device."""
    (app, device), plain = who, bytes(encoded(body))
    for _ in range(SENDS):
        session.counter += 1
        head = Device(
            device=device, session=session.id, counter=session.counter, time_ms=handset.clock.now_ms(),
            nonce=os.urandom(16).hex(),
        )  # fmt: skip
        sealed = _seal(session, op, plain)
        name, caller = os.urandom(8).hex(), f"device/{device}"
        asked = _signed(handset, app, Call(id=name, op=op, caller=caller, key=key, device=head, body=sealed))
        answer = yield from _ask(handset, asked)
        if answer is not None:
            return _open(session, op, answer, counter=head.counter) if isinstance(answer, Reply) else answer
    return Refused(reason=Reason.NO_ANSWER)


def _ask(handset: Handset, asked: Call) -> Dialogue[Reply | Refused | None]:
    """Send one call; None when its answer was lost, `Refused` when it never left."""
    try:
        reply = yield Ask(CLOUD, asked)
    except LinkTimeout:
        return None
    except LinkError:
        online = handset.state().switches.online
        return Refused(reason=Reason.NO_ANSWER if online else Reason.OFFLINE)
    return reply if isinstance(reply, Reply) and reply.id == asked.id else None


def _signed(handset: Handset, app: str, asked: Call) -> Call:
    signature = handset.keystore.sign(app, wallet.signed_bytes(asked)).hex()
    assert asked.device is not None
    return replace(asked, device=replace(asked.device, signature=signature))


def _seal(session: Session, op: str, plain: bytes) -> Raw:
    nonce = os.urandom(NONCE_BYTES)
    bound = wallet.sealing_context(op, session.id, session.counter, reply=False)
    return encoded(wallet.Sealed(sealed=(nonce + session.key.seal(nonce, plain, aad=bound)).hex()))


def _open(session: Session, op: str, reply: Reply, *, counter: int) -> Any:
    """Open a sealed answer; a plain one can only refuse."""
    try:
        sealed = _hex(decoded(reply.body, wallet.Sealed, path=op).sealed)
        bound = wallet.sealing_context(op, session.id, counter, reply=True)
        plain = session.key.open(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad=bound)
    except DecodeError:
        answer = Refused(reason=Reason.CLOUD_UNTRUSTED) if reply.ok else _read(op, reply.body, ok=False)
        if answer.problem is not None and answer.problem.code == ProblemCode.SESSION_GONE.value:
            raise _Again from None
        return answer
    except IntegrityError:
        return Refused(reason=Reason.CLOUD_UNTRUSTED)
    return _read(op, plain, ok=reply.ok)


def _read(op: str, body: Raw | bytes, *, ok: bool) -> Any:
    """Return what an answer says: the operation's struct, or what the cloud's refusal means."""
    row = operation(op)
    assert row is not None
    try:
        return decoded(body, row.gives, path=op) if ok else refused(msgspec.json.decode(body, type=Problem))
    except (DecodeError, msgspec.DecodeError):
        return Refused(reason=Reason.NO_ANSWER, detail="the answer makes no sense")


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
