"""The store against what it stands on: the disk's own flush rate, and PostgreSQL's own benchmark.

One operation is what one authorisation does to the books: look the journal and the account up, add a journal row of 26
columns, change the account. Sixty-four of them share a commit, as in a busy turn of a host. Both sides of each ratio are
measured in turns, in the same folder or on the same server, at full durability.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import SECONDS, Row, Work, flushing, rates
from shanfu.store import FileMemory, Sealer, Store
from tests.postgres import Server, binaries
from tests.store.tables import ACCOUNTS, JOURNAL, SCHEMA, AccountRow, journal_row

ACCOUNT_COUNT, BATCH = 10_000, 64
GOAL = 0.7
PGBENCH = ("-n", "-N", "-c", "32", "-j", "2", "-M", "prepared")


def rows(seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Measure SQLite and a card's memory, and PostgreSQL where its programs are installed."""
    with tempfile.TemporaryDirectory(prefix="shanfu-bench-") as folder:
        found = [_sqlite(Path(folder), seconds), _memory(Path(folder), seconds)]
    return [row.public() for row in [*found, _postgresql(seconds)]]


def _row(name: str, ours: float | None, other: float | None, *, unit: str = "operations/s", note: str = "") -> Row:
    return Row(name=name, ours=ours, other=other, unit=unit, rule="ratio at least", goal=GOAL, note=note)


def _authorisations(store: Store) -> Work:
    with store.begin() as tx:
        book = ACCOUNTS.open(tx)
        for number in range(ACCOUNT_COUNT):
            book.add(AccountRow(0, f"A{number}", 1 << 40, 0))
        book.save()
    numbers = iter(range(1 << 40))

    def work() -> int:
        with store.begin() as tx:
            journal, accounts = JOURNAL.open(tx), ACCOUNTS.open(tx)
            fresh = [journal_row(next(numbers)) for _ in range(BATCH)]
            for row in fresh:
                row.account = f"A{row.seq * 7919 % ACCOUNT_COUNT}"
            journal.load(("identity",), [row.identity for row in fresh])
            accounts.load(("account",), [row.account for row in fresh])
            for row in fresh:
                if journal.find(("identity",), row.identity) is None:
                    account = accounts.find(("account",), row.account)
                    assert account
                    account.balance_minor -= row.amount_minor
                    account.version += 1
                    journal.add(row)
            accounts.save()
            journal.save()
        return BATCH

    return work


def _sqlite(folder: Path, seconds: float) -> Row:
    with Store.open(folder / "books.db", schema=SCHEMA, name="bench") as store, flushing(folder) as flush:
        ours, other = rates(_authorisations(store), flush, seconds)
    return _row(f"SQLite FULL, {BATCH} per commit / fdatasync", ours, other)


def _memory(folder: Path, seconds: float) -> Row:
    with FileMemory(folder / "card", Sealer(bytes(32))) as memory, flushing(folder) as flush:
        turn = iter(range(1 << 30))

        def work() -> int:
            memory.write({"atc": next(turn).to_bytes(4, "big"), "log": bytes(120)})
            return 1

        ours, other = rates(work, flush, seconds)
    return _row("card memory write / fdatasync", ours, other, unit="writes/s")


def _postgresql(seconds: float) -> Row:
    name, found = f"PostgreSQL, {BATCH} per batch / pgbench {' '.join(PGBENCH[1:4])}", binaries()
    if not found:
        return _row(name, None, None, note="PostgreSQL's programs are not installed")
    server = Server(found)
    try:
        pgbench = [str(found / "pgbench"), "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
        subprocess.run([*pgbench, "-i", "-q", "-s", "10", "postgres"], check=True, stderr=subprocess.DEVNULL)

        def other() -> int:  # it takes whole seconds only
            told = subprocess.run(
                [*pgbench, *PGBENCH, "-T", "1", "postgres"], check=True, capture_output=True, text=True
            ).stdout
            return int(told.split("actually processed: ")[1].split("/")[0].split()[0])

        with Store.open(server.create(), schema=SCHEMA, name="bench") as store:
            ours, theirs = rates(_authorisations(store), other, seconds)
    finally:
        server.remove()
    return _row(name, ours, theirs)
