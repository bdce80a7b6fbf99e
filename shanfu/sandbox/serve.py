"""Runs one host of a world as a process: its links, its ports, its certificates, its limits.

Who calls whom: acquirers call the network, the network calls issuers, terminals call acquirers. Interbank links are known by
the certificate's name under TLS, and by the header's source without; terminals by their connection.
"""

import signal
import ssl
from collections.abc import Callable
from typing import Any

from shanfu.errors import ConfigError
from shanfu.events import Events, nobody
from shanfu.hosts import HouseholdBooks
from shanfu.iso8583 import InterbankFrames, PosFrames
from shanfu.links import ClientLink, Host, Limits, ServerLink, Turn, client_context, run_host, server_context
from shanfu.network import NetworkBooks
from shanfu.sandbox.apis import doors_of
from shanfu.sandbox.faults import LATE_MS, FaultyIssuer
from shanfu.sandbox.people import NETWORK
from shanfu.sandbox.world import HOSTS, World, role

__all__ = ["serve", "served"]

LOOPBACK = "127.0.0.1"
IDLE = b"0000"  # the interbank idle frame; POS links have none
POS_REVERSAL, INTERBANK_REVERSALS = b"\x04\x00", (b"0420", b"0421")


def serve(
    world: World,
    name: str,
    *,
    events: Events = nobody,
    ready: Callable[[list[int]], None] | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve until SIGTERM; raises Conflict when the host runs already, ConfigError when its port is in use."""
    kind = role(name).kind
    if (home := world.home_of(name)) != name:
        hint = "make a world with SHANFU_HOUSEHOLD=0 to have them apart"
        raise ConfigError(f"{name}: lives with the {home} in this world: `shanfu serve {home}` runs both; {hint}")
    claim = world.claim(name)
    host = served(world, name, watch=events is not nobody)
    if kind == "network":
        host = Operated(host)
    with world.store(name) as store:
        run_host(
            host,
            store,
            links_of(world, name),
            clock=world.clock,
            events=events,
            limits=limits or limits_of(world, name),
            urgent=is_pos_reversal if kind == "acquirer" else is_interbank_reversal,
            ready=ready,
            doors=doors_of(world, name),
        )
    claim.release()


def served(world: World, name: str, *, watch: bool) -> Host[Any]:
    """Return a host as the sandbox runs it: issuers with the faults that amounts of the fault card ask for."""
    host = world.host(name, watch=watch)
    if role(name).kind == "issuer":
        return FaultyIssuer(host, late_ms=world.settings.timeouts.network_ms + LATE_MS)
    return host


class Operated:
    """The network with its operator: SIGUSR1 asks for the cut-off, which the next tick does."""

    def __init__(self, host: Host[Any]) -> None:
        self.name, self.books, self.handle, self.refuse = host.name, host.books, host.handle, host.refuse
        self._host, self._close = host, False
        signal.signal(signal.SIGUSR1, lambda *_: self._ask())

    def _ask(self) -> None:
        self._close = True

    def due(self, books: NetworkBooks | HouseholdBooks) -> Turn:
        """Pass the operator's wish on with the rest of what is due."""
        if self._close:
            own: NetworkBooks = books.of("network") if isinstance(books, HouseholdBooks) else books
            own.state.close_asked, self._close = 1, False
        return self._host.due(books)


def links_of(world: World, name: str) -> list[ServerLink | ClientLink]:
    """Return what a host listens on and whom it calls."""
    if role(name).kind == "cloud":
        return []  # it is asked over HTTPS alone
    port, tls = world.settings.ports.get(name), _server_tls(world, name)
    if port is None:
        raise ConfigError(f"world.toml [ports]: {name} has none")
    match role(name).kind:
        case "acquirer":
            return [
                ServerLink(host=LOOPBACK, port=port, framing=PosFrames, tls=tls),
                _call(world, name, to="network"),
            ]
        case "issuer" | "tsp":
            return [_listen(port, tls, caller=NETWORK)]
        case _:
            called = [other for other in world.processes if HOSTS[other].kind in ("issuer", "tsp")]
            return [_listen(port, tls), *(_call(world, name, to=other) for other in called)]


SWITCH_GROUP = 24  # messages: between two parties, who wait while the switch works on a bigger batch; measured, see performance


def limits_of(world: World, name: str) -> Limits:
    """Return a host's limits: what is older than its senders wait is refused instead of worked."""
    t = world.settings.timeouts
    match role(name).kind:
        case "network":
            return Limits(patience_ms=t.acquirer_ms, group_frames=SWITCH_GROUP)
        case "acquirer":
            return Limits(patience_ms=t.terminal_ms)
        case _:
            return Limits(patience_ms=t.network_ms)


def _listen(port: int, tls: ssl.SSLContext | None, *, caller: str = "") -> ServerLink:
    return ServerLink(
        host=LOOPBACK, port=port, framing=InterbankFrames, tls=tls, identify=source_of, caller=caller, idle_frame=IDLE
    )


def _call(world: World, name: str, *, to: str) -> ClientLink:
    far = role(to).id
    return ClientLink(
        station=far,
        host=LOOPBACK,
        port=world.settings.ports[to],
        framing=InterbankFrames,
        tls=client_context(world.folder / "ca", role(name).id) if world.settings.tls else None,
        tls_name=far,
        idle_frame=IDLE,
    )


def _server_tls(world: World, name: str) -> ssl.SSLContext | None:
    return server_context(world.folder / "ca", role(name).id) if world.settings.tls else None


def source_of(frame: bytes) -> str | None:
    """Return the institution that an interbank frame says it comes from, when it is one of this world."""
    station = frame[21:32].decode("ascii", errors="replace").rstrip()
    return station if station in {its.id for its in HOSTS.values()} | {NETWORK} else None


def is_pos_reversal(frame: bytes) -> bool:
    """Whether a POS frame is a 0400 (length 2, TPDU 5, header 6, then the MTI)."""
    return frame[13:15] == POS_REVERSAL


def is_interbank_reversal(frame: bytes) -> bool:
    """Whether an interbank frame is a 0420 or 0421 (length 4, header 46, then the MTI)."""
    return frame[50:54] in INTERBANK_REVERSALS
