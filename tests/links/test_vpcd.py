"""Cards over TCP: the card's end (`Plug`) and the reader's end (`RemoteCard`), on real sockets, and each against raw bytes."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.card import Interface
from shanfu.errors import ConfigError, LinkClosed, LinkTimeout
from shanfu.links import CardDoor, Plug, RemoteCard
from tests.budget import examples
from tests.links.chip import Chip

SELECT = bytes.fromhex("00A4040007A000000333010100")
GET_UID = bytes.fromhex("FFCA000000")


@contextlib.contextmanager
def attending(card: Chip, interface: str = "contactless") -> Iterator[tuple[socket.socket, Plug]]:
    """A card in a reader whose end of the line is ours."""
    ours, theirs = _pair()
    plug = Plug(card, interface)
    thread = threading.Thread(target=plug.attend, args=(theirs,), daemon=True)
    thread.start()
    ours.settimeout(5)
    with ours:
        yield ours, plug
    thread.join(5)
    assert not thread.is_alive()


def _pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as door:
        ours = socket.create_connection(door.getsockname())
        return ours, door.accept()[0]


def say(line: socket.socket, *bodies: str) -> None:
    line.sendall(b"".join(len(raw).to_bytes(2) + raw for raw in map(bytes.fromhex, bodies)))


def hear(line: socket.socket) -> str:
    size = int.from_bytes(_exactly(line, 2))
    return _exactly(line, size).hex().upper()


def _exactly(line: socket.socket, size: int) -> bytes:
    raw = b""
    while len(raw) < size and (more := line.recv(size - len(raw))):
        raw += more
    return raw


# fmt: off
CONVERSATIONS = [  # interface, what the reader says, what the card says
    ("contactless", ["04"],                                  ["3B80800101"]),
    ("contact",     ["04"],                                  ["3B6500002063CB6800"]),
    ("contactless", ["01", SELECT.hex()],                    ["A0000003330101" + "9000"]),
    ("contactless", ["01", "00A4"],                          ["6700"]),
    ("contact",     ["01", SELECT.hex()[:-2], "00C0000007"], ["6107", "A0000003330101" + "9000"]),
    ("contact",     ["01", SELECT.hex()[:-2], "02", "00C0000007"], ["6107", "6985"]),  # a reset forgets what waits
    ("contact",     ["01", GET_UID.hex()],                   ["6E00"]),
    ("contactless", [GET_UID.hex()],                         ["6985"]),                # without power
    ("contactless", ["07", "04"],                            ["3B80800101"]),          # no such word: passed over
]
# fmt: on


@pytest.mark.parametrize(("interface", "said", "heard"), CONVERSATIONS)
def test_conversations(interface: str, said: list[str], heard: list[str]) -> None:
    with attending(Chip(), interface) as (line, _):
        say(line, *said)
        assert [hear(line) for _ in heard] == heard


def test_a_message_in_pieces_is_put_together() -> None:
    with attending(Chip()) as (line, _):
        for octet in b"\0\1\1\0\1\4" + len(SELECT).to_bytes(2) + SELECT:
            line.sendall(bytes((octet,)))
        assert hear(line) == "3B80800101"
        assert hear(line) == "A00000033301019000"


def test_the_uid_is_drawn_anew_at_each_power_on() -> None:
    with attending(Chip()) as (line, _):
        uids = set()
        for _ in range(3):
            say(line, "01", GET_UID.hex())
            uids.add(hear(line))
    assert all(uid.startswith("08") and uid.endswith("9000") and len(uid) == 12 for uid in uids)
    assert len(uids) > 1


def test_the_answer_to_reset_comes_at_once_while_a_command_is_slow() -> None:
    with attending(Chip(slow_s=0.3)) as (line, _):
        say(line, "01", SELECT.hex())
        began = time.monotonic()
        for _ in range(3):
            say(line, "04")
            assert hear(line) == "3B80800101"
        assert time.monotonic() - began < 0.25
        assert hear(line) == "A00000033301019000"


def test_power_goes_with_the_line() -> None:
    chip = Chip()
    with attending(chip) as (line, _):
        say(line, "01", SELECT.hex())
        hear(line)
        assert chip.powered == "contactless"
    assert chip.powered is None


def test_a_card_that_tears_itself_away_hangs_up() -> None:
    with attending(Chip(torn_after=1)) as (line, _):
        say(line, "01", SELECT.hex(), SELECT.hex())
        assert hear(line) == "A00000033301019000"
        assert line.recv(10) == b""


def test_a_card_without_the_interface_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no contact interface"):
        Plug(Chip(interfaces=("contactless",)), Interface.CONTACT)


@contextlib.contextmanager
def served(card: Chip, interface: str = "contactless") -> Iterator[int]:
    """A card that waits at an address."""
    plug, ports = Plug(card, interface), []
    ready = threading.Event()

    def listening(port: int) -> None:
        ports.append(port)
        ready.set()

    thread = threading.Thread(target=plug.listen, args=("127.0.0.1", 0), kwargs={"listening": listening}, daemon=True)
    thread.start()
    assert ready.wait(5)
    try:
        yield ports[0]
    finally:
        plug.stop()
        thread.join(5)
        assert not thread.is_alive()


@pytest.mark.parametrize("interface", ["contactless", "contact"])
def test_a_card_elsewhere_is_a_card(interface: str) -> None:
    with served(Chip(), interface) as port, RemoteCard.dial("127.0.0.1", port) as card:
        other = "contact" if interface == "contactless" else "contactless"
        assert card.power_on(other) == b""
        assert card.power_on(interface)
        assert card.answer(b"\0") == b"\x67\x00"  # a lone byte is no command, and would be the reader's word
        assert card.answer(SELECT).hex() == "a00000033301019000"  # under T=0 too: the procedure is done below
        card.power_off()


def test_one_reader_after_another() -> None:
    with served(Chip()) as port:
        for _ in range(3):
            with RemoteCard.dial("127.0.0.1", port) as card:
                assert card.power_on("contactless")
                assert card.answer(SELECT).endswith(b"\x90\0")


def test_a_card_that_dials_in_is_waved() -> None:
    with CardDoor("127.0.0.1", 0) as door:
        plug = Plug(Chip())
        thread = threading.Thread(target=plug.dial, args=("127.0.0.1", door.port), daemon=True)
        thread.start()
        cards = door.cards()  # the line is held as long as this is
        card = next(cards)
        assert card.power_on("contactless")
        assert card.answer(SELECT).endswith(b"\x90\0")
        plug.stop()
        thread.join(5)
        with pytest.raises(LinkClosed, match="hung up"):
            card.answer(SELECT)
        card.power_off()  # of a card that is gone: nothing


def two_free_ports() -> int:
    """Return the first of two ports side by side, below those that outgoing connections take."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000, 2):
        with (
            contextlib.suppress(OSError),
            socket.create_server(("127.0.0.1", port)),
            socket.create_server(("127.0.0.1", port + 1)),
        ):
            return port
    raise AssertionError("no two ports are free")


def test_both_slots_of_a_driver_that_dials_are_answered() -> None:
    port = two_free_ports()
    plug, ready = Plug(Chip()), threading.Event()
    words = {"both_slots": True, "listening": lambda _: ready.set()}
    thread = threading.Thread(target=plug.listen, args=("127.0.0.1", port), kwargs=words, daemon=True)
    thread.start()
    assert ready.wait(5)
    with socket.create_connection(("127.0.0.1", port)) as first, socket.create_connection(("127.0.0.1", port + 1)) as second:
        for line, answer in ((first, "3B80800101"), (second, "00")):
            for _ in range(2):
                say(line, "04")
                assert hear(line) == answer
    plug.stop()
    thread.join(5)
    assert not thread.is_alive()


@settings(max_examples=examples(15, heavy=3_000), deadline=None)
@given(st.lists(st.binary(max_size=20).filter(lambda body: body != b"\4"), max_size=6), st.binary(max_size=2))
def test_whatever_a_reader_says_the_card_stays(bodies: list[bytes], left_over: bytes) -> None:
    with attending(Chip()) as (line, _):
        say(line, *(body.hex() for body in bodies), "01", SELECT.hex())
        answers = [hear(line) for body in [*bodies, SELECT] if len(body) != 1]
        assert answers[-1] == "A00000033301019000"
        line.sendall(left_over)  # and hangs up inside a message


def test_a_card_comes_back_to_a_reader_that_was_away() -> None:
    plug = Plug(Chip())
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        thread = threading.Thread(target=plug.dial, args=("127.0.0.1", port), daemon=True)
        thread.start()
        door.accept()[0].close()
        line, _ = door.accept()
        with line:
            say(line, "04")
            assert hear(line) == "3B80800101"
    plug.stop()
    thread.join(5)
    assert not thread.is_alive()


def silent(line: socket.socket) -> None:
    say(line, "3B80800101")
    time.sleep(0.4)


def gone(line: socket.socket) -> None:
    say(line, "3B80800101")
    while SELECT not in line.recv(100):
        pass


def half(line: socket.socket) -> None:
    gone(line)
    line.sendall(b"\0\x05\x01")


@pytest.mark.parametrize(("script", "fault", "words"), [
    (silent, LinkTimeout, "no answer in 200 ms"),
    (gone,   LinkClosed,  "hung up"),
    (half,   LinkClosed,  "hung up"),
])  # fmt: skip
def test_cards_that_fail(script: Callable[[socket.socket], None], fault: type[Exception], words: str) -> None:
    ours, theirs = _pair()

    def play() -> None:
        with theirs:
            script(theirs)

    thread = threading.Thread(target=play, daemon=True)
    thread.start()
    with RemoteCard(ours, timeout_ms=200) as card:
        assert card.power_on("contactless")
        with pytest.raises(fault, match=words):
            card.answer(SELECT)
    thread.join(5)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(LinkClosed, match="cannot be reached"):
        RemoteCard.dial("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", 0)) as door, pytest.raises(ConfigError, match="cannot be listened on"):
        CardDoor("127.0.0.1", door.getsockname()[1])
