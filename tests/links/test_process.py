"""A host as a process of its own: signals, and deaths at named points."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shanfu.errors import LinkClosed
from shanfu.links import TerminalLink
from tests.links.teller import TwoBytes, framed, opened, orders, words

ROOT = Path(__file__).parent.parent.parent


def serve(folder: Path, *, crash_at: str = "") -> tuple[subprocess.Popen[str], TerminalLink]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.links.teller", str(folder), "0"],
        cwd=ROOT, env={**os.environ, "SHANFU_CRASH_AT": crash_at}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    ports = [word for word in process.stdout.readline().split() if word.isdigit()]
    return process, TerminalLink("127.0.0.1", int(ports[0]), framing=TwoBytes, timeout_ms=5_000)


def ended(process: subprocess.Popen[str]) -> int:
    code = process.wait(10)
    process.stdout.close()
    return code


@pytest.mark.parametrize(("point", "answered", "kept"), [
    ("before-handle:2", False, ["1"]),
    ("after-handle:2",  False, ["1"]),
    ("before-commit:2", False, ["1"]),
    ("after-commit:2",  False, ["1", "2"]),
    ("after-send:2",    True,  ["1", "2"]),
])  # fmt: skip
def test_killed_at_a_point_and_started_again(tmp_path: Path, point: str, answered: bool, kept: list[str]) -> None:
    process, terminal = serve(tmp_path, crash_at=f"teller:{point}")
    with terminal:
        assert words(terminal.ask(framed("add 1"))) == "ok 1"
        if answered:
            assert words(terminal.ask(framed("add 2"))) == "ok 2"
        else:
            with pytest.raises(LinkClosed):
                terminal.ask(framed("add 2"))
    assert ended(process) == -signal.SIGKILL
    with opened(tmp_path) as store:
        assert orders(store) == kept
    process, terminal = serve(tmp_path)
    with terminal:
        assert words(terminal.ask(framed("add 2"))) == "ok 2"
    process.terminate()
    assert ended(process) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    process, terminal = serve(tmp_path)
    with terminal:
        assert words(terminal.ask(framed("add 1"))) == "ok 1"
        process.send_signal(number)
        assert ended(process) == 0
        with pytest.raises(LinkClosed):
            terminal.ask(framed("add 2"))
    with opened(tmp_path) as store:
        assert orders(store) == ["1"]
