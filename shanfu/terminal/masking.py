"""What may be shown of an exchange with a card: the same bytes with their length, secrets overwritten, the ranges listed.

Card data is masked by tag (of a PAN the first six and last four digits stay), and commands that carry PINs or keys lose
their whole data field. Bytes that cannot be read are overwritten altogether: what we do not understand we do not show.

`explain_*` say the same exchange in words, masked alike. Who calls: the terminal's events; frames to the acquirer are masked
by `shanfu.iso8583`. Source: PCI DSS 3.4.
"""

from collections.abc import Mapping

from shanfu.emv import describe as describe_tag
from shanfu.emv import masked_hex, sensitive_spans
from shanfu.errors import DecodeError
from shanfu.iso7816 import CommandAPDU, parse, phrase, tag_hex
from shanfu.pan import Ranges, overwrite

__all__ = ["explain_apdu", "explain_values", "mask_apdu"]

SECRET_INS = frozenset({0x20, 0x24, 0xD8, 0xDA, 0xDC, 0xE2})  # VERIFY, PIN CHANGE, PUT KEY, PUT DATA, UPDATE RECORD, STORE DATA


def mask_apdu(raw: bytes, *, response: bool) -> tuple[bytes, Ranges]:
    """Return a command or an answer fit to be shown, and the (start, end) ranges that were overwritten.

    >>> shown, ranges = mask_apdu(bytes.fromhex("770E570C6228000100001117D30122019000"), response=True)
    >>> shown.hex().upper(), ranges
    ('770E570C6228002A2A2A1117D32A2A2A9000', ((7, 10), (13, 16)))
    """
    return overwrite(raw, _response_ranges(raw) if response else _command_ranges(raw))


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
