"""What the network tells those who watch: each frame in and out, and each decision with every check and its result.

Masked at the source: of a PAN the first six and last four digits stay, tracks, PIN blocks and keys vanish, and the ranges
that were overwritten are listed.
"""

from shanfu.events import Event
from shanfu.iso8583 import INTERBANK, InterbankFrame, Message, NetworkCode, describe
from shanfu.money import CURRENCIES, Currency, Money
from shanfu.network.decide import CHAINS, Facts
from shanfu.network.journal import JournalRow
from shanfu.network.reasons import Reason
from shanfu.network.requests import name_of
from shanfu.pan import mask_pan

__all__ = ["decision_event", "frame_event", "masked_frame", "outcome_event", "remark"]

HEAD = 4 + 46  # length and header
MAX_SHOWN = 200  # characters of one value
_KNOWN = frozenset(currency.numeric for currency in CURRENCIES)
_KINDS = {"000000": "purchase", "200000": "void", "310000": "balance inquiry"}
_NEWS = {code.value: code.name.lower().replace("_", " ") for code in NetworkCode}


def masked_frame(frame: bytes, message: Message) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """Return the frame with its secrets overwritten by `*`, and the overwritten ranges; length unchanged."""
    shown, ranges = bytearray(frame), []
    at = HEAD + 4 + (16 if frame[HEAD + 4] & 0x80 else 8)
    for number in sorted(message.fields):
        row, value = INTERBANK.fields[number], message.fields[number]
        start = at + row.prefix.width
        size = len(value if isinstance(value, bytes) else value.encode("gbk", "replace")) if row.prefix.digits else row.size
        at = start + size
        if not row.secret:
            continue
        first, last = (start + 6, at - 4) if number == 2 else (start, at)
        if first < last:
            shown[first:last] = b"*" * (last - first)
            ranges.append((first, last))
    return bytes(shown), tuple(ranges)


def frame_event(frame: bytes, decoded: InterbankFrame, *, source: str, target: str, at_ms: int) -> Event:
    """Tell a frame that crossed a link."""
    message = decoded.message
    raw, ranges = masked_frame(frame, message)
    detail = {row.path: row.value[:MAX_SHOWN] for row in describe(message, INTERBANK)}
    return Event(
        source=source, target=target, wire="interbank", title=_title(message), raw=raw, masked=ranges, detail=detail,
        trace=name_of(message), at_ms=at_ms,
    )  # fmt: skip


def remark(source: str, title: str, *, reason: str = "", trace: str = "", at_ms: int = 0) -> Event:
    """Tell something that happened without a decision."""
    return Event(source=source, title=title, reason=reason, trace=trace, at_ms=at_ms)


def decision_event(source: str, facts: Facts, reason: Reason, *, at_ms: int) -> Event:
    """Tell what became of a message, with every check of its chain and the result."""
    arrival = facts.arrival
    what = arrival.kind.value
    if arrival.amount_minor and arrival.currency in _KNOWN:
        what += f" {_money(arrival.amount_minor, arrival.currency)}"
    title = f"{reason.code} {reason.en}: {what}" if reason.code else f"{reason.en}: {what}"
    return Event(source=source, title=title, detail=explain(facts, reason), reason=reason.name, trace=arrival.name, at_ms=at_ms)


def outcome_event(source: str, row: JournalRow, *, at_ms: int) -> Event:
    """Tell how a transaction that waited for its issuer has ended."""
    reason = Reason[row.reason]
    detail = {"issuer": row.issuer, "state": row.state, "response code": row.response_code}
    title = f"{row.response_code} {reason.en}"
    return Event(source=source, title=title, detail=detail, reason=row.reason, trace=row.name, at_ms=at_ms)


def explain(facts: Facts, reason: Reason) -> dict[str, str]:
    """Return every check of the chain with its result: right, refused with its reason, or not reached."""
    told = {"card": mask_pan(facts.arrival.pan)}
    if facts.route:
        told["route"] = f"{facts.route.prefix}… to {facts.route.institution} at {facts.route.station}"
    reached = True
    for check in CHAINS[facts.arrival.kind][0]:
        name = check.__name__.replace("_", " ")
        found = check(facts) if reached else None
        told[name] = "not reached" if not reached else f"{reason.name}: {reason.en}" if found else "right"
        reached = reached and found is None
    return told


def _money(minor: int, currency: str) -> str:
    return str(Money(minor, Currency.of(currency)))


def _title(message: Message) -> str:
    text = message.text
    if message.mti.startswith("08"):
        news = text(70, "")
        return f"{message.mti} {_NEWS.get(news, 'network management')} {text(39, '')}".rstrip()
    what = _KINDS.get(text(3, ""), "message")
    if message.mti.startswith("04"):
        what = f"reversal of a {what}"
    elif message.mti.startswith("022") or message.mti.startswith("023"):
        what = "refund"
    amount = f" {_money(int(text(4)), text(49))}" if 4 in message and text(49, "") in _KNOWN else ""
    return f"{message.mti} {what}{amount} {text(39, '')}".rstrip()
