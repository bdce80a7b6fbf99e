"""The third shape of code: a party that serves many.

A host never waits. What arrives is handed to it in batches inside one store transaction; it loads what the batch needs,
decides, records, and returns what is to be sent, which leaves only after the commit returned. A forwarded request is a row;
its answer is the next inbound message. Hence a host can crash anywhere, and there is no special start-up code.

`handle` and `due` may be run again on the same input (a batch is halved to find a message that spoils the rest), so they have
no effect but the rows of `books` and what they return.

What each message makes anew, here and in the codecs, is a msgspec struct: a tenth of the time of a frozen dataclass.

A *station* is a name, not a socket: the institution at the other end of an interbank link, or one accepted terminal
connection. Sending to a station that is gone is no error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct

from shanfu.events import Event

if TYPE_CHECKING:  # a terminal's process needs links, but no database
    from shanfu.store import Transaction

__all__ = ["Books", "Host", "Inbound", "Kind", "Outbound", "Turn"]


class Kind(Enum):
    """What reached the host from a station."""

    FRAME = "frame"
    UP = "up"  # the link to this station now stands: sign on, send what was kept
    DOWN = "down"


class Inbound(Struct, frozen=True):
    """One frame as the link's framing gives it, length included; or news of the link.

    `said` is there instead of bytes where the sender lives in the same process: what its frame would decode to.
    """

    station: str
    frame: bytes = b""
    kind: Kind = Kind.FRAME
    arrived_ms: int = 0
    said: object = None

    def __repr__(self) -> str:
        return f"Inbound({self.kind.value} from {self.station}, {len(self.frame)} bytes)"


class Outbound(Struct, frozen=True):
    """One frame to send, framing included; for a receiver in the same process what it says, `said`, instead of bytes."""

    station: str
    frame: bytes = b""
    said: object = None

    def __repr__(self) -> str:
        return f"Outbound(to {self.station}, {len(self.frame)} bytes)"


@dataclass(slots=True)
class Turn:
    """What a turn of work gives: frames that leave after the commit, and events that are handed over then."""

    outbound: list[Outbound] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class Books(Protocol):
    """The rows a host works on during one turn."""

    def save(self) -> None:
        """Write every changed and added row through the transaction."""
        ...


B = TypeVar("B", bound=Books)


class Host(Protocol[B]):
    """Acquirer, network, issuer: answers batches and keeps its own deadlines."""

    name: str

    def books(self, tx: "Transaction", *, now_ms: int) -> B:
        """Open the books for one turn."""
        ...

    def handle(self, batch: Sequence[Inbound], books: B) -> Turn:
        """Work a batch in the order of arrival."""
        ...

    def due(self, books: B) -> Turn:
        """Do what time asks for: time-outs, retries, store-and-forward, cut-off; reads a bounded number of rows."""
        ...

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        """Answer one message that cannot be worked (96, or 30 when it does not parse), storing nothing."""
        ...
