"""Which frame on which wire, and what may be done to it: the words in which the tables of faults are written."""

from collections.abc import Callable

from shanfu.links import FaultKind, Passage
from shanfu.sandbox.faults import bad_mac, malformed
from tests.journeys.town import Town

POS_MTI, INTERBANK_MTI = slice(13, 15), slice(50, 54)  # behind length, TPDU and header; behind length and header
POS_BITMAP = slice(15, 23)

Predicate = Callable[[Passage], bool]


def mti_of(passage: Passage) -> str:
    """The message type of a frame on its way, told from the wire that it is on."""
    if "terminal" in (passage.source, passage.target):
        return passage.frame[POS_MTI].hex()
    return passage.frame[INTERBANK_MTI].decode("ascii", "replace")


def on(hop: str, *mtis: str) -> Predicate:
    """Frames of these types on the way `terminal>acquirer`, `network>issuer` and so on, of whichever bank."""
    source, _, target = hop.partition(">")

    def holds(passage: Passage) -> bool:
        ends = passage.source.startswith(source) and passage.target.startswith(target)
        return ends and (not mtis or mti_of(passage) in mtis)

    return holds


def break_form(frame: bytes) -> bytes:
    """A frame of the same length, of either dialect, whose bitmap claims fields that are not there."""
    if frame[2:3] == b"\x60":  # a TPDU
        return frame[: POS_BITMAP.start] + b"\xff" * 8 + frame[POS_BITMAP.stop :]
    return malformed(frame)


def break_mac(frame: bytes) -> bytes:
    """The frame with another message authentication code: its last eight bytes in either dialect."""
    return frame[:-8] + bytes(8) if frame[2:3] == b"\x60" else bad_mac(frame)


# fmt: off
HARMS: dict[str, tuple[FaultKind, Callable[[bytes], bytes]]] = {
    "silent":    (FaultKind.DROP,      bytes),
    "late":      (FaultKind.DELAY,     bytes),
    "duplicate": (FaultKind.DUPLICATE, bytes),
    "reordered": (FaultKind.REORDER,   bytes),
    "malformed": (FaultKind.CORRUPT,   break_form),
    "bad-mac":   (FaultKind.CORRUPT,   break_mac),
}
# fmt: on
LATE_MS = 61_000  # past the longest patience, the terminal's


def harm(town: Town, kind: str, when: Predicate, *, times: int | None = 1, delay_ms: int = LATE_MS) -> "Harm":
    """Let this happen to the next frames for which `when` holds."""
    fault, change = HARMS[kind]
    return Harm(town.net.fault(fault, when, times=times, change=change, delay_ms=delay_ms))


class Harm:
    """One fault that was ordered; a test asks whether it has really happened."""

    def __init__(self, rule) -> None:
        self._rule = rule

    @property
    def hits(self) -> int:
        return self._rule.hits
