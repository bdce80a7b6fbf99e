"""Store-and-forward: what was accepted by commit and must reach the network, however long that takes.

Reversals (0420), refunds that nobody answered and offline approvals (0220), script results (0620). An item is sent at once,
then after 30, 60, 120 … seconds, and at each sign-on, until it is answered; a repeat says so in its MTI (0421, 0221, 0621) and
keeps its name. Silence is no refusal: only answers that refuse count, and after eight of them the item goes to the dead
letters, where people look after it; an offline approval goes there as soon as an answer says that it never will be taken.

`kept` is what an item needs beyond its journal row, sealed: the expiry and chip data of an offline approval, script results.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import Index, bindparam

from shanfu.acquirer.tables import METADATA
from shanfu.store import Shelf, Statement, book_of, open_index

__all__ = [
    "BY_FORWARD", "BY_NOTE", "DUE", "FORWARDS", "MOST_REFUSALS", "QUEUED", "Forward", "ForwardKind", "ForwardState", "pause_ms",
]  # fmt: skip

BY_FORWARD: Final = ("bucket", "name")
BY_NOTE: Final = ("bucket", "terminal_name")
MOST_REFUSALS: Final = 8
FIRST_PAUSE_MS: Final = 30_000
LONGEST_PAUSE_MS: Final = 1_920_000  # six doublings: about half an hour, so a network that is back is found soon
ITEMS_PER_TURN: Final = 64
ITEMS_PER_SIGN_ON: Final = 1_000  # the rest follows at its own time


class ForwardKind(StrEnum):
    """What is carried on."""

    ADVICE = "advice"
    OFFLINE = "offline approval"
    REVERSAL = "reversal"
    SCRIPT = "script result"


class ForwardState(StrEnum):
    """Where an item stands."""

    DEAD = "DEAD"
    DONE = "DONE"
    QUEUED = "QUEUED"


@dataclass(slots=True)
class Forward:
    """One item: its own interbank name, and the journal row (by its interbank name) that it is about.

    A script result has no row of its own, so `terminal_name` remembers its terminal's name for it.
    """

    bucket: int
    seq: int
    name: str
    original: str
    kind: str
    reason: str  # DE39 of a reversal
    state: str
    attempts: int
    refusals: int
    response_code: str
    queued_ms: int
    deadline_ms: int
    terminal_name: str = ""
    kept: bytes = field(default=b"", repr=False)


def pause_ms(attempts: int) -> int:
    """Return how long to wait after so many sendings.

    >>> [pause_ms(n) // 1000 for n in (1, 2, 3, 7, 20)]
    [30, 60, 120, 1920, 1920]
    """
    return min(FIRST_PAUSE_MS << min(attempts - 1, 16), LONGEST_PAUSE_MS)


_TABLE: Final = book_of("forwards", METADATA, Forward, "seq")
Index("forwards_name", _TABLE.c.bucket, _TABLE.c.name, unique=True)
Index("forwards_terminal_name", _TABLE.c.bucket, _TABLE.c.terminal_name)
open_index("forwards_queued", _TABLE.c.deadline_ms, where=_TABLE.c.state == ForwardState.QUEUED.value)
FORWARDS: Final = Shelf(_TABLE, Forward)

_queued = FORWARDS.select().where(_TABLE.c.state == ForwardState.QUEUED.value)
DUE: Final = Statement(
    _queued.where(_TABLE.c.deadline_ms <= bindparam("now_ms")).order_by(_TABLE.c.deadline_ms).limit(ITEMS_PER_TURN), "now_ms"
)
QUEUED: Final = Statement(_queued.order_by(_TABLE.c.deadline_ms).limit(ITEMS_PER_SIGN_ON))
