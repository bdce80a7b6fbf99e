"""Issuer application data, 9F10: what the card tells its issuer besides the cryptogram.

``07 | DKI | CVN | CVR (4) | algorithm | [length | issuer-defined data]``. DKI names the generation of the issuer's keys, CVN
the cryptogram's version, the algorithm byte the cipher (01 3DES, 04 SM4). Issuer-defined data of the form that begins 01
in ten bytes hold the e-cash balance and a MAC of their own; in a phone's they say which limited-use key it used
(`KEY_INDEX_PLACE`).

Called by cards, phones, terminals (which cryptogram is it), issuers and token services. Sources: JR/T 0025.5, JR/T 0025.13.
"""

from dataclasses import dataclass
from typing import Final

from shanfu.emv.bitfields import CVR
from shanfu.emv.cid import CryptogramType
from shanfu.errors import DecodeError, Fault
from shanfu.tokens import INDEX_BYTES, key_index_bytes, key_index_text

__all__ = ["ALGORITHM_3DES", "ALGORITHM_SM4", "KEY_INDEX_PLACE", "BalanceData", "IssuerApplicationData", "KeyIndexData"]

ALGORITHM_3DES: Final = 0x01
ALGORITHM_SM4: Final = 0x04
SPEC: Final = "JR/T 0025.5"

# The form of issuer-defined data in which a phone names the index of its key set: its first byte, the bytes in all.
# Private to this project: the layout of UnionPay's own phones is not public, and nothing is claimed about its form A1.
KEY_INDEX_PLACE: Final = (0xA1, 1 + INDEX_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceData:
    """Issuer-defined data `01 | amount n10 | MAC (4)`: the e-cash balance in minor units."""

    amount_minor: int
    mac: bytes

    def __bytes__(self) -> bytes:
        return b"\x01" + bytes.fromhex(f"{self.amount_minor:010d}") + self.mac


@dataclass(frozen=True, slots=True)
class KeyIndexData:
    """Issuer-defined data `A1 | index`: which key set of a phone made the cryptogram, YHHHHCC as four BCD bytes.

    >>> bytes(KeyIndexData("5000100")).hex().upper()
    'A105000100'
    """

    index: str

    def __bytes__(self) -> bytes:
        return bytes((KEY_INDEX_PLACE[0],)) + key_index_bytes(self.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerApplicationData:
    """The parts of a PBOC 9F10. `cvr` has four bytes, the first is their length 03; `idd` None means no length byte either."""

    dki: int
    cvn: int
    cvr: bytes
    algorithm: int = ALGORITHM_3DES
    idd: bytes | None = None

    @classmethod
    def parse(cls, data: bytes) -> "IssuerApplicationData":
        """Read 9F10; raise DecodeError if a length inside is wrong (JR/T 0025.5).

        >>> iad = IssuerApplicationData.parse(bytes.fromhex("07010103A00000010A010000038787868FD1FC"))
        >>> iad.cvn, iad.cryptogram_type.name, iad.balance.amount_minor
        (1, 'ARQC', 38787)
        """
        size = len(data)
        if size < 8:
            raise _wrong(f"{size} bytes, at least 8", Fault.TRUNCATED, size)
        if size > 32:
            raise _wrong(f"{size} bytes, at most 32", Fault.LENGTH, 32)
        if data[0] != 7:
            raise _wrong(f"length {data[0]:02X}, must be 07", Fault.LENGTH, 0)
        if data[3] != 3:
            raise _wrong(f"CVR length {data[3]:02X}, must be 03", Fault.LENGTH, 3)
        if size > 8 and data[8] != size - 9:
            fault = Fault.TRUNCATED if data[8] > size - 9 else Fault.TRAILING
            raise _wrong(f"issuer-defined data of {data[8]} bytes, {size - 9} are there", fault, 8)
        idd = data[9:] if size > 8 else None
        return cls(dki=data[1], cvn=data[2], cvr=data[3:7], algorithm=data[7], idd=idd)

    def __bytes__(self) -> bytes:
        tail = b"" if self.idd is None else bytes((len(self.idd),)) + self.idd
        return bytes((7, self.dki, self.cvn)) + self.cvr + bytes((self.algorithm,)) + tail

    @property
    def flags(self) -> CVR:
        """The CVR as a bit field."""
        return CVR.parse(self.cvr)

    @property
    def cryptogram_type(self) -> CryptogramType:
        """Which cryptogram the card gave: byte 2 b6-b5 of the CVR."""
        return CryptogramType.of_cvr(self.cvr)

    @property
    def balance(self) -> BalanceData | None:
        """The e-cash balance, if the issuer-defined data have that form: ten bytes that begin 01 (JR/T 0025.13)."""
        if self.idd is None or len(self.idd) != 10 or self.idd[0] != 1:
            return None
        digits = self.idd[1:6].hex()
        if not digits.isdigit():
            raise _wrong("balance is not BCD", Fault.FORMAT, 10)
        return BalanceData(amount_minor=int(digits), mac=self.idd[6:])

    @property
    def key_index(self) -> str | None:
        """The key-set index of a phone, YHHHHCC; None where none can be read, for then no key set is named.

        >>> IssuerApplicationData.parse(bytes.fromhex("0701010390000001" "05A105000100")).key_index
        '5000100'
        """
        form, size = KEY_INDEX_PLACE
        if self.idd is None or len(self.idd) != size or self.idd[0] != form:
            return None
        try:
            return key_index_text(self.idd[1:])
        except DecodeError:
            return None


def _wrong(what: str, fault: Fault, offset: int) -> DecodeError:
    return DecodeError(what, fault=fault, path="9F10", offset=offset, spec=SPEC)
