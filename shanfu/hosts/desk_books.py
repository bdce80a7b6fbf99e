"""What a desk remembers: answers that may be asked for again, questions of ours that wait, notices that must arrive.

Three tables, in the collection of the host whose desk it is; `desk.py` says what happens to their rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec import Struct
from sqlalchemy import Index, MetaData, bindparam

from shanfu.messages import encoded
from shanfu.store import Shelf, Statement, Transaction, book_of, open_index

__all__ = [
    "BY_CALL",
    "BY_NUMBER",
    "BY_SEQ",
    "DONE",
    "WAITING",
    "AnsweredRow",
    "AskedRow",
    "DeskBooks",
    "DeskShelves",
    "NoticeRow",
    "Origin",
]

BY_CALL: Final = ("bucket", "call")
BY_SEQ: Final = ("bucket", "seq")
FORGOTTEN_EVERY: Final = 64  # notices to a receiver after which its old ones are looked through
KEPT_NOTICES: Final = 10_000  # of each receiver: what he acknowledged he asks for again only after a loss of his own
BY_NUMBER: Final = ("bucket", "receiver", "number")
WAITING, DONE = "WAITING", "DONE"
MOST_DUE: Final = 64  # rows that one tick looks at; the next is a tenth of a second away
KEPT_MS: Final = 24 * 3_600_000  # replies are kept a day for repeats: nobody repeats a call of yesterday


class Origin(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the answer to a call goes: the way back, what was asked, and how a phone's answer is sealed."""

    station: str
    id: str
    op: str
    caller: str = ""
    key: str = ""
    session: str = ""
    counter: int = 0


@dataclass(slots=True)
class AnsweredRow:
    """A call that had an Idempotency-Key: `call` is caller and key; `status` 0 means that its answer is still to come."""

    bucket: int
    call: str
    digest: str
    status: int
    body: bytes
    origin: bytes
    at_ms: int


@dataclass(slots=True)
class AskedRow:
    """A call of ours that waits for its reply; `about` is what the handler of the reply needs, `origin` whom it is for."""

    bucket: int
    seq: int
    op: str
    station: str
    about: bytes
    origin: bytes
    state: str
    deadline_ms: int


@dataclass(slots=True)
class NoticeRow:
    """A notice on its way to `receiver`, sent until acknowledged."""

    bucket: int
    receiver: str
    number: int
    op: str
    body: bytes
    state: str
    tries: int
    due_ms: int


class DeskShelves:
    """The tables of a desk, in a host's own collection; `prefix` keeps hosts apart that share one database."""

    def __init__(self, metadata: MetaData, prefix: str = "") -> None:
        answered = book_of(f"{prefix}answered", metadata, AnsweredRow, "call")
        Index(f"{prefix}answered_age", answered.c.at_ms)
        asked = book_of(f"{prefix}asked", metadata, AskedRow, "seq")
        open_index(f"{prefix}asked_waiting", asked.c.deadline_ms, where=asked.c.state == WAITING)
        notices = book_of(f"{prefix}notices", metadata, NoticeRow, "receiver", "number")
        open_index(f"{prefix}notices_open", notices.c.due_ms, where=notices.c.state == WAITING)
        self.answered, self.asked, self.notices = (
            Shelf(answered, AnsweredRow), Shelf(asked, AskedRow), Shelf(notices, NoticeRow),
        )  # fmt: skip
        late = self.asked.select().where(asked.c.state == WAITING, asked.c.deadline_ms <= bindparam("now_ms"))
        self.late = Statement(late.order_by(asked.c.deadline_ms).limit(MOST_DUE), "now_ms")
        due = self.notices.select().where(notices.c.state == WAITING, notices.c.due_ms <= bindparam("now_ms"))
        self.due = Statement(due.order_by(notices.c.due_ms, notices.c.number).limit(MOST_DUE), "now_ms")
        old = self.answered.select().where(answered.c.at_ms <= bindparam("before_ms"))
        self.old = Statement(old.order_by(answered.c.at_ms).limit(MOST_DUE), "before_ms")
        mine = self.notices.select().where(notices.c.bucket == 0, notices.c.receiver == bindparam("receiver"))
        self.last = Statement(mine.order_by(notices.c.number.desc()).limit(1), "receiver")
        since = mine.where(notices.c.number > bindparam("since"))
        self.since = Statement(since.order_by(notices.c.number).limit(100), "receiver", "since")
        heard = mine.where(notices.c.number <= bindparam("until"), notices.c.state == DONE)
        self.heard = Statement(heard.order_by(notices.c.number).limit(2 * FORGOTTEN_EVERY), "receiver", "until")


class DeskBooks:
    """What a desk remembers, as one turn sees it; a part of its host's books."""

    __slots__ = ("_last", "_shelves", "answered", "asked", "notices", "now_ms", "tx")

    def __init__(self, shelves: DeskShelves, tx: Transaction, *, now_ms: int) -> None:
        self._shelves, self.tx, self.now_ms = shelves, tx, now_ms
        self.answered, self.asked, self.notices = (
            shelves.answered.open(tx), shelves.asked.open(tx), shelves.notices.open(tx),
        )  # fmt: skip
        self._last: dict[str, int] = {}

    def save(self) -> None:
        """Write what was changed and added."""
        self.answered.save()
        self.asked.save()
        self.notices.save()

    def next_number(self, receiver: str) -> int:
        """Return the number of the next notice to a receiver: one more than its last, without gaps."""
        if receiver not in self._last:
            rows = self.notices.select(self._shelves.last, (receiver,))
            self._last[receiver] = rows[0].number if rows else 0
        self._last[receiver] += 1
        return self._last[receiver]

    def tell(self, receiver: str, op: str, make: Callable[[int], Struct]) -> None:
        """Put a notice into the outbox; `make` gets its number. It leaves with the desk's next `due`."""
        number = self.next_number(receiver)
        if number % FORGOTTEN_EVERY == 0:
            for old in self.notices.select(self._shelves.heard, (receiver, number - KEPT_NOTICES)):
                self.notices.remove(old)
        self.notices.add(NoticeRow(0, receiver, number, op, bytes(encoded(make(number))), WAITING, 0, self.now_ms))

    def since(self, receiver: str, number: int) -> list[NoticeRow]:
        """Return up to a hundred notices of a receiver after this number, acknowledged or not."""
        return self.notices.select(self._shelves.since, (receiver, number))

    def late(self) -> list[AskedRow]:
        """Return calls of ours whose time is over."""
        return self.asked.select(self._shelves.late, (self.now_ms,))

    def due(self) -> list[NoticeRow]:
        """Return notices that are to be sent, or sent again, now."""
        return self.notices.select(self._shelves.due, (self.now_ms,))

    def forget_old(self) -> None:
        """Drop replies that nobody will ask for again."""
        for row in self.answered.select(self._shelves.old, (self.now_ms - KEPT_MS,)):
            self.answered.remove(row)
