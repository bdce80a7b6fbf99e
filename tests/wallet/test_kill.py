"""kill -9 of a phone that pays from files: no number twice, no use too many, and it always comes back."""

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from shanfu.store import FileMemory, Sealer
from shanfu.tokens import KeyScheme
from tests.budget import examples
from tests.wallet.bench import Bench, bench

USES = 120


def made(folder: Path, scheme: KeyScheme) -> Bench:
    """A phone with a large key set, in files."""
    one, sealer = bench(scheme=scheme, max_uses=USES, max_amount=10**9), Sealer(bytes(32))
    with FileMemory(folder / "phone.mem", sealer) as memory, FileMemory(folder / "phone.keys", sealer) as keys:
        one.storage, one.keystore = memory, keys  # type: ignore[assignment]
        one.restart()
        one.enrolled()
    return one


def started(folder: Path, now_ms: int) -> "subprocess.Popen[str]":
    files = [str(folder / name) for name in ("phone.mem", "phone.keys", "seen")]
    command = [sys.executable, "-m", "tests.wallet.payer", *files, str(now_ms)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("scheme", [KeyScheme.SHANFU_1, KeyScheme.SUK])
def test_killed_while_it_pays(tmp_path: Path, scheme: KeyScheme, record_property: Any) -> None:
    one, dice, kills = made(tmp_path, scheme), random.Random(7), 0
    for _ in range(examples(2, heavy=15)):
        process = started(tmp_path, one.clock.now_ms())
        time.sleep(dice.uniform(0.0, 0.05))
        process.kill()
        kills += process.wait() == -9
        assert process.stdout is not None
        process.stdout.close()
    process = started(tmp_path, one.clock.now_ms())
    assert process.stdout is not None
    with process.stdout as told:
        assert told.readline() == "exhausted COUNT_EXHAUSTED\n"
    process.wait()
    lines = [line.split() for line in (tmp_path / "seen").read_text().splitlines()]
    numbers = [int(atc, 16) for atc, _, _ in lines]
    assert numbers == sorted(set(numbers)), "no number left the phone twice"
    assert USES - kills <= len(numbers) <= USES, "a kill costs one use at most, and never gives one"
    assert len({cryptogram for *_, cryptogram in lines}) == len(lines)
    record_property("kills", kills)
