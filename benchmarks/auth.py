"""Authorisations per second: hosts as OS processes, full durability, real MACs, PINs and cryptograms, load from outside.

Sides of a ratio are measured in turns within one run: slices of load, of the disk's own flushes, of load with one commit per
message. The CPU of a host is what the kernel charged its process with, divided by the authorisations of the slice.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

from benchmarks.measure import Row, Work, flushing
from benchmarks.people import populate
from shanfu import issuer
from shanfu.crypto import odd_parity
from shanfu.hsm import Algorithm, KeyUsage, SoftHSM, create_lmk
from shanfu.store import Store

SECONDS, CARDS, IN_FLIGHT, ROUNDS = 2.0, 100_000, 64, 5
ROOT = Path(__file__).parents[1]
NETWORK, ISSUER, ACQUIRER = "00010000", "99010000", "99020000"
MOST_PER_SECOND = 6_000  # payments to have ready for a slice; no host of ours takes more
SETTLE_S = 0.2  # for hosts to finish what a slice left them
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


class Process:
    """A process that is spoken with in JSON lines."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.communicate(timeout=30)

    def tell(self, told: dict[str, Any]) -> None:
        """Say one line."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for one line."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args}: ended by itself")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self._process.send_signal(number)

    @property
    def cpu_us(self) -> float:
        """Microseconds of processor time so far, its own and the kernel's for it (proc(5), stat fields 14 and 15)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1e6 / TICKS

    @property
    def memory_mb(self) -> float:
        """Resident megabytes (proc(5), statm)."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * PAGE_MB


@dataclass(slots=True)
class Slices:
    """What was seen in the slices of one kind."""

    rates: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    done: int = 0


def slice_of(load: Process, hosts: list[Process], seconds: float, seen: Slices) -> None:
    """Run the load for one slice and note what came of it."""
    before = sum(host.cpu_us for host in hosts)
    load.tell({"run": seconds})
    told = load.hear()
    time.sleep(SETTLE_S)
    spent = sum(host.cpu_us for host in hosts) - before
    if told["wrong_macs"] or set(told["codes"]) != {"00"}:
        raise RuntimeError(f"the load was not approved: {told}")
    seen.rates.append(told["rate"])
    seen.p50_ms.append(told["p50_ms"])
    seen.p99_ms.append(told["p99_ms"])
    seen.cpu_us.append(spent / told["answered"])
    seen.memory_mb.append(max(host.memory_mb for host in hosts))
    seen.done += told["answered"]


def rate(work: Work, seconds: float) -> float:
    """Return doings per second over a slice."""
    began, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        done += work()
    return done / spent


@dataclass(slots=True)
class Measured:
    """A run: grouped, one commit per message, and the disk by itself, slice after slice."""

    grouped: Slices = field(default_factory=Slices)
    single: Slices = field(default_factory=Slices)
    flushes: list[float] = field(default_factory=list)


def measure(load: Process, hosts: list[Process], flush: Work, seconds: float) -> Measured:
    """Measure all three in turns."""
    seen = Measured()
    for _ in range(ROUNDS):
        seen.flushes.append(rate(flush, seconds / 2))
        slice_of(load, hosts, seconds, seen.grouped)
        for host in hosts:
            host.signal(signal.SIGUSR1)
        slice_of(load, hosts, seconds, seen.single)
        for host in hosts:
            host.signal(signal.SIGUSR2)
    return seen


# -- the issuer alone --------------------------------------------------------------------------------------------------


def rows(seconds: float = SECONDS, *, cards: int = CARDS) -> list[dict[str, Any]]:
    """Measure the issuer alone, then the whole chain."""
    with tempfile.TemporaryDirectory(prefix="shanfu-bench-") as folder:
        return [row.public() for row in issuer_alone(Path(folder), seconds, cards)]


def issuer_alone(folder: Path, seconds: float, cards: int) -> list[Row]:
    """An issuer's host over TCP, with the load as its network."""
    task = make_issuer(folder, cards)
    payments = int(seconds * ROUNDS * 2 * MOST_PER_SECOND)
    with Process("benchmarks.serve", str(folder), ISSUER) as host, Process("benchmarks.load") as load:
        [port] = host.hear()["ports"]
        load.tell({**task, "as": "network", "port": port, "payments": payments, "in_flight": IN_FLIGHT})
        load.hear()
        with flushing(folder) as flush:
            seen = measure(load, [host], flush, seconds)
    told = f"issuer alone, {IN_FLIGHT} in flight"
    grouped, flushes = median(seen.grouped.rates), median(seen.flushes)
    return [
        Row(
            name=f"{told}: authorisations / fdatasync",
            ours=grouped, other=flushes, unit="1/s", rule="ratio at least", goal=0.6,
        ),
        Row(name=f"{told}: grouped / one commit each", ours=grouped, other=median(seen.single.rates), unit="1/s"),
        Row(name=f"{told}: p99", ours=median(seen.grouped.p99_ms), other=median(seen.single.p99_ms), unit="ms"),
        Row(name=f"{told}: CPU", ours=median(seen.grouped.cpu_us), other=median(seen.single.cpu_us), unit="µs"),
        Row(name=f"{told}: memory at the end", ours=seen.single.memory_mb[-1], other=seen.grouped.memory_mb[0], unit="MB"),
    ]  # fmt: skip


def make_issuer(folder: Path, cards: int) -> dict[str, Any]:
    """Make an issuer's books and keys in a folder; return what the load must know of them."""
    now_ms = time.time_ns() // 1_000_000
    hsm = SoftHSM(create_lmk(folder / "lmk"))
    working = {f"mak/{NETWORK}": KeyUsage.MAK, f"pik/{NETWORK}": KeyUsage.PIK}
    clear = {label: odd_parity(secrets.token_bytes(16)) for label in working}
    with Store.open(folder / "books.db", schema=issuer.SCHEMA, name="issuer") as store:
        blocks = {label: hsm.form(usage, Algorithm.TDES, [clear[label], bytes(16)]) for label, usage in working.items()}
        blocks[issuer.LOOKUP] = hsm.generate(KeyUsage.LOOKUP, Algorithm.HMAC)
        blocks[issuer.SEAL] = hsm.generate(KeyUsage.SEAL, Algorithm.AES)
        blocks[f"mmk/{NETWORK}"] = hsm.generate(KeyUsage.KEK, Algorithm.TDES)
        for label, block in blocks.items():
            issuer.install_key(store, label, block, now_ms=now_ms)
        deck = populate(store, hsm, cards, now_ms=now_ms)
    mak, pik = clear.values()
    ids = {"network": NETWORK, "issuer": ISSUER, "acquirer": ACQUIRER}
    return {**ids, "deck": deck.public(), "mak": mak.hex(), "pik": pik.hex()}
