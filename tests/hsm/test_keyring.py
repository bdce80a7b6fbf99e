"""A key reset adds a generation; the one before stays good for the switch-over window."""

from pathlib import Path

import pytest
from sqlalchemy import MetaData

from shanfu.errors import KeyUseError
from shanfu.hsm.jobs import KeyBlock
from shanfu.hsm.keyring import SWITCH_OVER_MS, Keyring, KeyRow, keys_table
from shanfu.store import Schema, Shelf, Store, Transaction

METADATA = MetaData()
SHELF = Shelf(keys_table(METADATA), KeyRow)
RESET_MS = 1_700_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    columns = ", ".join(
        f"sa.Column({c}, primary_key=True)" for c in ("'bucket', sa.Integer", "'label', sa.Text", "'generation', sa.Integer")
    )
    (migrations / "format_1.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n\nrevision = '1'\ndown_revision = None\n\n"
        f"def upgrade() -> None:\n    op.create_table('keys', {columns},"
        " sa.Column('block', sa.Text, nullable=False), sa.Column('since_ms', sa.BigInteger, nullable=False))\n"
    )
    return Store.open(tmp_path / "keys.db", schema=Schema(party="test", metadata=METADATA, migrations=migrations), name="test")


def turn(store: Store, now_ms: int, *installed: str) -> list[str]:
    with store.begin() as tx:
        ring = Keyring(SHELF, tx, now_ms=now_ms)
        ring.load(["mak/1"])
        for block in installed:
            ring.install("mak/1", KeyBlock(block))
        ring.save()
        return list(ring.candidates("mak/1"))


@pytest.mark.parametrize(
    ("later_ms", "candidates"),
    [
        (0, ["new", "old"]),
        (SWITCH_OVER_MS - 1, ["new", "old"]),
        (SWITCH_OVER_MS, ["new"]),
    ],
)
def test_switch_over(store: Store, later_ms: int, candidates: list[str]) -> None:
    turn(store, RESET_MS - 1_000, "old")
    turn(store, RESET_MS, "new")
    assert turn(store, RESET_MS + later_ms) == candidates


def test_only_a_few_generations_are_kept(store: Store) -> None:
    for number in range(10):
        turn(store, RESET_MS + number, f"key {number}")
    with store.begin() as tx:
        assert [row.block for row in SHELF.open(tx).load(("bucket", "label"), [(0, "mak/1")])] == ["key 7", "key 8", "key 9"]


def test_a_missing_key_is_named(store: Store) -> None:
    with store.begin() as tx:
        ring = Keyring(SHELF, tx, now_ms=RESET_MS)
        ring.load(["pik/1"])
        with pytest.raises(KeyUseError, match="key pik/1: is not installed"):
            ring.current("pik/1")
        assert not ring.has("pik/1")


def test_what_was_known_between_turns_is_forgotten_with_an_installation_and_with_one_that_came_to_nothing(store: Store) -> None:
    kept = Shelf(keys_table(MetaData()), KeyRow, kept=True)

    def ring_of(tx: Transaction) -> Keyring:
        ring = Keyring(kept, tx, now_ms=RESET_MS)
        ring.load(["mak/1"])
        return ring

    for nth, expected in enumerate([[], ["block 0"], ["block 1", "block 0"]]):
        for _ in range(2):
            tx = store.begin()
            ring = ring_of(tx)
            assert ring.candidates("mak/1") == expected
            ring.install("mak/1", KeyBlock("never"))
            assert ring.current("mak/1") == "never"
            ring.save()
            assert ring_of(tx).current("mak/1") == "never"
            tx.rollback()
        with store.begin() as tx:
            ring = ring_of(tx)
            assert ring.candidates("mak/1") == expected
            ring.install("mak/1", KeyBlock(f"block {nth}"))
            ring.save()
