"""What the service tells those who watch of tokens' lives: every change, and every decision about a request with its rules.

A token is shown by its reference and last four digits, a card by its last four. Payments are told by `payment_events`.
"""

from shanfu.events import Event
from shanfu.tsp.enrolments import EnrolmentRow
from shanfu.tsp.life_cycle import Step
from shanfu.tsp.vault import TokenRow
from shanfu.tsp.velocity import RULES

__all__ = ["change_event", "request_event"]


def change_event(source: str, token: TokenRow, step: Step, *, what: str, before: str, at_ms: int) -> Event:
    """Tell one step of a token's life (`what`: which event, by whom), after it was taken."""
    by = ", ".join(one.value for one in step.suspended_by)
    detail = {
        "token": f"{token.token} …{token.token_last4}", "card": f"…{token.pan_last4}", "requestor": token.trid,
        "device": token.device, "before": before, "after": step.state.value, "suspended by": by or "nobody",
        "version": str(token.version),
    }  # fmt: skip
    title = f"token …{token.token_last4 or '????'}: {what}, {step.result.value}"
    return Event(source=source, title=title, detail=detail, reason=token.reason, trace=token.token, at_ms=at_ms)


def request_event(source: str, token: TokenRow, enrolment: EnrolmentRow, *, at_ms: int) -> Event:
    """Tell the decision about a request: the three colours, and every rule of ours with its result."""
    colours = {"wallet": enrolment.wallet_colour, "service": enrolment.service_colour, "issuer": enrolment.issuer_colour}
    told = {party: colour or "not asked" for party, colour in colours.items()}
    marks = enrolment.reasons.split()
    rules = {
        mark.name.lower().replace("_", " "): f"{mark.colour.value}: {mark.en}" if mark.name in marks else "right"
        for mark, _ in RULES
    }
    title = f"token requested: {enrolment.decision} ({enrolment.reasons or 'nothing speaks against it'})"
    return Event(source=source, title=title, detail=told | rules, reason=enrolment.decision, trace=token.token, at_ms=at_ms)
