"""Who is at the other end of a connection, as its certificate says.

The server that carries our application hands over the request and not the certificate it came with. So each connection wraps
the application once, after the TLS handshake, and every request on it has the peer among its extensions.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from shanfu.links import common_name

__all__ = ["PEER", "CertifiedPeer", "CertifiedProtocol", "peer_of"]

PEER: Final = "shanfu.peer"  # the name of our extension of the ASGI scope
PART_S: Final = 0.2  # for the last answer to leave and TLS to say goodbye
FIRST_REQUEST_S: Final = 30.0  # a connection that has not asked anything by then is closed


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
        self._first = self.loop.call_later(FIRST_REQUEST_S, self._unless_asked)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._first.cancel()
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

    def _unless_asked(self) -> None:
        if getattr(self, "cycle", None) is None and not self.transport.is_closing():
            self.transport.close()


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
