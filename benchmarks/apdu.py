"""A card behind pcscd and the virtual reader: how long one command takes, there and back.

A card of ours lies in the reader's first slot, as `shanfu serve card --vpcd` puts it there; in the second lies the same card
behind a naive socket: each answer's length and body in two sends, and nothing said about acknowledgements. Both are
processes of their own, and one client of PC/SC asks them in turns. GET DATA changes nothing, so no disk is in the figure.

    python -m benchmarks.apdu PORT ours|naive      is such a card
"""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks.measure import SECONDS, Row, Work, rates
from shanfu.card import Interface
from shanfu.links import PCSCCard, Plug, RemoteCard, list_readers
from tests.readers.daemon import Daemon, missing
from tests.terminal.shop import card

GOAL_US = 1e6 / 3_000
SELECT = bytes.fromhex("00A4040008A00000033301010100")
GET_ATC = bytes.fromhex("80CA9F3600")
SEEN_S = 20.0


def rows(seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Measure both cards behind one pcscd, and ours without it; without pcscd the row says what is missing."""
    name = "APDU there and back through pcscd + vpcd"
    if why := missing():
        return [Row(name=name, ours=None, other=None, unit="µs", rule="ours at most", goal=GOAL_US, note=why).public()]
    with ExitStack() as ending:
        daemon = Daemon(ending.enter_context(tempfile.TemporaryDirectory(prefix="shanfu-bench-")))
        ending.callback(daemon.stop)
        mine, naive = (_asked(ending, _reader(ending, daemon, slot, kind)) for slot, kind in enumerate(("ours", "naive")))
        ours, other = (1e6 / rate for rate in rates(mine, naive, seconds))
    note = f"{1e6 / ours:,.0f} a second; other is a naive socket: two sends, no quick acknowledgement"
    row = Row(name=name, ours=ours, other=other, unit="µs", rule="ours at most", goal=GOAL_US, note=note)
    return [row.public(), _direct(seconds).public()]


def _direct(seconds: float) -> Row:
    """Measure the same line without pcscd, our reader's end at the other side, against a call in this process."""
    with ExitStack() as ending:
        here = card()
        here.power_on(Interface.CONTACTLESS)
        with socket.create_server(("127.0.0.1", 0)) as door:
            _process(ending, door.getsockname()[1], "ours")
            there = ending.enter_context(RemoteCard(door.accept()[0]))
        there.power_on(Interface.CONTACTLESS)
        ours, other = (1e6 / rate for rate in rates(_work(there.answer), _work(here.answer), seconds))
    return Row(name="the same over the line alone", ours=ours, other=other, unit="µs", note="other is the card in this process")


def _reader(ending: ExitStack, daemon: Daemon, slot: int, kind: str) -> str:
    """Put a card into a slot and wait until pcscd has seen it; return the reader's name."""
    _process(ending, daemon.port + slot, kind)
    name, ends = f"Shanfu test 00 0{slot}", time.monotonic() + SEEN_S
    while not dict(list_readers())[name]:
        assert time.monotonic() < ends, f"{name}: the card is not seen"
        time.sleep(0.02)
    return name


def _process(ending: ExitStack, port: int, kind: str) -> None:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.apdu", str(port), kind])
    ending.callback(process.wait)
    ending.callback(process.terminate)


def _asked(ending: ExitStack, reader: str) -> Work:
    it = ending.enter_context(PCSCCard(reader, wait_s=SEEN_S))
    assert it.power_on(Interface.CONTACTLESS)
    return _work(it.answer)


def _work(answer: Callable[[bytes], bytes]) -> Work:
    assert answer(SELECT).endswith(b"\x90\0")

    def work() -> int:
        assert len(answer(GET_ATC)) == 7
        return 1

    return work


def _naive(port: int) -> None:
    """Be a card as one writes it at first."""
    it = card()
    with socket.create_connection(("127.0.0.1", port)) as line:
        while size := line.recv(2):
            body = line.recv(int.from_bytes(size))
            if body == b"\4":
                answer = bytes.fromhex("3B80800101")
            elif len(body) == 1:
                it.power_on(Interface.CONTACTLESS)
                continue
            else:
                answer = it.answer(body)
            line.send(len(answer).to_bytes(2))
            line.send(answer)


if __name__ == "__main__":
    if sys.argv[2] == "naive":
        _naive(int(sys.argv[1]))
    else:
        Plug(card(), Interface.CONTACTLESS).dial("127.0.0.1", int(sys.argv[1]))
