"""A store: one party's books on one database, written by one process.

    with Store.open("data/issuer.db", schema=SCHEMA, name="issuer") as store:
        with store.begin() as tx:
            ...

Opening upgrades books of an older format and refuses those of a newer one (`migrate.py`). Whatever goes wrong speaks as one
of: Conflict (the row exists, or another process writes here), StoreGone (answer nobody, `reopen`), StoreVersion, StoreError
(the statement is wrong). A store and its transactions belong to one thread at a time; one transaction is open at a time.
"""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from sqlalchemy import MetaData

from shanfu.errors import StoreError, StoreGone
from shanfu.store import migrate
from shanfu.store.sqlite import SQLite
from shanfu.store.statement import Params, Statement

__all__ = ["Schema", "Store", "Transaction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a party's books look like: its tables, and the folder of `format_N.py` that lead there."""

    party: str
    metadata: MetaData
    migrations: Path


class Database(Protocol):
    """What SQLite and PostgreSQL have in common: a driver's connection, and how to speak of its failures."""

    dialect: str
    label: str
    errors: tuple[type[Exception], ...]

    @property
    def migration_url(self) -> str: ...
    def acquire(self) -> None: ...
    def connect(self) -> None: ...
    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def rows(self, text: str, params: Params) -> list[Params]: ...
    def many(self, text: str, rows: list[Params]) -> None: ...
    def disconnect(self) -> None: ...
    def release(self) -> None: ...
    def translate(self, fault: Exception) -> StoreError: ...


class Store:
    """An open database; made by `Store.open`."""

    def __init__(self, database: Database, schema: Schema) -> None:
        self._database, self._schema = database, schema

    @classmethod
    def open(cls, where: str | Path, *, schema: Schema, name: str, read_only: bool = False) -> "Store":
        """Open the books at a path, at ":memory:" or at a ``postgresql://`` URL, creating or upgrading them.

        With `read_only` another process may be writing; the books must exist and have our format.
        Raises Conflict, StoreGone, StoreVersion.
        """
        store = cls(_database(str(where), name, read_only), schema)
        store._open(read_only)
        return store

    def _open(self, read_only: bool) -> None:
        database = self._database
        try:
            database.acquire()
            database.connect()
            check = migrate.require if read_only else migrate.upgrade
            check(database.migration_url, self._schema, label=database.label)
        except database.errors as fault:
            self.close()
            raise database.translate(fault) from None
        except Exception:
            self.close()
            raise

    @property
    def label(self) -> str:
        """Where the books are, in words, without a password."""
        return self._database.label

    def begin(self) -> "Transaction":
        """Start the transaction; raises StoreGone."""
        database = self._database
        try:
            database.begin()
        except database.errors as fault:
            raise StoreGone(str(database.translate(fault))) from None
        return Transaction(database)

    def reopen(self) -> None:
        """Connect again after StoreGone, keeping the writer's lock; raises StoreGone while the database stays away."""
        database = self._database
        database.disconnect()
        try:
            database.connect()
        except database.errors as fault:
            raise database.translate(fault) from None

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

    __slots__ = ("_database", "_errors", "dialect")

    def __init__(self, database: Database) -> None:
        self._database, self._errors, self.dialect = database, database.errors, database.dialect

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
            raise StoreGone(f"commit: {self._database.translate(fault)}") from None

    def rollback(self) -> None:
        """Undo everything; raises StoreGone."""
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


def _database(where: str, name: str, read_only: bool) -> Any:
    if where.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        from shanfu.store.postgres import PostgreSQL  # psycopg is an extra

        return PostgreSQL(where.replace("postgres://", "postgresql://", 1), name=name, read_only=read_only)
    return SQLite(where.removeprefix("sqlite:///"), name=name, read_only=read_only)
