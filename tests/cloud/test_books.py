"""The books of the cloud: their one format, their names, and what may lie in them."""

from pathlib import Path

import pytest

from shanfu.cloud import SCHEMA, block_device, list_devices
from shanfu.errors import NotFound
from shanfu.store import Store, differences
from tests.cloud.world import Phone, World
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


def test_the_format_leads_to_the_tables() -> None:
    assert differences(":memory:", SCHEMA) == []


def test_the_format_leads_to_the_tables_on_postgresql(postgres_url: str) -> None:
    assert differences(postgres_url, SCHEMA) == []


def test_every_table_bears_the_party_in_its_name() -> None:
    names = [*SCHEMA.metadata.tables, *(index.name for table in SCHEMA.metadata.tables.values() for index in table.indexes)]
    assert [name for name in names if not str(name).startswith("cloud_")] == []


def test_rows_show_no_secret(world: World, phone: Phone) -> None:
    """What a row's repr shows may end in a log."""
    key_set = phone.replenish()
    with world.store.begin() as tx:
        books = world.cloud.books(tx, now_ms=0)
        rows = [books.device(phone.device), books.session(phone.session), *books.key_sets_of(phone.token)]
        told = repr(rows)
        session = books.session(phone.session)
        assert session is not None
        assert session.block not in told
    assert key_set.wrapped[:40] not in told
    assert "lilei" not in told
    assert "Li Lei" not in told


def test_old_rows_are_cleared_away(world: World, phone: Phone) -> None:
    world.settle(20 * 60_000)
    with world.store.begin() as tx:
        books = world.cloud.books(tx, now_ms=0)
        assert books.session(phone.session) is None


def test_books_open_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    phone = world.ready()
    key_set = phone.replenish()
    world.net.stop("cloud")
    world.close()
    store = Store.open(tmp_path / "cloud.db", schema=SCHEMA, name="cloud")
    world.store = store
    world.net.start("cloud", store=store)
    phone.open()
    assert phone.replenish() == key_set
    store.close()


def test_blocking_nobody_is_an_error(world: World) -> None:
    with pytest.raises(NotFound):
        block_device(world.store, "nobody")
    assert list_devices(world.store) == []
