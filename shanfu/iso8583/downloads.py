"""DE62 of a download: the keys of certification authorities, and the parameters of chip applications, for a terminal.

A terminal asks first what there is (0820: 60.3 = 372 keys, 382 applications), saying how many it knows of already; the answer
is a digit and a list. Then it asks for each by name (0800: 370, 380), and says that it has them all (371, 381).

    asked   list: "1" and two digits, how many came before          one: its name as TLV
    told    list: digit, the names one after the other as TLV       one: digit, everything about it as TLV
    digit   0 nothing, 1 all that is left, 2 or 3 more follow: ask again

The records are tables of tags below. A key's check sum is looked at where the key is kept, not here. The acquirer writes this,
the terminal reads it. Sources: public terminal implementations (docs/sources.md); the digit in the answer about one, DF06, DF07
and DF01 as coded, and percentages in BCD are unverified.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeVar

from shanfu.errors import DecodeError, Fault, ProtocolError
from shanfu.iso7816 import TLV, parse, parse_flat, tlv

__all__ = [
    "AIDRecord", "CAKeyName", "CAKeyRecord", "encode_aid", "encode_aid_list", "encode_aid_name", "encode_ca_key",
    "encode_ca_key_list", "encode_ca_key_name", "encode_query", "parse_aid", "parse_aid_list", "parse_aid_name",
    "parse_ca_key", "parse_ca_key_list", "parse_ca_key_name", "parse_query",
]  # fmt: skip

PATH: Final = "DE62"
FIELD_BYTES: Final = 512  # DE62 of the terminal dialect
NOTHING, ALL, MORE = b"0", b"1", b"2"
_ASK_AGAIN: Final = b"23"
ASKED: Final = b"1"
NAME_TAG: Final = 0x9F06  # begins each record of a list


@dataclass(frozen=True, slots=True, kw_only=True)
class CAKeyName:
    """A key of a certification authority as a list names it; `expires` is YYYYMMDD, "" where it is only asked for."""

    rid: bytes
    index: int
    expires: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CAKeyRecord:
    """A key of a certification authority; an SM2 point stands in `modulus` (X and Y), its `exponent` is empty."""

    rid: bytes
    index: int
    expires: str  # YYYYMMDD
    modulus: bytes
    checksum: bytes
    exponent: bytes = b""
    hash_algorithm: int = 1  # 1 SHA-1, 4 or 7 SM3
    key_algorithm: int = 1  # 1 RSA, 4 SM2

    @property
    def name(self) -> CAKeyName:
        """How a list names it."""
        return CAKeyName(rid=self.rid, index=self.index, expires=self.expires)


@dataclass(frozen=True, slots=True, kw_only=True)
class AIDRecord:
    """What a terminal is told about one application; amounts in minor units, None and b"" are "not told"."""

    aid: bytes
    tac_default: bytes
    tac_online: bytes
    tac_denial: bytes
    selection: int | None = None  # 0 partial, 1 exact
    version: bytes = b""
    floor_minor: int | None = None
    threshold_minor: int | None = None
    target_percent: int | None = None
    max_percent: int | None = None
    ddol: bytes = b""
    online_pin: int | None = None
    cash_limit_minor: int | None = None
    contactless_floor_minor: int | None = None
    contactless_limit_minor: int | None = None
    cvm_limit_minor: int | None = None


class _Kind(StrEnum):
    BCD = "digits, two in a byte"
    BINARY = "number, high byte first"
    BYTES = "bytes"
    DATE = "eight digits in ASCII, or four bytes of BCD"


class _Row(NamedTuple):
    tag: int
    name: str
    kind: _Kind
    low: int
    high: int
    needed: bool = False


_N, _U, _B, _D = _Kind.BCD, _Kind.BINARY, _Kind.BYTES, _Kind.DATE
NEEDED: Final = True
# fmt: off
#        tag     attribute                  kind low high
_CA_KEY: Final = (
    _Row(0x9F06, "rid",                     _B,  5,  5,   NEEDED),
    _Row(0x9F22, "index",                   _U,  1,  1,   NEEDED),
    _Row(0xDF05, "expires",                 _D,  4,  8,   NEEDED),
    _Row(0xDF06, "hash_algorithm",          _U,  1,  1,   NEEDED),
    _Row(0xDF07, "key_algorithm",           _U,  1,  1,   NEEDED),
    _Row(0xDF02, "modulus",                 _B,  64, 248, NEEDED),
    _Row(0xDF04, "exponent",                _B,  0,  3),
    _Row(0xDF03, "checksum",                _B,  20, 32,  NEEDED),
)
_CA_KEY_NAME: Final = (*_CA_KEY[:2], _CA_KEY[2]._replace(needed=False))
_AID: Final = (
    _Row(0x9F06, "aid",                     _B,  5,  16,  NEEDED),
    _Row(0xDF01, "selection",               _U,  1,  1),
    _Row(0x9F08, "version",                 _B,  2,  2),
    _Row(0xDF11, "tac_default",             _B,  5,  5,   NEEDED),
    _Row(0xDF12, "tac_online",              _B,  5,  5,   NEEDED),
    _Row(0xDF13, "tac_denial",              _B,  5,  5,   NEEDED),
    _Row(0x9F1B, "floor_minor",             _U,  4,  4),
    _Row(0xDF15, "threshold_minor",         _U,  4,  4),
    _Row(0xDF16, "max_percent",             _N,  1,  1),
    _Row(0xDF17, "target_percent",          _N,  1,  1),
    _Row(0xDF14, "ddol",                    _B,  0,  252),
    _Row(0xDF18, "online_pin",              _U,  1,  1),
    _Row(0x9F7B, "cash_limit_minor",        _N,  6,  6),
    _Row(0xDF19, "contactless_floor_minor", _N,  6,  6),
    _Row(0xDF20, "contactless_limit_minor", _N,  6,  6),
    _Row(0xDF21, "cvm_limit_minor",         _N,  6,  6),
)
_AID_NAME: Final = _AID[:1]
# fmt: on
R = TypeVar("R")


# -- what there is -----------------------------------------------------------------------------------------------------


def encode_query(known: int) -> bytes:
    """Write the question for a list: `known` came before.

    >>> encode_query(0), parse_query(b"122")
    (b'100', 22)
    """
    if not 0 <= known <= 99:
        raise ProtocolError(f"{PATH}: {known} are known, two digits count them", by="us")
    return ASKED + b"%02d" % known


def parse_query(raw: bytes) -> int:
    """Return how many the terminal knows of already."""
    if len(raw) != 3 or raw[:1] != ASKED or not raw.isdigit():
        raise DecodeError(f"{len(raw)} bytes, the digit 1 and two digits wanted", path=PATH)
    return int(raw[1:])


def encode_ca_key_list(names: Sequence[CAKeyName]) -> bytes:
    """Write the names of keys, as many as the field holds.

    >>> raw = encode_ca_key_list([CAKeyName(rid=bytes.fromhex("A000000333"), index=0x80, expires="20301231")])
    >>> raw.hex().upper(), parse_ca_key_list(raw)[1]
    ('319F0605A0000003339F220180DF05083230333031323331', False)
    """
    return _list([_written(_CA_KEY_NAME, name) for name in names])


def parse_ca_key_list(raw: bytes) -> tuple[list[CAKeyName], bool]:
    """Return the keys named, and whether more follow."""
    records, more = _records(raw)
    return [CAKeyName(**_read(_CA_KEY_NAME, record)) for record in records], more


def encode_aid_list(aids: Sequence[bytes]) -> bytes:
    """Write the names of applications, as many as the field holds."""
    return _list([bytes(tlv(NAME_TAG, aid)) for aid in aids])


def parse_aid_list(raw: bytes) -> tuple[list[bytes], bool]:
    """Return the applications named, and whether more follow.

    >>> parse_aid_list(encode_aid_list([bytes.fromhex("A000000333010101")]))[0][0].hex()
    'a000000333010101'
    """
    records, more = _records(raw)
    return [_read(_AID_NAME, record)["aid"] for record in records], more


def _list(records: list[bytes]) -> bytes:
    """The digit and the records that fit behind it; the terminal asks for the rest with how many it has."""
    if not records:
        return NOTHING
    fitting, size = list[bytes](), 1
    for record in records:
        size += len(record)
        if size > FIELD_BYTES:
            break
        fitting.append(record)
    return (ALL if len(fitting) == len(records) else MORE) + b"".join(fitting)


def _records(raw: bytes) -> tuple[list[dict[int, bytes]], bool]:
    digit = raw[:1]
    if digit == NOTHING and len(raw) == 1:
        return [], False
    if not digit or digit not in ALL + _ASK_AGAIN:
        raise DecodeError("does not begin with a digit 0 to 3", path=PATH)
    records = list[dict[int, bytes]]()
    for node in _parsed(raw):
        if node.tag == NAME_TAG:
            records.append({})
        if not records:
            raise DecodeError(f"{node.tag_hex} before the first 9F06", path=PATH, offset=1)
        records[-1].setdefault(node.tag, node.value)
    return records, digit in _ASK_AGAIN


def _parsed(raw: bytes) -> list[TLV]:
    try:
        return list(parse(raw[1:]))
    except DecodeError as fault:
        raise fault.under(PATH) from None


# -- one of them -------------------------------------------------------------------------------------------------------


def encode_ca_key_name(name: CAKeyName) -> bytes:
    """Write the question for one key.

    >>> encode_ca_key_name(CAKeyName(rid=bytes.fromhex("A000000333"), index=8)).hex().upper()
    '9F0605A0000003339F220108'
    """
    return _written(_CA_KEY_NAME[:2], name)


def parse_ca_key_name(raw: bytes) -> CAKeyName:
    """Return which key is asked for."""
    return CAKeyName(**_read(_CA_KEY_NAME, _flat(raw)))


def encode_ca_key(key: CAKeyRecord | None) -> bytes:
    """Write a key, or that there is none of this name."""
    return NOTHING if key is None else ALL + _written(_CA_KEY, key)


def parse_ca_key(raw: bytes) -> CAKeyRecord | None:
    """Return the key, None when there is none of this name."""
    found = _one(raw)
    return None if found is None else CAKeyRecord(**_read(_CA_KEY, found))


def encode_aid_name(aid: bytes) -> bytes:
    """Write the question for the parameters of one application."""
    return bytes(tlv(NAME_TAG, aid))


def parse_aid_name(raw: bytes) -> bytes:
    """Return which application is asked for."""
    aid: bytes = _read(_AID_NAME, _flat(raw))["aid"]
    return aid


def encode_aid(record: AIDRecord | None) -> bytes:
    """Write the parameters of an application, or that there is none of this name."""
    return NOTHING if record is None else ALL + _written(_AID, record)


def parse_aid(raw: bytes) -> AIDRecord | None:
    """Return the parameters of an application, None when there is none of this name."""
    found = _one(raw)
    return None if found is None else AIDRecord(**_read(_AID, found))


def _one(raw: bytes) -> dict[int, bytes] | None:
    if raw == NOTHING:
        return None
    if not raw or raw[:1] not in ALL + _ASK_AGAIN:
        raise DecodeError("does not begin with a digit 0 to 3", path=PATH)
    return _flat(raw[1:])


def _flat(raw: bytes) -> dict[int, bytes]:
    try:
        return parse_flat(raw)
    except DecodeError as fault:
        raise fault.under(PATH) from None


# -- the tables at work ------------------------------------------------------------------------------------------------


def _written(rows: Sequence[_Row], record: object) -> bytes:
    parts = []
    for row in rows:
        value = getattr(record, row.name)
        if value is None or value in (b"", ""):
            if row.needed:
                raise ProtocolError(f"{PATH}/{row.tag:04X}: {row.name} is not given", by="us")
            continue
        parts.append(bytes(tlv(row.tag, _bytes_of(row, value))))
    return b"".join(parts)


def _bytes_of(row: _Row, value: Any) -> bytes:
    if row.kind is _Kind.BINARY and 0 <= value < 256**row.high:
        return int(value).to_bytes(row.high)
    if row.kind is _Kind.BCD and 0 <= value < 100**row.high:
        return bytes.fromhex(f"{value:0{2 * row.high}d}")
    if row.kind is _Kind.DATE and len(value) == 8 and value.isdecimal():
        return str(value).encode("ascii")
    if row.kind is _Kind.BYTES and row.low <= len(value) <= row.high:
        return bytes(value)
    raise ProtocolError(f"{PATH}/{row.tag:04X}: {row.name} does not fit {row.low} to {row.high} bytes of {row.kind}", by="us")


def _read(rows: Sequence[_Row], found: dict[int, bytes]) -> dict[str, Any]:
    """Take the values of a record; tags that the table does not know are passed over."""
    values: dict[str, Any] = {}
    for row in rows:
        raw = found.get(row.tag)
        path = f"{PATH}/{row.tag:04X}"
        if raw is None:
            if row.needed:
                raise DecodeError(f"{row.name} is missing", path=path)
        elif not row.low <= len(raw) <= row.high:
            raise DecodeError(f"{len(raw)} bytes, {row.low} to {row.high} wanted", fault=Fault.LENGTH, path=path)
        else:
            values[row.name] = _value_of(row, raw, path)
    return values


def _value_of(row: _Row, raw: bytes, path: str) -> Any:
    if row.kind is _Kind.BYTES:
        return raw
    if row.kind is _Kind.BINARY:
        return int.from_bytes(raw)
    text = raw.hex() if row.kind is _Kind.BCD or len(raw) == 4 else raw.decode("latin-1")
    if not (text.isascii() and text.isdecimal()) or (row.kind is _Kind.DATE and len(text) != 8):
        raise DecodeError(f"not {row.kind}", path=path)
    return int(text) if row.kind is _Kind.BCD else text
