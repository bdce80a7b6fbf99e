"""BER-TLV: tag, length, value, the grain in which cards, terminals and hosts write down data.

`parse` reads a whole buffer into a `TLVList`, an ordered container that keeps repeated tags, filler bytes and lengths
written longer than needed, so that ``bytes(parse(x)) == x``. Objects inside constructed tags are checked at once and
built when asked for. `parse_flat` is the same strictness without nesting, for hosts that only look tags up. `tlv` builds.

Accepted: tags of one to four bytes, definite lengths of one to five, `00` bytes between objects. Refused with
`DecodeError` and nothing else: indefinite lengths, anything that runs past its enclosing object, and what is over LIMITS.
A `repr` shows tags and sizes, never values: they may hold a PAN.

Called by every standard and party that reads card data. Sources: ISO/IEC 7816-4 5.2.2, ISO/IEC 8825-1, EMV Book 3 Annex B.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias, overload

from shanfu.errors import DecodeError, Fault

__all__ = ["LIMITS", "TLV", "Limits", "TLVList", "parse", "parse_flat", "tag_bytes", "tag_hex", "tlv"]

SPEC = "EMV B3 B"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much we are willing to read."""

    size: int = 65_536  # the longest answer of an extended APDU (ISO/IEC 7816-3 12.1.3)
    depth: int = 16  # real templates nest four deep (6F A5 BF0C 61)
    tag_bytes: int = 4  # EMV uses two, GlobalPlatform and private schemes up to three
    length_bytes: int = 4  # after the byte that counts them; ISO/IEC 7816-4 has no form 85


LIMITS = Limits()

Span: TypeAlias = tuple[int, int, int, int, "list[Span] | None"]  # tag, start, start of value, end, spans inside


def parse(data: bytes | bytearray | memoryview) -> "TLVList":
    """Read a whole buffer of BER-TLV objects; raise DecodeError with path and offset on the first fault (EMV B3 B).

    >>> fci = parse(bytes.fromhex("6F15840E315041592E5359532E4444463031A50388010A"))
    >>> fci.find(0x88).value.hex()
    '0a'
    >>> [node.tag_hex for node in fci[0].children]
    ['84', 'A5']
    """
    source = bytes(data)
    _check_size(source)
    return TLVList(source, _scan(source, 0, len(source), 1), 0, len(source))


def parse_flat(data: bytes | bytearray | memoryview) -> dict[int, bytes]:
    """Read the outermost objects into tag → value; constructed values stay bytes, a repeated tag is refused.

    >>> parse_flat(bytes.fromhex("9F3602024082027C00"))[0x9F36].hex()
    '0240'
    """
    source = bytes(data)
    _check_size(source)
    values: dict[int, bytes] = {}
    pos = start = count = 0
    end = len(source)
    try:
        while pos < end:
            start = pos
            tag = source[pos]
            if tag & 0x1F == 0x1F:
                tag = tag << 8 | source[pos + 1]
                length = source[pos + 2]
                pos += 3
            elif tag:
                length = source[pos + 1]
                pos += 2
            else:
                pos += 1
                continue
            if length > 0x7F or tag & 0x1F80 == 0x1F80:  # long length, or third tag byte
                tag, pos, stop = _header(source, start, end)
                length = stop - pos
            values[tag] = source[pos : pos + length]
            pos += length
            count += 1
    except IndexError:
        _refuse(source, start, end)
    if pos != end:
        _refuse(source, start, end)
    if count != len(values):
        _refuse_repeated(source)
    return values


def tlv(tag: int, *contents: "bytes | TLV | TLVList") -> "TLV":
    r"""Build one object with the shortest length form; the contents of a constructed tag must themselves be BER-TLV.

    >>> bytes(tlv(0x6F, tlv(0x84, b"1PAY"), tlv(0xA5, tlv(0x88, b"\x0a")))).hex()
    '6f0b840431504159a50388010a'
    """
    value = b"".join(map(bytes, contents))
    head = tag_bytes(tag) + _length_bytes(len(value))
    return parse(head + value)[0]


def tag_bytes(tag: int) -> bytes:
    """Return the bytes of a tag number such as 0x9F26; ValueError if no tag has that form (ISO/IEC 8825-1 8.1.2).

    >>> tag_bytes(0x9F26).hex()
    '9f26'
    """
    if tag <= 0:
        raise ValueError(f"{tag} is no tag")
    raw = tag.to_bytes((tag.bit_length() + 7) // 8)
    long = raw[0] & 0x1F == 0x1F
    ends_right = raw[-1] < 0x80 and all(b >= 0x80 for b in raw[1:-1])
    if long != (len(raw) > 1) or (long and not ends_right) or len(raw) > LIMITS.tag_bytes:
        raise ValueError(f"{tag:X} is no tag")
    return raw


def tag_hex(tag: int) -> str:
    """Return a tag as the standards print it.

    >>> tag_hex(0x9F26), tag_hex(0x57)
    ('9F26', '57')
    """
    return f"{tag:0{2 if tag < 0x100 else 4 if tag < 0x10000 else 6}X}"


@dataclass(frozen=True, slots=True)
class TLV:
    """One object. Two are equal when their encodings are; `children` is None for a primitive tag."""

    tag: int
    value: bytes = field(compare=False, repr=False)
    encoded: bytes = field(repr=False)
    children: "TLVList | None" = field(default=None, compare=False)
    offset: int = field(default=0, compare=False)  # of the tag's first byte in the buffer that was parsed

    @property
    def tag_hex(self) -> str:
        """The tag as the standards print it."""
        return tag_hex(self.tag)

    @property
    def value_offset(self) -> int:
        """Where the value begins in the buffer that was parsed."""
        return self.offset + len(self.encoded) - len(self.value)

    def __bytes__(self) -> bytes:
        return self.encoded

    def __repr__(self) -> str:
        inside = f"[{', '.join(map(repr, self.children))}]" if self.children is not None else f"{len(self.value)} bytes"
        return f"TLV({self.tag_hex}, {inside})"


class TLVList(Sequence[TLV]):
    """The objects of a buffer or of a constructed value, in their order; `bytes()` gives exactly what was read."""

    __slots__ = ("_source", "_spans", "_start", "_stop")

    def __init__(self, source: bytes, spans: list[Span], start: int, stop: int) -> None:
        self._source, self._spans, self._start, self._stop = source, spans, start, stop

    def _node(self, span: Span) -> TLV:
        tag, start, at, stop, inside = span
        children = None if inside is None else TLVList(self._source, inside, at, stop)
        return TLV(tag, self._source[at:stop], self._source[start:stop], children, start)

    @overload
    def __getitem__(self, index: int) -> TLV: ...
    @overload
    def __getitem__(self, index: slice) -> list[TLV]: ...
    def __getitem__(self, index: int | slice) -> TLV | list[TLV]:
        if isinstance(index, slice):
            return [self._node(span) for span in self._spans[index]]
        return self._node(self._spans[index])

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[TLV]:
        return map(self._node, self._spans)

    def __bytes__(self) -> bytes:
        return self._source[self._start : self._stop]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TLVList) and bytes(self) == bytes(other)

    def __hash__(self) -> int:
        return hash(bytes(self))

    def __repr__(self) -> str:
        return f"TLVList([{', '.join(map(repr, self))}])"

    @property
    def tags(self) -> tuple[int, ...]:
        """The outermost tags in order, repeated ones repeated."""
        return tuple(span[0] for span in self._spans)

    def first(self, tag: int) -> TLV | None:
        """Return the first outermost object with this tag, or None."""
        return next((self._node(span) for span in self._spans if span[0] == tag), None)

    def all(self, tag: int) -> list[TLV]:
        """Return every outermost object with this tag."""
        return [self._node(span) for span in self._spans if span[0] == tag]

    def value(self, tag: int) -> bytes | None:
        """Return the value of the first outermost object with this tag, or None."""
        return next((self._source[at:stop] for t, _, at, stop, _ in self._spans if t == tag), None)

    def find(self, tag: int) -> TLV | None:
        """Return the first object with this tag at any depth, in the order of the bytes, or None."""
        for span in self._spans:
            if span[0] == tag:
                return self._node(span)
            if span[4]:
                found = TLVList(self._source, span[4], span[2], span[3]).find(tag)
                if found is not None:
                    return found
        return None

    def require(self, *path: int, spec: str = SPEC) -> TLV:
        """Return the object at a path of tags such as (0x6F, 0xA5); raise DecodeError (missing) if there is none."""
        here, node = self, None
        for depth, tag in enumerate(path):
            node = here.first(tag)
            if node is None:
                where = "/".join(map(tag_hex, path[: depth + 1]))
                raise DecodeError("is missing", fault=Fault.MISSING, path=where, offset=here._start, spec=spec)
            here = node.children if node.children is not None else TLVList(b"", [], 0, 0)
        assert node is not None, "a path has at least one tag"
        return node

    def walk(self) -> Iterator[TLV]:
        """Give every object at every depth, a template before its contents."""
        for node in self:
            yield node
            if node.children is not None:
                yield from node.children.walk()


def _scan(data: bytes, pos: int, end: int, depth: int) -> list[Span]:
    """Find the objects between pos and end. One- and two-byte tags with short lengths are read in line: they are nearly all."""
    if depth > LIMITS.depth:
        raise DecodeError(f"nested deeper than {LIMITS.depth}", fault=Fault.LIMIT, offset=pos, spec=SPEC)
    spans: list[Span] = []
    start = pos
    try:
        while pos < end:
            start = pos
            tag = first = data[pos]
            if tag & 0x1F == 0x1F:
                tag = tag << 8 | data[pos + 1]
                length = data[pos + 2]
                pos += 3
            elif tag:
                length = data[pos + 1]
                pos += 2
            else:  # EMV B3 B1: 00 before, between or after objects has no meaning
                pos += 1
                continue
            if length > 0x7F or tag & 0x1F80 == 0x1F80:
                tag, pos, stop = _header(data, start, end)
            else:
                stop = pos + length
            spans.append((tag, start, pos, stop, _inside(data, (tag, pos, stop), end, depth) if first & 0x20 else None))
            pos = stop
    except IndexError:
        _refuse(data, start, end)
    if pos != end:
        _refuse(data, start, end)
    return spans


def _inside(data: bytes, element: tuple[int, int, int], end: int, depth: int) -> list[Span]:
    tag, pos, stop = element
    try:
        if stop > end:
            raise DecodeError("runs past its enclosing object", fault=Fault.TRUNCATED, offset=pos, spec=SPEC)
        return _scan(data, pos, stop, depth + 1)
    except DecodeError as error:
        raise error.under(tag_hex(tag)) from None


def _header(data: bytes, start: int, end: int) -> tuple[int, int, int]:
    """Read tag and length in every form: (tag, start of value, end); the place where each fault has its words."""
    tag, pos = data[start], start + 1
    if tag & 0x1F == 0x1F:  # ISO/IEC 8825-1 8.1.2.4: more tag bytes while b8 is set
        more = True
        while more:
            if pos - start >= LIMITS.tag_bytes:
                raise DecodeError(f"tag over {LIMITS.tag_bytes} bytes", fault=Fault.LIMIT, offset=start, spec=SPEC)
            if pos >= end:
                raise DecodeError("ends inside a tag", fault=Fault.TRUNCATED, offset=start, spec=SPEC)
            tag, more, pos = tag << 8 | data[pos], data[pos] > 0x7F, pos + 1
    name = tag_hex(tag)
    if pos >= end:
        raise DecodeError("has no length", fault=Fault.TRUNCATED, path=name, offset=pos, spec=SPEC)
    length, pos = data[pos], pos + 1
    if length == 0x80:  # EMV B3 B2: definite lengths only
        raise DecodeError("indefinite length", fault=Fault.FORMAT, path=name, offset=pos - 1, spec=SPEC)
    if length > 0x80:
        count = length - 0x80
        if count > LIMITS.length_bytes:
            what = f"{count} length bytes, at most {LIMITS.length_bytes}"
            raise DecodeError(what, fault=Fault.LIMIT, path=name, offset=pos - 1, spec=SPEC)
        if pos + count > end:
            raise DecodeError("ends inside its length", fault=Fault.TRUNCATED, path=name, offset=pos, spec=SPEC)
        length, pos = int.from_bytes(data[pos : pos + count]), pos + count
    if length > end - pos:
        what = f"length {length}, {end - pos} bytes are left"
        raise DecodeError(what, fault=Fault.TRUNCATED, path=name, offset=pos, spec=SPEC)
    return tag, pos, pos + length


def _refuse(data: bytes, start: int, end: int) -> NoReturn:
    _header(data, start, end)
    raise AssertionError("the fast reader stopped where the careful one goes on")  # would be our own fault


def _refuse_repeated(data: bytes) -> NoReturn:
    seen: set[int] = set()
    for tag, start, *_ in _scan(data, 0, len(data), 1):
        if tag in seen:
            raise DecodeError("occurs twice", fault=Fault.FORMAT, path=tag_hex(tag), offset=start, spec=SPEC)
        seen.add(tag)
    raise AssertionError("a tag was counted twice and found once")


def _check_size(data: bytes) -> None:
    if len(data) > LIMITS.size:
        raise DecodeError(f"{len(data)} bytes, at most {LIMITS.size}", fault=Fault.LIMIT, spec=SPEC)


def _length_bytes(length: int) -> bytes:
    if length < 0x80:
        return bytes((length,))
    raw = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((0x80 | len(raw),)) + raw
