"""What of a frame may be shown: the same bytes with their length, secrets overwritten, the overwritten ranges listed.

One rule for both dialects, so that the two ends of a wire show a frame alike: every field that its dialect calls secret is
overwritten, of the card number (DE2) the first six and last four digits stay, and of the chip data (DE55) the values of tags
that hold a card number, an expiry date or the holder. Bytes that cannot be read are overwritten altogether: what we do not
understand we do not show. `explain` says the same message in words, masked alike.

Who calls: the events of terminal, acquirer, network and issuer. Source: PCI DSS 3.4.
"""

from typing import Final

from shanfu.errors import DecodeError
from shanfu.iso7816 import parse
from shanfu.iso8583.codec import Dialect, Message
from shanfu.iso8583.describe import EXPIRY_TAGS, HIDDEN_TAGS, PAN_TAGS, describe
from shanfu.iso8583.fields import IN_NIBBLES, Field
from shanfu.iso8583.interbank import BODY, INTERBANK
from shanfu.iso8583.pos import POS
from shanfu.pan import Ranges, overwrite

__all__ = ["explain", "masked"]

HEADS: Final = {POS.name: 13, INTERBANK.name: BODY}  # bytes before the MTI
MAX_SHOWN: Final = 200  # characters of one value
SECRET_TAGS: Final = PAN_TAGS | EXPIRY_TAGS | HIDDEN_TAGS


def masked(frame: bytes, dialect: Dialect) -> tuple[bytes, Ranges]:
    """Return a frame fit to be shown, and the (start, end) ranges that were overwritten; never raises.

    >>> from shanfu.iso8583.pos import PosFrame, encode_pos
    >>> message = Message("0200", {2: "6200000000000005", 3: "000000"})
    >>> shown, ranges = masked(encode_pos(PosFrame("6000030000", "613100310000", message)), POS)
    >>> shown[24:].hex(), ranges
    ('6200002a2a2a0005000000', ((27, 30),))
    """
    at = head = min(HEADS[dialect.name], len(frame))
    ranges: list[tuple[int, int]] = []
    try:
        for row, start, end in dialect.walk(frame[head:]):
            ranges += _secret_in(row, frame, (head + start, head + end))
            at = head + end
    except DecodeError:
        pass  # the rest is overwritten, as is what is left after the last field
    return overwrite(frame, [*ranges, (at, len(frame))])


def explain(message: Message, dialect: Dialect) -> dict[str, str]:
    """Return the fields of a message in words, by their paths; secrets hidden as in `describe`."""
    return {row.path: f"{row.name}: {row.value}"[:MAX_SHOWN] for row in describe(message, dialect)}


def _secret_in(row: Field, frame: bytes, span: tuple[int, int]) -> list[tuple[int, int]]:
    start, end = span
    if row.number == 2:
        first, last = (3, 2) if row.encoding in IN_NIBBLES else (6, 4)
        return [(start + first, end - last)] if end - start >= 2 * first else [span]
    if row.number == 55:
        return _secret_tags(frame[start:end], start)
    return [span] if row.secret else []


def _secret_tags(chip: bytes, start: int) -> list[tuple[int, int]]:
    try:
        nodes = [node for node in parse(chip).walk() if node.children is None and node.tag in SECRET_TAGS]
    except DecodeError:
        return [(start, start + len(chip))]
    return [(at := start + node.value_offset, at + len(node.value)) for node in nodes]
