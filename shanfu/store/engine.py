"""A store: one party's books on one database, written by one process.

    with Store.open("data/issuer.db", schema=SCHEMA, name="issuer") as store:
        with store.begin() as tx:
            ...

Opening upgrades books of an older format and refuses those of a newer one (`migrate.py`). Whatever goes wrong speaks as one
of: Conflict (the row exists, or another process writes here), StoreGone (answer nobody, `reopen`), StoreVersion, StoreError
(the statement is wrong). A store and its transactions belong to one thread at a time; one transaction is open at a time.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import MetaData

from shanfu.errors import StoreGone
from shanfu.store import migrate
from shanfu.store.database import Database, database
from shanfu.store.kept import KeptRows
from shanfu.store.statement import Params, Statement

__all__ = ["Schema", "Store", "Transaction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a party's books look like: its tables, and the folder of `format_N.py` that lead there.

    Parties of one household share a database: `others` are the schemas of those beside this one, each with a format of its own.
    """

    party: str
    metadata: MetaData
    migrations: Path
    others: tuple["Schema", ...] = ()

    def beside(self, *others: "Schema") -> "Schema":
        """Return the schema of a database that holds these parties' books as well."""
        return replace(self, others=self.others + others)

    @property
    def parts(self) -> tuple["Schema", ...]:
        """This party's schema and those beside it."""
        return self, *self.others


class Store:
    """An open database; made by `Store.open`."""

    def __init__(self, database: Database, schema: Schema, *, read_only: bool = False) -> None:
        self._database, self._schema = database, schema
        self._kept = KeptRows(alone=not read_only)

    @classmethod
    def open(cls, where: str | Path, *, schema: Schema, name: str, read_only: bool = False) -> "Store":
        """Open the books at a path, at ":memory:" or at a ``postgresql://`` URL, creating or upgrading them.

        With `read_only` another process may be writing; the books must exist and have our format.
        Raises Conflict, StoreGone, StoreVersion.
        """
        store = cls(database(where, name=name, read_only=read_only), schema, read_only=read_only)
        store._open(read_only)
        return store

    def _open(self, read_only: bool) -> None:
        link = self._database
        try:
            link.acquire()
            link.connect()
            check = migrate.require if read_only else migrate.upgrade
            check(link, self._schema)
        except link.errors as fault:
            self.close()
            raise link.translate(fault) from None
        except Exception:
            self.close()
            raise

    @property
    def label(self) -> str:
        """Where the books are, in words, without a password."""
        return self._database.label

    def begin(self) -> "Transaction":
        """Start the transaction; raises StoreGone, or StoreError while another one is open."""
        link = self._database
        try:
            link.begin()
        except link.errors as fault:
            raise link.translate(fault) from None
        return Transaction(link, self._kept)

    def reopen(self) -> None:
        """Connect again after StoreGone, keeping the writer's lock; raises StoreGone while the database stays away."""
        link = self._database
        self._kept.lost()
        link.disconnect()
        try:
            link.connect()
        except link.errors as fault:
            raise link.translate(fault) from None

    def close(self) -> None:
        """Close the books; an open transaction is undone."""
        self._database.disconnect()
        self._database.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Transaction:
    """All or nothing; as a context manager it commits at the end, or rolls back when an exception passes."""

    __slots__ = ("_database", "_errors", "committed", "dialect", "kept")

    def __init__(self, database: Database, kept: KeptRows) -> None:
        self._database, self._errors, self.dialect = database, database.errors, database.dialect
        self.kept = kept
        self.committed = False  # known to be durable

    def rows(self, statement: Statement, params: Params = ()) -> list[Params]:
        """Run the statement and return its rows; a statement that returns none gives []."""
        text, arrange = statement.compiled(self.dialect)
        try:
            return self._database.rows(text, arrange(params) if arrange else params)
        except self._errors as fault:
            raise self._database.translate(fault) from None

    def one(self, statement: Statement, params: Params = ()) -> Params | None:
        """Run the statement and return its first row, or None."""
        rows = self.rows(statement, params)
        return rows[0] if rows else None

    def many(self, statement: Statement, rows: list[Params]) -> None:
        """Run the statement once for each row of parameters."""
        text, arrange = statement.compiled(self.dialect)
        try:
            self._database.many(text, [arrange(row) for row in rows] if arrange else rows)
        except self._errors as fault:
            raise self._database.translate(fault) from None

    def commit(self) -> None:
        """Make everything durable; when it raises StoreGone the outcome is unknown."""
        try:
            self._database.commit()
        except self._errors as fault:
            self.kept.lost()
            raise StoreGone(f"commit: {self._database.translate(fault)}") from None
        self.kept.committed()
        self.committed = True

    def rollback(self) -> None:
        """Undo everything; raises StoreGone."""
        self.kept.lost()
        try:
            self._database.rollback()
        except self._errors as fault:
            raise StoreGone(f"rollback: {self._database.translate(fault)}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.commit()
        else:
            self.rollback()
