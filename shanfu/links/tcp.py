"""Links over TCP: who listens, who calls, and how both end.

A `ServerLink` accepts. Under mutual TLS an institution is the common name of its certificate, otherwise what `identify`
reads from its first frame; a further connection of the same institution replaces the earlier one. Without `identify` the
link is for terminals: each connection gets a name of its own that no later process repeats, since an answer finds its way
back by the name that the books kept. A `ClientLink` calls one station, again and again with growing, jittered pauses.
Hosts hear UP and DOWN of institutions, not of terminals.
"""

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Any

import structlog

from shanfu.errors import ConfigError
from shanfu.links.connection import CONNECT_S, ClientLink, Connection, ServerLink, os_words, tls_words
from shanfu.links.hub import Hub

__all__ = ["linked"]

RETRY_FIRST_S, RETRY_MOST_S = 0.1, 10.0  # a restarted peer is found at once, a lost one is not hammered
STEADY_S = 5.0  # a link that stood this long was a good one: begin again with the short pause
CLOSE_S = 1.0  # for a last write to leave at the end

log = structlog.get_logger("shanfu.links")


@contextlib.asynccontextmanager
async def linked(hub: Hub, links: Sequence[ServerLink | ClientLink]) -> AsyncIterator[list[int]]:
    """Hold a host's links up and keep its time; gives the ports listened on, in the order of the server links.

    Raises ConfigError when a port cannot be listened on. At the end it stops accepting, finishes the messages that have
    arrived, lets their answers leave and closes.
    """
    connections: set[Connection] = set()
    servers: list[asyncio.Server] = []
    callers: list[asyncio.Task[None]] = []
    try:
        for link in links:
            if isinstance(link, ServerLink):
                servers.append(await _listen(hub, link, connections))
        callers += [asyncio.create_task(_call(hub, link, connections)) for link in links if isinstance(link, ClientLink)]
        hub.start()
        yield [server.sockets[0].getsockname()[1] for server in servers]
    finally:
        for server in servers:
            server.close()
        for task in callers:
            task.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        hub.stop()
        await _close(connections)
        hub.stop()


async def _close(connections: set[Connection]) -> None:
    standing = list(connections)
    for connection in standing:
        connection.finish()
    if standing:
        _, late = await asyncio.wait([connection.closed for connection in standing], timeout=CLOSE_S)
        if late:
            for connection in standing:
                connection.abort()
            await asyncio.wait(late, timeout=CLOSE_S)


async def _listen(hub: Hub, link: ServerLink, connections: set[Connection]) -> asyncio.Server:
    boot, count = secrets.token_hex(4), 0  # names outlive the process in the books: no later one may repeat them

    def accept() -> Connection:
        nonlocal count
        count += 1
        return _kept(Connection(hub, link, f"pos/{boot}-{count}"), connections)

    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(accept, link.host, link.port, backlog=512)
    except OSError as fault:
        raise ConfigError(f"{link.host}:{link.port}: {os_words(fault)}, {hub.name} cannot listen there") from fault


async def _call(hub: Hub, link: ClientLink, connections: set[Connection]) -> None:
    """Keep one station connected for as long as the host runs."""
    loop, pause_s, said = asyncio.get_running_loop(), RETRY_FIRST_S, ""
    while True:
        began_s = loop.time()
        connection = Connection(hub, link, link.station)
        why = await _connect(link, connection)
        if not why:
            await asyncio.wait([_kept(connection, connections).closed])
        elif why != said:  # one line for an outage, not one for each try
            where = f"{link.host}:{link.port}"
            log.warning("link_unreachable", host=hub.name, station=link.station, address=where, why=why)
        said = why
        if loop.time() - began_s > STEADY_S:
            pause_s = RETRY_FIRST_S
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the callers, guards nothing
        pause_s = min(pause_s * 2, RETRY_MOST_S)


async def _connect(link: ClientLink, connection: Connection) -> str:
    """Return "" once the connection stands, or why it does not."""
    tls: dict[str, Any] = {
        "ssl": link.tls,
        "server_hostname": link.tls_name or link.station,
        "ssl_handshake_timeout": CONNECT_S,
    }
    dialling = asyncio.get_running_loop().create_connection(
        lambda: connection, link.host, link.port, **(tls if link.tls else {})
    )
    try:
        await asyncio.wait_for(dialling, timeout=CONNECT_S)
    except (OSError, TimeoutError) as fault:
        return tls_words(fault)
    return ""


def _kept(connection: Connection, connections: set[Connection]) -> Connection:
    connections.add(connection)
    connection.closed.add_done_callback(lambda _: connections.discard(connection))
    return connection
