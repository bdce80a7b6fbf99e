"""One story out of many feeds: stations get the names of who lives there, and what both ends of a wire told is told once.

Each party speaks of the stations it knows: a terminal of "acquirer", an acquirer of "pos/7" and "00010000". Whoever looks at a
world knows who they are. Feeds of separate processes are merged by cause, not by clock: a frame is received after it was sent,
and the story follows the frame.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from shanfu.events import Event, join_traces
from shanfu.sandbox.world import HOSTS

__all__ = ["merged", "one_story"]

TERMINAL = "terminal"
TELLERS = {TERMINAL, *HOSTS}  # who tells; a card only answers, its terminal tells for it
BY_ID = {role.id: name for name, role in HOSTS.items()}

Passage = tuple[str, str, str, int]  # wire, from, to, length: enough to know a frame again within one payment


def one_story(feeds: Mapping[str, Sequence[Event]], *, acquirer: str) -> list[Event]:
    """Return what several parties told as one story; `acquirer` is the host that the terminal speaks to."""
    named = {teller: [_named(event, acquirer) for event in feed] for teller, feed in feeds.items()}
    return join_traces(_once(merged(named)))


def merged(feeds: Mapping[str, Sequence[Event]]) -> list[Event]:
    """Merge feeds by cause; each feed keeps its order, and the story goes on where the last frame arrived."""
    left = {teller: deque(feed) for teller, feed in feeds.items()}
    under_way, story, current = Counter[Passage](), list[Event](), next(iter(left), "")
    while any(left.values()):
        ready = [teller for teller in (current, *left) if left[teller] and _may_come(left[teller][0], teller, left, under_way)]
        current = ready[0] if ready else min((t for t in left if left[t]), key=lambda t: left[t][0].at_ms)
        event = left[current].popleft()
        story.append(event)
        if event.wire and event.target == current:
            under_way[_passage(event)] -= 1
        elif event.wire and event.target in left:
            under_way[_passage(event)] += 1
            current = event.target
    return story


def _may_come(event: Event, teller: str, left: Mapping[str, object], under_way: Counter[Passage]) -> bool:
    received = bool(event.wire) and event.target == teller and event.source in left
    return not received or under_way[_passage(event)] > 0


def _once(story: Sequence[Event]) -> list[Event]:
    """Leave out what the receiver told again."""
    told, pending = [], Counter[Passage]()
    for event in story:
        passage = _passage(event)
        if event.wire and pending[passage]:
            pending[passage] -= 1
            continue
        if event.source in TELLERS and event.target in TELLERS:
            pending[passage] += 1
        told.append(event)
    return told


def _passage(event: Event) -> Passage:
    return event.wire, event.source, event.target, len(event.raw)


def _named(event: Event, acquirer: str) -> Event:
    return replace(event, source=_name(event.source, acquirer), target=_name(event.target, acquirer))


def _name(station: str, acquirer: str) -> str:
    if station.startswith("pos/"):
        return TERMINAL
    return acquirer if station == "acquirer" else BY_ID.get(station, station)
