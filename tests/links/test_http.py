"""Asking over HTTPS: a real server of ours at the other end, or one that misbehaves; a desk always hears something."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from shanfu.clock import SystemClock
from shanfu.links import Credentials, HTTPLink, Hub, Inbound, asking, client_context, linked, server_context
from shanfu.messages import LIMIT_BYTES, Call, Problem, Reply, encoded, issuing, pack, unpack
from shanfu.web import Rate
from tests.hosts import counter
from tests.hosts.counter import ISSUER, SEND_CODE, TRID, TSP
from tests.web.doors import SECRET, bank, certificates, door

ASK = issuing.SendCode(token="t", card="c", method=SEND_CODE.method)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates(tmp_path_factory.mktemp("tls"))


class Asker:
    """A hub whose host is nobody: what arrives is caught."""

    def __init__(self) -> None:
        self.store = counter.opened("tsp")
        self.hub = Hub(counter.counter(), self.store, SystemClock())
        self.heard: list[Reply] = []
        self.hub.arrive = self.catch
        self.count = 0

    def catch(self, messages: list[Inbound]) -> None:
        self.heard += [unpack(inbound.frame, Reply) for inbound in messages if inbound.station == ISSUER]

    def say(self, op: str = "issuer.code.send", *, caller: str = TSP, key: str = "") -> str:
        self.count += 1
        call = Call(id=str(self.count), op=op, caller=caller, key=key, body=encoded(ASK))
        self.hub.send(ISSUER, [pack(call)])
        return call.id

    async def ask(self, op: str = "issuer.code.send", **more) -> Reply:
        name = self.say(op, **more)
        await until(lambda: any(reply.id == name for reply in self.heard))
        return next(reply for reply in self.heard if reply.id == name)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def asker(folder: Path, port: int, **settings) -> AsyncIterator[Asker]:
    one = Asker()
    link = {"tls": client_context(folder, "tsp-90100000"), "credentials": {TSP: Credentials(client="tsp", secret=SECRET)}}
    target = HTTPLink(station=ISSUER, url=f"https://127.0.0.1:{port}", **(link | settings))
    try:
        async with linked(one.hub, []), asking([target])(one.hub):
            yield one
    finally:
        one.store.close()


def said(reply: Reply) -> str:
    return "ok" if reply.ok else msgspec.json.decode(reply.body, type=Problem).code


async def test_a_call_and_its_answer(folder: Path) -> None:
    async with bank(folder) as far, asker(folder, far.port) as one:
        reply = await one.ask(key="k")
        assert msgspec.json.decode(reply.body)["hint"] == "138****0001"
        assert (await one.ask(key="k")).body == reply.body  # the key went along
        assert msgspec.json.decode((await one.ask()).body)["hint"] == "138****0002"


# fmt: off
WRONG = [
    # what                                                                                     heard
    ({"credentials": {}},                                                                      "unauthenticated"),
    ({"credentials": {TSP: Credentials(client="tsp", secret="wrong")}},                        "unavailable"),
    ({"credentials": {TSP: Credentials(client="issuer", secret=SECRET)}},                      "unavailable"),
    ({"tls_name": "issuer-99020000"},                                                          "unavailable"),  # somebody else
    ({"timeout_s": 0.0001},                                                                    "unavailable"),
]
# fmt: on


@pytest.mark.parametrize(("settings", "heard"), WRONG)
async def test_who_is_not_let_in(folder: Path, settings, heard: str) -> None:
    async with bank(folder) as far, asker(folder, far.port, **settings) as one:
        assert said(await one.ask()) == heard


async def test_an_operation_that_the_other_side_does_not_know(folder: Path) -> None:
    async with bank(folder) as far, asker(folder, far.port) as one:
        assert said(await one.ask("tsp.find")) == "unknown-operation"
        assert said(await one.ask("no.such")) == "unknown-operation"
        assert said(await one.ask(caller=TRID)) == "unauthenticated"  # for whom there are no credentials


async def test_one_access_token_for_many_calls(folder: Path) -> None:
    async with bank(folder) as far, asker(folder, far.port) as one:
        with capture_logs() as lines:
            await asyncio.gather(*(one.ask() for _ in range(10)))
        assert sum(line["event"] == "request" and "op" not in line for line in lines) == 1  # its endpoint is no operation


async def test_a_restarted_server_is_asked_with_a_new_token(folder: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with bank(folder) as far:
            one = await stack.enter_async_context(asker(folder, far.port))
            assert said(await one.ask(key="k1")) == "ok"
        assert said(await one.ask(key="k2")) == "unavailable"
        async with bank(folder, port=far.port):
            assert said(await one.ask(key="k2")) == "ok"


async def test_a_refusal_to_wait_passes_on(folder: Path) -> None:
    async with bank(folder, institution=Rate(per_s=0.001, burst=1)) as far, asker(folder, far.port) as one:
        assert [said(await one.ask()) for _ in range(2)] == ["ok", "too-many"]


async def test_a_closed_port_is_a_503_and_one_line(folder: Path) -> None:
    async with bank(folder) as far:
        port = far.port
    async with asker(folder, port) as one:
        with capture_logs() as lines:
            assert [said(await one.ask()) for _ in range(3)] == ["unavailable"] * 3
        assert [line["event"] for line in lines] == ["link_unreachable"]
        assert SECRET not in str(lines)


# -- servers that misbehave ------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def liar(folder: Path, answers: list[bytes]) -> AsyncIterator[int]:
    """A server that says these bytes to one request after the other, and closes after an empty one."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
                await reader.readexactly(size)
                answer = left.pop(0) if left else b""
                if not answer:
                    break
                writer.write(answer)
                await writer.drain()
        writer.close()

    tls = server_context(folder, "issuer-99010000", strangers=True)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def http(body: bytes, status: int = 200, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


GOOD = http(b'{"hint":"h","expires_ms":1,"tries_left":3}')
# fmt: off
ANSWERS = [
    # what the server says                                               heard
    ([GOOD],                                                             "ok"),
    ([http(b"<html>")],                                                  "unavailable"),
    ([http(b"<html>bad gateway", 502, "text/html")],                     "unavailable"),
    ([http(b'{"error":"x"}', 500)],                                      "unavailable"),
    ([http(b"", 204)],                                                   "unavailable"),
    ([http(b"{}", 302)],                                                 "unavailable"),
    ([http(b'{"title":"t","status":403,"code":"refused"}', 403)],        "refused"),
    ([http(b'{"title":"t","status":403,"code":"refused"}', 500)],        "unavailable"),
    ([http(b" " * (LIMIT_BYTES + 1))],                                   "unavailable"),
    ([b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n" + b"10000\r\n" + b" " * 65536 + b"\r\n"], "unavailable"),
    ([b"not HTTP at all\r\n\r\n"],                                       "unavailable"),
    ([b"", GOOD],                                                        "ok"),            # closed: asked again, with its key
    ([b"", b""],                                                         "unavailable"),
]
# fmt: on


@pytest.mark.parametrize(("answers", "heard"), ANSWERS)
async def test_servers_that_misbehave(folder: Path, answers: list[bytes], heard: str) -> None:
    async with liar(folder, answers) as port, asker(folder, port, credentials={}, timeout_s=1.0) as one:
        assert said(await one.ask(key="k")) == heard


async def test_without_a_key_nothing_is_asked_twice(folder: Path) -> None:
    async with liar(folder, [b"", GOOD]) as port, asker(folder, port, credentials={}) as one:
        assert said(await one.ask()) == "unavailable"


async def test_what_does_not_fit_is_answered_at_once(folder: Path) -> None:
    async with liar(folder, []) as port, asker(folder, port, credentials={}, at_once=2, queue=3) as one:
        names = [one.say() for _ in range(8)]
        assert [reply.id for reply in one.heard] == names[3:]  # none of the first has begun yet
        await until(lambda: len(one.heard) == 8)
        assert {said(reply) for reply in one.heard} == {"unavailable"}


async def test_a_reply_is_nothing_to_ask(folder: Path) -> None:
    async with liar(folder, []) as port, asker(folder, port) as one:
        with capture_logs() as lines:
            one.hub.send(ISSUER, [pack(Reply(id="1"))])
        assert [line["event"] for line in lines] == ["not_a_call"]


async def test_two_processes_worth_of_hosts_over_https(folder: Path) -> None:
    """The token service asks the issuer in turn, as it would over a loop link."""
    async with bank(folder) as issuer, door(folder) as tsp:
        target = HTTPLink(
            station=ISSUER, url=issuer.url, tls=client_context(folder, "tsp-90100000"),
            credentials={TSP: Credentials(client="tsp", secret=SECRET)},
        )  # fmt: skip
        async with asking([target])(tsp.hub), tsp.institution() as client:
            answer = await client.post("/tsp/v1/idv/send", json={"token": "t", "method": "sms"})
            assert answer.json()["hint"] == "138****0001"
