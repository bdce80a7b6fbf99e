"""Books in one SQLite file: the default, and what every laptop has.

Write-ahead log with `synchronous=FULL`: when a commit returns, its rows survive a power cut. One process writes (`Lock`);
others may read at the same time. ":memory:" keeps books that vanish with their store, for tests and simulation.
"""

import contextlib
import itertools
import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from shanfu.errors import Conflict, StoreError, StoreGone
from shanfu.store.lock import Lock

__all__ = ["SQLite"]

GONE = {
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL,
}  # fmt: skip
WAL_PAGES = 4096  # a checkpoint costs two more flushes; every 16 MiB they are not felt, and the log stays small
CACHE_KIB = 32 * 1024  # the index pages that a busy hour touches
BUSY_MS = 2_000  # a reader's checkpoint may hold the file for a moment
_memories = itertools.count(1)


class SQLite:
    """The connection to one file."""

    dialect = "sqlite"
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, path: str, *, name: str, read_only: bool) -> None:
        self._in_memory = path == ":memory:"
        self._file = Path(f"shanfu-{os.getpid()}-{next(_memories)}") if self._in_memory else Path(path)
        self.label = f"{name}: memory" if self._in_memory else str(self._file)
        self._read_only = read_only
        self._lock: Lock | None = None
        self._anchor: sqlite3.Connection | None = None  # what keeps a memory alive across reopen

    def engine(self) -> Engine:
        """Return SQLAlchemy's way to the same database, for migrations."""
        return create_engine("sqlite://", creator=lambda: sqlite3.connect(self._uri(), uri=True), poolclass=NullPool)

    def _uri(self) -> str:
        if self._in_memory:
            return f"file:{self._file}?mode=memory&cache=shared"
        mode = "ro" if self._read_only else "rw"  # `acquire` made the file; one that vanished since is not made anew
        return f"{self._file.absolute().as_uri()}?mode={mode}"

    def acquire(self) -> None:
        """Become the only writer."""
        if self._in_memory:
            self._anchor = sqlite3.connect(self._uri(), uri=True, check_same_thread=False)
        elif not self._read_only:
            self._lock = self._lock or Lock(self._file)
            self._private()

    def _private(self) -> None:
        try:
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as fault:
            self.release()
            raise StoreGone(f"{self._file}: cannot be written: {fault.strerror}") from fault

    def connect(self) -> None:
        """Open the file; afterwards `cursor` works."""
        link = sqlite3.connect(self._uri(), uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
        self._link = link
        if not self._read_only and not self._in_memory:
            mode = link.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            if mode != "wal":
                raise StoreGone(f"{self.label}: the file system gives journal mode {mode}, books need wal")
        for setting in ("synchronous=FULL", "foreign_keys=ON", f"wal_autocheckpoint={WAL_PAGES}", f"cache_size=-{CACHE_KIB}"):
            link.execute(f"PRAGMA {setting}")
        self._cursor = link.cursor()
        self._begin = "BEGIN" if self._read_only else "BEGIN IMMEDIATE"

    def begin(self) -> None:
        """Start a transaction."""
        self._link.execute(self._begin)

    def commit(self) -> None:
        """Make it durable."""
        self._link.execute("COMMIT")

    def rollback(self) -> None:
        """Undo it."""
        if self._link.in_transaction:
            self._link.execute("ROLLBACK")

    def rows(self, text: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run one statement."""
        return self._cursor.execute(text, params).fetchall()

    def many(self, text: str, rows: list[tuple[Any, ...]]) -> None:
        """Run one statement for each row."""
        self._cursor.executemany(text, rows)

    def disconnect(self) -> None:
        """Close the connection; an open transaction is undone."""
        with contextlib.suppress(AttributeError, sqlite3.Error):
            self._cursor.close()  # its statement would keep the file open
            self._link.close()

    def release(self) -> None:
        """Let the next writer in."""
        if self._lock:
            self._lock.release()
            self._lock = None
        if self._anchor:
            self._anchor.close()
            self._anchor = None

    def translate(self, fault: Exception) -> StoreError:
        """Return the driver's error as ours; SQLite's texts name tables and columns, never values."""
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_CONSTRAINT and "UNIQUE" in str(fault):
            table, columns = _columns(str(fault))
            return Conflict(f"{table}: a row with this {columns} exists already")
        if code in GONE or (isinstance(fault, sqlite3.ProgrammingError) and "closed" in str(fault)):
            return StoreGone(f"{self.label}: {fault}")
        return StoreError(f"{self.label}: {fault}")


def _columns(message: str) -> tuple[str, str]:
    """Return table and columns of ``UNIQUE constraint failed: journal.bucket, journal.seq``."""
    names = [name.strip().partition(".") for name in message.partition(":")[2].split(",")]
    return names[0][0], ", ".join(column for _, _, column in names)
