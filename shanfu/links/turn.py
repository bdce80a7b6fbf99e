"""The loop of every host: one batch, one transaction, and answers only after the commit returned.

`Worker.turn` is called by whoever collects frames (the TCP hub, the loop link), `Worker.tick` every 100 ms. What it promises:

- nothing leaves before it is durable; what left is in the books;
- a message that spoils its batch is found by halving and refused alone (96), with nothing stored;
- when the store is lost, or the outcome of a commit is unknown, nobody is answered: peers run into their time-outs and
  repeat, and the journal answers them. The store is opened again at once, then with a growing pause;
- events are handed over after the answers.

The caller passes `send(station, frames)`, called once per station and turn; a station that is gone is no error.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from shanfu.clock import Clock
from shanfu.errors import StoreError, StoreGone
from shanfu.events import Events, nobody
from shanfu.links.crash import CrashPoint, crash_points, no_crash
from shanfu.links.host import Books, Host, Inbound, Kind, Turn
from shanfu.links.log import fault_text

if TYPE_CHECKING:  # a terminal's process needs links, but no database
    from shanfu.store import Store, Transaction

__all__ = ["Send", "Tally", "Worker"]

B = TypeVar("B", bound=Books)
Send = Callable[[str, list[bytes]], None]

REOPEN_FIRST_MS = 100  # an immediate try has failed: give a restarting database a moment
REOPEN_MOST_MS = 5_000  # a peer's patience is longer than this, so an outage ends for it in time

log = structlog.get_logger("shanfu.links")


@dataclass(slots=True)
class Tally:
    """What a worker has done since it was made."""

    frames: int = 0
    commits: int = 0
    refused: int = 0
    lost: int = 0  # times the store was given up


class Worker(Generic[B]):
    """Runs one host over one store."""

    def __init__(
        self,
        host: Host[B],
        store: "Store",
        clock: Clock,
        *,
        send: Send,
        events: Events = nobody,
        crash_point: CrashPoint | None = None,
    ) -> None:
        self.host, self.store, self.clock = host, store, clock
        self.tally = Tally()
        self._send, self._events = send, events
        self._crash = crash_point or crash_points(host.name)
        self._open: Transaction | None = None
        self._lost = False
        self._retry_at_ms = 0
        self._pause_ms = 0

    @property
    def standing(self) -> bool:
        """Whether the store is open, so that messages are worked."""
        return not self._lost

    def turn(self, batch: Sequence[Inbound]) -> None:
        """Work a batch in the order of arrival and send its answers; without a store, let it fall."""
        if not batch or not self._regain():
            return
        fault = self._attempt(batch)
        if fault is not None:
            self._separate(batch, fault)

    def tick(self) -> None:
        """Do what is due in a transaction of its own; raises what `host.due` raises, with nothing done."""
        fault = self._attempt(()) if self._regain() else None
        if fault is not None:
            raise fault

    def refuse(self, messages: Sequence[Inbound], fault: Exception) -> None:
        """Have the host refuse these messages; nothing is stored."""
        merged = Turn()
        for inbound in messages:
            self.tally.refused += 1
            if inbound.kind is not Kind.FRAME:
                continue
            try:
                turn = self.host.refuse(inbound, fault, self.clock.now_ms())
            except Exception as second:  # a refusal that fails is no reason to stop serving the others
                log.error("refusal_failed", host=self.host.name, station=inbound.station, fault=fault_text(second))
                continue
            merged.outbound += turn.outbound
            merged.events += turn.events
        self._hand_over(merged)

    def abandon(self) -> None:
        """Drop the transaction under way, as the death of the process would."""
        if self._open:
            self._open.rollback()
            self._open = None

    def _attempt(self, batch: Sequence[Inbound]) -> Exception | None:
        """Work, commit, send; return the fault of a batch of which nothing was done. A lost store is no such fault."""
        try:
            tx = self._open = self.store.begin()
        except StoreError as fault:
            self._lose(fault)
            return None
        try:
            books = self.host.books(tx, now_ms=self.clock.now_ms())
            point = self._points(batch, None)
            point("before-handle")
            turn = self.host.handle(batch, books) if batch else self.host.due(books)
            point = self._points(batch, turn)
            point("after-handle")
            books.save()
        except StoreGone as fault:
            self._lose(fault)
            return None
        except Exception as fault:  # nothing has happened yet: the caller finds the message that spoils the rest
            return self._roll_back(fault)
        point("before-commit")
        try:
            tx.commit()
        except Exception as fault:  # the outcome is unknown: answer nobody
            self._lose(fault)
            return None
        self._open = None
        self.tally.commits += 1
        self.tally.frames += len(batch)
        if batch:  # an idle tick writes nothing, so it does not prove that the disk takes anything
            self._pause_ms = 0
        point("after-commit")
        self._hand_over(turn)
        point("after-send")
        return None

    def _points(self, batch: Sequence[Inbound], turn: Turn | None) -> CrashPoint:
        """Choose which crash points this turn passes: an idle tick and news of links pass none, so that counts repeat."""
        if self._crash is no_crash:
            return no_crash
        if batch:
            return self._crash if any(inbound.kind is Kind.FRAME for inbound in batch) else no_crash
        return (lambda name: self._crash(f"due-{name}")) if turn and turn.outbound else no_crash

    def _roll_back(self, fault: Exception) -> Exception | None:
        try:
            self.abandon()
        except StoreError as second:
            self._lose(second)
            return None
        return fault

    def _separate(self, batch: Sequence[Inbound], fault: Exception) -> None:
        """Halve a spoilt batch until the message that spoils it stands alone, and refuse that one."""
        if len(batch) == 1:
            log.error("message_refused", host=self.host.name, station=batch[0].station, fault=fault_text(fault))
            self.refuse(batch, fault)
            return
        half = len(batch) // 2
        self.turn(batch[:half])
        self.turn(batch[half:])

    def _hand_over(self, turn: Turn) -> None:
        by_station: dict[str, list[bytes]] = {}
        for outbound in turn.outbound:
            by_station.setdefault(outbound.station, []).append(outbound.frame)
        for station, frames in by_station.items():
            self._send(station, frames)
        for event in turn.events:
            self._events(event)

    def _lose(self, fault: Exception) -> None:
        """Give the store up: answer nobody until it is open again."""
        self._open = None
        self._lost = True
        self.tally.lost += 1
        self._retry_at_ms = self.clock.now_ms() + self._pause_ms
        log.error("store_lost", host=self.host.name, fault=fault_text(fault), retry_in_ms=self._pause_ms)
        self._pause_ms = min(max(self._pause_ms * 2, REOPEN_FIRST_MS), REOPEN_MOST_MS)

    def _regain(self) -> bool:
        """Return whether the store is open, opening it when it is lost and the pause is over."""
        if not self._lost:
            return True
        if self.clock.now_ms() < self._retry_at_ms:
            return False
        try:
            self.store.reopen()
        except Exception as fault:
            self._lose(fault)
            return False
        self._lost = False
        log.info("store_regained", host=self.host.name)
        return True
