"""What the issuer tells those who watch of cards in phones: opinions with every rule, codes sent and judged, logins.

A card is shown by its last four digits, a number by its hint, a code and a password not at all.
"""

from collections.abc import Sequence

from shanfu.events import Event
from shanfu.issuer.eligibility import RULES, Mark, TokenFacts
from shanfu.issuer.tokens import TokenRow
from shanfu.messages import Colour, IDVMethod, Problem

__all__ = ["judged_event", "proof_event", "sent_event"]


def judged_event(source: str, facts: TokenFacts, marks: Sequence[Mark], *, colour: Colour) -> Event:
    """Tell what we think of a request for a token, with every rule."""
    rules = {
        mark.name.lower().replace("_", " "): f"{mark.colour.value}: {mark.en}" if mark in marks else "right"
        for mark, _ in RULES
    }
    card = f"…{facts.card.masked[-4:]}" if facts.card else "not ours"
    words = ", ".join(mark.en for mark in marks) or "nothing speaks against it"
    return Event(
        source=source, title=f"card {card} for a phone: {colour.value}, {words}", detail={"card": card, **rules},
        reason=marks[0].name if marks else "", trace=facts.asked.token, at_ms=facts.now_ms,
    )  # fmt: skip


def sent_event(source: str, row: TokenRow, method: IDVMethod, *, hint: str, at_ms: int) -> Event:
    """Tell that a one-time code is on its way."""
    way = f"by text to {hint}" if method is IDVMethod.SMS else f"to the call centre {hint}"
    title = f"one-time code sent {way}, for “{row.device_name}”"
    return Event(source=source, title=title, detail={"method": method.value}, trace=row.token, at_ms=at_ms)


def proof_event(source: str, row: TokenRow, method: IDVMethod, *, wrong: Problem | None, at_ms: int) -> Event:
    """Tell how a proof of the holder was judged."""
    title = f"holder verified by {method.value}" if wrong is None else f"holder not verified by {method.value}: {wrong.title}"
    detail = {"method": method.value, "tries left": str(row.tries_left)}
    return Event(source=source, title=title, detail=detail, reason=wrong.code if wrong else "", trace=row.token, at_ms=at_ms)
