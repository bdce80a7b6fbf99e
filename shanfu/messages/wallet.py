"""What a phone asks the key cloud, and how it signs and seals what it asks.

Two calls stand outside a session: `Enrol` (a device makes itself known) and `OpenSession`. Both are signed and fresh (time and
nonce). All others travel sealed under the session's key, each with its counter, and signed by the device as well: the cloud
believes neither a copied session nor a copied device key alone.

    session     = ECDH P-256 (ephemeral of the phone, ephemeral of the cloud), HKDF-SHA-256 (HSM.agree_session)
    sealed body = AES-256-GCM, 12-byte nonce in front, tag behind; associated data = `sealing_context`
    signature   = ECDSA P-256 over SHA-256, r and s of 32 bytes each, over `signed_bytes`

Who has proved his session gets every reply, refusals too, as a `Sealed` body under the call's own counter; a refusal of that
proof itself (session-gone, signature-wrong, stale, device-unknown, busy) comes plain, since there is nobody to seal it for.

Keys, points, nonces and sealed values are lower-case hex; a public key is the uncompressed point, 65 bytes. A phone never
learns a PAN: it names cards by the reference that logging in gave it.
"""

import hashlib

from msgspec import Struct

from shanfu.messages.envelope import Call
from shanfu.messages.shared import Actor, IDVMethod, IDVOption, KeySetTerms, TokenView, TransactionView, UseReport

__all__ = [
    "Attestation",
    "CardOffer",
    "ChangeToken",
    "ChooseIDV",
    "CodeSent",
    "ConfirmKeys",
    "DeviceInfo",
    "Enrol",
    "Enrolled",
    "KeySet",
    "LoggedIn",
    "Login",
    "News",
    "NewsAsked",
    "OpenSession",
    "Profile",
    "ProfileAsked",
    "Provision",
    "Provisioned",
    "Push",
    "ReplenishKeys",
    "Sealed",
    "SessionOpened",
    "SubmitCode",
    "TokenProfile",
    "TransactionList",
    "TransactionsAsked",
    "enrolment_statement",
    "opened_statement",
    "sealing_context",
    "signed_bytes",
]  # fmt: skip


class Attestation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What vouches for a device's keys: `format` names the attester ("none", "shanfu-test"), `statement` is its own, hex."""

    format: str = "none"
    statement: str = ""


class DeviceInfo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The phone, as it describes itself."""

    name: str
    model: str
    os: str  # "android"
    os_version: str  # "4.4" and above
    nfc: bool
    app: str  # package of the bank's app
    app_version: str = ""


class Enrol(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make a device known; signed by the key it brings."""

    info: DeviceInfo
    sign_key: str
    wrap_key: str
    attestation: Attestation = Attestation()


class Enrolled(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The device's name, the cloud's public key, and what a weak attestation costs (reasons in words)."""

    device: str
    cloud_key: str
    lowered: tuple[str, ...] = ()


class OpenSession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Begin a session with an ephemeral key."""

    device: str
    ephemeral: str


class SessionOpened(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The session; `signature` is the cloud's over `opened_statement`."""

    session: str
    ephemeral: str
    expires_ms: int
    signature: str


class Sealed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body inside a session, both ways."""

    sealed: str


class Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log in to the bank's app."""

    user: str
    password: str


class CardOffer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card of the customer that may be added, with its art and the terms to accept."""

    card: str
    last4: str
    product: str
    product_zh: str = ""
    art: str = ""
    terms: str = ""
    terms_title: str = ""


class LoggedIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The customer and his cards. `assertion` proves this login to the issuer once, within minutes (ID&V bank-app)."""

    customer: str
    name: str
    assertion: str
    cards: tuple[CardOffer, ...] = ()


class Provision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Add a card: ask for a token of it on this device, the terms accepted."""

    card: str
    customer: str
    terms: str
    terms_accepted_ms: int


class Provisioned(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The verdict: a token that is ACTIVE (green), INACTIVE until ID&V (yellow, orange), or none (red) with reasons."""

    decision: str
    reasons: tuple[str, ...] = ()
    view: TokenView | None = None
    options: tuple[IDVOption, ...] = ()


class ChooseIDV(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Choose how to be verified; for SMS and call centre a code is sent."""

    token: str
    method: IDVMethod


class CodeSent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code is on its way."""

    hint: str
    expires_ms: int
    tries_left: int


class SubmitCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one-time code; for the bank-app method the login's assertion."""

    token: str
    method: IDVMethod
    code: str


class ProfileAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for what the card application of a token is made of."""

    token: str


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a card application needs besides keys, wrapped for the device (`HSM.wrap_for_device`, context `profile/TOKEN`).

    The plain text is the JSON of `TokenProfile`.
    """

    token: str
    wrapped: str


class TokenProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a phone builds a token's card application from; travels only wrapped for its device.

    `number` is the token's, 16 digits; `expiry` YYMM; `currency` and `country` are numeric codes; `credit` chooses the AID as
    it does on plastic; `algorithm` is that of the master key (`3des`).
    """

    number: str
    psn: str
    expiry: str
    par: str
    trid: str
    currency: str
    country: str
    label: str
    credit: bool
    dki: int
    phone_cvm: str
    pan_last4: str
    algorithm: str = "3des"


class ReplenishKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for key set number `sequence`; a repeat of the same number gets the same answer. `uses` is the verification log."""

    token: str
    sequence: int
    uses: tuple[UseReport, ...] = ()
    atc: int = 0  # the last one used


class KeySet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key set: its terms, and its keys wrapped for the device (context `keys/TOKEN/INDEX/SEQUENCE`).

    The plain text is the AC keys one after another, 16 bytes each: one for `shanfu-1` and `visa-luk`, one an ATC for `suk`.
    """

    token: str
    terms: KeySetTerms
    wrapped: str


class ConfirmKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say that key set `sequence` is stored; from then on the one before has only its grace."""

    token: str
    sequence: int


class ChangeToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Freeze, unfreeze or delete a token; `reason` is a code such as CUSTOMER_CONFIRMED, DEVICE_LOST, OTHER."""

    token: str
    reason: str = "CUSTOMER_CONFIRMED"
    actor: Actor = Actor.CARDHOLDER


class NewsAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for the tokens of this device as they are now, and for pushes since number `since`."""

    since: int = 0


class Push(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A notice to the phone; past `expires_ms` it is dropped and leaves only a flag (facts: push sessions expire)."""

    number: int
    token: str
    event: str
    reason: str = ""
    expires_ms: int = 0


class News(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tokens of this device, and what was pushed."""

    tokens: tuple[TokenView, ...] = ()
    pushes: tuple[Push, ...] = ()
    number: int = 0


class TransactionsAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a token's payments, newest first; `before` is a cursor."""

    token: str
    before: str = ""
    limit: int = 20


class TransactionList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Payments, newest first; `next` is the cursor of the page after, "" at the end."""

    items: tuple[TransactionView, ...] = ()
    next: str = ""


def signed_bytes(call: Call) -> bytes:
    """Return what a device signs: the operation, who, which session and call, when, the idempotency key, the body as sent."""
    device = call.device
    assert device is not None
    digest = hashlib.sha256(call.body).hexdigest()
    fields = (call.op, device.device, device.session, device.counter, device.time_ms, device.nonce, call.key, digest)
    return "\n".join(("shanfu-device-1", *map(str, fields))).encode()


def sealing_context(op: str, session: str, counter: int, *, reply: bool) -> bytes:
    """Return the associated data of a sealed body: it fits one call of one session, and one direction.

    >>> sealing_context("keys.replenish", "s1", 7, reply=False)
    b'shanfu-session-1/ask/keys.replenish/s1/7'
    """
    return f"shanfu-session-1/{'answer' if reply else 'ask'}/{op}/{session}/{counter}".encode()


def opened_statement(opened: SessionOpened, asked: OpenSession) -> bytes:
    """Return what the cloud signs when it opens a session: both ephemerals, so that nobody stands between."""
    fields = (asked.device, opened.session, asked.ephemeral, opened.ephemeral, opened.expires_ms)
    return "\n".join(("shanfu-session-1", *map(str, fields))).encode()


def enrolment_statement(asked: Enrol) -> bytes:
    """Return what an attester vouches for: the two keys and the phone they live in."""
    info = asked.info
    return "\n".join(("shanfu-enrol-1", asked.sign_key, asked.wrap_key, info.model, info.os_version, info.app)).encode()
