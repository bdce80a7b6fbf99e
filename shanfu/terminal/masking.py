"""What may be shown of an exchange: the same bytes with their length, secrets overwritten, the overwritten ranges listed.

Card data is masked by tag (of a PAN the first six and last four digits stay), commands that carry PINs or keys lose
their whole data field, and of a POS frame every field that its dialect calls secret is overwritten. Bytes that cannot be
read are overwritten altogether: what we do not understand we do not show.

`explain_*` say the same exchange in words, masked alike. Who calls: the terminal's events. Source: PCI DSS 3.4.
"""

from collections.abc import Mapping

from shanfu.emv import describe as describe_tag
from shanfu.emv import masked_hex, sensitive_spans
from shanfu.errors import DecodeError
from shanfu.iso7816 import CommandAPDU, parse, phrase, tag_hex
from shanfu.iso8583 import POS, decode_pos
from shanfu.iso8583 import describe as describe_message

__all__ = ["explain_apdu", "explain_pos", "explain_values", "mask_apdu", "mask_pos"]

Ranges = tuple[tuple[int, int], ...]

STAR = b"*"
SECRET_INS = frozenset({0x20, 0x24, 0xD8, 0xDA, 0xDC, 0xE2})  # VERIFY, PIN CHANGE, PUT KEY, PUT DATA, UPDATE RECORD, STORE DATA
BODY = 13  # of a POS frame: length 2, TPDU 5, header 6


def mask_apdu(raw: bytes, *, response: bool) -> tuple[bytes, Ranges]:
    """Return a command or an answer fit to be shown, and the (start, end) ranges that were overwritten.

    >>> shown, ranges = mask_apdu(bytes.fromhex("770E570C6228000100001117D30122019000"), response=True)
    >>> shown.hex().upper(), ranges
    ('770E570C6228002A2A2A1117D32A2A2A9000', ((7, 10), (13, 16)))
    """
    return _overwrite(raw, _response_ranges(raw) if response else _command_ranges(raw))


def _command_ranges(raw: bytes) -> list[tuple[int, int]]:
    try:
        command = CommandAPDU.parse(raw)
    except DecodeError:
        return [(4, len(raw))]
    if command.ins not in SECRET_INS or not command.data:
        return []
    start = 7 if command.extended else 5
    return [(start, start + len(command.data))]


def _response_ranges(raw: bytes) -> list[tuple[int, int]]:
    body = raw[:-2]
    try:
        return sensitive_spans(parse(body))
    except DecodeError:
        return [(0, len(body))]


def explain_apdu(raw: bytes, *, response: bool) -> dict[str, str]:
    """Return what an exchange holds: the status word in words and the elements of an answer by tag.

    >>> explain_apdu(bytes.fromhex("9F360200019000"), response=True)
    {'sw': '9000 done', '9F36': 'Application Transaction Counter (ATC): 0001'}
    """
    if not response or len(raw) < 2:
        return {}
    detail = {"sw": f"{raw[-2:].hex().upper()} {phrase(int.from_bytes(raw[-2:]))}"}
    try:
        elements = [node for node in parse(raw[:-2]).walk() if node.children is None]
    except DecodeError as fault:
        return {**detail, "fault": str(fault)}
    return {**detail, **{node.tag_hex: _element(node.tag, node.value) for node in elements}}


def explain_values(values: Mapping[int, bytes]) -> dict[str, str]:
    """Return data elements in words, by tag."""
    return {tag_hex(tag): _element(tag, value) for tag, value in values.items()}


def _element(tag: int, value: bytes) -> str:
    row = describe_tag(tag)
    return f"{row.name if row else 'not in the dictionary'}: {masked_hex(tag, value)}"


def explain_pos(frame: bytes) -> dict[str, str]:
    """Return the fields of a frame in words, by their paths; of an unreadable one what is wrong with it."""
    try:
        message = decode_pos(frame).message
    except DecodeError as fault:
        return {"fault": str(fault)}
    return {row.path: f"{row.name}: {row.value}" for row in describe_message(message, POS)}


def mask_pos(frame: bytes) -> tuple[bytes, Ranges]:
    """Return a POS frame fit to be shown, and the ranges that were overwritten."""
    return _overwrite(frame, _secret_fields(frame))


def _secret_fields(frame: bytes) -> list[tuple[int, int]]:
    bitmap = frame[BODY + 2 : BODY + 10]
    numbers = [n for n in range(1, 65) if len(bitmap) == 8 and int.from_bytes(bitmap) >> (64 - n) & 1]
    ranges, at = [], BODY + 10
    try:
        for number in numbers:
            row = POS.fields[number]
            reading = row.read(frame, at)
            if row.secret:
                ranges.append((reading.start, reading.end))
            at = reading.end
    except (DecodeError, KeyError):
        ranges.append((min(at, len(frame)), len(frame)))
    return ranges if numbers else [(min(BODY, len(frame)), len(frame))]


def _overwrite(raw: bytes, ranges: list[tuple[int, int]]) -> tuple[bytes, Ranges]:
    shown = bytearray(raw)
    kept = tuple((start, end) for start, end in ranges if start < end)
    for start, end in kept:
        shown[start:end] = STAR * (end - start)
    return bytes(shown), kept
