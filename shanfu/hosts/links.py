"""The link to the network and the days that it has closed: what a member remembers of network management.

A sign-on that nobody answered is asked again when its deadline passes. A closed day is a row that clearing and reconciliation
start from. Each member has these tables in its own books, with its keys; its books are a `MemberBooks` and more.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import MetaData, bindparam

from shanfu.hsm import Keyring, KeyRow, keys_table
from shanfu.store import Shelf, Statement, Transaction, book_of, open_index

__all__ = ["ClosedDay", "LinkRow", "LinkState", "MemberBooks", "MemberShelves"]

BY_STATION: Final = ("bucket", "station")
BY_DAY: Final = ("bucket", "business_date")
MOST_UNANSWERED: Final = 16  # a member has one network; nobody has sixteen


class LinkState(StrEnum):
    """Where signing on stands."""

    ASKED = "asked"
    DOWN = "down"
    SIGNED_ON = "signed on"


@dataclass(slots=True)
class LinkRow:
    """One station; `deadline_ms` is when an unanswered sign-on is asked again, `name` which one was asked last."""

    bucket: int
    station: str
    state: str
    name: str
    deadline_ms: int


@dataclass(slots=True)
class ClosedDay:
    """A business date that the network has closed."""

    bucket: int
    business_date: str
    closed_ms: int


class MemberShelves:
    """The tables of a member's link, in its own collection; `prefix` keeps hosts apart that share one database."""

    def __init__(self, metadata: MetaData, prefix: str = "") -> None:
        links = book_of(f"{prefix}links", metadata, LinkRow, "station")
        asked = links.c.state == LinkState.ASKED.value
        open_index(f"{prefix}links_unanswered", links.c.deadline_ms, where=asked)
        self.links = Shelf(links, LinkRow, kept=True)
        self.days = Shelf(book_of(f"{prefix}days", metadata, ClosedDay, "business_date"), ClosedDay)
        self.keys = Shelf(keys_table(metadata, prefix), KeyRow, kept=True)
        unanswered = self.links.select().where(asked, links.c.deadline_ms <= bindparam("now_ms"))
        self.unanswered = Statement(unanswered.limit(MOST_UNANSWERED), "now_ms")


class MemberBooks:
    """Link, closed days and keys as one turn sees them."""

    __slots__ = ("_shelves", "days", "keys", "links", "now_ms", "tx")

    def __init__(self, shelves: MemberShelves, tx: Transaction, *, now_ms: int) -> None:
        self._shelves, self.tx, self.now_ms = shelves, tx, now_ms
        self.keys = Keyring(shelves.keys, tx, now_ms=now_ms)
        self.links = shelves.links.open(tx)
        self.days = shelves.days.open(tx)

    def save(self) -> None:
        """Write what was changed and added."""
        self.keys.save()
        self.links.save()
        self.days.save()

    def link(self, station: str) -> LinkRow:
        """Fetch the link to a station; one that was never up is down."""
        key = (0, station)
        self.links.load(BY_STATION, [key])
        return self.links.find(BY_STATION, key) or self.links.add(LinkRow(*key, LinkState.DOWN.value, "", 0))

    def unanswered(self) -> list[LinkRow]:
        """Return the links whose sign-on nobody has answered in time."""
        return self.links.select(self._shelves.unanswered, (self.now_ms,))

    def close_day(self, day: str) -> None:
        """Remember that the network has closed a business date."""
        self.days.load(BY_DAY, [(0, day)])
        if self.days.find(BY_DAY, (0, day)) is None:
            self.days.add(ClosedDay(0, day, self.now_ms))
