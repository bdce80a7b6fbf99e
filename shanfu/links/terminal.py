"""A terminal's telephone line: a blocking TCP link that asks one thing at a time.

The terminal's dialogue asks, and this link is the peer that `dialogue.run` calls. The connection stays open between asks
and is renewed when the host has closed it meanwhile. What still comes for an earlier ask is thrown away: the caller says with
`matches(request, reply)` which reply belongs to which request. A time-out tells what was received instead of an answer.
"""

import socket
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from shanfu.errors import DecodeError, LinkClosed, LinkTimeout
from shanfu.links.framing import FramingFactory

__all__ = ["Matches", "TerminalLink", "any_reply"]

Matches = Callable[[bytes, bytes], bool]


def any_reply(request: bytes, reply: bytes) -> bool:
    """Take the next reply, whatever it is: for hosts that answer in order."""
    del request, reply
    return True


class TerminalLink:
    """Asks a host over TCP; under `tls` the host's certificate must bear `tls_name`."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        framing: FramingFactory,
        timeout_ms: int,
        tls: ssl.SSLContext | None = None,
        tls_name: str = "acquirer",
        matches: Matches = any_reply,
    ) -> None:
        self._host, self._port, self._framing_factory = host, port, framing
        self._timeout_ms, self._tls, self._tls_name, self._matches = timeout_ms, tls, tls_name, matches
        self._framing = framing()
        self._fed = 0
        self._socket: socket.socket | None = None
        self._frames: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one; the next ask opens another."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def ask(self, frame: bytes) -> bytes:
        """Send a whole frame and return the reply that matches it, cut as the framing cuts.

        Raises LinkClosed when the host cannot be reached or hangs up, LinkTimeout when no matching reply has come in time;
        after a LinkClosed too the host may have acted, if the frame had left.
        """
        deadline = time.monotonic() + self._timeout_ms / 1000
        self._drain()
        line = self._socket or self._connect(deadline)
        try:
            line.settimeout(max(deadline - time.monotonic(), 0.001))
            line.sendall(frame)
            return self._reply(line, frame, deadline)
        except TimeoutError as fault:
            self.close()
            raise LinkTimeout(f"{self._name}: {self._timeout_ms} ms are over and the request has not left") from fault
        except OSError as fault:
            self.close()
            raise LinkClosed(f"{self._name}: {fault.strerror or type(fault).__name__}") from fault

    @property
    def _name(self) -> str:
        return f"{self._host}:{self._port}"

    def _connect(self, deadline: float) -> socket.socket:
        try:
            line = self._dial(deadline)
        except OSError as fault:
            raise LinkClosed(f"{self._name}: cannot be reached ({fault.strerror or 'no answer'})") from fault
        try:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if isinstance(line, ssl.SSLSocket):
                line.do_handshake()
        except OSError as fault:  # every ssl.SSLError is one
            line.close()
            why = fault.verify_message if isinstance(fault, ssl.SSLCertVerificationError) else fault.strerror or "closed"
            raise LinkClosed(f"{self._name}: TLS was refused ({why})") from fault
        self._socket, self._framing, self._fed = line, self._framing_factory(), 0
        self._frames.clear()
        return line

    def _dial(self, deadline: float) -> socket.socket:
        """Connect to the first address that answers.

        The socket is wrapped before it connects: `wrap_socket` of a line that was reset meanwhile loses the socket unclosed.
        """
        refusal: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM):
            line = socket.socket(family, kind, protocol)
            if self._tls:
                line = self._tls.wrap_socket(line, server_hostname=self._tls_name, do_handshake_on_connect=False)
            try:
                line.settimeout(max(deadline - time.monotonic(), 0.001))
                line.connect(address)
            except OSError as fault:
                line.close()
                refusal = fault
            else:
                return line
        raise refusal or OSError(f"{self._host} has no address")

    def _drain(self) -> None:
        """Throw away what came too late for the last ask, and notice when the host has hung up."""
        while self._socket:
            self._socket.settimeout(0)
            try:
                data = self._socket.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            except OSError:
                data = b""
            try:
                if data:
                    self._feed(data)
                else:
                    self.close()
            except DecodeError:
                self.close()
        self._frames.clear()

    def _reply(self, line: socket.socket, request: bytes, deadline: float) -> bytes:
        received, others = self._pending, 0
        while True:
            while self._frames:
                reply = self._frames.pop(0)
                if self._matches(request, reply):
                    return reply
                others += 1
            line.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = line.recv(65536)
            except TimeoutError as fault:
                raise LinkTimeout(self._silence(received, others)) from fault
            if not data:
                self.close()
                raise LinkClosed(f"{self._name}: hung up after {received} bytes of an answer")
            received += len(data)
            try:
                self._feed(data)
            except DecodeError as fault:
                self.close()
                raise LinkTimeout(f"{self._name}: {received} bytes received, not a frame because {fault}") from fault

    @property
    def _pending(self) -> int:
        return self._fed - self._framing.consumed

    def _feed(self, data: bytes) -> None:
        self._fed += len(data)
        self._frames += self._framing.feed(data)

    def _silence(self, received: int, others: int) -> str:
        """Say what came instead of the answer: most silences are a framing or a key field that differ."""
        pending = self._pending
        text = f"{self._name}: no answer in {self._timeout_ms} ms"
        if others:
            text += f"; {others} frames received that answer something else"
        if pending:
            text += f"; {pending} bytes received, not a frame because it announces more"
        return text if received else f"{text}, nothing received"
