"""How a benchmark measures, and the row that says what came of it.

Both sides of a ratio are measured in turns, in short slices within one run, so that whatever else the machine does meets both.
Of a computation the best slice counts, since noise only ever adds; of work that waits for a disk or a peer the median.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

Work = Callable[[], int]  # does something and says how many times it did it
Rule = Literal["ratio at least", "ratio at most", "ours at most", ""]

SECONDS = 1.0  # for one row, both sides together
SLICE_S = 0.005  # long against the clock's grain, short against the machine's moods
LEAST_ROUNDS = 3
FLUSHED_BYTES = 1 << 20
BLOCK_BYTES = 4096  # what one flush writes at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure: ours, the other's, and what was promised. What is not installed is None, and `note` says so."""

    name: str
    ours: float | None
    other: float | None
    unit: str
    rule: Rule = ""
    goal: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the other's."""
        return self.ours / self.other if self.ours is not None and self.other else None

    @property
    def holds(self) -> bool | None:
        """Whether the promise is kept; None when there is none, or nothing to hold it against."""
        measured = self.ours if self.rule == "ours at most" else self.ratio
        if measured is None or self.goal is None:
            return None
        return measured >= self.goal if self.rule == "ratio at least" else measured <= self.goal

    def public(self) -> dict[str, Any]:
        """Return the row as `shanfu bench --json` prints it."""
        return {**asdict(self), "ratio": self.ratio, "holds": self.holds}


def time_us(ours: Work, other: Work | None, seconds: float) -> tuple[float, float | None]:
    """Return the best microseconds of one doing of each, measured in turns."""
    sides = [ours] if other is None else [ours, other]
    best = [_slice_us(work, SLICE_S) for work in sides]
    ends, rounds = time.perf_counter() + seconds, 0
    while rounds < LEAST_ROUNDS or time.perf_counter() < ends:
        for place, work in enumerate(sides):
            best[place] = min(best[place], _slice_us(work, SLICE_S))
        rounds += 1
    return best[0], best[1] if other else None


def rates(ours: Work, other: Work, seconds: float) -> tuple[float, float]:
    """Return the median doings per second of both, measured in turns of a tenth of the time each."""
    seen: tuple[list[float], list[float]] = ([], [])
    for _ in range(5):
        for work, found in zip((ours, other), seen, strict=True):
            found.append(1e6 / _slice_us(work, seconds / 10))
    return median(seen[0]), median(seen[1])


def _slice_us(work: Work, seconds: float) -> float:
    began, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds or not done:
        done += work()
    return spent * 1e6 / done


def repeated(one: Callable[[], object], times: int = 20) -> Work:
    """Return a work that calls `one` several times, so that looking at the clock costs nothing beside it."""

    def work() -> int:
        for _ in range(times):
            one()
        return times

    return work


@contextmanager
def flushing(folder: Path) -> Iterator[Work]:
    """Give a work that overwrites a block of a written file and flushes it: the best this disk does for a commit."""
    fd = os.open(folder / "flush", os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(FLUSHED_BYTES))
    os.fsync(fd)
    block, turn = os.urandom(BLOCK_BYTES), iter(range(1 << 40))

    def work() -> int:
        os.pwrite(fd, block, next(turn) * BLOCK_BYTES % FLUSHED_BYTES)
        os.fdatasync(fd)
        return 1

    try:
        yield work
    finally:
        os.close(fd)


def percentile(values: list[float], share: float) -> float:
    """Return the value under which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
