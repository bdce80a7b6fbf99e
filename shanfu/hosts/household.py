"""Several hosts as one: network, token service and key cloud in one process, over one store, one commit for all of them.

    Household("network", {"network": network, "tsp": tsp, "cloud": cloud}, wires=[
        (("network", "90100000"), ("tsp", "00010000")),          # what each calls the other, as `LoopNet.wire` has it
        (("cloud", "tsp/90100000"), ("tsp", "cloud")),
    ], owner=by_operation("network", desks=("tsp", "cloud"), stations={"issuer": "tsp"}))

To its process a household is a `Host` like any other. What arrives goes to the member whose station it is, and what a member
says to another one is that one's next batch, within the same turn, until nobody has anything to say inside. So a token payment
and all that is remembered of it is one transaction, as if the wires in between took no time; each member can still live alone,
behind real wires, and notices no difference. A message that spoils the work of any member is found and refused as usual.

The wires inside stand as long as the process does: members hear UP once in its life, in the first turn that is committed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import Struct

from shanfu.errors import ConfigError, DecodeError, ProtocolError
from shanfu.events import Event
from shanfu.links import Books, Host, Inbound, Kind, Turn
from shanfu.messages import decoded, is_json_frame, operation
from shanfu.store import Transaction

__all__ = ["Household", "HouseholdBooks", "by_operation"]

MOST_BATCHES: Final = 100  # inside one turn: an enrolment takes ten, more is two members playing ball

End = tuple[str, str]  # (member, what that member calls the station at the other end)
Owner = Callable[[Inbound], str]


class HouseholdBooks:
    """The books of all members, on one transaction, each opened when its member first works."""

    __slots__ = ("_members", "_open", "now_ms", "tx")

    def __init__(self, members: Mapping[str, Host[Any]], tx: Transaction, *, now_ms: int) -> None:
        self._members, self.tx, self.now_ms = members, tx, now_ms
        self._open: dict[str, Any] = {}

    def of(self, member: str) -> Any:
        """Return a member's books; what it changed before lies in the tables, as after a turn of its own.

        Books that say `meets_unsaved` find by each look-up what they hold in memory, so they are written once, at the end.
        """
        books: Books | None = self._open.get(member)
        if books is None:
            books = self._open[member] = self._members[member].books(self.tx, now_ms=self.now_ms)
        elif not getattr(books, "meets_unsaved", False):
            books.save()
        return books

    def save(self) -> None:
        """Write what every member has changed and added."""
        for books in self._open.values():
            books.save()


@dataclass(slots=True)
class _Work:
    """One turn of a household: what members have still to hear, and what leaves."""

    books: HouseholdBooks
    turn: Turn = field(default_factory=Turn)
    waiting: list[tuple[str, Inbound]] = field(default_factory=list)


class Household:
    """A host made of hosts."""

    def __init__(
        self, name: str, members: Mapping[str, Host[Any]], *, wires: Sequence[tuple[End, End]], owner: Owner
    ) -> None:  # fmt: skip
        self.name, self._members, self._owner = name, dict(members), owner
        self._wires: dict[End, End] = {}
        for one, other in wires:
            for end in (one, other):
                if end[0] not in self._members:
                    raise ConfigError(f"{name}: has no member {end[0]}, only {', '.join(sorted(self._members))}")
                if end in self._wires:
                    raise ConfigError(f"{name}: {end[0]} has two wires to {end[1]}")
            self._wires[one], self._wires[other] = other, one
        self._greeted = not self._wires
        self._greeting: Transaction | None = None

    # -- the questions a host is asked ---------------------------------------------------------------------------------

    def books(self, tx: Transaction, *, now_ms: int) -> HouseholdBooks:
        """Open the books for one turn."""
        return HouseholdBooks(self._members, tx, now_ms=now_ms)

    def handle(self, batch: Sequence[Inbound], books: HouseholdBooks) -> Turn:
        """Work a batch: each member its part, then what they tell one another."""
        work = self._begin(books)
        for inbound in batch:
            name = self._owner(inbound)
            if (name, inbound.station) in self._wires:  # members believe one another: nobody outside may bear such a name
                title = f"dropped a frame from outside under the name of {inbound.station}, who lives here"
                work.turn.events.append(Event(source=self.name, title=title, at_ms=books.now_ms))
            else:
                work.waiting.append((name, inbound))
        return self._finish(work)

    def due(self, books: HouseholdBooks) -> Turn:
        """Let each member do what time asks for, then what they tell one another."""
        work = self._begin(books)
        for name, member in self._members.items():
            self._take(name, member.due(books.of(name)), work)
        return self._finish(work)

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        """Have the member that a message came to refuse it."""
        name = self._owner(inbound)
        turn = self._members[name].refuse(inbound, fault, now_ms)
        turn.outbound = [out for out in turn.outbound if (name, out.station) not in self._wires]  # nobody inside asked
        return turn

    # -- inside --------------------------------------------------------------------------------------------------------

    def _begin(self, books: HouseholdBooks) -> _Work:
        """Begin a turn, with the news that the wires inside stand: in each turn until one with them was committed."""
        work = _Work(books)
        if self._greeting is not None and self._greeting.committed:
            self._greeted, self._greeting = True, None
        if not self._greeted:
            self._greeting = books.tx
            work.waiting += [(name, Inbound(at, kind=Kind.UP, arrived_ms=books.now_ms)) for name, at in self._wires]
        return work

    def _finish(self, work: _Work) -> Turn:
        """Give each member all that waits for it, as one batch, until nothing waits."""
        for _ in range(MOST_BATCHES):
            if not work.waiting:
                return work.turn
            name = work.waiting[0][0]
            batch = [inbound for member, inbound in work.waiting if member == name]
            work.waiting = [item for item in work.waiting if item[0] != name]
            self._take(name, self._members[name].handle(batch, work.books.of(name)), work)
        raise ProtocolError(f"does not come to rest in {MOST_BATCHES} batches", by=self.name)

    def _take(self, name: str, part: Turn, work: _Work) -> None:
        """Sort what a member says: to those inside, and to those outside."""
        work.turn.events += part.events
        for out in part.outbound:
            far = self._wires.get((name, out.station))
            if far is None:
                work.turn.outbound.append(out)
            else:
                work.waiting.append((far[0], Inbound(far[1], out.frame, arrived_ms=work.books.now_ms, said=out.said)))


class _Head(Struct):
    """As much of a JSON frame as tells whose it is."""

    id: str = ""
    op: str = ""


def by_operation(default: str, *, desks: Sequence[str], stations: Mapping[str, str]) -> Owner:
    """Return the rule by which members share what arrives.

    A JSON call is for the host that serves its operation, a reply for the one that asked; what none of the `desks` serves is
    for the first of them, which says so. Other messages and news go by the station: `stations` has what may stand before its
    slash; the rest is for `default`.
    """

    def owner(inbound: Inbound) -> str:
        by_station = stations.get(inbound.station.partition("/")[0])
        if inbound.kind is not Kind.FRAME or not is_json_frame(inbound.frame):
            return by_station or default
        try:
            head = decoded(memoryview(inbound.frame)[4:], _Head, path="frame")
        except DecodeError:
            return by_station or desks[0]
        row, (kind, _, rest) = operation(head.op), head.id.partition("/")
        named = row.host if row is not None else rest.partition("/")[0] if kind == "ask" else ""
        return named if named in desks else by_station or desks[0]

    return owner
