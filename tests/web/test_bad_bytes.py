"""Whatever bytes come to the door: a problem or a closed connection, never a fault of ours, and the next caller is served."""

import asyncio
import contextlib
import ssl
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from shanfu.links import client_context
from tests.budget import examples
from tests.hosts.counter import CLOUD
from tests.web.doors import PHONE, WIDE, Door, certificates, door

HEAD = "".join(f"{name}: {value}\r\n" for name, value in PHONE.items())
BODY = '{"device":"d","ephemeral":""}'
GOOD = f"POST /wallet/v1/sessions HTTP/1.1\r\nhost: localhost\r\n{HEAD}content-length: {len(BODY)}\r\n\r\n{BODY}".encode()


async def say(opened: Door, raw: bytes, *, end: bool = True) -> bytes:
    """Send bytes and return all that comes back until the door closes, or has answered."""
    tls = client_context(opened.folder, CLOUD)
    reader, writer = await asyncio.open_connection("127.0.0.1", opened.port, ssl=tls, server_hostname="localhost")
    try:
        writer.write(raw)
        with contextlib.suppress(TimeoutError, ConnectionError, ssl.SSLError):
            async with asyncio.timeout(0.15 if end else 5):
                return await reader.read() if not end else await reader.readuntil(b"\r\n\r\n") + await reader.read(65536)
        return b""
    except asyncio.IncompleteReadError as short:
        return short.partial
    finally:
        writer.transport.abort()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    raw = bytearray(GOOD)
    for at, flip in draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(1, 255)), min_size=1, max_size=4)):
        raw[at] ^= flip
    cut = draw(st.sampled_from([len(raw), len(raw), draw(st.integers(0, len(raw)))]))
    return bytes(raw[:cut]) + draw(st.binary(max_size=20))


def test_no_bytes_are_a_fault_of_ours(tmp_path_factory: pytest.TempPathFactory, record_property) -> None:
    folder = certificates(tmp_path_factory.mktemp("tls"))
    with asyncio.Runner() as runner:
        opening, said = door(folder, address=WIDE), list[bytes]()
        opened = runner.run(opening.__aenter__())

        @settings(max_examples=examples(60, heavy=400), deadline=None)
        @given(damaged())
        def one(raw: bytes) -> None:
            said.append(raw)
            with capture_logs() as lines:
                answer = runner.run(say(opened, raw))
            assert not [line for line in lines if line["log_level"] == "error"]
            if answer:
                status = int(answer[9:12])
                assert status < 500
                assert status < 400 or b"application/problem+json" in answer

        one()
        record_property("fuzz inputs", len(said))
        assert runner.run(say(opened, GOOD)).startswith(b"HTTP/1.1 200")
        runner.run(opening.__aexit__(None, None, None))


# fmt: off
HALVES = [
    # what is said before the silence
    b"",
    b"POST /wallet",
    GOOD[:-40],
    GOOD + b"POST /wal",
]
# fmt: on


@pytest.mark.parametrize("raw", HALVES)
async def test_who_falls_silent_is_cut_off(folder: Path, monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr("shanfu.web.peer.LOOK_S", 0.2)
    monkeypatch.setattr("shanfu.web.app.BODY_S", 0.2)
    async with door(folder) as opened:
        began_s = time.monotonic()
        await say(opened, raw, end=False)
        assert time.monotonic() - began_s < 3


async def test_too_many_connections_are_cut_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shanfu.web.peer.MOST_CONNECTIONS", 1)
    async with door(folder) as opened, opened.client() as client:
        assert (await client.get("/livez")).status_code == 200
        assert await say(opened, GOOD, end=False) == b""
        assert (await client.get("/livez")).status_code == 200
