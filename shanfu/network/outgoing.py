"""What leaves a turn: letters with their MACs made at once, and what watchers are told.

The ordinary is told only when somebody watches; what was dropped, rejected or given up for good is always told.
"""

from shanfu.events import Event
from shanfu.hosts import interbank_event, written
from shanfu.hsm import KeyBlock
from shanfu.links import Turn
from shanfu.network.books import NetworkBooks
from shanfu.network.prove import Letter, Prover
from shanfu.network.reasons import Reason
from shanfu.network.requests import Arrival

__all__ = ["Outgoing"]


class Outgoing:
    """Posts and tells in the network's name."""

    def __init__(self, prover: Prover, *, name: str, watch: bool) -> None:
        self._prover, self.name, self.watch = prover, name, watch
        self.maks: dict[str, KeyBlock] = {}  # the last ones seen, for refusals that cannot look into the books

    def post(self, turn: Turn, books: NetworkBooks, letters: list[Letter]) -> None:
        """Finish these letters and send them after the commit."""
        for letter, outbound in zip(letters, self._prover.post(letters) if letters else [], strict=True):
            turn.outbound.append(outbound)
            if letter.key is not None:
                self.maks[letter.station] = letter.key
            if self.watch:
                event = interbank_event(
                    written(outbound), letter.frame.message, source=self.name, target=letter.station, at_ms=books.now_ms
                )
                turn.events.append(event)

    def drop(self, turn: Turn, books: NetworkBooks, arrival: Arrival, *, why: str) -> None:
        """Tell that a message came to nothing."""
        self.tell(turn, books, f"dropped {arrival.message.mti} of {arrival.station}: {why}", trace=arrival.name)

    def tell(self, turn: Turn, books: NetworkBooks, title: str, *, reason: Reason | None = None, trace: str = "") -> None:
        """Tell something that happened without a decision."""
        name = reason.name if reason else ""
        turn.events.append(Event(source=self.name, title=title, reason=name, trace=trace, at_ms=books.now_ms))
