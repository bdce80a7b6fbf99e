"""Books: what a party must not forget, on SQLite or PostgreSQL, and the small durable memories of cards and terminals.

Who this is in the world: the database room of every host. It is asked to open a party's books (`Store.open`), to give one
transaction at a time (`store.begin`), and to load and save whole batches of rows (`Shelf`, `Book`); it asks the disk or the
server, and never says "done" before they did. Hosts state their tables with `columns`, their queries with `Statement`, and
their formats with one revision file per format.

Files in reading order: engine (Store, Transaction), book (Shelf, Book), columns (the common shape of tables), statement
(Core compiled to driver text), migrate (formats), database, sqlite and postgres (what is below), memory (cards, terminals),
lock (one writer).
"""

from shanfu.store.book import Book, By, Shelf
from shanfu.store.columns import Sequencer, book, book_of, bucket_of, journal, number, octets, open_index, text
from shanfu.store.engine import Schema, Store, Transaction
from shanfu.store.lock import Lock, held
from shanfu.store.memory import DictMemory, FileMemory, Sealer
from shanfu.store.migrate import current_format, differences, draft
from shanfu.store.statement import Params, Statement

__all__ = [
    "Book", "By", "DictMemory", "FileMemory", "Lock", "Params", "Schema", "Sealer", "Sequencer", "Shelf", "Statement", "Store",
    "Transaction", "book", "book_of", "bucket_of", "current_format", "differences", "draft", "held", "journal", "number",
    "octets", "open_index", "text",
]  # fmt: skip
