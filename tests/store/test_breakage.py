"""What breaks under a store, for real: a full disk, a read-only file, a lost server, a folder that is not there."""

import os
import re
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from shanfu.errors import StoreGone
from shanfu.store import Statement, Store
from tests.store.tables import ACCOUNTS, DUE, JOURNAL, SCHEMA, journal_row


def fill(store: Store, numbers: range) -> None:
    with store.begin() as tx:
        book = JOURNAL.open(tx)
        for number in numbers:
            book.add(journal_row(number))
        book.save()


def test_a_full_disk_is_said_with_the_files_name(tmp_path):
    path = tmp_path / "books.db"
    with Store.open(path, schema=SCHEMA, name="sample") as store:
        fill(store, range(10))
        store._database._link.execute("PRAGMA max_page_count = 12")  # the engine's own name for a disk without room
        with pytest.raises(StoreGone, match=r"books\.db: database or disk is full"):
            fill(store, range(100, 2000))
        store.reopen()
        fill(store, range(100, 110))
        with store.begin() as tx:
            assert len(tx.rows(Statement(JOURNAL.select()))) == 20


LIMITED = """
    import resource, signal, sys
    from shanfu.errors import StoreGone
    from shanfu.store import Store
    from tests.store.test_breakage import fill, SCHEMA
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = Store.open(sys.argv[1], schema=SCHEMA, name="sample")
    fill(store, range(10))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        fill(store, range(100, 5000))
    except StoreGone as gone:
        print(gone)
"""


def test_a_file_that_cannot_grow(tmp_path):
    path = tmp_path / "books.db"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(LIMITED), path], stdout=subprocess.PIPE, text=True, check=True)
    assert re.search(r"books\.db: disk I/O error", done.stdout)
    with Store.open(path, schema=SCHEMA, name="sample") as store, store.begin() as tx:
        assert len(tx.rows(Statement(JOURNAL.select()))) == 10


WHERE = [("nowhere/books.db", "No such file"), ("file/books.db", "Not a directory"), ("folder", "Is a directory")]


@pytest.mark.parametrize(("name", "words"), WHERE)
def test_places_where_no_books_can_be(tmp_path, name, words):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreGone, match=f"{name}: cannot be written: {words}"):
        Store.open(tmp_path / name, schema=SCHEMA, name="sample")


AS_NOBODY = """
    import sys
    from shanfu.errors import StoreGone
    from shanfu.store import Store
    from tests.store.tables import SCHEMA
    import os
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        Store.open(sys.argv[1], schema=SCHEMA, name="sample")
    except StoreGone as gone:
        print(gone)
"""


def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o555)
    path = tmp_path / "books.db"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(AS_NOBODY), path], stdout=subprocess.PIPE, text=True, check=True
    )
    tmp_path.chmod(0o755)
    assert "books.db: cannot be written: Permission denied" in done.stdout


@pytest.mark.parametrize("name", ["with space.db", "100% #1?&mode=ro.db", "闪付.db"])
def test_any_file_name_will_do(tmp_path, name):
    with Store.open(tmp_path / name, schema=SCHEMA, name="sample") as store:
        fill(store, range(3))
    assert [path.name for path in sorted(tmp_path.iterdir())] == [name, f"{name}.lock"]


def test_a_file_that_vanishes_is_not_made_anew(tmp_path):
    with Store.open(tmp_path / "books.db", schema=SCHEMA, name="sample") as store:
        (tmp_path / "books.db").unlink()
        with pytest.raises(StoreGone, match="unable to open"):
            store.reopen()


def test_a_reader_makes_no_books(tmp_path):
    with pytest.raises(StoreGone, match="unable to open"):
        Store.open(tmp_path / "books.db", schema=SCHEMA, name="sample", read_only=True)
    assert os.listdir(tmp_path) == []


def test_books_of_one_owner_are_for_the_owners_eyes(tmp_path):
    with Store.open(tmp_path / "books.db", schema=SCHEMA, name="sample") as store:
        fill(store, range(3))
        assert {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir() if path.stat().st_mode & 0o077} == {}


def test_a_lost_server_is_said_and_found_again(postgres_server):
    with Store.open(postgres_server.create(), schema=SCHEMA, name="sample") as store:
        fill(store, range(10))
        tx = store.begin()
        book = JOURNAL.open(tx)
        book.add(journal_row(50))
        book.save()
        postgres_server.stop()
        with pytest.raises(StoreGone, match=r"^commit: sample: postgresql://postgres@127\.0\.0\.1"):
            tx.commit()
        with pytest.raises(StoreGone):
            store.begin()
        with pytest.raises(StoreGone, match="sample"):
            store.reopen()
        postgres_server.start()
        store.reopen()
        fill(store, range(10, 20))
        with store.begin() as tx:
            assert len(tx.rows(Statement(JOURNAL.select()))) == 20


def test_a_password_is_not_shown():
    with pytest.raises(StoreGone) as caught:
        Store.open("postgresql://user:hunter2@127.0.0.1:1/books", schema=SCHEMA, name="sample")
    assert "hunter2" not in str(caught.value)
    assert "user:***@127.0.0.1" in str(caught.value)


def test_memories_vanish_with_their_store_but_not_when_reopened():
    with (
        Store.open(":memory:", schema=SCHEMA, name="sample") as store,
        Store.open(":memory:", schema=SCHEMA, name="sample") as other,
    ):
        fill(store, range(3))
        store.reopen()
        for each, rows in ((store, 3), (other, 0)):
            with each.begin() as tx:
                assert len(tx.rows(Statement(JOURNAL.select()))) == rows


LOOKS = [
    (JOURNAL, ("identity",), "SEARCH journal USING INDEX journal_identity (identity=?)"),
    (JOURNAL, ("bucket", "seq"), "SEARCH journal USING INDEX sqlite_autoindex_journal_1 (bucket=? AND seq=?)"),
    (JOURNAL, ("account", "business_date"), "SEARCH journal USING INDEX journal_account (account=? AND business_date=?)"),
    (ACCOUNTS, ("account",), "SEARCH account USING INDEX account_number (account=?)"),
]


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize(("shelf", "by", "plan"), LOOKS)
def test_loads_use_their_index_whatever_the_statistics_say(tmp_path, shelf, by, plan, analysed):
    with Store.open(tmp_path / "books.db", schema=SCHEMA, name="sample") as store:
        fill(store, range(5))
    with sqlite3.connect(tmp_path / "books.db") as link:
        if analysed:
            link.execute("ANALYZE")
        text, _ = shelf.look(by)._on_sqlite.compiled("sqlite")
        steps = [step[3] for step in link.execute(f"EXPLAIN QUERY PLAN {text}", ("[]",))]
    link.close()
    assert steps == ["SCAN k VIRTUAL TABLE INDEX 1:", plan]


def test_deadlines_read_only_the_rows_that_wait(tmp_path):
    with Store.open(tmp_path / "books.db", schema=SCHEMA, name="sample"):
        pass
    with sqlite3.connect(tmp_path / "books.db") as link:
        text, _ = DUE.compiled("sqlite")
        steps = [step[3] for step in link.execute(f"EXPLAIN QUERY PLAN {text}", DUE.compiled("sqlite")[1]((0,)))]
    link.close()
    assert steps == ["SEARCH journal USING INDEX journal_open (deadline_ms<?)"]


@pytest.mark.parametrize(("by", "arrays"), [(("identity",), [["a", "b"]]), (("bucket", "seq"), [[0, 0], [1, 2]])])
def test_loads_use_their_index_on_postgresql(postgres_url, by, arrays):
    with Store.open(postgres_url, schema=SCHEMA, name="sample") as store:
        fill(store, range(5_000))
        link = store._database._link
        link.execute("ANALYZE")
        text, _ = JOURNAL.look(by)._on_postgresql.compiled("postgresql")
        steps = "\n".join(row[0] for row in link.execute(f"EXPLAIN {text}", arrays))
    assert "Index Scan" in steps
    assert "Seq Scan" not in steps
