"""The card reader as a peer: it powers the card that lies in its field or slot and carries one APDU there and back.

A card that is not there, or that has no antenna or no contacts, is silent (LinkTimeout), as is one that stops answering or
whose answer has not even a status word. A card that is taken away is gone from that APDU on (LinkClosed): whether it carried
the last command out, the terminal cannot know.
Two cards in one field disturb one another and none is read (TwoCards). `tear_after` and `silent_after` make a card leave
or fall silent by itself after so many commands, for those who want to see a torn tap or a half-read chip.

Source: EMV CL D (collision detection), ISO/IEC 7816-3 (a mute card).
"""

from typing import Protocol

from shanfu.card import Interface
from shanfu.errors import LinkClosed, LinkError, LinkTimeout

__all__ = ["PresentedCard", "Reader", "TwoCards"]


class TwoCards(LinkError):
    """More than one card answers in the field."""


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
        self._cards: list[PresentedCard] = []
        self._tear: int | None = None
        self._silent: int | None = None
        self._taken = False

    def present(self, card: PresentedCard, *, tear_after: int | None = None, silent_after: int | None = None) -> None:
        """Bring a card; it takes the place of the last one.

        With `tear_after` it carries out that many commands and leaves before the last answer comes; with `silent_after`
        it answers that many and then no more.
        """
        self._cards = [card] if card.power_on(self.interface) else []
        self._tear, self._silent, self._taken = tear_after, silent_after, False

    def present_too(self, card: PresentedCard) -> None:
        """Bring another card into the field beside the first: while both are there, none can be read."""
        self._cards += [card] if card.power_on(self.interface) else []

    def remove(self) -> None:
        """Take everything away."""
        for card in self._cards:
            card.power_off()
        self._cards, self._taken = [], True

    def ask(self, command: bytes) -> bytes:
        """Carry one command.

        Raises LinkTimeout when no card answers, LinkClosed when it has been taken away, TwoCards when it is not alone.
        """
        if not self._cards:
            if self._taken:
                raise LinkClosed("the card has left the field")
            raise LinkTimeout("no card answers in the field")
        if len(self._cards) > 1:
            raise TwoCards("more than one card in the field")
        if self._silent == 0:
            raise LinkTimeout("the card does not answer any more")
        answer = self._cards[0].answer(command)
        if not answer:  # not even a status word
            raise LinkTimeout("the card does not answer any more")
        self._silent = None if self._silent is None else self._silent - 1
        self._tear = None if self._tear is None else self._tear - 1
        if self._tear is not None and self._tear <= 0:
            self.remove()
            raise LinkClosed("the card left the field before its answer came")
        return answer
