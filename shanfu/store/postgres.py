"""Books in a PostgreSQL database, by URL.

`synchronous_commit=on`: when a commit returns, its rows survive a power cut of the server. One process writes, which an
advisory lock of the session sees to: it falls with the connection. Every value is sent without a type of its own and takes
the column's, so one statement is one prepared statement, whichever of its values are absent.
"""

import contextlib
import os
from typing import Any

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import IntDumper
from psycopg.types.string import BytesBinaryDumper
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import NullPool

from shanfu.errors import Conflict, StoreError, StoreGone

__all__ = ["PostgreSQL"]

LOCK = "hashtextextended('shanfu/' || current_schema() || '/' || %s, 0)"
HOLDER = (
    "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory' AND granted "  # noqa: S608
    f"AND ((classid::bigint << 32) | objid::bigint) = {LOCK} AND pg_locks.database = datid"
)
CONNECT_SECONDS = 5
SETTINGS = (
    "synchronous_commit = on",
    "timezone = 'UTC'",
    "lock_timeout = '2s'",  # the server needs a moment to see that the writer before us was killed
    "tcp_keepalives_idle = 10",  # and half a minute to see that its machine is gone
    "tcp_keepalives_interval = 5",
    "tcp_keepalives_count = 4",
)
KEPT_STATEMENTS = 1000  # prepared per session; a host has some dozens


class _Whole(IntDumper):
    oid = 0


class _Octets(BytesBinaryDumper):
    oid = 0


class PostgreSQL:
    """The connection to one database."""

    dialect = "postgresql"
    errors: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, url: str, *, name: str, read_only: bool) -> None:
        parts = make_url(url)
        self.label = f"{name}: {parts.render_as_string(hide_password=True)}"
        self._conninfo = parts.set(drivername="postgresql").render_as_string(hide_password=False)
        self._url = parts.set(drivername="postgresql+psycopg")
        self._name, self._read_only = name, read_only

    def engine(self) -> Engine:
        """Return SQLAlchemy's way to the same database, for migrations."""
        return create_engine(self._url, poolclass=NullPool)

    def acquire(self) -> None:
        """Nothing yet: the lock belongs to the session, and `connect` takes it."""

    def connect(self) -> None:
        """Open the session and take the writer's lock; afterwards statements work."""
        self._link = link = psycopg.connect(
            self._conninfo,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name=f"shanfu {self._name} process {os.getpid()}",
            prepare_threshold=0,
        )
        link.prepared_max = KEPT_STATEMENTS
        link.adapters.register_dumper(int, _Whole)
        link.adapters.register_dumper(bytes, _Octets)
        for setting in SETTINGS:
            link.execute(f"SET {setting}")
        if not self._read_only:
            self._lock()
        link.autocommit = False
        link.read_only = self._read_only
        self._cursor = link.cursor(binary=True)

    def _lock(self) -> None:
        try:
            self._link.execute(f"SELECT pg_advisory_lock({LOCK})", (self._name,))
        except errors.LockNotAvailable:
            holders = self._link.execute(HOLDER, (self._name,)).fetchall()
            self._link.close()
            raise Conflict(f"{self.label} is in use by {holders[0][0] if holders else 'another process'}") from None

    def begin(self) -> None:
        """Start a transaction: the driver does with the first statement, so only the session's state is looked at."""
        if self._link.closed:
            raise psycopg.OperationalError("the connection is closed")
        if self._link.info.transaction_status != TransactionStatus.IDLE:
            raise StoreError(f"{self.label}: another transaction is open")

    def commit(self) -> None:
        """Make it durable."""
        self._link.commit()

    def rollback(self) -> None:
        """Undo it."""
        self._link.rollback()

    def rows(self, text: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run one statement."""
        cursor = self._cursor.execute(text, params)
        return cursor.fetchall() if cursor.description else []

    def many(self, text: str, rows: list[tuple[Any, ...]]) -> None:
        """Run one statement for each row, all in one journey to the server."""
        self._cursor.executemany(text, rows)

    def disconnect(self) -> None:
        """Close the session; an open transaction is undone, the lock falls."""
        with contextlib.suppress(AttributeError, psycopg.Error):
            self._link.close()

    def release(self) -> None:
        """Nothing to do: the lock fell with the session."""

    def translate(self, fault: Exception) -> StoreError:
        """Return the driver's error as ours; the server's texts hold values, so only names are taken from them."""
        assert isinstance(fault, psycopg.Error)
        names = fault.diag
        if isinstance(fault, errors.UniqueViolation):
            return Conflict(f"{names.table_name}: a row with this {names.constraint_name} exists already")
        if (fault.sqlstate or "").startswith("40"):
            return Conflict(f"{self.label}: {type(fault).__name__}, another session works on the same rows")
        lost = isinstance(fault, errors.ReadOnlySqlTransaction | psycopg.OperationalError | psycopg.InterfaceError)
        if lost or self._closed():
            return StoreGone(f"{self.label}: {type(fault).__name__}: {names.message_primary or fault}")
        where = ".".join(filter(None, (names.table_name, names.column_name or names.constraint_name)))
        return StoreError(f"{self.label}: {type(fault).__name__} {fault.sqlstate or ''} {where}".rstrip())

    def _closed(self) -> bool:
        return not hasattr(self, "_link") or bool(self._link.closed)
