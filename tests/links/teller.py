"""A small real host for the tests of links: it keeps orders, forwards some, and knows what is due.

Frames are two length bytes and text. `add X` records X once and answers `ok X`; `fwd X` records X as waiting and sends `add X`
to the station "far", whose `ok X` is passed to whoever asked; `poison` cannot be worked.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import MetaData, select

from shanfu.clock import SystemClock
from shanfu.errors import DecodeError, Fault
from shanfu.events import Event
from shanfu.links import ClientLink, Inbound, Kind, Outbound, ServerLink, Turn, configure, run_host
from shanfu.store import Schema, Shelf, Statement, Store, Transaction, book, number, text

METADATA = MetaData()
ORDERS = book("orders", METADATA, text("id", key=True), text("origin"), text("state"), number("deadline"))
SCHEMA = Schema(party="teller", metadata=METADATA, migrations=Path(__file__).parent / "migrations")
PATIENCE_MS = 5_000


@dataclass(slots=True)
class Order:
    bucket: int
    id: str
    origin: str
    state: str
    deadline: int


SHELF = Shelf(ORDERS, Order)
KEY = ("bucket", "id")
WAITING = Statement(SHELF.select().where(ORDERS.c.state == "WAITING"))
ALL = Statement(select(ORDERS.c.id).order_by(ORDERS.c.id))


class TwoBytes:
    """Two length bytes, at most 1,000 to follow; 0000 is idle."""

    def __init__(self) -> None:
        self.consumed = 0
        self._held = b""
        self._fault: DecodeError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        self._held += data
        frames: list[bytes] = []
        if self._fault:
            raise self._fault
        while len(self._held) >= 2:
            end = 2 + int.from_bytes(self._held[:2], "big")
            if end > 1002:
                self._fault = DecodeError(f"the length says {end - 2} bytes, a frame has at most 1000", fault=Fault.LENGTH)
                if frames:
                    return frames
                raise self._fault
            if end > len(self._held):
                break
            if end > 2:
                frames.append(self._held[:end])
            self._held, self.consumed = self._held[end:], self.consumed + end
        return frames


def framed(words: str) -> bytes:
    return len(words).to_bytes(2, "big") + words.encode()


def words(frame: bytes) -> str:
    return frame[2:].decode(errors="replace")


def matches(request: bytes, reply: bytes) -> bool:
    return words(request).split()[-1] == words(reply).split()[-1]


class Books:
    def __init__(self, tx: Transaction, now_ms: int) -> None:
        self.now_ms = now_ms
        self.orders = SHELF.open(tx)

    def save(self) -> None:
        self.orders.save()


class Teller:
    def __init__(self, name: str = "teller") -> None:
        self.name = name
        self.batches: list[int] = []
        self.news: list[tuple[str, Kind]] = []

    def books(self, tx: Transaction, *, now_ms: int) -> Books:
        return Books(tx, now_ms)

    def handle(self, batch: Sequence[Inbound], books: Books) -> Turn:
        self.batches.append(len(batch))
        turn = Turn()
        frames = [inbound for inbound in batch if inbound.kind is Kind.FRAME]
        self.news += [(inbound.station, inbound.kind) for inbound in batch if inbound.kind is not Kind.FRAME]
        books.orders.load(KEY, [(0, words(inbound.frame).split()[-1]) for inbound in frames])
        for inbound in frames:
            verb, name = words(inbound.frame).split()
            if verb == "poison":
                raise ValueError("this message spoils its batch")
            self.work(inbound, (verb, name), books, turn)
            turn.events.append(Event(source=self.name, title=f"{verb} {name}"))
        return turn

    def work(self, inbound: Inbound, order: tuple[str, str], books: Books, turn: Turn) -> None:
        verb, name = order
        row = books.orders.find(KEY, (0, name))
        if verb == "ok":
            if row and row.state == "WAITING":
                row.state = "DONE"
                turn.outbound.append(Outbound(row.origin, framed(f"ok {name}")))
        elif row is None:
            state = "WAITING" if verb == "fwd" else "DONE"
            books.orders.add(Order(0, name, inbound.station, state, books.now_ms + PATIENCE_MS))
            to, what = ("far", "add") if verb == "fwd" else (inbound.station, "ok")
            turn.outbound.append(Outbound(to, framed(f"{what} {name}")))
        elif row.state != "WAITING":
            turn.outbound.append(Outbound(inbound.station, framed(f"{'ok' if row.state == 'DONE' else 'late'} {name}")))

    def due(self, books: Books) -> Turn:
        turn = Turn()
        for row in books.orders.select(WAITING):
            if row.deadline <= books.now_ms:
                row.state = "LATE"
                turn.outbound.append(Outbound(row.origin, framed(f"late {row.id}")))
        return turn

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        return Turn([Outbound(inbound.station, framed(f"96 {words(inbound.frame).split()[-1]}"))])


def opened(path: Path, name: str = "teller") -> Store:
    return Store.open(path / f"{name}.db", schema=SCHEMA, name=name)


def orders(store: Store) -> list[str]:
    with store.begin() as tx:
        return [row[0] for row in tx.rows(ALL)]


def main() -> None:
    """Serve as a process: the folder, the port, and perhaps the port of "far"."""
    folder, port, *far = sys.argv[1:]
    links: list[ServerLink | ClientLink] = [ServerLink(host="127.0.0.1", port=int(port), framing=TwoBytes)]
    links += [ClientLink(station="far", host="127.0.0.1", port=int(number), framing=TwoBytes) for number in far]
    configure()
    with opened(Path(folder)) as store:
        run_host(Teller(), store, links, clock=SystemClock(), ready=lambda ports: print(*ports, flush=True))


if __name__ == "__main__":
    main()
