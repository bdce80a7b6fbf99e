"""What a store still knows of its small tables from earlier transactions: keys, members, terminals, one row of state.

Every turn of a host reads them and almost none changes them. Since a store is its books' only writer (`lock.py`, and the
session's lock on PostgreSQL), rows that it has read stay true until it writes to their table itself. So a table's memory is
dropped before it is written, and stays empty until that transaction has ended; a rollback, a commit that fails and a reopening
drop everything. A store that only reads has other writers, and remembers nothing.

Such tables are written through their books alone (`Book.save`), never by a statement of one's own.
"""

from typing import Any

__all__ = ["KeptRows", "Known"]

LIMIT_KEYS = 20_000  # of one table: the working keys of ten thousand terminals are some ten megabytes

Known = dict[Any, list[Any]]  # rows, or what was made of them, by look-up key; a key that has no row is known too


class KeptRows:
    """The memory of one store."""

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._known: dict[str, dict[tuple[str, ...], Known]] = {}
        self._written: set[str] = set()

    def known(self, table: str, by: tuple[str, ...]) -> Known | None:
        """Return what is known of a table by these columns, to look up and to fill; None when it must not be kept now."""
        if not self._alone or table in self._written:
            return None
        found = self._known.setdefault(table, {}).setdefault(by, {})
        if len(found) > LIMIT_KEYS:
            found.clear()
        return found

    def write(self, table: str) -> None:
        """Forget a table that is about to be written, until the transaction has ended."""
        self._written.add(table)
        self._known.pop(table, None)

    def committed(self) -> None:
        """Take what was written as read anew."""
        self._written.clear()

    def lost(self) -> None:
        """Forget everything: what was written is undone, or nobody knows."""
        self._known.clear()
        self._written.clear()
