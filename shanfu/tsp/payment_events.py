"""What the service tells those who watch of its judgement on payments; of numbers the first six and last four digits stay.

Some refusals are told even when nobody watches: a phone that keeps its own rules cannot cause them, so somebody should look.
"""

from typing import Final

from shanfu.events import Event
from shanfu.hosts import money_text
from shanfu.pan import mask_pan
from shanfu.tsp.checks import Verdict
from shanfu.tsp.interbank import Request
from shanfu.tsp.resolve import Resolution

__all__ = ["RISKS", "decision_event", "risk_event"]

RISKS: Final = frozenset({
    Verdict.AMOUNT_LIMIT, Verdict.ATC_OUT_OF_WINDOW, Verdict.CDCVM_WRONG, Verdict.CHIP_DATA_DIFFERS, Verdict.CRYPTOGRAM_WRONG,
    Verdict.DOMAIN_NOT_ALLOWED, Verdict.KEY_EXHAUSTED, Verdict.KEY_RETIRED, Verdict.KEY_UNKNOWN,
    Verdict.ORIGINAL_ANOTHER_CARDS, Verdict.REQUESTOR_NOT_ALLOWED,
})  # fmt: skip


def decision_event(source: str, request: Request, resolution: Resolution, *, at_ms: int) -> Event:
    """Tell a judgement with every check."""
    verdict = resolution.verdict
    said = f"{verdict.en} {verdict.code}" if verdict.approved else f"refused {verdict.code} {verdict.en}"
    return Event(
        source=source, title=f"{said}: {_what(request)}", detail=_explain(request, resolution), reason=verdict.name,
        trace=request.name, at_ms=at_ms,
    )  # fmt: skip


def risk_event(source: str, request: Request, resolution: Resolution, *, at_ms: int) -> Event:
    """Tell a refusal that should not happen with an honest phone."""
    title = f"risk: {resolution.verdict.en} ({resolution.detail})" if resolution.detail else f"risk: {resolution.verdict.en}"
    detail = {"token": mask_pan(request.token), "payment": _what(request)}
    return Event(
        source=source, title=title, detail=detail, reason=resolution.verdict.name, trace=request.name, at_ms=at_ms
    )  # fmt: skip


def _what(request: Request) -> str:
    amount = f" {money_text(request.amount_minor, request.currency)}" if request.amount_minor else ""
    return f"{request.kind.value}{amount}"


def _explain(request: Request, resolution: Resolution) -> dict[str, str]:
    told = {"token": mask_pan(request.token)}
    for check, passed, detail in resolution.steps:
        words = "right" if passed else "refused"
        if detail == "not reached":
            told[check] = detail
        else:
            told[check] = f"{words} ({detail})" if detail else words
    return told
