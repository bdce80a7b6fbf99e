"""The PBOC payment application: selected by name, asked once for a payment, read.

It does not know what it lives in. A plastic card, a secure element or a phone's host card holds it, passes on its SELECT
and its commands, and tells it when power or selection is lost; the memory, and the key ring if it is not a chip's own, are
given to it. All that it must remember is durable before it answers.

Called by `card.py` and by secure elements and wallets. Sources: JR/T 0025.5, JR/T 0025.12, EMV Book 1 11.3, EMV Book 3 6.5.
"""

import os
from collections.abc import Callable
from dataclasses import replace

from shanfu.card.authenticate import get_challenge
from shanfu.card.chip import Chip, refuse
from shanfu.card.commands import COMMANDS, CommandTable, lookup
from shanfu.card.image import CardImage, Interface
from shanfu.card.keys import CardKeys, ChipKeyRing, KeyRing
from shanfu.card.live import LiveData, image_in
from shanfu.card.session import Session
from shanfu.card.state import Event, State, after
from shanfu.dialogue import Memory
from shanfu.emv import FCI, DirectoryEntry
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord

__all__ = ["Application"]


def select_status(*, blocked: bool) -> StatusWord:
    """Return the word that ends the answer to SELECT: a blocked application still shows its FCI (EMV B1 11.3.5).

    Unverified where a GlobalPlatform chip is locked too: its own words then come first, from whoever holds the application.
    """
    return StatusWord.BLOCKED_FILE if blocked else StatusWord.OK


class Application:
    """One personalised application, read from `memory` by its AID; belongs to one thread.

    `ring` is a chip's own unless given; `commands` are those of a tap unless the longer table of a card is given. `NotFound`
    if the memory has no such application, DecodeError if its image is damaged.
    """

    def __init__(
        self,
        memory: Memory,
        aid: bytes,
        *,
        ring: KeyRing | None = None,
        commands: CommandTable = COMMANDS,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        image, live = CardImage.read(image_in(memory, aid)), LiveData(memory, aid)
        own = ring or ChipKeyRing(live, image.algorithm, CardKeys.parse(image.keys))
        self._chip = Chip(image=image, live=live, ring=own, random=random)
        self._commands = commands
        self._interface = Interface.CONTACT
        self.state = State.INERT

    def __repr__(self) -> str:
        return f"Application({self.aid.hex().upper()}, {self.state})"

    @property
    def aid(self) -> bytes:
        """Its name, 5 to 16 bytes."""
        return self._chip.image.aid

    @property
    def interfaces(self) -> frozenset[Interface]:
        """On which interfaces it can be selected."""
        return frozenset(self._chip.image.fci)

    def entry(self, interface: Interface = Interface.CONTACTLESS) -> DirectoryEntry:
        """Return its line in a directory (EMV CL B 3.3.2; EMV B1 12.2.3, where the preferred name is told too)."""
        fci = FCI.parse(self._chip.image.fci[interface])
        name = fci.preferred_name if interface is Interface.CONTACT else None
        return DirectoryEntry(aid=self.aid, label=fci.label, priority=fci.priority, preferred_name=name)

    def select(self, interface: Interface) -> ResponseAPDU:
        """Answer SELECT with the FCI of this interface; 6283 if blocked or if no transaction is left (EMV B1 11.3.5).

        Nothing durable changes.
        """
        blocked = self._chip.live.blocked or self._chip.ring.exhausted()
        self.state = after(self.state, Event.SELECT_BLOCKED if blocked else Event.SELECT)
        self._chip = replace(self._chip, session=Session())
        self._interface = interface
        return ResponseAPDU(self._chip.image.fci[interface], select_status(blocked=blocked))

    def reset(self) -> None:
        """Become inert: power is lost, or another application is selected."""
        self.state = after(self.state, Event.RESET)
        self._chip = replace(self._chip, session=Session())

    def answer(self, command: CommandAPDU) -> ResponseAPDU:
        """Answer a command other than SELECT; a StoreError leaves the state as it was."""
        row = lookup(self._commands, command)
        if isinstance(row, StatusWord):
            return refuse(row)
        if self.state not in row.states:
            return refuse(StatusWord.CONDITIONS_NOT_SATISFIED)
        response = row.handler(self._chip, self._interface, command)
        session = self._chip.session
        if row.handler is not get_challenge:
            session.challenge = b""  # EMV B3 6.5.6.1: good for the next command alone
        if session.rewritten:
            self._chip = replace(self._chip, image=CardImage.read(self._chip.live.groupings()))
            session.rewritten = False
        if response.ok and row.then is not None:
            self.state = after(self.state, row.then(session))
        return response
