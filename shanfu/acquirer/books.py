"""The acquirer's books as one turn sees them: loaded by key, changed in memory, saved in bulk.

`load_terminals` and `load_journal` fetch what a batch needs, one query per table; `save` writes what was changed or added.
Whoever works on the rows never speaks to the database.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from shanfu.acquirer.batches import BATCHES, BY_BATCH, Batch
from shanfu.acquirer.downloads import BY_DOWNLOAD, BY_GROUP, DOWNLOADS, GROUPS, OF_GROUP, Download, DownloadKind, Group
from shanfu.acquirer.forward import BY_FORWARD, BY_NOTE, FORWARDS, Forward
from shanfu.acquirer.journal import ADVISED, BY_TERMINAL_NAME, JOURNAL, JournalRow, PaymentKind
from shanfu.acquirer.merchants import BY_MERCHANT, MERCHANTS, Merchant
from shanfu.acquirer.numbers import BY_COUNTER, COUNTERS, TRACE, Counter, Moment, moment_of
from shanfu.acquirer.requests import Request
from shanfu.acquirer.tables import METADATA
from shanfu.acquirer.terminals import BY_TERMINAL, TERMINALS, Terminal
from shanfu.hosts import BY_NAME, MemberBooks, MemberShelves
from shanfu.store import Schema, Sequencer, Transaction, bucket_of

__all__ = ["SCHEMA", "SHELVES", "AcquirerBooks", "Numbers"]

SHELVES: Final = MemberShelves(METADATA)
SCHEMA: Final = Schema(party="acquirer", metadata=METADATA, migrations=Path(__file__).with_name("migrations"))


class Numbers:
    """Gives row numbers of the tables that grow, one host long."""

    def __init__(self) -> None:
        self.journal, self.forwards = Sequencer(JOURNAL.table), Sequencer(FORWARDS.table)


class AcquirerBooks(MemberBooks):
    """The rows of one turn."""

    __slots__ = ("_moment", "_numbers", "batches", "buckets", "counters", "forwards", "journal", "merchants", "terminals")

    def __init__(self, tx: Transaction, *, now_ms: int, numbers: Numbers, buckets: int = 1) -> None:
        super().__init__(SHELVES, tx, now_ms=now_ms)
        self.buckets, self._numbers = buckets, numbers
        self._moment: Moment | None = None
        self.merchants = MERCHANTS.open(tx)
        self.terminals = TERMINALS.open(tx)
        self.batches = BATCHES.open(tx)
        self.journal = JOURNAL.open(tx)
        self.forwards = FORWARDS.open(tx)
        self.counters = COUNTERS.open(tx)

    def save(self) -> None:
        """Write every changed and added row through the transaction."""
        super().save()
        for book in (self.merchants, self.terminals, self.batches, self.journal, self.forwards, self.counters):
            book.save()

    # -- time and numbers ----------------------------------------------------------------------------------------------

    @property
    def moment(self) -> Moment:
        """This turn's time as messages write it."""
        if self._moment is None:
            self._moment = moment_of(self.now_ms)
        return self._moment

    def next_number(self) -> Counter:
        """Return the counter of traces and references, moved on by one."""
        self.counters.load(BY_COUNTER, [TRACE])
        counter = self.counters.find(BY_COUNTER, TRACE) or self.counters.add(Counter(*TRACE, 0))
        counter.value += 1
        return counter

    def next_row(self) -> int:
        """Return the number of the next journal row."""
        return self._numbers.journal.next(self.tx, now_ms=self.now_ms)

    def next_forward(self) -> int:
        """Return the number of the next row of store-and-forward."""
        return self._numbers.forwards.next(self.tx, now_ms=self.now_ms)

    # -- loading and finding -------------------------------------------------------------------------------------------

    def bucket(self, terminal: str) -> int:
        """Where a terminal's rows lie."""
        return bucket_of(terminal, self.buckets)

    def load_terminals(self, numbers: Iterable[str]) -> None:
        """Fetch these terminals and the merchants that they stand at."""
        rows = self.terminals.load(BY_TERMINAL, [(self.bucket(number), number) for number in numbers])
        self.merchants.load(BY_MERCHANT, [(0, row.merchant) for row in rows])

    def load_journal(self, requests: Sequence[Request], answers: Iterable[tuple[int, str]]) -> None:
        """Fetch what these requests and answers speak of: rows by either name, originals, items of store-and-forward."""
        wanted = []
        for request in requests:
            bucket = self.bucket(request.terminal)
            wanted.append((bucket, request.terminal_name))
            if request.original:
                wanted.append((bucket, request.original))
        notes = [(self.bucket(r.terminal), r.terminal_name) for r in requests if r.kind is PaymentKind.SCRIPT]
        if notes:
            self.forwards.load(BY_NOTE, notes)
        found: list[JournalRow] = []
        if names := list(answers):
            found = self.journal.load(BY_NAME, names)
            items = self._load_items(names, found)
            found += self.journal.load(BY_NAME, [(item.bucket, item.original) for item in items])
        # a void or refund that comes to nothing gives its payment back: the original's original
        found += self.journal.load(BY_TERMINAL_NAME, wanted)
        if originals := [(row.bucket, row.original) for row in found if row.original]:
            self.journal.load(BY_TERMINAL_NAME, originals)

    def _load_items(self, names: Sequence[tuple[int, str]], found: Iterable[JournalRow]) -> list[Forward]:
        """Fetch the items of these names: an item has a name of its own, or that of the advice which it carries."""
        others = {(row.bucket, row.name) for row in found if row.kind not in ADVISED}
        wanted = [name for name in names if name not in others]
        return self.forwards.load(BY_FORWARD, wanted) if wanted else []

    def terminal(self, number: str) -> Terminal | None:
        """A terminal; it was loaded."""
        return self.terminals.find(BY_TERMINAL, (self.bucket(number), number))

    def merchant(self, number: str) -> Merchant | None:
        """A merchant; it was loaded with its terminal."""
        return self.merchants.find(BY_MERCHANT, (0, number)) if number else None

    def row(self, bucket: int, name: str) -> JournalRow | None:
        """A journal row by its interbank name; it was loaded."""
        return self.journal.find(BY_NAME, (bucket, name))

    def row_of_terminal(self, bucket: int, name: str) -> JournalRow | None:
        """A journal row by the terminal's name; it was loaded."""
        return self.journal.find(BY_TERMINAL_NAME, (bucket, name)) if name else None

    def item(self, bucket: int, name: str) -> Forward | None:
        """The item of store-and-forward that bears this name; rows and items of the name were loaded."""
        row = self.row(bucket, name)
        if row is not None and row.kind not in ADVISED:
            return None
        return self.forwards.find(BY_FORWARD, (bucket, name))

    def noted(self, bucket: int, terminal_name: str) -> Forward | None:
        """The script result that its terminal has named so; it was loaded."""
        return self.forwards.find(BY_NOTE, (bucket, terminal_name)) if terminal_name else None

    def batch(self, terminal: Terminal, number: str) -> Batch | None:
        """A batch of a terminal, fetched."""
        key = (terminal.bucket, terminal.terminal, number)
        self.batches.load(BY_BATCH, [key])
        return self.batches.find(BY_BATCH, key)

    # -- what terminals download ---------------------------------------------------------------------------------------

    def group(self, name: str) -> Group | None:
        """A group of terminals, fetched; None when it was never given anything."""
        return next(iter(GROUPS.open(self.tx).load(BY_GROUP, [(0, name)])), None)

    def downloads(self, group: str, kind: DownloadKind) -> list[Download]:
        """All that is in force of a kind, in the order of names, fetched."""
        return DOWNLOADS.open(self.tx).select(OF_GROUP, (group, kind.value))

    def download(self, group: str, kind: DownloadKind, name: str) -> Download | None:
        """One thing in force, fetched."""
        return next(iter(DOWNLOADS.open(self.tx).load(BY_DOWNLOAD, [(0, group, kind.value, name)])), None)
