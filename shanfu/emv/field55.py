"""Field 55: the card data that a payment message carries to the issuer, and what the issuer's MAC is made over.

`decode_field55` gives tag → value after checking the lengths on which a cryptogram depends: published samples show strings
that are whole BER-TLV and yet swallow a neighbour. `encode_field55` writes the tags of a message in the order in which
UnionPay terminals send them. `cryptogram_input` joins what the card had MACed.

Called by terminals, acquirers, the network and, for each authorisation, by issuers; hence flat and quick.
Sources: UnionPay POS specification field 55, EMV Book 3 Annex A, JR/T 0025.5 (CVN 01 and 17).
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from shanfu.emv.iad import IssuerApplicationData
from shanfu.errors import DecodeError, Fault
from shanfu.iso7816 import parse_flat, tag_bytes, tag_hex, tlv

__all__ = [
    "CRYPTOGRAM_FIELDS",
    "FIELD55_TAGS",
    "Message55",
    "cryptogram_input",
    "decode_field55",
    "encode_field55",
    "missing_tags",
]

SPEC: Final = "UnionPay POS DE55"
MAX_LENGTH: Final = 255  # field 55 is b..255


class Message55(Enum):
    """Which message the field stands in: each has its own tags."""

    REQUEST = "request"
    ANSWER = "answer"
    REVERSAL = "reversal"
    SCRIPT_NOTICE = "script notice"
    OFFLINE_UPLOAD = "offline upload"


_REQUEST = (
    0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95, 0x9A, 0x9C, 0x9F02, 0x5F2A, 0x82, 0x9F1A, 0x9F03, 0x9F33,
)  # fmt: skip
_REQUEST_MAY = (0x9F34, 0x9F35, 0x9F1E, 0x84, 0x9F09, 0x9F41, 0x9F63, 0x9F74, 0xDF32, 0xDF33, 0xDF34)

FIELD55_TAGS: Final[Mapping[Message55, tuple[tuple[int, ...], tuple[int, ...]]]] = MappingProxyType({
    # message: (mandatory, the others), both in the order of sending; UnionPay POS DE55
    Message55.REQUEST: (_REQUEST, _REQUEST_MAY),
    Message55.ANSWER: ((), (0x91, 0x71, 0x72, 0x9F36)),
    Message55.REVERSAL: ((0x9F36,), (0x95, 0x9F1E, 0x9F10, 0xDF31)),
    Message55.SCRIPT_NOTICE: ((0x9F10, 0x9F26, 0x9F36, 0x82, 0x95, 0x9F1A, 0x9A, 0xDF31), (0x9F33, 0x9F37, 0x9F1E)),
    Message55.OFFLINE_UPLOAD: ((*_REQUEST, 0x8A), _REQUEST_MAY),
})  # fmt: skip

# Lengths on which cryptogram and decision depend; every other tag may have any length, zero too (EMV B3 A1)
_LENGTHS: Final = {
    0x82: 2, 0x95: 5, 0x9A: 3, 0x9C: 1, 0x5F2A: 2, 0x9F02: 6, 0x9F03: 6, 0x9F1A: 2, 0x9F26: 8, 0x9F27: 1, 0x9F33: 3,
    0x9F34: 3, 0x9F36: 2, 0x9F37: 4,
}  # fmt: skip
_ISSUER_DATA: Final = 0x9F10

# What a card MACs, by cryptogram version; the card's own part of 9F10 comes last (JR/T 0025.5; CVN 17 one source)
CRYPTOGRAM_FIELDS: Final[Mapping[int, tuple[tuple[int, ...], slice]]] = MappingProxyType({
    0x01: ((0x9F02, 0x9F03, 0x9F1A, 0x95, 0x5F2A, 0x9A, 0x9C, 0x9F37, 0x82, 0x9F36), slice(3, 7)),  # CVR whole
    0x17: ((0x9F02, 0x9F37, 0x9F36), slice(4, 5)),  # CVR byte 2
})  # fmt: skip


def decode_field55(data: bytes, message: Message55 = Message55.REQUEST) -> dict[int, bytes]:
    """Read field 55 into tag → value; raise DecodeError if the TLV or a field rule is broken (UnionPay POS DE55, EMV B3 A1).

    A request must have 9F10, well formed; whether all mandatory tags are there is `missing_tags`' question.

    >>> decode_field55(bytes.fromhex("9F3602024082027C00"), Message55.REVERSAL)[0x9F36].hex()
    '0240'
    """
    values = parse_flat(data)
    for tag, value in values.items():
        fixed = _LENGTHS.get(tag)
        if fixed is not None and len(value) != fixed:
            what = f"{len(value)} bytes, must be {fixed}"
            raise DecodeError(what, fault=Fault.LENGTH, path=tag_hex(tag), offset=_where(values, tag), spec="EMV B3 A1")
    issuer_data = values.get(_ISSUER_DATA)
    if issuer_data:
        try:
            IssuerApplicationData.parse(issuer_data)
        except DecodeError as error:
            raise error.under("", _where(values, _ISSUER_DATA)) from None
    elif message in {Message55.REQUEST, Message55.OFFLINE_UPLOAD}:
        raise DecodeError("is missing", fault=Fault.MISSING, path="9F10", offset=len(data), spec=SPEC)
    return values


def encode_field55(values: Mapping[int, bytes], message: Message55 = Message55.REQUEST) -> bytes:
    r"""Write the tags of this message in the order of sending; tags that do not belong to it are left out.

    >>> encode_field55({0x9F36: b"\x02@", 0x95: bytes(5), 0x84: b""}, Message55.REVERSAL).hex()
    '9f3602024095050000000000'
    """
    mandatory, others = FIELD55_TAGS[message]
    absent = missing_tags(values, message)
    if absent:
        raise DecodeError("is missing", fault=Fault.MISSING, path=tag_hex(absent[0]), spec=SPEC)
    field = b"".join(bytes(tlv(tag, values[tag])) for tag in mandatory + others if tag in values)
    if len(field) > MAX_LENGTH:
        what = f"{len(field)} bytes, at most {MAX_LENGTH}"
        raise DecodeError(what, fault=Fault.LENGTH, path="DE55", spec=SPEC)
    return field


def missing_tags(values: Mapping[int, bytes], message: Message55 = Message55.REQUEST) -> tuple[int, ...]:
    """Return the mandatory tags of this message that are absent (UnionPay POS DE55)."""
    return tuple(tag for tag in FIELD55_TAGS[message][0] if tag not in values)


def cryptogram_input(cvn: int, values: Mapping[int, bytes]) -> bytes:
    r"""Join what the card MACed under this cryptogram version; unpadded (JR/T 0025.5).

    Raises DecodeError for a version without a table row, an absent tag or a wrong length: moving a byte from one value to
    the next must not give the same input.

    >>> tags = {0x9F02: bytes(6), 0x9F37: bytes(4), 0x9F36: b"\x02@", 0x9F10: bytes.fromhex("07010103A0000001")}
    >>> cryptogram_input(0x17, tags).hex()
    '000000000000000000000240a0'
    """
    row = CRYPTOGRAM_FIELDS.get(cvn)
    if row is None:
        raise DecodeError(f"cryptogram version {cvn:02X}", fault=Fault.UNKNOWN, path="9F10", spec="JR/T 0025.5")
    tags, own = row
    parts = [values.get(tag, b"") for tag in tags]
    for tag, part in zip(tags, parts, strict=True):
        if len(part) != _LENGTHS[tag]:
            fault = Fault.LENGTH if part else Fault.MISSING
            what = f"{len(part)} bytes, must be {_LENGTHS[tag]}"
            raise DecodeError(what, fault=fault, path=tag_hex(tag), spec="JR/T 0025.5")
    issuer_data = values.get(_ISSUER_DATA, b"")
    if len(issuer_data) < 8:
        raise DecodeError("is missing or short", fault=Fault.MISSING, path="9F10", spec="JR/T 0025.5")
    parts.append(issuer_data[own])
    return b"".join(parts)


def _where(values: Mapping[int, bytes], wanted: int) -> int:
    """Where the value of a tag begins, for errors: exact unless filler or long lengths come before it."""
    at = 0
    for tag, value in values.items():
        at += len(tag_bytes(tag)) + 1
        if tag == wanted:
            break
        at += len(value)
    return at
