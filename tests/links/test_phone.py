"""A phone's line to its key cloud: what it says arrives as it was signed, and every failure is one the wallet knows."""

import asyncio
import ssl
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from shanfu.errors import LinkClosed, LinkError, LinkTimeout
from shanfu.links import PhoneLink
from shanfu.messages import Call, Device, Problem, Reply, encoded, unpack, wallet
from tests.links.test_http import GOOD, http, liar
from tests.web.doors import certificates, door

ASK = wallet.OpenSession(device="d", ephemeral="")
FRESH = Device(device="d", time_ms=1_767_600_000_000, nonce="0a", signature="0b")
INSIDE = Device(device="d", session="s", counter=7, time_ms=1, nonce="0a", signature="0b")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates(tmp_path_factory.mktemp("tls"))


async def ask(folder: Path, port: int, call: Call, **more) -> Reply:
    tls = ssl.create_default_context(cafile=folder / "ca.pem")
    with PhoneLink(f"https://127.0.0.1:{port}", tls=tls, **more) as link:
        return await asyncio.to_thread(link.ask, call)


def said(reply: Reply) -> str:
    return "ok" if reply.ok else msgspec.json.decode(reply.body, type=Problem).code


# fmt: off
ASKED = [
    # operation          device     body                                     answer
    ("sessions.open",    FRESH,     encoded(ASK),                            "ok"),
    ("sessions.open",    None,      encoded(ASK),                            "unauthenticated"),
    ("sessions.open",    INSIDE,    encoded(ASK),                            "ok"),
    ("keys.replenish",   INSIDE,    encoded(wallet.Sealed(sealed="00")),     "unknown-operation"),  # of this small cloud
    ("keys.replenish",   FRESH,     encoded(wallet.Sealed(sealed="00")),     "unauthenticated"),
    ("tsp.find",         INSIDE,    encoded(ASK),                            "unauthenticated"),    # no place for phones
]
# fmt: on


@pytest.mark.parametrize(("op", "device", "body", "answer"), ASKED)
async def test_asked(folder: Path, op: str, device: Device | None, body: Raw, answer: str) -> None:
    async with door(folder) as opened:
        reply = await ask(folder, opened.port, Call(id="7", op=op, device=device, body=body))
        assert (reply.id, said(reply)) == ("7", answer)


async def test_all_that_a_phone_signs_arrives_as_it_was(folder: Path) -> None:
    async with door(folder) as opened:
        arrived = []
        arrive = opened.hub.arrive
        opened.hub.arrive = lambda messages: arrived.extend(messages) or arrive(messages)
        body = Raw(b'{"sealed":"0011"}')
        for op, device in [("sessions.open", FRESH), ("keys.replenish", INSIDE)]:
            call = Call(id="7", op=op, device=device, key="k-1", body=encoded(ASK) if op == "sessions.open" else body)
            await ask(folder, opened.port, call)
            there = unpack(arrived[-1].frame if op == "keys.replenish" else arrived[0].frame, Call)
            assert wallet.signed_bytes(there) == wallet.signed_bytes(call)
            assert there.caller == ""


# fmt: off
FAULTS = [
    # what the other end says                                                   raised
    ([http(b"<html>")],                                                          LinkTimeout),
    ([http(b"{}", 302)],                                                         LinkTimeout),
    ([http(b"<html>", 502)],                                                     LinkTimeout),
    ([http(b'{"title":"t","status":403,"code":"refused"}', 500)],                LinkTimeout),
    ([b""],                                                                      LinkTimeout),  # it may have heard us
    ([b"not HTTP\r\n\r\n"],                                                      LinkTimeout),
]
# fmt: on


@pytest.mark.parametrize(("answers", "raised"), FAULTS)
async def test_faults(folder: Path, answers: list[bytes], raised: type[LinkError]) -> None:
    async with liar(folder, answers) as port:
        with pytest.raises(raised):
            await ask(folder, port, Call(id="1", op="sessions.open", body=encoded(ASK)), timeout_s=2.0)


async def test_who_cannot_be_reached(folder: Path) -> None:
    async with liar(folder, [GOOD]) as port:
        pass
    with pytest.raises(LinkClosed):
        await ask(folder, port, Call(id="1", op="sessions.open", body=encoded(ASK)))
    async with liar(folder, [GOOD]) as port:
        with pytest.raises(LinkClosed):
            await ask(folder, port, Call(id="1", op="no.such", body=encoded(ASK)))
        with pytest.raises(LinkClosed), PhoneLink(f"https://127.0.0.1:{port}") as link:  # an authority that we do not know
            await asyncio.to_thread(link.ask, Call(id="1", op="sessions.open", body=encoded(ASK)))
