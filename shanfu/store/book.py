"""Rows of one table, loaded by key, changed in memory, saved in bulk.

A `Shelf` describes a table once; each turn opens a `Book` on it. Loading takes all keys of a batch in one query with one
parameter. Loaded rows are plain objects, one per primary key however often they are met; whoever changes a field need not
say so, `save` compares. What a host forgot to load it cannot mistake for absent: `find` raises.

    JOURNAL = Shelf(journal_table, JournalRow)
    DUE = Statement(JOURNAL.select().where(...deadline <= bindparam("now")).limit(256), "now")

    book = JOURNAL.open(tx)
    book.load(("identity",), [m.identity for m in messages])
    row = book.find(("identity",), message.identity)          # or None: it was asked for and is not there
    if row is None: book.add(JournalRow(...))
    else: row.state = "DONE"
    book.save()

Look-up columns of a row do not change within a turn. A row's fields are the table's columns, in its order. A row is updated in
the columns that changed, so an index over others is left alone. Tables that every turn reads and few change are `kept`: their
rows come from the store's memory (`kept.py`).
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import attrgetter, itemgetter, ne
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Integer,
    LargeBinary,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    update,
)
from sqlalchemy import select as core_select
from sqlalchemy import text as core_text

from shanfu.errors import Conflict
from shanfu.store.engine import Transaction
from shanfu.store.statement import Params, Statement, quote

__all__ = ["Book", "By", "Shelf"]

R = TypeVar("R")
By = tuple[str, ...]
LIMIT_UPDATES = 64  # sets of columns that change together: a table has a dozen

_as_json = msgspec.json.encode  # a sixth of the time of `json.dumps`, several times in each turn


class Shelf(Generic[R]):
    """A table and the class of its rows: a mutable dataclass with positional fields named and ordered as the columns."""

    def __init__(self, table: Table, row: type[R], *, kept: bool = False) -> None:
        fields = dataclasses.fields(row)  # type: ignore[arg-type]
        names = [field.name for field in fields]
        if names != table.columns.keys() or any(field.kw_only or not field.init for field in fields):
            raise TypeError(
                f"{row.__name__}: fields must be the columns of {table.name}, in their order: {table.columns.keys()}"
            )
        if odd := [c.name for c in table.columns if not isinstance(c.type, Integer | BigInteger | Text | LargeBinary)]:
            raise TypeError(f"{table.name}: {', '.join(odd)} would need conversion; books hold numbers, text and bytes")
        self.table, self.row, self.name, self.kept = table, row, table.name, kept
        self.key = tuple(table.primary_key.columns.keys())
        self.fields: Callable[[R], Params] = attrgetter(*names)
        self.raw_key = _picker([names.index(name) for name in self.key])
        self._mine = and_(*(table.columns[name] == bindparam(f"key_{name}") for name in self.key))
        self.insert = Statement(insert(table).values({name: bindparam(name) for name in names}), *names)
        self.delete = Statement(delete(table).where(self._mine), *(f"key_{name}" for name in self.key))
        self.update = lru_cache(maxsize=LIMIT_UPDATES)(self._update)
        self._looks: dict[By, _Look] = {}

    def open(self, tx: Transaction) -> "Book[R]":
        """Open the book for one turn."""
        return Book(self, tx)

    def select(self) -> Select[Any]:
        """Return the Core statement that reads whole rows, for `where`, `order_by` and `limit`."""
        return core_select(*self.table.columns)

    def _update(self, differs: tuple[bool, ...]) -> tuple[Statement, Callable[[Params], Params]]:
        """Return the statement that writes these columns of a row, and what picks its parameters from the row's values."""
        names = self.table.columns.keys()
        columns = [name for name, other in zip(names, differs, strict=True) if other]
        core = update(self.table).where(self._mine).values({name: bindparam(name) for name in columns})
        params = itemgetter(*(names.index(name) for name in (*columns, *self.key)))
        return Statement(core, *columns, *(f"key_{name}" for name in self.key)), params

    def look(self, by: By) -> "_Look":
        """Return how rows are looked up by these columns; raises TypeError when no index serves them."""
        ready = self._looks.get(by)
        if ready is None:
            ready = self._looks[by] = _Look(self.table, by)
        return ready


class _Look:
    """One way to look rows up: its statement, and the key of a row and of a tuple."""

    def __init__(self, table: Table, by: By) -> None:
        if not _indexed(table, by):
            raise TypeError(f"{table.name}: no index starts with {', '.join(by)}")
        if any(isinstance(table.columns[name].type, LargeBinary) for name in by):
            raise TypeError(f"{table.name}: bytes are no look-up key, JSON has none")
        names = table.columns.keys()
        self.of_raw = _picker([names.index(name) for name in by])
        self.of_row: Callable[[Any], Any] = attrgetter(*by)
        self.single = len(by) == 1
        self._arrays = len(by)
        params = [f"keys_{place}" for place in range(len(by))]
        self._on_sqlite = Statement(_json_load(table, by), "keys")
        self._on_postgresql = Statement(_array_load(table, by, params), *params)

    def fetch(self, tx: Transaction, keys: list[Any]) -> list[Params]:
        """Return the rows of all these keys by one query."""
        if tx.dialect == "sqlite":
            return tx.rows(self._on_sqlite, (_as_json(keys).decode(),))
        return tx.rows(
            self._on_postgresql, (keys,) if self.single else tuple(list(column) for column in zip(*keys, strict=True))
        )


class Book(Generic[R]):
    """The rows of one table that a turn works on."""

    __slots__ = ("_added", "_asked", "_loaded", "_removed", "_rows", "_shelf", "_tx")

    def __init__(self, shelf: Shelf[R], tx: Transaction) -> None:
        self._shelf, self._tx = shelf, tx
        self._rows: dict[Any, R] = {}
        self._loaded: dict[Any, Params] = {}
        self._added: dict[Any, R] = {}
        self._removed: set[Any] = set()
        self._asked: dict[By, dict[Any, list[R]]] = {}

    def load(self, by: By, keys: Iterable[Any]) -> list[R]:
        """Fetch all rows with these keys and return them; a key is a value, or a tuple where `by` names several columns.

        Rows met before stay the same objects; keys asked for before are not asked for again.
        """
        look, found = self._shelf.look(by), self._asked.setdefault(by, {})
        wanted = dict.fromkeys(keys)
        fresh: dict[Any, list[R]] = {key: [] for key in wanted if key not in found}
        if fresh:
            of_raw, of_row = look.of_raw, look.of_row
            for raw in self._read(by, look, list(fresh)):
                row = self._met(raw)
                if row is not None:
                    fresh[of_raw(raw)].append(row)
            for row in self._added.values():
                if (key := of_row(row)) in fresh:
                    fresh[key].append(row)
            found.update(fresh)
        return [row for key in wanted for row in found[key]]

    def _read(self, by: By, look: _Look, keys: list[Any]) -> list[Params]:
        """Return the rows of these keys, of a kept table as far as they are known."""
        known = self._tx.kept.known(self._shelf.name, by) if self._shelf.kept else None
        if known is None:
            return look.fetch(self._tx, keys)
        if unknown := [key for key in keys if key not in known]:
            found: dict[Any, list[Params]] = {key: [] for key in unknown}
            for raw in look.fetch(self._tx, unknown):
                found[look.of_raw(raw)].append(raw)
            known.update(found)
        return [raw for key in keys for raw in known[key]]

    def select(self, statement: Statement, params: Params = ()) -> list[R]:
        """Return the rows of a statement made from `Shelf.select()`, as they were before this turn's changes."""
        met = self._met
        return [row for raw in self._tx.rows(statement, params) if (row := met(raw)) is not None]

    def find(self, by: By, key: Any) -> R | None:
        """Return the row with this key, or None; raises LookupError for a key that was not loaded or has several rows."""
        try:
            rows = self._asked[by][key]
        except KeyError:
            raise self._not_loaded(by) from None
        if len(rows) > 1:
            raise LookupError(f"{self._shelf.name}: {len(rows)} rows with this {', '.join(by)}, use all()")
        return rows[0] if rows else None

    def all(self, by: By, key: Any) -> list[R]:
        """Return the rows with this key, added ones last; raises LookupError for a key that was not loaded."""
        try:
            return self._asked[by][key]
        except KeyError:
            raise self._not_loaded(by) from None

    def _not_loaded(self, by: By) -> LookupError:
        return LookupError(f"{self._shelf.name}: this {', '.join(by)} was not loaded")

    def add(self, row: R) -> R:
        """Put a new row among the loaded ones and return it; raises Conflict when its primary key is known already."""
        key = self._shelf.raw_key(self._shelf.fields(row))
        if key in self._rows:
            raise Conflict(f"{self._shelf.name}: a row with this {', '.join(self._shelf.key)} exists already")
        self._rows[key] = self._added[key] = row
        for by, found in self._asked.items():
            rows = found.get(self._shelf.look(by).of_row(row))
            if rows is not None:
                rows.append(row)
        return row

    def remove(self, row: R) -> None:
        """Take a row out; books that people are paid by have none to remove."""
        key = self._shelf.raw_key(self._shelf.fields(row))
        if self._rows.pop(key, None) is not row:
            raise LookupError(f"{self._shelf.name}: the row is not of this book")
        if self._added.pop(key, None) is None:
            del self._loaded[key]
            self._removed.add(key)
        for by, found in self._asked.items():
            rows = found.get(self._shelf.look(by).of_row(row), ())
            if rows:
                rows[:] = [other for other in rows if other is not row]

    def save(self) -> None:
        """Write what was removed, changed and added, each by one statement; raises Conflict, naming table and key."""
        shelf, tx = self._shelf, self._tx
        changed = self._changed() if self._loaded else {}
        if not (changed or self._added or self._removed):
            return
        tx.kept.write(shelf.name)
        if self._removed:
            tx.many(shelf.delete, sorted(self._removed))
        if changed:
            self._write(changed)
        if self._added:
            added = {key: shelf.fields(row) for key, row in self._added.items()}
            self._same_keys(added)
            tx.many(shelf.insert, list(added.values()))
            self._loaded.update(added)
        self._loaded.update(changed)
        self._removed, self._added = set(), {}

    def _write(self, changed: dict[Any, Params]) -> None:
        """Update rows in the columns that changed, one statement for each set of columns."""
        alike: dict[tuple[bool, ...], list[Params]] = {}
        for key in sorted(changed):
            alike.setdefault(tuple(map(ne, changed[key], self._loaded[key])), []).append(changed[key])
        for differs, rows in alike.items():
            statement, params = self._shelf.update(differs)
            self._tx.many(statement, [params(values) for values in rows])

    def _changed(self) -> dict[Any, Params]:
        fields, rows = self._shelf.fields, self._rows
        changed = {key: values for key, raw in self._loaded.items() if (values := fields(rows[key])) != raw}
        self._same_keys(changed)
        return changed

    def _same_keys(self, rows: dict[Any, Params]) -> None:
        raw_key = self._shelf.raw_key
        for key, values in rows.items():
            if raw_key(values) != key:
                raise ValueError(f"{self._shelf.name}: the primary key of a row was changed")

    def _met(self, raw: Params) -> R | None:
        """Return the one object for this row, made at the first meeting; None for a removed one."""
        key = self._shelf.raw_key(raw)
        row = self._rows.get(key)
        if row is None and key not in self._removed:
            row = self._rows[key] = self._shelf.row(*raw)
            self._loaded[key] = raw
        return row


def _picker(places: Sequence[int]) -> Callable[[Params], Any]:
    return itemgetter(*places)


def _indexed(table: Table, by: By) -> bool:
    partial = "sqlite_where"
    whole = [index.columns.keys() for index in table.indexes if index.dialect_kwargs.get(partial) is None]
    return any(tuple(names[: len(by)]) == by for names in [table.primary_key.columns.keys(), *whole])


def _json_load(table: Table, by: By) -> Any:
    # CROSS JOIN keeps SQLite from reading the table first, whatever its statistics say
    def q(name: str) -> str:
        return quote("sqlite", name)

    one = len(by) == 1
    tests = [
        f"{q(table.name)}.{q(name)} = {'k.value' if one else f'json_extract(k.value, {chr(39)}$[{place}]{chr(39)})'}"
        for place, name in enumerate(by)
    ]
    columns = ", ".join(f"{q(table.name)}.{q(name)}" for name in table.columns.keys())  # noqa: SIM118
    source = f"json_each(:keys) AS k CROSS JOIN {q(table.name)}"
    return core_text(f"SELECT {columns} FROM {source} WHERE {' AND '.join(tests)}")  # noqa: S608  # names of our own tables


def _array_load(table: Table, by: By, params: list[str]) -> Any:
    columns = [table.columns[name] for name in by]
    arrays = [bindparam(param, type_=ARRAY(column.type)) for param, column in zip(params, columns, strict=True)]
    keys = func.unnest(*arrays).table_valued(*by, name="k").render_derived()
    return (
        core_select(*table.columns).select_from(keys).join(table, and_(*(column == keys.c[column.name] for column in columns)))
    )
