"""VERIFY: the card compares the PIN itself, plain or enciphered under its own key.

A try is spent, durably, before anything is compared, and given back by the right PIN: a card that is pulled at the right
moment has not gained a guess. What is no PIN under the card's key costs a try like a wrong one, so that the answer tells
nothing about the deciphered bytes.

Called through the table in `commands.py`. Sources: EMV Book 3 6.5.12 and 10.5.1, EMV Book 2 7.2, JR/T 0025.5. Unverified:
6984 for a card that has no PIN, and that SM2 enciphers the same data as RSA without filler.
"""

import hmac
from dataclasses import replace
from typing import Final

from shanfu.card.chip import Chip, refuse
from shanfu.card.image import Interface
from shanfu.card.session import PINProof
from shanfu.crypto import RSAPrivateKey
from shanfu.emv import ADA, CVR, open_pin_data
from shanfu.errors import DecodeError, IntegrityError
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord

__all__ = ["is_pin_block", "verify"]

PLAIN, ENCIPHERED = 0x80, 0x88  # EMV B3 table 24
BLOCK_BYTES: Final = 8
SM2_BYTES: Final = 1 + 64 + 32 + 17  # 04, C1, C3, and 7F with block and challenge
TRIES_LEFT: Final = 0x63C0  # EMV B3 6.5.12.5


def verify(chip: Chip, interface: Interface, command: CommandAPDU) -> ResponseAPDU:
    """Compare a PIN with the reference PIN (EMV B3 6.5.12); only over contacts, where nobody listens from afar."""
    if interface is not Interface.CONTACT:
        return refuse(StatusWord.CONDITIONS_NOT_SATISFIED)
    enciphered = command.p2 == ENCIPHERED
    if command.p1 or command.p2 not in (PLAIN, ENCIPHERED) or (enciphered and chip.image.icc is None):
        return refuse(StatusWord.WRONG_P1P2)
    reference, tries = chip.live.pin_block, chip.live.pin_tries
    if reference is None:
        return refuse(StatusWord.DATA_INVALIDATED)
    if tries == 0:
        chip.session.pin = PINProof.FAILED
        return refuse(StatusWord.PIN_BLOCKED)
    refused = _unfit(chip, command.data, enciphered=enciphered)
    if refused is not None:
        return refuse(refused)
    chip.live.keep({0x9F17: bytes((tries - 1,))})
    block = _deciphered(chip, command.data) if enciphered else command.data
    if hmac.compare_digest(block, reference):
        chip.live.keep({0x9F17: bytes((chip.image.pin_tries[1],))})
        chip.session.pin = PINProof.PASSED
        return refuse(StatusWord.OK)
    chip.session.pin = PINProof.FAILED
    if tries == 1:
        _lock(chip)
    return refuse(TRIES_LEFT | min(tries - 1, 0xF))


def is_pin_block(block: bytes) -> bool:
    """Whether eight bytes are `2L PIN F…` with 4 to 12 digits (EMV B3 table 25)."""
    text = block.hex()
    length = int(text[1], 16) if len(block) == BLOCK_BYTES and text[0] == "2" else 0
    return 4 <= length <= 12 and text[2 : 2 + length].isdecimal() and set(text[2 + length :]) <= {"f"}


def _unfit(chip: Chip, data: bytes, *, enciphered: bool) -> StatusWord | None:
    """Say what refuses the data before a try is spent: nothing here depends on the PIN."""
    if enciphered:
        key = chip.image.icc
        # EMV B2 7.1: as long as the modulus; SM2 as long as its point, its hash and the data
        if len(data) != (key.public.size if isinstance(key, RSAPrivateKey) else SM2_BYTES):
            return StatusWord.WRONG_LENGTH
        return None if chip.session.challenge else StatusWord.CONDITIONS_NOT_SATISFIED  # EMV B2 7.2 step 1
    if len(data) != BLOCK_BYTES:
        return StatusWord.WRONG_LENGTH
    return None if is_pin_block(data) else StatusWord.WRONG_DATA


def _deciphered(chip: Chip, data: bytes) -> bytes:
    """Return the block inside, empty if there is none for this challenge (EMV B2 7.2)."""
    key = chip.image.icc
    assert key is not None
    try:
        # the private operation of RSA is one, whether it signs or deciphers (EMV B2 7.2 step 2)
        block, challenge = open_pin_data(key.sign(data) if isinstance(key, RSAPrivateKey) else key.decrypt(data))
    except (DecodeError, IntegrityError):
        return b""
    return block if hmac.compare_digest(challenge, chip.session.challenge) else b""


def _lock(chip: Chip) -> None:
    """JR/T 0025.5, 9F52 byte 2 b8: the last wrong PIN may block the whole application."""
    if ADA.PIN_LOCKED_BLOCK in ADA.parse(chip.image.data.get(0x9F52, b"").ljust(2, b"\0")[:2]):
        standing = chip.live.standing
        chip.live.keep(standing=replace(standing, flags=standing.flags | CVR.APP_BLOCKED_BY_PIN), blocked=True)
