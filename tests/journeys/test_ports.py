"""What comes to an open port: foreign protocols, broken frames, wrong words. Real processes, real sockets.

A foreign protocol or an impossible frame ends that one link, with a line in the log that says why and shows no bytes. A frame
that is one gets an answer, the right code, and its link goes on. All the while another terminal pays.
"""

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from shanfu.iso8583 import Message, PosFrame, PosFrames, decode_pos, encode_pos, prepare_pos
from shanfu.links import TerminalLink
from shanfu.sandbox import PIN, World
from shanfu.sandbox.till import tcp_line, till
from shanfu.terminal import PIN_PAD, MakeMAC, Receipt
from tests.journeys.city import prepared, running
from tests.journeys.town import money

SOON_S = 5.0
SERVERS = ("acquirer-lantern", "network", "issuer-lantern")


@pytest.fixture(scope="module")
def world(made_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = prepared(Path(copytree(made_world, tmp_path_factory.mktemp("plain") / "world")), tls=False)
    with running(world):
        yield world


def pays(world: World, merchant: str = "bookshop") -> Receipt:
    """Somebody else pays meanwhile."""
    with (
        tcp_line(world, merchant) as line,
        till(world, merchant, line, keypad=lambda _: PIN) as it,
        world.card("credit") as card,
    ):
        it.present(card)
        return it.do(it.terminal.pay(money(merchant, "0.01")))


def dial(world: World, host: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", world.settings.ports[host]), SOON_S)


def log_lines(world: World, host: str) -> list[dict[str, str]]:
    text = (world.folder / host / "log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def reason_in_log(world: World, host: str, seen: int) -> str:
    """The first new line that says why a link was closed."""
    until = time.monotonic() + SOON_S
    while time.monotonic() < until:
        for line in log_lines(world, host)[seen:]:
            if line["event"] in ("link_closed", "tls_refused"):
                return line["why"]
        time.sleep(0.02)
    raise AssertionError(f"{host}: the log does not say why, only {log_lines(world, host)[seen:]}")


def is_closed(line: socket.socket) -> bool:
    line.settimeout(SOON_S)
    try:
        while line.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


# -- what is no frame --------------------------------------------------------------------------------------------------

# fmt: off
FOREIGN = [
  ("http",             b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",    "an HTTP request"),
  ("http 2",           b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",              "an HTTP/2 preface"),
  ("tls on plain",     bytes.fromhex("1603010200010001FC0303") + bytes(32), "a TLS ClientHello"),
  ("ssh",              b"SSH-2.0-OpenSSH_9.9\r\n",                       "an SSH greeting"),
  ("ones",             b"\xff" * 64,                                     ""),
  ("a length of lies", b"\xf0\x00" + bytes(64),                          ""),
]
# fmt: on


@pytest.mark.parametrize("host", SERVERS)
@pytest.mark.parametrize(("name", "sent", "why"), FOREIGN, ids=[row[0] for row in FOREIGN])
def test_a_foreign_protocol_ends_its_own_link_only(world: World, *, name: str, sent: bytes, why: str, host: str) -> None:
    seen = len(log_lines(world, host))
    with dial(world, host) as line:
        line.sendall(sent)
        assert is_closed(line)
    told = reason_in_log(world, host, seen)
    assert told.startswith("no frame: ")
    assert why in told
    assert sent.hex()[4:40] not in told.lower()
    assert pays(world).approved


@pytest.mark.parametrize("host", SERVERS)
def test_half_a_frame_and_a_silent_caller_keep_nobody_waiting(world: World, host: str) -> None:
    with dial(world, host) as half, dial(world, host) as silent, dial(world, host) as aborted:
        half.sendall(b"\x00\x80\x60\x00\x03" if host.startswith("acquirer") else b"0200\x2e\x02")
        aborted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with a reset
        aborted.sendall(b"\x00")
        aborted.close()
        assert pays(world).approved
        for line in (half, silent):  # nobody has closed these: a slow line may still send the rest
            line.settimeout(0.1)
            with pytest.raises(TimeoutError):
                line.recv(1)


@pytest.mark.parametrize("host", ["network", "issuer-lantern"])
def test_who_does_not_say_who_he_is_is_not_heard(world: World, host: str) -> None:
    """An interbank frame from an institution that nobody knows."""
    frame = b"0058" + b"\x2e\x02" + b"0058" + b"00010000   " + b"99999999   " + bytes(3) + b"0" * 16 + b"0820" + bytes(8)
    seen = len(log_lines(world, host))
    with dial(world, host) as line:
        line.sendall(frame)
        assert is_closed(line)
    assert "who" in reason_in_log(world, host, seen)
    assert pays(world).approved


# -- what is a frame, but a wrong one ----------------------------------------------------------------------------------


class Tampered:
    """A line on which one request of this type is changed on its way, and the real answer to it is looked at."""

    def __init__(self, line: Callable[[bytes], bytes], mti: str, change: Callable[[bytes], bytes]) -> None:
        self._line, self._mti, self._change = line, mti, change
        self.codes: list[str] = []

    def __call__(self, frame: bytes) -> bytes:
        if self.codes or frame[13:15].hex() != self._mti:
            return self._line(frame)
        answer = self._line(self._change(frame))
        self.codes.append(decode_pos(answer).message.text(39))
        return answer


def changed(pad: Callable[[object], object], fields: dict[int, str | bytes | None]) -> Callable[[bytes], bytes]:
    """Change fields and make the MAC anew with the terminal's own PIN pad."""

    def change(frame: bytes) -> bytes:
        was = decode_pos(frame)
        message = Message(was.message.mti, {**was.message.fields, **fields})  # type: ignore[dict-item]
        for number in [number for number, value in message.fields.items() if value is None]:
            del message.fields[number]
        unsealed = prepare_pos(PosFrame(was.tpdu, was.header, replace_mac(message)))
        return unsealed.seal(pad(MakeMAC(unsealed.mab)).mac)  # type: ignore[attr-defined]

    return change


def replace_mac(message: Message) -> Message:
    return replace(message, fields={number: value for number, value in message.fields.items() if number != 64})


@contextlib.contextmanager
def any_answer(world: World, merchant: str) -> Iterator[Callable[[bytes], bytes]]:
    """A line that takes the next answer, whatever it is about."""
    port = world.settings.ports["acquirer-lantern"]
    with TerminalLink("127.0.0.1", port, framing=PosFrames, timeout_ms=6_000) as link:
        yield link.ask


# fmt: off
WRONG = [
  ("another terminal",      {41: "19999999"},              "97"),
  ("another merchant",      {42: "990290059999999"},       "03"),
  ("another batch",         {60: "22000999000600"},        "77"),
  ("another currency",      {49: "344"},                   "A1"),
  ("an unknown kind",       {3: "990000"},                 "12"),
  ("no currency",           {49: None},                    "30"),
  ("no amount",             {4: None},                     "30"),
]
# fmt: on


@pytest.mark.parametrize(("name", "fields", "code"), WRONG, ids=[row[0] for row in WRONG])
def test_a_wrong_request_gets_its_code_and_the_link_goes_on(world: World, *, name: str, fields, code: str) -> None:
    with any_answer(world, "teahouse") as line:
        assert tampered(world, line, lambda pad: changed(pad, fields)) == code
        with till(world, "teahouse", line, keypad=lambda _: PIN) as it, world.card("debit") as card:
            it.present(card)
            assert it.do(it.terminal.pay(money("teahouse", "0.01"))).approved


@pytest.mark.parametrize(("name", "change", "code"), [
    ("a wrong MAC",       lambda frame: frame[:-1] + bytes((frame[-1] ^ 1,)),          "A0"),
    ("another amount",    lambda frame: frame.replace(bytes.fromhex("000000000077"), bytes.fromhex("000000000078"), 1), "A0"),
    ("no sense at all",   lambda frame: frame[:15] + b"\xff" * 8 + frame[23:],          "30"),
    ("a piece cut out",   lambda frame: shortened(frame, 9),                            "30"),
])  # fmt: skip
def test_a_damaged_request_gets_its_code_and_the_link_goes_on(world: World, *, name: str, change, code: str) -> None:
    with any_answer(world, "teahouse") as line:
        assert tampered(world, line, lambda _: change) == code
        with till(world, "teahouse", line, keypad=lambda _: PIN) as it, world.card("debit") as card:
            it.present(card)
            assert it.do(it.terminal.pay(money("teahouse", "0.01"))).approved


def shortened(frame: bytes, by: int) -> bytes:
    return (len(frame) - 2 - by).to_bytes(2, "big") + frame[2:-by]


def tampered(world: World, line: Callable[[bytes], bytes], make: Callable[..., Callable[[bytes], bytes]]) -> str:
    """Pay 0.77 with a request that is changed on its way; return the code that came back for it."""
    with till(world, "teahouse", line, keypad=lambda _: PIN) as it, world.card("debit") as card:
        assert it.sign_in().approved
        spy = Tampered(line, "0200", make(it._peers[PIN_PAD]))
        it._peers["acquirer"] = spy
        it.present(card)
        assert not it.do(it.terminal.pay(money("teahouse", "0.77"))).approved
    assert len(spy.codes) == 1
    return spy.codes[0]


def test_a_name_is_not_used_for_another_amount(world: World) -> None:
    """The same request again gets the same answer; with another amount, well MACed, it is refused with 94."""
    sent: list[bytes] = []

    with any_answer(world, "teahouse") as line, till(world, "teahouse", line, keypad=lambda _: PIN) as it:

        def listening(frame: bytes) -> bytes:
            sent.append(frame)
            return line(frame)

        it._peers["acquirer"] = listening
        with world.card("debit") as card:
            it.present(card)
            paid = it.do(it.terminal.pay(money("teahouse", "0.55")))
        request = next(frame for frame in reversed(sent) if frame[13:15] == b"\x02\x00")
        again = decode_pos(line(request)).message
        assert (again.text(39), again.text(37), again.text(38)) == ("00", paid.rrn, paid.auth_code)
        other = changed(it._peers[PIN_PAD], {4: "000000000056"})(request)
        assert decode_pos(line(other)).message.text(39) == "94"
        assert decode_pos(line(request)).message.text(37) == paid.rrn


def test_a_frame_that_comes_byte_by_byte_is_answered(world: World) -> None:
    echo = encode_pos(
        PosFrame("6000030000", "613100310000", Message("0820", {41: "10000001", 42: "990290058120001", 60: "00000001301"}))
    )
    with dial(world, "acquirer-lantern") as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in echo:
            line.sendall(bytes((byte,)))
            time.sleep(0.001)
        line.settimeout(SOON_S)
        frames = PosFrames().feed(line.recv(4096))
    assert decode_pos(frames[0]).message.text(39) == "00"


def test_tls_answers_only_to_tls_and_to_certificates(made_world: Path, tmp_path: Path) -> None:
    world = prepared(Path(copytree(made_world, tmp_path / "world")), tls=True)
    with running(world):
        assert pays(world).approved
        for host in SERVERS:
            seen = len(log_lines(world, host))
            with dial(world, host) as line:  # plain words to a TLS port
                line.sendall(b"\x00\x20\x60\x00\x03\x00\x00" + bytes(27))
                assert is_closed(line)
            assert "TLS" in reason_in_log(world, host, seen)
            seen = len(log_lines(world, host))
            nobody = ssl.create_default_context()
            nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
            with contextlib.suppress(ssl.SSLError, OSError), nobody.wrap_socket(dial(world, host)) as line:  # no certificate
                line.sendall(b"\x00\x20\x60\x00\x03\x00\x00" + bytes(27))
                assert is_closed(line)
            assert "certificate" in reason_in_log(world, host, seen)
        assert pays(world).approved
