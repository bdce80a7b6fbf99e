"""Time as every party sees it: given, never taken, so that a world can be replayed.

`now_ms` is UTC in milliseconds since 1970 and is what books keep; `local` is what terminals print and ISO 8583 carries.
Business happens in China Standard Time, which has no summer time.
"""

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

__all__ = ["CST", "Clock", "ManualClock", "SystemClock", "local", "utc"]

CST = timezone(timedelta(hours=8), "CST")


class Clock(Protocol):
    """Tells the time."""

    def now_ms(self) -> int:
        """Return UTC milliseconds since 1970."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return UTC milliseconds since 1970."""
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves when told: demo, tests and simulation."""

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        """Return UTC milliseconds since 1970."""
        return self._now_ms

    def advance(self, ms: int) -> None:
        """Move forward; time never runs back."""
        if ms < 0:
            raise ValueError(f"{ms} ms: a clock does not run back")
        self._now_ms += ms


def local(now_ms: int) -> datetime:
    """Return this moment in China Standard Time.

    >>> local(0).isoformat()
    '1970-01-01T08:00:00+08:00'
    """
    return datetime.fromtimestamp(now_ms / 1000, CST)


def utc(now_ms: int) -> datetime:
    """Return this moment in UTC."""
    return datetime.fromtimestamp(now_ms / 1000, UTC)
