"""The books: their format is what the migrations make, and every table bears the service's prefix."""

from shanfu.store import differences
from shanfu.tsp import PREFIX, SCHEMA


def test_the_migrations_lead_to_the_metadata() -> None:
    assert differences(":memory:", SCHEMA) == []


def test_every_table_and_index_bears_the_prefix() -> None:
    names = [*SCHEMA.metadata.tables, *(index.name for table in SCHEMA.metadata.tables.values() for index in table.indexes)]
    assert [name for name in names if not str(name).startswith(PREFIX)] == []
