"""Small hosts with a desk, for tests of desks, households and doors.

`Counter` plays the token service: `tsp.find` counts its visits and answers at once, `tsp.code.send` asks the issuer in turn,
`tsp.suspend` tells the requestor a notice, `tsp.code.verify` is not remembered. `Bank` plays an issuer. `Cloud` plays the key
cloud: it asks `tsp.find` when a phone opens a session.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import MetaData

from shanfu.hosts import Desk, DeskBooks, DeskShelves, Visit
from shanfu.links import Inbound, Kind, Turn
from shanfu.messages import (
    Actor,
    Call,
    Colour,
    Empty,
    IDVMethod,
    Problem,
    ProblemCode,
    Reply,
    TokenState,
    TokenView,
    issuing,
    problem,
    requestor,
    wallet,
)  # fmt: skip
from shanfu.store import Schema, Shelf, Store, Transaction, book_of


@dataclass(slots=True)
class Visitors:
    bucket: int
    name: str
    count: int


class Room:
    """The tables of one of the hosts; their names keep them apart in a database that all share."""

    def __init__(self, party: str) -> None:
        metadata = MetaData()
        self.shelves = DeskShelves(metadata, f"{party}_")
        self.visitors = Shelf(book_of(f"{party}_visitors", metadata, Visitors, "name"), Visitors)
        self.schema = Schema(party=party, metadata=metadata, migrations=Path(__file__).parent / "counter_formats")


ROOMS = {party: Room(party) for party in ("tsp", "cloud", "issuer")}
LINES = [f"pos/loop-{number}" for number in range(1, 20)]  # a line of a LoopNet that speaks for the requestor
TRID, ISSUER, CLOUD, TSP = "requestor/90100000001", "issuer/99010000", "cloud", "tsp/90100000"


class Books:
    def __init__(self, tx: Transaction, now_ms: int, room: Room) -> None:
        self.tx, self.now_ms = tx, now_ms
        self.desk = DeskBooks(room.shelves, tx, now_ms=now_ms)
        self.visitors = room.visitors.open(tx)

    def save(self) -> None:
        self.desk.save()
        self.visitors.save()

    def visit(self, name: str) -> int:
        self.visitors.load(("bucket", "name"), [(0, name)])
        row = self.visitors.find(("bucket", "name"), (0, name)) or self.visitors.add(Visitors(0, name, 0))
        row.count += 1
        return row.count


class DeskHost:
    """What the three have in common: frames to the desk, the outbox in `due`."""

    def __init__(self, name: str, desk: Desk[Books], caller: str) -> None:
        self.name, self._desk, self._caller = name, desk, caller
        self.news: list[tuple[str, Kind]] = []

    def books(self, tx: Transaction, *, now_ms: int) -> Books:
        return Books(tx, now_ms, ROOMS[self.name])

    def handle(self, batch: Sequence[Inbound], books: Books) -> Turn:
        turn, arrivals = Turn(), list[tuple[Inbound, Call | Reply]]()
        for inbound in batch:
            if inbound.kind is not Kind.FRAME:
                self.news.append((inbound.station, inbound.kind))
                continue
            message = self._desk.read(inbound)
            if not isinstance(message, Problem):
                arrivals.append((inbound, message))
        self._desk.work(arrivals, books, turn)
        return turn

    def due(self, books: Books) -> Turn:
        turn = Turn()
        self._desk.due(books, turn, caller=self._caller)
        return turn

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        return Turn(self._desk.refuse(inbound, fault))


def counter() -> DeskHost:
    def find(visit: Visit[Books], body: requestor.FindTokens) -> requestor.TokenList:
        if "poison" in (body.card, body.token):
            raise RuntimeError("this call spoils its batch")
        count = visit.books.visit(visit.caller)
        return requestor.TokenList(tokens=(view(body.token, version=count),))

    def send(visit: Visit[Books], body: requestor.SendCode) -> None:
        ask = issuing.SendCode(token=body.token, card="c", method=body.method)
        visit.ask(ISSUER, "issuer.code.send", ask, caller=TSP, about=body)

    def sent(visit: Visit[Books], answer: wallet.CodeSent | Problem, about: bytes) -> wallet.CodeSent | Problem:
        return answer

    def suspend(visit: Visit[Books], body: requestor.ChangeToken) -> issuing.TokenChanges:
        for name in body.tokens:
            visit.desk.tell(visit.books, CLOUD, "notices.take", lambda number, name=name: notice(number, name))
        return issuing.TokenChanges()

    def verify(visit: Visit[Books], body: requestor.VerifyCode) -> Problem | requestor.TokenRequested:
        visit.books.visit(visit.caller)
        right = body.code == "123456"
        return requestor.TokenRequested(decision=Colour.GREEN) if right else problem(ProblemCode.CODE_WRONG)

    desk: Desk[Books] = Desk(
        "tsp", ROOMS["tsp"].shelves, timeout_ms=5_000, answered={"issuer.code.send": sent},
        speakers={CLOUD: [TRID], **{line: [TRID] for line in LINES}},
        served={"tsp.find": find, "tsp.code.send": send, "tsp.suspend": suspend, "tsp.code.verify": verify},
    )  # fmt: skip
    return DeskHost("tsp", desk, TSP)


def bank() -> DeskHost:
    def send(visit: Visit[Books], body: issuing.SendCode) -> wallet.CodeSent:
        return wallet.CodeSent(hint=f"138****{visit.books.visit(visit.caller):04}", expires_ms=1, tries_left=3)

    return DeskHost("issuer", Desk("issuer", ROOMS["issuer"].shelves, served={"issuer.code.send": send}, answered={}), ISSUER)


def cloud() -> DeskHost:
    def opened(visit: Visit[Books], body: wallet.OpenSession) -> None:
        visit.ask(TSP, "tsp.find", requestor.FindTokens(token=body.device), caller=TRID)

    def found(visit: Visit[Books], answer: requestor.TokenList | Problem, about: bytes) -> wallet.SessionOpened | Problem:
        if isinstance(answer, Problem):
            return answer
        return wallet.SessionOpened(session="s", ephemeral="", expires_ms=answer.tokens[0].version, signature="")

    def told(visit: Visit[Books], body: requestor.Notice) -> Empty:
        visit.books.visit(f"notice {body.number}")
        return Empty()

    served = {"sessions.open": opened, "notices.take": told}
    return DeskHost("cloud", Desk("cloud", ROOMS["cloud"].shelves, served=served, answered={"tsp.find": found}), CLOUD)


def view(token: str, version: int = 0) -> TokenView:
    return TokenView(token=token, state=TokenState.ACTIVE, version=version)


def notice(number: int, token: str) -> requestor.Notice:
    return requestor.Notice(
        number=number, event="SUSPEND", actor=Actor.ISSUER.value, reason="", at_ms=0, view=view(token, version=number)
    )


def opened(*parties: str) -> Store:
    first, *others = [ROOMS[party].schema for party in parties]
    return Store.open(":memory:", schema=first.beside(*others), name=first.party)


SEND_CODE = requestor.SendCode(token="t", method=IDVMethod.SMS)
