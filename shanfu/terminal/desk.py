"""What all dialogues of one terminal share: its settings, its journal, its clock, its randomness, and how it is heard.

Exchanges and decisions are told as events, masked here at the source. The desk also knows the trace, the name under
which the current transaction appears in every feed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from shanfu.clock import Clock, local
from shanfu.dialogue import Ask, Dialogue
from shanfu.errors import DecodeError
from shanfu.events import Event, Events, nobody, trace_id
from shanfu.iso7816 import CommandAPDU, ResponseAPDU
from shanfu.iso8583 import POS, decode_pos, explain, masked
from shanfu.terminal.config import AIDParameters, TerminalConfig
from shanfu.terminal.journal import Journal, stan_of
from shanfu.terminal.masking import explain_apdu, explain_values, mask_apdu
from shanfu.terminal.outcome import UIMessage
from shanfu.terminal.parameters import ParameterBook

__all__ = ["ACQUIRER", "CARD", "PIN_PAD", "Desk"]

ACQUIRER, CARD, PIN_PAD = "acquirer", "card", "pin-pad"
SOURCE = "terminal"
NOTHING: Mapping[int, bytes] = MappingProxyType({})


@dataclass(slots=True, kw_only=True)
class Desk:
    """The shared things. `random(n)` gives n unpredictable bytes."""

    config: TerminalConfig
    journal: Journal
    clock: Clock
    random: Callable[[int], bytes]
    events: Events
    parameters: ParameterBook
    trace: str = field(default="")
    chip_failed_ms: int | None = None  # when a chip could last not be read: for so long a swipe may be a fallback

    def name_next(self) -> None:
        """Give the coming transaction its trace: merchant, terminal, batch, trace number, local date."""
        self.trace = trace_id(
            merchant=self.config.merchant_id,
            terminal=self.config.terminal_id,
            batch=self.journal.state.batch,
            stan=stan_of(self.journal.next_sequence),
            date=self.today,
        )

    @property
    def aids(self) -> tuple[AIDParameters, ...]:
        """The applications that this terminal accepts, as installed or downloaded."""
        return self.parameters.aids

    @property
    def today(self) -> str:
        """The local date as YYYYMMDD."""
        return local(self.clock.now_ms()).strftime("%Y%m%d")

    def tell(self, title: str, *, reason: str = "", **detail: str) -> None:
        """Tell a decision of the terminal's own."""
        if self.events is not nobody:
            self._emit(Event(source=SOURCE, title=title, detail=detail, reason=reason))

    def show(self, message: UIMessage) -> None:
        """Show a message on the display."""
        self.tell(f"display: {message.en}", ui=message.code, zh=message.zh)

    def ask_card(self, title: str, command: CommandAPDU, *, inside: Mapping[int, bytes] = NOTHING) -> Dialogue[ResponseAPDU]:
        """Send one command; raises LinkError when the card is not there (any more), DecodeError for an impossible answer.

        `inside` are the data elements that the command carries without their tags, for those who watch.
        """
        raw = bytes(command)
        self._exchange(title, raw, response=False, inside=inside)
        answer: bytes = yield Ask(CARD, raw)
        self._exchange(f"answer to {title}", answer, response=True)
        return ResponseAPDU.parse(answer)

    def _exchange(self, title: str, raw: bytes, *, response: bool, inside: Mapping[int, bytes] = NOTHING) -> None:
        if self.events is nobody:
            return
        shown, ranges = mask_apdu(raw, response=response)
        source, target = ("card", SOURCE) if response else (SOURCE, "card")
        detail = {**explain_apdu(raw, response=response), **explain_values(inside)}
        self._emit(Event(source=source, target=target, wire="apdu", title=title, raw=shown, masked=ranges, detail=detail))

    def frame(self, title: str, raw: bytes, *, response: bool) -> None:
        """Tell one POS frame."""
        if self.events is nobody:
            return
        shown, ranges = masked(raw, POS)
        source, target = (ACQUIRER, SOURCE) if response else (SOURCE, ACQUIRER)
        detail = _in_words(raw)
        self._emit(Event(source=source, target=target, wire="pos", title=title, raw=shown, masked=ranges, detail=detail))

    def _emit(self, event: Event) -> None:
        self.events(replace(event, trace=self.trace, at_ms=self.clock.now_ms()))


def _in_words(frame: bytes) -> dict[str, str]:
    try:
        return explain(decode_pos(frame).message, POS)
    except DecodeError as fault:
        return {"fault": str(fault)}
