"""What the acquirer tells those who watch: each frame in and out on both wires, and each decision with every check.

Masked at the source: of a PAN the first six and last four digits stay, tracks, PIN blocks and keys vanish, and the ranges that
were overwritten are listed. What is forwarded is told under both of its names, so that the feeds of terminal and network join.
"""

from dataclasses import replace
from typing import Final

from shanfu.acquirer.decide import Decision, Facts
from shanfu.acquirer.journal import JournalRow
from shanfu.acquirer.reasons import Reason
from shanfu.acquirer.requests import Request
from shanfu.errors import ConfigError
from shanfu.events import Event, trace_id
from shanfu.iso8583 import INTERBANK, POS, Dialect, Message, ResponseCode, describe, use_of
from shanfu.money import Currency, Money
from shanfu.pan import mask_pan

__all__ = ["decision_event", "frame_event", "masked_frame", "remark", "trace_of", "trace_of_request", "verdict_event"]

HEADS: Final = {POS.name: 13, INTERBANK.name: 50}  # bytes before the MTI
WIRES: Final = {POS.name: "pos", INTERBANK.name: "interbank"}
MAX_SHOWN: Final = 200  # characters of one value
SECRET = b"*"


def masked_frame(frame: bytes, dialect: Dialect) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """Return a well-formed frame with its secrets overwritten by `*`, and the overwritten ranges; length unchanged."""
    shown, ranges = bytearray(frame), []
    at = HEADS[dialect.name] + dialect.mti_width
    width = 16 if dialect.wide and frame[at] & 0x80 else 8
    bits = int.from_bytes(frame[at : at + width]) << (128 - 8 * width)
    at += width
    for number in range(2, 8 * width + 1):
        if not bits >> (128 - number) & 1:
            continue
        row = dialect.fields[number]
        reading = row.read(frame, at)
        at = reading.end
        if row.secret:
            first, last = _span(row.number, reading.start, at, dialect)
            if first < last:
                shown[first:last] = SECRET * (last - first)
                ranges.append((first, last))
    return bytes(shown), tuple(ranges)


def _span(number: int, start: int, end: int, dialect: Dialect) -> tuple[int, int]:
    """Of a PAN the first six and last four digits stay (PCI DSS 3.4)."""
    if number != 2:
        return start, end
    return (start + 3, end - 2) if dialect is POS else (start + 6, end - 4)


def frame_event(
    frame: bytes, message: Message, dialect: Dialect, *, source: str, target: str, at_ms: int, trace: str = ""
) -> Event:
    """Tell a frame that crossed a wire; an interbank one bears its own name unless a trace is given."""
    raw, ranges = masked_frame(frame, dialect)
    detail = {row.path: row.value[:MAX_SHOWN] for row in describe(message, dialect)}
    interbank = dialect is INTERBANK
    return Event(
        source=source, target=target, wire=WIRES[dialect.name], title=_title(message, interbank=interbank), raw=raw,
        masked=ranges, detail=detail, trace=trace or (_interbank_name(message) if interbank else ""), at_ms=at_ms,
    )  # fmt: skip


def trace_of(row: JournalRow) -> str:
    """Return the trace of a terminal's transaction."""
    return trace_id(merchant=row.merchant, terminal=row.terminal, batch=row.batch, stan=row.stan, date=row.local_date)


def trace_of_request(request: Request, date: str) -> str:
    """Return the trace of a terminal's request that arrived on this date (YYYYMMDD)."""
    return trace_id(merchant=request.merchant, terminal=request.terminal, batch=request.batch, stan=request.stan, date=date)


def remark(source: str, title: str, *, reason: str = "", at_ms: int = 0, trace: str = "") -> Event:
    """Tell something that happened without a decision."""
    return Event(source=source, title=title, reason=reason, at_ms=at_ms, trace=trace)


def decision_event(source: str, facts: Facts, decision: Decision, *, at_ms: int, trace: str) -> Event:
    """Tell a decision; to be made before it is recorded, since the details speak of the state it was made on."""
    request, reason = facts.request, decision.reason
    what = request.title
    if request.amount_minor:
        what += f" {_money(request.amount_minor, request.currency)}"
    verdict = f"refused {reason.code}, {reason.en}" if reason else "passed"
    return Event(
        source=source, title=f"{verdict}: {what}", detail=_explain(facts, decision), reason=reason.name if reason else "",
        trace=trace, at_ms=at_ms,
    )  # fmt: skip


def verdict_event(source: str, row: JournalRow, *, at_ms: int) -> Event:
    """Tell what became of a forwarded request, under both of its names."""
    code, words = row.response_code, ResponseCode.of(row.response_code).say()
    refused = row.response_code != Reason.APPROVED.code
    event = remark(source, f"{row.kind} {row.state.lower()}: {code}, {words}", at_ms=at_ms, trace=trace_of(row))
    return replace(event, also=row.name, reason=row.reason if refused else "")


def _explain(facts: Facts, decision: Decision) -> dict[str, str]:
    """Return every check of the chain with its result: right, refused with its reason, or not reached."""
    told = {"card": mask_pan(facts.request.pan)}
    for place, check in enumerate(decision.chain):
        name = check.__name__.replace("_", " ")
        if place > decision.passed:
            told[name] = "not reached"
        elif place < decision.passed or decision.reason is None:
            told[name] = "right"
        else:
            fault = f" ({facts.request.fault})" if decision.reason is Reason.FORMAT else ""
            told[name] = f"{decision.reason.name}: {decision.reason.en}{fault}"
    return told


def _money(minor: int, currency: str) -> str:
    try:
        return str(Money(minor, Currency.of(currency)))
    except ConfigError:
        return str(minor)


def _interbank_name(message: Message) -> str:
    return ".".join(message.text(number, "") for number in (7, 11, 32, 33)) if 32 in message else ""


def _title(message: Message, *, interbank: bool) -> str:
    text = message.text
    if message.mti.startswith("08") and interbank:
        return f"{message.mti} network management {text(70, '')} {text(39, '')}".rstrip()
    if message.mti.startswith("04"):
        what = "reversal"
    else:
        asked = f"{message.mti[:2]}{'2' if message.mti[2] in '23' else '0'}0"
        use = None if interbank else use_of(message, asked)
        what = use.name if use else _PROCESSING.get(text(3, ""), "message")
    amount = f" {_money(int(text(4)), text(49))}" if 4 in message and 49 in message else ""
    return f"{message.mti} {what}{amount} {text(39, '')}".rstrip()


_PROCESSING: Final = {"000000": "purchase", "200000": "void or refund", "310000": "balance"}
