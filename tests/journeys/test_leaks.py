"""A marked PAN and a marked PIN, a day of everything that goes well and badly, and then a search through all that was written.

Files of all hosts (books, journals of the database, logs, events), of cards and terminals; receipts; what the command line
prints; events and the words of exceptions in this process.
"""

import base64
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from shanfu.errors import DecodeError
from shanfu.events import Recorder
from shanfu.iso8583 import decode_pos
from shanfu.sandbox import CARDS, World, card_named, open_or_build
from shanfu.sandbox.till import tcp_line, till
from shanfu.terminal import print_receipt
from tests.journeys.city import prepared, running
from tests.journeys.marks import Mark, clear_pin_block, search, seen
from tests.journeys.town import money

PIN = "739154806217"  # twelve digits: no time stamp or counter is that by chance
WRONG_PIN = "640827591308"
DEBIT = card_named("debit").pan
MARKS = [*(Mark(f"PAN of {card.name}", card.pan) for card in CARDS), Mark("PIN", PIN), Mark("wrong PIN", WRONG_PIN)]
BLOCKS = {"clear PIN block": clear_pin_block(PIN, DEBIT), "clear PIN block, wrong": clear_pin_block(WRONG_PIN, DEBIT)}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which every cardholder has chosen the marked PIN."""
    monkeypatch.setattr(sys.modules["shanfu.sandbox.build"], "PIN", PIN)
    open_or_build(tmp_path / "world")
    return prepared(tmp_path / "world")


D = card_named("debit").pan
PACKED, SHIFTED = bytes.fromhex(D), bytes.fromhex(f"0{D}0")


@pytest.mark.parametrize("written", [
    D.encode(), PACKED, SHIFTED, D.encode().hex().encode(), PACKED.hex().upper().encode(), SHIFTED.hex().encode(),
    D.encode("utf-16-le"), f"{D}D3012".encode(),
    *(base64.b64encode(bytes(before) + raw + b"behind") for raw in (D.encode(), PACKED, SHIFTED) for before in (5, 6, 7)),
], ids=repr)  # fmt: skip
def test_the_search_finds_a_number_however_it_is_written(written: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"before " + written + b" behind")
    assert any(line.startswith("file: PAN of debit as ") for line in search(tmp_path, MARKS, also={}))


def a_day(world: World, recorder: Recorder) -> list[str]:
    """Everything that a terminal can meet; return what was printed."""
    printed: list[str] = []
    typed: list[str] = []

    def note(receipt) -> None:
        printed.extend((print_receipt(receipt, "en"), print_receipt(receipt, "zh"), repr(receipt)))

    with (
        tcp_line(world, "bookshop") as line,
        till(world, "bookshop", line, keypad=lambda _: typed.pop(), events=recorder) as it,
    ):

        def tap(card: str, amount: str, pin: str):
            typed.append(pin)
            with world.card(card) as held:
                it.present(held)
                receipt = it.do(it.terminal.pay(money("bookshop", amount)))
            note(receipt)
            return receipt

        paid = tap("debit", "12.34", PIN)
        assert paid.approved
        assert tap("debit", "1.00", WRONG_PIN).response_code == "55"
        assert tap("debit", "20.00", PIN).approved
        assert tap("harbour", "3.00", PIN).approved
        for card in ("poor", "lost", "expired", "locked", "lab", "credit-sm4"):
            tap(card, "5.00", PIN)
        for cents in range(1, 6):
            tap("faults", f"666.0{cents}", PIN)
        typed.append(PIN)
        with world.card("debit") as held:
            it.present(held)
            note(it.do(it.terminal.balance()))
        note(it.do(it.terminal.void(paid.stan)))
        original = it.terminal.journal.find("000006") or next(iter(it.terminal.journal.transactions.values()))
        note(it.do(it.terminal.refund(original, money("bookshop", "1.00"))))
        note(it.do(it.terminal.settle()))
        printed += [repr(transaction) for transaction in it.terminal.journal.transactions.values()]
    return printed


def misuse(world: World) -> list[str]:
    """Send the marked number where it does not belong; return what errors say."""
    said = []
    for host in ("acquirer-lantern", "network", "issuer-lantern"):
        address = ("127.0.0.1", world.settings.ports[host])
        for sent in (
            f"GET /{DEBIT}?pin={PIN} HTTP/1.1\r\n\r\n".encode(),
            b"\x00\x40" + bytes.fromhex("6000030000" + DEBIT * 4) + DEBIT.encode(),
        ):
            with closing(socket.create_connection(address, 5)) as line:
                line.sendall(sent)
    for junk in (
        bytes.fromhex(
            "0030" + "6000030000" + "613100310000" + "0200" + "7024048000C00811" + "16" + DEBIT[:15] + "F" + "00" * 9
        ),
    ):
        try:
            decode_pos(junk)
        except DecodeError as fault:
            said.append(f"{fault} {fault!r}")
    return said


def command(world: World, *arguments: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "shanfu.cli", *arguments, "--data", str(world.folder)], capture_output=True, check=False
    )
    return done.stdout + done.stderr


def test_nothing_secret_is_left_anywhere(world: World) -> None:
    folder, recorder = world.folder, Recorder()
    with running(world, watch=True) as fleet:
        printed = a_day(world, recorder)
        printed += misuse(world)
        pay = ("tap", "--amount", "8.88", "--merchant", "bookshop", "--pin")
        outputs = [
            command(world, *pay, PIN, "--explain"),
            command(world, *pay, WRONG_PIN, "--json"),
        ]
        fleet.close_day()
        fleet.kill("issuer-lantern")
        fleet.start(["issuer-lantern"])
        fleet.wait_signed_on()
        outputs += [command(world, *pay, PIN, "--json")]
        assert search(folder, MARKS, also=BLOCKS) == []  # with the databases' own journals
    outputs += [
        command(world, *line.split()) for line in ("reconcile --json", "ledger trial-balance", "ledger account lin-yue")
    ]
    assert search(folder, MARKS, also=BLOCKS) == []
    assert b"approved" in outputs[2]
    for output in outputs:
        assert seen(output, MARKS, also=BLOCKS) == []
    told = "\n".join(printed) + "\n".join(f"{event!r} {event.raw.hex()}" for event in recorder.events)
    assert seen(told.encode(), MARKS, also=BLOCKS) == []
    assert all(seen(event.raw, MARKS, also=BLOCKS) == [] for event in recorder.events)
    assert len(recorder.events) > 200
    for name in ("network", "issuer-lantern", "acquirer-lantern"):
        assert (folder / name / "events.jsonl").stat().st_size > 10_000
        assert (folder / name / "log.jsonl").stat().st_size > 0
