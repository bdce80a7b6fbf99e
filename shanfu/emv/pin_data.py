"""What travels inside an enciphered offline PIN: the block, the card's challenge, and filler up to the key's length.

The PIN pad builds it and enciphers it under the card's public key; the card deciphers and takes it apart. The challenge
(GET CHALLENGE) makes yesterday's exchange worthless today. The 8-byte block itself is `2L PIN F…`, as in a plain VERIFY.

Called by PIN pads and cards. Sources: EMV Book 2 7.1 and 7.2; that SM2 takes the same data without filler is unverified
(JR/T 0025.17 is not public) and stands in `size` being free.
"""

from typing import Final

from shanfu.errors import DecodeError, Fault

__all__ = ["MIN_PIN_DATA", "PIN_DATA_HEADER", "open_pin_data", "pin_data"]

PIN_DATA_HEADER: Final = 0x7F  # EMV B2 7.1 table 25
BLOCK_BYTES: Final = 8
CHALLENGE_BYTES: Final = 8
MIN_PIN_DATA: Final = 1 + BLOCK_BYTES + CHALLENGE_BYTES


def pin_data(block: bytes, challenge: bytes, fill: bytes = b"") -> bytes:
    """Join header, PIN block (8 bytes), challenge (8 bytes) and random filler (RSA: key bytes minus 17, EMV B2 7.1)."""
    if len(block) != BLOCK_BYTES or len(challenge) != CHALLENGE_BYTES:
        raise DecodeError("block and challenge have 8 bytes each", fault=Fault.LENGTH, path="PIN data", spec="EMV B2 7.1")
    return bytes((PIN_DATA_HEADER,)) + block + challenge + fill


def open_pin_data(data: bytes) -> tuple[bytes, bytes]:
    """Return (block, challenge) of deciphered data; raise DecodeError without the header or if short (EMV B2 7.2).

    >>> block, challenge = open_pin_data(pin_data(bytes.fromhex("241234FFFFFFFFFF"), bytes(8), b"filler"))
    >>> len(block), challenge == bytes(8)
    (8, True)
    """
    if len(data) < MIN_PIN_DATA or data[0] != PIN_DATA_HEADER:
        raise DecodeError("no PIN data under this key", path="PIN data", spec="EMV B2 7.2")
    return data[1 : 1 + BLOCK_BYTES], data[1 + BLOCK_BYTES : MIN_PIN_DATA]
