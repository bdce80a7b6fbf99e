"""A host that cannot start, or cannot write, says so in one line with the documented exit code, and nothing is lost."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree

import pytest

from shanfu.sandbox import PIN, World
from shanfu.sandbox.till import tcp_line, till
from tests.journeys.city import opening_of, prepared, running, settle_accounts
from tests.journeys.town import money

USAGE = 2
PATIENCE_S = 60


def shanfu(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "shanfu.cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def refused(*arguments: str) -> str:
    """Run a command that must end with exit code 2 and one line of its own; return the line."""
    with shanfu(*arguments) as process:
        _, told = process.communicate(timeout=PATIENCE_S)
    lines = [line for line in told.splitlines() if not line.startswith("{")]
    assert process.returncode == USAGE, told
    assert len(lines) == 1, told
    return lines[0]


def test_a_port_in_use(folder: Path) -> None:
    world = prepared(folder)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", world.settings.ports["network"]))
        squatter.listen()
        told = refused("serve", "network", "--data", str(folder))
    assert f"127.0.0.1:{world.settings.ports['network']}" in told
    assert "in use" in told


def test_a_host_that_runs_already(folder: Path) -> None:
    prepared(folder)
    with shanfu("serve", "network", "--data", str(folder)) as first:
        assert json.loads(first.stdout.readline())["host"] == "network"
        told = refused("serve", "network", "--data", str(folder))
        assert f"process {first.pid}" in told
        first.terminate()
        assert first.wait(PATIENCE_S) == 0
        first.communicate()


def newer_world(folder: Path) -> None:
    text = (folder / "world.toml").read_text()
    (folder / "world.toml").write_text(text.replace("format = 1", "format = 99"))


def newer_books(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "network" / "books.db")) as link, link:
        link.execute("UPDATE network_format SET version_num = '99'")


@pytest.mark.parametrize("harm", [newer_world, newer_books])
def test_a_folder_of_a_newer_version(folder: Path, harm) -> None:
    prepared(folder)
    harm(folder)
    assert "99" in refused("serve", "network", "--data", str(folder))


@pytest.fixture
def mounted(tmp_path: Path):
    """Mounts file systems, where we may; what was mounted is unmounted."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    points: list[Path] = []

    def mount(*arguments: str, at: Path) -> None:
        at.mkdir(exist_ok=True)
        done = subprocess.run(["mount", *arguments, str(at)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mount: {done.stderr.strip()}")
        points.append(at)

    yield mount
    for point in reversed(points):
        subprocess.run(["umount", "-l", str(point)], check=True)


def test_a_folder_that_may_only_be_read(folder: Path, tmp_path: Path, mounted) -> None:
    prepared(folder)
    point = tmp_path / "read-only"
    mounted("--bind", "-o", "ro", str(folder), at=point)
    told = refused("serve", "network", "--data", str(point))
    assert "cannot be written" in told or "read-only" in told.lower()
    told = refused("tap", "--amount", "1.00", "--data", str(point))
    assert str(point) in told


def fill(folder: Path) -> Path:
    """Take all the room that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                return filler


def test_a_full_disk_loses_nothing(folder: Path, tmp_path: Path, mounted) -> None:
    """The issuer's disk fills up while people pay: it answers nobody, says why, and goes on when there is room again."""
    prepared(folder)
    opening = opening_of(World.open(folder))
    books, copied = folder / "issuer-lantern", tmp_path / "issuer"
    copytree(books, copied)
    mounted("-t", "tmpfs", "-o", "size=6m", "tmpfs", at=books)
    copytree(copied, books, dirs_exist_ok=True)
    world = World.open(folder)
    receipts = []
    with running(world):
        receipts += payments(world, 3)
        assert [r.response_code for r in receipts] == ["00"] * 3
        lost = 0
        while not lost:  # opening its books again may give the issuer some room back
            filler = fill(books)
            receipts += payments(world, 1)
            lost += not receipts[-1].approved
        filler.unlink()
        until = time.monotonic() + PATIENCE_S
        while not receipts[-1].approved and time.monotonic() < until:
            receipts += payments(world, 1)
        assert receipts[-1].approved
    [told, *_] = [line for line in (books / "log.jsonl").read_text().splitlines() if '"store_lost"' in line]
    assert "full" in json.loads(told)["fault"]
    settle_accounts(World.open(folder), receipts, opening=opening)


def payments(world: World, count: int):
    receipts = []
    with (
        tcp_line(world, "teahouse") as line,
        till(world, "teahouse", line, keypad=lambda _: PIN) as it,
        world.card("debit") as card,
    ):
        for _ in range(count):
            it.present(card)
            receipts.append(it.do(it.terminal.pay(money("teahouse", "1.00"))))
    return receipts


def test_up_starts_all_and_an_interrupt_stops_all(folder: Path) -> None:
    world = prepared(folder)
    with shanfu("up", "--data", str(folder)) as up:
        lines = [up.stdout.readline() for _ in range(5)]
        processes = [int(line.split()[-1]) for line in lines]
        assert payments(world, 1)[0].approved
        up.send_signal(signal.SIGINT)
        _, told = up.communicate(timeout=PATIENCE_S)
    assert up.returncode == 0, told
    assert told.strip().splitlines()[-1] == "up: stopped"
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
