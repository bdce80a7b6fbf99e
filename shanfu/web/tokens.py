"""Access tokens: opaque, short-lived, good only over the certificate they were given to.

They live in this process alone: after a restart a client is told 401, fetches another one and goes on. What is kept of a token
is its hash. Sources: RFC 6749 4.4 (client credentials), RFC 6750 (bearer tokens), RFC 8705 3 (bound to a certificate).
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from shanfu.clock import Clock
from shanfu.web.clients import Client

__all__ = ["Token", "Tokens"]

LIFE_S: Final = 600  # long enough that fetching costs nothing, short enough that a withdrawn client is soon out
MOST_TOKENS: Final = 10_000  # a client needs one; the oldest goes


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of an access token."""

    caller: str
    certificate: str  # SHA-256 of the certificate, hex
    expires_ms: int


class Tokens:
    """The access tokens of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[bytes, Token] = {}

    def give(self, client: Client, certificate: str) -> str:
        """Return a new access token for a client that has proved itself over this certificate."""
        text = secrets.token_urlsafe(32)
        while len(self._known) >= MOST_TOKENS:
            del self._known[next(iter(self._known))]
        self._known[_digest(text)] = Token(client.caller, certificate, self._clock.now_ms() + LIFE_S * 1000)
        return text

    def caller(self, text: str, certificate: str) -> str | None:
        """Return who holds this token over this certificate; None when it is not known, too old, or another's."""
        digest = _digest(text)
        token = self._known.get(digest)
        if token is None:
            return None
        if token.expires_ms <= self._clock.now_ms():
            del self._known[digest]
            return None
        return token.caller if hmac.compare_digest(token.certificate, certificate) else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
