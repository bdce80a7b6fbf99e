"""Links over HTTPS: how a host asks the JSON operations of another one.

An `HTTPLink` is one station with an address. What the host sends there leaves as a request of its own: the operation's path,
the body as it is, the key as Idempotency-Key, under the host's certificate and, where the other side wants it, an access token
that is fetched with the caller's credentials and kept for as long as it is good. What comes back is a frame that arrives from
that station. Whoever cannot be reached, or answers with something that is no answer, has answered with a problem (503): the
desk that asked always hears something. Connections are kept; requests in flight and in the queue are bounded, and what does
not fit is a 503 at once.

Sources: RFC 9110 (HTTP), RFC 6749 4.4 and 2.3.1 (client credentials), RFC 6750 (bearer tokens), RFC 9457 (problems).
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from msgspec import Raw, Struct

from shanfu.errors import DecodeError, LinkClosed
from shanfu.links.connection import CONNECT_S
from shanfu.links.host import Inbound
from shanfu.links.hub import Hub
from shanfu.messages import (
    LIMIT_BYTES,
    Call,
    Problem,
    ProblemCode,
    Reply,
    decoded,
    encoded,
    operation,
    pack,
    problem,
    unpack,
)  # fmt: skip

__all__ = ["Credentials", "Door", "HTTPLink", "asking", "certificate_name"]

KEPT_ALIVE_S: Final = 30.0  # less than servers keep a quiet connection, so that none is closed while we write on it
TOKEN_MARGIN_S: Final = 30.0  # an access token is not used in its last half minute
TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a place, no secret

log = structlog.get_logger("shanfu.links")

Door = Callable[[Hub], AbstractAsyncContextManager[int]]  # what a host holds open beside its links; gives a port, 0 for none


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How a caller proves who he is, beside the certificate."""

    client: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPLink:
    """Whom a host asks over HTTPS; the asked one's certificate must bear `tls_name` (by default made from the station)."""

    station: str  # as the host calls it, such as issuer/99010000
    url: str
    tls: ssl.SSLContext | None = None
    tls_name: str = ""
    credentials: Mapping[str, Credentials] = field(default_factory=dict)  # of each caller that the host speaks for
    timeout_s: float = 8.0  # below the time-out of desks, which then tell what happened rather than that nothing did
    at_once: int = 16  # requests in flight
    queue: int = 1024  # more is not answered within anyone's patience


class Answer(Struct):
    """What a token endpoint gives (RFC 6749 5.1)."""

    access_token: str
    expires_in: int = 60


def certificate_name(station: str) -> str:
    """Return the name in the certificate of a station, which is a DNS label.

    >>> certificate_name("issuer/99010000")
    'issuer-99010000'
    """
    return station.replace("/", "-")


def asking(links: Sequence[HTTPLink]) -> Door:
    """Return the door through which a host asks these stations."""

    @contextlib.asynccontextmanager
    async def hold(hub: Hub) -> AsyncIterator[int]:
        peers = [HTTPPeer(hub, link) for link in links]
        for peer in peers:
            hub.join(peer)
            hub.name_peer(peer, peer.link.station, announce=False)
        try:
            yield 0
        finally:
            for peer in peers:
                hub.leave(peer, peer.link.station, announce=False)
                await peer.close()

    return hold


class HTTPPeer:
    """One station behind HTTPS, to the hub a peer like any other."""

    def __init__(self, hub: Hub, link: HTTPLink) -> None:
        self.link, self._hub = link, hub
        self._calls: deque[Call] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tokens: dict[str, tuple[str, float]] = {}
        self._fetching = asyncio.Lock()
        self._said = ""
        import httpx  # when a host asks: terminals import links too, and never do

        self._broken = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)  # a kept connection was just closed
        self._faults = (httpx.HTTPError, OSError, TimeoutError, LinkClosed)
        self._basic = httpx.BasicAuth
        self._client = httpx.AsyncClient(
            base_url=link.url,
            verify=link.tls if link.tls is not None else True,
            trust_env=False,  # no proxy, no other authorities: what the link says is what is done
            timeout=httpx.Timeout(link.timeout_s, connect=min(CONNECT_S, link.timeout_s)),
            limits=httpx.Limits(
                max_connections=link.at_once, max_keepalive_connections=link.at_once, keepalive_expiry=KEPT_ALIVE_S
            ),
        )

    # -- what the hub calls --------------------------------------------------------------------------------------------

    def write(self, frames: list[bytes]) -> None:
        """Ask each call as soon as there is room; what does not fit is answered 503 at once."""
        for frame in frames:
            try:
                call = unpack(frame, Call)
            except DecodeError:  # a reply: who answers over HTTP answers the request
                log.warning("not_a_call", host=self._hub.name, station=self.link.station)
                continue
            if len(self._calls) >= self.link.queue:
                self._arrive(call, _unavailable("too many calls wait for this station"))
                continue
            self._calls.append(call)
            if len(self._tasks) < self.link.at_once:
                task = asyncio.get_running_loop().create_task(self._work())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def pause(self) -> None:
        """Go on: replies free what waits, they do not add to it."""

    def resume(self) -> None:
        """Go on."""

    def check(self, now_s: float) -> None:
        """Let the client look after its connections."""

    async def close(self) -> None:
        """Give up what is under way: it is asked again, or answered by its time-out."""
        self._calls.clear()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while self._calls:
            call = self._calls.popleft()
            self._arrive(call, await self._ask(call))

    def _arrive(self, call: Call, answer: tuple[int, Raw]) -> None:
        reply = Reply(id=call.id, status=answer[0], body=answer[1])
        self._hub.arrive([Inbound(self.link.station, pack(reply), arrived_ms=self._hub.clock.now_ms())])

    async def _ask(self, call: Call) -> tuple[int, Raw]:
        """Ask one call; whatever goes wrong on the way is a problem."""
        row = operation(call.op)
        if row is None:
            return _refused(problem(ProblemCode.UNKNOWN_OPERATION, call.op))
        try:
            async with asyncio.timeout(self.link.timeout_s):
                status, content = await self._authorised(row.path, call)
        except self._faults as fault:
            return self._out(str(fault) if isinstance(fault, LinkClosed) else type(fault).__name__)
        if len(content) > LIMIT_BYTES:
            return self._out("the answer has no end")
        try:
            if status == 200:
                decoded(content, Raw, path=call.op)
            elif decoded(content, Problem, path=call.op).status != status or status < 400:
                return self._out(f"status {status} is no answer")
        except DecodeError:
            return self._out(f"status {status} with a body that makes no sense")
        self._said = ""
        return status, Raw(content)

    def _out(self, why: str) -> tuple[int, Raw]:
        if why != self._said:  # one line for an outage, not one for each call
            log.warning("link_unreachable", host=self._hub.name, station=self.link.station, address=self.link.url, why=why)
        self._said = why
        return _unavailable(f"{self.link.station} does not answer")

    async def _authorised(self, path: str, call: Call) -> tuple[int, bytes]:
        headers = {"content-type": "application/json", **({"idempotency-key": call.key} if call.key else {})}
        credentials = self.link.credentials.get(call.caller)
        for last in (False, True):
            try:
                if credentials is not None:
                    headers["authorization"] = f"Bearer {await self._token(credentials)}"
                status, content = await self._post(path, headers, content=bytes(call.body))
            except self._broken:
                if last or not call.key:  # with a key asking twice is asking once
                    raise
                continue
            if status == 401 and credentials is not None and not last:  # the other side has forgotten the token
                self._tokens.pop(credentials.client, None)
                continue
            break
        return status, content

    async def _token(self, credentials: Credentials) -> str:
        """Return an access token, a kept one while it is good."""
        async with self._fetching:
            now_s = asyncio.get_running_loop().time()
            kept = self._tokens.get(credentials.client)
            if kept is None or kept[1] <= now_s:
                status, content = await self._post(
                    TOKEN_PATH, {}, data={"grant_type": "client_credentials"},
                    auth=self._basic(credentials.client, credentials.secret),
                )  # fmt: skip
                if status != 200:
                    raise LinkClosed(f"no access token: status {status}")
                try:
                    given = decoded(content, Answer, path=TOKEN_PATH)
                except DecodeError as fault:
                    raise LinkClosed("no access token in the answer") from fault
                kept = self._tokens[credentials.client] = given.access_token, now_s + given.expires_in - TOKEN_MARGIN_S
            return kept[0]

    async def _post(self, path: str, headers: Mapping[str, str], **more: Any) -> tuple[int, bytes]:
        """Post, and read no more of the answer than shows that it is too long."""
        extensions = {"sni_hostname": self.link.tls_name or certificate_name(self.link.station)} if self.link.tls else {}
        async with self._client.stream("POST", path, headers=headers, extensions=extensions, **more) as response:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > LIMIT_BYTES:
                    break
            return response.status_code, bytes(content)


def _refused(refusal: Problem) -> tuple[int, Raw]:
    return refusal.status, encoded(refusal)


def _unavailable(detail: str) -> tuple[int, Raw]:
    return _refused(problem(ProblemCode.UNAVAILABLE, detail))
