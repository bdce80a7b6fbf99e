"""Signed objects: the four forms that carry keys and data under a signature, made and opened by one pair of functions.

Every object is some *content*, which begins with its form, and a signature over content and data that stand *outside*
(remainder and exponent of a key, static data, the terminal's data):

    RSA   one block as long as the modulus: 6A ‖ content ‖ SHA-1(content ‖ outside) ‖ BC; the content comes back out of it,
          filled with BB
    SM2   content ‖ r ‖ s, the signature over content ‖ outside with the standard user identity; all in clear

    form      RSA  SM2  content after the form
    ISSUER    02   12   issuer identifier (4) ‖ description and key    certificates.py
    STATIC    03   13   [hash 01 ‖] data authentication code           static.py
    ICC       04   14   PAN (10) ‖ description and key                 certificates.py
    DYNAMIC   05   15   [hash 01 ‖] length ‖ dynamic data              dynamic.py

Called by the rest of this package. Sources: EMV Book 2 A2.1, B3.1, tables 6, 7, 13, 14 and 17; JR/T 0025.17. Unverified: the
SM2 forms 13 and 15 as they travel (`_open_sm2`, `make_signed`); the bytes signed for 12, 14 and 15 are published.
"""

import hashlib
import hmac
from collections.abc import Callable
from enum import IntEnum
from typing import Final, TypeAlias

from shanfu.crypto import RSAPrivateKey, RSAPublicKey, SM2PrivateKey, SM2PublicKey, sm3
from shanfu.errors import ConfigError, DecodeError, IntegrityError, KeyUseError
from shanfu.oda.results import Failure, Part, Reason

__all__ = [
    "Form", "PrivateKey", "PublicKey", "Sign", "begin", "body", "digest", "key_bytes", "make_signed", "open_signed", "room",
]  # fmt: skip

PublicKey: TypeAlias = RSAPublicKey | SM2PublicKey
PrivateKey: TypeAlias = RSAPrivateKey | SM2PrivateKey
Sign: TypeAlias = Callable[[bytes], bytes]  # RSA: block → signature, both as long as the modulus; SM2: message → r ‖ s

HEADER, TRAILER, PADDING = 0x6A, 0xBC, 0xBB  # EMV B2 A2.1, tables 6 and 7
SHA1_INDICATOR: Final = 0x01  # EMV B2 B3.1
AROUND_BYTES: Final = 22  # header, hash result, trailer
SM2_OFFSET: Final = 0x10  # JR/T 0025.17: forms 12 to 15 instead of 02 to 05
SIGNATURE_BYTES: Final = 64  # r ‖ s


class Form(IntEnum):
    """What a signed object is: its format byte under RSA (EMV B2 tables 6, 7, 13, 14); SM2 adds 10 (JR/T 0025.17)."""

    ISSUER = 0x02
    STATIC = 0x03
    ICC = 0x04
    DYNAMIC = 0x05


# fmt: off
TABLE: Final = {  # form: (part, where RSA content names the hash, least bytes of RSA content, of SM2 content)
    Form.ISSUER:  (Part.ISSUER_CERTIFICATE, 10, 14, 78),   # EMV B2 table 6
    Form.STATIC:  (Part.STATIC_SIGNATURE,    1,  4,  3),   # EMV B2 table 7
    Form.ICC:     (Part.ICC_CERTIFICATE,    16, 20, 84),   # EMV B2 table 14
    Form.DYNAMIC: (Part.DYNAMIC_SIGNATURE,   1,  3,  2),   # EMV B2 table 17
}
# fmt: on


def digest(key: PublicKey, data: bytes) -> bytes:
    """Hash as this kind of key wants it: SHA-1 for RSA (EMV B2 B3.1), SM3 for SM2 (JR/T 0025.17)."""
    return sm3(data) if isinstance(key, SM2PublicKey) else hashlib.sha1(data, usedforsecurity=False).digest()


def key_bytes(key: PublicKey) -> bytes:
    """Return the number or point that certificates and downloads carry: the modulus, or X ‖ Y."""
    return key.point if isinstance(key, SM2PublicKey) else key.modulus


def room(key: RSAPublicKey) -> int:
    """How many bytes of content an object signed by this RSA key has."""
    return key.size - AROUND_BYTES


def begin(key: PublicKey, form: Form) -> bytes:
    """How STATIC and DYNAMIC content begins: the form and, under RSA, the hash algorithm (EMV B2 tables 7 and 17)."""
    return bytes([form + SM2_OFFSET]) if isinstance(key, SM2PublicKey) else bytes([form, SHA1_INDICATOR])


def body(key: PublicKey, content: bytes) -> bytes:
    """Return STATIC or DYNAMIC content without its beginning; under RSA with the padding behind."""
    return content[1:] if isinstance(key, SM2PublicKey) else content[2:]


def open_signed(key: PublicKey, signed: bytes, *, form: Form, outside: bytes) -> bytes | Failure:
    """Return the content of a signed object, or what is wrong with it; never raise on what a card sent."""
    if isinstance(key, SM2PublicKey):
        return _open_sm2(key, signed, (form, outside))
    part = TABLE[form][0]
    # EMV B2 5.3, 5.4, 6.4, 6.5.2 step 1: as long as the modulus of the key that signed
    if len(signed) != key.size:
        return Failure(part, Reason.LENGTH)
    try:
        block = key.recover(signed)
    except DecodeError:
        return Failure(part, Reason.UNREADABLE)
    return _checked(key, block, (form, outside))


def _checked(key: RSAPublicKey, block: bytes, about: tuple[Form, bytes]) -> bytes | Failure:
    """EMV B2 5.3 steps 2 to 7, which 5.4, 6.4 and 6.5.2 repeat: trailer, header, format, hash."""
    form, outside = about
    part, hash_at, _, _ = TABLE[form]
    content = block[1:-21]
    if block[-1] != TRAILER:
        return Failure(part, Reason.TRAILER)
    if block[0] != HEADER:
        return Failure(part, Reason.HEADER)
    if content[0] != form:
        return Failure(part, Reason.FORMAT)
    if content[hash_at] != SHA1_INDICATOR:
        return Failure(part, Reason.HASH_ALGORITHM)
    if not hmac.compare_digest(digest(key, content + outside), block[-21:-1]):
        return Failure(part, Reason.HASH)
    return content


def _open_sm2(key: SM2PublicKey, signed: bytes, about: tuple[Form, bytes]) -> bytes | Failure:
    (form, outside), content = about, signed[:-SIGNATURE_BYTES]
    part, _, _, least = TABLE[form]
    if len(content) < least or (form is not Form.DYNAMIC and len(content) != least):
        return Failure(part, Reason.LENGTH)
    if content[0] != form + SM2_OFFSET:
        return Failure(part, Reason.FORMAT)
    try:
        key.verify(content + outside, signed[-SIGNATURE_BYTES:])
    except IntegrityError:
        return Failure(part, Reason.SIGNATURE)
    return content


def make_signed(key: PublicKey, content: bytes, *, outside: bytes, sign: Sign) -> bytes:
    """Sign content, under RSA filled with BB, and what stands outside of it; `key` is the public half of what `sign` uses.

    `ConfigError` if the content does not fit into the key, `KeyUseError` if `sign` works with a key of another size.
    """
    if isinstance(key, SM2PublicKey):
        return content + _of_size(sign(content + outside), SIGNATURE_BYTES)
    if len(content) > room(key):
        raise ConfigError(f"signed object: {len(content)} bytes of content, the key has room for {room(key)} (EMV B2 A2.1)")
    filled = content.ljust(room(key), bytes([PADDING]))
    block = bytes([HEADER]) + filled + digest(key, filled + outside) + bytes([TRAILER])
    return _of_size(sign(block), key.size)


def _of_size(signature: bytes, size: int) -> bytes:
    if len(signature) != size:
        raise KeyUseError(f"signed object: a signature of {len(signature)} bytes, the key makes {size} (EMV B2 A2.1)")
    return signature
