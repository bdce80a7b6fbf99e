"""How a stream of bytes falls into frames: a pure object, fed by whoever holds the socket.

A link is given a *factory*; one decoder lives per connection. The decoders of the two ISO 8583 dialects (two binary length
bytes towards terminals, four ASCII digits between institutions) stand beside their codecs; this layer needs only the shape.
"""

from collections.abc import Callable
from typing import Protocol

__all__ = ["Framing", "FramingFactory"]


class Framing(Protocol):
    """Cuts one connection's bytes into frames, however they were split on the way."""

    consumed: int  # bytes of the stream that are dealt with; what was fed beyond them is an unfinished frame

    def feed(self, data: bytes) -> list[bytes]:
        """Take what has arrived and return the frames it completes, lengths included; idle frames are swallowed.

        Raises DecodeError when the bytes cannot begin a frame, or announce one over the size limit. Whole frames before
        the fault are returned first, and the fault is raised by the next call.
        """
        ...


FramingFactory = Callable[[], Framing]
