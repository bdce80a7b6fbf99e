"""Our cards behind a real pcscd: read by an outside program, by our own terminal, and taken away at the wrong moment."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import apdu
from shanfu.card import Card, Interface
from shanfu.cli.main import Exit, _run
from shanfu.emv import PPSE, TVR, decode_field55, parse_ppse
from shanfu.errors import LinkClosed, LinkError, LinkTimeout
from shanfu.iso7816 import ResponseAPDU, parse
from shanfu.links import PCSCCard, Plug, Recorded, list_readers
from tests.readers.daemon import SYSTEM_PYTHON, Daemon, pcscd  # noqa: F401
from tests.terminal.chips import authority, genuine, issues, made
from tests.terminal.shop import Shop, card, config

OUTSIDER = Path(__file__).with_name("outsider.py")
AID = "A000000333010101"
SELECT_AID = f"00A40400{len(AID) // 2:02X}{AID}"
SELECT_PPSE = f"00A404000E{PPSE.hex()}"
PAID = ("36000000", "000000001234", "000000000000", "0156", "0000000000", "0156", "261122", "00", "11223344")  # by the PDOL
GPO = f"80A80000238321{''.join(PAID)}00"
GET_UID = "FFCA000000"


@contextmanager
def lying(pcscd: Daemon, it: Card, interface: Interface = Interface.CONTACTLESS) -> Iterator[Plug]:  # noqa: F811
    """A card in the virtual reader, seen by pcscd."""
    plug = Plug(it, interface)
    thread = threading.Thread(target=plug.dial, args=("127.0.0.1", pcscd.port), daemon=True)
    thread.start()
    try:
        until_seen(pcscd, present=True)
        yield plug
    finally:
        plug.stop()
        thread.join(5)
        until_seen(pcscd, present=False)


def until_seen(pcscd: Daemon, *, present: bool) -> None:  # noqa: F811
    ends = time.monotonic() + 10
    while dict(list_readers())[pcscd.reader] is not present:
        assert time.monotonic() < ends
        time.sleep(0.02)


def outsider(pcscd: Daemon, *commands: str) -> dict[str, object]:  # noqa: F811
    line = [str(SYSTEM_PYTHON), str(OUTSIDER), pcscd.reader, *commands]
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False, env={"PATH": "/usr/bin"})
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_an_outside_program_pays_by_wave(pcscd: Daemon) -> None:  # noqa: F811
    with lying(pcscd, card()):
        told = outsider(pcscd, GET_UID, SELECT_PPSE + "00", SELECT_AID + "00", GPO)
    uid, ppse, fci, gpo = (ResponseAPDU.parse(bytes.fromhex(raw)) for raw in told["answers"])  # type: ignore[attr-defined]
    assert (told["atr"], told["protocol"]) == ("3B80800101", 2)
    assert (uid.ok, len(uid.data), uid.data[0]) == (True, 4, 8)
    assert [entry.aid.hex().upper() for entry in parse_ppse(ppse.data)] == [AID]
    assert parse(fci.data).require(0x6F, 0x84).value.hex().upper() == AID
    answer = {node.tag for node in parse(gpo.data).walk()}
    assert {0x82, 0x9F26, 0x9F10, 0x9F36, 0x57} <= answer


def test_an_outside_program_finds_a_contact_card_of_t0(pcscd: Daemon) -> None:  # noqa: F811
    with lying(pcscd, card(), Interface.CONTACT):
        whole = outsider(pcscd, GET_UID, SELECT_AID, "80CA9F3600", "80CA9F3605")
        length = int(str(whole["answers"][1])[2:], 16)  # type: ignore[index]
        told = outsider(pcscd, SELECT_AID, f"00C00000{length:02X}", SELECT_PPSE)
    assert (whole["atr"], whole["protocol"]) == ("3B6500002063CB6800", 1)
    assert whole["answers"] == ["6E00", f"61{length:02X}", "6C05", "9F360200009000"]
    fci = ResponseAPDU.parse(bytes.fromhex(told["answers"][1]))  # type: ignore[index]
    assert parse(fci.data).require(0x6F, 0x84).value.hex().upper() == AID
    assert told["answers"][2] == "6A82"  # type: ignore[index]  # the contactless directory is not to be had by contact


def test_our_terminal_is_paid_by_the_card_in_a_reader(pcscd: Daemon) -> None:  # noqa: F811
    with lying(pcscd, card()), PCSCCard(pcscd.reader) as it:
        shop = Shop(card=Recorded(it))  # type: ignore[arg-type]
        for _ in range(3):
            receipt = shop.pay("12.34")
            assert receipt.approved
        assert receipt.atc == "0003"


def test_our_terminal_takes_an_inserted_card_of_t0(pcscd: Daemon) -> None:  # noqa: F811
    """The whole contact flow: directory, records, certificates, two cryptograms, with GET RESPONSE under each of them."""
    with lying(pcscd, made(genuine()), Interface.CONTACT), PCSCCard(pcscd.reader) as it:
        shop = Shop(settings=config(ca_keys=(authority(),)), card=it)  # type: ignore[arg-type]
        shop.host.plays("0200", issues())
        receipt = shop.insert()
    assert (receipt.approved, receipt.interface, receipt.entry_mode, receipt.atc) == (True, "contact", "051", "0001")
    tvr = TVR.parse(decode_field55(shop.host.asked[-1].binary(55))[0x95])
    assert not tvr & (TVR.ODA_NOT_PERFORMED | TVR.CDA_FAILED | TVR.DDA_FAILED | TVR.SDA_FAILED)


@pytest.mark.parametrize("interface", list(Interface))
def test_our_reader_asks_whole_commands(pcscd: Daemon, interface: Interface) -> None:  # noqa: F811
    other = next(one for one in Interface if one is not interface)
    direct = card()
    direct.power_on(interface)
    with lying(pcscd, card(), interface), PCSCCard(pcscd.reader) as it:
        assert it.power_on(other) == b""
        assert it.power_on(interface)
        for command in (SELECT_AID + "00", "80CA9F3600", "00B2011400", "00B2011500", "80CA9F9900", "00"):
            raw = bytes.fromhex(command)
            assert it.answer(raw) == direct.answer(raw), command


def test_a_card_that_is_taken_away(pcscd: Daemon) -> None:  # noqa: F811
    def ask_on() -> None:
        while True:
            it.answer(bytes.fromhex("80CA9F3600"))

    with PCSCCard(pcscd.reader) as it, lying(pcscd, card()) as plug:
        assert it.power_on("contactless")
        assert it.answer(bytes.fromhex(SELECT_AID + "00")).endswith(b"\x90\0")
        plug.stop()
        with pytest.raises(LinkClosed, match=f"{pcscd.reader}: the card was taken away"):
            ask_on()
        with pytest.raises(LinkClosed, match="the card has no power"):
            it.answer(bytes.fromhex("80CA9F3600"))


def test_a_card_that_comes_late(pcscd: Daemon) -> None:  # noqa: F811
    waits: list[str] = []
    with PCSCCard(pcscd.reader, wait_s=10, waiting=waits.append) as it:
        plug = Plug(card())
        thread = threading.Thread(target=plug.dial, args=("127.0.0.1", pcscd.port), daemon=True)
        timer = threading.Timer(0.2, thread.start)
        timer.start()
        assert it.power_on("contactless")
        assert waits == [pcscd.reader]
        plug.stop()
        thread.join(5)
    until_seen(pcscd, present=False)


def test_no_card(pcscd: Daemon) -> None:  # noqa: F811
    with PCSCCard(pcscd.reader, wait_s=0.1) as it, pytest.raises(LinkTimeout, match="no card in the reader"):
        it.power_on("contactless")
    with pytest.raises(LinkClosed, match=f"is not one of the readers: {pcscd.reader}"):
        PCSCCard("omnikey")


def test_the_commands(pcscd: Daemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """`serve card --trace` is a process of its own in the reader; `card replay` and `readers` find it there."""
    trace = tmp_path / "tap.trace"
    heard = Recorded(card())
    assert Shop(card=heard).pay("12.34").approved  # type: ignore[arg-type]
    trace.write_text(str(heard.trace()))
    command = [sys.executable, "-m", "shanfu.cli", "serve", "card", "--vpcd", "--trace", str(trace), "--port", str(pcscd.port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as served:
        try:
            until_seen(pcscd, present=True)
            assert _run(["card", "replay", str(trace), "--reader", "test 00 00"]) == Exit.DONE
            assert "3 exchanges, all as recorded" in capsys.readouterr().out
            assert _run(["readers"]) == Exit.DONE
            assert f"{pcscd.reader:<48} card" in capsys.readouterr().out
        finally:
            served.terminate()
        assert served.wait(10) == 0
    until_seen(pcscd, present=False)
    assert _run(["card", "read", "--reader", "test 00 00", "--wait", "0"]) == Exit.UNREACHABLE
    assert "no card in the reader" in capsys.readouterr().err


def test_without_the_daemon(pcscd: Daemon, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    with PCSCCard(pcscd.reader) as it:
        pcscd.stop()
        try:
            with pytest.raises(LinkError, match="pcscd"):
                it.power_on("contactless")
            assert _run(["readers"]) == Exit.UNREACHABLE
            assert "no pcscd answers; start it" in capsys.readouterr().err
        finally:
            pcscd.start()


def test_the_benchmark_says_its_figures(pcscd: Daemon) -> None:  # noqa: F811
    pcscd.stop()
    try:
        first, second = apdu.rows(0.1)
    finally:
        pcscd.start()
    assert (first["unit"], first["rule"]) == ("µs", "ours at most")
    assert 0 < first["ours"] < first["other"]  # forty milliseconds of waiting for an acknowledgement
    assert second["ours"] > second["other"] > 0
