"""Track 2 equivalent data: what tag 57 and field 35 hold: PAN, expiry, service code, discretionary data.

Binary in tag 57 (nibble D as separator, an F to fill the last byte), text in field 35 and on the stripe (`=` or `D`).

Called by terminals (field 35, swipe rule), issuers and personalisation. Sources: ISO/IEC 7813 7, EMV Book 3 Annex A (57).
"""

import re
from dataclasses import dataclass, field
from typing import Final

from shanfu.errors import DecodeError
from shanfu.pan import PAN

__all__ = ["Track2"]

_FORM: Final = re.compile(r"([0-9]{12,19})[=D]([0-9]{4})([0-9]{3})([0-9]*)", re.ASCII)
MAX_CHARACTERS: Final = 37  # ISO/IEC 7813 7.1: 40 with sentinels and check character


@dataclass(frozen=True, slots=True, kw_only=True)
class Track2:
    """The parts of track 2; expiry is YYMM. Shows nothing but the masked PAN."""

    pan: PAN
    expiry: str = field(repr=False)
    service_code: str = field(repr=False)
    discretionary: str = field(default="", repr=False)

    @classmethod
    def parse(cls, data: bytes) -> "Track2":
        """Read tag 57; raise DecodeError, which shows none of it (EMV B3 A1).

        >>> Track2.parse(bytes.fromhex("6228000100001117D301220101234567899F")).service_code
        '201'
        """
        return cls.from_text(data.hex().upper().removesuffix("F"))

    @classmethod
    def from_text(cls, text: str) -> "Track2":
        """Read field 35 or a swiped track without sentinels; the separator is = or D (ISO/IEC 7813 7.1)."""
        match = _FORM.fullmatch(text)
        if match is None or len(text) > MAX_CHARACTERS:
            what = f"{len(text)} characters are no PAN, separator, expiry and service code"
            raise DecodeError(what, path="57", spec="ISO/IEC 7813 7.1")
        pan, expiry, service_code, discretionary = match.groups()
        return cls(pan=PAN(pan), expiry=expiry, service_code=service_code, discretionary=discretionary)

    def text(self, separator: str = "=") -> str:
        """Write the track as text, the inverse of `from_text`."""
        return f"{self.pan.digits}{separator}{self.expiry}{self.service_code}{self.discretionary}"

    def __bytes__(self) -> bytes:
        digits = self.text("D")
        return bytes.fromhex(digits + "F" * (len(digits) % 2))

    @property
    def has_chip(self) -> bool:
        """Whether the service code says that the card has a chip: first digit 2 or 6 (ISO/IEC 7813 7.3)."""
        return self.service_code[0] in "26"
