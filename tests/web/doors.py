"""A process with an HTTPS door, in the test's own loop: real sockets, real certificates, the small hosts of tests/hosts."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import httpx

from shanfu.clock import SystemClock
from shanfu.hosts import Household, by_operation
from shanfu.links import Hub, Limits, certificate_name, client_context, issue, linked, make_ca, server_context
from shanfu.web import Client, Clients, Rate, WebConfig, hashed, web_door
from tests.hosts import counter
from tests.hosts.counter import CLOUD, ISSUER, TRID, TSP

SECRET = "correct horse"
WIDE = Rate(per_s=1e6, burst=1e6)


def certificates(folder: Path) -> Path:
    """Give everybody a certificate."""
    make_ca(folder)
    for name in (CLOUD, "tsp-90100000", "issuer-99010000", "issuer-99020000"):
        issue(folder, name)
    return folder


KEPT = hashed(SECRET)
CLIENTS = Clients(
    Client(client=client, certificate=certificate, caller=caller, secret=KEPT)
    for client, certificate, caller in [
        ("lantern", CLOUD, TRID),
        ("harbour", CLOUD, "requestor/90100000002"),
        ("issuer", "issuer-99010000", ISSUER),
        ("tsp", "tsp-90100000", TSP),
    ]
)


def house() -> Household:
    wires = [(("tsp", CLOUD), ("cloud", TSP))]
    owner = by_operation("tsp", desks=("tsp", "cloud"), stations={"issuer": "tsp"})
    return Household("house", {"tsp": counter.counter(), "cloud": counter.cloud()}, wires=wires, owner=owner)


class Door:
    """An open door, and clients for it."""

    def __init__(self, folder: Path, port: int, hub: Hub) -> None:
        self.folder, self.port, self.hub = folder, port, hub
        self.url = f"https://127.0.0.1:{port}"

    def client(self, name: str = "", **more) -> httpx.AsyncClient:
        """Return a client under this certificate, or one without any."""
        context = client_context(self.folder, name) if name else ssl.create_default_context(cafile=self.folder / "ca.pem")
        return httpx.AsyncClient(base_url=self.url, verify=context, trust_env=False, **more)

    async def token(self, client: httpx.AsyncClient, name: str = "lantern", secret: str = SECRET) -> httpx.Response:
        return await client.post("/oauth2/token", data={"grant_type": "client_credentials"}, auth=(name, secret))

    @contextlib.asynccontextmanager
    async def institution(self, certificate: str = CLOUD, name: str = "lantern", **more) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client that has its access token."""
        async with self.client(certificate, **more) as client:
            answer = await self.token(client, name)
            client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
            yield client


@contextlib.asynccontextmanager
async def burst(
    door: Door, path: str, token: str, *, lines: int
) -> AsyncIterator[Callable[[], Awaitable[list[httpx.Response]]]]:
    """Hold many connections, on each of which a call of the result asks once at the same moment."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: {token}\r\ncontent-length: 2\r\n\r\n{{}}".encode()
    tls = client_context(door.folder, CLOUD)
    ends = [await asyncio.open_connection("127.0.0.1", door.port, ssl=tls, server_hostname="localhost") for _ in range(lines)]

    async def hear(reader: asyncio.StreamReader) -> httpx.Response:
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in rest if line)
        content = await reader.readexactly(int(headers["content-length"]))
        return httpx.Response(int(first.split()[1]), headers=headers, content=content)

    async def ask() -> list[httpx.Response]:
        for _, writer in ends:
            writer.write(head)
        return [await hear(reader) for reader, _ in ends]

    try:
        yield ask
    finally:
        for _, writer in ends:
            writer.close()
        for _, writer in ends:
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def door(folder: Path, *, limits: Limits | None = None, **settings) -> AsyncIterator[Door]:
    """Open a door to a household of token service and key cloud."""
    config = WebConfig(
        hosts=("tsp", "cloud"), port=0, tls=server_context(folder, "tsp-90100000", strangers=True), clients=CLIENTS
    )
    with counter.opened("tsp", "cloud") as store:
        hub = Hub(house(), store, SystemClock(), limits=limits)
        async with linked(hub, []), web_door(replace(config, **settings))(hub) as port:
            yield Door(folder, port, hub)


@contextlib.asynccontextmanager
async def bank(folder: Path, **settings) -> AsyncIterator[Door]:
    """Open the door of an issuer."""
    tls = server_context(folder, certificate_name(ISSUER), strangers=True)
    config = WebConfig(hosts=("issuer",), port=0, tls=tls, clients=CLIENTS)
    with counter.opened("issuer") as store:
        hub = Hub(counter.bank(), store, SystemClock())
        async with linked(hub, []), web_door(replace(config, **settings))(hub) as port:
            yield Door(folder, port, hub)


PHONE = {"shanfu-time": "1", "shanfu-nonce": "00", "shanfu-signature": "00"}
IN_SESSION = {"shanfu-device": "d", "shanfu-session": "s", "shanfu-counter": "1", "shanfu-signature": "00"}
