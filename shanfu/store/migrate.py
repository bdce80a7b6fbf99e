"""Formats of books: every store knows its number, older ones are upgraded on opening, newer ones refused.

A party keeps one alembic revision per format in its `migrations/` folder, `format_1.py`, `format_2.py`, ...; revision "2"
is format 2. They run inside one transaction, so a process that dies between them leaves the old format. The number lies in
the table `<party>_format`. `differences` proves that the revisions lead to exactly the tables of the metadata, and `draft`
writes the next revision for the engineer to read and correct:

    python -c "from shanfu.issuer import SCHEMA as s; from shanfu.store import draft; print(draft(s))" >format_1.py
"""

import re
from typing import TYPE_CHECKING, Any

from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, create_engine, event, inspect, pool, text
from sqlalchemy.exc import DBAPIError

from shanfu.errors import StoreError, StoreGone, StoreVersion

if TYPE_CHECKING:
    from shanfu.store.engine import Schema

__all__ = ["current_format", "differences", "draft", "require", "upgrade"]

DRAFT = '''"""Format {number} of the {party}'s books."""

import sqlalchemy as sa
from alembic import op

revision = "{number}"
down_revision = {before}


def upgrade() -> None:
    """Lead from the format before to this one."""
{body}
'''


def upgrade(url: str, schema: "Schema", *, label: str = "") -> int:
    """Create the books, or bring them to the current format, and return its number; raises StoreVersion, StoreGone."""
    script = _script(schema)
    head = int(script.get_current_head() or 0)
    with _Session(url, label) as connection:
        context = _context(connection, schema)
        found = _found(connection, context, schema, label)
        if found > head:
            raise StoreVersion(f"{label} was written by format {found}, this is {head}; use a newer shanfu")
        if found < head:
            steps = reversed(list(script.iterate_revisions(str(head), str(found) if found else "base")))
            with Operations.context(context):
                for step in steps:
                    step.module.upgrade()
            context.stamp(script, str(head))
    return head


def require(url: str, schema: "Schema", *, label: str = "") -> int:
    """Return the books' format if it is ours, and refuse any other; raises StoreVersion."""
    head = int(_script(schema).get_current_head() or 0)
    found = current_format(url, schema, label=label)
    if found != head:
        newer = "a newer shanfu" if found > head else "the owner, which upgrades them when it opens them"
        raise StoreVersion(f"{label} was written by format {found}, this is {head}; use {newer}")
    return found


def current_format(url: str, schema: "Schema", *, label: str = "") -> int:
    """Return the number of the format the books have, 0 for none; raises StoreVersion when they are not this party's."""
    with _Session(url, label) as connection:
        return _found(connection, _context(connection, schema), schema, label)


def differences(url: str, schema: "Schema") -> list[str]:
    """Upgrade the books at `url` and return in words how their tables differ from the metadata; [] is right."""
    with _Session(url, "") as connection:
        upgrade_on(connection, schema)
        context = _context(connection, schema)
        found = [repr(difference) for difference in compare_metadata(context, schema.metadata)]
        if connection.dialect.name == "sqlite":
            found += _unlike(connection, schema)
    return found


def draft(schema: "Schema") -> str:
    """Return the text of the revision that leads from the newest format to the metadata."""
    with _Session("sqlite://", "") as connection:
        upgrade_on(connection, schema)
        script = produce_migrations(_context(connection, schema), schema.metadata)
        assert script.upgrade_ops is not None
        body = render_python_code(script.upgrade_ops)
    head = int(_script(schema).get_current_head() or 0)
    lines = [line for line in body.splitlines() if not line.strip().startswith("#")]
    return DRAFT.format(
        party=schema.party, number=head + 1, before=repr(str(head)) if head else None, body="\n".join(lines).replace("'", '"')
    )


def upgrade_on(connection: Connection, schema: "Schema") -> None:
    """Bring the books of an open connection to the newest format."""
    script = _script(schema)
    context = _context(connection, schema)
    with Operations.context(context):
        for step in reversed(list(script.walk_revisions())):
            step.module.upgrade()


class _Session:
    """A SQLAlchemy connection in one transaction that covers table definitions too."""

    def __init__(self, url: str, label: str) -> None:
        self._label = label
        self._engine: Engine = create_engine(url, poolclass=pool.NullPool)
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


def _script(schema: "Schema") -> ScriptDirectory:
    return ScriptDirectory(dir=str(schema.migrations), version_locations=[str(schema.migrations)])


def _context(connection: Connection, schema: "Schema") -> MigrationContext:
    def ours(_thing: Any, name: str | None, kind: str, reflected: bool, _compared: Any) -> bool:
        return not (kind == "table" and reflected and str(name).endswith("_format"))

    opts = {"version_table": f"{schema.party}_format", "include_object": ours, "compare_type": True}
    return MigrationContext.configure(connection, opts=opts)


def _found(connection: Connection, context: MigrationContext, schema: "Schema", label: str) -> int:
    tables = set(inspect(connection).get_table_names())
    if f"{schema.party}_format" in tables:
        revision = context.get_current_revision()
        return int(revision) if revision else 0
    owners = sorted(name.removesuffix("_format") for name in tables if name.endswith("_format"))
    if owners or tables & set(schema.metadata.tables):
        raise StoreVersion(f"{label} holds the books of {owners[0] if owners else 'another program'}, not of {schema.party}")
    return 0


def _unlike(connection: Connection, schema: "Schema") -> list[str]:
    """Compare what alembic does not: partial indexes and tables without row ids."""
    engine = create_engine("sqlite://")
    with engine.connect() as other:
        schema.metadata.create_all(other)
        ours, theirs = _shapes(other, schema.metadata), _shapes(connection, schema.metadata)
    engine.dispose()
    names = sorted(ours.keys() | theirs.keys())
    return [
        f"{name}: {theirs.get(name)!r}, metadata says {ours.get(name)!r}"
        for name in names
        if ours.get(name) != theirs.get(name)
    ]


def _shapes(connection: Connection, metadata: MetaData) -> dict[str, str]:
    rows = connection.execute(text("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL")).fetchall()
    return {
        name: re.sub(r"[\s\"]+", " ", sql) if kind == "index" else str("WITHOUT ROWID" in sql)
        for kind, name, table, sql in rows
        if table in metadata.tables
    }
