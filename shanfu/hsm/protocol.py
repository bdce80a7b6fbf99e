"""The narrow door to every secret: batched payment operations on key blocks.

Hosts hold key *handles*, never keys (`jobs`). Usage, algorithm and mode are checked before every operation; a wrong one is a
KeyUseError. There is no general "encrypt block" on master, PIN or MAC keys.

Batches answer in the order asked. A false MAC, PIN or cryptogram is a *value* in the answer (the host decides what it
means); only misuse and breakage raise. `SoftHSM` is our implementation; a PKCS#11 token or a payment HSM stands behind the
same Protocol.

Sources: X9.143 / TR-31 (blocks), PCI PIN 18-3 (key blocks), ISO 9564-1 (PIN), JR/T 0025 (cryptograms, scripts).
"""

from collections.abc import Sequence
from typing import Protocol

from shanfu.hsm.jobs import (
    Algorithm,
    ARQCCheck,
    CardCertificateJob,
    CardPair,
    CardPairJob,
    CVVJob,
    IssuerCertificateJob,
    KeyBlock,
    KeySetJob,
    KeyUsage,
    MACJob,
    PINCheck,
    PINTranslation,
    PINVerdict,
    Proof,
    ScriptJob,
    WorkingKey,
)
from shanfu.oda import PublicKey

__all__ = ["HSM"]


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
        """Return a proof for each right cryptogram, None for each wrong one.

        The proof of a `final` job is not kept: it says "right" and buys no answer.
        """
        ...

    def make_scripts(self, jobs: Sequence[ScriptJob]) -> list[bytes | None]:
        """Return each script command, CLA to MAC, for tag 86; None when the block of a new PIN cannot be read.

        The proof is not spent: scripts are asked for before the ARPC, one command a payment. A used, foreign or final proof
        is a KeyUseError for the whole batch, as is a phone's.
        """
        ...

    def verify_cvvs(self, jobs: Sequence[tuple[CVVJob, str]]) -> list[bool]:
        """Say for each job whether its 3 digits are right; data that no code can be made of has none."""
        ...

    def make_cvv(self, job: CVVJob) -> str:
        """Return the 3 digits of a card code: how cards are made."""
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

    def generate_pair(self, usage: KeyUsage, algorithm: Algorithm, *, bits: int = 1408, exponent: bytes = b"\x03") -> KeyBlock:
        """Make a random pair (CA_PAIR, ISSUER_PAIR: RSA of 1,024 to 2,048 bits, or SM2) and return its block."""
        ...

    def public_part(self, key: KeyBlock) -> PublicKey:
        """Return the public half of a CA_PAIR or an ISSUER_PAIR."""
        ...

    def certify_issuer(self, job: IssuerCertificateJob) -> dict[int, bytes]:
        """Return an issuer's certificate as tags 8F, 90, 92 and 9F32; what does not fit is a ConfigError."""
        ...

    def certify_card(self, job: CardCertificateJob) -> dict[int, bytes]:
        """Return a card's certificate as tags 9F46, 9F48 and 9F47; what does not fit is a ConfigError."""
        ...

    def sign_static(self, issuer: KeyBlock, *, static: bytes, code: bytes) -> dict[int, bytes]:
        """Return tag 93 over a card's static data and the issuer's 2-byte data authentication code."""
        ...

    def make_card_pair(self, job: CardPairJob) -> CardPair:
        """Make a card's pair and its certificate; the private half leaves under the personalisation KBPK and nowhere else."""
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
