"""The keys of a host, as key blocks in its own books, newest first.

Each host has one `keys` table of this shape. A label names what the key is for (``mak/99010000``, ``tmk/10000001``,
``imk-ac/01``); a key reset adds a generation. The one before stays good for the switch-over window, so that messages under
way when the key changed are still understood: the newest is tried first.

A change of key is a row in the same transaction as the message that brought it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import MetaData, Table

from shanfu.errors import KeyUseError
from shanfu.hsm.jobs import KeyBlock
from shanfu.store import Shelf, Transaction, book_of

__all__ = ["SWITCH_OVER_MS", "KeyRow", "Keyring", "keys_table"]

SWITCH_OVER_MS = 300_000  # "some minutes", unverified: longer than any time-out, shorter than a replay is worth

KEPT_GENERATIONS = 3  # the newest, the one before it, and one that a peer may still be confirming
BY_LABEL = ("bucket", "label")
NEWEST_FIRST = ("label", "newest first")  # as what the store keeps a label's generations between turns


def keys_table(metadata: MetaData, prefix: str = "") -> Table:
    """Return the `keys` table of a host's books; `prefix` keeps hosts apart that share one database."""
    return book_of(f"{prefix}keys", metadata, KeyRow, "label", "generation")


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One generation of a key; `block` is a TR-31 block under the host's LMK."""

    bucket: int
    label: str
    generation: int
    block: str = field(repr=False)
    since_ms: int


class Keyring:
    """The keys that one turn works with.

    Every message asks for some, and a key is never changed: what one turn has fetched serves the next ones, until a key is
    installed or the transaction comes to nothing.
    """

    def __init__(self, shelf: Shelf[KeyRow], tx: Transaction, *, now_ms: int) -> None:
        self._book, self._now_ms = shelf.open(tx), now_ms
        known = tx.kept.known(shelf.name, NEWEST_FIRST) if shelf.kept else None
        self._known: dict[str, list[KeyRow]] = {} if known is None else known
        self._changed: dict[str, list[KeyRow]] = {}  # by this turn, which may come to nothing

    def load(self, labels: Iterable[str]) -> None:
        """Fetch all generations of these keys by one query."""
        if unknown := [label for label in labels if label not in self._known and label not in self._changed]:
            self._book.load(BY_LABEL, [(0, label) for label in unknown])
            self._known.update((label, self._generations(label)) for label in unknown)

    def current(self, label: str) -> KeyBlock:
        """Return the newest key; raises KeyUseError when there is none."""
        newest = self._newest_first(label)
        if not newest:
            raise KeyUseError(f"key {label}: is not installed")
        return KeyBlock(newest[0].block)

    def has(self, label: str) -> bool:
        """Say whether there is a key of this label."""
        return bool(self._newest_first(label))

    def candidates(self, label: str) -> list[KeyBlock]:
        """Return the keys that an incoming message may be under: the newest, and within the window the one before."""
        rows = self._newest_first(label)
        newest, before = rows[:1], rows[1:2]
        in_window = newest and self._now_ms < newest[0].since_ms + SWITCH_OVER_MS
        return [KeyBlock(row.block) for row in (newest + before if in_window else newest)]

    def install(self, label: str, block: KeyBlock) -> None:
        """Add a generation that is in force from now on, and drop those that nobody needs."""
        self._book.load(BY_LABEL, [(0, label)])
        rows = self._generations(label)
        generation = rows[0].generation + 1 if rows else 1
        self._book.add(KeyRow(0, label, generation, block, self._now_ms))
        for row in rows[KEPT_GENERATIONS - 1 :]:
            self._book.remove(row)
        self._changed[label] = self._generations(label)

    def save(self) -> None:
        """Write what was installed."""
        self._book.save()

    def _newest_first(self, label: str) -> list[KeyRow]:
        found = self._changed.get(label) or self._known.get(label)
        if found is None:
            raise LookupError(f"key {label}: was not loaded")
        return found

    def _generations(self, label: str) -> list[KeyRow]:
        return sorted(self._book.all(BY_LABEL, (0, label)), key=lambda row: -row.generation)
