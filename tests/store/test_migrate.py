"""Formats: nothing becomes the newest, older is upgraded, newer and foreign are refused."""

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Column, Index, MetaData, Text

from shanfu.errors import StoreError, StoreVersion
from shanfu.store import Schema, Statement, Store, current_format, differences, draft, open_index
from tests.links.teller import SCHEMA as TELLER
from tests.store.tables import ACCOUNTS, SCHEMA, AccountRow, metadata

SECOND = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = "2", "1"
def upgrade():
    op.add_column("account", sa.Column("owner", sa.Text(), nullable=True))
    {more}
"""


def later(folder: Path, more: str = "pass") -> Schema:
    """The sample's schema one format on: accounts have an owner."""
    changed = MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(changed)
    changed.tables["account"].append_column(Column("owner", Text))
    shutil.copytree(SCHEMA.migrations, folder / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "migrations" / "format_2.py").write_text(SECOND.format(more=more))
    return Schema(party="sample", metadata=changed, migrations=folder / "migrations")


def fill(where: str, schema: Schema) -> None:
    with Store.open(where, schema=schema, name="sample") as store, store.begin() as tx:
        book = ACCOUNTS.open(tx)
        book.add(AccountRow(0, "A1", 100, 1))
        book.save()


def test_migrations_lead_to_exactly_the_tables(where):
    assert differences(where, SCHEMA) == []


@pytest.mark.parametrize("what", ["column", "index", "partial"])
def test_differences_are_told(what):
    changed = MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(changed)
    account, journal = changed.tables["account"], changed.tables["journal"]
    match what:
        case "column":
            account.append_column(Column("owner", Text))
        case "index":
            Index("account_balance", account.c.balance_minor)
        case "partial":
            journal.indexes.remove(next(index for index in journal.indexes if index.name == "journal_open"))
            Index("journal_open", journal.c.deadline_ms, sqlite_where=journal.c.state == 2)
    assert differences(":memory:", replace(SCHEMA, metadata=changed))


def test_an_older_format_is_upgraded_on_opening(where, tmp_path):
    fill(where, SCHEMA)
    schema = later(tmp_path)
    assert differences(":memory:", schema) == []
    assert current_format(where, SCHEMA) == 1
    with pytest.raises(StoreVersion, match="written by format 1, this is 2"):
        Store.open(where, schema=schema, name="sample", read_only=True)
    with Store.open(where, schema=schema, name="sample") as store, store.begin() as tx:
        assert tx.rows(Statement(schema.metadata.tables["account"].select())) == [(0, "A1", 100, 1, None)]
    assert current_format(where, schema) == 2


def test_the_next_new_books_of_a_process_are_like_the_first(tmp_path):
    schema = later(tmp_path, more="op.execute(\"INSERT INTO account VALUES (0, 'A0', 0, 0, 'nobody')\")")
    books = [tmp_path / "first.db", tmp_path / "next.db"]
    for path in books:
        fill(str(path), schema)
        assert current_format(path, schema) == 2
    first, following = (list(sqlite3.connect(path).iterdump()) for path in books)
    assert first == following
    assert any("nobody" in line for line in first)


def test_a_newer_format_is_refused_and_left_alone(where, tmp_path):
    fill(where, later(tmp_path))
    with pytest.raises(StoreVersion, match="was written by format 2, this is 1; use a newer shanfu"):
        Store.open(where, schema=SCHEMA, name="sample")
    assert current_format(where, SCHEMA) == 2


def test_an_upgrade_that_fails_changes_nothing(where, tmp_path):
    fill(where, SCHEMA)
    schema = later(tmp_path, more='op.execute("INSERT INTO nowhere VALUES (1)")')
    with pytest.raises(StoreError, match="upgrade failed"):
        Store.open(where, schema=schema, name="sample")
    assert current_format(where, SCHEMA) == 1
    with Store.open(where, schema=SCHEMA, name="sample") as store, store.begin() as tx:
        assert len(tx.rows(Statement(ACCOUNTS.select()))) == 1


def test_books_of_another_party_are_refused(where):
    fill(where, SCHEMA)
    with pytest.raises(StoreVersion, match="holds the books of sample, not of other"):
        Store.open(where, schema=replace(SCHEMA, party="other"), name="other")


def test_files_of_other_programs_are_refused(tmp_path):
    path = tmp_path / "books.db"
    with sqlite3.connect(path) as link:
        link.execute("CREATE TABLE journal (x)")
    link.close()
    with pytest.raises(StoreVersion, match="another program"):
        Store.open(path, schema=SCHEMA, name="sample")
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"books\.db: file is not a database"):
        Store.open(path, schema=SCHEMA, name="sample")


def test_a_draft_is_the_revision_an_engineer_would_write(tmp_path):
    schema = later(tmp_path)
    (schema.migrations / "format_2.py").unlink()
    account = schema.metadata.tables["account"]
    open_index("account_owned", account.c.owner, where=account.c.owner != "nobody's")
    text = draft(schema)
    (schema.migrations / "format_2.py").write_text(text)
    assert 'revision = "2"' in text
    assert differences(":memory:", schema) == []


# -- a database that several parties share ---------------------------------------------------------------------------------

TOGETHER = SCHEMA.beside(TELLER)


def test_parties_that_share_a_database_keep_their_formats(where):
    assert differences(where, TOGETHER) == []
    assert (current_format(where, SCHEMA), current_format(where, TELLER)) == (1, 1)


# fmt: off
OPENINGS = [
    # written by     then opened by    works
    (SCHEMA,         TOGETHER,         True),   # the party gets company
    (TELLER,         TOGETHER,         True),
    (TOGETHER,       SCHEMA,           True),   # each still finds its own
    (TOGETHER,       TELLER,           True),
    (SCHEMA,         TELLER,           False),
]
# fmt: on


@pytest.mark.parametrize(("first", "then", "works"), OPENINGS)
def test_company_comes_and_goes(where, first: Schema, then: Schema, works: bool):
    Store.open(where, schema=first, name="one").close()
    if works:
        Store.open(where, schema=then, name="other").close()
        Store.open(where, schema=then, name="other", read_only=True).close()
    else:
        with pytest.raises(StoreVersion, match="holds the books of sample, not of teller"):
            Store.open(where, schema=then, name="other")


def test_one_party_upgraded_alone(where, tmp_path):
    Store.open(where, schema=TOGETHER, name="one").close()
    newer = later(tmp_path).beside(TELLER)
    assert differences(where, newer) == []
    assert (current_format(where, newer), current_format(where, TELLER)) == (2, 1)
    with pytest.raises(StoreVersion, match="written by format 2"):
        Store.open(where, schema=TOGETHER, name="one")
