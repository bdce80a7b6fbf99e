"""The card reader as a peer: it carries one APDU to the card that lies in the field and its answer back.

A card that is not there, or that has no antenna, is silent (LinkTimeout). A card that is taken away is gone from that
APDU on (LinkClosed): whether it carried the last command out, the terminal cannot know. `tear_after` takes it away by
itself after so many commands, for those who want to see a torn tap.
"""

from typing import Protocol

from shanfu.errors import LinkClosed, LinkTimeout

__all__ = ["PresentedCard", "Reader"]


class PresentedCard(Protocol):
    """A card, as far as a reader looks at it."""

    interfaces: frozenset[str]

    def answer(self, command: bytes) -> bytes:
        """Return the response to one command."""
        ...


class Reader:
    """One field (or slot) of a terminal. Use `reader.ask` as the dialogue's peer."""

    def __init__(self, interface: str = "contactless") -> None:
        self.interface = interface
        self._card: PresentedCard | None = None
        self._left: int | None = None
        self._removed = False

    def present(self, card: PresentedCard, *, tear_after: int | None = None) -> None:
        """Put a card into the field; with `tear_after` it carries out that many commands and then leaves."""
        self._card = card if self.interface in card.interfaces else None
        self._left, self._removed = tear_after, False

    def remove(self) -> None:
        """Take the card away."""
        self._card, self._removed = None, True

    def ask(self, command: bytes) -> bytes:
        """Carry one command; raises LinkTimeout when no card answers, LinkClosed when it has been taken away."""
        if self._card is None:
            if self._removed:
                raise LinkClosed("the card has left the field")
            raise LinkTimeout("no card answers in the field")
        answer = self._card.answer(command)
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.remove()
                raise LinkClosed("the card left the field before its answer came")
        return answer
