"""What the acquirer tells those who watch: each frame in and out on both wires, and each decision with every check.

Masked at the source: of a PAN the first six and last four digits stay, tracks, PIN blocks and keys vanish, and the ranges that
were overwritten are listed. What is forwarded is told under both of its names, so that the feeds of terminal and network join.
"""

from dataclasses import replace

from shanfu.acquirer.decide import Decision, Facts
from shanfu.acquirer.journal import JournalRow
from shanfu.acquirer.reasons import Reason
from shanfu.acquirer.requests import Request
from shanfu.events import Event, trace_id
from shanfu.hosts import money_text, told_checks
from shanfu.iso8583 import POS, Message, ResponseCode, explain, masked, use_of
from shanfu.pan import mask_pan

__all__ = ["decision_event", "pos_event", "trace_of", "trace_of_request", "verdict_event"]


def pos_event(frame: bytes, message: Message, *, source: str, target: str, at_ms: int, trace: str = "") -> Event:
    """Tell a frame that came from a terminal or goes to one."""
    raw, ranges = masked(frame, POS)
    return Event(
        source=source, target=target, wire="pos", title=_title(message), raw=raw, masked=ranges,
        detail=explain(message, POS), trace=trace, at_ms=at_ms,
    )  # fmt: skip


def trace_of(row: JournalRow) -> str:
    """Return the trace of a terminal's transaction."""
    return trace_id(merchant=row.merchant, terminal=row.terminal, batch=row.batch, stan=row.stan, date=row.local_date)


def trace_of_request(request: Request, date: str) -> str:
    """Return the trace of a terminal's request that arrived on this date (YYYYMMDD)."""
    return trace_id(merchant=request.merchant, terminal=request.terminal, batch=request.batch, stan=request.stan, date=date)


def decision_event(source: str, facts: Facts, decision: Decision, *, at_ms: int, trace: str) -> Event:
    """Tell a decision; to be made before it is recorded, since the details speak of the state it was made on."""
    request, reason = facts.request, decision.reason
    what = request.title
    if request.amount_minor:
        what += f" {money_text(request.amount_minor, request.currency)}"
    verdict = f"refused {reason.code}, {reason.en}" if reason else "passed"
    return Event(
        source=source, title=f"{verdict}: {what}", detail=_explain(facts, decision), reason=reason.name if reason else "",
        trace=trace, at_ms=at_ms,
    )  # fmt: skip


def verdict_event(source: str, row: JournalRow, *, at_ms: int) -> Event:
    """Tell what became of a forwarded request, under both of its names."""
    code, words = row.response_code, ResponseCode.of(row.response_code).say()
    refused = row.response_code != Reason.APPROVED.code
    event = Event(source=source, title=f"{row.kind} {row.state.lower()}: {code}, {words}", at_ms=at_ms, trace=trace_of(row))
    return replace(event, also=row.name, reason=row.reason if refused else "")


def _explain(facts: Facts, decision: Decision) -> dict[str, str]:
    """Return every check of the chain with its result: right, refused with its reason, or not reached."""
    reason = decision.reason
    fault = f" ({facts.request.fault})" if reason is Reason.FORMAT else ""
    refusal = f"{reason.name}: {reason.en}{fault}" if reason else "right"
    return {"card": mask_pan(facts.request.pan), **told_checks(decision.chain, decision.passed, refusal)}


def _title(message: Message) -> str:
    asked = f"{message.mti[:2]}{'2' if message.mti[2] in '23' else '0'}0"
    use = use_of(message, asked)
    what = "reversal" if message.mti.startswith("04") else use.name if use else "message"
    amount = f" {money_text(int(message.text(4)), message.text(49))}" if 4 in message and 49 in message else ""
    return f"{message.mti} {what}{amount} {message.text(39, '')}".rstrip()
