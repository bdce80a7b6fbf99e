"""`python -m benchmarks.load`: the process from which the load comes.

It is told what to do on stdin and answers on stdout, one JSON object a line: first its task, then any number of
`{"run": seconds}`. It keeps a number of requests in flight over its connections: each answer lets the next request go. Answers
are looked into after the clock has stopped: their codes and their MACs.
"""

import asyncio
import json
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.frames import Chips, InterbankPayments
from benchmarks.measure import percentile
from benchmarks.people import Deck
from shanfu.crypto import RetailKey, left4_text
from shanfu.iso8583 import InterbankFrames, Message, decode_interbank, encode_interbank, mac_input
from shanfu.iso8583 import InterbankFrame, InterbankHeader
from shanfu.links import Framing

DRAIN_S = 30.0  # longer than any host waits


class Line(asyncio.Protocol):
    """One connection: sends what it is given, keeps what comes back with the time of its coming."""

    def __init__(self, framing: Framing, more: Callable[["Line", int], None]) -> None:
        self._framing, self._more = framing, more
        self.came: list[tuple[float, bytes]] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Note the answers and let as many requests follow."""
        now, frames = time.perf_counter(), self._framing.feed(data)
        self.came += [(now, frame) for frame in frames]
        self._more(self, len(frames))

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that nothing more will come."""
        self.transport = None

    def send(self, frames: list[bytes]) -> None:
        """Write frames at once."""
        assert self.transport, "the host has closed the connection"
        self.transport.write(b"".join(frames))


class Stream:
    """Payments waiting on each line, how many are on their way, and what became of them."""

    def __init__(self, stocks: list[Iterator[tuple[str, bytes]]]) -> None:
        self._stocks = stocks
        self.lines: list[Line] = []
        self._sent: dict[str, float] = {}
        self._open = 0
        self._running = False
        self._drained = asyncio.Event()

    def more(self, line: Line, count: int) -> None:
        """Send the next `count` payments of a line, unless the clock has stopped."""
        self._open -= count
        if self._running:
            self._go(line, count)
        elif self._open <= 0:
            self._drained.set()

    def _go(self, line: Line, count: int) -> None:
        stock, frames, now = self._stocks[self.lines.index(line)], [], time.perf_counter()
        for _ in range(count):
            name, frame = next(stock)
            self._sent[name] = now
            frames.append(frame)
        self._open += count
        line.send(frames)

    async def run(self, seconds: float, in_flight: int) -> tuple[float, float, dict[str, float], list[tuple[float, bytes]]]:
        """Keep this many on their way for this long; return begin, end, when each was sent, and what came."""
        self._sent, self._drained, self._running = {}, asyncio.Event(), True
        for line in self.lines:
            line.came = []
        began = time.perf_counter()
        for line in self.lines:
            self._go(line, in_flight // len(self.lines))
        await asyncio.sleep(seconds)
        ended, self._running = time.perf_counter(), False
        if self._open:
            await asyncio.wait_for(self._drained.wait(), DRAIN_S)
        return began, ended, self._sent, [answer for line in self.lines for answer in line.came]


def summary(
    took: tuple[float, float, dict[str, float], list[tuple[float, bytes]]], read: Callable[[bytes], tuple[str, str, bool]]
) -> dict[str, Any]:
    """Return rate, latencies and verdicts of a run; `read` gives name, DE39 and whether the MAC is right."""
    began, ended, sent, came = took
    latencies, codes, wrong = [], Counter[str](), 0
    for at, frame in came:
        name, code, right = read(frame)
        latencies.append((at - sent[name]) * 1e3)
        codes[code] += 1
        wrong += not right
    done = sum(at <= ended for at, _ in came)
    return {
        "rate": done / (ended - began), "done": done, "answered": len(came), "codes": codes, "wrong_macs": wrong,
        "p50_ms": percentile(latencies, 0.5), "p99_ms": percentile(latencies, 0.99),
    }  # fmt: skip


# -- tasks -------------------------------------------------------------------------------------------------------------


def say(told: dict[str, Any]) -> None:
    """Answer whoever started this process."""
    print(json.dumps(told), flush=True)


async def heard() -> dict[str, Any]:
    """Wait for the next line; {} at the end."""
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    found: dict[str, Any] = json.loads(line) if line else {}
    return found


async def serve_runs(stream: Stream, read: Callable[[bytes], tuple[str, str, bool]], in_flight: int) -> None:
    """Run as often as asked."""
    while told := await heard():
        say(summary(await stream.run(told["run"], in_flight), read))


async def as_network(task: dict[str, Any]) -> None:
    """Be the network of one issuer: sign on is its affair, working keys are there already."""
    deck = Deck.of(task["deck"])
    mak_key = bytes.fromhex(task["mak"])
    payments = InterbankPayments(
        Chips(deck), task["network"], task["issuer"], task["acquirer"], mak_key, bytes.fromhex(task["pik"])
    )
    stock = iter(list(payments.make(task["payments"], time.time_ns() // 1_000_000)))
    stream = Stream([stock])
    line = await _connect(task["port"], InterbankFrames(), stream, tls=None)
    header = InterbankHeader(destination=task["issuer"], source=task["network"])
    line.send([encode_interbank(InterbankFrame(header, _line_test()))])
    while not line.came:
        await asyncio.sleep(0.01)
    stream._open = 0
    mak = RetailKey(mak_key)

    def read(frame: bytes) -> tuple[str, str, bool]:
        message = decode_interbank(frame).message
        right = left4_text(mak.mac(mac_input(message), padding=1)) == message.text(128, "").encode()
        return message.text(11), message.text(39), right

    say({"ready": True})
    await serve_runs(stream, read, task["in_flight"])


def _line_test() -> Message:
    return Message("0820", {7: time.strftime("%m%d%H%M%S"), 11: "000000", 33: "00010000", 70: "301"})


async def _connect(port: int, framing: Framing, stream: Stream, *, tls: ssl.SSLContext | None, name: str = "") -> Line:
    line = Line(framing, stream.more)
    await asyncio.get_running_loop().create_connection(
        lambda: line, "127.0.0.1", port, ssl=tls, server_hostname=name if tls else None
    )
    stream.lines.append(line)
    return line


TASKS = {"network": as_network}


async def main() -> None:
    """Do the task on the first line of stdin."""
    task = await heard()
    await TASKS[task["as"]](task)


if __name__ == "__main__":
    asyncio.run(main())
