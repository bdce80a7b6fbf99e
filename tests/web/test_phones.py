"""A phone and the real key cloud over HTTPS: enrolment, session, card, keys, and what a damaged request comes to."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Raw, structs

from shanfu.hosts import Household, by_operation
from shanfu.links import Hub, PhoneLink, linked, server_context
from shanfu.messages import Call, Problem, Reply, wallet
from shanfu.web import WebConfig, web_door
from tests.cloud.service import TSP
from tests.cloud.world import Phone, World, expected_keys
from tests.web.doors import WIDE


class HTTPSPhone(Phone):
    """The phone of the key cloud's own tests, behind HTTPS."""

    def __init__(self, world: World, link: PhoneLink) -> None:
        super().__init__(world, info={})
        self.link = link
        self.change: Callable[[Call], Call] = lambda call: call

    def send(self, call: Call) -> Reply:
        return self.link.ask(self.change(call))


@contextlib.asynccontextmanager
async def cloud(folder: Path, path: Path) -> AsyncIterator[tuple[HTTPSPhone, int]]:
    """Open the door of a key cloud whose token service lives in its household."""
    world = World(path)
    owner = by_operation("cloud", desks=("cloud", "tsp"), stations={})
    house = Household(
        "house", {"cloud": world.cloud, "tsp": world.service}, wires=[(("cloud", TSP), ("tsp", "cloud"))], owner=owner
    )
    hub = Hub(house, world.store, world.clock)
    tls = server_context(folder, "tsp-90100000", strangers=True)
    config = WebConfig(hosts=("cloud",), port=0, tls=tls, address=WIDE)
    async with linked(hub, []), web_door(config)(hub) as port:
        trusted = ssl.create_default_context(cafile=folder / "ca.pem")
        with PhoneLink(f"https://127.0.0.1:{port}", tls=trusted) as link:
            yield HTTPSPhone(world, link), port
    world.close()


def ready(phone: HTTPSPhone) -> wallet.KeySet:
    """Do all that leads to the first key set."""
    assert isinstance(phone.enrol(), wallet.Enrolled)
    assert isinstance(phone.open(), wallet.SessionOpened)
    phone.login()
    phone.add()
    got = phone.replenish()
    assert isinstance(got, wallet.KeySet)
    return got


async def test_from_enrolment_to_keys(folder: Path, tmp_path: Path) -> None:
    async with cloud(folder, tmp_path) as (phone, _):
        keys = await asyncio.to_thread(ready, phone)
        assert phone.keys(keys) == expected_keys(phone.token, keys.terms)
        assert await asyncio.to_thread(phone.replenish, 1) == keys  # a lost answer comes again, byte for byte


def altered(call: Call, **changes: Any) -> Call:
    assert call.device
    return structs.replace(call, device=structs.replace(call.device, **changes))


def flipped(text: str) -> str:
    return ("1" if text[0] == "0" else "0") + text[1:]


# fmt: off
DAMAGED: list[tuple[str, Callable[[Call], Call], str]] = [
    # what                     how                                                                   answer
    ("the signature",          lambda call: altered(call, signature=flipped(call.device.signature)), "signature-wrong"),
    ("no signature",           lambda call: altered(call, signature=""),                             "unauthenticated"),
    ("a counter of before",    lambda call: altered(call, counter=1),                                "signature-wrong"),
    ("the key",                lambda call: structs.replace(call, key="other"),                      "signature-wrong"),
    ("the session",            lambda call: altered(call, session="00" * 16),                        "session-gone"),
    ("the device",             lambda call: altered(call, device="00" * 16),                         "device-unknown"),
    ("the body",               lambda call: structs.replace(call, body=Raw(b'{"sealed":"00"}')),     "signature-wrong"),
    ("not sealed",             lambda call: structs.replace(call, body=Raw(b'{"token":"t"}')),       "format"),
    ("no JSON",                lambda call: structs.replace(call, body=Raw(b"{")),                   "format"),
    ("too much",               lambda call: structs.replace(call, body=Raw(b" " * 300_000)),         "too-large"),
]
# fmt: on


@pytest.mark.parametrize(("what", "change", "answer"), DAMAGED, ids=[row[0] for row in DAMAGED])
async def test_damaged_on_the_way(folder: Path, tmp_path: Path, what: str, change: Callable[[Call], Call], answer: str) -> None:
    async with cloud(folder, tmp_path) as (phone, _):
        keys = await asyncio.to_thread(ready, phone)
        phone.change = change
        refused = await asyncio.to_thread(phone.replenish, 2)
        assert isinstance(refused, Problem)
        assert refused.code == answer
        phone.change = lambda call: call
        if answer not in {"session-gone", "device-unknown"}:
            assert await asyncio.to_thread(phone.replenish, 1) == keys  # nothing changed


async def test_the_same_request_twice_is_stale(folder: Path, tmp_path: Path) -> None:
    async with cloud(folder, tmp_path) as (phone, port):
        await asyncio.to_thread(ready, phone)
        call = phone.call("news.take", wallet.NewsAsked())
        assert (await asyncio.to_thread(phone.send, call)).ok
        again = await asyncio.to_thread(phone.send, call)
        assert b'"stale"' in bytes(again.body)
        trusted = ssl.create_default_context(cafile=folder / "ca.pem")
        async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=trusted, trust_env=False) as client:
            assert (await client.post("/tsp/v1/tokens/find", json={})).status_code == 404  # this door is the cloud's alone
