"""Hosts and load as OS processes: spoken with in JSON lines, and watched through what the kernel counts for them.

Sides of a ratio are measured in turns within one run: slices of the disk's own flushes, of load, of load with one commit per
message. The CPU of a host is what the kernel charged its process with, divided by the authorisations of the slice.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.measure import Work
from shanfu.errors import LinkClosed, ProtocolError

ROOT = Path(__file__).parents[1]
SETTLE_S = 0.2  # for hosts to finish what a slice left them
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


class Process:
    """A process that is spoken with in JSON lines."""

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT, env={**os.environ, **(environment or {})}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
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
            raise LinkClosed(f"{self._module}: ended by itself")
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
        raise ProtocolError(f"not every payment was approved: {told}", by="the hosts")
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
    """A run: grouped, the same by phones, one commit per message, and the disk by itself, slice after slice."""

    grouped: Slices = field(default_factory=Slices)
    phones: Slices = field(default_factory=Slices)
    single: Slices = field(default_factory=Slices)
    flushes: list[float] = field(default_factory=list)


def in_turns(
    load: Process, hosts: list[Process], flush: Work, *, seconds: float, rounds: int, phones: Process | None = None
) -> Measured:
    """Measure all in turns; `phones` is a second load, of payments with tokens."""
    seen = Measured()
    for _ in range(rounds):
        seen.flushes.append(rate(flush, seconds / 2))
        slice_of(load, hosts, seconds, seen.grouped)
        if phones:
            slice_of(phones, hosts, seconds, seen.phones)
        for host in hosts:
            host.signal(signal.SIGUSR1)
        slice_of(load, hosts, seconds, seen.single)
        for host in hosts:
            host.signal(signal.SIGUSR2)
    return seen
