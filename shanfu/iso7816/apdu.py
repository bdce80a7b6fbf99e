"""Command and response APDUs: what a terminal says to a card and what the card answers.

A `CommandAPDU` covers the four cases (with and without data, with and without an expected answer) in short and extended
form; `parse` and `bytes()` are exact inverses. A `ResponseAPDU` is data and status word. Neither shows its data in a
`repr` unless the command is known to carry nothing secret: PINs, keys and PANs travel in APDUs.

Called by terminals, cards, readers and everything that records their exchanges.
Sources: ISO/IEC 7816-4 5.1, ISO/IEC 7816-3 12.1.3.
"""

from dataclasses import dataclass, field

from shanfu.errors import DecodeError, Fault
from shanfu.iso7816.status import StatusWord, status

__all__ = ["CommandAPDU", "ResponseAPDU"]

SHOWN = frozenset({0x84, 0x88, 0xA4, 0xA8, 0xAE, 0xB2, 0xC0, 0xCA})  # INS whose data holds no PIN, key or PAN


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAPDU:
    """CLA INS P1 P2, data, and `le`: how many bytes may come back (None: none expected, 256 is sent as 00).

    `extended` is set by itself when data or le do not fit the short form; give it to force the long form.
    """

    cla: int
    ins: int
    p1: int = 0
    p2: int = 0
    data: bytes = b""
    le: int | None = None
    extended: bool = False

    def __post_init__(self) -> None:
        if not all(0 <= octet <= 0xFF for octet in (self.cla, self.ins, self.p1, self.p2)):
            raise ValueError("CLA, INS, P1 and P2 are one byte each")
        if len(self.data) > 0xFFFF or not (self.le is None or 1 <= self.le <= 0x10000):
            raise ValueError("data takes at most 65535 bytes, le is 1 to 65536")
        long = len(self.data) > 0xFF or (self.le or 0) > 0x100
        bare = not self.data and self.le is None  # case 1 has one form only
        object.__setattr__(self, "extended", not bare and (long or self.extended))

    @classmethod
    def parse(cls, raw: bytes) -> "CommandAPDU":
        """Read a command in any of its seven forms; raise DecodeError if none fits (ISO/IEC 7816-3 12.1.3).

        >>> apdu = CommandAPDU.parse(bytes.fromhex("00A404000E325041592E5359532E444446303100"))
        >>> apdu.data, apdu.le
        (b'2PAY.SYS.DDF01', 256)
        """
        if len(raw) < 4:
            what = f"{len(raw)} bytes, a command has at least 4"
            raise DecodeError(what, fault=Fault.TRUNCATED, path="APDU", spec="ISO/IEC 7816-3 12.1")
        body = raw[4:]
        long = len(body) >= 3 and body[0] == 0
        data, le = _extended_body(body) if long else _short_body(body)
        return cls(cla=raw[0], ins=raw[1], p1=raw[2], p2=raw[3], data=data, le=le, extended=long)

    def __bytes__(self) -> bytes:
        head = bytes((self.cla, self.ins, self.p1, self.p2))
        count = len(self.data)
        if not self.extended:
            lc = bytes((count,)) if count else b""
            return head + lc + self.data + (b"" if self.le is None else bytes((self.le & 0xFF,)))
        lc = b"\0" + (count.to_bytes(2) if count else b"")
        return head + lc + self.data + (b"" if self.le is None else (self.le & 0xFFFF).to_bytes(2))

    def __repr__(self) -> str:
        head = f"{self.cla:02X} {self.ins:02X} {self.p1:02X} {self.p2:02X}"
        shown = self.data.hex().upper() if self.ins in SHOWN else f"<{len(self.data)} bytes>"
        return f"CommandAPDU({head}{f', data={shown}' if self.data else ''}{f', le={self.le}' if self.le else ''})"

    def with_le(self, le: int) -> "CommandAPDU":
        """Return the same command asking for `le` bytes, as status 6Cxx requests (ISO/IEC 7816-4 table 5)."""
        return CommandAPDU(cla=self.cla, ins=self.ins, p1=self.p1, p2=self.p2, data=self.data, le=le)


def _short_body(body: bytes) -> tuple[bytes, int | None]:
    if not body:
        return b"", None  # case 1
    lc = body[0]
    if len(body) == 1:
        return b"", lc or 0x100  # case 2S
    if lc and len(body) == 1 + lc:
        return body[1:], None  # case 3S
    if lc and len(body) == 2 + lc:
        return body[1:-1], body[-1] or 0x100  # case 4S
    raise _wrong_length(lc, len(body) - 1)


def _extended_body(body: bytes) -> tuple[bytes, int | None]:
    lc = int.from_bytes(body[1:3])
    if len(body) == 3:
        return b"", lc or 0x10000  # case 2E
    if lc and len(body) == 3 + lc:
        return body[3:], None  # case 3E
    if lc and len(body) == 5 + lc:
        return body[3:-2], int.from_bytes(body[-2:]) or 0x10000  # case 4E
    raise _wrong_length(lc, len(body) - 3)


def _wrong_length(lc: int, left: int) -> DecodeError:
    fault = Fault.TRUNCATED if left < lc else Fault.LENGTH
    what = f"{lc}, but {left} bytes follow"
    return DecodeError(what, fault=fault, path="APDU/Lc", offset=4, spec="ISO/IEC 7816-3 12.1.3")


@dataclass(frozen=True, slots=True)
class ResponseAPDU:
    """What a card answers: `data` (empty by default) and the status word `sw`."""

    data: bytes = field(default=b"", repr=False)
    sw: int = StatusWord.OK

    @classmethod
    def parse(cls, raw: bytes) -> "ResponseAPDU":
        """Read an answer; its last two bytes are the status word, 61xx to 6Fxx or 9xxx (ISO/IEC 7816-4 5.1.3).

        >>> ResponseAPDU.parse(bytes.fromhex("9F360202409000"))
        ResponseAPDU(5 bytes, 9000)
        """
        if len(raw) < 2:
            what = f"{len(raw)} bytes, an answer ends in a status word of 2"
            raise DecodeError(what, fault=Fault.TRUNCATED, path="APDU", spec="ISO/IEC 7816-4 5.1.3")
        sw = int.from_bytes(raw[-2:])
        if not (0x6100 <= sw <= 0x6FFF or 0x9000 <= sw <= 0x9FFF):
            what = f"status word {sw:04X}, must be 61xx to 6Fxx or 9xxx"
            raise DecodeError(what, path="APDU/SW", offset=len(raw) - 2, spec="ISO/IEC 7816-4 5.1.3")
        return cls(bytes(raw[:-2]), sw)

    @property
    def status(self) -> StatusWord | int:
        """The status word by name if it has one."""
        return status(self.sw)

    @property
    def ok(self) -> bool:
        """Whether the command was carried out without remark."""
        return self.sw == StatusWord.OK

    def __bytes__(self) -> bytes:
        return self.data + self.sw.to_bytes(2)

    def __repr__(self) -> str:
        return f"ResponseAPDU({len(self.data)} bytes, {self.sw:04X})"
