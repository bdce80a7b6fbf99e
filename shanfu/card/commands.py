"""The commands that a selected application understands, as one table keyed by class and instruction.

A row says which function answers, in which states it may be called, and what its success does to the state. Whoever gives
an application more commands (the contact flow, issuer scripts) gives it a longer table. SELECT is not among them: it is
answered by whoever holds several applications: a card, a secure element, a phone.

Every misuse has its own status word, checked in this order: class, instruction, state, P1 P2, length, data.
Called by `application.py`. Sources: EMV Book 3 6.5, ISO/IEC 7816-4 5.1 (status words), JR/T 0025.5.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shanfu.card.chip import Chip, refuse
from shanfu.card.image import Interface
from shanfu.card.initiate import get_processing_options
from shanfu.card.state import Event, State
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord, tlv

__all__ = ["COMMANDS", "Command", "CommandTable", "get_data", "lookup", "read_record"]

# What GET DATA may show (EMV B3 6.5.7; the e-cash objects JR/T 0025.13): counters, limits, log formats; never card data
PUBLIC_OBJECTS: Final = frozenset({
    0x9F13, 0x9F17, 0x9F36, 0x9F4F, 0x9F51, 0x9F5D, 0x9F68, 0x9F6B, 0x9F6C, 0x9F6D, 0x9F77, 0x9F78, 0x9F79,
    0xDF4F, 0xDF71, 0xDF79,
})  # fmt: skip
SELECT: Final = (0x00, 0xA4)

Handler = Callable[[Chip, Interface, CommandAPDU], ResponseAPDU]


@dataclass(frozen=True, slots=True)
class Command:
    """One row: who answers, when, and the event that success is."""

    handler: Handler
    states: frozenset[State]
    then: Event | None = None


CommandTable = Mapping[tuple[int, int], Command]


def read_record(chip: Chip, _: Interface, command: CommandAPDU) -> ResponseAPDU:
    """READ RECORD: the record as it was written (EMV B3 6.5.11)."""
    sfi, mode = command.p2 >> 3, command.p2 & 7
    if mode != 4 or not 1 <= sfi <= 30:  # EMV B3 table 22: P1 is a record number of the file in P2
        return refuse(StatusWord.WRONG_P1P2)
    if command.data:
        return refuse(StatusWord.WRONG_LENGTH)
    if sfi not in chip.image.files:
        return refuse(StatusWord.FILE_NOT_FOUND)
    record = chip.image.records.get((sfi, command.p1))
    return refuse(StatusWord.RECORD_NOT_FOUND) if record is None else ResponseAPDU(record)


def get_data(chip: Chip, _: Interface, command: CommandAPDU) -> ResponseAPDU:
    """GET DATA: one object as TLV, by the tag in P1 P2 (EMV B3 6.5.7)."""
    if command.data:
        return refuse(StatusWord.WRONG_LENGTH)
    tag = command.p1 << 8 | command.p2
    value = chip.value(tag) if tag in PUBLIC_OBJECTS else None
    return refuse(StatusWord.REFERENCED_DATA_NOT_FOUND) if value is None else ResponseAPDU(bytes(tlv(tag, value)))


# fmt: off
COMMANDS: Final[CommandTable] = MappingProxyType({
    (0x00, 0xB2): Command(read_record, frozenset({State.SELECTED, State.INITIATED})),             # EMV B3 6.5.11
    (0x80, 0xA8): Command(get_processing_options, frozenset({State.SELECTED}), Event.INITIATE),   # EMV B3 6.5.8
    (0x80, 0xCA): Command(get_data, frozenset({State.SELECTED, State.BLOCKED, State.INITIATED})),  # EMV B3 6.5.7
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
