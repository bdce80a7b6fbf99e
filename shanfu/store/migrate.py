"""Formats of books: every store knows its number, older ones are upgraded on opening, newer ones refused.

A party keeps one alembic revision per format in its `migrations/` folder, `format_1.py`, `format_2.py`, ...; revision "2"
is format 2. They run inside one transaction, so a process that dies between them leaves the old format. The number lies in
the table `<party>_format`. `differences` proves that the revisions lead to exactly the tables of the metadata, and `draft`
writes the next revision for the engineer to read and correct:

    python -c "from shanfu.issuer import SCHEMA as s; from shanfu.store import draft; print(draft(s))" >format_1.py
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, MetaData, column, create_engine, event, inspect, select, table, text
from sqlalchemy.exc import DBAPIError

from shanfu.errors import StoreError, StoreGone, StoreVersion
from shanfu.store.database import Database
from shanfu.store.database import database as at

if TYPE_CHECKING:
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from shanfu.store.engine import Schema

# alembic is imported where it works: books of our own format, the common case, are opened without it

__all__ = ["current_format", "differences", "draft", "require", "upgrade"]

# by dialect, party, folder of revisions and format: the statements that made new books, and their values
_made: dict[tuple[str, str, Path, int], list[tuple[str, Any]]] = {}

FORMAT_FILE = re.compile(r"format_(\d+)\.py")
DRAFT = '''"""Format {number} of the {party}'s books."""

import sqlalchemy as sa
from alembic import op

revision = "{number}"
down_revision = {before}


def upgrade() -> None:
    """Lead from the format before to this one."""
{body}
'''


def upgrade(database: Database, schema: "Schema") -> None:
    """Create the books, or bring them to the current format; raises StoreVersion, StoreGone."""
    with _Session(database) as connection:
        formats = _formats(connection, schema, database.label)
        for _, found, head in formats:
            if found > head:
                raise StoreVersion(f"{database.label} was written by format {found}, this is {head}; use a newer shanfu")
        for part, found, head in formats:
            if found < head:
                _upgrade(connection, part, found)


def require(database: Database, schema: "Schema") -> None:
    """Refuse books whose format is not ours, touching nothing; raises StoreVersion."""
    with _Session(database) as connection:
        formats = _formats(connection, schema, database.label)
    for _, found, head in formats:
        if found != head:
            use = "a newer shanfu" if found > head else "their owner, which upgrades them when it opens them"
            raise StoreVersion(f"{database.label} was written by format {found}, this is {head}; use {use}")


def current_format(where: str | Path, schema: "Schema") -> int:
    """Return the number of the format the books at `where` have, 0 for none; raises StoreVersion when they are another's."""
    books = at(where, name=schema.party, read_only=True)
    with _Session(books) as connection:
        return _formats(connection, schema, books.label)[0][1]


def differences(where: str | Path, schema: "Schema") -> list[str]:
    """Create or upgrade the books at `where` and return in words how their tables differ from the metadata; [] is right."""
    from alembic.autogenerate import compare_metadata

    with _upgraded(where, schema) as connection:
        found = [
            repr(difference)
            for part in schema.parts
            for difference in compare_metadata(_context(connection, part, _others_tables(schema, part)), part.metadata)
        ]
        if connection.dialect.name == "sqlite":
            found += [line for part in schema.parts for line in _unlike(connection, part)]
    return found


def draft(schema: "Schema") -> str:
    """Return the text of the revision that leads from the newest format to the metadata."""
    from alembic.autogenerate import produce_migrations, render_python_code

    with _upgraded(":memory:", schema) as connection:
        script = produce_migrations(_context(connection, schema), schema.metadata)
        assert script.upgrade_ops is not None
        body = render_python_code(script.upgrade_ops)
    head = _head(schema)
    lines = [line for line in body.splitlines() if not line.strip().startswith("#")]
    return DRAFT.format(party=schema.party, number=head + 1, before=repr(str(head)) if head else None, body="\n".join(lines))


@contextmanager
def _upgraded(where: str | Path, schema: "Schema") -> Iterator[Connection]:
    books = at(where, name=schema.party)
    books.acquire()
    try:
        upgrade(books, schema)
        with _Session(books) as connection:
            yield connection
    finally:
        books.release()


def _upgrade(connection: Connection, schema: "Schema", found: int) -> None:
    """Run the revisions; what made new books once is remembered, and said again for the next ones of this process."""
    kind = connection.dialect.name, schema.party, schema.migrations, _head(schema)
    said: list[tuple[str, Any]] = []
    if not found and kind in _made:
        for statement, values in _made[kind]:
            connection.exec_driver_sql(statement, values)
        return

    def listen(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if not statement.startswith(("SELECT", "PRAGMA")):
            said.append((statement, values or None))

    event.listen(connection, "before_cursor_execute", listen)
    _run(connection, schema, found)
    event.remove(connection, "before_cursor_execute", listen)
    if not found:
        _made[kind] = said


def _run(connection: Connection, schema: "Schema", found: int) -> None:
    from alembic.operations import Operations

    logging.getLogger("alembic").setLevel(logging.WARNING)
    script, context = _script(schema), _context(connection, schema)
    steps = list(script.iterate_revisions("head", str(found) if found else "base"))
    with Operations.context(context):
        for step in reversed(steps):
            step.module.upgrade()
    context.stamp(script, "head")


class _Session:
    """A SQLAlchemy connection in one transaction that covers table definitions too."""

    def __init__(self, database: Database) -> None:
        self._label, self._engine = database.label, database.engine()
        if self._engine.dialect.name == "sqlite":
            # the driver would run table definitions outside of transactions
            event.listen(self._engine, "connect", lambda link, _: setattr(link, "isolation_level", None))
            event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))

    def __enter__(self) -> Connection:
        try:
            self._begun = self._engine.begin()
            return self._begun.__enter__()
        except DBAPIError as fault:
            raise StoreGone(f"{self._label}: {fault.orig}") from None

    def __exit__(self, kind: Any, fault: Any, trace: Any) -> None:
        try:
            self._begun.__exit__(kind, fault, trace)
        finally:
            self._engine.dispose()
        if isinstance(fault, DBAPIError):
            raise StoreError(f"{self._label}: upgrade failed: {fault.orig}") from fault


def _head(schema: "Schema") -> int:
    numbers = (FORMAT_FILE.fullmatch(path.name) for path in schema.migrations.iterdir())
    return max((int(found.group(1)) for found in numbers if found), default=0)


def _script(schema: "Schema") -> "ScriptDirectory":
    from alembic.script import ScriptDirectory

    return ScriptDirectory(dir=str(schema.migrations), version_locations=[str(schema.migrations)])


def _others_tables(schema: "Schema", part: "Schema") -> frozenset[str]:
    return frozenset(name for other in schema.parts if other is not part for name in other.metadata.tables)


def _context(connection: Connection, schema: "Schema", others: frozenset[str] = frozenset()) -> "MigrationContext":
    from alembic.migration import MigrationContext

    def ours(_thing: Any, name: str | None, kind: str, reflected: bool, _compared: Any) -> bool:
        return not (kind == "table" and reflected and (str(name).endswith("_format") or name in others))

    opts = {"version_table": f"{schema.party}_format", "include_object": ours, "compare_type": True}
    return MigrationContext.configure(connection, opts=opts)


def _formats(connection: Connection, schema: "Schema", label: str) -> list[tuple["Schema", int, int]]:
    """Return each party of these books with the format found and the newest; raises StoreVersion when they are another's."""
    tables = set(inspect(connection).get_table_names())
    owners = {name.removesuffix("_format") for name in tables if name.endswith("_format")}
    strangers = sorted(owners - {part.party for part in schema.parts}) if schema.party not in owners else []
    if strangers:
        raise StoreVersion(f"{label} holds the books of {strangers[0]}, not of {schema.party}")
    return [(part, _found(connection, part, label, tables), _head(part)) for part in schema.parts]


def _found(connection: Connection, schema: "Schema", label: str, tables: set[str]) -> int:
    if f"{schema.party}_format" in tables:
        revision = connection.execute(select(column("version_num")).select_from(table(f"{schema.party}_format"))).scalar()
        return int(revision) if revision else 0
    if tables & set(schema.metadata.tables):
        raise StoreVersion(f"{label} holds the books of another program, not of {schema.party}")
    return 0


def _unlike(connection: Connection, schema: "Schema") -> list[str]:
    """Compare what alembic does not: which rows an index holds."""
    engine = create_engine("sqlite://")
    with engine.connect() as other:
        schema.metadata.create_all(other)
        ours, theirs = _indexes(other, schema.metadata), _indexes(connection, schema.metadata)
    engine.dispose()
    names = sorted(ours.keys() | theirs.keys())
    return [
        f"{name}: {theirs.get(name)!r}, metadata says {ours.get(name)!r}"
        for name in names
        if ours.get(name) != theirs.get(name)
    ]


def _indexes(connection: Connection, metadata: MetaData) -> dict[str, str]:
    rows = connection.execute(text("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
    return {name: re.sub(r"[\s\"]+", " ", sql) for name, table, sql in rows if table in metadata.tables}
