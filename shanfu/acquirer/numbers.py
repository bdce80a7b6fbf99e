"""Numbers that must not be used twice: the trace and reference numbers of this institution.

One counter feeds both. DE11 is its last six digits, which together with the second in DE7 names a message; DE37 is the year's
last digit, the day of the year and the counter's last eight digits. The counter is a row, saved with the messages that use
its values, so a crash cannot bring one back.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from shanfu.acquirer.tables import METADATA
from shanfu.clock import local
from shanfu.store import Shelf, book_of

__all__ = ["BY_COUNTER", "COUNTERS", "TRACE", "Counter", "Moment", "moment_of"]

BY_COUNTER: Final = ("bucket", "counter")
TRACE: Final = (0, "trace")


@dataclass(slots=True)
class Counter:
    """A counter and the last value it gave."""

    bucket: int
    counter: str
    value: int

    def stan(self) -> str:
        """DE11 of the last value: 000001 to 999999 (ISO 8583:1987 DE11)."""
        return f"{(self.value - 1) % 999_999 + 1:06d}"

    def rrn(self, day: str) -> str:
        """DE37 of the last value; `day` is YDDD (ISO 8583:1987 DE37)."""
        return f"{day}{self.value % 100_000_000:08d}"


class Moment(NamedTuple):
    """A turn's time as messages write it (China Standard Time)."""

    date: str  # YYYYMMDD
    time: str  # hhmmss, DE12
    sent: str  # MMDDhhmmss, DE7
    day: str  # YDDD, the head of DE37


def moment_of(now_ms: int) -> Moment:
    """Return a moment as messages write it.

    >>> moment_of(1_767_600_000_000)
    Moment(date='20260105', time='160000', sent='0105160000', day='6005')
    """
    now = local(now_ms)
    date_, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    return Moment(date_, time, date_[4:] + time, f"{date_[3]}{now.timetuple().tm_yday:03d}")


COUNTERS: Final = Shelf(book_of("counters", METADATA, Counter, "counter"), Counter)
