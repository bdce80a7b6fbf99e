"""A host as a process: what `serve` runs.

The links are held up until SIGTERM or SIGINT; then nobody new is accepted, what has arrived is worked and answered, and the
process ends. A killed process needs no more than being started again: the books know what was promised.
"""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from shanfu.clock import Clock
from shanfu.events import Events, nobody
from shanfu.links.connection import ClientLink, ServerLink
from shanfu.links.host import Host
from shanfu.links.http import Door
from shanfu.links.hub import Hub, Limits
from shanfu.links.tcp import linked

if TYPE_CHECKING:
    from shanfu.store import Store

__all__ = ["run_host"]

log = structlog.get_logger("shanfu.links")


def run_host(
    host: Host[Any],
    store: "Store",
    links: Sequence[ServerLink | ClientLink],
    *,
    clock: Clock,
    events: Events = nobody,
    limits: Limits | None = None,
    urgent: Callable[[bytes], bool] | None = None,
    ready: Callable[[list[int]], None] | None = None,
    doors: Sequence[Door] = (),
) -> None:
    """Serve until told to stop; `ready` is called once with the ports that are listened on, those of the doors last.

    `urgent` says which frames skip the queue (reversals). `doors` stand open beside the links: HTTP servers and clients. They
    close before the links, the last one first, while the host can still answer what came through them: a door through which a
    host asks others stands before the one through which it is asked. Raises ConfigError when a port is in use.
    """

    async def serve() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        hub = Hub(host, store, clock, events=events, limits=limits, urgent=urgent)
        async with linked(hub, links) as ports, contextlib.AsyncExitStack() as stack:
            ports += [port for door in doors if (port := await stack.enter_async_context(door(hub)))]
            log.info("ready", host=host.name, ports=ports)
            gc.collect()
            gc.freeze()  # modules and tables live as long as the process: looking through them would stop it for 50 ms
            if ready:
                ready(ports)
            await stop.wait()
            log.info("stopping", host=host.name)
        log.info("stopped", host=host.name)

    asyncio.run(serve())
