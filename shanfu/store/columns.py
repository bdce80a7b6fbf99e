"""The shape that every party's tables share.

Primary keys start with `bucket`, which says where a row lies once the books are spread, then a key that grows with time;
what rows are looked up by is text under an index of its own. Values are whole numbers, text and bytes: no column type that
needs conversion, so rows go to the driver and back as they are. On SQLite rows lie in the order in which they came, under
indexes that are narrow (`docs/decisions/0011-rows-lie-in-the-order-they-came.md`).
"""

import dataclasses
import zlib
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    func,
    select,
)
from sqlalchemy.schema import SchemaItem

from shanfu.store.statement import Statement

if TYPE_CHECKING:
    from shanfu.store.engine import Transaction

__all__ = ["Sequencer", "book", "book_of", "bucket_of", "journal", "number", "octets", "open_index", "text"]

EPOCH_MS = 1_577_836_800_000  # 2020-01-01: 43 bits of milliseconds last until 2298, and the whole stays under 63
COUNTER_BITS = 20  # a million rows in one millisecond


def text(name: str, *, null: bool = False, key: bool = False) -> Column[Any]:
    """Return a text column; codes of the standards are text, whatever digits they hold."""
    return Column(name, Text, nullable=null, primary_key=key)


def number(name: str, *, null: bool = False, key: bool = False) -> Column[Any]:
    """Return a 64-bit column: amounts in minor units, milliseconds, counters, states."""
    return Column(name, BigInteger, nullable=null, primary_key=key, autoincrement=False if key else "auto")


def octets(name: str, *, null: bool = False, key: bool = False) -> Column[Any]:
    """Return a column of bytes: sealed values and stored messages."""
    return Column(name, LargeBinary, nullable=null, primary_key=key)


_COLUMNS: Final = {str: text, int: number, bytes: octets}


def book(name: str, metadata: MetaData, *items: SchemaItem) -> Table:
    """Return a table whose primary key is `bucket` and then those `items` that are keys."""
    bucket = Column("bucket", Integer, primary_key=True, autoincrement=False)
    table = Table(name, metadata, bucket, *items)
    if len(table.primary_key.columns) < 2:
        raise TypeError(f"{name}: the primary key needs a column after bucket")
    return table


def book_of(name: str, metadata: MetaData, row: type, *keys: str) -> Table:
    """Return the table of a class of rows: a column for each field, in its order and of its type; `keys` follow `bucket`."""
    hints, (bucket, *fields) = get_type_hints(row), dataclasses.fields(row)
    if bucket.name != "bucket":
        raise TypeError(f"{row.__name__}: the first field is {bucket.name}, rows lie in buckets")
    columns = [_COLUMNS[hints[field.name]](field.name, key=field.name in keys) for field in fields]
    return book(name, metadata, *columns)


def journal(name: str, metadata: MetaData, *items: SchemaItem) -> Table:
    """Return a table of what happened: `bucket, seq, format, business_date, batch, institution, currency`, then `items`.

    `business_date` is YYYYMMDD, `institution` the other side's code, `currency` the ISO 4217 number, each as text; `batch`
    is "" where there are none.
    """
    head = (
        number("seq", key=True),
        number("format"),
        text("business_date"),
        text("batch"),
        text("institution"),
        text("currency"),
    )
    return book(name, metadata, *head, *items)


def open_index(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> Index:
    """Return an index over the rows that still wait for something, for deadlines; the others cost it nothing."""
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


def bucket_of(account_group: str, buckets: int) -> int:
    """Return where the rows of an account group lie; all its tokens share it, so one authorisation stays in one bucket.

    >>> bucket_of("6200000000000000000", 1), bucket_of("a", 16) == bucket_of("a", 16)
    (0, True)
    """
    return zlib.crc32(account_group.encode()) % buckets


class Sequencer:
    """Gives `seq`: numbers that grow with time and fit 63 bits, milliseconds since 2020, then a counter.

    When the clock stands still or steps back, they go on from the last one, also from the last one the books hold.
    """

    def __init__(self, table: Table) -> None:
        c = table.columns
        self._next_bucket = Statement(select(func.min(c.bucket)).where(c.bucket > bindparam("bucket")), "bucket")
        self._largest = Statement(select(func.max(c.seq)).where(c.bucket == bindparam("bucket")), "bucket")
        self._last = 0

    def next(self, tx: "Transaction", *, now_ms: int) -> int:
        """Return a number larger than all before."""
        self._last = max((self._last or self._kept(tx)) + 1, (now_ms - EPOCH_MS) << COUNTER_BITS)
        return self._last

    def _kept(self, tx: "Transaction") -> int:
        """Return the largest number in the books, by one look at the end of each bucket."""
        bucket, last = tx.one(self._next_bucket, (-1,)), 0
        while bucket and bucket[0] is not None:
            largest = tx.one(self._largest, bucket)
            last = max(last, largest[0] if largest else 0)
            bucket = tx.one(self._next_bucket, bucket)
        return last
