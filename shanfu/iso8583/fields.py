"""One data element on the wire: an encoding, a length prefix and a size, composed freely.

A dialect is a table of these. What differs between two hosts that both "speak ISO 8583" is nearly always one of four
knobs, so they are independent here: how the characters of the value become bytes (BCD with the odd digit filled left or
right, ASCII, GBK text, track data, raw bytes), how the length is written (not at all, two or three digits in BCD or
ASCII), what the length counts (digits or bytes), and what happens to a value over the limit (the terminal dialect
refuses it, interbank traffic is known to break its published limits and is only warned about).

This module is the careful way: one element at a time, precise errors. `plan.py` compiles the same table into straight
code for messages in canonical form; anything else comes back here. Sources: ISO 8583:1987 4.3–4.4 for the formats; the
alignment and filler rules of terminals from public implementations (docs/sources.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from shanfu.errors import DecodeError, Fault, ProtocolError

__all__ = ["FIXED", "Encoding", "Field", "Prefix", "Reading", "Value"]

Value = str | bytes


class Encoding(Enum):
    """How the characters of a value become bytes."""

    BCD_RIGHT = auto()  # two digits a byte; an odd count has a filler nibble in front
    BCD_LEFT = auto()  # two digits a byte; an odd count has a filler nibble behind
    TRACK_BCD = auto()  # as BCD_LEFT, with the field separator as nibble D
    DIGITS = auto()  # ASCII digits
    TRACK = auto()  # ASCII track data, separator = or D
    ASCII = auto()  # printable ASCII (ISO 8583 an, ans)
    TEXT = auto()  # text in GBK, of which ASCII is a part
    BYTES = auto()  # raw


IN_NIBBLES = frozenset({Encoding.BCD_RIGHT, Encoding.BCD_LEFT, Encoding.TRACK_BCD})
NUMERIC = frozenset({Encoding.BCD_RIGHT, Encoding.BCD_LEFT, Encoding.DIGITS})
FILLERS = "0F"  # written as 0; some terminal firmware writes F


@dataclass(frozen=True, slots=True)
class Prefix:
    """The length in front of a variable element; `digits` 0 means a fixed element without one."""

    digits: int
    bcd: bool = False
    counts_bytes: bool = False  # for BCD elements whose length counts bytes instead of digits

    @property
    def width(self) -> int:
        """Bytes on the wire."""
        return (self.digits + 1) // 2 if self.bcd else self.digits


FIXED = Prefix(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one careful read gave: the value, where the next element starts, and what was odd about the bytes."""

    value: Value
    start: int
    end: int
    canonical: bool = True  # False: our own encoder would have written other bytes
    encrypted: bool = False  # track data with nibbles that clear track data cannot have
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One row of a dialect: number, names, format. `size` counts what the length prefix counts (digits or bytes)."""

    number: int
    encoding: Encoding
    prefix: Prefix
    size: int
    name: str
    name_zh: str
    strict: bool = True  # a value over `size` is refused on decode, not only warned about
    secret: bool = False  # never shown in errors or descriptions

    @property
    def path(self) -> str:
        """The name that errors and descriptions use."""
        return f"DE{self.number}"

    @property
    def format(self) -> str:
        """The format as tables of the trade write it: n12, z..37, b8, ans..100."""
        kind = {Encoding.TRACK: "z", Encoding.TRACK_BCD: "z", Encoding.BYTES: "b", Encoding.ASCII: "an"}.get(self.encoding)
        kind = kind or ("n" if self.encoding in NUMERIC else "ans")
        return f"{kind}{'..' if self.prefix.digits else ''}{self.size}"

    @property
    def reach(self) -> int:
        """The most bytes that the element can cover, its prefix included."""
        return self.prefix.width + self.width(max(self.size, 10**self.prefix.digits - 1 if not self.strict else 0))

    def width(self, count: int) -> int:
        """Bytes that `count` units (of the length prefix) take."""
        return (count + 1) // 2 if self.encoding in IN_NIBBLES and not self.prefix.counts_bytes else count

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, body: bytes, at: int) -> Reading:
        """Read the element that starts at byte `at`; DecodeError (offset within `body`) says what is wrong with it."""
        count, warning = self._count(body, at)
        start = at + self.prefix.width
        end = start + self.width(count)
        if end > len(body):
            raise self.fault(f"{end - start} bytes announced, {len(body) - start} left", Fault.TRUNCATED, start)
        raw = body[start:end]
        digits = 2 * count if self.prefix.counts_bytes else count
        value, canonical, odd = UNPACK[self.encoding](_Element(self, raw, digits, start))
        return Reading(
            value=value,
            start=start,
            end=end,
            canonical=canonical and not warning,
            encrypted=odd == ENCRYPTED,
            warning=warning or (odd if odd != ENCRYPTED else ""),
        )

    def _count(self, body: bytes, at: int) -> tuple[int, str]:
        if not self.prefix.digits:
            return self.size, ""
        raw = body[at : at + self.prefix.width]
        if len(raw) < self.prefix.width:
            raise self.fault("the message ends inside the length", Fault.TRUNCATED, at)
        text = raw.hex() if self.prefix.bcd else raw.decode("latin-1")
        if not (text.isascii() and text.isdecimal()) or int(text) >= 10**self.prefix.digits:
            kind = "BCD" if self.prefix.bcd else "ASCII digits"
            raise self.fault(f"the length is {raw.hex().upper()}, not {kind}", Fault.FORMAT, at)
        count = int(text)
        if count <= self.size:
            return count, ""
        over = f"length {count}, {self.format} has at most {self.size}"
        if self.strict:
            raise self.fault(over, Fault.LENGTH, at)
        return count, f"{self.path}: {over}"

    def fault(self, what: str, fault: Fault, offset: int) -> DecodeError:
        """The error for bytes that are not this element; `offset` counts within the message."""
        return DecodeError(what, fault=fault, path=self.path, offset=offset, spec="ISO 8583:1987 4.4")

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, value: Value) -> bytes:
        """Write the element with its prefix; ProtocolError when the value is not of the element's format."""
        raw, count = PACK[self.encoding](self, value)
        if not self.prefix.digits:
            if count != self.size:
                raise self.refusal(f"{count} {self._unit}, {self.format} has {self.size}")
            return raw
        if count > self.size:
            raise self.refusal(f"{count} {self._unit}, {self.format} has at most {self.size}")
        length = f"{count:0{self.prefix.digits}d}"
        return (bytes.fromhex(length.zfill(2 * self.prefix.width)) if self.prefix.bcd else length.encode()) + raw

    def refusal(self, what: str) -> ProtocolError:
        """The error for a value that we were asked to write and that does not fit."""
        return ProtocolError(f"{self.path}: {what} (ISO 8583:1987 4.4)", by="us")

    @property
    def _unit(self) -> str:
        return "digits" if self.encoding in IN_NIBBLES or self.encoding in NUMERIC else "bytes"


# -- unpacking ---------------------------------------------------------------------------------------------------

ENCRYPTED = "encrypted"
CLEAR_TRACK = frozenset("0123456789=D")
Unpacked = tuple[Value, bool, str]  # the value, whether its bytes are canonical, a remark


class _Element(NamedTuple):
    """The bytes of one element, cut out but not yet understood."""

    field: Field
    raw: bytes
    digits: int
    at: int

    def refusal(self, what: str) -> DecodeError:
        return self.field.fault(what, Fault.FORMAT, self.at)


def _nibbles(e: _Element) -> tuple[str, bool]:
    text = e.raw.hex().upper()
    if not e.digits & 1 or e.field.prefix.counts_bytes:
        return text, True
    front = e.field.encoding is Encoding.BCD_RIGHT
    filler, text = (text[0], text[1:]) if front else (text[-1], text[:-1])
    if filler not in FILLERS:
        raise e.refusal(f"the filler nibble {'in front' if front else 'behind'} is {filler}, not 0")
    return text, filler == "0"


def _unpack_bcd(e: _Element) -> Unpacked:
    text, canonical = _nibbles(e)
    if text and not text.isdecimal():
        raise e.refusal("not BCD digits")
    return text, canonical, ""


def _unpack_track_bcd(e: _Element) -> Unpacked:
    text, canonical = _nibbles(e)
    return text, canonical, "" if CLEAR_TRACK.issuperset(text) else ENCRYPTED


def _unpack_digits(e: _Element) -> Unpacked:
    if e.raw and not e.raw.isdigit():
        raise e.refusal("not ASCII digits")
    return e.raw.decode("ascii"), True, ""


def _printable(e: _Element) -> str:
    text = e.raw.decode("latin-1")
    if not text.isascii() or not text.isprintable():
        raise e.refusal("not printable ASCII")
    return text


def _unpack_track(e: _Element) -> Unpacked:
    text = _printable(e)
    return text, True, "" if CLEAR_TRACK.issuperset(text) else ENCRYPTED


def _unpack_ascii(e: _Element) -> Unpacked:
    return _printable(e), True, ""


def _unpack_text(e: _Element) -> Unpacked:
    try:
        text = e.raw.decode("gbk")
    except UnicodeDecodeError:
        return e.raw.decode("gbk", "replace"), False, f"{e.field.path}: not GBK text"
    return text, text.encode("gbk") == e.raw, ""


def _unpack_bytes(e: _Element) -> Unpacked:
    return e.raw, True, ""


# -- packing: (field, value) -> bytes, count in units of the prefix -----------------------------------------------

Packed = tuple[bytes, int]


def _text_of(field: Field, value: Value) -> str:
    if not isinstance(value, str):
        raise field.refusal(f"{type(value).__name__} given, {field.format} takes text")
    return value


def _pack_nibbles(field: Field, text: str, alphabet: str) -> Packed:
    if not text.isascii() or text.strip(alphabet):
        raise field.refusal("characters other than digits")
    digits = len(text)
    if digits & 1:
        if field.prefix.counts_bytes:  # the reader could not tell the filler from a digit
            raise field.refusal(f"{digits} digits, the length counts bytes")
        text = "0" + text if field.encoding is Encoding.BCD_RIGHT else text + "0"
    return bytes.fromhex(text), digits


def _pack_bcd(field: Field, value: Value) -> Packed:
    raw, digits = _pack_nibbles(field, _text_of(field, value), "0123456789")
    return raw, len(raw) if field.prefix.counts_bytes else digits


def _pack_track_bcd(field: Field, value: Value) -> Packed:
    raw, digits = _pack_nibbles(field, _text_of(field, value).replace("=", "D"), "0123456789ABCDEF")
    return raw, len(raw) if field.prefix.counts_bytes else digits


def _pack_digits(field: Field, value: Value) -> Packed:
    text = _text_of(field, value)
    if text and not (text.isascii() and text.isdecimal()):
        raise field.refusal("characters other than digits")
    return text.encode(), len(text)


def _pack_ascii(field: Field, value: Value) -> Packed:
    text = _text_of(field, value)
    if not text.isascii() or not text.isprintable():
        raise field.refusal("characters other than printable ASCII")
    raw = text.encode()
    if field.encoding is Encoding.ASCII and not field.prefix.digits:
        raw = raw.ljust(field.size)
    return raw, len(raw)


def _pack_text(field: Field, value: Value) -> Packed:
    try:
        raw = _text_of(field, value).encode("gbk")
    except UnicodeEncodeError:
        raise field.refusal("characters that GBK does not have") from None
    if not field.prefix.digits:
        raw = raw.ljust(field.size)
    return raw, len(raw)


def _pack_bytes(field: Field, value: Value) -> Packed:
    if not isinstance(value, bytes):
        raise field.refusal(f"{type(value).__name__} given, {field.format} takes bytes")
    return value, len(value)


# fmt: off
UNPACK: dict[Encoding, Callable[[_Element], Unpacked]] = {
    Encoding.ASCII: _unpack_ascii, Encoding.BCD_LEFT: _unpack_bcd, Encoding.BCD_RIGHT: _unpack_bcd,
    Encoding.BYTES: _unpack_bytes, Encoding.DIGITS: _unpack_digits, Encoding.TEXT: _unpack_text,
    Encoding.TRACK: _unpack_track, Encoding.TRACK_BCD: _unpack_track_bcd,
}
PACK: dict[Encoding, Callable[[Field, Value], Packed]] = {
    Encoding.ASCII: _pack_ascii, Encoding.BCD_LEFT: _pack_bcd, Encoding.BCD_RIGHT: _pack_bcd,
    Encoding.BYTES: _pack_bytes, Encoding.DIGITS: _pack_digits, Encoding.TEXT: _pack_text,
    Encoding.TRACK: _pack_ascii, Encoding.TRACK_BCD: _pack_track_bcd,
}
# fmt: on
