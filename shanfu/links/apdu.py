"""A card or a phone that lives elsewhere, reached by TCP: the reader's end of the wire that `vpcd.py` describes.

Whoever is the card may have been dialled (`RemoteCard.dial`), or have dialled in (`CardDoor`): what is said is the same, and
the reader speaks first: power on, then "what is your answer to reset?". The answer tells the interface, and whether commands
need the procedure of T=0. What was made for vpcd's driver, such as an emulator's card or a phone's relay of its own reader,
is understood without change.

The line is plain TCP and carries card data: it belongs on one machine, or inside a tunnel. A card that hangs up is a card
that was taken away (LinkClosed); one that is slower than `timeout_ms` is silent (LinkTimeout).
Called by the doors. Sources: vsmartcard's vpcd, ISO/IEC 7816-3.
"""

import contextlib
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from shanfu.errors import ConfigError, LinkClosed, LinkTimeout
from shanfu.links.transmission import ask_t0, begins_with_t0, interface_of, too_short
from shanfu.links.vpcd import Control, frame, messages

__all__ = ["CardDoor", "RemoteCard"]

TIMEOUT_MS: Final = 5_000  # a card asks for more time long before that; a person has given up


class RemoteCard:
    """One card at the other end of a line; what `shanfu.terminal.Reader` takes as a card."""

    def __init__(self, line: socket.socket, *, timeout_ms: int = TIMEOUT_MS) -> None:
        self._line, self._timeout_ms = line, timeout_ms
        line.settimeout(timeout_ms / 1000)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._messages = messages(line)
        self.reset_answer = b""

    @classmethod
    def dial(cls, host: str, port: int, *, timeout_ms: int = TIMEOUT_MS) -> "RemoteCard":
        """Call a card that listens; LinkClosed when nobody does."""
        try:
            return cls(socket.create_connection((host, port), timeout=timeout_ms / 1000), timeout_ms=timeout_ms)
        except OSError as fault:
            raise LinkClosed(f"card at {host}:{port}: cannot be reached ({fault.strerror or 'no answer'})") from fault

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def power_on(self, interface: str) -> bytes:
        """Give power; the answer to reset, or nothing from a card that is reached over the other interface."""
        self._send(bytes((Control.ON,)))
        self.reset_answer = self._ask(bytes((Control.ATR,)))
        return self.reset_answer if interface_of(self.reset_answer) == interface else b""

    def power_off(self) -> None:
        """Take power away; a card that is gone already has none."""
        with contextlib.suppress(LinkClosed):
            self._send(bytes((Control.OFF,)))

    def answer(self, command: bytes) -> bytes:
        """Return the response to one command; raises LinkClosed when the card has hung up, LinkTimeout when it is silent."""
        if refusal := too_short(command):
            return refusal
        return ask_t0(self._ask, command) if begins_with_t0(self.reset_answer) else self._ask(command)

    def _send(self, body: bytes) -> None:
        try:
            self._line.sendall(frame(body))
        except OSError as fault:
            raise LinkClosed("card: has hung up") from fault

    def _ask(self, body: bytes) -> bytes:
        self._send(body)
        try:
            return next(self._messages)
        except (StopIteration, ConnectionError):  # with what was on its way to it unread, a reset
            self.close()
            raise LinkClosed("card: has hung up") from None
        except TimeoutError as fault:  # what comes later would answer something else
            self.close()
            raise LinkTimeout(f"card: no answer in {self._timeout_ms} ms") from fault
        except OSError as fault:
            self.close()
            raise LinkClosed(f"card: {fault.strerror or 'the line is down'}") from fault


class CardDoor:
    """Where cards dial in to be presented; a context manager. ConfigError when the port is taken."""

    def __init__(self, host: str, port: int, *, timeout_ms: int = TIMEOUT_MS) -> None:
        try:
            self._door = socket.create_server((host, port))
        except OSError as fault:
            raise ConfigError(f"{host}:{port}: cannot be listened on ({fault.strerror})") from fault
        self._timeout_ms = timeout_ms

    @property
    def port(self) -> int:
        """The port listened on."""
        port: int = self._door.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._door.close()

    def cards(self) -> Iterator[RemoteCard]:
        """Give each card that dials in, one at a time; the line is closed when the next is asked for."""
        while True:
            line, _ = self._door.accept()
            with RemoteCard(line, timeout_ms=self._timeout_ms) as card:
                yield card
