"""What the bank's own staff ask its running host: to enter what happened to a card, to have a card do something.

The counter's programs speak JSON under the bank's own name. A lost, found, stolen or closed card is entered at once, and its
tokens follow when the token service has heard of it. A replacement or a renewal brings a new card, which the personalisation
bureau makes: that is `report_card` with the host's books in hand, not a call.
"""

from collections.abc import Mapping
from typing import Final

from shanfu.errors import ConfigError, Conflict, NotFound
from shanfu.hosts import Answer, Handler, Visit
from shanfu.hsm import HSM
from shanfu.issuer.books import IssuerBooks
from shanfu.issuer.card_events import CardReport, enter_event
from shanfu.issuer.cards import BY_REFERENCE, Card, newest
from shanfu.issuer.config import IssuerConfig
from shanfu.issuer.script_orders import ScriptOrder, enter_order, withdraw
from shanfu.issuer.scripts import KINDS, OF_CARD
from shanfu.messages import CardEvent, Empty, Problem, ProblemCode, issuing, problem

__all__ = ["Staff"]

BY_CALL: Final = frozenset((CardEvent.LOST, CardEvent.STOLEN, CardEvent.FOUND, CardEvent.CLOSED))


class Staff:
    """Serves the bank's own people."""

    def __init__(self, config: IssuerConfig, hsm: HSM) -> None:
        self._config, self._hsm = config, hsm

    def served(self) -> Mapping[str, Handler[IssuerBooks]]:
        """Return the operations that are answered here."""
        return {"issuer.report": self.report, "issuer.script": self.script, "issuer.script.cancel": self.cancel}

    def report(self, visit: Visit[IssuerBooks], asked: issuing.ReportCard) -> Answer:
        """Enter what happened to a card of ours; a repeat changes nothing."""
        if asked.event not in BY_CALL:
            return problem(ProblemCode.REFUSED, f"{asked.event.value} brings a new card: it is entered where cards are made")
        card = self._card(visit, asked.card)
        if isinstance(card, Problem):
            return card
        try:
            told = CardReport(event=asked.event, reason=asked.reason)
            enter_event(visit.books, self._hsm, card, told=told, config=self._config)
        except Conflict as fault:
            return problem(ProblemCode.WRONG_STATE, str(fault))
        return Empty()

    def script(self, visit: Visit[IssuerBooks], asked: issuing.OrderScript) -> Answer:
        """Enter an order for a card of ours."""
        card = self._card(visit, asked.card)
        if isinstance(card, Problem):
            return card
        kind = KINDS.get(asked.kind)
        if kind is None:
            return problem(ProblemCode.FORMAT, f"kind: {asked.kind!r} is no script; there are {', '.join(KINDS)}")
        try:
            tag, value, block = (bytes.fromhex(text) for text in (asked.tag, asked.value, asked.pin_block))
        except ValueError:
            return problem(ProblemCode.FORMAT, "tag, value and pin_block are hexadecimal")
        order = ScriptOrder(kind=kind, tag=int.from_bytes(tag), value=value, pin_block=block, by=asked.by)
        try:
            return issuing.ScriptOrdered(number=enter_order(visit.books, self._hsm, card, order).number)
        except ConfigError as fault:
            return problem(ProblemCode.FORMAT, str(fault))
        except Conflict as fault:
            return problem(ProblemCode.WRONG_STATE, str(fault))

    def cancel(self, visit: Visit[IssuerBooks], asked: issuing.CancelScript) -> Answer:
        """Withdraw an order; one that was sent may have been run all the same."""
        card = self._card(visit, asked.card)
        if isinstance(card, Problem):
            return card
        orders = visit.books.scripts.load(OF_CARD, [(card.bucket, card.card)])
        try:
            withdraw(orders, asked.number, now_ms=visit.books.now_ms)
        except NotFound as fault:
            return problem(ProblemCode.NOT_FOUND, str(fault))
        except Conflict as fault:
            return problem(ProblemCode.WRONG_STATE, str(fault))
        return Empty()

    def _card(self, visit: Visit[IssuerBooks], reference: str) -> Card | Problem:
        """Return the card that is meant, if it is one of ours and our own people ask."""
        if visit.name != self._config.institution:
            return problem(ProblemCode.FORBIDDEN, "another bank's cards are its own")
        found = newest(visit.books.cards.load(BY_REFERENCE, [reference]))
        return found[0] if found else problem(ProblemCode.NOT_FOUND, "no such card")
