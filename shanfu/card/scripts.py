"""The issuer's commands to its card: limits and balance, records, PIN, blocking, each under a MAC of this transaction.

The MAC key and the MAC's input belong to one ATC and one ARQC: yesterday's command is worth nothing today. An issuer that
failed to authenticate itself commands nothing, and after one refusal the rest of the transaction's commands are refused too,
so that a MAC of four bytes is guessed at once a transaction. What a command changes and that it was carried out are one
durable write; the next cryptogram's CVR counts it.

Called through the table in `commands.py`. Sources: JR/T 0025.5 (post-issuance commands), EMV Book 3 6.5.1 to 6.5.3 and
6.5.10, EMV Book 2 9. The MAC's input and the key bytes in a new PIN's block are `crypto`'s two unverified functions; the
status words for secure messaging are unverified as a whole. PIN CHANGE with the old PIN (P2 01) is not done.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from shanfu.card.chip import Chip, refuse
from shanfu.card.image import CardImage, Interface
from shanfu.card.keys import ChipKeyRing, Spent
from shanfu.card.personalise import check_image
from shanfu.card.session import IssuerProof
from shanfu.crypto import script_mac_input, unpad2, xor
from shanfu.emv import CVR
from shanfu.errors import ConfigError, DecodeError
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord

__all__ = [
    "application_block", "application_unblock", "card_block", "pin_change_unblock", "put_data", "unblock_blocked",
    "update_record",
]  # fmt: skip

MAC_BYTES: Final = 4
MAX_COUNT: Final = 15  # CVR byte 4 b8-b5
UNBLOCK_PIN, CHANGE_PIN = 0x00, 0x02  # P2 (EMV B3 6.5.10)
# What PUT DATA may set (JR/T 0025.5, JR/T 0025.13): limits of offline payment, e-cash balance and its limits
AMOUNTS: Final = frozenset({0x9F54, 0x9F5C, 0x9F6B, 0x9F6D, 0x9F77, 0x9F78, 0x9F79})
COUNTS: Final = frozenset({0x9F53, 0x9F58, 0x9F59, 0x9F72})
PIN_GROUPING: Final = 0x8010
MAX_RECORD: Final = 254  # EMV B3 6.5.11: what a short READ RECORD brings

Change = dict[str, Any]  # the arguments of LiveData.keep
Effect = Callable[[Chip, CommandAPDU, bytes], Change | StatusWord]


@dataclass(frozen=True, slots=True)
class _Order:
    """One command: which P1 P2 it has, how long its data without MAC are, and what it does."""

    fits: Callable[[Chip, int, int], StatusWord | None]
    sized: Callable[[Chip, CommandAPDU, int], bool]
    effect: Effect

    def __call__(self, chip: Chip, _: Interface, command: CommandAPDU) -> ResponseAPDU:
        """Answer the command."""
        session = chip.session
        if session.issuer is IssuerProof.FAILED or session.spent is None:  # JR/T 0025.5
            return refuse(StatusWord.CONDITIONS_NOT_SATISFIED)
        if session.script_failed:
            return refuse(StatusWord.SECURITY_STATUS)
        change = self.change(chip, command, spent=session.spent, arqc=session.cryptogram)
        standing = chip.live.standing
        if isinstance(change, StatusWord):
            session.script_failed = True
            chip.live.keep(standing=replace(standing, flags=standing.flags | CVR.LAST_SCRIPT_FAILED))
            return refuse(change)
        flags = standing.flags & ~change.pop("forget", 0)
        chip.live.keep(**change, standing=replace(standing, flags=flags, scripts=min(standing.scripts + 1, MAX_COUNT)))
        session.rewritten = "groupings" in change
        return refuse(StatusWord.OK)

    def change(self, chip: Chip, command: CommandAPDU, *, spent: Spent, arqc: bytes) -> Change | StatusWord:
        """Check P1 P2, length and MAC in this order, and return what is to be done."""
        unfit = self.fits(chip, command.p1, command.p2)
        if unfit is not None:
            return unfit
        size = len(command.data) - MAC_BYTES
        if size < 0:
            return StatusWord.MAC_MISSING
        if not self.sized(chip, command, size):
            return StatusWord.WRONG_LENGTH
        body, mac = command.data[:size], command.data[size:]
        header = bytes((command.cla, command.ins, command.p1, command.p2, len(command.data)))
        if spent.mac is None or not hmac.compare_digest(
            spent.mac.script_mac(script_mac_input(header, atc=spent.atc, cryptogram=arqc, data=body)), mac
        ):
            return StatusWord.MAC_WRONG
        return self.effect(chip, command, body)


def _plain(_: Chip, p1: int, p2: int) -> StatusWord | None:
    return StatusWord.WRONG_P1P2 if p1 or p2 else None


def _bare(_: Chip, __: CommandAPDU, size: int) -> bool:
    return size == 0


def _tag(command: CommandAPDU) -> int:
    return command.p1 << 8 | command.p2


def _known_tag(chip: Chip, p1: int, p2: int) -> StatusWord | None:
    tag = p1 << 8 | p2
    known = tag in AMOUNTS | COUNTS and chip.value(tag) is not None
    return None if known else StatusWord.REFERENCED_DATA_NOT_FOUND


def _as_long(chip: Chip, command: CommandAPDU, size: int) -> bool:
    return size == len(chip.value(_tag(command)) or b"")


def _put(chip: Chip, command: CommandAPDU, body: bytes) -> Change | StatusWord:
    tag = _tag(command)
    if tag in AMOUNTS and not body.hex().isdecimal():
        return StatusWord.WRONG_DATA
    limit = chip.value(0x9F77)
    if tag == 0x9F79 and limit is not None and body > limit:  # JR/T 0025.13: n12 compare as bytes do
        return StatusWord.WRONG_DATA
    return {"tags": {tag: body}}


def _known_record(chip: Chip, p1: int, p2: int) -> StatusWord | None:
    sfi = p2 >> 3
    if p2 & 7 != 4 or not 1 <= sfi <= 30:
        return StatusWord.WRONG_P1P2
    if sfi not in chip.image.files:
        return StatusWord.FILE_NOT_FOUND
    if sfi in chip.image.logs:  # the card alone writes its log
        return StatusWord.COMMAND_INCOMPATIBLE
    return None if (sfi, p1) in chip.image.records else StatusWord.RECORD_NOT_FOUND


def _record_sized(_: Chip, __: CommandAPDU, size: int) -> bool:
    return 0 < size <= MAX_RECORD


def _update(chip: Chip, command: CommandAPDU, body: bytes) -> Change | StatusWord:
    """Refuse a record with which the card could not pay any more, as its maker would have."""
    groupings = {command.p2 >> 3 << 8 | command.p1: body}
    try:
        check_image(CardImage.read(chip.live.groupings() | groupings))
    except (DecodeError, ConfigError):
        return StatusWord.WRONG_DATA
    return {"groupings": groupings}


def _pin_order(chip: Chip, p1: int, p2: int) -> StatusWord | None:
    if p1 or p2 not in (UNBLOCK_PIN, CHANGE_PIN):
        return StatusWord.WRONG_P1P2
    return StatusWord.DATA_INVALIDATED if chip.live.pin_block is None else None


def _pin_sized(_: Chip, command: CommandAPDU, size: int) -> bool:
    return size == (16 if command.p2 == CHANGE_PIN else 0)  # JR/T 0025.7: length, block, 80 and zeros in two blocks, or one


def _pin(chip: Chip, command: CommandAPDU, body: bytes) -> Change | StatusWord:
    change: Change = {"tags": {0x9F17: bytes((chip.image.pin_tries[1],))}}
    if command.p2 == UNBLOCK_PIN:
        return change
    block = _new_pin(chip, body)
    return StatusWord.WRONG_DATA if block is None else change | {"groupings": {PIN_GROUPING: block}}


def _new_pin(chip: Chip, body: bytes) -> bytes | None:
    """Return the new reference block `2L PIN F…` (JR/T 0025.7); None if the deciphered bytes are no PIN."""
    spent = chip.session.spent
    if spent is None or spent.scripts is None:
        return None
    keys = spent.scripts()
    clear = keys.cipher.decrypt(body)
    try:
        inside = unpad2(clear)
    except DecodeError:
        return None
    if len(inside) != 9 or inside[0] != 8:
        return None
    text = xor(inside[1:], bytes(4) + keys.pin_mask).hex()
    length = int(text[1], 16)
    good = text[0] == "0" and 4 <= length <= 12 and text[2 : 2 + length].isdecimal() and set(text[2 + length :]) <= {"f"}
    return bytes.fromhex(f"2{text[1:]}") if good else None


def _application_block(_: Chip, __: CommandAPDU, ___: bytes) -> Change | StatusWord:
    return {"blocked": True}


def _application_unblock(_: Chip, __: CommandAPDU, ___: bytes) -> Change | StatusWord:
    return {"blocked": False, "forget": CVR.APP_BLOCKED_BY_PIN}


def _card_block(_: Chip, __: CommandAPDU, ___: bytes) -> Change | StatusWord:
    return {"card_blocked": True}


put_data = _Order(_known_tag, _as_long, _put)
update_record = _Order(_known_record, _record_sized, _update)
pin_change_unblock = _Order(_pin_order, _pin_sized, _pin)
application_block = _Order(_plain, _bare, _application_block)
application_unblock = _Order(_plain, _bare, _application_unblock)
card_block = _Order(_plain, _bare, _card_block)


def unblock_blocked(chip: Chip, interface: Interface, command: CommandAPDU) -> ResponseAPDU:
    """Answer APPLICATION UNBLOCK: in a transaction as any script, or to a blocked application under its last ARQC, once.

    A blocked application begins no transaction, so a bank's own device binds the command to the last one (unverified).
    """
    if not chip.live.blocked or chip.session.spent is not None:
        return application_unblock(chip, interface, command)
    standing = chip.live.standing
    if not standing.arqc or not isinstance(chip.ring, ChipKeyRing):
        return refuse(StatusWord.CONDITIONS_NOT_SATISFIED)
    spent = chip.ring.recall(standing.atc)
    change = application_unblock.change(chip, command, spent=spent, arqc=standing.arqc)
    if isinstance(change, StatusWord):
        if change is StatusWord.MAC_WRONG:  # nobody guesses four bytes in peace
            chip.live.keep(standing=replace(standing, atc=0, arqc=b""))
        return refuse(change)
    flags = standing.flags & ~CVR.APP_BLOCKED_BY_PIN
    chip.live.keep(blocked=False, standing=replace(standing, flags=flags, atc=0, arqc=b""))
    return refuse(StatusWord.OK)
