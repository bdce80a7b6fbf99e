"""Stores and books: one contract, passed on SQLite and on PostgreSQL."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass

import pytest
from sqlalchemy import Index, MetaData, bindparam, func, select, update

from shanfu.errors import Conflict, StoreError, StoreGone
from shanfu.store import Sequencer, Shelf, Statement, Store, book_of
from tests.budget import examples
from tests.store.tables import (
    ACCOUNTS,
    DONE,
    DUE,
    JOURNAL,
    SCHEMA,
    WAITING,
    AccountRow,
    JournalRow,
    account_table,
    journal_row,
    journal_table,
)

IDENTITY, ACCOUNT = ("identity",), ("account", "business_date")
COUNT = Statement(select(func.count()).select_from(journal_table))


@pytest.fixture
def store(where):
    with Store.open(where, schema=SCHEMA, name="sample") as store:
        yield store


def fill(store: Store, rows: int = 20) -> list[JournalRow]:
    made = [journal_row(number) for number in range(rows)]
    with store.begin() as tx:
        book = JOURNAL.open(tx)
        for row in made:
            book.add(row)
        book.save()
    return made


def add(store: Store, row: JournalRow, then: Callable[[], object] = lambda: None) -> None:
    with store.begin() as tx:
        book = JOURNAL.open(tx)
        book.add(row)
        book.save()
        then()


def count(store: Store) -> int:
    with store.begin() as tx:
        found = tx.one(COUNT)
    assert found
    return found[0]


def test_rows_come_back_as_they_were(store):
    made = fill(store)
    made[3] = journal_row(
        99,
        identity="名 'quoted' \" \\ \u2028",
        answer=bytes(range(256)),
        amount_minor=-(1 << 62),
        deadline_ms=None,
        response="00",
    )
    with store.begin() as tx:
        JOURNAL.open(tx).add(made[3])
        book = JOURNAL.open(tx)
        book.add(made[3])
        book.save()
    with store.begin() as tx:
        book = JOURNAL.open(tx)
        loaded = book.load(IDENTITY, [row.identity for row in made])
        assert loaded == made
        assert [type(value) for value in JOURNAL.fields(loaded[3])] == [type(value) for value in JOURNAL.fields(made[3])]


def test_a_row_is_one_object_however_it_is_met(store):
    made = fill(store)
    with store.begin() as tx:
        book = JOURNAL.open(tx)
        (row,) = book.load(IDENTITY, [made[5].identity])
        assert book.load(("bucket", "seq"), [(0, 5)]) == [row]
        assert book.find(("bucket", "seq"), (0, 5)) is row
        assert row in [other for other in book.load(ACCOUNT, [("A5", "20260101")]) if other is row]
        assert row in [other for other in book.select(Statement(JOURNAL.select())) if other is row]
        assert book.load(IDENTITY, [made[5].identity, made[5].identity])[0] is row


def test_missing_is_not_the_same_as_forgotten(store):
    fill(store)
    with store.begin() as tx:
        book = JOURNAL.open(tx)
        assert book.load(IDENTITY, ["nobody"]) == []
        assert book.find(IDENTITY, "nobody") is None
        with pytest.raises(LookupError, match="journal: this identity was not loaded"):
            book.find(IDENTITY, "forgotten")
        with pytest.raises(LookupError, match="business_date was not loaded"):
            book.all(ACCOUNT, ("A1", "20260101"))
        book.load(ACCOUNT, [("A1", "20260101")])
        with pytest.raises(LookupError, match="3 rows"):
            book.find(ACCOUNT, ("A1", "20260101"))
        with pytest.raises(TypeError, match="journal: no index starts with stan"):
            book.load(("stan",), ["000001"])


def test_bytes_are_no_look_up_key() -> None:
    @dataclass
    class Row:
        bucket: int
        number: int
        seal: bytes

    table = book_of("seals", MetaData(), Row, "number")
    Index("seals_seal", table.c.bucket, table.c.seal)
    shelf = Shelf(table, Row)
    with pytest.raises(TypeError, match="bytes are no look-up key"):
        shelf.look(("bucket", "seal"))


def test_a_table_is_its_rows_class() -> None:
    @dataclass
    class Row:
        bucket: int
        number: int
        name: str
        seal: bytes

    table = book_of("rows", MetaData(), Row, "number", "name")
    columns = [(column.name, str(column.type), column.primary_key, column.nullable) for column in table.columns]
    assert columns == [
        ("bucket", "INTEGER", True, False), ("number", "BIGINT", True, False), ("name", "TEXT", True, False),
        ("seal", "BLOB", False, False),
    ]  # fmt: skip
    with pytest.raises(TypeError, match="rows: the primary key needs a column after bucket"):
        book_of("rows", MetaData(), Row)
    with pytest.raises(TypeError, match="the first field is name"):
        book_of("rows", MetaData(), make_dataclass("Odd", [("name", str)]))


def test_added_rows_are_among_the_loaded(store):
    fill(store, 3)
    with store.begin() as tx:
        book = JOURNAL.open(tx)
        early = book.add(journal_row(50))
        book.load(IDENTITY, [early.identity, journal_row(51).identity])
        late = book.add(journal_row(51))
        assert book.find(IDENTITY, early.identity) is early
        assert book.find(IDENTITY, late.identity) is late
        assert [row.seq for row in book.load(ACCOUNT, [("A1", "20260101")])] == [1, 50]
        book.save()
    assert count(store) == 5


def test_only_what_changed_is_written(store):
    fill(store)
    written = Spy(store)
    book = JOURNAL.open(written)
    rows = book.load(IDENTITY, [journal_row(number).identity for number in (7, 3, 9)])
    for row in rows:
        row.state, row.response = DONE, "00"
    rows[2].state, rows[2].response = WAITING, None  # changed back
    book.save()
    book.save()
    assert [(text.split()[0], [params[-1] for params in params]) for text, params in written.seen] == [("UPDATE", [3, 7])]
    written.tx.commit()
    with store.begin() as tx:
        done = Statement(select(journal_table.c.seq).where(journal_table.c.response == "00").order_by(journal_table.c.seq))
        assert tx.rows(done) == [(3,), (7,)]


class Spy:
    """A transaction that remembers its bulk writes."""

    def __init__(self, store: Store) -> None:
        self.tx, self.seen = store.begin(), []
        self.dialect, self.rows, self.kept = self.tx.dialect, self.tx.rows, self.tx.kept

    def many(self, statement, rows):
        self.seen.append((statement.compiled(self.dialect)[0], rows))
        self.tx.many(statement, rows)


def test_removed_rows_are_gone_and_make_room(store):
    made = fill(store, 3)
    with store.begin() as tx:
        book = JOURNAL.open(tx)
        (row,) = book.load(IDENTITY, [made[1].identity])
        book.remove(row)
        assert book.find(IDENTITY, made[1].identity) is None
        assert len(book.select(Statement(JOURNAL.select()))) == 2
        book.remove(book.add(journal_row(8)))
        book.add(journal_row(9, identity=made[1].identity))
        book.save()
        with pytest.raises(LookupError):
            book.remove(row)
    assert count(store) == 3


def test_a_row_saved_twice_is_inserted_once_then_updated(store):
    with store.begin() as tx:
        book = JOURNAL.open(tx)
        row = book.add(journal_row(1))
        book.save()
        row.response = "05"
        book.save()
        assert JOURNAL.open(tx).load(IDENTITY, [row.identity])[0].response == "05"


CONFLICTS = [
    ("look-up key", {"number": 100, "identity": journal_row(1).identity}, "identity"),
    ("primary key", {"number": 1, "identity": "another"}, "journal"),
]


@pytest.mark.parametrize(("made", "words"), [row[1:] for row in CONFLICTS], ids=[row[0] for row in CONFLICTS])
def test_a_second_row_with_the_same_key_is_a_conflict_that_shows_no_values(store, made, words):
    fill(store)
    with pytest.raises(Conflict, match=words) as caught:
        add(store, journal_row(**made))
    told = "".join(map(str, (caught.value, caught.value.__cause__, caught.value.__suppress_context__)))
    assert made["identity"] not in told
    assert told.endswith("NoneTrue")
    assert count(store) == 20


def test_the_same_key_twice_in_one_turn_is_a_conflict_at_once(store):
    with store.begin() as tx:
        book = JOURNAL.open(tx)
        book.add(journal_row(1))
        with pytest.raises(Conflict, match="bucket, seq"):
            book.add(journal_row(1))


def test_a_primary_key_does_not_change(store):
    fill(store)
    with store.begin() as tx:
        book = JOURNAL.open(tx)
        book.load(IDENTITY, [journal_row(1).identity])[0].seq = 77
        with pytest.raises(ValueError, match="primary key"):
            book.save()


POISON = [
    ("text that is no text", {"rrn": b"\xff\xfe" * 3}),
    ("too large", {"amount_minor": 1 << 70}),
    ("absent", {"rrn": None}),
]


@pytest.mark.parametrize("changes", [row[1] for row in POISON], ids=[row[0] for row in POISON])
def test_poison_spoils_its_transaction_alone(store, changes):
    fill(store)
    tx = store.begin()
    book = JOURNAL.open(tx)
    book.add(journal_row(50, **changes))
    try:
        book.save()
    except (StoreError, OverflowError) as fault:
        assert not isinstance(fault, StoreGone | Conflict)  # noqa: PT017
    tx.rollback()
    assert count(store) == 20


def test_rollback_and_exceptions_leave_nothing(store):
    tx = store.begin()
    book = JOURNAL.open(tx)
    book.add(journal_row(1))
    book.save()
    tx.rollback()
    with pytest.raises(ZeroDivisionError):
        add(store, journal_row(1), then=lambda: 1 // 0)
    assert count(store) == 0


def test_deadlines_come_in_order_and_bounded(store):
    fill(store)
    with store.begin() as tx:
        book = JOURNAL.open(tx)
        assert [row.seq for row in book.select(DUE, (1_004,))] == [0, 1, 2]
        for row in book.select(DUE, (1_004,)):
            row.state = DONE
        book.save()
        assert [row.seq for row in JOURNAL.open(tx).select(DUE, (1_004,))] == [3, 4]


def test_statements_take_parameters_by_name_and_constants_by_value(store):
    fill(store)
    c = journal_table.c
    core = select(c.seq).where(
        c.state == WAITING, c.seq >= bindparam("low"), c.seq < bindparam("high"), c.seq != bindparam("low")
    )
    between = Statement(core.order_by(c.seq), "high", "low")
    with store.begin() as tx:
        assert tx.rows(between, (5, 2)) == [(3,), (4,)]
        assert tx.one(between, (0, 5)) is None
    with pytest.raises(TypeError, match="parameters high"):
        Statement(core, "low").compiled("sqlite")
    with pytest.raises(TypeError, match="parameters nothing"):
        Statement(core, "low", "high", "nothing").compiled("sqlite")


def test_statements_may_write(store):
    fill(store)
    c = journal_table.c
    closing = Statement(
        update(journal_table)
        .where(c.state == WAITING, c.seq < bindparam("below"))
        .values(state=DONE, deadline_ms=None, rrn="100%", answer=b"\0"),
        "below",
    )
    with store.begin() as tx:
        assert tx.rows(closing, (3,)) == []
        done = Statement(JOURNAL.select().where(c.state == DONE, c.rrn == "100%"))
        assert {(row.deadline_ms, row.rrn, row.answer) for row in JOURNAL.open(tx).select(done)} == {(None, "100%", b"\0")}


def test_one_transaction_at_a_time(store):
    with store.begin() as tx:
        tx.rows(COUNT)
        with pytest.raises(StoreError, match="transaction"):
            store.begin()
    assert count(store) == 0


def test_accounts_are_updated_once_however_many_messages_touch_them(store):
    with store.begin() as tx:
        book = ACCOUNTS.open(tx)
        for number in range(4):
            book.add(AccountRow(0, f"A{number}", 1000, 0))
        book.save()
    with store.begin() as tx:
        book = ACCOUNTS.open(tx)
        book.load(("account",), ["A1", "A2"])
        for _ in range(10):
            row = book.find(("account",), "A1")
            assert row
            row.balance_minor -= 10
            row.version += 1
        book.save()
    with store.begin() as tx:
        assert tx.rows(Statement(select(account_table).order_by(account_table.c.account)))[:3] == [
            (0, "A0", 1000, 0),
            (0, "A1", 900, 10),
            (0, "A2", 1000, 0),
        ]


def test_a_second_writer_is_told_who_is_the_first(where, store):
    with pytest.raises(Conflict, match=rf"in use by .*process {os.getpid()}"):
        Store.open(where, schema=SCHEMA, name="sample")
    with Store.open(where, schema=SCHEMA, name="sample", read_only=True) as reader:
        fill(store)
        assert count(reader) == 20
        with pytest.raises(StoreGone):
            fill(reader)


def test_the_lock_falls_with_its_store_and_stays_through_reopening(where):
    store = Store.open(where, schema=SCHEMA, name="sample")
    fill(store)
    tx = store.begin()
    book = JOURNAL.open(tx)
    book.add(journal_row(77))
    book.save()
    store.reopen()
    assert count(store) == 20
    with pytest.raises(Conflict):
        Store.open(where, schema=SCHEMA, name="sample")
    store.close()
    with Store.open(where, schema=SCHEMA, name="sample") as store:
        assert count(store) == 20


CHILD = """
    import sys
    from shanfu.store import Store
    from tests.store.tables import JOURNAL, SCHEMA, journal_row
    store = Store.open(sys.argv[1], schema=SCHEMA, name="sample")
    for batch in range(100_000):
        with store.begin() as tx:
            book = JOURNAL.open(tx)
            for number in range(batch * 8, batch * 8 + 8):
                book.add(journal_row(number))
            book.save()
        print(batch, flush=True)
"""


@pytest.mark.parametrize("acknowledged", range(1, examples(2, heavy=12)))
def test_every_acknowledged_row_survives_kill_9(where, acknowledged):
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(CHILD), where], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        for _ in range(acknowledged):
            told = child.stdout.readline()
        child.kill()
        batches = int([told, *child.stdout.read().split()][-1]) + 1
    with Store.open(where, schema=SCHEMA, name="sample") as store, store.begin() as tx:
        rows = tx.rows(Statement(select(journal_table.c.seq).order_by(journal_table.c.seq)))
        assert rows in ([(number,) for number in range(whole * 8)] for whole in (batches, batches + 1))


def test_shelves_refuse_rows_that_are_not_the_table():
    class Half(JournalRow):
        pass

    Shelf(journal_table, Half)
    with pytest.raises(TypeError, match="AccountRow: fields must be the columns of journal"):
        Shelf(journal_table, AccountRow)


def test_sequences_grow_whatever_the_clock_does(store):
    now_ms, sequence = 1_767_225_600_000, Sequencer(journal_table)
    with store.begin() as tx:
        numbers = [sequence.next(tx, now_ms=now_ms + moved) for moved in (0, 0, 0, 1, -60_000, -60_000)]
    assert numbers == sorted(set(numbers))
    assert numbers[3] - numbers[0] == 1 << 20
    assert max(numbers) < 1 << 63


def test_sequences_go_on_from_what_the_books_hold(store):
    for bucket, seq in ((0, 5 << 60), (3, 7 << 60), (3, 1), (9, 6 << 60)):
        add(store, journal_row(seq, bucket=bucket, identity=str(seq)))
    with store.begin() as tx:
        assert Sequencer(journal_table).next(tx, now_ms=1_767_225_600_000) == (7 << 60) + 1
