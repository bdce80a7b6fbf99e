"""`shanfu card`, `readers`, `serve card`, `serve pos`, `tap --reader`: over TCP, without PC/SC (with it: tests/readers)."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shanfu.card import Card, CardKeys, Interface, debit_2_0, personalise
from shanfu.cli.main import Exit, _run
from shanfu.crypto import CardAlgorithm
from shanfu.links import Plug, Trace
from shanfu.pan import PAN, luhn_digit
from shanfu.sandbox import CARDS, Settings, free_ports, open_or_build
from shanfu.store import DictMemory

DEBIT = next(card.pan for card in CARDS if card.name == "debit")
STRANGER = "622848000000000" + luhn_digit("622848000000000")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    open_or_build(folder, settings=Settings(**free_ports()))
    return folder


@pytest.fixture
def world(made: Path, tmp_path: Path) -> str:
    shutil.copytree(made, tmp_path / "data")
    return str(tmp_path / "data")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = _run(list(words))
    told = capsys.readouterr()
    return code, told.out, told.err


def strangers_card() -> Card:
    profile, memory = debit_2_0(PAN(STRANGER), holder="SOMEBODY/ELSE"), DictMemory()
    keys = CardKeys(ac=b"\1" * 16, mac=b"\2" * 16, enc=b"\3" * 16)
    personalise(profile, CardKeys.derive(keys, CardAlgorithm.TDES, pan=profile.pan, psn=profile.psn), memory)
    return Card(memory)


@contextmanager
def waiting(card: Card, interface: Interface = Interface.CONTACTLESS) -> Iterator[str]:
    """A card at an address; gives what `--reader` takes."""
    plug, ports, ready = Plug(card, interface), [], threading.Event()

    def listening(port: int) -> None:
        ports.append(port)
        ready.set()

    thread = threading.Thread(target=plug.listen, args=("127.0.0.1", 0), kwargs={"listening": listening}, daemon=True)
    thread.start()
    assert ready.wait(5)
    yield f"tcp:127.0.0.1:{ports[0]}"
    plug.stop()
    thread.join(5)


def test_a_strangers_card_is_looked_at_and_not_touched(capsys: pytest.CaptureFixture[str]) -> None:
    card = strangers_card()
    for interface in Interface:
        with waiting(card, interface) as where:
            code, out, _ = run(capsys, "card", "read", "--reader", where, "--json")
        told = json.loads(out)
        assert (code, told["interface"]) == (Exit.DONE, interface)
        (application,) = told["applications"]
        values = {e["tag"]: e["value"] for part in application["parts"] for e in part["elements"]}
        assert application["aid"] == "A000000333010101"
        assert values["5A"] == f"{STRANGER[:6]}******{STRANGER[-4:]}"
        assert set(values["5F20"]) == {"*"}
        assert STRANGER not in out
        assert values["9F36"] == "0000"  # nothing was counted


def test_a_transaction_is_begun_only_when_asked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    card, trace = strangers_card(), tmp_path / "look.trace"
    with waiting(card) as where:
        code, out, err = run(capsys, "card", "read", "--reader", where, "--gpo", "--record", str(trace))
    assert (code, "GPO" in out) == (Exit.DONE, True)
    assert "masked: not known as a test card" in err
    recorded = Trace.parse(trace.read_text())
    (gpo,) = (x.command for x in recorded.exchanges if x.command[1] == 0xA8)
    assert gpo[11:17] == bytes(6)  # no amount
    assert not any(x.command[1] in (0xAE, 0x20, 0x88) for x in recorded.exchanges)
    assert STRANGER not in trace.read_text()
    assert "**" in trace.read_text()


def test_a_strangers_card_is_not_charged(capsys: pytest.CaptureFixture[str], world: str) -> None:
    with waiting(strangers_card()) as where:
        code, out, err = run(capsys, "tap", "--reader", where, "--amount", "5", "--data", world)
    assert (code, out) == (Exit.USAGE, "")
    assert "its number is none of the sandbox's" in err
    assert STRANGER not in err


def test_a_card_elsewhere_pays_and_its_trace_is_clear(capsys: pytest.CaptureFixture[str], world: str, tmp_path: Path) -> None:
    trace = tmp_path / "tap.trace"
    with open_or_build(world).card("debit") as card, waiting(card) as where:
        words = ("tap", "--reader", where, "--amount", "12.34", "--data", world, "--record", str(trace), "--json")
        code, out, _ = run(capsys, *words)
        told = json.loads(out)
        assert (code, told["outcome"], told["device"]) == (Exit.DONE, "approved", where)
        with_no_antenna = waiting(card, Interface.CONTACT)
        with with_no_antenna as slot:
            code, out, _ = run(capsys, "tap", "--reader", slot, "--amount", "12.34", "--data", world, "--json")
        assert (code, json.loads(out)["outcome"]) == (Exit.DECLINED, "try-another-interface")
    assert Trace.parse(trace.read_text()).numbers() == [DEBIT]
    code, out, _ = run(capsys, "card", "replay", str(trace), "--profile", "debit", "--data", world)
    assert (code, out.startswith("exchange 3, answer: byte ")) == (Exit.DECLINED, True)  # its counter has moved since


def test_cards_dial_in_at_a_pos(world: str) -> None:
    """`serve pos` in a process of its own: nobody's hangs up, a stranger's is refused, and the sandbox's pays."""
    command = [sys.executable, "-m", "shanfu.cli", "serve", "pos", "--amount", "5", "--port", "0", "--data", world, "--json"]
    with subprocess.Popen([*command, "--times", "3"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as pos:
        assert pos.stderr is not None
        port = int(pos.stderr.readline().rsplit(":", 1)[1])
        socket.create_connection(("127.0.0.1", port)).close()
        stranger = Plug(strangers_card())
        threading.Thread(target=stranger.attend, args=(socket.create_connection(("127.0.0.1", port)),), daemon=True).start()
        with open_or_build(world).card("debit") as card:
            plug = Plug(card)
            thread = threading.Thread(target=plug.dial, args=("127.0.0.1", port), daemon=True)
            thread.start()
            out, err = pos.communicate(timeout=30)
            plug.stop()
            thread.join(5)
    assert pos.returncode == Exit.DONE, err
    assert json.loads(out)["outcome"] == "approved"
    assert "card: has hung up" in err
    assert "its number is none of the sandbox's" in err


def test_a_served_card_ends_when_it_is_told_to(world: str) -> None:
    command = [sys.executable, "-m", "shanfu.cli", "serve", "card", "--tcp", "0", "--profile", "contact-only", "--data", world]
    with subprocess.Popen([*command, "--interface", "contact"], stderr=subprocess.PIPE, text=True) as served:
        assert served.stderr is not None
        assert "contact-only: waits at 127.0.0.1:" in served.stderr.readline()
        began = time.monotonic()
        served.terminate()
        assert served.wait(10) == Exit.DONE
        assert time.monotonic() - began < 5


# fmt: off
REFUSED = [  # words, exit code, what is said
    (["card", "read"],                                        Exit.USAGE,       "give --reader"),
    (["card", "read", "--reader", "x", "--profile", "debit"], Exit.USAGE,       "give --reader"),
    (["card", "read", "--reader", "tcp:nowhere"],             Exit.USAGE,       "write it like tcp:127.0.0.1:35964"),
    (["card", "read", "--reader", "tcp:127.0.0.1:1"],         Exit.UNREACHABLE, "cannot be reached"),
    (["serve", "card", "--vpcd"],                             Exit.USAGE,       "give one of --profile, --phone and --trace"),
    (["serve", "card", "--profile", "debit"],                 Exit.USAGE,       "give --vpcd or --tcp PORT"),
    (["serve", "pos", "--amount", "1", "--record", "x"],      Exit.USAGE,       "add --times 1"),
    (["tap", "--amount", "1", "--with", "hce", "--reader", "x"], Exit.USAGE,    "--reader is about a card"),
    (["serve", "nobody", "--data", "{world}"],                Exit.USAGE,       "host 'nobody': not in the sandbox"),
    (["serve", "card", "--vpcd", "--profile", "contact-only", "--data", "{world}"], Exit.USAGE, "has no contactless interface"),
    (["serve", "card", "--vpcd", "--phone", "phone", "--data", "{world}"], Exit.USAGE, "start them with `shanfu up`"),
    (["card", "read", "--profile", "debit", "--record", "/nowhere/x", "--data", "{world}"], Exit.USAGE, "--record /nowhere/x"),
]
# fmt: on


@pytest.mark.parametrize(("words", "code", "said"), REFUSED)
def test_refused(capsys: pytest.CaptureFixture[str], made: Path, words: list[str], code: int, said: str) -> None:
    ended, out, err = run(capsys, *(word.format(world=made) for word in words))
    assert (ended, out) == (code, "")
    assert said in err


def test_a_trace_is_served_until_it_is_asked_something_else(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace = tmp_path / "a.trace"
    trace.write_text("# shanfu trace 1\n# atr 3B80800101\n80CA9F3600 9F360200019000\n80CA9F1700 9F1701039000\n")
    command = [sys.executable, "-m", "shanfu.cli", "serve", "card", "--tcp", "0", "--trace", str(trace)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as served:
        assert served.stderr is not None
        port = served.stderr.readline().split(",")[0].rsplit(":", 1)[1]
        assert run(capsys, "card", "replay", str(trace), "--reader", f"tcp:127.0.0.1:{port}")[0] == Exit.DONE
        other = tmp_path / "b.trace"
        other.write_text(trace.read_text().replace("80CA9F17", "80CA9F13"))
        code, out, _ = run(capsys, "card", "replay", str(other), "--reader", f"tcp:127.0.0.1:{port}")
        assert (code, out) == (Exit.DECLINED, "exchange 2, answer: none came, 6 bytes are recorded\n")
        assert served.wait(10) == Exit.DECLINED
        assert "terminal: exchange 2, command: byte 3 is 13, 17 is recorded" in served.stderr.read()
