"""The network's own state, one row: the business date, whether somebody asked to close it, and the version of the routes.

The business date is the network's to say (DE15): it begins at the cut-off of the day before, and every message keeps the one
it was accepted under.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from shanfu.clock import local
from shanfu.network.tables import METADATA
from shanfu.store import Book, Shelf, book_of

__all__ = ["STATE", "StateRow", "business_date", "passed", "successor", "the_state"]

BY_NAME: Final = ("bucket", "name")


@dataclass(slots=True)
class StateRow:
    """`business_date` is YYYYMMDD; `close_asked` is 1 when the day is to be closed now, whatever the time."""

    bucket: int
    name: str
    business_date: str
    close_asked: int
    routes_version: int


_TABLE: Final = book_of("state", METADATA, StateRow, "name")
STATE: Final = Shelf(_TABLE, StateRow, kept=True)


def the_state(states: Book[StateRow], now_ms: int, cut_off_minute: int) -> StateRow:
    """Return the one row; new books begin with today's business date."""
    key = (0, "network")
    states.load(BY_NAME, [key])
    return states.find(BY_NAME, key) or states.add(StateRow(*key, business_date(now_ms, cut_off_minute), 0, 0))


def business_date(now_ms: int, cut_off_minute: int) -> str:
    """Return the business date of this moment when no day was closed early.

    >>> business_date(0, 23 * 60), business_date(15 * 3_600_000, 23 * 60)  # 08:00 and 23:00 in China
    ('19700101', '19700102')
    """
    now = local(now_ms)
    late = now.hour * 60 + now.minute >= cut_off_minute
    return (now.date() + timedelta(days=late)).strftime("%Y%m%d")


def passed(day: str, now_ms: int, cut_off_minute: int) -> bool:
    """Whether the cut-off of this business date has passed."""
    return business_date(now_ms, cut_off_minute) > day


def successor(day: str, now_ms: int, cut_off_minute: int) -> str:
    """Return the business date after `day`: the next one, or today's when the network was away for longer."""
    following = (date(int(day[:4]), int(day[4:6]), int(day[6:])) + timedelta(days=1)).strftime("%Y%m%d")
    return max(following, business_date(now_ms, cut_off_minute))
