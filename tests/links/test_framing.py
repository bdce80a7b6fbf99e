"""The decoders of the two ISO 8583 dialects fit the shape that links ask for."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shanfu.clock import SystemClock
from shanfu.iso8583 import InterbankFrames, PosFrames
from shanfu.links import Framing, FramingFactory, Hub, ServerLink, linked
from tests.links.teller import Teller, opened
from tests.links.test_tcp import LOCAL, dial, until


@pytest.mark.parametrize(("make", "frame", "idle"), [
    (InterbankFrames, b"0060" + bytes(60), b"0000"),
    (PosFrames,       b"\x00\x20" + bytes(32), b""),
])  # fmt: skip
def test_what_is_consumed_tells_what_is_pending(make: FramingFactory, frame: bytes, idle: bytes) -> None:
    framing: Framing = make()
    assert framing.feed(idle + frame + frame[:5]) == [frame]
    assert framing.consumed == len(idle + frame)
    assert framing.feed(frame[5:]) == [frame]
    assert framing.consumed == len(idle + frame + frame)


@pytest.mark.parametrize("make", [InterbankFrames, PosFrames])
@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "no frame: an HTTP request came instead of a frame"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "no frame: a TLS ClientHello came instead of a frame"),
    ],
)
async def test_a_foreign_protocol_is_named(tmp_path: Path, make: FramingFactory, said: bytes, why: str) -> None:
    with opened(tmp_path) as store, capture_logs() as lines:
        hub = Hub(Teller(), store, SystemClock())
        async with linked(hub, [ServerLink(host=LOCAL, port=0, framing=make)]) as ports, dial(ports[0]) as line:
            line.writer.write(said)
            assert await line.ended()
            await until(lambda: not hub.stations)
    assert [line["why"] for line in lines if line["event"] == "link_closed"] == [why]
