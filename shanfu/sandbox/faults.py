"""Faults to order: what an issuer's answer can suffer, by name or by the amount of a payment with the fault card.

Only cards of the BIN 620909 answer to amounts, so that no other payment is ever touched: 666.01 silent, 666.02 late, 666.03
duplicate, 666.04 malformed, 666.05 bad-mac. The issuer decides and posts as always; what suffers is its answer on the way out,
as if the line had done it. Late answers come after the network's patience; they are forgotten when the issuer stops.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from shanfu.errors import DecodeError
from shanfu.iso8583 import decode_interbank
from shanfu.links import Books, Host, Inbound, Outbound, Turn
from shanfu.store import Transaction

__all__ = ["FAULT_AMOUNTS", "FAULT_BIN", "LATE_MS", "FaultyIssuer", "bad_mac", "malformed"]

FAULT_BIN: Final = "620909"
FAULT_AMOUNTS: Final = {66601: "silent", 66602: "late", 66603: "duplicate", 66604: "malformed", 66605: "bad-mac"}  # minor units
LATE_MS: Final = 2_000  # past the network's time-out of this world


def malformed(frame: bytes) -> bytes:
    """Return a frame of the same length whose bitmap claims fields that are not there."""
    return frame[:54] + b"\xff" * 16 + frame[70:]


def bad_mac(frame: bytes) -> bytes:
    """Return the frame with another DE128."""
    return frame[:-8] + (b"00000000" if frame[-8:] != b"00000000" else b"11111111")


@dataclass(slots=True)
class Held:
    """A late answer and when it leaves."""

    at_ms: int
    outbound: Outbound


class FaultyIssuer:
    """An issuer whose answers suffer what the amount says; everything else is the host inside."""

    def __init__(self, host: Host[Any], *, late_ms: int) -> None:
        self.name = host.name
        self._host, self._late_ms = host, late_ms
        self._held: list[Held] = []
        self._now_ms = 0

    def books(self, tx: Transaction, *, now_ms: int) -> Books:
        """Open the host's books."""
        self._now_ms = now_ms
        books: Books = self._host.books(tx, now_ms=now_ms)
        return books

    def handle(self, batch: Sequence[Inbound], books: Books) -> Turn:
        """Let the host work, then harm the answers that are due to be."""
        return self._harmed(self._host.handle(batch, books))

    def due(self, books: Books) -> Turn:
        """Let the host work, and let go of late answers."""
        turn = self._host.due(books)
        ready = [held for held in self._held if held.at_ms <= self._now_ms]
        self._held = [held for held in self._held if held.at_ms > self._now_ms]
        return replace(turn, outbound=[*turn.outbound, *(held.outbound for held in ready)])

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        """Refuse as the host does."""
        return self._host.refuse(inbound, fault, now_ms)

    def _harmed(self, turn: Turn) -> Turn:
        outbound: list[Outbound] = []
        for answer in turn.outbound:
            outbound += HARMS.get(_fault_of(answer.frame), _unharmed)(self, answer)
        return replace(turn, outbound=outbound)

    def hold(self, answer: Outbound) -> list[Outbound]:
        """Keep an answer until it is late."""
        self._held.append(Held(self._now_ms + self._late_ms, answer))
        return []


def _unharmed(_: FaultyIssuer, answer: Outbound) -> list[Outbound]:
    return [answer]


HARMS: Final[dict[str, Callable[[FaultyIssuer, Outbound], list[Outbound]]]] = {
    "silent": lambda _, __: [],
    "late": FaultyIssuer.hold,
    "duplicate": lambda _, answer: [answer, answer],
    "malformed": lambda _, answer: [Outbound(answer.station, malformed(answer.frame))],
    "bad-mac": lambda _, answer: [Outbound(answer.station, bad_mac(answer.frame))],
}


def _fault_of(frame: bytes) -> str:
    if frame[50:54] != b"0210" or FAULT_BIN.encode() not in frame:
        return ""
    try:
        message = decode_interbank(frame).message
    except DecodeError:
        return ""
    fault_card = message.text(2, "").startswith(FAULT_BIN)
    return FAULT_AMOUNTS.get(int(message.text(4, "0")), "") if fault_card else ""
