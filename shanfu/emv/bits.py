"""Bit fields in the standards' own coordinates: byte 1 is the leftmost, bit 8 the highest.

A field is declared as a table of `IntFlag` members (see `bitfields.py`); `parse` and `bytes()` are exact inverses, unknown
bits are kept, and `explain` says each set bit in English or Chinese, unknown ones included.

Hosts that test one bit of raw bytes use `flag.is_in(raw)`, which builds nothing.
Sources: EMV Book 3 Annex C for the convention.
"""

from enum import KEEP, IntFlag
from typing import Literal, Protocol, Self, TypeAlias

from shanfu.errors import DecodeError, Fault

__all__ = ["Bit", "BitField", "Language", "bits"]

Language: TypeAlias = Literal["en", "zh"]


class Bit(int):
    """One bit's value, with its words and the width in bytes of the field it belongs to."""

    width: int
    en: str
    zh: str


class _Bits(Protocol):
    def __call__(self, byte: int, bit: int, en: str, zh: str) -> Bit: ...


def bits(*, width: int) -> _Bits:
    """Return the function that turns (byte 1..width, bit 8..1) and the words for it into the bit's value."""

    def bit_at(byte: int, bit: int, en: str, zh: str) -> Bit:
        assert 1 <= byte <= width, f"byte {byte} of {width}"
        assert 1 <= bit <= 8, f"bit {bit} of 8"
        value = Bit(1 << (8 * (width - byte) + bit - 1))
        value.width, value.en, value.zh = width, en, zh
        return value

    return bit_at


class BitField(IntFlag, boundary=KEEP):
    """A bit field of fixed width; subclasses hold nothing but their table."""

    width: int
    en: str
    zh: str

    def __new__(cls, bit: Bit) -> Self:
        """Build a row of the table."""
        member = int.__new__(cls, bit)
        member._value_ = int(bit)
        member.width, member.en, member.zh = bit.width, bit.en, bit.zh
        return member

    @classmethod
    def _missing_(cls, value: object) -> Self:
        found: Self = super()._missing_(value)
        cls._value2member_map_.pop(value, None)  # enum would remember every value ever seen; peers choose the values
        return found

    @classmethod
    def size(cls) -> int:
        """How many bytes the field has."""
        return next(iter(cls)).width

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the field; raise DecodeError if the length is not its own."""
        if len(raw) != cls.size():
            what = f"{len(raw)} bytes, must be {cls.size()}"
            raise DecodeError(what, fault=Fault.LENGTH, path=cls.__name__, spec="EMV B3 A1")
        return cls(int.from_bytes(raw))  # type: ignore[arg-type]  # a value here, a Bit only while the table is built

    def __bytes__(self) -> bytes:
        return int(self).to_bytes(self.size())

    def is_in(self, raw: bytes) -> bool:
        """Whether all bits of this flag are set in the field's bytes."""
        value = self._value_
        return int.from_bytes(raw) & value == value

    def explain(self, lang: Language = "en") -> list[str]:
        """Say each set bit, from the highest to the lowest, as "byte 1 bit 8: words"; unknown bits as not defined."""
        return [self._say(place, lang) for place in range(8 * self.size() - 1, -1, -1) if self._told(place)]

    def _told(self, place: int) -> bool:
        return bool(int(self) >> place & 1)

    def _say(self, place: int, lang: Language) -> str:
        byte, bit = self.size() - place // 8, place % 8 + 1
        member = type(self)._value2member_map_.get(1 << place)
        if lang == "zh":
            return f"字节{byte}位{bit}：{member.zh if isinstance(member, BitField) else '未定义'}"
        return f"byte {byte} bit {bit}: {member.en if isinstance(member, BitField) else 'not defined'}"
