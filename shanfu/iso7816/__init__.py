"""ISO/IEC 7816: the language in which any terminal and any smart card talk.

In the world: the part of the chip-card standard that payment uses, without transport (readers belong to `links`).
Asked by every party that touches a card or card data: how to cut and build TLV, commands, answers and status words.
Asks nobody; it is pure and keeps no state.

Files in reading order: `tlv.py` (data), `apdu.py` (commands and answers), `status.py` (status words).
"""

from shanfu.iso7816.apdu import CommandAPDU, ResponseAPDU
from shanfu.iso7816.status import (
    Family,
    StatusWord,
    bytes_waiting,
    family,
    is_success,
    phrase,
    right_le,
    status,
    tries_left,
)
from shanfu.iso7816.tlv import LIMITS, TLV, Limits, TLVList, parse, parse_flat, tag_bytes, tag_hex, tlv

__all__ = [
    "LIMITS", "TLV", "CommandAPDU", "Family", "Limits", "ResponseAPDU", "StatusWord", "TLVList", "bytes_waiting", "family",
    "is_success", "parse", "parse_flat", "phrase", "right_le", "status", "tag_bytes", "tag_hex", "tlv", "tries_left",
]  # fmt: skip
