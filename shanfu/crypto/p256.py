"""Keys of devices on the curve P-256: to sign, to agree on a session, to wrap a secret for one device.

A phone and the key cloud know each other by such keys. Points travel uncompressed (04 ‖ x ‖ y, 65 bytes), signatures as
r ‖ s (64 bytes), secrets as 32 bytes; nothing here is DER or PEM. Both ends use the same functions: the phone this module,
the cloud through its HSM.

    signature  ECDSA with SHA-256
    session    HKDF-SHA-256(x of ECDH, no salt, info = "shanfu-session-1" ‖ context), an AES-256 key
    wrapped    ephemeral point ‖ 12-byte nonce ‖ AES-256-GCM with the context as associated data, under
               HKDF-SHA-256(x of ECDH, no salt, info = "shanfu-wrap-1" ‖ ephemeral point ‖ recipient's point)

Here alone randomness does not come from the caller: a bad one would give the key away, so the system's is taken.
Sources: FIPS 186-5 (ECDSA), SEC 1 2.3.3 (points), NIST SP 800-56A (ECDH), RFC 5869 (HKDF), NIST SP 800-38D (GCM).
"""

import os
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shanfu.crypto.stream import TAG_BYTES, SealKey
from shanfu.errors import DecodeError, Fault, IntegrityError, KeyUseError

__all__ = [
    "NONCE_BYTES", "POINT_BYTES", "SIGNATURE_BYTES", "P256Key", "agreed_session", "hkdf", "session_context",
    "session_secret", "unwrap_secret", "valid_point", "verify_signature", "wrap_secret",
]  # fmt: skip

POINT_BYTES, SCALAR_BYTES, SIGNATURE_BYTES = 65, 32, 64
NONCE_BYTES = 12  # NIST SP 800-38D 8.2.2: random nonces

CURVE = ec.SECP256R1()
ECDSA = ec.ECDSA(SHA256())
# FIPS 186-5: the order of the curve; OpenSSL takes scalars beyond it and reduces them, a key of ours is in range
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class P256Key:
    """A secret key on P-256; its repr shows nothing, and it is neither pickled nor copied.

    >>> P256Key((1).to_bytes(32)).point.hex()[:10]  # the generator
    '046b17d1f2'
    """

    __slots__ = ("_key", "point")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SCALAR_BYTES or not 0 < int.from_bytes(secret) < ORDER:
            raise KeyUseError("P-256 key: is no number of 32 bytes between 1 and the order of the curve (FIPS 186-5)")
        self._take(ec.derive_private_key(int.from_bytes(secret), CURVE))

    def _take(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @classmethod
    def generate(cls) -> "P256Key":
        """Make a random one."""
        made = cls.__new__(cls)
        made._take(ec.generate_private_key(CURVE))
        return made

    @property
    def secret(self) -> bytes:
        """The key itself, 32 bytes, for who keeps it."""
        return self._key.private_numbers().private_value.to_bytes(SCALAR_BYTES)

    def __repr__(self) -> str:
        return "P256Key()"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a P256Key is never pickled or copied")

    def sign(self, data: bytes) -> bytes:
        """Sign: ECDSA with SHA-256, r ‖ s."""
        r, s = decode_dss_signature(self._key.sign(data, ECDSA))
        return r.to_bytes(SCALAR_BYTES) + s.to_bytes(SCALAR_BYTES)

    def agree(self, point: bytes) -> bytes:
        """Return the x of the point that only the two key holders can compute, 32 bytes; hash it before use."""
        return self._key.exchange(ec.ECDH(), _point(point))


def verify_signature(point: bytes, data: bytes, signature: bytes) -> None:
    """Check a signature r ‖ s; `IntegrityError` if key, data or signature is another, `DecodeError` for no point."""
    key = _point(point)
    r, s = int.from_bytes(signature[:SCALAR_BYTES]), int.from_bytes(signature[SCALAR_BYTES:])
    try:
        if len(signature) != SIGNATURE_BYTES:
            raise InvalidSignature
        key.verify(encode_dss_signature(r, s), data, ECDSA)
    except InvalidSignature:
        raise IntegrityError("signature: wrong, it is of another key or over other data (FIPS 186-5)") from None


def valid_point(point: bytes) -> bool:
    """Say whether these bytes are a public key: 04 ‖ x ‖ y on the curve."""
    try:
        _point(point)
    except DecodeError:
        return False
    return True


def hkdf(secret: bytes, *, info: bytes, length: int = 32) -> bytes:
    """Derive a key from an agreed secret: HKDF-SHA-256 without salt (RFC 5869 2.2, 2.3)."""
    return HKDF(SHA256(), length, salt=None, info=info).derive(secret)


def agreed_session(mine: P256Key, theirs: bytes, *, context: bytes) -> SealKey:
    """Return the key of a session between two ephemeral keys; the context names its parties (`session_context`).

    >>> phone, host = P256Key.generate(), P256Key.generate()
    >>> context = session_context("d1", phone=phone.point, host=host.point)
    >>> sealed = agreed_session(phone, host.point, context=context).seal(bytes(12), b"hello", aad=b"1")
    >>> agreed_session(host, phone.point, context=context).open(bytes(12), sealed, aad=b"1")
    b'hello'
    """
    return SealKey(session_secret(mine, theirs, context=context))


def session_secret(mine: P256Key, theirs: bytes, *, context: bytes) -> bytes:
    """Return the 32 bytes of a session's key, for who keeps keys by himself (the HSM)."""
    return hkdf(mine.agree(theirs), info=b"shanfu-session-1" + context)


def session_context(device: str, *, phone: bytes, host: bytes) -> bytes:
    """Return what a session's key is bound to: the device's name / its ephemeral point ‖ the host's."""
    return device.encode() + b"/" + phone + host


def wrap_secret(point: bytes, plain: bytes, *, context: bytes) -> bytes:
    """Wrap a secret for the holder of a key: only that key opens it, and only in this context.

    >>> device = P256Key.generate()
    >>> unwrap_secret(device, wrap_secret(device.point, b"keys", context=b"token 1"), context=b"token 1")
    b'keys'
    """
    ephemeral, nonce = P256Key.generate(), os.urandom(NONCE_BYTES)
    key = _wrapping(ephemeral.agree(point), ephemeral.point, point)
    return ephemeral.point + nonce + key.seal(nonce, plain, aad=context)


def unwrap_secret(key: P256Key, wrapped: bytes, *, context: bytes) -> bytes:
    """Open what `wrap_secret` made; `IntegrityError` if anything was changed, or it is another's or of another context."""
    point, nonce, sealed = _split(wrapped)
    try:
        agreed = key.agree(point)
    except DecodeError:
        raise IntegrityError("wrapped secret: it does not begin with a point of the curve") from None
    return _wrapping(agreed, point, key.point).open(nonce, sealed, aad=context)


def _split(wrapped: bytes) -> tuple[bytes, bytes, bytes]:
    head = POINT_BYTES + NONCE_BYTES
    if len(wrapped) < head + TAG_BYTES:
        raise IntegrityError(f"wrapped secret: {len(wrapped)} bytes, point, nonce and tag alone have {head + TAG_BYTES}")
    return wrapped[:POINT_BYTES], wrapped[POINT_BYTES:head], wrapped[head:]


def _wrapping(agreed: bytes, ephemeral: bytes, recipient: bytes) -> SealKey:
    return SealKey(hkdf(agreed, info=b"shanfu-wrap-1" + ephemeral + recipient))


def _point(point: bytes) -> ec.EllipticCurvePublicKey:
    try:
        if len(point) != POINT_BYTES:  # the library would take the compressed form and the infinite point
            raise ValueError
        return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point)
    except ValueError:
        raise DecodeError("not an uncompressed point of P-256", fault=Fault.FORMAT, path="point", spec="SEC 1 2.3.4") from None
