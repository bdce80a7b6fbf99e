"""What the network tells those who watch of its decisions: every check with its result, and how transactions ended.

Of a PAN, and of a token, the first six and last four digits stay.
"""

from shanfu.events import Event
from shanfu.hosts import money_text, told_checks
from shanfu.network.decide import CHAINS, Facts
from shanfu.network.journal import JournalRow
from shanfu.network.reasons import Reason
from shanfu.network.requests import Kind
from shanfu.pan import mask_pan

__all__ = ["decision_event", "outcome_event"]


def decision_event(source: str, facts: Facts, reason: Reason, *, at_ms: int) -> Event:
    """Tell what became of a message, with every check of its chain and the result."""
    arrival = facts.arrival
    answered = arrival.kind in (Kind.ANSWER, Kind.ADVICE_ANSWER)  # what was asked has been told
    amount = money_text(arrival.amount_minor, arrival.currency) if arrival.amount_minor else ""
    what = " ".join(filter(None, ("" if answered else arrival.kind.value, amount)))
    title = f"{reason.code} {reason.en}: {what}" if reason.code else f"{reason.en}: {what}"
    return Event(source=source, title=title, detail=explain(facts, reason), reason=reason.name, trace=arrival.name, at_ms=at_ms)


def outcome_event(source: str, row: JournalRow, *, at_ms: int) -> Event:
    """Tell how a transaction that waited for its issuer, or for the token service, has ended."""
    known = Reason.__members__.get(row.reason)
    words = known.en if known else f"{Reason.TOKEN_REFUSED.en}: {row.reason}"
    detail = {"issuer": row.issuer, "state": row.state, "response code": row.response_code}
    if row.tsp:
        detail["token service"] = row.tsp
    title = f"{row.response_code} {words}"
    return Event(source=source, title=title, detail=detail, reason=row.reason, trace=row.name, at_ms=at_ms)


def explain(facts: Facts, reason: Reason) -> dict[str, str]:
    """Return every check of the chain with its result: right, refused with its reason, or not reached."""
    told = {"card": mask_pan(facts.arrival.number)}
    if facts.account:
        told["stands for"] = mask_pan(facts.account.pan)
    if facts.route:
        told["route"] = f"{facts.route.prefix}… to {facts.route.institution} at {facts.route.station}"
    checks = CHAINS[facts.arrival.kind][0]
    passed = next((place for place, check in enumerate(checks) if check(facts)), len(checks))
    return told | told_checks(checks, passed, f"{reason.name}: {reason.en}")
