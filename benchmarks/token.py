"""What phones ask of the key cloud, through HTTPS: opening the app, and how many cores a million of them need.

The household of network, token service and key cloud runs as a process behind its door; phones ask from this one, 64 at once,
each with keys of its own. One opening is a TLS connection, a session, the news, a key set and its confirmation; each step is
done by every phone in turn, so each has its own rate and its own processor time. What phones sign and seal, they do before
the clock runs. Key sets are asked for with grouped commits and with one commit a request, in turns.

Last comes the model of a million phones that open their app within five minutes: cores from the measured processor time, and
what Retry-After does to the crowd where there are fewer.
"""

import asyncio
import os
import signal
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from benchmarks import people, phones
from benchmarks.http import Driven, connections, drive, post
from benchmarks.measure import Row
from benchmarks.watch import Process
from shanfu import cloud
from shanfu.clock import SystemClock
from shanfu.cloud.devices import DeviceRow, DeviceState, key_name
from shanfu.cloud.tokens import token_row
from shanfu.crypto import P256Key, SealKey, agreed_session, session_context
from shanfu.errors import ProtocolError
from shanfu.messages import Call, Device, decoded, encoded, operation, wallet
from shanfu.sandbox import Settings, World, build, free_ports
from shanfu.tsp.vault import view_of

SECONDS: Final = 2.0
EACH_S: Final = 150  # phones for one second of `seconds`
LEAST: Final = 64
ROUNDS: Final = 3
LINES: Final = 64  # connections at once
STEPS: Final = ("TLS connection", "session", "news", "key set", "confirmation")
CROWD: Final = 1_000_000
WITHIN_S: Final = 300
USUAL: Final = cloud.CloudConfig()
RETRY_FIRST_S, RETRY_SPREAD_S = USUAL.retry_first_s, USUAL.retry_spread_s
MOST_S: Final = 100_000
APP: Final = "example.lantern"


def rows(seconds: float = SECONDS, *, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Measure the steps of opening the app, then reckon with them."""
    count = max(LEAST, int(seconds * EACH_S))
    with tempfile.TemporaryDirectory(prefix="shanfu-bench-") as name:
        world, handsets = make_world(Path(name), count)
        with Process("benchmarks.serve", "phones", name) as household:
            seen = asyncio.run(_openings(world, household, handsets, port=household.hear()["ports"][-1], rounds=rounds))
    return [row.public() for row in [*_measured(seen), *_reckoned(seen)]]


# -- phones ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Handset:
    """A phone with one token: its keys, and its session while it has one."""

    device: str
    token: str
    sequence: int = 1
    sign: P256Key = field(default_factory=P256Key.generate)
    wrap: P256Key = field(default_factory=P256Key.generate)
    ephemeral: P256Key = field(default_factory=P256Key.generate)
    session: str = ""
    key: SealKey | None = None
    counter: int = 0

    def row(self, now_ms: int) -> DeviceRow:
        """Return what the key cloud knows of it."""
        point = self.sign.point.hex()
        return DeviceRow(
            0, self.device, key_name(point), point, self.wrap.point.hex(), DeviceState.ENROLLED.value, APP, phones.TRID,
            "Phone", "Bench", "14", 1, b"[]", b"[]", 0, now_ms,
        )  # fmt: skip

    def open_session(self) -> bytes:
        """Return the request for a new session."""
        self.ephemeral = P256Key.generate()
        head = Device(device=self.device, time_ms=SystemClock().now_ms(), nonce=os.urandom(16).hex())
        asked = wallet.OpenSession(device=self.device, ephemeral=self.ephemeral.point.hex())
        return self._signed(Call(id="", op="sessions.open", device=head, body=encoded(asked)))

    def opened(self, body: bytes) -> None:
        """Take the session over."""
        told = decoded(body, wallet.SessionOpened, path="opened")
        theirs = bytes.fromhex(told.ephemeral)
        context = session_context(self.device, phone=self.ephemeral.point, host=theirs)
        self.session, self.counter, self.key = told.session, 0, agreed_session(self.ephemeral, theirs, context=context)

    def news(self) -> bytes:
        """Return the question for news."""
        return self._sealed("news.take", wallet.NewsAsked())

    def replenish(self) -> bytes:
        """Return the request for the next key set."""
        self.sequence += 1
        return self._sealed("keys.replenish", wallet.ReplenishKeys(token=self.token, sequence=self.sequence))

    def confirm(self) -> bytes:
        """Return the news that the newest key set is stored."""
        return self._sealed("keys.confirm", wallet.ConfirmKeys(token=self.token, sequence=self.sequence))

    def _sealed(self, op: str, asked: msgspec.Struct) -> bytes:
        assert self.key
        self.counter += 1
        nonce, bound = os.urandom(12), wallet.sealing_context(op, self.session, self.counter, reply=False)
        body = encoded(wallet.Sealed(sealed=(nonce + self.key.seal(nonce, bytes(encoded(asked)), aad=bound)).hex()))
        head = Device(
            device=self.device, session=self.session, counter=self.counter, time_ms=SystemClock().now_ms(),
            nonce=os.urandom(16).hex(),
        )  # fmt: skip
        return self._signed(Call(id="", op=op, device=head, body=body))

    def _signed(self, call: Call) -> bytes:
        assert call.device
        row = operation(call.op)
        assert row
        head = replace(call.device, signature=self.sign.sign(wallet.signed_bytes(call)).hex())
        said = {name: str(value) for name in head.__struct_fields__ if (value := getattr(head, name))}
        return post(row.path, bytes(call.body), {f"shanfu-{name.removesuffix('_ms')}": value for name, value in said.items()})


def make_world(folder: Path, count: int) -> tuple[World, list[Handset]]:
    """Make a world whose key cloud knows so many phones, each with an active token and its first key set."""
    world = build(folder, settings=Settings(tls=False, **free_ports()), clock=SystemClock())
    now_ms = world.clock.now_ms()
    deck = people.Deck(count=count, imk=bytes(16))
    with world.store("tsp") as store:
        tokens = phones.populate(store, world.hsm("tsp"), world.hsm("cloud"), cards=deck, count=count, now_ms=now_ms)
        handsets = [Handset(tokens.device(number), tokens.reference(number)) for number in range(count)]
        tx = store.begin()
        books = cloud.CloudBooks(tx, now_ms=now_ms)
        for number, handset in enumerate(handsets):
            books.devices.add(handset.row(now_ms))
            view = view_of(phones.token_of(tokens, number, now_ms=now_ms))
            books.tokens.add(token_row(view, now_ms=now_ms))
        books.save()
        tx.commit()
    return world, handsets


# -- measuring ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Seen:
    """What each step gave, round after round: times a second, microseconds of the household's processor, the slowest."""

    rates: dict[str, list[float]] = field(default_factory=dict)
    cpu_us: dict[str, list[float]] = field(default_factory=dict)
    p99_ms: dict[str, list[float]] = field(default_factory=dict)

    def note(self, step: str, rate: float, cpu_us: float, p99_ms: float) -> None:
        """Note a round."""
        for series, value in ((self.rates, rate), (self.cpu_us, cpu_us), (self.p99_ms, p99_ms)):
            series.setdefault(step, []).append(value)

    @property
    def opening_us(self) -> float:
        """Processor time of a whole opening of the app."""
        return sum(median(self.cpu_us[step]) for step in STEPS)


async def _openings(world: World, household: Process, handsets: list[Handset], *, port: int, rounds: int) -> Seen:
    """Let every phone open its app some times over, step by step."""
    tls = ssl.create_default_context(cafile=world.folder / "ca" / "ca.pem")
    seen, stage = Seen(), _Stage(household, handsets, port, tls)
    for _ in range(rounds):
        before = household.cpu_us
        seconds = await connections(port, tls=tls, count=len(handsets), lines=LINES)
        seen.note(STEPS[0], len(handsets) / seconds, (household.cpu_us - before) / len(handsets), 0)
        await stage.step(seen, "session", Handset.open_session, hears=Handset.opened)
        await stage.step(seen, "news", Handset.news)
        await stage.step(seen, "key set", Handset.replenish)
        await stage.step(seen, "confirmation", Handset.confirm)
        household.signal(signal.SIGUSR1)
        await stage.step(seen, "key set alone", Handset.replenish)
        household.signal(signal.SIGUSR2)
    return seen


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where the phones ask."""

    household: Process
    handsets: list[Handset]
    port: int
    tls: ssl.SSLContext

    async def step(
        self, seen: Seen, name: str, asks: Callable[[Handset], bytes], *, hears: Callable[[Handset, bytes], None] | None = None
    ) -> None:
        """Let every phone ask once; raise ProtocolError when any is refused."""
        asked = [asks(handset) for handset in self.handsets]

        def request(line: int, nth: int) -> bytes | None:
            place = nth * LINES + line
            return asked[place] if place < len(asked) else None

        def hear(line: int, nth: int, body: bytes) -> None:
            if hears:
                hears(self.handsets[nth * LINES + line], body)

        before = self.household.cpu_us
        driven: Driven = await drive(self.port, request, tls=self.tls, lines=LINES, hear=hear)
        spent = self.household.cpu_us - before
        if set(driven.statuses) != {200}:
            raise ProtocolError(f"{name}: not every phone was served, but {dict(driven.statuses)}", by="the key cloud")
        seen.note(name, driven.per_s, spent / len(asked), driven.wait_ms(0.99))


def _measured(seen: Seen) -> list[Row]:
    grouped, alone = median(seen.rates["key set"]), median(seen.rates["key set alone"])
    told = f"key sets through HTTPS, {LINES} phones at once"
    found = [
        Row(name=f"{told}: grouped / one commit each", ours=grouped, other=alone, unit="1/s"),
        Row(name=f"{told}: p99", ours=median(seen.p99_ms["key set"]), other=median(seen.p99_ms["key set alone"]), unit="ms"),
    ]
    for step in STEPS:
        note = f"{median(seen.rates[step]):,.0f} a second"
        row = Row(name=f"opening the app, CPU: {step}", ours=median(seen.cpu_us[step]), other=None, unit="µs", note=note)
        found.append(row)
    return [*found, Row(name="opening the app, CPU: all of it", ours=seen.opening_us, other=None, unit="µs")]


# -- a million phones --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Crowd:
    """How a crowd fared: how many calls were made for each that was served, and when the last phone was."""

    calls: float
    last_s: int


def crowd(capacity_per_s: float, *, count: int = CROWD, within_s: int = WITHIN_S) -> Crowd:
    """Reckon second by second with phones that come evenly, and come again when they are put off.

    Retry-After is 1 to 30 seconds, spread evenly; who is served needs no second call.

    >>> crowd(4000).calls, crowd(4000).last_s
    (1.0, 300)
    >>> crowd(2000).last_s > 500
    True
    """
    coming = [0.0] * (MOST_S + RETRY_FIRST_S + RETRY_SPREAD_S)
    coming[:within_s] = [count / within_s] * within_s
    served, calls = 0.0, 0.0
    for second in range(MOST_S):
        here = coming[second]
        taken = min(here, capacity_per_s)
        served, calls = served + taken, calls + here
        for later in range(RETRY_SPREAD_S):
            coming[second + RETRY_FIRST_S + later] += (here - taken) / RETRY_SPREAD_S
        if served >= count - 0.5:
            return Crowd(calls / count, second + 1)
    return Crowd(calls / count, MOST_S)


def _reckoned(seen: Seen) -> list[Row]:
    per_s = CROWD / WITHIN_S
    cores = per_s * seen.opening_us / 1e6
    told = f"{CROWD:,} phones open their app within {WITHIN_S} s"
    requests = len(STEPS) - 1
    found = [
        Row(name=f"{told}: requests", ours=per_s * requests, other=None, unit="1/s", note=f"{requests} each, and a connection"),
        Row(name=f"{told}: cores", ours=cores, other=None, unit="", note="from the processor time above, nothing spare"),
    ]
    for part in (0.75, 0.5, 0.25):
        fared = crowd(per_s * part)
        what = f"{told}: with {part:.0%} of these cores the last is served after"
        found.append(Row(name=what, ours=fared.last_s, other=None, unit="s", note=f"{fared.calls:.1f} calls for each served"))
    return found
