"""The narrow door to every secret: batched payment operations on key blocks.

Hosts hold key *handles*, never keys. A handle is a `KeyBlock`: a TR-31 (X9.143) version D block under the local master key,
text that a host may keep in its database; only the HSM that owns the LMK can open it. Usage, algorithm and mode stand in
the authenticated header of the block and are checked before every operation; a wrong one is a KeyUseError. There is no
general "encrypt block" on master, PIN or MAC keys.

Batches answer in the order asked. A false MAC, PIN or cryptogram is a *value* in the answer (the host decides what it
means); only misuse and breakage raise. `SoftHSM` is our implementation; a PKCS#11 token or a payment HSM stands behind the
same Protocol.

Sources: X9.143 / TR-31 (blocks), PCI PIN 18-3 (key blocks), ISO 9564-1 (PIN), JR/T 0025 (cryptograms).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType, Protocol

from msgspec import Struct

from shanfu.tokens import KeyScheme

__all__ = [
    "HSM", "ARQCCheck", "Algorithm", "KeyBlock", "KeyScheme", "KeySetJob", "KeyUsage", "MACAlgorithm", "MACJob",
    "PINBlockFormat", "PINCheck", "PINTranslation", "PINVerdict", "Proof", "SealedPAN", "WorkingKey",
]  # fmt: skip

KeyBlock = NewType("KeyBlock", str)


class _Member(Enum):
    """An enum whose members are looked up by identity: `Enum` hashes in Python, many times in each payment."""

    __hash__ = object.__hash__


class Algorithm(_Member):
    """The cipher a key is for; the value is its TR-31 algorithm character."""

    AES = "A"
    TDES = "T"
    SM4 = "4"  # not registered: a proprietary character, for storage under our own LMK only
    HMAC = "H"
    P256 = "E"


class KeyUsage(_Member):
    """What a key may do; the value is the TR-31 usage and mode of use."""

    IMK_AC = ("E0", "X")  # issuer master key: application cryptograms
    UDK_AC = ("E6", "N")  # one card's own key, for laboratory cards whose master key nobody has
    IMK_ENC = ("E1", "X")  # issuer master key: secure messaging, confidentiality
    IMK_MAC = ("E2", "X")  # issuer master key: secure messaging, integrity
    KEK = ("K0", "B")  # wraps working keys: TMK, MMK
    KBPK = ("K1", "B")  # wraps key blocks in transport
    MAK = ("M3", "C")  # message authentication, both ways
    PIK = ("P0", "B")  # PIN encryption: PIK, ZPK
    PVK = ("V2", "V")  # PIN verification value
    CVK = ("C0", "C")  # card verification value
    SEAL = ("10", "B")  # proprietary: seals fields of our own books
    LOOKUP = ("11", "C")  # proprietary: keyed hash for look-ups
    VAULT = ("12", "B")  # proprietary: seals account numbers that two parties share
    SESSION = ("13", "B")  # proprietary: seals what is said in one session with a device
    SIGN = ("S0", "S")  # signs for the host


class MACAlgorithm(_Member):
    """How a message is authenticated; each gives the 8 bytes that stand in DE64 or DE128 (ASCII hex)."""

    UNIONPAY_ECB = "unionpay-ecb"  # DES, 3DES or SM4, by the key
    X9_9 = "x9.9"
    X9_19 = "x9.19"
    SM4_CBC = "sm4-cbc"  # interbank, when DE60.11 announces SM4; its form is unverified


class PINBlockFormat(_Member):
    """The clear layout of a PIN block (ISO 9564-1 and the UnionPay forms)."""

    ISO_0 = "iso-0"
    X98_NO_PAN = "x9.8-no-pan"
    ISO_1 = "iso-1"
    ISO_3 = "iso-3"
    SM4_X98 = "sm4-x9.8"


class PINVerdict(Enum):
    """What became of a PIN check; every fault of decoding gives the one answer UNREADABLE."""

    RIGHT = "right"
    WRONG = "wrong"
    UNREADABLE = "unreadable"


class Job(Struct, frozen=True):
    """What is asked about one message: made anew for each, hence a struct. It shows its kind and nothing of its contents."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class MACJob(Job, frozen=True, kw_only=True):
    """Authenticate `data` (the MAB) under `key`."""

    key: KeyBlock
    algorithm: MACAlgorithm
    data: bytes


class SealedPAN(Job, frozen=True, kw_only=True):
    """The token service's record of the PAN behind a token: the PAN's digits, sealed with context `token/` and the token."""

    key: KeyBlock
    sealed: bytes


class PINTranslation(Job, frozen=True, kw_only=True):
    """Move an encrypted PIN block from one key (and format) to another; `pan` is the 12 to 19 digits of the card.

    With `account` the number in the incoming block is a token, and the outgoing block is for the PAN in its record. The
    record of another token is one more reason why a block cannot be read.
    """

    block: bytes
    from_key: KeyBlock
    to_key: KeyBlock
    from_format: PINBlockFormat = PINBlockFormat.ISO_0
    to_format: PINBlockFormat = PINBlockFormat.ISO_0
    pan: str
    account: SealedPAN | None = None


class PINCheck(Job, frozen=True, kw_only=True):
    """Compare the PIN in an encrypted block with a PIN verification value."""

    block: bytes
    key: KeyBlock
    format: PINBlockFormat = PINBlockFormat.ISO_0
    pan: str
    pvk: KeyBlock
    pvki: str = "1"
    pvv: str


class ARQCCheck(Job, frozen=True, kw_only=True):
    """Verify an application cryptogram: `data` is the MAC input of its CVN, `algorithm` says 3DES or SM4 (9F10 byte 8).

    `imk` is an IMK_AC, from which the card key is derived (option A), or a UDK_AC, which is the card key. With a `scheme`
    the cryptogram is a phone's: `imk` is a 3DES master key, and the token's key gives the limited-use key of `diversifier`
    (the index as four BCD bytes; not looked at for suk, where the ATC is it). A diversifier that is no index proves nothing.
    """

    imk: KeyBlock
    algorithm: Algorithm
    pan: str
    psn: str
    atc: int
    data: bytes
    arqc: bytes
    scheme: KeyScheme | None = None
    diversifier: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySetJob:
    """Derive the keys of one key set and wrap them for the device that holds `wrap_key` (a P-256 point, 65 bytes).

    `pan` is the token's digits, `index` four BCD bytes. The plain text is 16 bytes a key: one for the LUK schemes, one for
    each ATC from `atc_first` to `atc_last` for suk. `context` must be given again to unwrap.
    """

    imk: KeyBlock
    scheme: KeyScheme
    pan: str = field(repr=False)
    psn: str
    index: bytes
    atc_first: int
    atc_last: int
    wrap_key: bytes
    context: bytes


class Proof(Job, frozen=True):
    """A one-time proof that this HSM has just verified one ARQC; buys exactly one ARPC."""

    ticket: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingKey:
    """A working key in transport: ECB under a KEK, and the check value (first bytes of E_key(zero block))."""

    cryptogram: bytes = field(repr=False)
    check: bytes


class HSM(Protocol):
    """Everything that needs a secret. Lists answer lists, in order."""

    def verify_macs(self, jobs: Sequence[tuple[MACJob, bytes]]) -> list[bool]:
        """Say for each job whether its 8-byte MAC (as it stands in DE64 / DE128) is right."""
        ...

    def make_macs(self, jobs: Sequence[MACJob]) -> list[bytes]:
        """Return the 8 bytes of DE64 / DE128 for each job."""
        ...

    def translate_pins(self, jobs: Sequence[PINTranslation]) -> list[bytes | None]:
        """Return each block under its new key, or None when the incoming one cannot be read."""
        ...

    def verify_pins(self, jobs: Sequence[PINCheck]) -> list[PINVerdict]:
        """Check each PIN; the try counter is the issuer's."""
        ...

    def make_pvv(self, job: PINCheck) -> str:
        """Return the 4-digit PVV of the PIN inside the block (`job.pvv` is ignored): how a PIN is set."""
        ...

    def verify_arqcs(self, jobs: Sequence[ARQCCheck]) -> list[Proof | None]:
        """Return a proof for each right cryptogram, None for each wrong one."""
        ...

    def make_arpcs(self, jobs: Sequence[tuple[Proof, bytes]]) -> list[bytes]:
        """Return the 8-byte ARPC (method 1) for each proof and its 2-byte ARC; a used or foreign proof is a KeyUseError."""
        ...

    def seal(self, key: KeyBlock, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Encrypt each (plain, context) under a SEAL, VAULT or SESSION key; the context must be given again to open it.

        Others open what was sealed (a peer's HSM, a phone), so the form is fixed: a random nonce of 12 bytes ‖ ciphertext ‖
        tag of 16, AES-256-GCM with the context as associated data.
        """
        ...

    def unseal(self, key: KeyBlock, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Open each (sealed, context); a changed byte or another context is an IntegrityError."""
        ...

    def seal_sessions(self, jobs: Sequence[tuple[KeyBlock, bytes, bytes]]) -> list[bytes]:
        """Encrypt each (SESSION key, plain, context) as `seal` does: the answers of one turn to many devices."""
        ...

    def unseal_sessions(self, jobs: Sequence[tuple[KeyBlock, bytes, bytes]]) -> list[bytes | None]:
        """Open each (SESSION key, sealed, context); None for one that was changed or is of another context.

        Strangers send these, so a false one is a value here and spoils no other.
        """
        ...

    def lookup(self, key: KeyBlock, items: Sequence[bytes]) -> list[str]:
        """Return a keyed hash of each item as 32 hex characters, for indexes on sealed fields."""
        ...

    def derive_key_sets(self, jobs: Sequence[KeySetJob]) -> list[bytes]:
        """Return each key set wrapped for its device (see `wrap_for_device`); no key is ever seen by the host."""
        ...

    def wrap_for_device(self, items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bytes]:
        """Wrap each (point, plain, context) for the device that holds the secret of that P-256 point.

        Ephemeral point (65 bytes) ‖ nonce (12) ‖ AES-256-GCM with the context as associated data; key = HKDF-SHA-256 of the
        agreed x, no salt, info `shanfu-wrap-1` ‖ ephemeral point ‖ device's point. A point that is none is a DecodeError:
        ask `valid_points` when a device brings it.
        """
        ...

    def valid_points(self, points: Sequence[bytes]) -> list[bool]:
        """Say for each whether it is a P-256 public key: 04 ‖ x ‖ y, 65 bytes, on the curve."""
        ...

    def verify_signatures(self, jobs: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
        """Say for each (point, data, signature r ‖ s) whether it is right, ECDSA P-256 with SHA-256."""
        ...

    def sign(self, key: KeyBlock, data: bytes) -> bytes:
        """Sign under a SIGN key: 64 bytes r ‖ s, ECDSA P-256 with SHA-256."""
        ...

    def public_key(self, key: KeyBlock) -> bytes:
        """Return the 65-byte point of a SIGN key."""
        ...

    def agree_session(self, theirs: bytes, context: bytes) -> tuple[bytes, KeyBlock]:
        """Make an ephemeral key, agree with the peer's ephemeral point, return our point and the SESSION key.

        The key is HKDF-SHA-256 of the agreed x, no salt, info `shanfu-session-1` ‖ context ‖ `/` ‖ their point ‖ our point;
        `context` names the device, the points are added here. A point that is none is a DecodeError.
        """
        ...

    def generate(self, usage: KeyUsage, algorithm: Algorithm, *, exportable: bool = False) -> KeyBlock:
        """Make a random key (TDES double length, AES-256 for AES and HMAC, SM4 128, P-256) and return its block.

        `exportable` asks for a key that `export_block` lets out to its other holder; only for usages that two parties share.
        """
        ...

    def form(self, usage: KeyUsage, algorithm: Algorithm, components: Sequence[bytes]) -> KeyBlock:
        """Form a key as the exclusive-or of two or three full-length components, as a key ceremony does."""
        ...

    def check_value(self, key: KeyBlock, length: int = 3) -> bytes:
        """Return the first `length` bytes of E_key(zero block), 3 to 8; AES keys give the CMAC form."""
        ...

    def export_working_key(self, key: KeyBlock, under: KeyBlock, check_length: int = 4) -> WorkingKey:
        """Encrypt a PIK or MAK under a KEK for DE62 or DE48 NK."""
        ...

    def import_working_key(self, received: WorkingKey, under: KeyBlock, usage: KeyUsage, algorithm: Algorithm) -> KeyBlock:
        """Take a PIK or MAK from the wire; a wrong check value is an IntegrityError. An empty `check` is not compared."""
        ...

    def export_block(self, key: KeyBlock, under: KeyBlock) -> str:
        """Return the key as a TR-31 version D block under a shared KBPK (AES)."""
        ...

    def import_block(self, block: str, under: KeyBlock) -> KeyBlock:
        """Take a TR-31 version D block made under a shared KBPK; tampering is an IntegrityError."""
        ...

    def derive_card_key(self, imk: KeyBlock, under: KeyBlock, *, pan: str, psn: str) -> str:
        """Return the card's UDK of this master key (option A), as a TR-31 block under the personalisation KBPK."""
        ...

    def random(self, length: int) -> bytes:
        """Return random bytes."""
        ...
