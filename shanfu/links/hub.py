"""One host among its links: the bounded inbox, the flush per loop turn, and who is reachable under which name.

Every connection puts what it has received into the inbox; the first one asks the loop for a flush, and by the time it runs
all that has arrived meanwhile is taken as one batch. This groups commits without a timer, and a lone message waits for
nobody. The work itself runs in the loop: a host is one writer, and while it commits, the kernel collects the next batch.

When the inbox is full all connections stop reading, so that the pressure reaches the senders' TCP windows. A message that
waited longer than its sender waits for the answer is refused instead of worked; urgent ones (reversals) skip the queue and
are never too old. A peer is anything with the four methods of `Peer`: a TCP connection, or the shell of an HTTP request.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from shanfu.clock import Clock
from shanfu.errors import LinkTimeout
from shanfu.events import Events, nobody
from shanfu.links.host import Host, Inbound, Kind
from shanfu.links.log import fault_text
from shanfu.links.turn import Worker

if TYPE_CHECKING:
    from shanfu.store import Store

__all__ = ["Hub", "Limits", "Peer"]

TICK_S = 0.1  # time-outs are seconds long; a tenth of one is early enough to act on them

log = structlog.get_logger("shanfu.links")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a host lets its links have."""

    inbox_frames: int = 4096  # more than this is not worked within anyone's patience
    group_frames: int = 256  # a bigger batch gains nothing: the commit is already a small part of its time
    patience_ms: int = 15_000  # below every sender's time-out, so that the refusal still reaches somebody
    write_bytes: int = 4 << 20  # a peer that does not read its answers is dropped rather than remembered
    partial_s: float = 30.0  # half a frame this old will never be whole
    quiet_s: float = 900.0  # a terminal that says nothing for so long may dial again
    connections: int = 4096  # per host; below the usual limit of open files with room for the store


class Peer(Protocol):
    """Who can be written to."""

    def write(self, frames: list[bytes]) -> None:
        """Send frames; a peer that is gone takes them silently."""
        ...

    def pause(self) -> None:
        """Stop reading."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def check(self, now_s: float) -> None:
        """Look after the link: called ten times a second with the loop's time."""
        ...


class Hub:
    """A host, its store, and everybody who is connected to it."""

    def __init__(
        self,
        host: Host[Any],
        store: "Store",
        clock: Clock,
        *,
        events: Events = nobody,
        limits: Limits | None = None,
        urgent: Callable[[bytes], bool] | None = None,
    ) -> None:
        self.name, self.clock, self.limits = host.name, clock, limits or Limits()
        self.worker: Worker[Any] = Worker(host, store, clock, send=self.send, events=events)
        self._urgent = urgent
        self._first: deque[Inbound] = deque()
        self._inbox: deque[Inbound] = deque()
        self._peers: set[Peer] = set()
        self._stations: dict[str, Peer] = {}
        self._paused = self._flushing = False
        self._due_fault = ""
        self._ticking: asyncio.TimerHandle | None = None

    # -- connections --------------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether there are as many connections as this host allows."""
        return len(self._peers) >= self.limits.connections

    @property
    def stations(self) -> list[str]:
        """The names that can be reached now, sorted."""
        return sorted(self._stations)

    def join(self, peer: Peer) -> None:
        """Look after a new connection."""
        self._peers.add(peer)
        if self._paused:
            peer.pause()

    def name_peer(self, peer: Peer, station: str, *, announce: bool) -> Peer | None:
        """Make `peer` the way to `station` and return the one it replaces; `announce` tells the host that the link stands."""
        replaced = self._stations.get(station)
        self._stations[station] = peer
        if announce:
            self.arrive([Inbound(station, kind=Kind.UP, arrived_ms=self.clock.now_ms())])
        return replaced if replaced is not peer else None

    def leave(self, peer: Peer, station: str, *, announce: bool) -> None:
        """Forget a connection; the host hears of it unless another one already took its place."""
        self._peers.discard(peer)
        if self._stations.get(station) is not peer:
            return
        del self._stations[station]
        if announce:
            self.arrive([Inbound(station, kind=Kind.DOWN, arrived_ms=self.clock.now_ms())])

    def send(self, station: str, frames: list[bytes]) -> None:
        """Write frames to a station, if it is there."""
        peer = self._stations.get(station)
        if peer is None:
            log.info("station_gone", host=self.name, station=station, frames=len(frames))
        else:
            peer.write(frames)

    # -- inbox --------------------------------------------------------------------------------------------------------

    def arrive(self, messages: Sequence[Inbound]) -> None:
        """Put messages into the inbox; the next turn of the loop works them."""
        if self._urgent is None:
            self._inbox.extend(messages)
        else:
            for inbound in messages:
                skips = inbound.kind is Kind.FRAME and self._urgent(inbound.frame)
                (self._first if skips else self._inbox).append(inbound)
        if not self._paused and self._waiting >= self.limits.inbox_frames:
            log.warning("inbox_full", host=self.name, frames=self._waiting)
            self._paused = True
            for peer in self._peers:
                peer.pause()
        self._schedule()

    @property
    def _waiting(self) -> int:
        return len(self._first) + len(self._inbox)

    def _schedule(self) -> None:
        if self._waiting and not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Work one batch of what has arrived; more is worked in the following turns of the loop."""
        self._flushing = False
        try:
            self.worker.turn(self._take())
        except Exception as fault:  # a fault of ours must not stop the host for everybody
            log.error("turn_failed", host=self.name, fault=fault_text(fault))
        if self._paused and self._waiting <= self.limits.inbox_frames // 2:
            self._paused = False
            for peer in list(self._peers):
                peer.resume()
        self._schedule()

    def _take(self) -> list[Inbound]:
        batch: list[Inbound] = []
        stale: list[Inbound] = []
        oldest_ms = self.clock.now_ms() - self.limits.patience_ms
        while self._first and len(batch) < self.limits.group_frames:
            batch.append(self._first.popleft())
        while self._inbox and len(batch) < self.limits.group_frames:
            inbound = self._inbox.popleft()
            too_old = inbound.kind is Kind.FRAME and inbound.arrived_ms < oldest_ms
            (stale if too_old else batch).append(inbound)
        if stale:
            log.warning("too_late", host=self.name, frames=len(stale), patience_ms=self.limits.patience_ms)
            self.worker.refuse(
                stale, LinkTimeout(f"waited over {self.limits.patience_ms} ms in the inbox, its sender has given up")
            )
        return batch

    # -- time ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to keep time."""
        self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def stop(self) -> None:
        """Stop keeping time, and finish what has arrived."""
        if self._ticking:
            self._ticking.cancel()
        while self._waiting:
            self.flush()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticking = loop.call_later(TICK_S, self._tick)
        try:
            self.worker.tick()
            self._due_fault = ""
        except Exception as fault:
            text = fault_text(fault)
            if text != self._due_fault:  # ten times a second is often enough to try, not to say it
                log.error("due_failed", host=self.name, fault=text)
            self._due_fault = text
        now_s = loop.time()
        for peer in list(self._peers):
            peer.check(now_s)
