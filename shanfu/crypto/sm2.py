"""SM2: China's signatures, encryption and key exchange on a curve of its own.

A signature is over the signer's identity too: ZA hashes user id, curve and key, and stands before the message. Points are
X ‖ Y (64 bytes), signatures r ‖ s (64 bytes), secrets 32 bytes, as card certificates have them; nothing here is DER.
Ciphertext is 04 ‖ C1 ‖ C3 ‖ C2 (GB/T 32918.4); the order C1 C2 C3 of older devices can be read.

Multiplications with secrets are `sm2_curve`'s: constant time on libcrypto. The one modular product that joins a secret key
with its fresh random number is on Python integers. Randomness is the system's, for a bad one would give the key away;
`nonce` exists for known answers and is never given in earnest.
Who calls: `oda`, the HSM. Sources: GB/T 32918.2 (signature), 32918.3 (key exchange), 32918.4 (encryption), 32918.5 (curve).
"""

import hmac
import secrets
from typing import NoReturn

from shanfu.crypto.cipher import xor
from shanfu.crypto.sm2_curve import (
    CURVE_TEXT,
    ORDER,
    SCALAR_BYTES,
    Point,
    add,
    encode_point,
    multiply,
    multiply_sum,
    parse_point,
)
from shanfu.crypto.sm3 import sm3
from shanfu.errors import DecodeError, Fault, IntegrityError, KeyUseError

__all__ = ["DEFAULT_USER_ID", "SM2PrivateKey", "SM2PublicKey", "exchange_key", "sm2_kdf"]

DEFAULT_USER_ID = b"1234567812345678"  # GB/T 35276 10; what PBOC cards use too
LIMIT_USER_ID_BYTES = 8_191  # its length in bits has two bytes
SIGNATURE_BYTES, C1_BYTES, C3_BYTES = 64, 65, 32


class SM2PublicKey:
    """A public key, X ‖ Y; `DecodeError` for 64 bytes that are no point of the curve."""

    __slots__ = ("_point", "point")

    def __init__(self, point: bytes) -> None:
        self._point, self.point = parse_point(point), bytes(point)

    def za(self, user_id: bytes = DEFAULT_USER_ID) -> bytes:
        """Return the 32 bytes that stand for who signs: SM3 of ENTL ‖ user id ‖ curve ‖ key (GB/T 32918.2 5.5)."""
        if len(user_id) > LIMIT_USER_ID_BYTES:
            raise DecodeError(f"{len(user_id)} bytes", fault=Fault.LENGTH, path="SM2 user id", spec="GB/T 32918.2 5.5")
        return sm3((8 * len(user_id)).to_bytes(2) + user_id + CURVE_TEXT + self.point)

    def verify(self, message: bytes, signature: bytes, user_id: bytes = DEFAULT_USER_ID) -> None:
        """Check a signature r ‖ s; `IntegrityError` if key, user, message or signature is another (GB/T 32918.2 7.1)."""
        r, s = int.from_bytes(signature[:SCALAR_BYTES]), int.from_bytes(signature[SCALAR_BYTES:])
        good = len(signature) == SIGNATURE_BYTES and 0 < r < ORDER and 0 < s < ORDER and (r + s) % ORDER
        where = multiply_sum(s, (r + s) % ORDER, self._point) if good else None
        if where is None or (_digest(self, message, user_id) + where[0]) % ORDER != r:
            raise IntegrityError("SM2 signature: wrong, it is of another key or user or over other data (GB/T 32918.2)")

    def encrypt(self, message: bytes, *, nonce: bytes | None = None) -> bytes:
        """Encrypt for the key's holder: 04 ‖ C1 ‖ C3 ‖ C2, 97 bytes more than the message (GB/T 32918.4 6.1)."""
        if not message:
            raise DecodeError("it is empty", fault=Fault.LENGTH, path="SM2 plain text", spec="GB/T 32918.4 6.1")
        while True:
            number = _number(nonce)
            x, y = _finite(multiply(number, self._point))
            mask = sm2_kdf(x + y, len(message))
            if any(mask):
                c1 = b"\x04" + encode_point(_point(multiply(number)))
                return c1 + sm3(x + message + y) + xor(message, mask)
            if nonce is not None:
                raise KeyUseError("SM2 nonce: its mask is all zeros (GB/T 32918.4 6.1)")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SM2PublicKey) and self.point == other.point

    def __hash__(self) -> int:
        return hash(self.point)

    def __repr__(self) -> str:
        return f"SM2PublicKey({self.point[:4].hex().upper()}…)"


class SM2PrivateKey:
    """A secret number from 1 to n-2; its repr shows nothing, and it is neither pickled nor copied.

    >>> key = SM2PrivateKey(bytes.fromhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8"))
    >>> key.public.point.hex().upper()[:16], key.decrypt(key.public.encrypt(b"secret"))
    ('09F9DF311E5421A1', b'secret')
    >>> key.public.verify(b"message", key.sign(b"message"))
    """

    __slots__ = ("_d", "_inverse", "public")

    def __init__(self, d: bytes) -> None:
        number = int.from_bytes(d)
        if len(d) != SCALAR_BYTES or not 0 < number < ORDER - 1:
            raise KeyUseError("SM2 key: is no number of 32 bytes between 1 and n-2 (GB/T 32918.1 6.1)")
        self._d, self._inverse = number, pow(1 + number, -1, ORDER)
        self.public = SM2PublicKey(encode_point(_point(multiply(number))))

    @classmethod
    def generate(cls) -> "SM2PrivateKey":
        """Make a random one."""
        return cls((1 + secrets.randbelow(ORDER - 2)).to_bytes(SCALAR_BYTES))

    @property
    def secret(self) -> bytes:
        """The key itself, 32 bytes, for who keeps it."""
        return self._d.to_bytes(SCALAR_BYTES)

    def sign(self, message: bytes, user_id: bytes = DEFAULT_USER_ID, *, nonce: bytes | None = None) -> bytes:
        """Return r ‖ s, 64 bytes, checked before it is given out (GB/T 32918.2 6.1)."""
        digest = _digest(self.public, message, user_id)
        while True:
            number = _number(nonce)
            r = (digest + _point(multiply(number))[0]) % ORDER
            s = (self._inverse * (number + r) - r) % ORDER  # (1+d)⁻¹ (k - r d), written so that d meets k once
            if r and s and (r + number) % ORDER:
                break
            if nonce is not None:
                raise KeyUseError("SM2 nonce: it gives no signature of this message (GB/T 32918.2 6.1)")
        signature = r.to_bytes(SCALAR_BYTES) + s.to_bytes(SCALAR_BYTES)
        self.public.verify(message, signature, user_id)
        return signature

    def decrypt(self, ciphertext: bytes, *, c3_last: bool = False) -> bytes:
        """Open what `encrypt` made; with `c3_last` in the old order C1 C2 C3 (GM/T 0003.4). `IntegrityError` if changed."""
        if len(ciphertext) <= C1_BYTES + C3_BYTES or ciphertext[0] != 4:
            raise IntegrityError("SM2 ciphertext: shorter than a point, a hash and a byte, or not uncompressed")
        c1, rest = ciphertext[1:C1_BYTES], ciphertext[C1_BYTES:]
        c3, c2 = (rest[-C3_BYTES:], rest[:-C3_BYTES]) if c3_last else (rest[:C3_BYTES], rest[C3_BYTES:])
        try:
            x, y = _finite(multiply(self._d, parse_point(c1)))
        except DecodeError:
            raise IntegrityError("SM2 ciphertext: does not begin with a point of the curve") from None
        mask = sm2_kdf(x + y, len(c2))
        message = xor(c2, mask)
        if not any(mask) or not hmac.compare_digest(sm3(x + message + y), c3):
            raise IntegrityError("SM2 ciphertext: wrong, it is for another key or was changed (GB/T 32918.4 7.1)")
        return message

    def __repr__(self) -> str:
        return "SM2PrivateKey()"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an SM2PrivateKey is never pickled or copied")


def exchange_key(
    mine: tuple[SM2PrivateKey, SM2PrivateKey],
    theirs: tuple[SM2PublicKey, SM2PublicKey],
    *,
    initiator: bool,
    length: int,
    user_ids: tuple[bytes, bytes] = (DEFAULT_USER_ID, DEFAULT_USER_ID),
) -> bytes:
    """Agree on a key of `length` bytes: each side gives (its lasting key, its ephemeral key).

    `user_ids` are the initiator's and the responder's, on both sides. Source: GB/T 32918.3 6.1.

    >>> a, ra, b, rb = (SM2PrivateKey.generate() for _ in range(4))
    >>> one = exchange_key((a, ra), (b.public, rb.public), initiator=True, length=16)
    >>> one == exchange_key((b, rb), (a.public, ra.public), initiator=False, length=16)
    True
    """
    (key, ephemeral), (their_key, their_ephemeral) = mine, theirs
    t = (key._d + _half(ephemeral.public._point) * ephemeral._d) % ORDER
    base = add(their_key._point, _point(multiply(_half(their_ephemeral._point), their_ephemeral._point)))
    x, y = _finite(multiply(t, _point(base)))
    first, second = (key.public, their_key) if initiator else (their_key, key.public)
    return sm2_kdf(x + y + first.za(user_ids[0]) + second.za(user_ids[1]), length)


def sm2_kdf(secret: bytes, length: int) -> bytes:
    """Stretch a secret to `length` bytes: SM3 of secret ‖ counter, counted from 1 (GB/T 32918.4 5.4.3)."""
    blocks = range(1, -(-length // 32) + 1)
    return b"".join(sm3(secret + number.to_bytes(4)) for number in blocks)[:length]


def _digest(key: SM2PublicKey, message: bytes, user_id: bytes) -> int:
    return int.from_bytes(sm3(key.za(user_id) + message))


def _number(nonce: bytes | None) -> int:
    number = 1 + secrets.randbelow(ORDER - 1) if nonce is None else int.from_bytes(nonce)
    if not 0 < number < ORDER:
        raise KeyUseError("SM2 nonce: is not between 1 and n-1")
    return number


def _half(point: Point) -> int:
    # GB/T 32918.3 6.1 A4: x̄ = 2^w + (x & (2^w - 1)), w = 127
    return 1 << 127 | point[0] & (1 << 127) - 1


def _point(point: Point | None) -> Point:
    if point is None:
        raise IntegrityError("SM2: the computation ended at infinity, where no good numbers lead")
    return point


def _finite(point: Point | None) -> tuple[bytes, bytes]:
    x, y = _point(point)
    return x.to_bytes(SCALAR_BYTES), y.to_bytes(SCALAR_BYTES)
