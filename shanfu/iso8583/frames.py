"""Frames out of a byte stream: TCP keeps no message borders, so the length in front of each frame has to.

`feed` takes whatever has arrived, in any splitting, and returns the whole frames in it, ready for `decode_pos` or
`decode_interbank`. A wrong length cannot be resynchronised, so after a fault the decoder stays refused and the link must
be closed. What most often arrives instead of a frame is another protocol on a misconfigured port; the error names it,
because "bytes received, but not a frame because …" saves an afternoon.

No I/O here: `links` owns the sockets. Sources: the framings of the two dialects (`pos.py`, `interbank.py`); first bytes
of foreign protocols from RFC 9112 3, RFC 9113 3.4, RFC 8446 5.1 and RFC 4253 4.2.
"""

from abc import ABC, abstractmethod

from shanfu.errors import DecodeError, Fault

__all__ = ["FRAME_LIMITS", "FrameDecoder", "InterbankFrames", "PosFrames"]

FRAME_LIMITS = {
    # TPDU, header, MTI and bitmap: nothing shorter is a message
    "pos_least_bytes": 21,
    # the longest message that the terminal table allows is under 3,000 bytes
    "pos_most_bytes": 4096,
    # header, MTI and bitmap
    "interbank_least_bytes": 58,
    # four digits count no further
    "interbank_most_bytes": 9999,
}

# fmt: off
FOREIGN = (
    (b"\x16\x03",      "a TLS ClientHello"),
    (b"CONNECT ",      "an HTTP request"),
    (b"DELETE ",       "an HTTP request"),
    (b"GET ",          "an HTTP request"),
    (b"HEAD ",         "an HTTP request"),
    (b"HTTP/",         "an HTTP response"),
    (b"OPTIONS ",      "an HTTP request"),
    (b"PATCH ",        "an HTTP request"),
    (b"POST ",         "an HTTP request"),
    (b"PRI * HTTP/2",  "an HTTP/2 preface"),
    (b"PUT ",          "an HTTP request"),
    (b"SSH-",          "an SSH greeting"),
)
# fmt: on


class FrameDecoder(ABC):
    """Cuts a stream into frames; the subclasses know how a length is written."""

    width = 0  # bytes of the length in front
    written = ""  # how a length is written
    least = most = 0  # bytes that may follow

    def __init__(self) -> None:
        self.idle_count = 0  # empty frames seen: the peer tests the link
        self.consumed = 0  # bytes of the stream that went before the buffer
        self._buffer = bytearray()
        self._fault: DecodeError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they arrived, return whole frames, lengths included.

        Frames before a fault are returned first; the fault is raised by the next call at the latest. DecodeError's
        offset counts from the start of the stream.
        """
        if self._fault is not None:
            raise self._fault
        buffer = self._buffer
        buffer += data
        frames: list[bytes] = []
        at, width = 0, self.width
        try:
            while len(buffer) - at >= width:
                size = self._size(bytes(buffer[at : at + width]))
                if not size:
                    self.idle_count += 1
                    at += width
                    continue
                self._check(size, at)
                end = at + width + size
                if end > len(buffer):
                    break
                frames.append(bytes(buffer[at:end]))
                at = end
        except DecodeError as fault:
            self._fault = DecodeError(fault.what, fault=fault.fault, path="frame", offset=self.consumed + at)
            if not frames:
                raise self._fault from None
        del buffer[:at]
        self.consumed += at
        return frames

    def close(self) -> None:
        """Say that the stream has ended; DecodeError (incomplete) when it ended inside a frame."""
        if self._fault is not None:
            raise self._fault
        if self._buffer:
            raise DecodeError(
                f"the stream ended after {len(self._buffer)} bytes of a frame",
                fault=Fault.INCOMPLETE, path="frame", offset=self.consumed,
            )  # fmt: skip

    @abstractmethod
    def _size(self, head: bytes) -> int:
        """Bytes that follow this length; 0 is an idle frame; -1 is not a length."""

    def _check(self, size: int, at: int) -> None:
        if self.least <= size <= self.most:
            return
        start = bytes(self._buffer[at : at + 16])
        what = next((name for first, name in FOREIGN if start.startswith(first) or first.startswith(start)), None)
        if what and len(start) > 1:
            raise DecodeError(f"{what} came instead of a frame")
        if size < 0:
            raise DecodeError(f"the length is {start[: self.width].hex().upper()}, {self.written}")
        says = f"the length says {size} bytes, a frame has {self.least} to {self.most}"
        raise DecodeError(says, fault=Fault.LENGTH)


class PosFrames(FrameDecoder):
    """The terminal framing: two bytes, big-endian."""

    width, written = 2, "two bytes other than zero wanted"
    least, most = FRAME_LIMITS["pos_least_bytes"], FRAME_LIMITS["pos_most_bytes"]

    def _size(self, head: bytes) -> int:
        return int.from_bytes(head, "big") or -1  # terminals send no idle frames


class InterbankFrames(FrameDecoder):
    """The interbank framing: four ASCII digits; `0000` alone is an idle frame that tests the link."""

    width, written = 4, "four ASCII digits wanted"
    least, most = FRAME_LIMITS["interbank_least_bytes"], FRAME_LIMITS["interbank_most_bytes"]

    def _size(self, head: bytes) -> int:
        return int(head) if head.isdigit() else -1
