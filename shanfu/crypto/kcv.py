"""Key check values, parity and components: how people and partners agree that they hold the same key.

A check value tells a wrong key from a right one without showing it; its form depends on where it is printed, so the
caller names the place. Who calls: the HSM (import, export, ceremonies), the PIN pad at sign-in. Sources: ANSI X9.24-1
(legacy), ANSI X9.143 (CMAC, optional block KC), UnionPay POS terminal specification (sign-in, DE62), GlobalPlatform
Amendment D 4.1.1 (AES).
"""

import functools
import hmac
from enum import Enum

from shanfu.crypto.cipher import Cipher, xor
from shanfu.crypto.mac import cmac
from shanfu.errors import DecodeError, Fault, IntegrityError

__all__ = ["Place", "combine", "kcv", "odd_parity", "verify_kcv"]


class Place(Enum):
    """Where a check value stands, which decides its form: (block that is worked on, CMAC or ECB, bytes kept)."""

    # fmt: off
    CMAC3          = ("zeros", "cmac", 3)   # ANSI X9.143, optional block KC with 3 bytes
    CMAC5          = ("zeros", "cmac", 5)   # ANSI X9.143, optional block KC: the form for AES keys
    GLOBALPLATFORM = ("ones", "ecb", 3)     # GP Amendment D 4.1.1: sixteen bytes 01, AES keys
    LEGACY         = ("zeros", "ecb", 3)    # ANSI X9.24-1: DES, 3DES, and what HSM consoles print
    SIGN_IN        = ("zeros", "ecb", 4)    # UnionPay POS, DE62; for SM4 unverified: vendors use 4, 8 or 16
    SIGN_IN_SM4_8  = ("zeros", "ecb", 8)    # the 8-byte form seen with one SM4 vendor
    # fmt: on


def kcv(cipher: Cipher, place: Place = Place.LEGACY) -> bytes:
    """Return the check value of the cipher's key in the form of a place.

    >>> from shanfu.crypto import Algorithm
    >>> key = Cipher(Algorithm.TDES, bytes.fromhex("D93E19FD2629B9133D8AD01CFD1A5DD5"))
    >>> kcv(key).hex().upper()
    '3B0EB1'
    """
    block, method, size = place.value
    start = (b"\x01" if block == "ones" else b"\x00") * cipher.block_bytes
    return (cmac(cipher, start) if method == "cmac" else cipher.encrypt(start))[:size]


def verify_kcv(cipher: Cipher, given: bytes, *, place: Place = Place.LEGACY) -> None:
    """Check a key against its check value; `IntegrityError` if it is another key."""
    if not hmac.compare_digest(kcv(cipher, place), given):
        raise IntegrityError("key check value: differs, this is not the key that the sender meant")


def odd_parity(key: bytes) -> bytes:
    """Set the lowest bit of every byte so that the byte has an odd number of ones (FIPS 46-3).

    >>> odd_parity(bytes.fromhex("E10708E3")).hex().upper()
    'E00708E3'
    """
    return bytes(byte ^ (byte.bit_count() + 1 & 1) for byte in key)


def combine(components: list[bytes]) -> bytes:
    r"""Join full-length key components by xor (ANSI X9.24-1: two or three custodians, one part each).

    >>> combine([b"\x0f" * 16, b"\xf0" * 16]).hex()
    'ffffffffffffffffffffffffffffffff'
    """
    if len(components) < 2:
        raise DecodeError(
            "one component, split knowledge needs two or more", fault=Fault.MISSING, path="key components", spec="ANSI X9.24-1"
        )
    return functools.reduce(xor, components)
