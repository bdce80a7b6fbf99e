"""What the key cloud tells those who watch: calls and replies by operation and outcome, refusals at the gate always.

Bodies are never told: they hold passwords, codes and wrapped keys. A refusal at the gate is told also when nobody asked for
more, since a wrong signature or a counter that came again is a sign of a copied phone.
"""

from shanfu.events import Event
from shanfu.messages import Problem

__all__ = ["call_event", "gate_event", "reply_event"]

SHOWN = 8  # characters of a device's name, enough to follow one phone through a feed


def call_event(source: str, op: str, *, phone: str, call: str, at_ms: int) -> Event:
    """Tell that a phone has asked something."""
    return Event(source=_phone(phone), target=source, wire="json", title=op, trace=call, at_ms=at_ms)


def reply_event(source: str, op: str, *, phone: str, call: str, status: int, at_ms: int) -> Event:
    """Tell what became of it."""
    words = f"{op}: {'answered' if status < 400 else 'refused'} {status}"
    return Event(source=source, target=_phone(phone), wire="json", title=words, trace=call, at_ms=at_ms)


def gate_event(source: str, op: str, refusal: Problem, *, phone: str, at_ms: int) -> Event:
    """Tell that a call was turned away before anybody looked at what it wanted."""
    title = f"turned {op} away: {refusal.detail or refusal.title}"
    detail = {"device": phone[:SHOWN], "code": refusal.code}
    return Event(source=source, title=title, detail=detail, reason=refusal.reason or refusal.code, at_ms=at_ms)


def _phone(device: str) -> str:
    """Return how a phone is called; one that is not enrolled yet has no name."""
    return f"phone {device[:SHOWN]}".rstrip()
