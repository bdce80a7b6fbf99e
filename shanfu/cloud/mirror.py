"""How the cloud hears of its tokens: notices, and the question what it has missed.

Each requestor has its own row of numbers. The next number is taken and remembered; one seen before is only acknowledged; one
further on is taken too, but shows a gap, and the cloud asks `tsp.since`. Taking is harmless in any order and any number of
times: the newest version of a token stands.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from shanfu.cloud.asking import Hears, Serves
from shanfu.cloud.books import CloudBooks
from shanfu.cloud.config import CloudConfig
from shanfu.hosts import Desk, Visit
from shanfu.links import Turn
from shanfu.messages import Empty, Problem, requestor

__all__ = ["Mirror"]


class Asked(Struct, frozen=True):
    """What is noted beside the question: whose numbers."""

    trid: str
    device: str = ""
    token: str = ""


class Mirror:
    """Serves the token service's notices and keeps the mirror whole."""

    def __init__(self, config: CloudConfig) -> None:
        self._config = config
        self.served: Serves = {"notices.take": self.take}
        self.answered: Hears = {"tsp.since": self.caught_up}

    def take(self, visit: Visit[CloudBooks], notice: requestor.Notice) -> Struct:
        """Take a notice over and acknowledge it; ask for what is missing before it."""
        books, trid = visit.books, notice.view.trid
        if trid not in self._config.apps.values():
            return Empty()  # no app of ours: acknowledged, so that it does not come for ever
        self._apply(books, [notice])
        cursor = books.cursor(trid)
        if notice.number == cursor.number + 1:
            cursor.number = notice.number
        elif notice.number > cursor.number:
            self._ask(visit.desk, trid, books=books, turn=visit.turn)
        return Empty()

    def _apply(self, books: CloudBooks, notices: Iterable[requestor.Notice]) -> None:
        for notice in notices:
            view = notice.view
            newer = books.mirror(view)
            if newer or notice.number > books.cursor(view.trid).number:
                name = f"{view.trid}/{notice.number}"
                books.push(view, event=notice.event, reason=notice.reason, notice=name, ttl_ms=self._config.push_ms)

    def catch_up(self, desk: Desk[CloudBooks], books: CloudBooks, turn: Turn) -> None:
        """Ask for whatever was missed by any requestor: when the link to the service stands again."""
        for trid in sorted(set(self._config.apps.values())):
            self._ask(desk, trid, books=books, turn=turn)

    def _ask(self, desk: Desk[CloudBooks], trid: str, *, books: CloudBooks, turn: Turn) -> None:
        """Ask once, and again only when that answer is overdue."""
        cursor = books.cursor(trid)
        if books.now_ms < cursor.asked_ms + self._config.timeout_ms:
            return
        cursor.asked_ms = books.now_ms
        since = requestor.Since(since=cursor.number)
        question = (self._config.tsp, "tsp.since", since)
        desk.ask(books, turn, question, caller=f"requestor/{trid}", about=Asked(trid))

    def caught_up(self, visit: Visit[CloudBooks], answer: requestor.SinceAnswer | Problem, about: bytes) -> None:
        """Take over what was missed; ask on while there is more."""
        books, trid = visit.books, msgspec.json.decode(about, type=Asked).trid
        cursor = books.cursor(trid)
        cursor.asked_ms = 0
        if isinstance(answer, Problem):
            return  # the next notice, or the next link, asks again
        self._apply(books, [notice for notice in answer.notices if notice.view.trid == trid])
        grown = answer.number > cursor.number
        cursor.number = max(cursor.number, answer.number)
        if answer.more and grown:
            self._ask(visit.desk, trid, books=books, turn=visit.turn)
