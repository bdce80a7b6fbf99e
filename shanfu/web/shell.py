"""From requests to frames and back: to its hub an `HTTPShell` is one more peer.

Each request becomes a call under a number of the shell's own, arrives in the hub's inbox like any frame, and waits for the
reply that bears this number. The station's name is new in each life of the process, since the books keep it: a reply for a
request of an earlier life finds nobody, and its asker gets the stored one when it asks again with the same key.
"""

import asyncio
import secrets
from typing import Final

import structlog
from msgspec import structs

from shanfu.errors import DecodeError
from shanfu.links import Hub, Inbound
from shanfu.messages import Call, ProblemCode, Reply, encoded, pack, problem, unpack

__all__ = ["HTTPShell"]

TIMEOUT_S: Final = 12.0  # above the desks' 10 s, so that they say what happened
MOST_WAITING: Final = 4096  # as many as a hub's inbox holds

log = structlog.get_logger("shanfu.web")


class HTTPShell:
    """All requests of a process that wait for a reply."""

    def __init__(self, hub: Hub, *, timeout_s: float = TIMEOUT_S, most: int = MOST_WAITING) -> None:
        self.station = f"http/{secrets.token_hex(4)}"
        self._hub, self._timeout_s, self._most = hub, timeout_s, most
        self._count, self._paused = 0, False
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        hub.join(self)
        hub.name_peer(self, self.station, announce=False)

    @property
    def ready(self) -> bool:
        """Whether a request would be worked now: the store is there, and the inbox has room."""
        return not self._paused and self._hub.worker.standing

    async def ask(self, call: Call) -> Reply:
        """Ask the host; a full inbox, or silence, is a 503."""
        if self._paused or len(self._waiting) >= self._most:
            return _problem(ProblemCode.BUSY, "too many requests are waiting")
        self._count += 1
        call = structs.replace(call, id=str(self._count))
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[call.id] = reply
        try:
            self._hub.arrive([Inbound(self.station, pack(call), arrived_ms=self._hub.clock.now_ms())])
            async with asyncio.timeout(self._timeout_s):
                return await reply
        except TimeoutError:
            return _problem(ProblemCode.UNAVAILABLE, "no answer in time: ask again with the same Idempotency-Key")
        finally:
            del self._waiting[call.id]

    def leave(self) -> None:
        """Go from the hub; nobody waits any more."""
        self._hub.leave(self, self.station, announce=False)

    # -- what the hub calls --------------------------------------------------------------------------------------------

    def write(self, frames: list[bytes]) -> None:
        """Give each reply to the request that waits for it; one that nobody waits for is no error."""
        for frame in frames:
            try:
                reply = unpack(frame, Reply)
            except DecodeError as fault:
                log.error("not_a_reply", host=self._hub.name, why=str(fault))
                continue
            waiting = self._waiting.get(reply.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)

    def pause(self) -> None:
        """Refuse what comes: the inbox is full."""
        self._paused = True

    def resume(self) -> None:
        """Take requests again."""
        self._paused = False

    def check(self, now_s: float) -> None:
        """Have nothing to look after: every request keeps its own time."""


def _problem(code: ProblemCode, detail: str) -> Reply:
    refusal = problem(code, detail)
    return Reply(id="", status=refusal.status, body=encoded(refusal))
