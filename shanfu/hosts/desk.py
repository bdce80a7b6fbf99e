"""The counter of a host for the JSON wire: who asks, what was answered before, whom we asked in turn, what must be told.

    desk = Desk("tsp", SHELVES, timeout_ms=10_000, served={"tsp.find": find, ...}, answered={"issuer.judge": judged, ...})
    desk.work(arrivals, books, turn)      # calls to their handlers, replies to those who wait for them
    desk.due(books, turn)                 # time-outs of what we asked, notices that nobody has acknowledged

A handler gets the `Visit` and the decoded body and returns the answer, a Problem, or None when the answer comes later: it has
asked somebody else (`visit.ask`), and `answered[op]` finishes the visit when that reply, or the time-out, is there. The place
of a visit lies in the books, so a host may die in between; a repeat with the same Idempotency-Key gets the stored reply, or
takes the place of the one who waited. Handlers change rows only; nothing leaves before the commit.

Notices (`Desk.tell`) are rows of an outbox: numbered for each receiver without gaps, and each sent until acknowledged. One that
is lost may be overtaken: a receiver goes by the numbers, and asks for what he misses.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct, structs

from shanfu.errors import DecodeError, LinkTimeout
from shanfu.hosts.desk_books import (
    BY_CALL,
    BY_NUMBER,
    BY_SEQ,
    DONE,
    WAITING,
    AnsweredRow,
    AskedRow,
    DeskBooks,
    DeskShelves,
    Origin,
)
from shanfu.links import Inbound, Outbound, Turn
from shanfu.messages import (
    Call,
    Operation,
    Problem,
    ProblemCode,
    Reply,
    Role,
    decoded,
    encoded,
    operation,
    pack,
    problem,
    unpack,
)
from shanfu.store import Sequencer

__all__ = ["Desk", "Visit"]

FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 1_000, 60_000  # an unacknowledged notice is repeated with a doubling pause
LONGEST_NAME: Final = 128  # of ids and keys that a caller chooses: they become rows of ours


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
SealReply = Callable[[B, Origin, Reply], Reply | None]  # None: the host keeps it, and sends it at the end of its turn
Prepare = Callable[[B, Sequence[bytes]], None]  # loads what the handlers of these replies will need, by their `about`


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
        prepare: Prepare[B] | None = None,
    ) -> None:
        self.host, self._served, self._answered, self._timeout_ms = host, served, answered, timeout_ms
        self._speakers = {station: frozenset(callers) for station, callers in (speakers or {}).items()}
        self._stations = {caller: station for station, callers in self._speakers.items() for caller in callers}
        self._seal, self._prepare = seal, prepare
        self._numbers = Sequencer(shelves.asked.table)
        strangers = [op for op in served if (row := operation(op)) is None or row.host != host]
        if strangers:
            raise ValueError(f"{host}: does not serve {', '.join(strangers)} (shanfu.messages.OPERATIONS)")

    # -- what arrives --------------------------------------------------------------------------------------------------

    def read(self, inbound: Inbound) -> Call | Reply | Problem:
        """Read a frame; what is neither a call nor a reply is a Problem that says what is wrong."""
        try:
            return unpack(inbound.frame, Call)
        except DecodeError as not_call:
            try:
                return unpack(inbound.frame, Reply)
            except DecodeError:
                return problem(ProblemCode.FORMAT, str(not_call))

    def refuse(self, inbound: Inbound, fault: Exception) -> list[Outbound]:
        """Answer a call that cannot be worked, storing nothing; replies and strange frames are let fall."""
        message = self.read(inbound)
        if not isinstance(message, Call):
            return []
        if isinstance(fault, DecodeError):
            refusal = problem(ProblemCode.FORMAT, str(fault))
        else:
            refusal = problem(ProblemCode.BUSY if isinstance(fault, LinkTimeout) else ProblemCode.MALFUNCTION)
        return [Outbound(inbound.station, pack(Reply(id=message.id, status=refusal.status, body=encoded(refusal))))]

    def caller_of(self, inbound: Inbound, call: Call) -> str:
        """Return who asks, as far as it may be believed: a shell vouches for what it has authenticated, a wire for itself."""
        station = inbound.station
        if station.startswith("http/") or call.caller == station or call.caller in self._speakers.get(station, ()):
            return call.caller
        return ""

    def work(self, arrivals: Sequence[tuple[Inbound, Call | Reply]], books: B, turn: Turn) -> None:
        """Work calls and replies in their order."""
        calls = [(inbound, message) for inbound, message in arrivals if isinstance(message, Call)]
        origins = {id(message): self._origin(inbound, message) for inbound, message in calls}
        self.load(origins.values(), [message.id for _, message in arrivals if isinstance(message, Reply)], books=books)
        for inbound, message in arrivals:
            if isinstance(message, Reply):
                self._reply(inbound, message, books, turn)
            else:
                self.call(message, origins[id(message)], books=books, turn=turn)

    def _origin(self, inbound: Inbound, call: Call) -> Origin:
        caller = self.caller_of(inbound, call)
        return Origin(station=inbound.station, id=call.id, op=call.op, caller=caller, key=call.key)

    def load(self, origins: Iterable[Origin], replies: Iterable[str] = (), *, books: B) -> None:
        """Fetch at once what calls of these origins and replies of these ids will look for."""
        desk, names = books.desk, list(replies)
        desk.answered.load(BY_CALL, [(0, _call_name(origin)) for origin in origins if _remembered(origin)])
        waiting = desk.asked.load(BY_SEQ, [(0, seq) for name in names if (seq := self._asked_number(name))])
        desk.notices.load(BY_NUMBER, [(0, *parts) for name in names if (parts := _notice_of(name))])
        if self._prepare is not None and waiting:
            self._prepare(books, [row.about for row in waiting])

    def call(self, call: Call, origin: Origin, *, books: B, turn: Turn) -> None:
        """Work one call for an origin; a repeat of it gets the stored reply or takes over the place of who waits."""
        row = operation(call.op)
        refusal = self._refusal(row, origin)
        if refusal is not None or row is None:  # not stored: who may not ask leaves nothing here
            self._send(_reply_of(origin, refusal), origin, books, turn)
            return
        known = self._before(call, origin, books)
        if isinstance(known, Reply):
            self._send(known, origin, books, turn)
        if known:
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
        if not _nameable(origin):
            return problem(ProblemCode.FORMAT, f"id and key are printable and have at most {LONGEST_NAME} characters")
        return None

    def _before(self, call: Call, origin: Origin, books: B) -> Reply | bool:
        """Return the stored reply of a repeat; True when its answer is still to come; False when it is new."""
        if not _remembered(origin):
            return False
        name, digest = _call_name(origin), hashlib.sha256(call.op.encode() + b"|" + call.body).hexdigest()
        desk = books.desk
        desk.answered.load(BY_CALL, [(0, name)])
        row = desk.answered.find(BY_CALL, (0, name))
        if row is None:
            desk.answered.add(AnsweredRow(0, name, digest, 0, b"", msgspec.json.encode(origin), books.desk.now_ms))
            return False
        if row.digest != digest:
            return _reply_of(origin, problem(ProblemCode.CONFLICT, "this Idempotency-Key was used with other contents"))
        if row.status == 0:
            row.origin = msgspec.json.encode(origin)
            return True
        return Reply(id=origin.id, status=row.status, body=Raw(row.body))

    # -- answers -------------------------------------------------------------------------------------------------------

    def finish(self, visit: Visit[B], answer: Answer) -> None:
        """Answer a visit; the reply is stored for repeats when the call had a key."""
        if answer is None:
            return
        origin, desk = visit.origin, visit.books.desk
        reply = _reply_of(origin, answer)
        if _remembered(origin):
            name = _call_name(origin)
            desk.answered.load(BY_CALL, [(0, name)])
            row = desk.answered.find(BY_CALL, (0, name))
            if row is not None and row.status == 0:
                origin = msgspec.json.decode(row.origin, type=Origin)
                if isinstance(answer, Problem) and answer.retryable:
                    desk.answered.remove(row)  # nothing was done: the repeat is a new attempt
                else:
                    row.status, row.body = reply.status, bytes(reply.body)
        self._send(structs.replace(reply, id=origin.id), origin, visit.books, visit.turn)

    def _send(self, reply: Reply, origin: Origin, books: B, turn: Turn) -> None:
        ready = reply if self._seal is None else self._seal(books, origin, reply)
        if ready is not None:
            turn.outbound.append(Outbound(origin.station, pack(ready)))

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
            if notice is not None and reply.ok and inbound.station == self.station_of(notice.receiver):
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

    def station_of(self, receiver: str) -> str:
        """Return where somebody is reached: at the station that speaks for him, else under his own name."""
        return self._stations.get(receiver, receiver)

    # -- what we tell --------------------------------------------------------------------------------------------------

    def tell(self, books: B, receiver: str, op: str, make: Callable[[int], Struct]) -> None:
        """Put a notice into the outbox; `make` gets its number. It leaves with the next `due`."""
        books.desk.tell(receiver, op, make)

    def due(self, books: B, turn: Turn, *, caller: str) -> None:
        """Give up on calls that nobody answered, send notices that are due, forget old replies."""
        for row in books.desk.late():
            self._settle(row, problem(ProblemCode.UNAVAILABLE, f"{row.station} does not answer"), books, turn)
        for notice in books.desk.due():
            notice.tries += 1
            notice.due_ms = books.desk.now_ms + min(FIRST_PAUSE_MS << min(notice.tries, 8), LONGEST_PAUSE_MS)
            name = f"notice/{notice.receiver}/{notice.number}"
            call = Call(id=name, op=notice.op, caller=caller, key=name, body=Raw(notice.body))
            turn.outbound.append(Outbound(self.station_of(notice.receiver), pack(call)))
        books.desk.forget_old()


def _notice_of(name: str) -> tuple[str, int] | None:
    """Read `notice/RECEIVER/NUMBER`; the receiver's name has a slash of its own."""
    kind, _, rest = name.partition("/")
    receiver, _, number = rest.rpartition("/")
    ours = kind == "notice" and receiver and number.isdecimal() and len(number) < 19
    return (receiver, int(number)) if ours else None


def _call_name(origin: Origin) -> str:
    """Return under which name the answer to a keyed call is kept."""
    return f"{origin.caller}|{origin.key}"


def _reply_of(origin: Origin, answer: Struct | None) -> Reply:
    """Return an answer as the reply that its caller waits for."""
    status = answer.status if isinstance(answer, Problem) else 200
    return Reply(id=origin.id, status=status, body=encoded(answer))


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
    return bool(origin.key and origin.caller and row is not None and row.remembered and _nameable(origin))


def _nameable(origin: Origin) -> bool:
    """Whether what a caller chose as id and key may become rows of ours; not every database takes every character."""
    return max(len(origin.key), len(origin.id)) <= LONGEST_NAME and (origin.key + origin.id).isprintable()
