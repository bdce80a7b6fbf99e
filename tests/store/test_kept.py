"""Small tables stay known between transactions, and are forgotten as soon as their rows may have become others.

A statement written past the books stands for what the store itself would never do: it shows whether rows were read again.
"""

import pytest
from sqlalchemy import bindparam, update

from shanfu.errors import StoreGone
from shanfu.store import Shelf, Statement, Store
from tests.store.tables import SCHEMA, AccountRow, account_table

KEPT = Shelf(account_table, AccountRow, kept=True)
USUAL = Shelf(account_table, AccountRow)
KEY = ("bucket", "account")
BEHIND = Statement(update(account_table).values(balance_minor=bindparam("balance")), "balance")


@pytest.fixture
def store(where):
    with Store.open(where, schema=SCHEMA, name="sample") as store:
        save(store, 1)
        yield store


def save(store: Store, balance: int, *, shelf: Shelf = KEPT, name: str = "A") -> None:
    with store.begin() as tx:
        book = shelf.open(tx)
        found = book.load(KEY, [(0, name)])
        row = found[0] if found else book.add(AccountRow(0, name, balance, 0))
        row.balance_minor = balance
        book.save()


def balance(store: Store, *, name: str = "A", then: Exception | None = None) -> int | None:
    with store.begin() as tx:
        found = KEPT.open(tx).load(KEY, [(0, name)])
        if then:
            raise then
    return found[0].balance_minor if found else None


def write_behind(store: Store, balance: int) -> None:
    with store.begin() as tx:
        tx.rows(BEHIND, (balance,))


def test_rows_are_read_once_and_each_transaction_has_its_own_objects(store):
    assert balance(store) == 1
    write_behind(store, 2)
    assert balance(store) == 1
    with store.begin() as tx:
        KEPT.open(tx).load(KEY, [(0, "A")])[0].balance_minor = 9  # changed, never saved
    assert balance(store) == 1


def test_absence_is_known_until_the_row_is_there(store):
    assert balance(store, name="B") is None
    save(store, 5, name="B")
    assert balance(store, name="B") == 5


@pytest.mark.parametrize("shelf", [KEPT, USUAL], ids=["kept", "not kept"])
def test_writing_forgets(store, shelf):
    assert balance(store) == 1
    save(store, 3, shelf=shelf)
    assert balance(store) == 3


def test_what_is_written_and_undone_was_never_known(store):
    assert balance(store) == 1
    tx = store.begin()
    book = KEPT.open(tx)
    book.load(KEY, [(0, "A")])[0].balance_minor = 4
    book.save()
    assert KEPT.open(tx).load(KEY, [(0, "A")])[0].balance_minor == 4
    tx.rollback()
    assert balance(store) == 1


def test_rolling_back_forgets(store):
    assert balance(store) == 1
    write_behind(store, 2)
    with pytest.raises(ZeroDivisionError):
        balance(store, then=ZeroDivisionError())
    assert balance(store) == 2


def test_reopening_forgets(store):
    assert balance(store) == 1
    write_behind(store, 2)
    store.reopen()
    assert balance(store) == 2


def test_a_commit_of_unknown_outcome_forgets(store, monkeypatch):
    assert balance(store) == 1
    write_behind(store, 2)
    tx = store.begin()

    def fail() -> None:
        raise store._database.errors[0]

    monkeypatch.setattr(store._database, "commit", fail)
    with pytest.raises(StoreGone):
        tx.commit()
    monkeypatch.undo()
    store._database.rollback()
    assert balance(store) == 2


def test_a_store_that_only_reads_knows_nothing(store, where):
    with Store.open(where, schema=SCHEMA, name="reader", read_only=True) as reader:
        assert balance(reader) == 1
        save(store, 2)
        assert balance(reader) == 2
