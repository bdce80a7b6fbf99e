"""The words that hosts and an HSM speak: what keys are, what is asked about a message, a PIN, a card, a key.

A handle is a `KeyBlock`: a TR-31 (X9.143) version D block under the local master key, text that a host may keep in its
database; only the HSM that owns the LMK can open it. Usage, algorithm and mode stand in the authenticated header. Jobs show
their kind and nothing of their contents. What may be done with them: `protocol`.
Sources: X9.143 / TR-31 (blocks), ISO 9564-1 (PIN), JR/T 0025 (cryptograms, scripts), Visa PTSM (card codes).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import NewType

from msgspec import Struct

from shanfu.oda import CAKey, PublicKey
from shanfu.tokens import KeyScheme

__all__ = [
    "ARQCCheck", "Algorithm", "CVVJob", "CardCertificateJob", "CardCode", "CardPair", "CardPairJob", "IssuerCertificateJob",
    "KeyBlock", "KeyScheme", "KeySetJob", "KeyUsage", "MACAlgorithm", "MACJob", "PINBlockFormat", "PINCheck", "PINTranslation",
    "PINVerdict", "Proof", "ScriptJob", "ScriptPIN", "SealedPAN", "WorkingKey",
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
    RSA = "R"
    SM2 = "2"  # not registered: a proprietary character, as SM4's


class KeyUsage(_Member):
    """What a key may do; the value is the TR-31 usage and mode of use."""

    IMK_AC = ("E0", "X")  # issuer master key: application cryptograms
    UDK_AC = ("E6", "N")  # one card's own key, for laboratory cards whose master key nobody has
    UDK_ENC = ("E1", "N")  # one card's own key for confidentiality, as UDK_AC
    UDK_MAC = ("E2", "N")  # one card's own key for integrity, as UDK_AC
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
    CA_PAIR = ("S1", "S")  # a payment system's: certifies issuers
    ISSUER_PAIR = ("S2", "S")  # an issuer's: certifies its cards, signs their static data


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
    final: bool = False  # no answer will follow (TC, AAC, a phone): right is said by a proof that buys nothing


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
    """A one-time proof that this HSM has just verified one ARQC; buys exactly one ARPC, and before it scripts."""

    ticket: bytes


class ScriptPIN(Job, frozen=True, kw_only=True):
    """The new PIN of a PIN CHANGE, in a block for the card's PAN under a PIK."""

    block: bytes
    key: KeyBlock
    format: PINBlockFormat = PINBlockFormat.ISO_0


class ScriptJob(Job, frozen=True, kw_only=True):
    """Make one script command for the card that `proof` is of: PAN, PSN, ATC and ARQC are the proof's.

    `header` is CLA INS P1 P2 with secure messaging in the class, `data` the clear data field; `enciphered` makes the data
    confidential. With `pin` the data is the new PIN's block, always enciphered, and the command is PIN CHANGE (INS 24).
    `imk_enc` is needed for what is enciphered only. Both keys are master keys, or both a laboratory card's own (UDK).
    """

    proof: Proof
    header: bytes
    data: bytes = b""
    enciphered: bool = False
    pin: ScriptPIN | None = None
    imk_mac: KeyBlock
    imk_enc: KeyBlock | None = None


class CardCode(Enum):
    """A check value of a card's data; the value is its name in `shanfu.crypto.VARIANTS`."""

    STRIPE = "cvn"
    CHIP = "icvv"
    PRINTED = "cvn2"


class CVVJob(Job, frozen=True, kw_only=True):
    """A check value over card data: 12 to 19 digits of PAN, expiry YYMM and service code as the track has them."""

    key: KeyBlock
    pan: str
    expiry_yymm: str
    service_code: str
    code: CardCode = CardCode.STRIPE


class IssuerCertificateJob(Job, frozen=True, kw_only=True):
    """Certify an issuer's public key under a payment system's pair, of which `authority` is the public half with its name.

    `issuer_id` is the first 3 to 8 digits of the issuer's PANs, `serial` 3 bytes; good to the end of the month of `expires`.
    """

    ca: KeyBlock
    authority: CAKey
    issuer: PublicKey
    issuer_id: str
    expires: date
    serial: bytes


class CardCertificateJob(Job, frozen=True, kw_only=True):
    """Certify a card's public key and static data (`oda.static_data`) under its issuer's pair; `pan` is its digits."""

    issuer: KeyBlock
    icc: PublicKey
    pan: str
    expires: date
    serial: bytes
    static: bytes


class CardPairJob(Job, frozen=True, kw_only=True):
    """Make a card's pair, certify it and its static data, and wrap it under the personalisation key `under` (a KBPK).

    The pair is of the issuer's algorithm; `bits` and `exponent` are RSA's.
    """

    issuer: KeyBlock
    under: KeyBlock
    pan: str
    expires: date
    serial: bytes
    static: bytes
    bits: int = 1152
    exponent: bytes = b"\x03"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPair:
    """A card's certified pair: tags and values as the card carries them, and the private half as a key block.

    Inside the block (usage S2, mode T, algorithm R or 2) is an RSAPrivateKey in DER or the 32 bytes of an SM2 key.
    """

    values: Mapping[int, bytes] = field(repr=False)
    block: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingKey:
    """A working key in transport: ECB under a KEK, and the check value (first bytes of E_key(zero block))."""

    cryptogram: bytes = field(repr=False)
    check: bytes
