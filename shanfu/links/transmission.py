"""What card and reader say below the APDU: the answer to reset, and the procedure of T=0.

A contact card of the oldest protocol, T=0, cannot take data and give data in one command: it says how many bytes wait
(61xx) or how many it would give (6Cxx), and is asked once more. `ask_t0` is the reader's half of that dance, `T0Card` the
card's; both sides above them speak whole APDUs. Contactless readers answer with a made-up reset answer of a fixed form.

Called by `vpcd.py`, `apdu.py` and `pcsc.py`. Sources: ISO/IEC 7816-3 8 and 10, EMV Book 1 9.2.2 and 9.3.1, PC/SC Part 3 3.1.3.
"""

from collections.abc import Callable, Mapping
from typing import Final

from shanfu.errors import DecodeError
from shanfu.iso7816 import CommandAPDU, StatusWord

__all__ = ["CONTACT", "CONTACTLESS", "RESET_ANSWERS", "T0Card", "ask_t0", "begins_with_t0", "interface_of", "too_short"]

CONTACT, CONTACTLESS = "contact", "contactless"
RESET_ANSWERS: Final[Mapping[str, bytes]] = {
    CONTACTLESS: bytes.fromhex("3B80800101"),  # PC/SC Part 3 3.1.3.2.3: ISO 14443-4 without historical bytes, so T=1
    CONTACT: bytes.fromhex("3B6500002063CB6800"),  # T=0: the one protocol that every contact tool takes
}
MOST_ROUNDS: Final = 256  # of GET RESPONSE: 65,536 bytes, no command asks for more
GET_RESPONSE: Final = bytes.fromhex("00C00000")

Carry = Callable[[bytes], bytes]


def interface_of(reset_answer: bytes) -> str:
    """Tell by its answer to reset over which interface a reader reaches a card (PC/SC Part 3 3.1.3.2.3).

    Unverified: a contact card may choose bytes of this form for itself. This function is the place.

    >>> interface_of(bytes.fromhex("3B80800101")), interface_of(bytes.fromhex("3B6500002063CB6800"))
    ('contactless', 'contact')
    """
    head = reset_answer[:4]
    contactless = len(head) == 4 and head[0] == 0x3B and head[1] & 0xF0 == 0x80 and head[2:] == b"\x80\x01"
    return CONTACTLESS if contactless else CONTACT


def begins_with_t0(reset_answer: bytes) -> bool:
    """Say whether the first protocol that a reset answer offers is T=0 (ISO/IEC 7816-3 8.2.3: without TD1 it is).

    A contactless reader's made-up answer says so too, and means T=1 (PC/SC Part 3 3.1.3.2.3).
    """
    if interface_of(reset_answer) == CONTACTLESS:
        return False
    if len(reset_answer) < 2 or not reset_answer[1] & 0x80:
        return True
    place = 2 + bin(reset_answer[1] & 0x70).count("1")  # TA1, TB1, TC1 stand before TD1
    return len(reset_answer) <= place or reset_answer[place] & 0x0F == 0


def too_short(command: bytes) -> bytes:
    """Return the answer to what is no command, which no reader carries: a header has four bytes (ISO/IEC 7816-3 12.1.1).

    On the wire of `vpcd.py` a lone byte would be a word of the reader's.
    """
    return b"" if len(command) >= 4 else StatusWord.WRONG_LENGTH.to_bytes(2)


def ask_t0(carry: Carry, command: bytes) -> bytes:
    """Ask a T=0 card one whole command; `carry` brings what T=0 can bring, there and back.

    The answer is that of the APDU: data collected, and the status word of the command itself where the card gave a warning
    before its data (EMV B1 9.3.1.2).
    """
    try:
        apdu = CommandAPDU.parse(command)
    except DecodeError:
        return carry(command)
    both_ways = bool(apdu.data) and apdu.le is not None and not apdu.extended
    answer = carry(command[:-1] if both_ways else command)
    if len(answer) == 2 and answer[0] == 0x6C and apdu.le is not None and not both_ways:
        answer = carry(bytes(apdu.with_le(answer[1] or 0x100)))
    data, warning = answer[:-2], b""
    for _ in range(MOST_ROUNDS):
        if len(answer) < 2:
            return answer
        sw1, sw2 = answer[-2:]
        if sw1 in (0x61, 0x6C):
            wanted = sw2
        elif both_ways and not data and not warning and _warns(answer[-2:]):
            warning, wanted = answer[-2:], 0
        else:
            break
        answer = carry(GET_RESPONSE + bytes((wanted,)))
        data += answer[:-2]
    return data + (warning or answer[-2:])


def _warns(status: bytes) -> bool:
    """Say whether data may wait behind this status word (EMV B1 9.2.2.3.1)."""
    return status[0] in (0x62, 0x63) or (status[0] & 0xF0 == 0x90 and status != b"\x90\x00")


class T0Card:
    """Lets a card that answers whole APDUs be asked under T=0."""

    def __init__(self, answer: Carry) -> None:
        self._answer = answer
        self._waiting = b""  # for GET RESPONSE
        self._again: tuple[bytes, bytes] | None = None  # a command's head, and its answer for when the right Le comes

    def reset(self) -> None:
        """Forget what was waiting: power was lost."""
        self._waiting, self._again = b"", None

    def answer(self, command: bytes) -> bytes:
        """Answer what a T=0 reader sent: with data only if the command brought none and asks for their exact length."""
        if command[:4] == GET_RESPONSE and len(command) == 5:
            return self._more(command[4] or 0x100)
        held, self._waiting, self._again = self._again, b"", None
        bare = len(command) <= 5  # no data: a head, and Le
        answer = held[1] if held and bare and held[0] == command[:4] else self._answer(command)
        data, status = answer[:-2], answer[-2:]
        if not data:
            return answer
        if not bare:  # 61xx, or a warning whose data GET RESPONSE fetches
            self._waiting = data
            return bytes((0x61, min(len(data), 0x100) & 0xFF)) if status == b"\x90\x00" else status
        if len(command) == 5 and (command[4] or 0x100) == len(data):
            return answer
        self._again = (command[:4], answer)
        return bytes((0x6C, len(data) & 0xFF))

    def _more(self, wanted: int) -> bytes:
        if not self._waiting:
            return StatusWord.CONDITIONS_NOT_SATISFIED.to_bytes(2)
        if wanted > len(self._waiting):
            return bytes((0x6C, len(self._waiting)))
        data, self._waiting = self._waiting[:wanted], self._waiting[wanted:]
        left = min(len(self._waiting), 0x100) & 0xFF
        return data + (bytes((0x61, left)) if self._waiting else b"\x90\x00")
