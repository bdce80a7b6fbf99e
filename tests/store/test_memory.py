"""Memories: one contract for all, and for the file a power cut at every byte."""

import errno
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.dialogue import Memory
from shanfu.errors import ConfigError, Conflict, IntegrityError, StoreGone, StoreVersion
from shanfu.store import DictMemory, FileMemory, Lock, Sealer
from shanfu.store.memory import COMPACT, HEADER
from tests.budget import examples

SEALER = Sealer(bytes(range(32)))
OTHER = Sealer(bytes(32))
Reopen = Callable[[], Memory]


@pytest.fixture(params=["dict", "file"])
def reopen(request, tmp_path):
    """Returns what a restart of the machine does: the memory as it is found then."""
    kept: list = [DictMemory()] if request.param == "dict" else []

    def again():
        if request.param == "dict":
            kept.append(kept[-1].copy())
        else:
            if kept:
                kept[-1].close()
            kept.append(FileMemory(tmp_path / "card", SEALER))
        return kept[-1]

    yield again
    if request.param == "file":
        kept[-1].close()


WRITES = [
    ({"atc": b"\1"}, {"atc": b"\1"}),
    ({"atc": b"\2", "log": b"x" * 5000}, {"atc": b"\2", "log": b"x" * 5000}),
    ({"log": None}, {"atc": b"\2"}),
    ({}, {"atc": b"\2"}),
    ({"absent": None, "名": b""}, {"atc": b"\2", "名": b""}),
]


def contents(memory: Memory) -> dict:
    return {name: memory.read(name) for name in memory.names()}


def test_every_write_is_found_again(reopen: Reopen):
    assert contents(reopen()) == {}
    for records, expected in WRITES:
        memory = reopen()
        memory.write(records)
        assert contents(memory) == contents(reopen()) == expected
        assert memory is not reopen()
    assert reopen().read("absent") is None


@settings(max_examples=examples(30, heavy=500), deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.none() | st.binary(max_size=40_000), max_size=3), max_size=12))
def test_any_history_reads_as_a_dict_does(tmp_path_factory, history):
    path = tmp_path_factory.mktemp("memory") / "card"
    expected = DictMemory()
    for records in history:
        expected.write(records)
        with FileMemory(path, SEALER) as memory:
            memory.write(records)
    with FileMemory(path, SEALER) as memory:
        assert contents(memory) == contents(expected)
        assert (
            path.stat().st_size < 6 * max(COMPACT, sum(len(record or b"") for record in contents(expected).values())) + COMPACT
        )


def log_of(path: Path, more: int = 100) -> tuple[bytes, int]:
    """A log with two writes; returns its bytes and where the last record starts."""
    with FileMemory(path, SEALER) as memory:
        memory.write({"atc": b"\1", "pin": b"3"})
        start = memory._end
        memory.write({"atc": b"\2", "pin": b"2", "more": b"z" * more})
        return path.read_bytes()[: memory._end], start


OLD, NEW = {"atc": b"\1", "pin": b"3"}, {"atc": b"\2", "pin": b"2", "more": b"z" * 100}
TAILS = {"cut off": b"", "zeros behind": bytes(4096)}


@pytest.mark.parametrize("tail", TAILS)
def test_a_power_cut_at_every_byte_leaves_the_old_state_or_the_new(tmp_path, tail):
    log, start = log_of(tmp_path / "card")
    seen = []
    for length in range(start, len(log) + 1):
        (tmp_path / "card").write_bytes(log[:length] + TAILS[tail])
        with FileMemory(tmp_path / "card", SEALER) as memory:
            seen.append(contents(memory))
            memory.write({"after": b"cut"})
        with FileMemory(tmp_path / "card", SEALER) as memory:
            assert contents(memory) == seen[-1] | {"after": b"cut"}
    assert seen == sorted(seen, key=[OLD, NEW].index)
    assert seen[0] == OLD
    assert seen[-1] == NEW


@pytest.mark.parametrize("sectors", [(0,), (1,), (0, 1)])
def test_sectors_that_never_reached_the_disk_undo_the_write(tmp_path, sectors):
    log, start = log_of(tmp_path / "card", more=600)
    torn = bytearray(log + bytes(4096))
    for sector in sectors:
        place = start // 512 * 512 + 512 * sector
        torn[max(place, start) : place + 512] = bytes(place + 512 - max(place, start))
    (tmp_path / "card").write_bytes(torn)
    with FileMemory(tmp_path / "card", SEALER) as memory:
        assert contents(memory) == OLD


def test_a_change_to_any_byte_before_the_last_record_is_noticed(tmp_path):
    log, start = log_of(tmp_path / "card")
    for place in range(start):
        spoilt = bytearray(log)
        spoilt[place] ^= 0x40
        (tmp_path / "card").write_bytes(spoilt)
        try:
            with FileMemory(tmp_path / "card", SEALER) as memory:
                assert contents(memory) == NEW, f"byte {place}: only padding may change unseen"
        except (IntegrityError, StoreVersion):
            continue


def test_what_lies_on_the_disk_is_sealed(tmp_path):
    with FileMemory(tmp_path / "card", SEALER) as memory:
        memory.write({"secret-name": b"secret-value"})
    assert b"secret" not in (tmp_path / "card").read_bytes()
    assert (tmp_path / "card").stat().st_mode & 0o777 == 0o600


def replayed(log: bytes, start: int) -> bytes:
    return log[:start] + log[HEADER.size : start]


REFUSED = [
    ("another key", lambda log, start: log, OTHER, IntegrityError, "wrong key"),
    ("a record twice", replayed, SEALER, IntegrityError, "not what was written"),
    (
        "a newer format",
        lambda log, start: newer(log),
        SEALER,
        StoreVersion,
        "written by format 2, this is 1; use a newer shanfu",
    ),
    ("another file", lambda log, start: b"#!/bin/sh\n" * 9, SEALER, StoreVersion, "not a memory"),
    ("an empty file", lambda log, start: b"", SEALER, StoreVersion, "not a memory"),
]


def newer(log: bytes) -> bytes:
    head = log[:8] + b"\0\0\0\2" + log[12:28]
    return head + zlib.crc32(head).to_bytes(4, "big") + log[32:]


@pytest.mark.parametrize(("spoil", "sealer", "kind", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(tmp_path, spoil, sealer, kind, words):
    log, start = log_of(tmp_path / "card")
    (tmp_path / "card").write_bytes(spoil(log, start))
    with pytest.raises(kind, match=words):
        FileMemory(tmp_path / "card", sealer)
    (tmp_path / "card").write_bytes(log)
    FileMemory(tmp_path / "card", SEALER).close()  # a refusal holds no lock


def test_a_second_owner_is_told_who_is_the_first(tmp_path):
    with FileMemory(tmp_path / "card", SEALER), pytest.raises(Conflict, match=f"in use by process {os.getpid()}"):
        FileMemory(tmp_path / "card", SEALER)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StoreGone, match="nowhere/card"):
        FileMemory(tmp_path / "nowhere" / "card", SEALER)


def test_after_a_failed_write_the_memory_says_nothing_more(tmp_path, monkeypatch):
    with FileMemory(tmp_path / "card", SEALER) as memory:
        memory.write({"atc": b"\1"})
        with monkeypatch.context() as full:
            full.setattr(os, "fdatasync", lambda fd: (_ for _ in ()).throw(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
            with pytest.raises(StoreGone, match="card: No space left"):
                memory.write({"atc": b"\2"})
        for act in (lambda: memory.read("atc"), memory.names, lambda: memory.write({"atc": b"\3"})):
            with pytest.raises(StoreGone, match="open it again"):
                act()
    with FileMemory(tmp_path / "card", SEALER) as memory:
        assert memory.read("atc") in (b"\1", b"\2")


CHILD = """
import sys
from pathlib import Path
from shanfu.store import FileMemory, Sealer
memory = FileMemory(Path(sys.argv[1]), Sealer(bytes(range(32))))
for atc in range(1, 1 << 16):
    memory.write({"atc": atc.to_bytes(2, "big"), "log": bytes(900)})
    print(atc, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 200, *range(2, examples(2, heavy=12))])
def test_what_was_acknowledged_survives_kill_9(tmp_path, acknowledged):
    command = [sys.executable, "-c", CHILD, str(tmp_path / "card")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        for _ in range(acknowledged):
            last = int(child.stdout.readline())
        child.kill()
        last = int(([last, *child.stdout.read().split()])[-1])
    with FileMemory(tmp_path / "card", SEALER) as memory:
        assert int.from_bytes(memory.read("atc") or b"", "big") in (last, last + 1)


def test_the_key_file(tmp_path):
    path = tmp_path / "key"
    with pytest.raises(ConfigError, match="cannot be read"):
        Sealer.from_file(path)
    sealed = Sealer.from_file(path, create=True).seal(b"plain", b"bound")
    assert path.stat().st_mode & 0o777 == 0o600
    assert Sealer.from_file(path).open(sealed, b"bound") == b"plain"
    with pytest.raises(IntegrityError):
        Sealer.from_file(path).open(sealed, b"elsewhere")
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="0600"):
        Sealer.from_file(path)
    path.chmod(0o600)
    path.write_bytes(bytes(16))
    with pytest.raises(ConfigError, match="16 bytes, AES-256 has 32"):
        Sealer.from_file(path)


def test_a_released_lock_is_free_though_a_child_of_the_moment_holds_its_descriptor(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "memory")
    child = os.dup(lock._fd)  # what fork leaves behind until exec
    lock.release()
    Lock(tmp_path / "memory").release()
    os.close(child)
