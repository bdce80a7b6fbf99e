"""`python -m benchmarks.load`: the process from which the load comes.

It is told what to do on stdin and answers on stdout, one JSON object a line: first its task, then any number of
`{"run": seconds}`. It keeps a number of requests in flight over its connections: each answer lets the next request go. Answers
are looked into after the clock has stopped: their codes and their MACs.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.frames import HEADER, TPDU, Chips, InterbankPayments, PosPayments, Speakers
from benchmarks.measure import percentile
from benchmarks.people import Deck
from benchmarks.phones import Phones, TokenDeck
from shanfu.crypto import Algorithm, Cipher, RetailKey, ecb_mac, left4_text
from shanfu.errors import ProtocolError
from shanfu.iso8583 import (
    InterbankFrame,
    InterbankFrames,
    InterbankHeader,
    Message,
    NetworkCode,
    PosFrame,
    PosFrames,
    decode_interbank,
    decode_pos,
    encode_interbank,
    encode_pos,
    mab_of,
    mac_input,
    parse_working_keys,
)
from shanfu.links import Framing, client_context

DRAIN_S = 30.0  # longer than any host waits


class Line(asyncio.Protocol):
    """One connection: sends what it is given, keeps what comes back with the time of its coming."""

    def __init__(self, framing: Framing, more: Callable[["Line", int], None], counts: Callable[[bytes], bool]) -> None:
        self._framing, self._more, self._counts = framing, more, counts
        self.came: list[tuple[float, bytes]] = []
        self.transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Note the answers and let as many requests follow."""
        now, frames = time.perf_counter(), [frame for frame in self._framing.feed(data) if self._counts(frame)]
        if self._answer and frames:
            self._answer.set_result(frames[0])
            self._answer = None
            return
        self.came += [(now, frame) for frame in frames]
        self._more(self, len(frames))

    async def ask(self, frame: bytes) -> bytes:
        """Send one frame outside the clock and wait for its answer."""
        self.send([frame])
        self._answer = asyncio.get_running_loop().create_future()
        return await asyncio.wait_for(self._answer, DRAIN_S)

    def connection_lost(self, _: Exception | None) -> None:
        """Say that nothing more will come."""
        self.transport = None

    def send(self, frames: list[bytes]) -> None:
        """Write frames at once."""
        assert self.transport, "the host has closed the connection"
        self.transport.write(b"".join(frames))


class Stream:
    """Payments waiting on each line, how many are on their way, and what became of them."""

    def __init__(self, stocks: list[Iterator[tuple[str, bytes]]]) -> None:
        self.stocks = stocks
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
        stock, frames, now = self.stocks[self.lines.index(line)], [], time.perf_counter()
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
    """Be the network of one issuer; the working keys are in the issuer's books already."""
    mak_key = bytes.fromhex(task["mak"])
    payments = InterbankPayments(
        _chips(task),
        task["network"], task["issuer"], task["acquirer"], mak_key, bytes.fromhex(task["pik"]),
    )  # fmt: skip
    stream = Stream([iter(list(payments.make(task["payments"], now_ms(), first=task["first"] + 1)))])
    line = await _connect(task, InterbankFrames(), stream, counts=is_answer)
    header = InterbankHeader(destination=task["issuer"], source=task["network"])
    test = Message("0820", {7: time.strftime("%m%d%H%M%S"), 11: "000000", 33: task["network"], 70: NetworkCode.LINE_TEST.value})
    line.send([encode_interbank(InterbankFrame(header, test))])  # the issuer must hear who this is before it takes payments
    mak = RetailKey(mak_key)

    def read(frame: bytes) -> tuple[str, str, bool]:
        message = decode_interbank(frame).message
        right = left4_text(mak.mac(mac_input(message), padding=1)) == message.text(128, "").encode()
        return message.text(11), message.text(39), right

    say({"ready": True})
    await serve_runs(stream, read, task["in_flight"])


async def as_terminals(task: dict[str, Any]) -> None:
    """Be many terminals of one acquirer, some to a line as behind a concentrator: sign in, then take cards, or phones."""
    chips: Speakers = Phones(TokenDeck.of(task["tokens"]), task["first"]) if task.get("tokens") else _chips(task)
    stream, maks = Stream([]), dict[str, Cipher]()
    each, first_stan = -(-task["payments"] // len(task["terminals"])), task["first_stan"]
    making: list[list[Iterator[tuple[str, bytes]]]] = []
    for place in range(task["lines"]):
        line = await _connect(task, PosFrames(), stream)
        making.append([])
        for terminal, tmk in task["terminals"][place :: task["lines"]]:
            keys, batch = await _sign_in(line, task["merchant"], (terminal, bytes.fromhex(tmk)), f"{first_stan:06d}")
            maks[terminal] = keys["MAK"]
            payments = PosPayments(chips, terminal, task["merchant"], batch, keys["MAK"], keys["PIK"])
            making[-1].append(payments.make(each, now_ms(), first=first_stan + 1))
    stocks: list[list[tuple[str, bytes]]] = [[] for _ in making]
    for _ in range(each):  # one payment of each terminal in turn: a card that comes again comes later, with its next ATC
        for stock, terminals in zip(stocks, making, strict=True):
            stock.extend(map(next, terminals))
    stream.stocks = [iter(stock) for stock in stocks]

    def read(frame: bytes) -> tuple[str, str, bool]:
        message = decode_pos(frame).message
        terminal, code = message.text(41), message.text(39)
        right = ecb_mac(maks[terminal], mab_of(frame)) == message.fields.get(64)
        return f"{terminal}.{message.text(11)}", code, right or code != "00"  # refusals carry none

    say({"ready": True})
    await serve_runs(stream, read, task["in_flight"])


def _chips(task: dict[str, Any]) -> Chips:
    return Chips(Deck.of(task["deck"]), task["first"])


async def _sign_in(line: Line, merchant: str, pad: tuple[str, bytes], stan: str) -> tuple[dict[str, Cipher], str]:
    """Return the working keys of a terminal and its batch."""
    terminal, tmk = pad
    fields: dict[int, str | bytes] = {
        11: stan,
        41: terminal,
        42: merchant,
        60: "00000000003",
        62: b"Sequence No1050000000000",
        63: "01 ",
    }
    answer = decode_pos(await line.ask(encode_pos(PosFrame(TPDU, HEADER, Message("0800", fields))))).message
    if answer.text(39) != "00":
        raise ProtocolError(f"terminal {terminal} was not signed in: {answer.text(39)}", by="the acquirer")
    wrapped = parse_working_keys(answer.binary(62), "40_PIK16_MAK16")
    cipher = Cipher(Algorithm.TDES, tmk)
    return {key.name: Cipher(Algorithm.TDES, cipher.decrypt(key.encrypted)) for key in wrapped}, answer.text(60)[2:8]


def is_answer(frame: bytes) -> bool:
    """Whether an interbank frame answers a payment; the issuer also signs on and tests the line."""
    return frame[50:54] == b"0210"


async def _connect(
    task: dict[str, Any], framing: Framing, stream: Stream, *, counts: Callable[[bytes], bool] = lambda _: True
) -> Line:
    line = Line(framing, stream.more, counts)
    folder, name = task.get("tls", ["", ""])
    tls = client_context(Path(folder), "terminal") if folder else None
    await asyncio.get_running_loop().create_connection(
        lambda: line, "127.0.0.1", task["port"], ssl=tls, server_hostname=name if tls else None
    )
    stream.lines.append(line)
    return line


def now_ms() -> int:
    """Return the time of day."""
    return time.time_ns() // 1_000_000


TASKS = {"network": as_network, "terminals": as_terminals}


async def main() -> None:
    """Do the task on the first line of stdin."""
    task = await heard()
    await TASKS[task["as"]](task)


if __name__ == "__main__":
    asyncio.run(main())
