"""Load on an HTTPS door: many phones' worth of connections in one process, with as little of a client as there can be.

`drive` keeps `lines` connections busy, each with one request after the other, for a time or until there are no more, and
counts what came back. What is asked is the caller's: `request(line, nth)` gives the bytes, made by `post` before the clock
starts wherever they can be, or None at the end; `hear(line, nth, body)` gets each answer. A client library would cost more
than the server that is measured; this one writes bytes and reads a length.
"""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf

Request = Callable[[int, int], bytes | None]
Hear = Callable[[int, int, bytes], None]


@dataclass(slots=True)
class Driven:
    """What came of a run: answers by status, how long it took, how long each answer took."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    waits_ms: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """Good answers each second."""
        return self.statuses[200] / self.seconds if self.seconds else 0.0

    def wait_ms(self, part: float) -> float:
        """The time in which this part of the answers was there: 0.5 the median, 0.99 the slow ones."""
        ordered = sorted(self.waits_ms)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else 0.0


def post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a request as bytes."""
    lines = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def drive(
    port: int, request: Request, *, tls: ssl.SSLContext | None, lines: int, seconds: float = inf, hear: Hear | None = None
) -> Driven:
    """Ask for so many seconds, or till nothing is left, on so many lines at once; connecting is not counted."""
    ends = [await _connect(port, tls) for _ in range(lines)]
    driven, began_s = Driven(), time.perf_counter()
    try:
        await asyncio.gather(*(_ask(place, end, request, (driven, began_s + seconds, hear)) for place, end in enumerate(ends)))
        driven.seconds = time.perf_counter() - began_s
    finally:
        for _, writer in ends:
            writer.transport.abort()
    return driven


async def connections(port: int, *, tls: ssl.SSLContext, count: int, lines: int) -> float:
    """Connect and hang up so often, so many at once; return the seconds it took."""
    left, began_s = iter(range(count)), time.perf_counter()

    async def one_after_another() -> None:
        for _ in left:
            _, writer = await _connect(port, tls)
            writer.transport.abort()

    await asyncio.gather(*(one_after_another() for _ in range(lines)))
    return time.perf_counter() - began_s


async def _connect(port: int, tls: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None)


async def _ask(
    place: int, end: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: Request, run: tuple[Driven, float, Hear | None]
) -> None:
    (reader, writer), (driven, ends_s, hear), nth = end, run, 0
    while (asked_s := time.perf_counter()) < ends_s and (asked := request(place, nth)) is not None:
        writer.write(asked)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        driven.statuses[int(head[9:12])] += 1
        driven.waits_ms.append((time.perf_counter() - asked_s) * 1000)
        if hear:
            hear(place, nth, body)
        nth += 1


def _length(head: bytes) -> int:
    at = head.lower().index(b"content-length: ") + 16
    return int(head[at : head.index(b"\r", at)])
