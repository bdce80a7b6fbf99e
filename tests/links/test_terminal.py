"""A terminal's blocking link, against a scripted host on a real socket."""

import gc
import socket
import ssl
import struct
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shanfu.errors import LinkClosed, LinkTimeout
from shanfu.links import TerminalLink, client_context, issue, make_ca, server_context
from tests.links.teller import TwoBytes, framed, matches, words

Script = Callable[[socket.socket], None]


class Listener:
    """Runs one script for each connection, in order."""

    def __init__(self, *scripts: Script, tls=None) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.stop = threading.Event()
        self._scripts, self._tls = scripts, tls
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for script in self._scripts:
            line, _ = self.socket.accept()
            with line:
                try:
                    line = self._tls.wrap_socket(line, server_side=True) if self._tls else line
                    with line:
                        script(line)
                except OSError:
                    pass

    def close(self) -> None:
        self.stop.set()
        self._thread.join(5)
        self.socket.close()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    made: list[Listener] = []

    def make(*scripts: Script, **more) -> Listener:
        made.append(Listener(*scripts, **more))
        return made[-1]

    yield make
    for listener in made:
        listener.close()


def link(listener: Listener, **more) -> TerminalLink:
    return TerminalLink("127.0.0.1", listener.port, framing=TwoBytes, **{"timeout_ms": 300, "matches": matches, **more})


def answering(line: socket.socket) -> None:
    while frame := line.recv(1000):
        line.sendall(framed("ok " + words(frame).split()[-1]))


def test_one_connection_serves_many_asks(listen) -> None:
    with link(listen(answering)) as terminal:
        assert [words(terminal.ask(framed(f"add {n}"))) for n in range(5)] == [f"ok {n}" for n in range(5)]


def test_a_reply_in_single_bytes(listen) -> None:
    def script(line: socket.socket) -> None:
        line.recv(1000)
        for byte in framed("ok 1"):
            line.sendall(bytes([byte]))
            time.sleep(0.005)
        line.recv(1)

    with link(listen(script)) as terminal:
        assert words(terminal.ask(framed("add 1"))) == "ok 1"


@pytest.mark.parametrize(("reply", "error", "text"), [
    (b"",                            LinkTimeout, r"no answer in 300 ms, nothing received$"),
    (framed("ok 1")[:4],             LinkTimeout, r"; 4 bytes received, not a frame because it announces more$"),
    (framed("ok 9"),                 LinkTimeout, r"; 1 frames received that answer something else$"),
    (b"HTTP/1.1 400 Bad Request",    LinkTimeout, r"24 bytes received, not a frame because input: the length says 18516 bytes"),
    (None,                           LinkClosed,  r"hung up after 0 bytes of an answer$"),
])  # fmt: skip
def test_silence_is_explained(listen, reply: bytes | None, error: type[Exception], text: str) -> None:
    def script(line: socket.socket) -> None:
        line.recv(1000)
        if reply is not None:
            line.sendall(reply)
            line.recv(1000)

    with link(listen(script)) as terminal, pytest.raises(error, match=text):
        terminal.ask(framed("add 1"))


def test_a_late_answer_of_an_earlier_ask_is_thrown_away(listen) -> None:
    def script(line: socket.socket) -> None:
        line.recv(1000)
        late.wait(5)
        line.sendall(framed("ok 1"))  # before the second ask
        sent.set()
        line.recv(1000)
        line.sendall(framed("ok 1") + framed("ok 2"))  # and once more after it
        line.recv(1000)

    late, sent = threading.Event(), threading.Event()
    with link(listen(script)) as terminal:
        with pytest.raises(LinkTimeout):
            terminal.ask(framed("add 1"))
        late.set()
        sent.wait(5)
        assert words(terminal.ask(framed("add 2"))) == "ok 2"


def test_half_an_answer_that_ends_after_the_time_out_does_not_spoil_the_next(listen) -> None:
    def script(line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(framed("ok 1")[:3])
        line.recv(1000)
        line.sendall(framed("ok 1")[3:] + framed("ok 2"))
        line.recv(1000)

    with link(listen(script)) as terminal:
        with pytest.raises(LinkTimeout):
            terminal.ask(framed("add 1"))
        assert words(terminal.ask(framed("add 2"))) == "ok 2"


def test_a_host_that_hung_up_between_two_asks_is_dialled_again(listen) -> None:
    def once(line: socket.socket) -> None:
        line.sendall(framed("ok " + words(line.recv(1000)).split()[-1]))

    with link(listen(once, once, answering)) as terminal:
        for n in range(3):
            assert words(terminal.ask(framed(f"add {n}"))) == f"ok {n}"
            time.sleep(0.05)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(LinkClosed, match=rf"^127.0.0.1:{port}: cannot be reached \(Connection refused\)$"):
        TerminalLink("127.0.0.1", port, framing=TwoBytes, timeout_ms=300).ask(framed("add 1"))


def test_a_host_that_dies_before_the_handshake_leaves_no_socket_open(listen, tmp_path: Path, monkeypatch) -> None:
    def die(line: socket.socket) -> None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets

    def wrap_late(*args, **more) -> ssl.SSLSocket:
        time.sleep(0.05)
        return wrap(*args, **more)

    wrap = ssl.SSLContext.wrap_socket
    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", wrap_late)
    make_ca(tmp_path)
    issue(tmp_path, "pos-1")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with (
            link(listen(die), tls=client_context(tmp_path, "pos-1")) as terminal,
            pytest.raises(LinkClosed, match="reset by peer"),
        ):
            terminal.ask(framed("add 1"))
        gc.collect()  # whom nobody closed warns here
    assert [str(warning.message) for warning in warned] == []


def test_mutual_tls(listen, tmp_path: Path) -> None:
    for folder in ("ours", "theirs"):
        make_ca(tmp_path / folder)
        for name in ("acquirer", "pos-1"):
            issue(tmp_path / folder, name)
    server = listen(answering, answering, answering, tls=server_context(tmp_path / "ours", "acquirer"))
    with link(server, tls=client_context(tmp_path / "ours", "pos-1"), timeout_ms=3_000) as terminal:
        assert [words(terminal.ask(framed(f"add {n}"))) for n in range(3)] == ["ok 0", "ok 1", "ok 2"]
    stranger = link(server, tls=client_context(tmp_path / "theirs", "pos-1"), timeout_ms=3_000)
    with pytest.raises(LinkClosed, match=r"TLS was refused \(self-signed certificate in certificate chain\)"):
        stranger.ask(framed("add 1"))
    misled = link(server, tls=client_context(tmp_path / "ours", "pos-1"), tls_name="issuer", timeout_ms=3_000)
    with pytest.raises(LinkClosed, match=r"TLS was refused \(Hostname mismatch"):
        misled.ask(framed("add 1"))
