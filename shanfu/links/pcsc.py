"""A card in a reader of this machine: PC/SC, as any USB reader and the virtual one of vsmartcard offer it.

The system's own client library (libpcsclite) is reached through cffi in ABI mode, as libcrypto is: nothing is compiled, and
nobody needs a package that has to be. It is loaded when the first reader is asked for. Whatever is missing is one clear line:
the library, the daemon, the reader, the card; and so is a reader that is pulled out while it is used.

`PCSCCard` is what `shanfu.terminal.Reader` takes as a card. Where a card speaks T=0, PC/SC carries its procedure bytes up to
us (Part 5), so `ask_t0` does the rest. A card is used alone: no other program gets a command in between.
Called by the doors. Sources: PC/SC Part 5, pcsc-lite's winscard.h and pcsclite.h (1.9, 2.x: the same interface).
"""

import functools
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from shanfu.errors import LinkClosed, LinkError, LinkTimeout
from shanfu.links.transmission import ask_t0, interface_of, too_short

__all__ = ["PCSCCard", "find_reader", "list_readers"]

LIBRARY: Final = "libpcsclite.so.1"  # the name belongs to this interface for good
DECLARATIONS: Final = """
typedef struct { unsigned long dwProtocol; unsigned long cbPciLength; } SCARD_IO_REQUEST;
typedef struct {
    const char *szReader; void *pvUserData; unsigned long dwCurrentState; unsigned long dwEventState;
    unsigned long cbAtr; unsigned char rgbAtr[33];
} SCARD_READERSTATE;
long SCardEstablishContext(unsigned long, const void *, const void *, long *);
long SCardReleaseContext(long);
long SCardListReaders(long, const char *, char *, unsigned long *);
long SCardGetStatusChange(long, unsigned long, SCARD_READERSTATE *, unsigned long);
long SCardConnect(long, const char *, unsigned long, unsigned long, long *, unsigned long *);
long SCardDisconnect(long, unsigned long);
long SCardStatus(long, char *, unsigned long *, unsigned long *, unsigned long *, unsigned char *, unsigned long *);
long SCardTransmit(
    long, const SCARD_IO_REQUEST *, const unsigned char *, unsigned long, SCARD_IO_REQUEST *, unsigned char *, unsigned long *);
"""
SYSTEM_SCOPE, EXCLUSIVE, T0, T1, UNPOWER = 2, 1, 1, 2, 2  # pcsclite.h
STATE_CHANGED, STATE_PRESENT = 0x02, 0x20  # pcsclite.h, SCARD_STATE_*
ANSWER_BYTES: Final = 65_538  # the longest extended answer and its status word (pcsclite.h, MAX_BUFFER_SIZE_EXTENDED)
REMOVAL_S: Final = 1.0  # pcscd looks every 0.4 s
WAIT_SLICE_MS: Final = 200  # between looks at whether somebody has pressed Ctrl-C

NO_SERVICE, NO_READERS, REMOVED, ACCESS_DENIED = 0x8010001D, 0x8010002E, 0x80100069, 0x8010006A
# fmt: off
FAULTS: Final[dict[int, tuple[type[LinkError], str]]] = {  # pcsclite.h, SCARD_E_* and SCARD_W_*
    0x80100009: (LinkClosed,  "there is no such reader (any more)"),
    0x8010000B: (LinkClosed,  "another program uses the card"),
    0x8010000C: (LinkTimeout, "no card in the reader"),
    0x8010000F: (LinkClosed,  "the card speaks neither T=0 nor T=1"),
    0x80100016: (LinkClosed,  "the command did not reach the card"),
    0x80100017: (LinkClosed,  "the reader was unplugged"),
    NO_SERVICE: (LinkClosed,  "no pcscd answers; start it (systemctl start pcscd, or pcscd --foreground)"),
    0x8010001E: (LinkClosed,  "pcscd was stopped"),
    0x80100023: (LinkClosed,  "the reader was unplugged"),
    NO_READERS: (LinkClosed,  "no reader is connected"),
    0x8010002F: (LinkClosed,  "the card and the reader lost one another"),
    0x80100066: (LinkClosed,  "the card does not answer to reset; is it the right way up?"),
    0x80100067: (LinkClosed,  "the card has no power"),
    0x80100068: (LinkClosed,  "the card was reset by somebody else"),
    REMOVED:    (LinkClosed,  "the card was taken away"),
    ACCESS_DENIED: (LinkClosed, "pcscd refuses this user; allow it in polkit (org.debian.pcsc-lite.access_pcsc)"),
}
# fmt: on


@functools.cache
def _library() -> tuple[Any, Any]:
    try:
        import cffi

        ffi = cffi.FFI()
        ffi.cdef(DECLARATIONS)
        return ffi, ffi.dlopen(LIBRARY)
    except (ImportError, OSError) as fault:
        where = (
            "on Debian: apt install pcscd" if sys.platform == "linux" else f"readers are reached on Linux, not {sys.platform}"
        )
        raise LinkClosed(f"PC/SC: {LIBRARY} is not on this machine; {where}") from fault


def _check(code: int, subject: str) -> None:
    """Raise what a return code says, under its reader's name."""
    number = code & 0xFFFFFFFF
    if number:
        kind, words = FAULTS.get(number, (LinkClosed, f"PC/SC fault {number:08X}"))
        raise kind(f"{subject}: {words}")


class _Context:
    """One client of pcscd."""

    def __init__(self) -> None:
        self.ffi, self.lib = _library()
        number = self.ffi.new("long *")
        _check(self.lib.SCardEstablishContext(SYSTEM_SCOPE, self.ffi.NULL, self.ffi.NULL, number), "PC/SC")
        self.number = number[0]

    def close(self) -> None:
        """Let go of pcscd."""
        self.lib.SCardReleaseContext(self.number)

    def readers(self) -> list[str]:
        """Name the readers there are, in pcscd's order."""
        size = self.ffi.new("unsigned long *")
        code = self.lib.SCardListReaders(self.number, self.ffi.NULL, self.ffi.NULL, size)
        if code & 0xFFFFFFFF == NO_READERS:
            return []
        _check(code, "PC/SC")
        names = self.ffi.new("char[]", size[0])
        _check(self.lib.SCardListReaders(self.number, self.ffi.NULL, names, size), "PC/SC")
        raw: bytes = self.ffi.buffer(names, size[0])[:]
        return [name.decode(errors="replace") for name in raw.split(b"\0") if name]

    def state(self, reader: str, known: int, wait_ms: int) -> int:
        """Return a reader's state as it is, or as it becomes within `wait_ms` when `known` is what it was."""
        name = self.ffi.new("char[]", reader.encode())
        row = self.ffi.new("SCARD_READERSTATE *", {"szReader": name, "dwCurrentState": known})
        code = self.lib.SCardGetStatusChange(self.number, wait_ms, row, 1)
        if code & 0xFFFFFFFF == 0x8010000A:  # SCARD_E_TIMEOUT: as it was
            return known
        _check(code, reader)
        state: int = row.dwEventState
        return state


def list_readers() -> list[tuple[str, bool]]:
    """Return the readers of this machine and whether a card is in each; LinkClosed when there is no PC/SC."""
    context = _Context()
    try:
        return [(name, bool(context.state(name, 0, 0) & STATE_PRESENT)) for name in context.readers()]
    finally:
        context.close()


def find_reader(part: str, readers: list[str]) -> str:
    """Return the reader whose name is, or alone contains, `part` (case does not matter); LinkClosed lists those there are.

    >>> find_reader("00 01", ["Virtual PCD 00 00", "Virtual PCD 00 01"])
    'Virtual PCD 00 01'
    """
    fitting = [name for name in readers if part.lower() in name.lower()]
    if part in readers:
        return part
    if len(fitting) == 1:
        return fitting[0]
    what = "is not one of the readers" if not fitting else f"fits {len(fitting)} readers"
    there = ", ".join(fitting or readers) or "there are none"
    raise LinkClosed(f"reader {part!r}: {what}: {there}")


class PCSCCard:
    """The card in one reader; the reader is found at once, the card when it is powered.

    `wait_s` is how long `power_on` waits for a card to come; `waiting` is called once when it has to.
    """

    def __init__(self, part: str, *, wait_s: float = 0.0, waiting: Callable[[str], None] | None = None) -> None:
        self._context = _Context()
        try:
            self.name = find_reader(part, self._context.readers())
        except LinkError:
            self._context.close()
            raise
        self._wait_s, self._waiting = wait_s, waiting
        ffi = self._context.ffi
        self._handle = ffi.new("long *")
        self._connected = False
        self._protocol = ffi.new("unsigned long *")
        self._size = ffi.new("unsigned long *")
        self._buffer = ffi.new("unsigned char[]", ANSWER_BYTES)
        self._view = ffi.buffer(self._buffer)
        self._request = ffi.new("SCARD_IO_REQUEST *", {"cbPciLength": ffi.sizeof("SCARD_IO_REQUEST")})
        self.reset_answer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let the card and pcscd go."""
        self.power_off()
        self._context.close()

    def power_on(self, interface: str) -> bytes:
        """Wait for a card and reset it; its answer, or nothing from a card that this reader reaches over another interface.

        Raises LinkTimeout when no card comes, LinkClosed for everything else that is wrong with card or reader.
        """
        self.power_off()
        self._await_card()
        lib, name = self._context.lib, self.name.encode()
        code = lib.SCardConnect(self._context.number, name, EXCLUSIVE, T0 | T1, self._handle, self._protocol)
        _check(code, self.name)
        self._connected = True
        self._request.dwProtocol = self._protocol[0]
        self.reset_answer = self._status()
        return self.reset_answer if interface_of(self.reset_answer) == interface else b""

    def power_off(self) -> None:
        """Take power away; whatever is wrong with reader or card by now does not matter."""
        if self._connected:
            self._context.lib.SCardDisconnect(self._handle[0], UNPOWER)
            self._connected = False

    def answer(self, command: bytes) -> bytes:
        """Return the response to one command; raises LinkClosed when card or reader are gone."""
        if not self._connected:
            raise LinkClosed(f"{self.name}: the card has no power")
        if refusal := too_short(command):
            return refusal
        return ask_t0(self._carry, command) if self._protocol[0] == T0 else self._carry(command)

    def _carry(self, command: bytes) -> bytes:
        self._size[0] = ANSWER_BYTES
        code = self._context.lib.SCardTransmit(
            self._handle[0], self._request, command, len(command), self._context.ffi.NULL, self._buffer, self._size
        )
        if code:
            self._fail(code)
        answer: bytes = self._view[: self._size[0]]
        return answer

    def _fail(self, code: int) -> None:
        """Say why a command failed: a driver tells a card that has gone as any fault, the reader's state tells it apart.

        The card is let go only when pcscd has seen for itself that it went, at its next look: told earlier by us, it would
        take the next card, come within that time, for the one that never left, and never report it (1.9.9).
        """
        try:
            gone = not self._settled(present=False, wait_s=REMOVAL_S) & STATE_PRESENT
        finally:
            self.power_off()
        _check(REMOVED if gone else code, self.name)

    def _status(self) -> bytes:
        ffi = self._context.ffi
        size, raw, length = ffi.new("unsigned long *"), ffi.new("unsigned char[33]"), ffi.new("unsigned long *", 33)
        state, protocol = ffi.new("unsigned long *"), ffi.new("unsigned long *")
        code = self._context.lib.SCardStatus(self._handle[0], ffi.NULL, size, state, protocol, raw, length)
        _check(code, self.name)
        answer: bytes = ffi.buffer(raw, length[0])[:]
        return answer

    def _await_card(self) -> None:
        present = self._context.state(self.name, 0, 0) & STATE_PRESENT
        if not present and self._wait_s:
            if self._waiting:
                self._waiting(self.name)
            self._settled(present=True, wait_s=self._wait_s)

    def _settled(self, *, present: bool, wait_s: float) -> int:
        """Wait until a card is, or is no more, in the reader; return the state reached when it is so or time is over."""
        state, ends = self._context.state(self.name, 0, 0), time.monotonic() + wait_s
        while bool(state & STATE_PRESENT) is not present and time.monotonic() < ends:
            state = self._context.state(self.name, state & ~STATE_CHANGED, WAIT_SLICE_MS)
        return state
