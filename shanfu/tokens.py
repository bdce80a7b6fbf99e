"""Words of tokenisation that every party says: requestor, account reference, token number, key scheme, key index.

A payment token is formed like a PAN, from a range that no PAN is of; a `TRID` names who asked for it, a `PAR` the account
behind it and behind all its other tokens. A token in a phone is paid with under limited-use keys: `KeyScheme` says how they
are derived, the key index which of them made a cryptogram. None of these is a secret but the token number, which is a `PAN`
and shows itself masked.

Sources: EMVCo's public pages on tokenisation (TRID, PAR), ISO/IEC 7812-1 (number and check digit). The index is that of
Visa's public reference designs; UnionPay's own is not public.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from shanfu.errors import DecodeError, Fault
from shanfu.pan import PAN, luhn_digit

__all__ = [
    "INDEX_BYTES", "LAST_COUNTER", "PAR", "TRID", "KeyScheme", "key_index_bytes", "key_index_now", "key_index_text",
    "token_number",
]  # fmt: skip

INDEX_BYTES: Final = 4
LAST_COUNTER: Final = 99  # CC has two digits: a hundred key sets for one token in one hour, and no wrapping round
INDEX_DIGITS: Final = 7  # YHHHHCC

PAR_FORM: Final = re.compile(r"[0-9A-Z]{29}", re.ASCII)
TRID_FORM: Final = re.compile(r"(?!000)[0-9]{11}", re.ASCII)


class KeyScheme(Enum):
    """How the keys of a phone come from the token's key, and how a cryptogram is made with them."""

    SHANFU_1 = "shanfu-1"  # the limited-use key takes the place of the card key; a session key for each ATC (default)
    VISA_LUK = "visa-luk"  # the cryptogram directly under the limited-use key
    SUK = "suk"  # one key for one ATC: the EMV common session key


@dataclass(frozen=True, slots=True)
class TRID:
    """A token requestor id: 11 digits, the first three the code of the token service provider that registered it.

    >>> TRID("90112345678").tsp_code, TRID("90112345678").requestor
    ('901', '12345678')
    """

    digits: str

    def __post_init__(self) -> None:
        if not TRID_FORM.fullmatch(self.digits):
            raise DecodeError("not 11 digits of which the first three name a TSP", path="TRID", spec="EMVCo tokenisation")

    def __str__(self) -> str:
        return self.digits

    @property
    def tsp_code(self) -> str:
        """The three digits of the token service provider."""
        return self.digits[:3]

    @property
    def requestor(self) -> str:
        """The eight digits of the requestor at this provider."""
        return self.digits[3:]


@dataclass(frozen=True, slots=True)
class PAR:
    """A payment account reference: 29 letters and digits, the first four naming the BIN controller; buys nothing.

    >>> PAR("Q1HJZ28RKA1EBL470G9XYG90R5D3E").bin_controller
    'Q1HJ'
    """

    text: str

    def __post_init__(self) -> None:
        if not PAR_FORM.fullmatch(self.text):
            raise DecodeError("not 29 upper-case letters and digits", path="PAR", spec="EMVCo tokenisation")

    @classmethod
    def parse(cls, text: str) -> "PAR":
        """Take a PAR from outside, where some write it in lower case; it is kept in upper case."""
        return cls(text.upper() if text.isascii() else text)

    def __str__(self) -> str:
        return self.text

    @property
    def bin_controller(self) -> str:
        """The four characters of who assigned it."""
        return self.text[:4]


def token_number(prefix: str, serial: int, *, length: int = 16) -> PAN:
    """Return token number `serial` of a range: `prefix`, the serial with leading zeros, the check digit.

    >>> token_number("625094", 1).digits
    '6250940000000019'
    """
    room = length - len(prefix) - 1
    if not 0 <= serial < 10 ** max(room, 0):
        raise DecodeError(f"range {prefix}: {max(room, 0)} digits count its tokens, one more is asked for", fault=Fault.LIMIT)
    payload = f"{prefix}{serial:0{room}d}"
    return PAN(payload + luhn_digit(payload))


def key_index_now(now_ms: int, counter: int) -> str:
    """Return the index of a token's key set number `counter` (from 0) of this hour: YHHHHCC, seven digits.

    Y is the last digit of the year, HHHH the hour of the year from 0001, both UTC; CC the counter. The hundred-and-first
    key set of an hour is refused (`DecodeError`): an index that comes again would be a key that comes again.

    >>> key_index_now(1_735_689_600_000, 0)  # 2025-01-01T00:00:00Z
    '5000100'
    """
    if not 0 <= counter <= LAST_COUNTER:
        raise DecodeError(f"counter {counter}, an hour has 0 to {LAST_COUNTER}", fault=Fault.LIMIT, path="key index")
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    hour = 24 * (now.timetuple().tm_yday - 1) + now.hour + 1
    return f"{now.year % 10}{hour:04d}{counter:02d}"


def key_index_bytes(index: str) -> bytes:
    """Return an index as it stands in messages and derivations' diversifiers: four BCD bytes, a zero in front.

    >>> key_index_bytes("5000100").hex()
    '05000100'
    """
    # Vendors' tools let a year of two digits through (YYHHHHCC); the keys of such an index are others, so it is refused
    if not (len(index) == INDEX_DIGITS and index.isascii() and index.isdecimal()):
        raise DecodeError("not YHHHHCC, seven digits", fault=Fault.FORMAT, path="key index")
    return bytes.fromhex("0" + index)


def key_index_text(packed: bytes) -> str:
    """Read an index from its four BCD bytes; another form is a `DecodeError`.

    >>> key_index_text(bytes.fromhex("05000100"))
    '5000100'
    """
    text = packed.hex()
    if len(packed) != INDEX_BYTES or text[0] != "0" or not text.isdecimal():
        raise DecodeError("not four BCD bytes with a zero in front", fault=Fault.FORMAT, path="key index")
    return text[1:]
