"""The till: brings a card, a terminal and a line to the acquirer together for one thing a cashier does.

Against a running acquirer (`shanfu up`) the line is TCP; without one, the till runs all hosts of the world in this process over
the loop link, with the same books, so that `shanfu tap` needs nothing else. Both give the same receipts and the same events.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from shanfu.clock import ManualClock
from shanfu.dialogue import Dialogue, run
from shanfu.errors import LinkClosed
from shanfu.events import Events, nobody
from shanfu.iso8583 import InterbankFrames, PosFrames, decode_pos
from shanfu.links import FaultKind, LoopNet, Passage, TerminalLink, client_context
from shanfu.sandbox.people import NETWORK, merchant_named
from shanfu.sandbox.world import HOSTS, World
from shanfu.terminal import ACQUIRER, CARD, PIN_PAD, Reader, Receipt, Terminal

__all__ = ["FAULTS", "Till", "acquirer_of", "open_net", "same_transaction"]

T = TypeVar("T")

# fmt: off
FAULTS = {  # what the issuer's answer suffers on its way to the network
    "silent":    (FaultKind.DROP, None),
    "late":      (FaultKind.DELAY, None),
    "duplicate": (FaultKind.DUPLICATE, None),
    "malformed": (FaultKind.CORRUPT, lambda frame: frame[:60] + b"\xff" * 4 + frame[64:]),
    "bad-mac":   (FaultKind.CORRUPT, lambda frame: frame[:-8] + (b"00000000" if frame[-8:] != b"00000000" else b"11111111")),
}
# fmt: on


def acquirer_of(merchant: str) -> str:
    """Return the name of the host that serves a merchant."""
    return f"acquirer-{merchant_named(merchant).acquirer}"


def same_transaction(request: bytes, reply: bytes) -> bool:
    """Whether a POS reply answers this request: the paired MTI, and DE11 and DE41 where both have them."""
    ask, answer = decode_pos(request).message, decode_pos(reply).message
    keys = [number for number in (11, 41) if number in ask.fields and number in answer.fields]
    paired = ask.mti[:2] == answer.mti[:2]
    return paired and all(ask.fields[number] == answer.fields[number] for number in keys)


class Till:
    """One terminal switched on, with a reader, and `ask` as its line to the acquirer."""

    def __init__(self, terminal: Terminal, reader: Reader, peers: dict[str, Callable[[Any], Any]], memory: Any) -> None:
        self.terminal, self.reader = terminal, reader
        self._peers, self._memory = peers, memory

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
        reader = Reader()
        yield Till(terminal, reader, {CARD: reader.ask, PIN_PAD: pad.answer, ACQUIRER: ask}, memory)


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
        matches=same_transaction,
    ) as link:
        yield link.ask


@contextmanager
def open_net(world: World, clock: ManualClock, *, events: Events = nobody) -> Iterator[LoopNet]:
    """Run every host of the world in this process over the loop link, signed on and with working keys."""
    with ExitStack() as open_stores:
        net = LoopNet(clock)
        for name in HOSTS:
            store = open_stores.enter_context(world.store(name))
            net.add(world.host(name, watch=events is not nobody), store, events=events)
        for name, role in HOSTS.items():
            if role.kind != "network":
                net.wire((name, NETWORK), ("network", role.id), framing=InterbankFrames)
        net.pump()
        yield net


@contextmanager
def loop_line(net: LoopNet, world: World, merchant: str) -> Iterator[Callable[[bytes], bytes]]:
    """Return a terminal's line into the net."""
    line = net.terminal(
        acquirer_of(merchant), framing=PosFrames, timeout_ms=world.settings.timeouts.terminal_ms, matches=same_transaction
    )
    yield line.ask
    line.hang_up()


def provoke(net: LoopNet, kind: str) -> None:
    """Let the issuer's next answer to a payment suffer this fault."""
    fault, change = FAULTS[kind]

    def answer(passage: Passage) -> bool:
        return passage.source.startswith("issuer-") and passage.frame[50:54] == b"0210"

    if change is None:
        net.fault(fault, answer, delay_ms=40_000)
    else:
        net.fault(fault, answer, change=change)


def reachable(world: World, merchant: str) -> bool:
    """Whether the merchant's acquirer runs and answers a connection."""
    try:
        with tcp_line(world, merchant) as _:
            return True
    except LinkClosed:
        return False
