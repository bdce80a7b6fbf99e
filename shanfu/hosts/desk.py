"""The counter of a host for the JSON wire: who asks, what was answered before, whom we asked in turn, what must be told.

    desk = Desk("tsp", SHELVES, timeout_ms=10_000, served={"tsp.find": find, ...}, answered={"issuer.judge": judged, ...})
    desk.work(arrivals, books, turn)      # calls to their handlers, replies to those who wait for them
    desk.due(books, turn)                 # time-outs of what we asked, notices that nobody has acknowledged

A handler gets the `Visit` and the decoded body and returns the answer, a Problem, or None when the answer comes later: it has
asked somebody else (`visit.ask`), and `answered[op]` finishes the visit when that reply, or the time-out, is there. The place
of a visit lies in the books, so a host may die in between; a repeat with the same Idempotency-Key gets the stored reply, or
takes the place of the one who waited. Handlers change rows only; nothing leaves before the commit.

Notices (`Desk.tell`) are rows of an outbox: numbered for each receiver without gaps, sent until acknowledged, in order.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct
from sqlalchemy import Index, MetaData, bindparam

from shanfu.errors import DecodeError
from shanfu.links import Inbound, Outbound, Turn
from shanfu.messages import Call, Operation, Problem, ProblemCode, Reply, Role, decoded, encoded, operation, pack, problem
from shanfu.store import Sequencer, Shelf, Statement, Transaction, book_of, open_index

__all__ = ["Desk", "DeskBooks", "DeskShelves", "Origin", "Visit"]

BY_CALL: Final = ("bucket", "call")
BY_SEQ: Final = ("bucket", "seq")
BY_NUMBER: Final = ("bucket", "receiver", "number")
WAITING, DONE = "WAITING", "DONE"
MOST_DUE: Final = 64  # rows that one tick looks at; the next is a tenth of a second away
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 1_000, 60_000  # an unacknowledged notice is repeated with a doubling pause
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
        last = self.notices.select().where(notices.c.receiver == bindparam("receiver"))
        self.last = Statement(last.order_by(notices.c.number.desc()).limit(1), "receiver")
        since = self.notices.select().where(notices.c.receiver == bindparam("receiver"), notices.c.number > bindparam("since"))
        self.since = Statement(since.order_by(notices.c.number).limit(100), "receiver", "since")


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


class HasDesk(Protocol):
    """The books of a host that has a desk."""

    desk: DeskBooks


B = TypeVar("B", bound=HasDesk)
Answer = Struct | Problem | None


@dataclass(slots=True)
class Visit(Generic[B]):
    """One call at the counter, or one that was left there and now goes on."""

    desk: "Desk[B]"
    origin: Origin
    books: B
    turn: Turn

    @property
    def caller(self) -> str:
        """Who asks: `role/name`."""
        return self.origin.caller

    @property
    def name(self) -> str:
        """Who asks, without the role."""
        return self.origin.caller.partition("/")[2]

    def ask(self, station: str, op: str, body: Struct, *, caller: str, about: Struct | None = None, key: str = "") -> None:
        """Ask another host; its reply, or the time-out, finishes this visit."""
        self.desk.ask(self.books, self.turn, (station, op, body), caller=caller, about=about, key=key, origin=self.origin)


Handler = Callable[[Visit[B], Any], Answer]
OnReply = Callable[[Visit[B], Any, bytes], Answer]  # the visit, the answer or Problem, and what was noted in `about`
SealReply = Callable[[B, Origin, Reply], Reply]


class Desk(Generic[B]):
    """Works the calls and replies of a host."""

    def __init__(
        self,
        host: str,
        shelves: DeskShelves,
        *,
        served: Mapping[str, Handler[B]],
        answered: Mapping[str, OnReply[B]],
        speakers: Mapping[str, Iterable[str]] | None = None,
        timeout_ms: int = 10_000,
        seal: SealReply[B] | None = None,
    ) -> None:
        self.host, self._served, self._answered, self._timeout_ms = host, served, answered, timeout_ms
        self._speakers = {station: frozenset(callers) for station, callers in (speakers or {}).items()}
        self._seal = seal
        self._numbers = Sequencer(shelves.asked.table)
        strangers = [op for op in served if (row := operation(op)) is None or row.host != host]
        if strangers:
            raise ValueError(f"{host}: does not serve {', '.join(strangers)} (shanfu.messages.OPERATIONS)")

    # -- what arrives --------------------------------------------------------------------------------------------------

    def read(self, inbound: Inbound) -> Call | Reply | Problem:
        """Read a frame; what is neither a call nor a reply is a Problem that says what is wrong."""
        text = memoryview(inbound.frame)[4:]
        try:
            return msgspec.json.decode(text, type=Call)
        except msgspec.DecodeError as not_call:
            try:
                return msgspec.json.decode(text, type=Reply)
            except msgspec.DecodeError:
                return problem(ProblemCode.FORMAT, str(not_call))

    def caller_of(self, inbound: Inbound, call: Call) -> str:
        """Return who asks, as far as it may be believed: a shell vouches for what it has authenticated, a wire for itself."""
        station = inbound.station
        if station.startswith("http/") or call.caller == station or call.caller in self._speakers.get(station, ()):
            return call.caller
        return ""

    def work(self, arrivals: Sequence[tuple[Inbound, Call | Reply]], books: B, turn: Turn) -> None:
        """Work calls and replies in their order."""
        self._load(arrivals, books)
        for inbound, message in arrivals:
            if isinstance(message, Reply):
                self._reply(inbound, message, books, turn)
            else:
                caller = self.caller_of(inbound, message)
                origin = Origin(station=inbound.station, id=message.id, op=message.op, caller=caller, key=message.key)
                self.call(message, origin, books=books, turn=turn)

    def _load(self, arrivals: Sequence[tuple[Inbound, Call | Reply]], books: B) -> None:
        desk = books.desk
        replies = [message.id for _, message in arrivals if isinstance(message, Reply)]
        desk.asked.load(BY_SEQ, [(0, seq) for name in replies if (seq := self._asked_number(name))])
        numbers = [(0, *parts) for name in replies if (parts := _notice_of(name))]
        desk.notices.load(BY_NUMBER, numbers)

    def call(self, call: Call, origin: Origin, *, books: B, turn: Turn) -> None:
        """Work one call for an origin; a repeat of it gets the stored reply or takes over the place of who waits."""
        row = operation(call.op)
        known = self._before(call, origin, books)
        if isinstance(known, Reply):
            self._send(known, origin, books, turn)
            return
        if known:
            return
        refusal = self._refusal(row, origin)
        if refusal is not None or row is None:
            self.finish(Visit(self, origin, books, turn), refusal)
            return
        visit = Visit(self, origin, books, turn)
        try:
            body = decoded(call.body, row.asks, path=call.op)
        except DecodeError as fault:
            self.finish(visit, problem(ProblemCode.FORMAT, str(fault)))
            return
        answer = self._served[call.op](visit, body)
        if answer is not None:
            self.finish(visit, answer)

    def _refusal(self, row: Operation | None, origin: Origin) -> Problem | None:
        """Refuse what is not served here, and whoever may not ask it: nobody may what the table does not allow."""
        if row is None or row.name not in self._served:
            return problem(ProblemCode.UNKNOWN_OPERATION, origin.op)
        if row.role is not Role.ANYONE and origin.caller.partition("/")[0] != row.role.value:
            return problem(ProblemCode.FORBIDDEN, f"{row.name} is for {row.role.value}s")
        return None

    def _before(self, call: Call, origin: Origin, books: B) -> Reply | bool:
        """Return the stored reply of a repeat; True when its answer is still to come; False when it is new."""
        if not _remembered(origin):
            return False
        name, digest = f"{origin.caller}|{call.key}", hashlib.sha256(call.op.encode() + b"|" + call.body).hexdigest()
        desk = books.desk
        desk.answered.load(BY_CALL, [(0, name)])
        row = desk.answered.find(BY_CALL, (0, name))
        if row is None:
            desk.answered.add(AnsweredRow(0, name, digest, 0, b"", msgspec.json.encode(origin), books.desk.now_ms))
            return False
        if row.digest != digest:
            return Reply(id=call.id, status=409, body=encoded(problem(ProblemCode.CONFLICT, "this Idempotency-Key was used")))
        if row.status == 0:
            row.origin = msgspec.json.encode(origin)
            return True
        return Reply(id=call.id, status=row.status, body=Raw(row.body))

    # -- answers -------------------------------------------------------------------------------------------------------

    def finish(self, visit: Visit[B], answer: Answer) -> None:
        """Answer a visit; the reply is stored for repeats when the call had a key."""
        if answer is None:
            return
        origin, desk = visit.origin, visit.books.desk
        status = answer.status if isinstance(answer, Problem) else 200
        body = encoded(answer)
        if _remembered(origin):
            name = f"{origin.caller}|{origin.key}"
            desk.answered.load(BY_CALL, [(0, name)])
            row = desk.answered.find(BY_CALL, (0, name))
            if row is not None and row.status == 0:
                origin = msgspec.json.decode(row.origin, type=Origin)
                if isinstance(answer, Problem) and answer.retryable:
                    desk.answered.remove(row)  # nothing was done: the repeat is a new attempt
                else:
                    row.status, row.body = status, bytes(body)
        self._send(Reply(id=origin.id, status=status, body=body), origin, visit.books, visit.turn)

    def _send(self, reply: Reply, origin: Origin, books: B, turn: Turn) -> None:
        if self._seal is not None:
            reply = self._seal(books, origin, reply)
        turn.outbound.append(Outbound(origin.station, pack(reply)))

    # -- what we ask ---------------------------------------------------------------------------------------------------

    def ask(
        self, books: B, turn: Turn, question: tuple[str, str, Struct], *,
        caller: str, about: Struct | None = None, key: str = "", origin: Origin | None = None,
    ) -> None:  # fmt: skip
        """Ask (station, operation, body) as `caller`; the row waits for the reply."""
        station, op, body = question
        seq = self._numbers.next(books.desk.tx, now_ms=books.desk.now_ms)
        name = f"ask/{self.host}/{seq}"
        row = AskedRow(
            0, seq, op, station, msgspec.json.encode(about), msgspec.json.encode(origin), WAITING,
            books.desk.now_ms + self._timeout_ms,
        )  # fmt: skip
        books.desk.asked.add(row)
        call = Call(id=name, op=op, caller=caller, key=key or name, body=encoded(body))
        turn.outbound.append(Outbound(station, pack(call)))

    def _reply(self, inbound: Inbound, reply: Reply, books: B, turn: Turn) -> None:
        if parts := _notice_of(reply.id):
            notice = books.desk.notices.find(BY_NUMBER, (0, *parts))
            if notice is not None and reply.ok and inbound.station == notice.receiver:
                notice.state = DONE
            return
        seq = self._asked_number(reply.id)
        row = books.desk.asked.find(BY_SEQ, (0, seq)) if seq else None
        if row is None or row.state != WAITING or row.station != inbound.station:
            return  # it answers nothing that waits
        self._settle(row, _body_of(row.op, reply), books, turn)

    def _asked_number(self, name: str) -> int:
        """Read `ask/HOST/SEQ`; 0 when it is not ours."""
        kind, _, rest = name.partition("/")
        host, _, seq = rest.partition("/")
        return int(seq) if kind == "ask" and host == self.host and seq.isdecimal() and len(seq) < 19 else 0

    def _settle(self, row: AskedRow, answer: Struct | Problem, books: B, turn: Turn) -> None:
        row.state = DONE
        origin = msgspec.json.decode(row.origin, type=Origin | None)
        visit = Visit(self, origin or Origin(station="", id="", op=row.op), books, turn)
        result = self._answered[row.op](visit, answer, row.about)
        if origin is not None:
            self.finish(visit, result)
        books.desk.asked.remove(row)

    # -- what we tell --------------------------------------------------------------------------------------------------

    def tell(self, books: B, receiver: str, op: str, make: Callable[[int], Struct]) -> None:
        """Put a notice into the outbox; `make` gets its number. It leaves with the next `due`."""
        number = books.desk.next_number(receiver)
        body = bytes(encoded(make(number)))
        books.desk.notices.add(NoticeRow(0, receiver, number, op, body, WAITING, 0, books.desk.now_ms))

    def due(self, books: B, turn: Turn, *, caller: str) -> None:
        """Give up on calls that nobody answered, send notices that are due, forget old replies."""
        for row in books.desk.late():
            self._settle(row, problem(ProblemCode.UNAVAILABLE, f"{row.station} does not answer"), books, turn)
        for notice in books.desk.due():
            notice.tries += 1
            notice.due_ms = books.desk.now_ms + min(FIRST_PAUSE_MS << min(notice.tries, 8), LONGEST_PAUSE_MS)
            name = f"notice/{notice.receiver}/{notice.number}"
            call = Call(id=name, op=notice.op, caller=caller, key=name, body=Raw(notice.body))
            turn.outbound.append(Outbound(notice.receiver, pack(call)))
        books.desk.forget_old()


def _notice_of(name: str) -> tuple[str, int] | None:
    """Read `notice/RECEIVER/NUMBER`; the receiver's name has a slash of its own."""
    kind, _, rest = name.partition("/")
    receiver, _, number = rest.rpartition("/")
    return (receiver, int(number)) if kind == "notice" and receiver and number.isdecimal() else None


def _body_of(op: str, reply: Reply) -> Struct | Problem:
    """Decode a reply's body; one that is not what the operation gives counts as no answer."""
    row = operation(op)
    assert row is not None
    try:
        if not reply.ok:
            return decoded(reply.body, Problem, path=op)
        return decoded(reply.body, row.gives, path=op)
    except DecodeError as fault:
        return problem(ProblemCode.UNAVAILABLE, f"the reply makes no sense: {fault}")


def _remembered(origin: Origin) -> bool:
    """Whether a repeat gets the stored reply: a stranger has no past here, and neither have passwords and codes."""
    row = operation(origin.op)
    return bool(origin.key and origin.caller and row is not None and row.remembered)
