"""The card reader as a peer: it powers the card that lies in its field or slot and carries one APDU there and back.

A card that is not there, or that has no antenna, is silent (LinkTimeout). A card that is taken away is gone from that
APDU on (LinkClosed): whether it carried the last command out, the terminal cannot know. `tear_after` takes it away by
itself after so many commands, for those who want to see a torn tap.
"""

from typing import Protocol

from shanfu.card import Interface
from shanfu.errors import LinkClosed, LinkTimeout

__all__ = ["PresentedCard", "Reader"]


class PresentedCard(Protocol):
    """A card or a phone, as far as a reader looks at it."""

    def power_on(self, interface: Interface) -> bytes:
        """Give power; the answer to reset, or nothing from a card without this interface."""
        ...

    def power_off(self) -> None:
        """Take power away."""
        ...

    def answer(self, command: bytes) -> bytes:
        """Return the response to one command."""
        ...


class Reader:
    """One field (or slot) of a terminal. `reader.ask` is the dialogue's peer "card"."""

    def __init__(self, interface: Interface = Interface.CONTACTLESS) -> None:
        self.interface = interface
        self._card: PresentedCard | None = None
        self._left: int | None = None
        self._taken = False

    def present(self, card: PresentedCard, *, tear_after: int | None = None) -> None:
        """Bring a card; with `tear_after` it carries out that many commands and leaves before the last answer comes."""
        self._card = card if card.power_on(self.interface) else None
        self._left, self._taken = tear_after, False

    def remove(self) -> None:
        """Take the card away."""
        if self._card is not None:
            self._card.power_off()
        self._card, self._taken = None, True

    def ask(self, command: bytes) -> bytes:
        """Carry one command; raises LinkTimeout when no card answers, LinkClosed when it has been taken away."""
        if self._card is None:
            if self._taken:
                raise LinkClosed("the card has left the field")
            raise LinkTimeout("no card answers in the field")
        answer = self._card.answer(command)
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.remove()
                raise LinkClosed("the card left the field before its answer came")
        return answer
