"""The till: brings a card, a terminal and a line to the acquirer together for one thing a cashier does.

Against a running acquirer (`shanfu up`) the line is TCP; without one, the till runs all hosts of the world in this process over
the loop link, with the same books, so that `shanfu tap` needs nothing else. Both give the same receipts and the same events.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from shanfu.card import Card, Interface
from shanfu.clock import ManualClock, SystemClock
from shanfu.dialogue import Dialogue, run
from shanfu.events import Event, Events, Recorder, nobody
from shanfu.iso8583 import InterbankFrames, PosFrames
from shanfu.links import FaultKind, LoopNet, Passage, TerminalLink, client_context
from shanfu.messages import Call, JSONFrames, Reply, pack, unpack
from shanfu.sandbox.apis import https_cloud
from shanfu.sandbox.faults import bad_mac, malformed
from shanfu.sandbox.people import NETWORK, TSP, merchant_named
from shanfu.sandbox.phones import pocket
from shanfu.sandbox.processes import EventEnds
from shanfu.sandbox.serve import served
from shanfu.sandbox.world import HOSTS, World
from shanfu.terminal import ACQUIRER, CARD, PIN_PAD, PresentedCard, Reader, Receipt, Terminal, matches
from shanfu.wallet import HostCard, Phone

__all__ = [
    "FAULTS", "Feeds", "LocalWorld", "RemoteWorld", "Till", "a_world", "acquirer_of", "local_till", "local_world",
    "loop_line", "open_net", "provoke", "remote_world", "running", "tcp_line", "tcp_till", "till",
]  # fmt: skip

T = TypeVar("T")
Feeds = dict[str, list[Event]]  # what each party told, in its own order
SETTLE_MS = 1_000  # ten ticks: reversals kept by each host in turn reach the issuer

# fmt: off
FAULTS: dict[str, tuple[FaultKind, Callable[[bytes], bytes]]] = {  # what the issuer's answer suffers on its way to the network
    "silent":    (FaultKind.DROP,      bytes),
    "late":      (FaultKind.DELAY,     bytes),
    "duplicate": (FaultKind.DUPLICATE, bytes),
    "malformed": (FaultKind.CORRUPT,   malformed),
    "bad-mac":   (FaultKind.CORRUPT,   bad_mac),
}
# fmt: on


def acquirer_of(merchant: str) -> str:
    """Return the name of the host that serves a merchant."""
    return f"acquirer-{merchant_named(merchant).acquirer}"


class Till:
    """One terminal switched on, with a field and a slot for cards; `peers` are its PIN pad and its line to the acquirer."""

    def __init__(self, terminal: Terminal, peers: dict[str, Callable[[Any], Any]], memory: Any) -> None:
        self.terminal, self.reader, self.slot = terminal, Reader(), Reader(Interface.CONTACT)
        self._used = self.reader
        self._peers, self._memory = {CARD: self._ask_card, **peers}, memory

    def _ask_card(self, command: bytes) -> bytes:
        return self._used.ask(command)

    def insert(self, card: PresentedCard, *, dead: bool = False, tear_after: int | None = None) -> None:
        """Put a card into the slot; a `dead` chip answers nothing, `tear_after` so many commands the card is pulled."""
        self._used = self.slot
        self.slot.present(card, silent_after=0 if dead else None, tear_after=tear_after)

    def present(self, card: Card | HostCard) -> None:
        """Hold a card or a phone into the field; a card without an antenna stays silent there."""
        self._used = self.reader
        card.power_on(Interface.CONTACTLESS)
        self.reader.present(card)

    def take_away(self) -> None:
        """Take out of field and slot whatever was there."""
        self.reader.remove()
        self.slot.remove()
        self._used = self.reader

    def do(self, dialogue: Dialogue[T]) -> T:
        """Carry one dialogue of this terminal to its end."""
        return run(dialogue, self._peers, self._memory)

    def sign_in(self) -> Receipt:
        """Sign the terminal in."""
        return self.do(self.terminal.sign_in())


@contextmanager
def till(
    world: World,
    merchant: str,
    ask: Callable[[bytes], bytes],
    *,
    keypad: Callable[[str], str | None],
    events: Events = nobody,
) -> Iterator[Till]:
    """Switch on a merchant's terminal with this line to its acquirer."""
    with world.terminal(merchant, keypad=keypad, events=events) as (terminal, pad, memory):
        yield Till(terminal, {PIN_PAD: pad.answer, ACQUIRER: ask}, memory)


@contextmanager
def tcp_line(world: World, merchant: str) -> Iterator[Callable[[bytes], bytes]]:
    """Connect to the merchant's running acquirer; LinkClosed when it does not run."""
    name = acquirer_of(merchant)
    tls = client_context(world.folder / "ca", "terminal") if world.settings.tls else None
    with TerminalLink(
        "127.0.0.1",
        world.settings.ports[name],
        framing=PosFrames,
        timeout_ms=world.settings.timeouts.terminal_ms,
        tls=tls,
        tls_name=HOSTS[name].id,
        matches=matches,
    ) as link:
        yield link.ask


def running(world: World) -> bool:
    """Whether hosts of this world run as processes of their own; others on the same ports do not count."""
    return any(world.runs(name) for name in world.processes)


@contextmanager
def tcp_till(world: World, merchant: str, *, keypad: Callable[[str], str | None], feeds: Feeds) -> Iterator[Till]:
    """Switch a terminal on against running hosts; what watched hosts tell meanwhile is in `feeds` afterwards."""
    with remote_world(world, feeds=feeds) as there, there.till(merchant, keypad=keypad) as it:
        yield it


@contextmanager
def local_till(
    world: World, merchant: str, *, fault: str | None = None, keypad: Callable[[str], str | None], feeds: Feeds
) -> Iterator[Till]:
    """Switch a terminal on with all hosts in this process."""
    with local_world(world, feeds=feeds) as here, here.till(merchant, keypad=keypad) as it:
        if fault:
            provoke(here.net, here.world, fault)
        yield it


class LocalWorld:
    """All hosts of a world in this process, under one clock that only waits move."""

    def __init__(self, world: World, net: LoopNet, recorder: Recorder) -> None:
        self.world, self.net, self._recorder = world, net, recorder

    @contextmanager
    def till(self, merchant: str, *, keypad: Callable[[str], str | None]) -> Iterator[Till]:
        """Switch a merchant's terminal on."""
        with (
            loop_line(self.net, self.world, merchant) as ask,
            till(self.world, merchant, ask, keypad=keypad, events=self._recorder) as it,
        ):
            yield it

    @contextmanager
    def phone(self, name: str) -> Iterator[Phone]:
        """Take a phone out of its holder's pocket."""
        line = self.net.terminal(
            self.world.home_of("cloud"), framing=JSONFrames, timeout_ms=self.world.settings.timeouts.terminal_ms, kind="phone"
        )

        def ask(call: Call) -> Reply:
            return unpack(line.ask(pack(call)), Reply)

        with pocket(self.world, name, ask, clock=self.world.clock, events=self._recorder) as it:
            yield it
        line.hang_up()

    def settle(self) -> None:
        """Let what was left to store-and-forward, and to notices, go its way."""
        self.net.heal()
        self.net.advance(SETTLE_MS)

    def told(self) -> Feeds:
        """Return what everybody has told since: one process, so what happened is in order already."""
        return {"world": self._recorder.drain()}


class RemoteWorld:
    """The running hosts of a world, each a process, as terminals and phones reach them."""

    def __init__(self, world: World) -> None:
        self.world, self._recorder, self._ends = world, Recorder(), EventEnds(world)

    @contextmanager
    def till(self, merchant: str, *, keypad: Callable[[str], str | None]) -> Iterator[Till]:
        """Switch a merchant's terminal on."""
        with (
            tcp_line(self.world, merchant) as ask,
            till(self.world, merchant, ask, keypad=keypad, events=self._recorder) as it,
        ):
            yield it

    @contextmanager
    def phone(self, name: str) -> Iterator[Phone]:
        """Take a phone out of its holder's pocket."""
        with (
            https_cloud(self.world) as line,
            pocket(self.world, name, line.ask, clock=self.world.clock, events=self._recorder) as it,
        ):
            yield it

    def settle(self) -> None:
        """Leave it to the hosts."""

    def told(self) -> Feeds:
        """Return what terminal and phone, and the hosts that are watched, have told since."""
        return {"terminal": self._recorder.drain(), **self._ends.told()}


@contextmanager
def local_world(world: World, *, feeds: Feeds) -> Iterator[LocalWorld]:
    """Run all hosts in this process; time is the machine's, but waits pass at once.

    The moment reached is kept in the folder, so that whoever comes next does not begin before this one ended.
    """
    recorder = Recorder()
    clock = ManualClock(max(SystemClock().now_ms(), _reached_ms(world)))
    here = World(world.folder, world.settings, clock)
    with open_net(here, clock, events=recorder) as net:
        recorder.drain()  # signing on is not part of a payment's story
        local = LocalWorld(here, net, recorder)
        yield local
        local.settle()
        _clock_file(world).write_text(str(clock.now_ms()))
    feeds |= local.told()


@contextmanager
def remote_world(world: World, *, feeds: Feeds) -> Iterator[RemoteWorld]:
    """Reach the running hosts; what watched ones tell meanwhile is in `feeds` afterwards."""
    remote = RemoteWorld(world)
    yield remote
    feeds |= remote.told()


def a_world(world: World, *, feeds: Feeds) -> AbstractContextManager[LocalWorld | RemoteWorld]:
    """Reach the hosts where they run, or run them here."""
    return remote_world(world, feeds=feeds) if running(world) else local_world(world, feeds=feeds)


def _clock_file(world: World) -> Path:
    return world.folder / "clock_ms"


def _reached_ms(world: World) -> int:
    file = _clock_file(world)
    return int(file.read_text()) if file.exists() else 0


@contextmanager
def open_net(world: World, clock: ManualClock, *, events: Events = nobody) -> Iterator[LoopNet]:
    """Run every host of the world in this process over the loop link, signed on and with working keys."""
    with ExitStack() as open_stores:
        net = LoopNet(clock)
        for name in world.processes:
            store = open_stores.enter_context(world.store(name))
            net.add(served(world, name, watch=events is not nobody), store, events=events)
        _lay_wires(net, world)
        net.pump()
        yield net


def _lay_wires(net: LoopNet, world: World) -> None:
    """Connect who is a process of its own: interbank wires to the network, JSON wires to the token service."""
    for name in world.processes:
        if HOSTS[name].kind in ("acquirer", "issuer", "tsp"):
            net.wire((name, NETWORK), ("network", HOSTS[name].id), framing=InterbankFrames)
        if HOSTS[name].kind == "issuer":
            net.wire((name, f"tsp/{TSP}"), (world.home_of("tsp"), f"issuer/{HOSTS[name].id}"), framing=JSONFrames)
        if HOSTS[name].kind == "cloud":
            net.wire((name, f"tsp/{TSP}"), ("tsp", "cloud"), framing=JSONFrames)


@contextmanager
def loop_line(net: LoopNet, world: World, merchant: str) -> Iterator[Callable[[bytes], bytes]]:
    """Return a terminal's line into the net."""
    line = net.terminal(
        acquirer_of(merchant), framing=PosFrames, timeout_ms=world.settings.timeouts.terminal_ms, matches=matches
    )
    yield line.ask
    line.hang_up()


def provoke(net: LoopNet, world: World, kind: str) -> None:
    """Let the issuer's next answer to a payment suffer this fault."""
    fault, change = FAULTS[kind]

    def answer(passage: Passage) -> bool:
        return passage.source.startswith("issuer-") and passage.frame[50:54] == b"0210"

    net.fault(fault, answer, change=change, delay_ms=world.settings.timeouts.network_ms + 1_000)
