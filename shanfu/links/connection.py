"""One TCP connection of a host, from its acceptance to its end, and the two kinds of link it may belong to.

A connection closes itself, and nothing else, when it hears a foreign protocol, a frame that cannot be, half a frame that
never ends, silence for three idle tests, or when its peer stops reading. The log says which, without the bytes.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from shanfu.errors import DecodeError
from shanfu.links.framing import FramingFactory
from shanfu.links.host import Inbound
from shanfu.links.hub import Hub
from shanfu.links.tls import common_name

__all__ = ["CONNECT_S", "ClientLink", "Connection", "ServerLink", "os_words", "tls_words"]

CONNECT_S = 10.0  # for TCP and the TLS handshake

log = structlog.get_logger("shanfu.links")

Identify = Callable[[bytes], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLink:
    """Where a host listens; port 0 takes a free one."""

    host: str
    port: int
    framing: FramingFactory
    tls: ssl.SSLContext | None = None
    identify: Identify | None = None  # an institution's name from its first frame; None: a link for terminals
    caller: str = ""  # the one institution that calls here and waits to be spoken to: without TLS nothing else names it
    idle_frame: bytes = b""  # what says "still here"; empty: this dialect has none
    idle_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLink:
    """Whom a host calls; the called station's certificate must bear `tls_name` (by default the station's name)."""

    station: str
    host: str
    port: int
    framing: FramingFactory
    tls: ssl.SSLContext | None = None
    tls_name: str = ""
    idle_frame: bytes = b""
    idle_s: float = 60.0


class Connection(asyncio.Protocol):
    """One TCP connection of a host, from its acceptance to its end."""

    def __init__(self, hub: Hub, link: ServerLink | ClientLink, given: str) -> None:
        self._hub, self._link, self._given = hub, link, given
        self._station = ""  # until it is known who this is
        self._announce = isinstance(link, ClientLink) or link.identify is not None or bool(link.caller)
        self._framing = link.framing()
        self._transport: asyncio.Transport | None = None
        self._address = ""
        self._why = ""
        self._begun = False
        self._fed = 0
        self._early = b""
        self._heard_s = self._said_s = self._partial_s = 0.0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- what asyncio calls -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a server's TLS handshake comes first."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = _address(transport)
        _no_delay(transport)
        if isinstance(self._link, ClientLink):
            self._begin(self._given)
        elif self._hub.full:
            self._end("the host has as many connections as it allows")
        elif self._link.tls is None:
            self._begin(self._caller(self._link) if self._announce else self._given)
        else:
            transport.pause_reading()
            task = asyncio.get_running_loop().create_task(self._shake_hands(transport, self._link.tls))
            self.closed.add_done_callback(lambda _: task.cancel())

    def data_received(self, data: bytes) -> None:
        """Cut what came into frames and put them into the inbox."""
        now_s = self._heard_s = asyncio.get_running_loop().time()
        if self._why:
            return
        if not self._begun:  # it follows the TLS handshake so closely that its sender's name is still to be read
            self._early += data
            return
        self._fed += len(data)
        try:
            frames = self._framing.feed(data)
            if frames and (self._station or self._named_by(frames[0])):
                at_ms = self._hub.clock.now_ms()
                self._hub.arrive([Inbound(self._station, frame, arrived_ms=at_ms) for frame in frames])
            if self._fed == self._framing.consumed:
                self._partial_s = 0.0
            elif frames or not self._partial_s:
                self._partial_s = now_s
                self._framing.feed(b"")  # a fault behind whole frames is told by the next call: make it now
        except DecodeError as fault:
            self._end(f"no frame: {fault.what}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the hub; a link that ended by itself is a line in the log."""
        if not self._why and (exc or self._announce):
            log.info("link_lost", **self._who(), why=tls_words(exc) if exc else "its peer closed it")
        self._hub.leave(self, self._station, announce=self._announce)
        if not self.closed.done():
            self.closed.set_result(None)

    # -- what the hub calls -------------------------------------------------------------------------------------------

    def write(self, frames: list[bytes]) -> None:
        """Send frames in one write; a connection that is closing takes them silently."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
        self._said_s = asyncio.get_running_loop().time()
        if transport.get_write_buffer_size() > self._hub.limits.write_bytes:
            self._end(f"its peer does not read: {transport.get_write_buffer_size()} bytes are waiting")

    def pause(self) -> None:
        """Stop reading."""
        if self._transport and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport and not self._transport.is_closing():
            self._transport.resume_reading()

    def check(self, now_s: float) -> None:
        """Send the idle frame when it is time, and end a link that has gone dead."""
        limits, idle_s, quiet_s = self._hub.limits, self._link.idle_s, now_s - self._heard_s
        if self._partial_s and now_s - self._partial_s > limits.partial_s:
            return self._end(f"half a frame ({self._fed - self._framing.consumed} bytes) for {limits.partial_s:g} s")
        if self._link.idle_frame:
            if quiet_s > 3 * idle_s:
                return self._end(f"silent for {quiet_s:.1f} s, that is three idle tests")
            if self._station and now_s - self._said_s >= idle_s:
                self.write([self._link.idle_frame])
        elif quiet_s > limits.quiet_s and not isinstance(self._link, ClientLink):
            return self._end(f"silent for {quiet_s:.0f} s")
        return None

    def finish(self) -> None:
        """Close after what was written has left."""
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport:
            self._transport.abort()

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _shake_hands(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            secure = await loop.start_tls(transport, self, context, server_side=True, ssl_handshake_timeout=CONNECT_S)
        except (OSError, ssl.SSLError) as fault:
            log.warning("tls_refused", **self._who(), why=tls_words(fault))
            transport.abort()
            self.connection_lost(None)
            return
        assert isinstance(secure, asyncio.Transport)
        self._transport = secure
        name = common_name(secure.get_extra_info("peercert"))
        if self._announce and not name:
            self._end("its certificate has no common name, so it does not say who this is")
        else:
            self._begin(name if self._announce else self._given)

    def _caller(self, link: ServerLink) -> str:
        """Take who calls for the one institution that may, unless that has a link which stands: then it must say so."""
        return "" if link.caller in self._hub.stations else link.caller

    def _begin(self, station: str) -> None:
        self._heard_s = self._said_s = asyncio.get_running_loop().time()
        self._begun = True
        self._hub.join(self)
        if station:
            self._name(station)
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def _named_by(self, frame: bytes) -> bool:
        """Learn from its first frame who this is."""
        assert isinstance(self._link, ServerLink)
        try:
            station = self._link.identify(frame) if self._link.identify else None
        except DecodeError as fault:
            self._end(f"its first frame does not say who it is: {fault.path} {fault.what}")
            return False
        if not station:
            self._end("its first frame does not say who it is")
            return False
        self._name(station)
        return True

    def _name(self, station: str) -> None:
        self._station = station
        say = log.info if self._announce else log.debug
        say("link_up", **self._who())
        replaced = self._hub.name_peer(self, station, announce=self._announce)
        if isinstance(replaced, Connection):
            replaced._end("the same station has connected again")

    def _end(self, why: str) -> None:
        if self._why:
            return
        self._why = why
        log.warning("link_closed", **self._who(), why=why)
        self.abort()

    def _who(self) -> dict[str, str]:
        return {"host": self._hub.name, "station": self._station, "address": self._address}


def _no_delay(transport: asyncio.Transport) -> None:
    plain = transport.get_extra_info("socket")
    if plain is not None:  # an answer is small and complete: it must not wait for the acknowledgement of the last one
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _address(transport: asyncio.Transport) -> str:
    name = transport.get_extra_info("peername")
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else ""


def os_words(fault: OSError) -> str:
    """Return the system's reason alone, without the address that asyncio puts before it."""
    return (fault.strerror or type(fault).__name__).split(":")[-1].strip()


def tls_words(fault: BaseException) -> str:
    """Say in one line why a connection could not be made or ended."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {fault.verify_message}"
    if isinstance(fault, ssl.SSLError):
        return f"TLS: {(fault.reason or 'failed').lower().replace('_', ' ')}"
    if isinstance(fault, OSError):
        return os_words(fault)
    return type(fault).__name__
