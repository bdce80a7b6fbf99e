"""Who may ask what: the guard before every route.

A route is open only if it says for whom: a row of the table has a role, a page is marked public, everything else is refused.

- Institutions show a certificate (mutual TLS) and an access token that was given over that certificate; the token says who
  calls, and that must be of the row's role.
- Phones show no certificate. Their headers name device, session, counter, time, nonce and signature; the key cloud verifies
  them, so here it is only seen that they are there and have their form.

What was found goes into the request's state for the handler and the log line. Sources: RFC 6750 2.1, RFC 8705 3.
"""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from shanfu.messages import Device, Operation, ProblemCode, Role, problem
from shanfu.web.clients import Client, Clients
from shanfu.web.frame import note
from shanfu.web.limits import Buckets, Rate
from shanfu.web.peer import CertifiedPeer, peer_of
from shanfu.web.refusals import BEARER, DEVICE, Refusal, too_many
from shanfu.web.tokens import Tokens

__all__ = ["Gate", "Guarded", "device_of"]

INSTITUTION: Final = Rate(per_s=500, burst=1_000)  # a key cloud behind a million phones; more is a mistake in a loop
ADDRESS: Final = Rate(per_s=100, burst=400)  # phones share the address of their carrier
SECRETS: Final = Rate(per_s=1, burst=20)  # an access token lasts ten minutes: more is guessing
AT_ONCE: Final = 2  # secrets that are looked at together: each takes a core and 16 MiB
PHONES: Final = frozenset({Role.ANYONE, Role.DEVICE})
LONGEST_HEADER: Final = 256

Guarded = ASGIConnection[Any, Any, Any, Any]


class Gate:
    """Knows the institutions, their access tokens, and how often everybody has asked."""

    def __init__(
        self, clients: Clients, tokens: Tokens, *, institution: Rate = INSTITUTION, address: Rate = ADDRESS
    ) -> None:  # fmt: skip
        self._clients, self._tokens = clients, tokens
        self._institutions, self._addresses = Buckets(institution), Buckets(address)
        self._secrets = Buckets(SECRETS)
        self._looking = asyncio.Semaphore(AT_ONCE)

    async def guard(self, connection: Guarded, handler: BaseRouteHandler) -> None:
        """Let a request through to its route, or raise its refusal."""
        row = handler.opt.get("operation")
        if not isinstance(row, Operation):
            if not handler.opt.get("public"):
                raise Refusal(problem(ProblemCode.FORBIDDEN, "this place is open to nobody"))
            self._take(self._addresses, _address(connection))
            return
        note(connection.scope, op=row.name)
        if row.role in PHONES:
            self._take(self._addresses, _address(connection))
            return
        caller = self._institution(connection)
        note(connection.scope, caller=caller)
        connection.scope["state"]["caller"] = caller
        self._take(self._institutions, caller)
        if caller.partition("/")[0] != row.role.value:
            raise Refusal(problem(ProblemCode.FORBIDDEN, f"{row.name} is for {row.role.value}s"))

    def _institution(self, connection: Guarded) -> str:
        peer = peer_of(connection.scope)
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        caller = self._tokens.caller(token, peer.sha256) if peer is not None and kind.lower() == "bearer" else None
        if caller is not None:
            return caller
        self._take(self._addresses, _address(connection))
        if peer is None:
            raise _unknown("institutions show a certificate", BEARER)
        raise _unknown("an access token of this certificate is needed", f'{BEARER}, error="invalid_token"')

    async def token(self, connection: Guarded, body: bytes) -> str:
        """Return an access token for who asks with client credentials, or raise the refusal (RFC 6749 4.4.2)."""
        peer = peer_of(connection.scope)
        if peer is None:
            raise _unknown("institutions show a certificate", "Basic")
        fields = dict(parse_qsl(body.decode("latin-1")))
        if fields.get("grant_type") != "client_credentials":
            raise Refusal(problem(ProblemCode.FORMAT, "grant_type: should be client_credentials (RFC 6749 4.4.2)"))
        client = await self._proved(connection, peer)
        if client is None:
            raise _unknown("client, secret and certificate do not belong together", "Basic")
        note(connection.scope, caller=client.caller)
        return self._tokens.give(client, peer.sha256)

    async def _proved(self, connection: Guarded, peer: CertifiedPeer) -> Client | None:
        self._take(self._secrets, peer.name)
        name, secret = _basic(connection.headers.get("authorization", ""))
        async with self._looking:
            return await asyncio.to_thread(self._clients.proved, name, secret, peer.name)

    def _take(self, buckets: Buckets, name: str) -> None:
        wait_s = buckets.take(name, asyncio.get_running_loop().time())
        if wait_s:
            raise too_many(wait_s)


def device_of(headers: Mapping[str, str], role: Role) -> Device:
    """Read the headers of a phone's call; raises Refusal when one is missing or has not its form."""
    found = {name: headers.get(f"shanfu-{name}", "") for name in ("device", "session", "counter", "time", "nonce", "signature")}
    needed = ("time", "nonce", "signature") if role is Role.ANYONE else ("device", "session", "counter", "signature")
    if missing := [f"Shanfu-{name.title()}" for name in needed if not found[name]]:
        raise _unknown(f"phones say {', '.join(missing)}", DEVICE)
    numbers = {name: found[name] or "0" for name in ("counter", "time")}
    if any(len(value) > LONGEST_HEADER for value in found.values()) or not all(map(_is_number, numbers.values())):
        raise Refusal(problem(ProblemCode.FORMAT, "a Shanfu- header has not its form"))
    return Device(
        device=found["device"], session=found["session"], counter=int(numbers["counter"]),
        time_ms=int(numbers["time"]), nonce=found["nonce"], signature=found["signature"],
    )  # fmt: skip


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


def _unknown(detail: str, challenge: str) -> Refusal:
    return Refusal(problem(ProblemCode.UNAUTHENTICATED, detail), challenge=challenge)


def _basic(header: str) -> tuple[str, str]:
    """Read client and secret; nobody's when the header is none (RFC 7617 2, RFC 6749 2.3.1)."""
    kind, _, text = header.partition(" ")
    try:
        name, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (unquote_plus(name), unquote_plus(secret)) if kind.lower() == "basic" else ("", "")


def _address(connection: Guarded) -> str:
    return connection.client.host if connection.client else ""
