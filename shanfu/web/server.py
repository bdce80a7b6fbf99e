"""The server in its host's process: uvicorn in the same loop as the hub, over mutual TLS.

`web_door` is one of the doors of `shanfu.links.run_host`. It opens its port before the host says that it is ready, and closes
it first: nobody new is taken, what was taken is answered by the host that still runs, and then the host may stop.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
import uvicorn

from shanfu.errors import ConfigError
from shanfu.links import Door, Hub
from shanfu.web.app import application
from shanfu.web.clients import Clients
from shanfu.web.gate import ADDRESS, INSTITUTION, Gate
from shanfu.web.limits import Rate
from shanfu.web.peer import CertifiedProtocol
from shanfu.web.shell import TIMEOUT_S, HTTPShell
from shanfu.web.tokens import Tokens

__all__ = ["WebConfig", "web_door"]

KEEP_ALIVE_S: Final = 75  # longer than our own clients keep a connection
STOP_S: Final = 5  # for requests that were taken; after it they are answered by nobody

log = structlog.get_logger("shanfu.web")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """Where to listen, for which hosts' operations, and whom to know. Without `tls` only phones' routes can be used."""

    hosts: tuple[str, ...]
    port: int = 8586
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None  # `server_context(folder, name, strangers=True)`: phones have no certificate
    clients: Clients = field(default_factory=Clients)
    institution: Rate = INSTITUTION
    address: Rate = ADDRESS
    timeout_s: float = TIMEOUT_S


class _Server(uvicorn.Server):
    """A server that leaves signals to the host's process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def web_door(config: WebConfig) -> Door:
    """Return the door through which a host is asked over HTTPS."""

    @contextlib.asynccontextmanager
    async def hold(hub: Hub) -> AsyncIterator[int]:
        listening = _listen(config, hub.name)
        shell = HTTPShell(hub, timeout_s=config.timeout_s)
        gate = Gate(config.clients, Tokens(hub.clock), institution=config.institution, address=config.address)
        server = _Server(_settings(config, application(shell, gate, hosts=config.hosts)))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
            log.info("http_open", host=hub.name, port=listening.getsockname()[1], tls=config.tls is not None)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            shell.leave()
            listening.close()

    return hold


def _listen(config: WebConfig, name: str) -> socket.socket:
    try:
        return socket.create_server((config.host, config.port), backlog=512)
    except OSError as fault:
        why = (fault.strerror or type(fault).__name__).split(":")[-1].strip()
        raise ConfigError(f"{config.host}:{config.port}: {why}, {name} cannot listen there") from fault


def _settings(config: WebConfig, app: Any) -> uvicorn.Config:
    tls = config.tls
    return uvicorn.Config(
        app, http=CertifiedProtocol, ws="none", lifespan="off", loop="asyncio", interface="asgi3",
        ssl_context_factory=None if tls is None else lambda *_: tls,
        access_log=False, log_config=None, log_level="warning", server_header=False, proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=STOP_S,
    )  # fmt: skip
