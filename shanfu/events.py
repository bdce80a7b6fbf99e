"""What the world can see: each exchange on a wire and each decision is an `Event`.

Parties emit events, masked at the source: `raw` keeps its length, sensitive digits are overwritten and the overwritten
ranges listed. The story on the command line, the console's X-ray and the golden transcripts are three views of them.

Feeds of separate processes join by traces. A terminal and its acquirer know the terminal's identity of a transaction
(`trace_id`); network and issuer know the interbank identity; the acquirer, which maps one to the other, emits an event with
`also` set to the second name.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

__all__ = ["Event", "Events", "Recorder", "join_traces", "nobody", "trace_id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened: `source` sent `title` to `target` over `wire` (or decided alone: target "", wire "")."""

    source: str
    title: str
    target: str = ""
    wire: str = ""  # "apdu", "pos", "interbank", "json", or "" for a decision
    raw: bytes = b""
    masked: tuple[tuple[int, int], ...] = ()  # overwritten (start, end) ranges of raw
    detail: dict[str, str] = field(default_factory=dict)
    reason: str = ""  # why a refusal, by its name
    trace: str = ""
    also: str = ""  # a second name of the same transaction
    at_ms: int = 0


class Events(Protocol):
    """Where events go."""

    def __call__(self, event: Event) -> None:
        """Take one event; never fails, never blocks."""
        ...


def nobody(event: Event) -> None:
    """Let the event pass unseen: what the hot path uses."""
    del event


class Recorder:
    """Keeps events in order and hands each to `listener`, if there is one."""

    def __init__(self, listener: Callable[[Event], None] = nobody) -> None:
        self.events: list[Event] = []
        self._listener = listener

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self.events.append(event)
        self._listener(event)

    def drain(self) -> list[Event]:
        """Return what has come since the last drain."""
        events, self.events = self.events, []
        return events


def trace_id(*, merchant: str, terminal: str, batch: str, stan: str, date: str) -> str:
    """Return the 16 hex characters that name a terminal's transaction in every feed.

    Its parts are DE42, DE41, DE60.2, DE11 and the local date (YYYYMMDD).

    >>> trace_id(merchant="898100012340001", terminal="12345678", batch="000001", stan="000002", date="20260101")
    '9d533279c0381bc8'
    """
    identity = "|".join((merchant.strip(), terminal.strip(), batch, stan, date))
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def join_traces(events: list[Event]) -> list[Event]:
    """Give all events of one transaction the same trace, following `also`."""
    names = {event.also: event.trace for event in events if event.also}
    return [replace(event, trace=names.get(event.trace, event.trace)) for event in events]
