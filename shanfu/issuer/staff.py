"""What the bank's own staff ask its running host: to enter what happened to a card.

The counter's programs speak JSON under the bank's own name. A lost, found, stolen or closed card is entered at once, and its
tokens follow when the token service has heard of it. A replacement or a renewal brings a new card, which the personalisation
bureau makes: that is `report_card` with the host's books in hand, not a call.
"""

from collections.abc import Mapping
from typing import Final

from shanfu.errors import Conflict
from shanfu.hosts import Answer, Handler, Visit
from shanfu.hsm import HSM
from shanfu.issuer.books import IssuerBooks
from shanfu.issuer.card_events import CardReport, enter_event
from shanfu.issuer.cards import BY_REFERENCE, newest
from shanfu.issuer.config import IssuerConfig
from shanfu.messages import CardEvent, Empty, ProblemCode, issuing, problem

__all__ = ["Staff"]

BY_CALL: Final = frozenset((CardEvent.LOST, CardEvent.STOLEN, CardEvent.FOUND, CardEvent.CLOSED))


class Staff:
    """Serves the bank's own people."""

    def __init__(self, config: IssuerConfig, hsm: HSM) -> None:
        self._config, self._hsm = config, hsm

    def served(self) -> Mapping[str, Handler[IssuerBooks]]:
        """Return the operations that are answered here."""
        return {"issuer.report": self.report}

    def report(self, visit: Visit[IssuerBooks], asked: issuing.ReportCard) -> Answer:
        """Enter what happened to a card of ours; a repeat changes nothing."""
        books = visit.books
        if visit.name != self._config.institution:
            return problem(ProblemCode.FORBIDDEN, "another bank's cards are its own")
        if asked.event not in BY_CALL:
            return problem(ProblemCode.REFUSED, f"{asked.event.value} brings a new card: it is entered where cards are made")
        found = newest(books.cards.load(BY_REFERENCE, [asked.card]))
        if not found:
            return problem(ProblemCode.NOT_FOUND, "no such card")
        try:
            told = CardReport(event=asked.event, reason=asked.reason)
            enter_event(books, self._hsm, found[0], told=told, config=self._config)
        except Conflict as fault:
            return problem(ProblemCode.WRONG_STATE, str(fault))
        return Empty()
