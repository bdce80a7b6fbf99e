"""Structures inside a field: fixed positions with an open end, and lists of usage, length, value.

Many private fields are a row of fixed positions that a sender may cut anywhere at the right, and may go on behind what
the table knows. `Positions` reads such a field into a dataclass whose parts say their width, keeps what is behind in
`tail`, and writes it back as it was. Others are lists: usage (2 characters), length (3 digits), value, or tag (2) and
length (3). `parse_list` and `encode_list` do both; what cannot be taken apart is refused, never guessed.

Used by the `de*.py` modules beside this. Sources: the layouts are named there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

from shanfu.errors import DecodeError, Fault, ProtocolError

__all__ = ["Positions", "encode_list", "parse_list", "part"]


def part(width: int) -> Any:  # the type is the attribute's annotation, as with dataclasses.field
    """One part of `width` characters; absent parts are empty."""
    return field(default="", metadata={"width": width})


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Base of fixed-position fields: subclasses declare `name: str = part(width)` in wire order."""

    PATH: ClassVar[str] = ""

    tail: str = ""  # what follows the known parts, kept as it came

    @classmethod
    def _widths(cls) -> list[tuple[str, int]]:
        return [(f.name, f.metadata["width"]) for f in fields(cls) if f.metadata]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Cut a field's text into its parts; a part that is cut short is DecodeError (truncated)."""
        values, at = {}, 0
        for name, width in cls._widths():
            piece = text[at : at + width]
            if not piece:
                break
            if len(piece) < width:
                what = f"{name} has {len(piece)} of {width} characters"
                raise DecodeError(what, fault=Fault.TRUNCATED, path=cls.PATH, offset=at)
            values[name] = piece
            at += width
        return cls(**values, tail=text[at:])

    def encode(self) -> str:
        """Write the parts as far as they are present; ProtocolError for a gap or a wrong width."""
        text, open_part = "", ""
        for name, width in self._widths():
            value = getattr(self, name)
            if not value:
                open_part = open_part or name
                continue
            if open_part:
                raise ProtocolError(f"{self.PATH}: {name} is given, {open_part} before it is not", by="us")
            if len(value) != width:
                raise ProtocolError(f"{self.PATH}: {name} has {len(value)} characters, {width} wanted", by="us")
            text += value
        if self.tail and open_part:
            raise ProtocolError(f"{self.PATH}: there is a tail, {open_part} before it is not given", by="us")
        return text + self.tail


def parse_list(raw: bytes, *, path: str) -> list[tuple[str, bytes]]:
    """Read a list of usage (2 characters), length (3 digits), value; DecodeError names the place.

    >>> parse_list(b"PR003abcb", path="DE56")
    Traceback (most recent call last):
    shanfu.errors.DecodeError: DE56/b: length is not three digits, or the value is not all there at byte 8
    >>> parse_list(b"PR003abcXX001d", path="DE56")
    [('PR', b'abc'), ('XX', b'd')]
    """
    items: list[tuple[str, bytes]] = []
    at = 0
    while at < len(raw):
        usage, digits = raw[at : at + 2].decode("latin-1"), raw[at + 2 : at + 5]
        good = len(digits) == 3 and digits.isdigit()
        end = at + 5 + (int(digits) if good else 0)
        if not good or end > len(raw):
            what = "length is not three digits, or the value is not all there"
            name = usage if usage.isascii() and usage.isprintable() else f"item {len(items) + 1}"
            raise DecodeError(what, fault=Fault.TRUNCATED if good else Fault.FORMAT, path=f"{path}/{name}", offset=at)
        items.append((usage, raw[at + 5 : end]))
        at = end
    return items


def encode_list(items: Iterable[tuple[str, bytes]], *, path: str) -> bytes:
    """Write a list of usage, length, value.

    >>> encode_list([("PR", b"abc")], path="DE56")
    b'PR003abc'
    """
    parts = []
    for usage, value in items:
        if len(usage) != 2 or not usage.isascii() or len(value) > 999:
            raise ProtocolError(f"{path}: usage of {len(usage)} characters with {len(value)} bytes", by="us")
        parts.append(b"%b%03d%b" % (usage.encode("latin-1"), len(value), value))
    return b"".join(parts)
