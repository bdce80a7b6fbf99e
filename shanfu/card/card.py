"""A card: the plastic that holds a chip with one or more applications, and says which interfaces it has.

`power_on` is the field of an antenna or the contacts of a slot; it gives the answer to reset, or nothing where the card has
no such interface: a contact-only card in a field is silent. While powered, `answer` takes any bytes and never raises. The
card keeps the directories (PPSE, and PSE over contacts) and answers SELECT; everything else is the selected application's.
A blocked card selects nothing any more.

Called by readers and by the sandbox. Sources: EMV Book 1 8 (answer to reset), 11.3 and 12.3 (selection), EMV CL Book B 3.3,
EMV CL Book D (answer to select), ISO/IEC 7816-4 5.1.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from shanfu.card.application import Application
from shanfu.card.chip import refuse
from shanfu.card.commands import COMMANDS, CONTACT_COMMANDS, SELECT, lookup
from shanfu.card.contact import ContactDirectory
from shanfu.card.image import Interface
from shanfu.card.live import aids_in, card_blocked
from shanfu.dialogue import Memory
from shanfu.emv import PPSE, PSE, DirectoryEntry, ppse_fci
from shanfu.errors import DecodeError, StoreError
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord

__all__ = ["RESET_ANSWERS", "Card"]

BY_NAME: Final = 0x04  # SELECT P1 (EMV B1 table 9)
FIRST, NEXT = 0x00, 0x02  # SELECT P2 (EMV B1 table 10)
NAME_BYTES: Final = range(5, 17)  # EMV B1 12.2.1

HISTORICAL: Final = b"SHANFU"
# Direct convention, T=1, IFSC 254, BWI 4, CWI 5, check byte (EMV B1 8.2, basic ATR for T=1)
_ATR: Final = bytes((0xE0 | len(HISTORICAL), 0x00, 0x00, 0x81, 0x31, 0xFE, 0x45)) + HISTORICAL
# Length, frames of 256 bytes, 106 kbit/s both ways, frame waiting time 39 ms, no CID and NAD (ISO/IEC 14443-4 5.2)
_ATS: Final = bytes((0x78, 0x80, 0x70, 0x00)) + HISTORICAL


def _check_byte(raw: bytes) -> int:
    check = 0
    for octet in raw:
        check ^= octet
    return check


RESET_ANSWERS: Final[Mapping[Interface, bytes]] = {
    Interface.CONTACT: b"\x3b" + _ATR + bytes((_check_byte(_ATR),)),
    Interface.CONTACTLESS: bytes((len(_ATS) + 1,)) + _ATS,
}


class Card:
    """The applications that `memory` holds, behind the interfaces that the plastic has (by default all they can use).

    One thread; the caller closes nothing. `StoreVersion` if a newer card wrote the memory. A device that is no plastic gives
    the `applications` themselves. `directory_sfi` is the file of the contact directory (1 to 10), `random` gives challenges.
    """

    def __init__(
        self,
        memory: Memory | None = None,
        *,
        interfaces: Collection[Interface] | None = None,
        applications: Sequence[Application] = (),
        directory_sfi: int = 1,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        stored = (
            []
            if memory is None
            else [Application(memory, aid, commands=CONTACT_COMMANDS, random=random) for aid in aids_in(memory)]
        )
        self._memory, self._commands = memory, COMMANDS if memory is None else CONTACT_COMMANDS
        self._applications = [*stored, *applications]
        usable = {face for application in self._applications for face in application.interfaces}
        self.interfaces: frozenset[Interface] = frozenset(usable if interfaces is None else usable & set(interfaces))
        self._power: Interface | None = None
        self._selected: Application | None = None
        self._directory_sfi = directory_sfi
        self._directory: ContactDirectory | None = None

    def __repr__(self) -> str:
        return f"Card({self._applications}, {', '.join(sorted(self.interfaces))})"

    def has_interface(self, interface: Interface) -> bool:
        """Whether the card has an antenna, or contacts."""
        return interface in self.interfaces

    def power_on(self, interface: Interface) -> bytes:
        """Give power; return ATR or ATS, or nothing at all from a card without this interface."""
        self.power_off()
        if not self.has_interface(interface):
            return b""
        self._power = interface
        return RESET_ANSWERS[interface]

    def power_off(self) -> None:
        """Take power away: everything that is not in the memory is gone."""
        for application in self._applications:
            application.reset()
        self._power = self._selected = self._directory = None

    def answer(self, command: bytes) -> bytes:
        """Answer one command; any bytes get a status word, a card without power is silent."""
        if self._power is None:
            return b""
        try:
            apdu = CommandAPDU.parse(command)
        except DecodeError:
            return bytes(refuse(StatusWord.WRONG_LENGTH))
        try:
            response = self._respond(apdu, self._power)
        except StoreError:  # nothing was answered that the memory does not hold
            response = refuse(StatusWord.MEMORY_FAILURE)
        if apdu.le is not None and len(response.data) > apdu.le:  # ISO 7816-4 table 5, 6Cxx: ask again with this Le
            response = ResponseAPDU(b"", 0x6C00 | len(response.data) & 0xFF)
        return bytes(response)

    def _respond(self, command: CommandAPDU, interface: Interface) -> ResponseAPDU:
        if (command.cla, command.ins) == SELECT:
            return self._select(command, interface)
        if self._selected is not None:
            return self._selected.answer(command)
        if self._directory is not None:
            return self._directory.answer(command)
        row = lookup(self._commands, command)
        return refuse(row if isinstance(row, StatusWord) else StatusWord.CONDITIONS_NOT_SATISFIED)

    def _select(self, command: CommandAPDU, interface: Interface) -> ResponseAPDU:
        if command.p1 != BY_NAME or command.p2 not in (FIRST, NEXT):
            return refuse(StatusWord.WRONG_P1P2)
        if len(command.data) not in NAME_BYTES:
            return refuse(StatusWord.WRONG_LENGTH)
        if self._memory is not None and card_blocked(self._memory):
            return refuse(StatusWord.FUNCTION_NOT_SUPPORTED)  # JR/T 0025.5, CARD BLOCK; the word is unverified
        if interface == Interface.CONTACTLESS and command.data == PPSE and command.p2 == FIRST:
            self._choose(None)
            return ResponseAPDU(ppse_fci(self._entries(interface)))
        if interface == Interface.CONTACT and command.data == PSE and command.p2 == FIRST:
            self._choose(None)
            self._directory = ContactDirectory(self._entries(interface), self._directory_sfi)
            return self._directory.select()
        found = self._find(command.data, interface, after_selected=command.p2 == NEXT)
        if found is None:
            return refuse(StatusWord.FILE_NOT_FOUND)  # what was selected stays so (ISO 7816-4 11.1.1)
        self._choose(found)
        return found.select(interface)

    def _entries(self, interface: Interface) -> list[DirectoryEntry]:
        entries = (one.entry(interface) for one in self._applications if interface in one.interfaces)
        return sorted(entries, key=lambda entry: entry.rank)

    def _find(self, name: bytes, interface: Interface, *, after_selected: bool) -> Application | None:
        """Find the first application whose AID begins with the name, or the next after the selected one (EMV B1 12.3.5)."""
        candidates = [one for one in self._applications if interface in one.interfaces and one.aid.startswith(name)]
        if after_selected and self._selected in candidates:
            candidates = candidates[candidates.index(self._selected) + 1 :]
        return candidates[0] if candidates else None

    def _choose(self, application: Application | None) -> None:
        if self._selected is not None and self._selected is not application:
            self._selected.reset()
        self._selected, self._directory = application, None
