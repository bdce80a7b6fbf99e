"""A card of ours in a virtual reader: the card's end of the vpcd wire, which outside terminals reach through PC/SC.

The driver of Debian's vsmartcard-vpcd makes pcscd believe in a reader; whoever connects to it by TCP is the card in it. A
message is two bytes of length and a body; a body of one byte is the reader's own word, anything else a command APDU:

    reader   00 power off   01 power on   02 reset   04 what is your answer to reset?   or a command
    card     (nothing)      (nothing)     (nothing)  the answer to reset                the response

Hanging up is removal. The same wire serves without PC/SC: see `apdu.py` for its other end. The reader asks 04 again and
again, and drops a card that is slow to say it, so a thread reads the line and answers that itself; the card lives in the
thread that called. vpcd 3.3 writes length and body apart and waits for an acknowledgement in between, which the kernel
withholds for 40 ms: TCP_QUICKACK before each read, and one send for each answer, make thousands of exchanges a second of 20.

Under the contact interface the card speaks T=0. GET UID (FF CA 00 00 00) is the contactless reader's, answered here.
Sources: vsmartcard's vpcd (vpcd.c, ifd-vpcd.c), PC/SC Part 3 3.2.2.1.3, ISO/IEC 14443-3 6.5.4 (random UID).
"""

import contextlib
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from enum import IntEnum
from queue import SimpleQueue
from typing import Any, Final, Protocol

from shanfu.errors import ConfigError, LinkClosed
from shanfu.links.transmission import CONTACT, CONTACTLESS, RESET_ANSWERS, T0Card

__all__ = ["VPCD_PORT", "Control", "Plug", "PoweredCard", "frame", "messages", "quick"]

VPCD_PORT: Final = 35963  # 0x8C7B, where the driver of vsmartcard-vpcd listens; its second slot is the next one
LENGTH: Final = struct.Struct(">H")
READ_BYTES: Final = 65536
RETRY_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)  # a driver that comes up is found at once, an absent one not hammered
GET_UID: Final = bytes.fromhex("FFCA0000")
MUTE: Final = b"\0"  # no answer to reset begins so: the reader finds the card unresponsive
QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)  # Linux has the trap and the way out of it


class Control(IntEnum):
    """The reader's own words."""

    OFF = 0
    ON = 1
    RESET = 2
    ATR = 4


class PoweredCard(Protocol):
    """A card or a phone: what `shanfu.card.Card` is."""

    def power_on(self, interface: Any) -> bytes:
        """Give power; nothing comes back from a card without this interface."""
        ...

    def power_off(self) -> None:
        """Take power away."""
        ...

    def answer(self, command: bytes) -> bytes:
        """Return the response to one command."""
        ...


def frame(body: bytes) -> bytes:
    """Return a message of this wire.

    >>> frame(bytes((Control.ATR,))).hex()
    '000104'
    """
    return LENGTH.pack(len(body)) + body


def quick(line: socket.socket) -> None:
    """Have the next segment acknowledged at once; the kernel forgets it, so it is said before each read."""
    if QUICKACK is not None:
        line.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)


def messages(line: socket.socket) -> Iterator[bytes]:
    """Give the bodies of the messages that come until the other side hangs up; TimeoutError as the socket says it."""
    buffer = bytearray()
    while True:
        while len(buffer) >= 2 and len(buffer) >= (end := 2 + LENGTH.unpack_from(buffer)[0]):
            body = bytes(buffer[2:end])
            del buffer[:end]
            yield body
        quick(line)
        data = line.recv(READ_BYTES)
        if not data:
            return
        buffer += data


class Plug:
    """A card ready to be put into virtual readers, on one of its interfaces; the calling thread is the card's.

    ConfigError when the card has no such interface. `stop` may be called from anywhere: the card is taken out.
    """

    def __init__(self, card: PoweredCard, interface: Any = CONTACTLESS) -> None:
        if not card.power_on(interface):
            raise ConfigError(f"card: has no {interface} interface")
        card.power_off()
        self.reset_answer = RESET_ANSWERS[interface]
        self._card, self._interface = card, interface
        self._t0 = T0Card(card.answer) if interface == CONTACT else None
        self._uid = b""
        self._line: socket.socket | None = None
        self._stopped = threading.Event()

    def dial(self, host: str, port: int = VPCD_PORT, *, connected: Callable[[], None] | None = None) -> None:
        """Go into the reader that listens there, and again when it has thrown the card out; until `stop`."""
        patience = iter(RETRY_S)
        while not self._stopped.is_set():
            try:
                line = socket.create_connection((host, port), timeout=5)
            except OSError:
                self._stopped.wait(next(patience, RETRY_S[-1]))
                continue
            patience = iter(RETRY_S)
            if connected:
                connected()
            self.attend(line)

    def listen(
        self, host: str, port: int = VPCD_PORT, *, both_slots: bool = False, listening: Callable[[int], None] | None = None
    ) -> None:
        """Wait for readers to dial in and serve one at a time; until `stop`.

        vpcd's driver, told to dial, dials two slots and dies when either refuses or hangs up: for it, `both_slots` has the
        port above answered too. So taking such a card out ends pcscd; `dial` to a driver that listens has no such trouble.
        """
        with contextlib.ExitStack() as doors:
            door = doors.enter_context(_door(host, port))
            taken = door.getsockname()[1]
            if both_slots:
                doors.enter_context(_mute_slot(_door(host, taken + 1), self._stopped))
            if listening:
                listening(taken)
            door.settimeout(0.2)
            while not self._stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    self.attend(door.accept()[0])

    def stop(self) -> None:
        """Take the card out for good."""
        self._stopped.set()
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)

    def attend(self, line: socket.socket) -> None:
        """Be the card of the reader at the other end of this line until one of the two goes; closes the line."""
        inbox: SimpleQueue[bytes | None] = SimpleQueue()
        sending = threading.Lock()
        with line:
            self._line = line
            if self._stopped.is_set():
                return
            line.settimeout(None)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = threading.Thread(target=self._read, args=(line, inbox, sending), daemon=True)
            reader.start()
            try:
                self._work(line, inbox, sending)
            finally:
                self._line = None
                self._power_off()
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
                reader.join()

    def _read(self, line: socket.socket, inbox: "SimpleQueue[bytes | None]", sending: threading.Lock) -> None:
        answer_to_reset = frame(self.reset_answer)
        with contextlib.suppress(OSError):
            for body in messages(line):
                if len(body) == 1 and body[0] == Control.ATR:
                    with sending:
                        line.sendall(answer_to_reset)
                else:
                    inbox.put(body)
        inbox.put(None)

    def _work(self, line: socket.socket, inbox: "SimpleQueue[bytes | None]", sending: threading.Lock) -> None:
        with contextlib.suppress(OSError):
            while (body := inbox.get()) is not None:
                if len(body) == 1:
                    self._control(body[0])
                    continue
                answer = frame(self._answer(body))
                with sending:
                    line.sendall(answer)

    def _control(self, word: int) -> None:
        if word in (Control.ON, Control.RESET):
            self._power_off()
            self._uid = b"\x08" + secrets.token_bytes(3)  # ISO/IEC 14443-3 6.5.4: 08, then random at each power-on
            self._card.power_on(self._interface)
        elif word == Control.OFF:
            self._power_off()

    def _power_off(self) -> None:
        self._card.power_off()
        if self._t0:
            self._t0.reset()

    def _answer(self, command: bytes) -> bytes:
        if self._interface == CONTACTLESS and command[:4] == GET_UID and len(command) == 5:
            return self._uid + b"\x90\x00" if self._uid else b"\x69\x85"
        try:
            return self._t0.answer(command) if self._t0 else self._card.answer(command)
        except LinkClosed:  # the card tore itself away: no answer, and nothing in the reader any more
            raise ConnectionAbortedError from None


def _door(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as fault:
        raise ConfigError(f"{host}:{port}: cannot be listened on ({fault.strerror})") from fault


@contextlib.contextmanager
def _mute_slot(door: socket.socket, stopped: threading.Event) -> Iterator[None]:
    """Let the driver's second slot find a card that does nothing: an empty slot it cannot bear (vpcd 3.3)."""
    door.settimeout(0.2)

    def serve() -> None:
        while not stopped.is_set():
            with contextlib.suppress(OSError), door.accept()[0] as line:
                line.settimeout(None)
                for body in messages(line):
                    if body == bytes((Control.ATR,)):
                        line.sendall(frame(MUTE))

    threading.Thread(target=serve, daemon=True).start()
    with door:
        yield
