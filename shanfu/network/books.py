"""The network's books as one turn sees them: loaded by key, changed in memory, saved in bulk.

`load` fetches what a batch of messages needs, one query per table; `save` writes what was changed or added. Whoever works on
the rows never speaks to the database.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from shanfu.hosts import BY_NAME, LOOKUP, SEAL, VAULT, mak_label, mmk_label, pik_label
from shanfu.hsm import KeyBlock, Keyring, KeyRow, keys_table
from shanfu.iso8583 import Message
from shanfu.network.accounts import Account
from shanfu.network.config import NetworkConfig
from shanfu.network.forward import BY_FORWARD_NAME, DUE_FORWARDS, FORWARDS, HURRY, ForwardRow
from shanfu.network.journal import FORGETTABLE, JOURNAL, OVERDUE, JournalRow
from shanfu.network.members import ALL_MEMBERS, BY_STATION, DUE_RESETS, MEMBERS, READY, RESETS, MemberRow, ResetRow
from shanfu.network.positions import POSITIONS
from shanfu.network.requests import Arrival, Kind
from shanfu.network.routes import ALL_ROUTES, ROUTES, RouteTable
from shanfu.network.state import STATE, the_state
from shanfu.network.tables import METADATA
from shanfu.store import Schema, Sequencer, Shelf, Transaction

__all__ = ["KEYS", "SCHEMA", "NetworkBooks", "Process"]

KEYS: Final = Shelf(keys_table(METADATA), KeyRow, kept=True)
NOBODY: Final = frozenset({""})
SCHEMA: Final = Schema(party="network", metadata=METADATA, migrations=Path(__file__).with_name("migrations"))


class Process:
    """What one process of the network knows besides its books: its life's name, last numbers, and the routes it has read.

    All of it can be lost; the books say what is true.
    """

    def __init__(self, life: str) -> None:
        self.life = life
        self.journal, self.forwards, self.positions = (Sequencer(shelf.table) for shelf in (JOURNAL, FORWARDS, POSITIONS))
        self.routes: RouteTable | None = None


class NetworkBooks:
    """The rows of one turn.

    Whatever a message is about is loaded by its key, which never changes; statements over states are asked by `due` alone,
    before anything has changed.
    """

    meets_unsaved: Final = True

    def __init__(self, tx: Transaction, *, now_ms: int, config: NetworkConfig, process: Process) -> None:
        self.tx, self.now_ms, self.life = tx, now_ms, process.life
        self._process = process
        self.keys = Keyring(KEYS, tx, now_ms=now_ms)
        self.journal = JOURNAL.open(tx)
        self.forwards = FORWARDS.open(tx)
        self.members = MEMBERS.open(tx)
        self.resets = RESETS.open(tx)
        self.positions = POSITIONS.open(tx)
        self._states = STATE.open(tx)
        self.state = the_state(self._states, now_ms, config.cut_off_minute)
        self._routes: RouteTable | None = None
        self._candidates: dict[str, list[KeyBlock]] = {}
        self._left: list[Callable[[], None]] = []
        self._known = set(NOBODY)
        self.accounts: dict[str, Account] = {}  # what tokens stand for, by the name of the transaction, as learnt in this turn
        self.requests: dict[str, Message] = {}  # what the token service was asked about, by name, as far as it was in this turn

    def save(self) -> None:
        """Do what was left for now, then write every changed and added row through the transaction."""
        while self._left:
            self._left.pop(0)()
        self.keys.save()
        for book in (self.journal, self.forwards, self.members, self.resets, self.positions, self._states):
            book.save()

    def at_save(self, duty: Callable[[], None]) -> None:
        """Leave something for the turn's end, in the order of asking: sealing what may not be kept at all by then."""
        self._left.append(duty)

    # -- numbers and routes --------------------------------------------------------------------------------------------

    def next_journal(self) -> int:
        """Return the number of the next journal row."""
        return self._process.journal.next(self.tx, now_ms=self.now_ms)

    def next_forward(self) -> int:
        """Return the number of the next store-and-forward item."""
        return self._process.forwards.next(self.tx, now_ms=self.now_ms)

    def next_position(self) -> int:
        """Return the number of the next position row."""
        return self._process.positions.next(self.tx, now_ms=self.now_ms)

    @property
    def routes(self) -> RouteTable:
        """All routes, read again only when somebody changed them."""
        if self._routes is None:
            known = self._process.routes
            if known is None or known.version != self.state.routes_version:
                known = self._process.routes = RouteTable(ROUTES.open(self.tx).select(ALL_ROUTES), self.state.routes_version)
            self._routes = known
        return self._routes

    # -- members and keys ----------------------------------------------------------------------------------------------

    def load_stations(self, stations: Iterable[str]) -> None:
        """Fetch the members behind these stations, their resets, and their keys."""
        wanted = sorted(set(stations) - self._known)
        if not wanted and self._known != NOBODY:
            return  # a turn asks several times, mostly about the same few
        self._known |= set(wanted)
        keys = [(0, station) for station in wanted]
        self.members.load(BY_STATION, keys)
        self.resets.load(BY_STATION, keys)
        labels = [label(station) for station in wanted for label in (mak_label, mmk_label, pik_label)]
        self.keys.load([LOOKUP, SEAL, VAULT, *labels])

    def member(self, station: str) -> MemberRow | None:
        """Return the member behind a station; it was loaded."""
        return self.members.find(BY_STATION, (0, station))

    def reset(self, station: str) -> ResetRow | None:
        """Return the key reset under way with a station; it was loaded."""
        return self.resets.find(BY_STATION, (0, station))

    def all_members(self) -> list[MemberRow]:
        """Return every member."""
        return self.members.select(ALL_MEMBERS)

    def ready_members(self) -> list[MemberRow]:
        """Return the members that can be sent to."""
        return self.members.select(READY, (self.life,))

    def due_resets(self) -> list[ResetRow]:
        """Return key resets that nobody has answered in time."""
        return self.resets.select(DUE_RESETS, (self.now_ms,))

    def candidates(self, label: str) -> list[KeyBlock]:
        """Return the keys that a message may be under, newest first; none for a link without keys."""
        found = self._candidates.get(label)
        if found is None:
            found = self._candidates[label] = self.keys.candidates(label)
        return found

    def install(self, label: str, block: KeyBlock) -> None:
        """Put a key in force from now on."""
        self.keys.install(label, block)
        self._candidates.pop(label, None)

    # -- transactions --------------------------------------------------------------------------------------------------

    def load(self, arrivals: Sequence[Arrival]) -> None:
        """Fetch journal rows and items that these messages are about, under their own names and their originals'.

        An issuer's answer ends a row and never an item.
        """
        names = [(arrival.bucket, name) for arrival in arrivals for name in (arrival.name, arrival.original) if name]
        carried = [(arrival.bucket, arrival.name) for arrival in arrivals if _may_be_carried(arrival)]
        items = self.forwards.load(BY_FORWARD_NAME, carried) if carried else []
        self.journal.load(BY_NAME, names + [(item.bucket, item.original) for item in items if item.original])

    def find_stray(self, arrival: Arrival, buckets: int) -> None:
        """Look in every bucket for what an answer is about that does not say whose it is, and move it there."""
        lies = (arrival.bucket, arrival.name)
        if self.row(*lies) is not None or (_may_be_carried(arrival) and self.item(*lies) is not None):
            return
        everywhere = [(bucket, arrival.name) for bucket in range(buckets)]
        rows, items = self.journal.load(BY_NAME, everywhere), self.forwards.load(BY_FORWARD_NAME, everywhere)
        self.journal.load(BY_NAME, [(item.bucket, item.original) for item in items if item.original])
        found = [row.bucket for row in rows] + [item.bucket for item in items]
        arrival.bucket = found[0] if found else arrival.bucket

    def row(self, bucket: int, name: str) -> JournalRow | None:
        """Return a journal row by its name; it was loaded."""
        return self.journal.find(BY_NAME, (bucket, name)) if name else None

    def item(self, bucket: int, name: str, target: str = "") -> ForwardRow | None:
        """Return a store-and-forward item by its name, the one for `target` where that is given; it was loaded."""
        items = self.forwards.all(BY_FORWARD_NAME, (bucket, name)) if name else []
        return next((item for item in items if target in ("", item.target)), None)

    def load_item(self, bucket: int, name: str) -> ForwardRow | None:
        """Fetch one item by its name."""
        self.forwards.load(BY_FORWARD_NAME, [(bucket, name)])
        return self.item(bucket, name)

    def overdue(self) -> list[JournalRow]:
        """Return waiting transactions whose deadline has passed, a bounded number."""
        return self.journal.select(OVERDUE, (self.now_ms,))

    def forgettable(self, day: str) -> list[JournalRow]:
        """Return rows of before `day` that still hold what a token stood for, a bounded number."""
        return self.journal.select(FORGETTABLE, (day,))

    def due_items(self, station: str) -> list[ForwardRow]:
        """Return what is to be sent to a station now, a bounded number, earlier items of a card first."""
        return self.forwards.select(DUE_FORWARDS, (station, self.now_ms))

    def hurry(self, station: str) -> None:
        """Let everything that is kept for a station go out at once."""
        self.tx.rows(HURRY, (self.now_ms, station))


def _may_be_carried(arrival: Arrival) -> bool:
    """Whether this may be about an item of store-and-forward."""
    return bool(arrival.name) and (arrival.kind is not Kind.ANSWER or arrival.frame.header.rejected)
