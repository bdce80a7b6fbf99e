"""Data object lists: a card's order form (PDOL, CDOL, DDOL, TDOL), which the terminal fills without tags or lengths.

The terminal reads the card's `DOL` and `fill`s it; the card, which knows its own list, `split`s the answer again.

Called by terminals (GPO, GENERATE AC, INTERNAL AUTHENTICATE), by cards and by transaction logs. Source: EMV Book 3 5.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shanfu.emv.tags import TAGS
from shanfu.errors import DecodeError, Fault
from shanfu.iso7816 import tag_bytes, tag_hex

__all__ = ["DOL", "parse_dol"]

MAX_FILLED: Final = 252  # EMV B3 5.4 and 6.5.8.2: what is filled travels in one short command, in template 83 if a PDOL


@dataclass(frozen=True, slots=True)
class DOL:
    """The (tag, length) pairs of a list, in its order."""

    entries: tuple[tuple[int, int], ...] = ()

    def __bytes__(self) -> bytes:
        return b"".join(tag_bytes(tag) + bytes((length,)) for tag, length in self.entries)

    def __contains__(self, tag: int) -> bool:
        return any(entry == tag for entry, _ in self.entries)

    @property
    def total_length(self) -> int:
        """How many bytes a filled list has."""
        return sum(length for _, length in self.entries)

    def fill(self, values: Mapping[int, bytes]) -> bytes:
        r"""Join the values in the list's order, each cut or padded to the length asked; absent ones are zeros (EMV B3 5.4).

        >>> parse_dol(bytes.fromhex("9F7A019F02065F2A02")).fill({0x9F7A: b"\x01", 0x9F02: b"\x01"}).hex()
        '010000000000010000'
        """
        return b"".join(fit(tag, values.get(tag, b""), length) for tag, length in self.entries)

    def split(self, filled: bytes) -> dict[int, bytes]:
        """Cut a filled list into tag → value; raise DecodeError if the total length is wrong (EMV B3 6.5.8)."""
        if len(filled) != self.total_length:
            what = f"{len(filled)} bytes, the list asks for {self.total_length}"
            raise DecodeError(what, fault=Fault.LENGTH, path="DOL data", spec="EMV B3 5.4")
        values, at = {}, 0
        for tag, length in self.entries:
            values[tag] = filled[at : at + length]
            at += length
        return values


def parse_dol(data: bytes) -> DOL:
    """Read a list of tags and lengths; raise DecodeError if it ends inside an entry or asks for too much (EMV B3 5.4).

    >>> parse_dol(bytes.fromhex("9F7A019F02065F2A02DF6901")).total_length
    10
    """
    entries: list[tuple[int, int]] = []
    at = 0
    while at < len(data):
        start, tag = at, data[at]
        at += 1
        if tag & 0x1F == 0x1F:
            while at < len(data) and at - start < 4:
                tag, at = tag << 8 | data[at], at + 1
                if tag & 0x80 == 0:
                    break
        if tag == 0 or (at - start > 1 and tag & 0x80) or (at - start == 1 and tag & 0x1F == 0x1F):
            raise DecodeError("no whole tag", fault=Fault.TRUNCATED, path="DOL", offset=start, spec="EMV B3 5.4")
        if at >= len(data):
            what = "has no length"
            raise DecodeError(what, fault=Fault.TRUNCATED, path=f"DOL/{tag_hex(tag)}", offset=at, spec="EMV B3 5.4")
        entries.append((tag, data[at]))
        at += 1
    dol = DOL(tuple(entries))
    if dol.total_length > MAX_FILLED:
        what = f"asks for {dol.total_length} bytes, at most {MAX_FILLED}"
        raise DecodeError(what, fault=Fault.LIMIT, path="DOL", spec="EMV B3 5.4")
    return dol


def fit(tag: int, value: bytes, length: int) -> bytes:
    """Cut or pad a value: n on the left with zeros, cn on the right with FF, others on the right with zeros (EMV B3 5.4)."""
    row = TAGS.get(tag)
    form = row.format if row else "b"
    if not value or form == "t":  # absent, or a template, which a list must not ask for
        return bytes(length)
    if len(value) == length:
        return value
    if form == "n":
        return value.rjust(length, b"\0")[max(len(value) - length, 0) :]
    return value.ljust(length, b"\xff" if form == "cn" else b"\0")[:length]
