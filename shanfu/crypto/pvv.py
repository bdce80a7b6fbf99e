"""PIN verification values: how a bank checks a PIN that it does not keep.

Visa PVV and IBM 3624 (natural PIN and offset). Each is a few digits made from the PIN (or the account) under the PIN
verification key; the caller compares with `verify_digits`. Who calls: the HSM. Sources: Visa Payment Technology
Standards Manual (PVV), IBM CCA, "PIN formats and algorithms" (3624).
"""

import hmac
import string

from shanfu.crypto.cipher import Cipher
from shanfu.crypto.pin import PIN
from shanfu.errors import DecodeError, Fault, IntegrityError

__all__ = ["check_dec_table", "decimalise", "ibm3624_natural", "ibm3624_offset", "ibm3624_pin", "verify_digits", "visa_pvv"]


def decimalise(block: bytes, count: int) -> str:
    """Take `count` digits from a block: decimal nibbles left to right, then A-F minus 10 (Visa PVV and CVV).

    >>> decimalise(bytes.fromhex("0FAB65CDEF1234AB"), 10)
    '0651234501'
    """
    text = block.hex()
    digits = [c for c in text if c in string.digits] + [str(int(c, 16) - 10) for c in text if c not in string.digits]
    return "".join(digits[:count])


def visa_pvv(pvk: Cipher, pin: PIN, *, pan: str, pvki: int) -> str:
    """Return the 4-digit PVV over 11 PAN digits, the key index (0-9) and the 4 leftmost PIN digits.

    >>> from shanfu.crypto import Algorithm
    >>> pvk = Cipher(Algorithm.TDES, bytes.fromhex("0798CEE35B75AB2ABF1C4C3B616BB99E"))
    >>> visa_pvv(pvk, PIN("1406"), pan="8339243588266187", pvki=6)
    '3762'
    """
    if not (pan.isascii() and pan.isdecimal() and len(pan) >= 12 and 0 <= pvki <= 9):
        raise DecodeError("PAN of 12 or more digits and PVKI 0-9 are needed", path="PVV", spec="Visa PTSM")
    return decimalise(pvk.encrypt(bytes.fromhex(f"{pan[-12:-1]}{pvki}{pin.digits[:4]}")), 4)


def check_dec_table(table: str) -> None:
    """Refuse a decimalisation table that leaks PINs: 16 digits, at least 8 different, none more than four times.

    Unverified as a rule of a standard: it is what payment HSMs enforce against chosen tables.
    """
    if not (len(table) == 16 and table.isascii() and table.isdecimal()):
        raise DecodeError("not 16 decimal digits", fault=Fault.LENGTH, path="decimalisation table", spec="IBM 3624")
    if len(set(table)) < 8 or max(table.count(d) for d in set(table)) > 4:
        raise DecodeError("fewer than 8 different digits, or one more than four times", path="decimalisation table")


def ibm3624_natural(pvk: Cipher, *, validation_data: str, table: str, length: int) -> str:
    """Return the natural PIN: E(PVK, validation data) through the table, leftmost `length` digits.

    `validation_data` is 4 to 16 hex digits, filled with F on the right.
    """
    check_dec_table(table)
    if not (4 <= len(validation_data) <= 16 and set(validation_data.upper()) <= set(string.hexdigits.upper())):
        raise DecodeError("not 4 to 16 hex digits", path="validation data", spec="IBM 3624")
    if not 4 <= length <= 12:
        raise DecodeError(f"{length}, a PIN has 4 to 12 digits", fault=Fault.LENGTH, path="PIN length", spec="ISO 9564-1 8.1")
    cipher = pvk.encrypt(bytes.fromhex(validation_data.ljust(16, "F")))
    return "".join(table[int(nibble, 16)] for nibble in cipher.hex()[:length])


def ibm3624_offset(natural: str, pin: PIN) -> str:
    """Return PIN minus natural PIN, digit by digit modulo 10.

    >>> ibm3624_offset("4524", PIN("4525"))
    '0001'
    """
    return _digitwise(pin.digits, natural, -1)


def ibm3624_pin(natural: str, offset: str) -> PIN:
    """Return natural PIN plus offset, digit by digit modulo 10: the way back."""
    return PIN(_digitwise(natural, offset, 1))


def _digitwise(left: str, right: str, sign: int) -> str:
    if len(left) != len(right):
        raise DecodeError("PIN, natural PIN and offset have one length", fault=Fault.LENGTH, path="offset", spec="IBM 3624")
    return "".join(str((int(a) + sign * int(b)) % 10) for a, b in zip(left, right, strict=True))


def verify_digits(expected: str, given: str, *, what: str) -> None:
    """Compare PVV, offset or card code in constant time; `IntegrityError` when they differ."""
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise IntegrityError(f"{what}: does not match")
