"""Endings: how a card transaction ends at the terminal without a request to the host, and how faults become one.

Whatever a card answers, and wherever it goes meanwhile, is an outcome with a reason: `guarded` runs a part of a dialogue with
the card and turns bad data and a lost card into an `Ending`. Who calls: the wave and the insert.

Sources: EMV CL A 6.2, EMV B3 7.5, EMV B4 11.2.
"""

from dataclasses import dataclass
from typing import TypeVar

from shanfu.dialogue import Dialogue
from shanfu.errors import DecodeError, LinkError, LinkTimeout
from shanfu.terminal.outcome import Outcome, Reason, UIMessage
from shanfu.terminal.reader import TwoCards

__all__ = ["Ending", "bad_card", "end", "guarded", "insert_card", "lost_card"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The transaction is over without a request to the host."""

    outcome: Outcome
    reason: Reason
    ui: UIMessage = UIMessage.DECLINED
    detail: str = ""


def end(reason: Reason, *, detail: str = "") -> Ending:
    """This card does not pay here; another one may."""
    return Ending(outcome=Outcome.END_APPLICATION, reason=reason, ui=UIMessage.TRY_ANOTHER_CARD, detail=detail)


def insert_card(reason: Reason) -> Ending:
    """The wave is not the way: insert the card."""
    return Ending(outcome=Outcome.TRY_ANOTHER_INTERFACE, reason=reason, ui=UIMessage.INSERT_CARD)


def bad_card(fault: DecodeError) -> Ending:
    """The card's bytes are not what the standard says (EMV B3 7.5: the transaction is terminated)."""
    return end(Reason.CARD_DATA, detail=str(fault))


def lost_card(fault: LinkError) -> Ending:
    """The card went away, went silent, or is not alone."""
    if isinstance(fault, TwoCards):  # EMV CL A 6.2: the cardholder is asked for one card
        return Ending(outcome=Outcome.TRY_AGAIN, reason=Reason.TWO_CARDS, ui=UIMessage.ONE_CARD_ONLY)
    reason = Reason.CARD_SILENT if isinstance(fault, LinkTimeout) else Reason.CARD_REMOVED
    return Ending(outcome=Outcome.TRY_AGAIN, reason=reason, ui=UIMessage.PRESENT_AGAIN)


def guarded(steps: Dialogue[T | Ending]) -> Dialogue[T | Ending]:
    """Run steps with the card; what the card or its absence breaks is an Ending."""
    try:
        return (yield from steps)
    except DecodeError as fault:
        return bad_card(fault)
    except LinkError as fault:
        return lost_card(fault)
