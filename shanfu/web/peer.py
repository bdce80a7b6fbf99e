"""Who is at the other end of a connection, as its certificate says.

The server that carries our application hands over the request and not the certificate it came with. So each connection wraps
the application once, after the TLS handshake, and every request on it has the peer among its extensions. It also ends what will
never become a request: a caller who says nothing, half a request that never ends, bytes that are not HTTP.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from shanfu.links import common_name
from shanfu.messages import ProblemCode, encoded, problem

__all__ = ["PEER", "CertifiedPeer", "CertifiedProtocol", "peer_of"]

PEER: Final = "shanfu.peer"  # the name of our extension of the ASGI scope
PART_S: Final = 0.2  # for the last answer to leave and TLS to say goodbye
LOOK_S: Final = 30.0  # who has not asked anything by then, or has a request half said at two looks, is cut off
MOST_CONNECTIONS: Final = 4096  # below the usual limit of open files, with room for the store


@dataclass(frozen=True, slots=True)
class CertifiedPeer:
    """A verified certificate: its common name, and the SHA-256 of the whole, hex."""

    name: str
    sha256: str


class CertifiedProtocol(H11Protocol):
    """One HTTP connection, whose requests know the peer's certificate."""

    def connection_made(self, transport: Any) -> None:
        """Begin, when the TLS handshake is done."""
        super().connection_made(transport)
        self.app = _Introduced(self.app, _peer(transport))
        self._half = False
        self._looking = self.loop.call_later(LOOK_S, self._look)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._looking.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End after what was taken is answered; a peer that keeps its side open is not waited for."""
        super().shutdown()
        self._part(closing=False)

    def _part(self, *, closing: bool) -> None:
        if closing:
            self.transport.abort()
        elif self in self.connections:
            self.loop.call_later(PART_S, lambda: self._part(closing=self.transport.is_closing()))

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, and hang up."""
        del msg
        body = bytes(encoded(problem(ProblemCode.FORMAT, "this is not HTTP/1.1 (RFC 9112)")))
        head = [
            ("content-type", "application/problem+json"), ("content-length", str(len(body))), ("connection", "close"),
        ]  # fmt: skip
        for event in (h11.Response(status_code=400, headers=head), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _look(self) -> None:
        cycle = getattr(self, "cycle", None)
        half = bool(self.conn.trailing_data[0]) and (cycle is None or cycle.response_complete)
        if (cycle is None or (half and self._half)) and not self.transport.is_closing():
            self.transport.abort()
            return
        self._half, self._looking = half, self.loop.call_later(LOOK_S, self._look)


class _Introduced:
    """The application, as one connection calls it."""

    def __init__(self, app: Any, peer: CertifiedPeer | None) -> None:
        self._app, self._peer = app, peer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"] = {**(scope.get("extensions") or {}), PEER: self._peer}
        await self._app(scope, receive, send)


def _peer(transport: Any) -> CertifiedPeer | None:
    secure = transport.get_extra_info("ssl_object")
    der = secure.getpeercert(binary_form=True) if secure is not None else None
    name = common_name(transport.get_extra_info("peercert"))
    return CertifiedPeer(name, hashlib.sha256(der).hexdigest()) if der and name else None


def peer_of(scope: Any) -> CertifiedPeer | None:
    """Return the certified peer of a request, None for who showed no certificate."""
    found = (scope.get("extensions") or {}).get(PEER)
    return found if isinstance(found, CertifiedPeer) else None
