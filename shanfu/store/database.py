"""Which database a name means, and what a store asks of either.

A path is a SQLite file, ":memory:" books that vanish, ``postgresql://`` a server.
"""

from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from shanfu.errors import ConfigError, StoreError
from shanfu.store.sqlite import SQLite
from shanfu.store.statement import Params

__all__ = ["Database", "database"]


class Database(Protocol):
    """What SQLite and PostgreSQL have in common: a driver's connection, and how to speak of its failures."""

    dialect: str
    label: str
    errors: tuple[type[Exception], ...]

    def engine(self) -> Engine:
        """Return SQLAlchemy's way to the same database, for migrations."""
        ...

    def acquire(self) -> None:
        """Become the only writer."""
        ...

    def connect(self) -> None:
        """Open the connection; raises Conflict."""
        ...

    def begin(self) -> None:
        """Start a transaction."""
        ...

    def commit(self) -> None:
        """Make it durable."""
        ...

    def rollback(self) -> None:
        """Undo it."""
        ...

    def rows(self, text: str, params: Params) -> list[Params]:
        """Run one statement and return its rows."""
        ...

    def many(self, text: str, rows: list[Params]) -> None:
        """Run one statement for each row of parameters."""
        ...

    def disconnect(self) -> None:
        """Close the connection; an open transaction is undone."""
        ...

    def release(self) -> None:
        """Let the next writer in."""
        ...

    def translate(self, fault: Exception) -> StoreError:
        """Return the driver's error as ours, without values."""
        ...


def database(where: str | Path, *, name: str, read_only: bool = False) -> Database:
    """Return the database at a path, at ":memory:" or at a URL, not yet connected; raises ConfigError without psycopg."""
    place = str(where)
    if not place.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        path = ":memory:" if place == "sqlite://" else place.removeprefix("sqlite:///")
        return SQLite(path, name=name, read_only=read_only)
    try:
        from shanfu.store.postgres import PostgreSQL
    except ImportError:
        raise ConfigError(f"{name}: books on PostgreSQL need psycopg: pip install 'shanfu[pg]'") from None
    return PostgreSQL(place.replace("postgres://", "postgresql://", 1), name=name, read_only=read_only)
