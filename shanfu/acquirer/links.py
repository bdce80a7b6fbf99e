"""The link to the network and the days that it has closed: what the acquirer remembers of network management.

A sign-on that nobody answered is asked again when its deadline passes. A closed day is a row that reconciliation starts from.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import bindparam

from shanfu.acquirer.tables import METADATA
from shanfu.store import Shelf, Statement, book, number, open_index, text

__all__ = ["BY_DAY", "BY_STATION", "DAYS", "LINKS", "UNANSWERED", "ClosedDay", "LinkRow", "LinkState"]

BY_STATION: Final = ("bucket", "station")
BY_DAY: Final = ("bucket", "business_date")


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


_LINKS: Final = book("links", METADATA, text("station", key=True), text("state"), text("name"), number("deadline_ms"))
open_index("links_unanswered", _LINKS.c.deadline_ms, where=_LINKS.c.state == LinkState.ASKED.value)
LINKS: Final = Shelf(_LINKS, LinkRow)
UNANSWERED: Final = Statement(
    LINKS.select().where(_LINKS.c.state == LinkState.ASKED.value, _LINKS.c.deadline_ms <= bindparam("now_ms")).limit(16),
    "now_ms",
)

_DAYS: Final = book("days", METADATA, text("business_date", key=True), number("closed_ms"))
DAYS: Final = Shelf(_DAYS, ClosedDay)
