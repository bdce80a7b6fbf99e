"""What leaves at the end of a stretch of work: all MACs made in one call, frames in the order in which they were laid in.

Answers to terminals are MACed under the terminal's key now in force, messages to the network under the network's; who was told
nothing about a MAC gets a frame without one.
"""

from dataclasses import dataclass, replace
from typing import Final

from shanfu.acquirer.answers import of_row, tpdu_turned
from shanfu.acquirer.books import AcquirerBooks
from shanfu.acquirer.config import AcquirerConfig
from shanfu.acquirer.events import pos_event, trace_of
from shanfu.acquirer.interbank import header_to
from shanfu.acquirer.journal import JournalRow
from shanfu.acquirer.numbers import Moment
from shanfu.acquirer.prove import Prover, algorithm_named
from shanfu.acquirer.requests import Request
from shanfu.hosts import interbank_algorithm, interbank_event, mak_label
from shanfu.hsm import KeyBlock, MACAlgorithm
from shanfu.iso8583 import (
    INTERBANK,
    POS,
    Dialect,
    InterbankFrame,
    Message,
    PosFrame,
    Unsealed,
    answer_needs_mac,
    encode_pos,
    prepare_interbank,
    prepare_pos,
)
from shanfu.links import Outbound, Turn

__all__ = ["OutTray", "answer_terminal"]

_WITH_MAC: Final = Message("0200", {64: b""})  # what a request with a MAC looks like to the rule about answers
_WITHOUT_MAC: Final = Message("0200", {})


@dataclass(slots=True)
class _Letter:
    station: str
    message: Message
    dialect: Dialect
    frame: bytes = b""
    unsealed: tuple[Unsealed, KeyBlock, MACAlgorithm] | None = None
    trace: str = ""
    also: str = ""


class OutTray:
    """The frames of one stretch; with `watch` each of them is an event too, and needs a trace."""

    def __init__(self, config: AcquirerConfig, prover: Prover, books: AcquirerBooks, *, watch: bool) -> None:
        self._config, self._prover, self._books, self.watch = config, prover, books, watch
        self._header = header_to(config.network, config.institution)
        self._letters: list[_Letter] = []

    @property
    def moment(self) -> Moment:
        """The turn's time."""
        return self._books.moment

    def to_terminal(self, station: str, frame: PosFrame, *, mac: bool, trace: str = "") -> None:
        """Lay in an answer; with `mac` it is authenticated by the key of its terminal."""
        letter = _Letter(station, frame.message, POS, trace=trace)
        terminal = self._books.terminal(frame.message.text(41)) if mac else None
        if terminal is None:
            letter.frame = encode_pos(frame)
        else:
            key = self._books.keys.current(mak_label(terminal.terminal))
            letter.unsealed = (prepare_pos(frame), key, algorithm_named(terminal.mac_algorithm))
        self._letters.append(letter)

    def to_network(self, message: Message, *, trace: str = "", also: str = "") -> None:
        """Lay in a transaction for the network."""
        frame = InterbankFrame(self._header, message)
        key = self._books.keys.current(self._config.mak)
        sealing = (prepare_interbank(frame), key, interbank_algorithm(key))
        self._letters.append(_Letter(self._config.network, message, INTERBANK, unsealed=sealing, trace=trace, also=also))

    def empty(self, turn: Turn) -> None:
        """Seal everything and put it into the turn."""
        sealing = [letter for letter in self._letters if letter.unsealed]
        frames = self._prover.seal([letter.unsealed for letter in sealing if letter.unsealed]) if sealing else []
        for letter, frame in zip(sealing, frames, strict=True):
            letter.frame = frame
        for letter in self._letters:
            turn.outbound.append(Outbound(letter.station, letter.frame))
            if self.watch:
                teller = pos_event if letter.dialect is POS else interbank_event
                name, now_ms = self._config.name, self._books.now_ms
                event = teller(letter.frame, letter.message, source=name, target=letter.station, at_ms=now_ms)
                turn.events.append(replace(event, trace=letter.trace or event.trace, also=letter.also))
        self._letters = []


def answer_terminal(tray: OutTray, row: JournalRow, *, acquirer: str, to: Request | None = None) -> None:
    """Lay in the answer that a row holds, to where its request came from, or to who repeats it."""
    if to is None:
        station, frame = row.station, PosFrame(tpdu_turned(row.tpdu), row.header, of_row(row, acquirer=acquirer))
    else:
        station, frame = to.station, to.frame.answer(of_row(row, acquirer=acquirer))
    mac = answer_needs_mac(_WITH_MAC if row.has_mac else _WITHOUT_MAC, row.response_code)
    tray.to_terminal(station, frame, mac=mac, trace=trace_of(row) if tray.watch else "")
