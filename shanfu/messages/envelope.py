"""Calls and replies, and how they are framed where no HTTP stands between two hosts.

    Call(id="7", op="tokens.suspend", caller="issuer/99010000", body=Raw(b'{"token": ...}'))
    Reply(id="7", status=200, body=Raw(b'{...}'))        or status >= 400 and the body a Problem

`id` is chosen by who asks and comes back in the reply. `caller` is who was authenticated: a shell sets it from the
certificate or the credentials, a wire between hosts from its own name; what a stranger writes there is overwritten. `key` is
the Idempotency-Key: a repeat gets the stored reply. A call of a phone carries `device`: its body is sealed for its session.

Frames: four bytes of length, then the JSON text; the first byte is 00 since no message reaches 16 MiB, which tells them from
interbank frames, whose length is four digits.
"""

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from shanfu.errors import DecodeError, Fault

__all__ = [
    "LIMIT_BYTES",
    "Call",
    "Device",
    "Empty",
    "JSONFrames",
    "Reply",
    "decoded",
    "encoded",
    "is_json_frame",
    "pack",
    "unpack",
]

LIMIT_BYTES: Final = 256 * 1024  # a batch of 99 records with their reasons fits ten times
LIMIT_NUMBER: Final = 1 << 63
T = TypeVar("T")


class Empty(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say beyond the operation itself."""


class Device(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a phone signs and seals a call.

    `session` is "" for the calls that need none (enrolment, opening a session): there `time_ms` and `nonce` make the call
    fresh. In a session `counter` rises with every call and the body is sealed under the session's key. `signature` is the
    device's, over the text that `shanfu.messages.wallet.signed_bytes` gives.
    """

    device: str = ""
    session: str = ""
    counter: int = 0
    time_ms: int = 0
    nonce: str = ""
    signature: str = ""


class Call(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question."""

    id: str
    op: str
    caller: str = ""
    key: str = ""
    device: Device | None = None
    body: Raw = Raw(b"{}")


class Reply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Its answer."""

    id: str
    status: int = 200
    body: Raw = Raw(b"{}")

    @property
    def ok(self) -> bool:
        """Whether the body is the answer, not a Problem."""
        return self.status < 400


_MESSAGE: Final = msgspec.json.Encoder()


def pack(message: Struct) -> bytes:
    """Return a Call or a Reply as a frame."""
    text = _MESSAGE.encode(message)
    return len(text).to_bytes(4, "big") + text


def unpack(frame: bytes, kind: type[T]) -> T:
    """Read a frame as a Call or a Reply; DecodeError says what is wrong and where."""
    if len(frame) < 4 or int.from_bytes(frame[:4], "big") != len(frame) - 4:
        raise DecodeError(f"{len(frame)} bytes do not fit their length prefix", fault=Fault.LENGTH, path="frame", offset=0)
    return decoded(memoryview(frame)[4:], kind, path=kind.__name__)


def is_json_frame(frame: bytes) -> bool:
    """Tell a frame of this wire from one of the ISO 8583 wires, by its first byte."""
    return frame[:1] == b"\x00"


class JSONFrames:
    """Cuts one connection's bytes into frames (`shanfu.links.Framing`)."""

    def __init__(self) -> None:
        self.consumed = 0
        self._buffer = bytearray()
        self._fault: DecodeError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Take what has arrived and return the frames it completes; after a wrong length the stream stays refused."""
        self._buffer += data
        frames: list[bytes] = []
        while self._fault is None and len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if not 2 <= size <= LIMIT_BYTES:
                what = f"length {size}, 2 to {LIMIT_BYTES} are taken"
                self._fault = DecodeError(what, fault=Fault.LENGTH, path="frame", offset=self.consumed)
            elif len(self._buffer) < 4 + size:
                break
            else:
                frames.append(bytes(self._buffer[: 4 + size]))
                del self._buffer[: 4 + size]
                self.consumed += 4 + size
        if self._fault is not None and not frames:
            raise self._fault
        return frames


def decoded(body: Raw | bytes | memoryview, kind: type[T], *, path: str) -> T:
    """Read a body strictly, its numbers and texts such as books can hold; DecodeError names the field."""
    try:
        message = msgspec.json.decode(body, type=kind)
        _check_held(message, path)
        return message
    except msgspec.DecodeError as fault:
        why = str(fault)
    except UnicodeDecodeError:  # it quotes what it could not read
        why = "a text is not UTF-8"
    except RecursionError:
        why = "nested too deep"
    raise DecodeError(why, fault=Fault.FORMAT, path=path)


def _check_held(value: Any, path: str) -> None:
    """Raise DecodeError for what no database column takes: a whole number beyond 63 bits, a NUL in a text."""
    if isinstance(value, str):
        if "\0" in value:
            raise DecodeError("a NUL in a text", fault=Fault.FORMAT, path=path)
    elif isinstance(value, int):
        if not -LIMIT_NUMBER <= value < LIMIT_NUMBER:
            raise DecodeError(f"a number of {value.bit_length()} bits, 63 are held", fault=Fault.LIMIT, path=path)
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            _check_held(getattr(value, name), f"{path}/{name}")
    elif isinstance(value, tuple):
        for item in value:
            _check_held(item, path)


def encoded(message: Any) -> Raw:
    """Return a body."""
    return Raw(_MESSAGE.encode(message))
