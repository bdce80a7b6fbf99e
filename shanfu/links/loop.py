"""The loop link: hosts in one process, without sockets and without waiting, and a world in which everything can go wrong.

`LoopNet` holds the workers, a table of wires, and what is on its way. `pump` runs turns until nothing more is to be delivered
now; `advance` moves a ManualClock in ticks and runs what is due. Both are plain calls, so the same calls always give the same
run. Frames pass the framing of their wire as on TCP: one that no longer is a frame breaks the link, and both ends hear DOWN
and UP. A terminal is a `LoopTerminal`, whose `ask` lets virtual time pass until the answer is there.

Faults are rules over frames (`fault`), deaths of hosts (`stop`, `start`, `restart`), and deaths at a crash point inside a turn
(`crash_at`): what the transaction under way had written is gone, what had left is on its way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from shanfu.clock import ManualClock
from shanfu.errors import ConfigError, DecodeError, LinkClosed, LinkTimeout, ProtocolError
from shanfu.events import Events, nobody
from shanfu.links.faults import FaultKind, FaultRule, Passage, flip_last_bit
from shanfu.links.framing import FramingFactory
from shanfu.links.host import Host, Inbound, Kind
from shanfu.links.terminal import Matches, any_reply
from shanfu.links.turn import Worker

if TYPE_CHECKING:
    from shanfu.store import Store

__all__ = ["LoopNet", "LoopTerminal"]

MOST_ROUNDS = 10_000  # more turns than this at one instant is two hosts playing ball

log = structlog.get_logger("shanfu.links")

End = tuple[str, str]  # (host, what that host calls the station at the other end)


class Death(BaseException):
    """A host dies here, as by SIGKILL: nobody on the way handles it."""


@dataclass(slots=True)
class Seat:
    """One host's place in the net."""

    host: Host[Any]
    store: "Store"
    events: Events
    worker: Worker[Any] | None = None
    crash: tuple[str, int, int | None] | None = None  # point, passings left, how long it stays down

    def passing(self, point: str) -> None:
        if self.crash and self.crash[0] == point:
            self.crash = (point, self.crash[1] - 1, self.crash[2])
            if self.crash[1] == 0:
                raise Death


@dataclass(slots=True)
class Flight:
    """A message on its way to `end`."""

    at_ms: int
    end: End
    inbound: Inbound
    way: tuple[End, End] | None = None
    overtaken: bool = False  # waits to be overtaken


class LoopNet:
    """Hosts and wires in one process, under one manual clock."""

    def __init__(self, clock: ManualClock, *, tick_ms: int = 100) -> None:
        self.clock, self.tick_ms = clock, tick_ms
        self._seats: dict[str, Seat] = {}
        self._wires: dict[End, tuple[End, FramingFactory]] = {}
        self._terminals: dict[End, LoopTerminal] = {}
        self._flights: list[Flight] = []
        self._rules: list[FaultRule] = []
        self._births: list[tuple[int, str]] = []
        self._dialled = 0

    # -- building -----------------------------------------------------------------------------------------------------

    def add(self, host: Host[Any], store: "Store", *, events: Events = nobody) -> None:
        """Give a host a place; it runs from now on."""
        if host.name in self._seats:
            raise ConfigError(f"{host.name}: is in this net already")
        self._seats[host.name] = Seat(host, store, events)
        self.start(host.name)

    def wire(self, one: End, other: End, *, framing: FramingFactory) -> None:
        """Lay a wire: ("acquirer", "network") to ("network", "48120000") says how each host calls the other."""
        for host, _ in (one, other):
            self._seat(host)
        self._wires[one], self._wires[other] = (other, framing), (one, framing)
        self._news(one, Kind.UP)
        self._news(other, Kind.UP)

    def terminal(
        self, host: str, *, framing: FramingFactory, timeout_ms: int, matches: Matches = any_reply, kind: str = "pos"
    ) -> "LoopTerminal":  # fmt: skip
        """Return a terminal's line to this host; of the kind `http`, an HTTP shell's, which vouches for its callers."""
        self._seat(host)
        return LoopTerminal(self, host, framing=framing, timeout_ms=timeout_ms, matches=matches, kind=kind)

    def worker(self, name: str) -> Worker[Any]:
        """Return the worker of a running host; raises LinkClosed when it is down."""
        worker = self._seat(name).worker
        if worker is None:
            raise LinkClosed(f"{name}: is down")
        return worker

    # -- running ------------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Deliver, turn by turn, everything that is to arrive by now; raises ProtocolError if that never ends."""
        for _ in range(MOST_ROUNDS):
            now_ms = self.clock.now_ms()
            ready = [flight for flight in self._flights if flight.at_ms <= now_ms]
            if not ready:
                return
            self._flights = [flight for flight in self._flights if flight.at_ms > now_ms]
            batches: dict[str, list[Inbound]] = {}
            for flight in sorted(ready, key=lambda flight: flight.at_ms):  # stable: as they left
                for inbound in self._arrived(flight):
                    batches.setdefault(flight.end[0], []).append(inbound)
            for name, batch in batches.items():
                self._guarded(name, partial(Worker.turn, batch=batch))
        raise ProtocolError(f"the net does not come to rest in {MOST_ROUNDS} turns", by=", ".join(sorted(self._seats)))

    def advance(self, ms: int) -> None:
        """Let time pass in ticks, with everything that falls due and arrives meanwhile."""
        while ms > 0:
            step = min(ms, self.tick_ms)
            ms -= step
            self.clock.advance(step)
            self.pump()
            now_ms = self.clock.now_ms()
            for at_ms, name in [birth for birth in self._births if birth[0] <= now_ms]:
                self._births.remove((at_ms, name))
                self.start(name)
            for name in self._seats:
                self._guarded(name, Worker.tick)
            self.pump()

    # -- faults -------------------------------------------------------------------------------------------------------

    def fault(
        self,
        kind: FaultKind,
        when: Callable[[Passage], bool],
        *,
        times: int | None = 1,
        delay_ms: int = 1_000,
        change: Callable[[bytes], bytes] = flip_last_bit,
    ) -> FaultRule:
        """Let this happen to the next `times` frames for which `when` holds (None: to all of them).

        `delay_ms` is for DELAY, and the longest that REORDER waits for a frame to overtake; `change` is for CORRUPT.
        """
        rule = FaultRule(kind=kind, when=when, left=times, delay_ms=delay_ms, change=change)
        self._rules.append(rule)
        return rule

    def heal(self) -> None:
        """Forget all rules; what is on its way stays as it is."""
        self._rules.clear()

    def crash_at(self, name: str, point: str, *, nth: int = 1, down_ms: int | None = 0) -> None:
        """Let a host die at the nth passing of a crash point; it starts again after `down_ms` (None: not by itself)."""
        self._seat(name).crash = (point, nth, down_ms)

    def stop(self, name: str) -> None:
        """Kill a host: what is on its way to it is lost, and everybody connected sees the link break."""
        seat = self._seat(name)
        if seat.worker is None:
            return
        seat.worker.abandon()
        seat.worker = None
        self._flights = [flight for flight in self._flights if flight.end[0] != name]
        for end, (far, _) in self._wires.items():
            if end[0] == name:
                self._news(far, Kind.DOWN)
        for end, terminal in list(self._terminals.items()):
            if end[0] == name:
                terminal.hang_up()

    def start(self, name: str, host: Host[Any] | None = None, store: "Store | None" = None) -> None:
        """Start a host that is down, over the same store or another; links stand again at both ends."""
        seat = self._seat(name)
        if seat.worker is not None:
            raise ConfigError(f"{name}: is running already")
        self._births = [birth for birth in self._births if birth[1] != name]
        seat.host, seat.store = host or seat.host, store or seat.store
        seat.worker = Worker(
            seat.host, seat.store, self.clock,
            send=lambda station, frames: self._sent((name, station), frames), events=seat.events, crash_point=seat.passing,
        )  # fmt: skip
        for end, (far, _) in self._wires.items():
            if end[0] == name and self._seat(far[0]).worker is not None:
                self._news(end, Kind.UP)
                self._news(far, Kind.UP)

    def restart(self, name: str, host: Host[Any] | None = None, store: "Store | None" = None) -> None:
        """Kill a host and start it at once."""
        self.stop(name)
        self.start(name, host, store)

    # -- terminals ----------------------------------------------------------------------------------------------------

    def dial(self, terminal: "LoopTerminal") -> End:
        """Connect a terminal and return its end at the host; raises LinkClosed when the host is down."""
        self.worker(terminal.host)
        self._dialled += 1
        end = (terminal.host, f"{terminal.kind}/loop-{self._dialled}")
        self._terminals[end] = terminal
        return end

    def hang_up(self, end: End) -> None:
        """Disconnect a terminal."""
        self._terminals.pop(end, None)

    def from_terminal(self, end: End, frame: bytes) -> None:
        """Put a terminal's frame on its way."""
        self._launch(((f"terminal {end[1]}", ""), end), frame)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _seat(self, name: str) -> Seat:
        if name not in self._seats:
            raise ConfigError(f"{name}: is not in this net, which has {', '.join(sorted(self._seats)) or 'nobody'}")
        return self._seats[name]

    def _news(self, end: End, kind: Kind) -> None:
        if self._seat(end[0]).worker is not None:
            now_ms = self.clock.now_ms()
            self._flights.append(Flight(now_ms, end, Inbound(end[1], kind=kind, arrived_ms=now_ms)))

    def _guarded(self, name: str, work: Callable[[Worker[Any]], None]) -> None:
        """Let a host work, and die where it is told to."""
        seat = self._seat(name)
        if seat.worker is None:
            return
        try:
            work(seat.worker)
        except Death:
            down_ms = seat.crash[2] if seat.crash else None
            seat.crash = None
            self.stop(name)
            if down_ms == 0:
                self.start(name)
            elif down_ms is not None:
                self._births.append((self.clock.now_ms() + down_ms, name))

    def _sent(self, end: End, frames: list[bytes]) -> None:
        far = self._wires[end][0] if end in self._wires else ("terminal", end[1])
        for frame in frames:
            if end in self._wires or end in self._terminals:  # a station that is gone is no error
                self._launch((end, far), frame)

    def _launch(self, way: tuple[End, End], frame: bytes) -> None:
        source, target = way[0][0].split()[0], way[1][0]
        now_ms, copies, delay_ms, reorder = self.clock.now_ms(), 1, 0, False
        for rule in self._rules:
            if rule.left == 0 or not rule.when(Passage(source=source, target=target, frame=frame)):
                continue
            rule.hits += 1
            rule.left = None if rule.left is None else rule.left - 1
            match rule.kind:
                case FaultKind.DROP:
                    copies = 0
                case FaultKind.DUPLICATE:
                    copies *= 2
                case FaultKind.DELAY:
                    delay_ms += rule.delay_ms
                case FaultKind.REORDER:
                    reorder, delay_ms = True, delay_ms + rule.delay_ms
                case FaultKind.CORRUPT:
                    frame = rule.change(frame)
        waiting = [flight for flight in self._flights if flight.overtaken and flight.way == way]
        for _ in range(copies):
            inbound = Inbound(way[1][1], frame)
            self._flights.append(Flight(now_ms + delay_ms, way[1], inbound, way, overtaken=reorder))
        for flight in waiting if copies else ():  # overtaken now: it goes on behind this one
            self._flights.remove(flight)
            flight.at_ms, flight.overtaken = now_ms + delay_ms, False
            self._flights.append(flight)

    def _arrived(self, flight: Flight) -> list[Inbound]:
        """Cut what arrives into frames; a terminal takes its own, a host gets them in its batch."""
        if flight.way is None:
            return [flight.inbound]
        near, far = flight.way
        to_terminal = far[0] == "terminal"
        line = self._terminals.get(near if to_terminal else far)
        if far not in self._wires and line is None:
            return []  # the terminal has hung up
        framing = (line.framing if line else self._wires[far][1])()
        try:
            frames = framing.feed(flight.inbound.frame)
        except DecodeError:
            frames = []
        if framing.consumed < len(flight.inbound.frame):
            self._broken(flight.way)
        if to_terminal and line:
            line.received += frames
            return []
        return [Inbound(far[1], frame, arrived_ms=self.clock.now_ms()) for frame in frames]

    def _broken(self, way: tuple[End, End]) -> None:
        log.info("link_closed", source=way[0][0], target=way[1][0], why="what arrived is not a frame")
        for end in way:
            if end in self._terminals:
                self._terminals[end].hang_up()
            elif end in self._wires:
                self._news(end, Kind.DOWN)
                self._news(end, Kind.UP)


class LoopTerminal:
    """A terminal's line into the net: `ask` is what `dialogue.run` calls."""

    def __init__(
        self, net: LoopNet, host: str, *, framing: FramingFactory, timeout_ms: int, matches: Matches, kind: str = "pos"
    ) -> None:  # fmt: skip
        self.host, self.framing, self.kind = host, framing, kind
        self.received: list[bytes] = []
        self._net, self._timeout_ms, self._matches = net, timeout_ms, matches
        self._end: End | None = None

    def ask(self, frame: bytes) -> bytes:
        """Send a frame and let virtual time pass until its reply is there.

        Raises LinkClosed when the host is down or dies meanwhile, LinkTimeout after the terminal's time.
        """
        net = self._net
        self._end = self._end or net.dial(self)
        net.pump()
        self.received.clear()  # what came before the question answers an earlier one
        net.from_terminal(self._end, frame)
        deadline_ms = net.clock.now_ms() + self._timeout_ms
        while True:
            net.pump()
            while self.received:
                reply = self.received.pop(0)
                if self._matches(frame, reply):
                    return reply
            if self._end is None:
                raise LinkClosed(f"{self.host}: hung up before it answered")
            left_ms = deadline_ms - net.clock.now_ms()
            if left_ms <= 0:
                raise LinkTimeout(f"{self.host}: no answer in {self._timeout_ms} ms")
            net.advance(min(net.tick_ms, left_ms))

    def hang_up(self) -> None:
        """End the connection; the next ask dials again."""
        if self._end is not None:
            self._net.hang_up(self._end)
        self._end = None
