"""Which cryptogram a card gave: approved offline (TC), wants the issuer (ARQC), declined (AAC).

In the contact flow the card says so in 9F27. In qPBOC 9F27 is missing from the answer: the decision stands in byte 2 of
the CVR, which is byte 5 of 9F10, and the terminal makes 9F27 from it for field 55.

Called by kernels, cards and issuers. Sources: EMV Book 3 6.5.5.4, JR/T 0025.5, JR/T 0025.12.
"""

from dataclasses import dataclass
from enum import IntEnum

from shanfu.errors import DecodeError, Fault

__all__ = ["CryptogramInformation", "CryptogramReason", "CryptogramType"]


class CryptogramType(IntEnum):
    """The cryptogram types; the value is the byte of 9F27 that says so (EMV B3 table 15)."""

    AAC = 0x00
    TC = 0x40
    ARQC = 0x80

    @classmethod
    def of_cvr(cls, cvr: bytes) -> "CryptogramType":
        """Read the first decision from the CVR, byte 2 b6-b5; 11 is taken for AAC (JR/T 0025.5).

        >>> CryptogramType.of_cvr(bytes.fromhex("03A00000")).name
        'ARQC'
        """
        return _BY_PAIR[cvr[1] >> 4 & 3]

    @classmethod
    def of_cid(cls, cid: int) -> "CryptogramType":
        """Read the type from 9F27, b8-b7; 11 (AAR, unused) is taken for AAC (EMV B3 table 15)."""
        return _BY_CID[cid >> 6]

    @property
    def cid(self) -> bytes:
        """The value of 9F27, as a terminal synthesises it in qPBOC (JR/T 0025.12)."""
        return bytes((self.value,))


class CryptogramReason(IntEnum):
    """Why an advice is asked or a service refused: 9F27 b3-b1 (EMV B3 table 15)."""

    NONE = 0
    SERVICE_NOT_ALLOWED = 1
    PIN_TRIES_EXCEEDED = 2
    ISSUER_AUTHENTICATION_FAILED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CryptogramInformation:
    """Tag 9F27 whole: the type, whether the card asks for an advice (b4), and the reason (EMV B3 table 15)."""

    kind: CryptogramType
    advice: bool = False
    reason: int = CryptogramReason.NONE

    @classmethod
    def parse(cls, raw: bytes) -> "CryptogramInformation":
        r"""Read the byte; raise DecodeError on another length.

        >>> CryptogramInformation.parse(b"\x0a").reason
        2
        """
        if len(raw) != 1:
            raise DecodeError(f"{len(raw)} bytes, must be 1", fault=Fault.LENGTH, path="9F27", spec="EMV B3 A1")
        return cls(kind=CryptogramType.of_cid(raw[0]), advice=bool(raw[0] & 8), reason=raw[0] & 7)

    def __bytes__(self) -> bytes:
        return bytes((self.kind | self.advice << 3 | self.reason,))


_BY_PAIR = (CryptogramType.AAC, CryptogramType.TC, CryptogramType.ARQC, CryptogramType.AAC)
_BY_CID = _BY_PAIR  # the same code in the two highest bits
