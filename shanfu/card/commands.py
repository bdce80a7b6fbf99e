"""The commands that a selected application understands, as one table keyed by class and instruction.

A row says which function answers, in which states it may be called, and what its success does to the state. A phone has
`COMMANDS` and no more; a card of plastic has `CONTACT_COMMANDS`, which add the contact flow and the issuer's scripts. SELECT
is in neither: it is answered by whoever holds several applications: a card, a secure element, a phone.

Every misuse has its own status word, checked in this order: class, instruction, state, P1 P2, length, data.
Called by `application.py`. Sources: EMV Book 3 6.5, ISO/IEC 7816-4 5.1 (status words), JR/T 0025.5.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shanfu.card import scripts
from shanfu.card.authenticate import external_authenticate, get_challenge, internal_authenticate
from shanfu.card.chip import Chip, refuse
from shanfu.card.generate_ac import event_of_cryptogram, generate_ac
from shanfu.card.image import Interface
from shanfu.card.initiate import event_of_options, get_processing_options
from shanfu.card.offline import count_at_last_record
from shanfu.card.session import Session
from shanfu.card.state import Event, State
from shanfu.card.verify import verify
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord, tlv

__all__ = ["COMMANDS", "CONTACT_COMMANDS", "Command", "CommandTable", "get_data", "lookup", "read_record"]

# What GET DATA may show (EMV B3 6.5.7; the e-cash objects JR/T 0025.13): counters, limits, log formats; never card data
PUBLIC_OBJECTS: Final = frozenset({
    0x9F13, 0x9F17, 0x9F36, 0x9F4F, 0x9F51, 0x9F5D, 0x9F68, 0x9F6B, 0x9F6C, 0x9F6D, 0x9F77, 0x9F78, 0x9F79,
    0xDF4F, 0xDF71, 0xDF79,
})  # fmt: skip
SELECT: Final = (0x00, 0xA4)

Handler = Callable[[Chip, Interface, CommandAPDU], ResponseAPDU]


@dataclass(frozen=True, slots=True)
class Command:
    """One row: who answers, when, and the event that success is, which may depend on what was answered."""

    handler: Handler
    states: frozenset[State]
    then: Callable[[Session], Event] | None = None


CommandTable = Mapping[tuple[int, int], Command]


def read_record(chip: Chip, _: Interface, command: CommandAPDU) -> ResponseAPDU:
    """READ RECORD: the record as it was written (EMV B3 6.5.11); the last one of an offline approval is where it counts."""
    sfi, mode = command.p2 >> 3, command.p2 & 7
    if mode != 4 or not 1 <= sfi <= 30:  # EMV B3 table 22: P1 is a record number of the file in P2
        return refuse(StatusWord.WRONG_P1P2)
    if command.data:
        return refuse(StatusWord.WRONG_LENGTH)
    virtual = chip.session.virtual.get((sfi, command.p1))
    if sfi not in chip.image.files and virtual is None:
        return refuse(StatusWord.FILE_NOT_FOUND)
    record = virtual or chip.image.records.get((sfi, command.p1))
    if record is None:
        return refuse(StatusWord.RECORD_NOT_FOUND)
    count_at_last_record(chip, (sfi, command.p1))
    return ResponseAPDU(record)


def get_data(chip: Chip, _: Interface, command: CommandAPDU) -> ResponseAPDU:
    """GET DATA: one object as TLV, by the tag in P1 P2 (EMV B3 6.5.7)."""
    if command.data:
        return refuse(StatusWord.WRONG_LENGTH)
    tag = command.p1 << 8 | command.p2
    value = chip.value(tag) if tag in PUBLIC_OBJECTS else None
    return refuse(StatusWord.REFERENCED_DATA_NOT_FOUND) if value is None else ResponseAPDU(bytes(tlv(tag, value)))


# fmt: off
_S = State
READING: Final  = frozenset({_S.SELECTED, _S.INITIATED, _S.OPENED, _S.ONLINE, _S.ENDED, _S.COMPLETED})
OPENED: Final   = frozenset({_S.OPENED})
CHOOSING: Final = frozenset({_S.OPENED, _S.ONLINE})         # either GENERATE AC
SCRIPTS: Final  = frozenset({_S.ONLINE, _S.COMPLETED})      # template 71 before the second GENERATE AC, 72 after it

COMMANDS: Final[CommandTable] = MappingProxyType({
    (0x00, 0xB2): Command(read_record, READING),                                                       # EMV B3 6.5.11
    (0x80, 0xA8): Command(get_processing_options, frozenset({_S.SELECTED}), event_of_options),         # EMV B3 6.5.8
    (0x80, 0xCA): Command(get_data, READING | {_S.BLOCKED}),                                           # EMV B3 6.5.7
})

CONTACT_COMMANDS: Final[CommandTable] = MappingProxyType(dict(COMMANDS) | {
    (0x00, 0x20): Command(verify, OPENED),                                                             # EMV B3 6.5.12
    (0x00, 0x82): Command(external_authenticate, frozenset({_S.ONLINE})),                              # EMV B3 6.5.4
    (0x00, 0x84): Command(get_challenge, READING),                                                     # EMV B3 6.5.6
    (0x00, 0x88): Command(internal_authenticate, OPENED),                                              # EMV B3 6.5.9
    (0x04, 0xDA): Command(scripts.put_data, SCRIPTS),                                                  # JR/T 0025.5
    (0x04, 0xDC): Command(scripts.update_record, SCRIPTS),                                             # JR/T 0025.5
    (0x80, 0xAE): Command(generate_ac, CHOOSING, event_of_cryptogram),                                 # EMV B3 6.5.5
    (0x84, 0x16): Command(scripts.card_block, SCRIPTS),                                                # EMV B3 6.5.3
    (0x84, 0x18): Command(scripts.unblock_blocked, SCRIPTS | {_S.BLOCKED}),                            # EMV B3 6.5.2
    (0x84, 0x1E): Command(scripts.application_block, SCRIPTS),                                         # EMV B3 6.5.1
    (0x84, 0x24): Command(scripts.pin_change_unblock, SCRIPTS),                                        # EMV B3 6.5.10
})
# fmt: on


def lookup(commands: CommandTable, command: CommandAPDU) -> Command | StatusWord:
    """Find a command's row, or the status word that refuses its class or instruction (ISO/IEC 7816-4 5.1.3)."""
    row = commands.get((command.cla, command.ins))
    if row is not None:
        return row
    known = {*commands, SELECT}
    instructions = {ins for _, ins in known}
    if command.cla not in {cla for cla, _ in known} or command.ins in instructions:
        return StatusWord.CLA_NOT_SUPPORTED
    return StatusWord.INS_NOT_SUPPORTED
