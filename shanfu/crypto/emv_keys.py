"""From the issuer's master key to the key of one card and of one transaction.

A PBOC card's key (UDK) is derived from PAN and PSN, its session key from the ATC. **PBOC session keys are not EMV common
session keys**: the formulas stand here side by side because libraries confuse them. Parity is not adjusted: it changes
no 3DES result, and key check values are then compared over the derived bytes.
Who calls: the HSM (issuer), the card and its personalisation. Sources: EMV Book 2 A1.3 and A1.4.1, JR/T 0025.7 (PBOC
3.0 part 7) 7.1, JR/T 0025.17 for SM4.
"""

import hashlib

from shanfu.crypto.cipher import Cipher
from shanfu.errors import DecodeError, Fault

__all__ = [
    "option_b_block", "pan_block", "pboc_diversifier", "session_key_emv_csk", "session_key_pboc", "udk_option_a",
    "udk_option_b",
]  # fmt: skip


def pan_block(pan: str, psn: str = "00") -> bytes:
    """Return Y: the 16 rightmost digits of PAN‖PSN, zero-filled on the left, as 8 bytes (EMV Book 2 A1.4.1).

    PBOC uses it for every PAN length, also 17 to 19 digits.

    >>> pan_block("6228000100001117", "01").hex()
    '2800010000111701'
    """
    return bytes.fromhex(_digits(pan, psn)[-16:].zfill(16))


def option_b_block(pan: str, psn: str = "00") -> bytes:
    """Return Y by option B: for PANs over 16 digits from the decimalised SHA-1 of PAN‖PSN (EMV Book 2 A1.4.2)."""
    if len(pan) <= 16:
        return pan_block(pan, psn)
    digits = _digits(pan, psn)
    digest = hashlib.sha1(bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2)), usedforsecurity=False).hexdigest()
    decimal = [c for c in digest if c.isdecimal()] + [str(int(c, 16) - 10) for c in digest if not c.isdecimal()]
    return bytes.fromhex("".join(decimal[:16]))


def udk_option_a(imk: Cipher, pan: str, psn: str = "00") -> bytes:
    """Derive the card key: E(IMK, Y) ‖ E(IMK, ~Y), 16 bytes, no parity; with an SM4 master key one block.

    `psn` has 2 digits, "00" for a card without one. Source: EMV Book 2 A1.4.1, JR/T 0025.17 for SM4.

    >>> from shanfu.crypto import Algorithm
    >>> imk = Cipher(Algorithm.TDES, bytes.fromhex("F0C34A8124CEE0A91A0B034AA97D6EAC"))
    >>> udk_option_a(imk, "6228000100001", "01").hex().upper()
    '014D996FCC8F49157DC8B49E3BCDFD99'
    """
    return imk.encrypt(_with_complement(int(_digits(pan, psn)[-16:], 16)))


def udk_option_b(imk: Cipher, pan: str, psn: str = "00") -> bytes:
    """Derive the card key by option B, which PBOC does not use; other schemes do for PANs over 16 digits."""
    return imk.encrypt(_with_complement(int.from_bytes(option_b_block(pan, psn))))


def pboc_diversifier(atc: int) -> bytes:
    """Return 0^6 ‖ ATC ‖ 0^6 ‖ ~ATC, the 16 bytes that the card key encrypts into a session key.

    >>> pboc_diversifier(0x0ADC).hex().upper()
    '0000000000000ADC000000000000F523'
    """
    if 0 <= atc <= 0xFFFF:
        return (atc << 64 | atc ^ 0xFFFF).to_bytes(16)
    raise DecodeError("does not fit 2 bytes", fault=Fault.LENGTH, path="ATC", spec="EMV Book 3 A1")


def session_key_pboc(udk: Cipher, atc: int) -> bytes:
    """Derive the PBOC session key (AC, MAC and ENC alike): one ECB call under the card key, 3DES or SM4.

    >>> from shanfu.crypto import Algorithm
    >>> udk = Cipher(Algorithm.TDES, bytes.fromhex("B8A15DA5F7043C317D9FD8F8DFE2BD75"))
    >>> session_key_pboc(udk, 0x03D3).hex().upper()
    '4A43440B2D932ACDC4E2776ED562EE43'
    """
    return udk.encrypt(pboc_diversifier(atc))


def session_key_emv_csk(udk: Cipher, r: bytes) -> bytes:
    """Derive the EMV common session key; `r` is ATC‖0^6 for cryptograms, the 8-byte AC for scripts (EMV Book 2 A1.3.1).

    >>> from shanfu.crypto import Algorithm
    >>> udk = Cipher(Algorithm.TDES, bytes.fromhex("11223344006677881122334455007788"))
    >>> session_key_emv_csk(udk, bytes.fromhex("0ADC000000000000")).hex().upper()
    '48FE379366541A2D05102B76662E4CDA'
    """
    if len(r) != 8:
        raise DecodeError(f"{len(r)} bytes, it has 8", fault=Fault.LENGTH, path="R", spec="EMV Book 2 A1.3.1")
    return udk.encrypt(r[:2] + b"\xf0" + r[3:] + r[:2] + b"\x0f" + r[3:])


def _digits(pan: str, psn: str) -> str:
    digits = pan + psn
    if not (digits.isascii() and digits.isdecimal() and len(psn) == 2):
        raise DecodeError("PAN and PSN are decimal digits, the PSN two of them", path="PAN/PSN", spec="EMV Book 2 A1.4")
    return digits


def _with_complement(y: int) -> bytes:
    return (y << 64 | y ^ 0xFFFF_FFFF_FFFF_FFFF).to_bytes(16)
