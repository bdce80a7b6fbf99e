"""The primary account number: a value that never shows itself.

`str()` and `repr()` are masked (first six, last four), so a PAN that strays into a log or an error does no harm; the
digits leave only through `.digits`, which is easy to search for. A payment token is formed like a PAN and is one here.
"""

from collections.abc import Iterable

from shanfu.errors import DecodeError, Fault

__all__ = ["PAN", "Ranges", "luhn_digit", "mask_pan", "overwrite"]

Ranges = tuple[tuple[int, int], ...]  # (start, end) of bytes


def luhn_digit(payload: str) -> str:
    """Return the check digit of `payload` (digits without it), ISO/IEC 7812-1 Annex B.

    >>> luhn_digit("620901000000001")
    '3'
    """
    doubled = (int(d) * (2 - i % 2) for i, d in enumerate(reversed(payload)))
    return str(-sum(d - 9 if d > 9 else d for d in doubled) % 10)


def mask_pan(digits: str) -> str:
    """Show at most the first six and last four digits (PCI DSS 3.4).

    >>> mask_pan("6228480000000005")
    '622848******0005'
    """
    if len(digits) < 12:
        return "*" * len(digits)
    return f"{digits[:6]}{'*' * (len(digits) - 10)}{digits[-4:]}"


def overwrite(raw: bytes, ranges: Iterable[tuple[int, int]]) -> tuple[bytes, Ranges]:
    """Return bytes with these ranges overwritten by `*`, their length unchanged, and the ranges that are not empty.

    >>> overwrite(b"6228480000000005", [(6, 12), (16, 16)])
    (b'622848******0005', ((6, 12),))
    """
    shown, hidden = bytearray(raw), tuple((start, end) for start, end in ranges if start < end)
    for start, end in hidden:
        shown[start:end] = b"*" * (end - start)
    return bytes(shown), hidden


class PAN:
    """A card number of 12 to 19 digits (ISO/IEC 7812-1); equal and hashable by its digits, masked when shown."""

    __slots__ = ("digits",)

    def __init__(self, digits: str) -> None:
        if not (digits.isascii() and digits.isdigit() and 12 <= len(digits) <= 19):
            what = f"{len(digits)} characters, a PAN has 12 to 19 digits"
            raise DecodeError(what, fault=Fault.FORMAT, path="PAN", spec="ISO/IEC 7812-1")
        self.digits = digits

    @property
    def last4(self) -> str:
        """The last four digits, which receipts show."""
        return self.digits[-4:]

    @property
    def luhn_ok(self) -> bool:
        """Whether the check digit is right; laboratory cards need not have a right one."""
        return luhn_digit(self.digits[:-1]) == self.digits[-1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PAN) and other.digits == self.digits

    def __hash__(self) -> int:
        return hash(self.digits)

    def __str__(self) -> str:
        return mask_pan(self.digits)

    def __repr__(self) -> str:
        return f"PAN({mask_pan(self.digits)})"
