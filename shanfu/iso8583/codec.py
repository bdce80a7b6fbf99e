"""Messages and dialects: bytes of one ISO 8583 message to fields, and back to the same bytes.

A `Dialect` is a table of fields plus three facts: how the MTI is written, how wide the bitmap may be, and which element
carries the MAC. Two live beside this file, `pos.py` and `interbank.py`; a licensed member corrects a table, not code.

There are two ways through a message. `plan.py` compiles, for a bitmap that keeps coming, one straight function that
slices every field out of two whole-message conversions (hex for nibbles, Latin-1 for characters). It knows canonical
messages only and gives up at anything else. Then, and for bitmaps not yet seen twice, the careful way below reads
element by element and says exactly what is wrong, or keeps what is odd but readable so that `encode` returns the very
bytes: the filler nibble F, an over-long interbank field, text that is not GBK.

Decoding is liberal where live traffic is known to be (warnings), encoding is strict (ProtocolError, by us).
Sources: ISO 8583:1987 4.1–4.4.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from shanfu.errors import DecodeError, Fault, ProtocolError
from shanfu.iso8583.fields import Field, Reading, Value
from shanfu.iso8583.plan import compile_reader, compile_writer

__all__ = ["LIMITS", "Dialect", "Message"]

LIMITS = {
    # compiled plans a dialect keeps: a host sees some dozens of field combinations, not hundreds
    "plans": 256,
    # bitmaps remembered as seen once; a bitmap is compiled when it comes again, so noise costs no compilation
    "seen_once": 1024,
    # bytes on each side of a fault that an error shows
    "context_bytes": 6,
    # bytes of digits in a row that an error shows: six digits of a PAN are public, more are not (PCI DSS 3.4)
    "digit_bytes_shown": 3,
}


@dataclass(slots=True)
class Message:
    """One message: its type and its fields. Digits and text are `str`, binary elements `bytes`.

    `warnings` are remarks on odd but readable bytes; `kept` holds the exact bytes of fields that our own encoder would
    write differently, together with the value they had, so that changing the value drops the old bytes; under 1 it
    notes a second bitmap that has no bit set.
    """

    mti: str
    fields: dict[int, Value] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    kept: Mapping[int, tuple[Value, bytes]] | None = None

    def __contains__(self, number: int) -> bool:
        return number in self.fields

    def text(self, number: int, default: str | None = None) -> str:
        """Return a digit or text field; DecodeError (missing) when absent and no default is given."""
        value = self.fields.get(number, default)
        if isinstance(value, str):
            return value
        raise _absent(number, value, "text")

    def binary(self, number: int, default: bytes | None = None) -> bytes:
        """Return a binary field; DecodeError (missing) when absent and no default is given."""
        value = self.fields.get(number, default)
        if isinstance(value, bytes):
            return value
        raise _absent(number, value, "bytes")

    def copy(self, *numbers: int) -> dict[int, Value]:
        """Return those of the named fields that are present, to start an answer or a reversal from."""
        fields = self.fields
        return {number: fields[number] for number in numbers if number in fields}

    def __repr__(self) -> str:
        return f"Message({self.mti}, DE {' '.join(map(str, sorted(self.fields)))})"


def _absent(number: int, value: Value | None, wanted: str) -> DecodeError:
    what = "absent" if value is None else f"{type(value).__name__}, not {wanted}"
    return DecodeError(what, fault=Fault.MISSING if value is None else Fault.FORMAT, path=f"DE{number}")


Reader = Callable[[bytes], Message]
Writer = Callable[[Message], bytes]


class Dialect:
    """A table of fields and the facts that no field tells.

    `bcd_mti` writes the MTI as 2 BCD bytes instead of 4 ASCII digits; `wide` allows the second bitmap; `mac_field` is
    the last element, which `prepare` flows fill in later.
    """

    def __init__(self, name: str, rows: tuple[Field, ...], *, bcd_mti: bool, wide: bool) -> None:
        self.name, self.bcd_mti, self.wide = name, bcd_mti, wide
        self.fields: Mapping[int, Field] = MappingProxyType({row.number: row for row in rows})
        self.mac_field = 128 if wide else 64
        self.mti_width = 2 if bcd_mti else 4
        self._readers: dict[bytes, Reader] = {}
        self._writers: dict[tuple[int, ...], Writer] = {}
        self._seen: dict[object, None] = {}

    # -- decoding ------------------------------------------------------------------------------------------------

    def decode(self, body: bytes, *, base: int = 0) -> Message:
        """Decode one message, MTI to last field.

        `base` is the position of `body` in the caller's frame and only moves the offset of errors. Raises DecodeError
        with path, offset, the last field that was read well, and a masked excerpt.
        """
        at = self.mti_width
        width = 16 if self.wide and body[at : at + 1] >= b"\x80" else 8
        reader = self._readers.get(body[at : at + width])
        if reader is not None:
            try:
                return reader(body)
            except (LookupError, ValueError):
                pass  # not canonical: the careful way says what it is
        message = self._read(body, base)
        if reader is None and not message.kept:
            self._learn_reader(body[at : at + width])
        return message

    def walk(self, body: bytes) -> Iterator[tuple[Field, int, int]]:
        """Yield each field that is present with the start and end of its value in `body`; DecodeError where one ends it."""
        numbers, at = self._read_bitmap(body, 0)
        for number in numbers:
            row = self.fields[number]
            reading = row.read(body, at)
            yield row, reading.start, reading.end
            at = reading.end

    def _read(self, body: bytes, base: int) -> Message:
        mti = self._read_mti(body, base)
        numbers, at = self._read_bitmap(body, base)
        readings: dict[int, Reading] = {}
        spans: list[tuple[int, int]] = []  # where secret digits may lie
        for number in numbers:
            row = self.fields[number]
            if row.secret:
                spans.append((at, at + row.reach))
            try:
                reading = readings[number] = row.read(body, at)
            except DecodeError as fault:
                raise self._located(fault, body, base, well=list(readings), spans=spans) from None
            at = reading.end
        if at != len(body):
            over = DecodeError(f"{len(body) - at} bytes after the last field", fault=Fault.TRAILING, offset=at)
            raise self._located(over, body, base, well=list(readings), spans=spans)
        return self._message(mti, readings, body, base)

    def _message(self, mti: str, readings: dict[int, Reading], body: bytes, base: int) -> Message:
        fields = {number: reading.value for number, reading in readings.items()}
        warnings = [reading.warning for reading in readings.values() if reading.warning]
        for number, reading in readings.items():
            if reading.encrypted and str(fields.get(53, ""))[2:3] != "1":
                what = "characters other than digits and a separator, and DE53 does not say that the track is encrypted"
                if self.fields[number].strict:
                    raise DecodeError(what, path=f"DE{number}", offset=base + reading.start, spec="ISO 7813")
                warnings.append(f"DE{number}: {what}")
        kept: dict[int, tuple[Value, bytes]] = {
            n: (r.value, body[r.start - self.fields[n].prefix.width : r.end]) for n, r in readings.items() if not r.canonical
        }
        at = self.mti_width
        if self.wide and body[at] & 0x80 and max(fields, default=0) <= 64:  # a second bitmap without a bit
            kept[1] = (b"", body[at : at + 16])
        return Message(mti, fields, tuple(warnings), kept or None)

    def _read_mti(self, body: bytes, base: int) -> str:
        raw = body[: self.mti_width]
        if len(raw) < self.mti_width:
            raise DecodeError("the message ends inside the MTI", fault=Fault.TRUNCATED, path="MTI", offset=base)
        mti = raw.hex() if self.bcd_mti else raw.decode("latin-1")
        if not (mti.isascii() and mti.isdecimal()):
            raise DecodeError(f"{raw.hex().upper()}, not four digits", path="MTI", offset=base, spec="ISO 8583:1987 4.1")
        return mti

    def _read_bitmap(self, body: bytes, base: int) -> tuple[list[int], int]:
        """Return the numbers of the fields present, in order, and where the first begins."""
        at = self.mti_width
        width = 16 if self.wide and body[at : at + 1] >= b"\x80" else 8
        end = at + width
        if len(body) < end:
            raise DecodeError("the message ends inside the bitmap", fault=Fault.TRUNCATED, path="DE1", offset=base + at)
        numbers = numbers_of(body[at:end])
        if width == 16:
            numbers.remove(1)
        for number in numbers:
            if number not in self.fields:
                raise DecodeError(
                    f"the {self.name} dialect has no such field, and its length cannot be guessed",
                    fault=Fault.UNKNOWN, path=f"DE{number}", offset=base + at + (number - 1) // 8,
                    spec="ISO 8583:1987 4.2", context=body[at:end].hex().upper(),
                )  # fmt: skip
        return numbers, end

    def _located(
        self, fault: DecodeError, body: bytes, base: int, *, well: list[int], spans: list[tuple[int, int]]
    ) -> DecodeError:
        last = f"DE{well[-1]}" if well else "the bitmap"
        return DecodeError(
            f"{fault.what}; read well up to {last}", fault=fault.fault, path=fault.path, offset=base + fault.offset,
            spec=fault.spec, context=excerpt(body, fault.offset, spans),
        )  # fmt: skip

    # -- encoding ------------------------------------------------------------------------------------------------

    def encode(self, message: Message) -> bytes:
        """Encode MTI to last field; ProtocolError (by us) names the field whose value does not fit its format."""
        if not message.kept:
            writer = self._writers.get(tuple(message.fields))
            if writer is not None:
                try:
                    return writer(message)
                except (LookupError, ValueError, TypeError, AttributeError):
                    pass  # the careful way names the field
        body = self._write(message)
        if not message.kept:
            self._learn_writer(tuple(message.fields))
        return body

    def _write(self, message: Message) -> bytes:
        mti = message.mti
        if len(mti) != 4 or not (mti.isascii() and mti.isdecimal()):
            raise ProtocolError(f"MTI: {mti!r}, four digits wanted (ISO 8583:1987 4.1)", by="us")
        numbers, kept_of = sorted(message.fields), message.kept or {}
        bitmap = self.bitmap(numbers)
        if 1 in kept_of and len(bitmap) == 8:
            bitmap = (int.from_bytes(bitmap, "big") << 64 | 1 << 127).to_bytes(16, "big")
        parts = [bytes.fromhex(mti) if self.bcd_mti else mti.encode(), bitmap]
        for number in numbers:
            value, kept = message.fields[number], kept_of.get(number)
            parts.append(kept[1] if kept and kept[0] == value else self.fields[number].write(value))
        return b"".join(parts)

    def bitmap(self, numbers: list[int]) -> bytes:
        """The bitmap, 8 or 16 bytes, for these fields; ProtocolError for one that the dialect does not have."""
        bits = 0
        for number in numbers:
            if number not in self.fields:
                raise ProtocolError(f"DE{number}: the {self.name} dialect has no such field", by="us")
            bits |= 1 << (128 - number)
        if not numbers or numbers[-1] <= 64:
            return (bits >> 64).to_bytes(8, "big")
        return (bits | 1 << 127).to_bytes(16, "big")

    # -- plans ---------------------------------------------------------------------------------------------------

    def _learn_reader(self, bitmap: bytes) -> None:
        if self._seen_again(bitmap):
            rows = [self.fields[number] for number in numbers_of(bitmap) if number != 1]
            self._readers[bitmap] = compile_reader(
                rows, start=self.mti_width + len(bitmap), bcd_mti=self.bcd_mti, message=Message
            )
            if len(self._readers) > LIMITS["plans"]:
                del self._readers[next(iter(self._readers))]

    def _learn_writer(self, numbers: tuple[int, ...]) -> None:
        if self._seen_again(numbers):
            rows = [self.fields[number] for number in sorted(numbers)]
            self._writers[numbers] = compile_writer(rows, bitmap=self.bitmap(sorted(numbers)), bcd_mti=self.bcd_mti)
            if len(self._writers) > LIMITS["plans"]:
                del self._writers[next(iter(self._writers))]

    def _seen_again(self, key: object) -> bool:
        if key in self._seen:
            return True
        if len(self._seen) >= LIMITS["seen_once"]:
            self._seen.clear()
        self._seen[key] = None
        return False


def numbers_of(bitmap: bytes) -> list[int]:
    """The field numbers whose bits are set; bit 1 is the leftmost (ISO 8583:1987 4.2).

    >>> numbers_of(bytes.fromhex("703800810AC08011"))
    [2, 3, 4, 11, 12, 13, 25, 32, 37, 39, 41, 42, 49, 60, 64]
    """
    bits = f"{int.from_bytes(bitmap, 'big'):0{8 * len(bitmap)}b}"
    return [number for number, bit in enumerate(bits, 1) if bit == "1"]


def excerpt(body: bytes, at: int, spans: list[tuple[int, int]]) -> str:
    """Hex around `at`, unfit to leak a card number.

    Bytes that secret fields may cover are `**`. A wrong bitmap or length can make a card number appear where it is not
    expected, therefore of any run of digit bytes (BCD or ASCII) only the first three are shown.
    """
    first = max(0, at - LIMITS["context_bytes"])
    shown, run = [], 0
    for position, byte in enumerate(body[max(0, first - 32) : at + LIMITS["context_bytes"]], max(0, first - 32)):
        run = run + 1 if byte >> 4 <= 9 and byte & 15 <= 9 else 0
        hidden = run > LIMITS["digit_bytes_shown"] or any(start <= position < end for start, end in spans)
        if position >= first:
            shown.append("**" if hidden else f"{byte:02X}")
    return " ".join(shown)
