"""What may happen to frames on the loop link: rules over frames, used by tests, the simulation and `--fault`.

A rule sees every frame that leaves, with its source and target, and says what becomes of those it is for. Loss, doubling,
lateness, overtaking and damage are all that a network does to a message; silence of a host is its answers' loss.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["FaultKind", "FaultRule", "Passage", "flip_last_bit"]


class FaultKind(Enum):
    """What may happen to a frame on its way."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    REORDER = "reorder"  # the next frame on the same way overtakes it
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A frame leaving `source` for `target`, both names of hosts; a terminal's is "terminal"."""

    source: str
    target: str
    frame: bytes = field(repr=False)


@dataclass(slots=True, kw_only=True)
class FaultRule:
    """What happens to the next `left` frames for which `when` holds (None: to all); `hits` counts."""

    kind: FaultKind
    when: Callable[[Passage], bool]
    left: int | None
    delay_ms: int
    change: Callable[[bytes], bytes]
    hits: int = 0


def flip_last_bit(frame: bytes) -> bytes:
    """Return the frame with its last bit flipped: the message authentication code is wrong now."""
    return frame[:-1] + bytes([frame[-1] ^ 1])
