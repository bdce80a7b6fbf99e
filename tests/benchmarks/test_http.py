"""The load on HTTPS doors counts what it says it counts."""

import ssl
from pathlib import Path

from benchmarks.http import drive, post
from tests.web.doors import PHONE, WIDE, certificates, door

BODY = b'{"device":"d","ephemeral":""}'


async def test_every_answer_is_counted_by_its_status(tmp_path: Path) -> None:
    folder = certificates(tmp_path)
    tls = ssl.create_default_context(cafile=folder / "ca.pem")
    good, bad = (post("/wallet/v1/sessions", BODY, headers) for headers in (PHONE, {}))
    async with door(folder, address=WIDE) as opened:
        driven = await drive(opened.port, lambda place, _: good if place else bad, tls=tls, lines=4, seconds=0.3)
        worked = opened.hub.worker.tally.frames
    assert driven.statuses[200] == worked > 0
    assert set(driven.statuses) == {200, 401}
    assert driven.per_s * driven.seconds > 0
    assert 0 < driven.wait_ms(0.5) <= driven.wait_ms(0.99)
