"""The store against what it stands on: the disk's own flush rate, and PostgreSQL's own benchmark.

One operation is what one authorisation does to the books: look the journal and the account up, add a journal row of 26
columns, change the account. Sixty-four of them share a commit, as in a busy turn of a host. Both sides of each ratio are
measured in turns, in the same folder or on the same server, at full durability.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from shanfu.store import FileMemory, Sealer, Store
from tests.postgres import Server, binaries
from tests.store.tables import ACCOUNTS, JOURNAL, SCHEMA, AccountRow, journal_row

ACCOUNT_COUNT, BATCH, ROUNDS, ROUND_SECONDS = 10_000, 64, 5, 0.7
Work = Callable[[], int]


def rows() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="shanfu-bench-") as folder:
        found = [_sqlite(Path(folder)), _memory(Path(folder))]
    return found + ([_postgresql()] if binaries() else [])


def _row(name: str, pair: tuple[float, float], unit: str, goal: float) -> dict[str, Any]:
    ours, other = pair
    ratio = ours / other
    return {"name": name, "ours": ours, "other": other, "unit": unit, "ratio": ratio, "goal": goal, "holds": ratio >= goal}


def _interleaved(ours: Work, other: Work) -> tuple[float, float]:
    """Return the median rates of both, measured in turns."""
    rates: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for work, seen in zip((ours, other), rates, strict=True):
            began, done = time.perf_counter(), 0
            while (spent := time.perf_counter() - began) < ROUND_SECONDS:
                done += work()
            seen.append(done / spent)
    return median(rates[0]), median(rates[1])


def _fdatasync(folder: Path) -> Work:
    """Overwrite one block of a written file and flush it: the best this disk does."""
    fd = os.open(folder / "flush", os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(1 << 20))
    os.fsync(fd)
    block = os.urandom(4096)
    turn = iter(range(1 << 30))

    def work() -> int:
        os.pwrite(fd, block, next(turn) % 256 * 4096)
        os.fdatasync(fd)
        return 1

    return work


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


def _sqlite(folder: Path) -> dict[str, Any]:
    with Store.open(folder / "books.db", schema=SCHEMA, name="bench") as store:
        pair = _interleaved(_authorisations(store), _fdatasync(folder))
    return _row("SQLite FULL, 64 per commit / fdatasync rate", pair, "operations/s", 0.7)


def _memory(folder: Path) -> dict[str, Any]:
    with FileMemory(folder / "card", Sealer(bytes(32))) as memory:
        turn = iter(range(1 << 30))

        def work() -> int:
            memory.write({"atc": next(turn).to_bytes(4, "big"), "log": bytes(120)})
            return 1

        pair = _interleaved(work, _fdatasync(folder))
    return _row("card memory write / fdatasync rate", pair, "writes/s", 0.7)


def _postgresql() -> dict[str, Any]:
    found = binaries()
    assert found
    server = Server(found)
    try:
        pgbench = [str(found / "pgbench"), "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
        subprocess.run([*pgbench, "-i", "-q", "-s", "10", "postgres"], check=True, stderr=subprocess.DEVNULL)
        with Store.open(server.create(), schema=SCHEMA, name="bench") as store:
            work = _authorisations(store)
            rates: list[list[float]] = [[], []]
            for _ in range(3):
                began, done = time.perf_counter(), 0
                while (spent := time.perf_counter() - began) < 1:
                    done += work()
                rates[0].append(done / spent)
                command = [*pgbench, "-n", "-N", "-c", "32", "-j", "2", "-M", "prepared", "-T", "1", "postgres"]
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                rates[1].append(float(told.split("tps = ")[1].split()[0]))
    finally:
        server.remove()
    return _row("PostgreSQL, 64 per batch / pgbench -N -c32", (median(rates[0]), median(rates[1])), "operations/s", 0.7)


if __name__ == "__main__":
    for row in rows():
        print({name: round(value, 2) if isinstance(value, float) else value for name, value in row.items()})
