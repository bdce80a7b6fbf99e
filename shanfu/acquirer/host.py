"""The acquiring bank's host: batches in, answers and forwarded requests out, through load → prove → decide → record.

Terminals speak over many stations in their own dialect, the network over one in the interbank dialect. A batch is worked in
stretches: sign-ins and key resets change keys, so what comes before is proved under the old ones and what comes after under the
new. `stretch` works the transactions between them, `day` and `management` the rest, `deadlines` what time asks for.

Sources: the shape of hosts in `shanfu.links`, the wires page for what is answered.
"""

from collections.abc import Sequence
from typing import Final

from shanfu.acquirer.answers import bare, of_reversal, unreadable
from shanfu.acquirer.books import AcquirerBooks, Numbers
from shanfu.acquirer.config import AcquirerConfig
from shanfu.acquirer.day import TerminalDay
from shanfu.acquirer.deadlines import Deadlines
from shanfu.acquirer.events import pos_event, trace_of_request
from shanfu.acquirer.management import Management
from shanfu.acquirer.numbers import moment_of
from shanfu.acquirer.outtray import OutTray
from shanfu.acquirer.prove import Prover
from shanfu.acquirer.reasons import Reason
from shanfu.acquirer.requests import Request, read
from shanfu.acquirer.stretch import Answer, Stretch
from shanfu.errors import DecodeError
from shanfu.events import Event
from shanfu.hosts import interbank_event
from shanfu.hsm import HSM
from shanfu.iso8583 import (
    InterbankFrame,
    PosFrame,
    decode_interbank,
    decode_pos,
    encode_interbank,
    encode_pos,
    is_request,
    mab_of,
)
from shanfu.links import Inbound, Outbound, Turn
from shanfu.links import Kind as Arrival
from shanfu.store import Transaction

__all__ = ["Acquirer"]

_MANAGEMENT: Final = frozenset({"05", "08"})  # classes of terminal messages that are about the terminal itself


class Acquirer:
    """The bank of the merchant. With `watch` it tells every frame and every decision as events."""

    def __init__(self, config: AcquirerConfig, hsm: HSM, watch: bool = False) -> None:
        config.check()
        self.name, self._config, self._watch = config.name, config, watch
        self._prover = Prover(hsm, config)
        self._management = Management(config, hsm)
        self._day = TerminalDay(config, hsm)
        self._stretch = Stretch(config, self._prover, self._management, watch=watch)
        self._deadlines = Deadlines(config, self._prover, watch=watch)
        self._numbers = Numbers()

    # -- the questions a host is asked ---------------------------------------------------------------------------------

    def books(self, tx: Transaction, *, now_ms: int) -> AcquirerBooks:
        """Open the books for one turn."""
        return AcquirerBooks(tx, now_ms=now_ms, numbers=self._numbers, buckets=self._config.buckets)

    def handle(self, batch: Sequence[Inbound], books: AcquirerBooks) -> Turn:
        """Work a batch in the order of arrival."""
        turn, stretch = Turn(), list[Request | Answer]()
        for inbound in batch:
            opened = self._open(inbound, books, turn)
            if isinstance(opened, Request | Answer):
                stretch.append(opened)
                continue
            if opened is None and inbound.kind is Arrival.FRAME:
                continue
            self._stretch.work(stretch, books, turn)
            stretch = []
            if isinstance(opened, PosFrame):
                self._serve(inbound.station, opened, books, turn)
            elif opened is not None:
                self._manage(opened, books, turn)
            else:
                self._link_changed(inbound, books, turn)
        self._stretch.work(stretch, books, turn)
        return turn

    def due(self, books: AcquirerBooks) -> Turn:
        """Ask again for an unanswered sign-on, end waits, carry on what is stored; reads a bounded number of rows."""
        turn = Turn()
        for frame in self._management.unanswered(books):
            self._send(turn, books, frame, encode_interbank(frame))
        self._prover.load_keys(books, set())
        self._deadlines.expire(books, turn)
        if self._management.network_up(books):
            self._deadlines.carry_on(books, turn)
        self._deadlines.forget(books)
        return turn

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        """Answer one message that cannot be worked: 30 when it does not parse, else 96; nothing is stored."""
        turn = Turn()
        what = f"message not worked: {type(fault).__name__}"
        turn.events.append(Event(source=self.name, title=what, reason=Reason.MALFUNCTION.name, at_ms=now_ms))
        if inbound.kind is not Arrival.FRAME or inbound.station == self._config.network:
            return turn  # the network repeats what must not be lost, and waits out the rest
        try:
            frame = decode_pos(inbound.frame)
        except DecodeError:
            self._reject(inbound, turn)
            return turn
        if is_request(frame.message.mti):
            reason = Reason.FORMAT if isinstance(fault, DecodeError) else Reason.MALFUNCTION
            acquirer, moment = self._config.institution, moment_of(now_ms)
            if frame.message.mti == "0400":
                reply = of_reversal(frame.message, None, reason.code, acquirer=acquirer, moment=moment)
            else:
                reply = bare(frame.message, reason.code, acquirer=acquirer, moment=moment)
            turn.outbound.append(Outbound(inbound.station, encode_pos(frame.answer(reply))))
        return turn

    # -- arrivals ------------------------------------------------------------------------------------------------------

    def _open(self, inbound: Inbound, books: AcquirerBooks, turn: Turn) -> Request | Answer | PosFrame | InterbankFrame | None:
        """Decode a frame and say what it is; what is not one is told, and answered where that is possible."""
        if inbound.kind is not Arrival.FRAME:
            return None
        try:
            if inbound.station == self._config.network:
                return self._from_network(inbound, decode_interbank(inbound.frame), books, turn)
            return self._from_terminal(inbound, decode_pos(inbound.frame), books, turn)
        except DecodeError as fault:
            self._tell(turn, books, f"a frame from {inbound.station} does not parse: {fault}", Reason.FORMAT)
            if inbound.station != self._config.network:
                self._reject(inbound, turn)
            return None

    def _from_terminal(self, inbound: Inbound, frame: PosFrame, books: AcquirerBooks, turn: Turn) -> Request | PosFrame | None:
        message = frame.message
        if not is_request(message.mti):
            self._tell(turn, books, f"dropped {message.mti} from {inbound.station}: no request")
            return None
        opened: Request | PosFrame = frame
        if message.mti[:2] not in _MANAGEMENT:
            opened = read(inbound.station, frame, mab=mab_of(inbound.frame) if 64 in message else b"")
            waited_ms = books.now_ms - inbound.arrived_ms if inbound.arrived_ms else 0
            opened.deadline_ms = books.now_ms - waited_ms + self._config.patience_ms
            opened.late = waited_ms > self._config.patience_ms
        if self._watch:
            trace = trace_of_request(opened, books.moment.date) if isinstance(opened, Request) else ""
            event = pos_event(inbound.frame, message, source=inbound.station, target=self.name, at_ms=books.now_ms, trace=trace)
            turn.events.append(event)
        return opened

    def _from_network(
        self, inbound: Inbound, frame: InterbankFrame, books: AcquirerBooks, turn: Turn
    ) -> Answer | InterbankFrame | None:
        message = frame.message
        if frame.header.rejected:
            self._tell(turn, books, f"our message came back with reject code {frame.header.reject_code}")
            return None
        if self._watch:
            event = interbank_event(inbound.frame, message, source=inbound.station, target=self.name, at_ms=books.now_ms)
            turn.events.append(event)
        if message.mti[:2] == "08":
            return frame
        if not message.mti.isdecimal() or is_request(message.mti) or not message.fields.keys() >= {7, 11, 32, 33, 41}:
            self._tell(turn, books, f"dropped {message.mti} from the network: no answer to anything of ours")
            return None
        return Answer.of(message, books.bucket(message.text(41)))

    def _reject(self, inbound: Inbound, turn: Turn) -> None:
        if (reply := unreadable(inbound.frame, Reason.FORMAT.code)) is not None:
            turn.outbound.append(Outbound(inbound.station, encode_pos(reply)))

    # -- all that is no transaction ------------------------------------------------------------------------------------

    def _serve(self, station: str, frame: PosFrame, books: AcquirerBooks, turn: Turn) -> None:
        """Answer a terminal about itself."""
        reply, requirement = self._day.work(frame.message, books)
        tray = OutTray(self._config, self._prover, books, watch=self._watch)
        tray.to_terminal(station, frame.answer(reply, requirement=requirement), mac=False)
        tray.empty(turn)

    def _link_changed(self, inbound: Inbound, books: AcquirerBooks, turn: Turn) -> None:
        if inbound.station != self._config.network:
            return  # a terminal's link: its answers go where its last request came from
        if inbound.kind is Arrival.DOWN:
            self._management.link_down(books)
            return
        ask = self._management.link_up(books)
        self._send(turn, books, ask, encode_interbank(ask))

    def _manage(self, frame: InterbankFrame, books: AcquirerBooks, turn: Turn) -> None:
        words, reply = self._management.heard(frame, books)
        if words:
            self._tell(turn, books, words)
        if reply is not None:
            self._send(turn, books, decode_interbank(reply) if self._watch else frame, reply)

    # -- telling -------------------------------------------------------------------------------------------------------

    def _send(self, turn: Turn, books: AcquirerBooks, frame: InterbankFrame, sealed: bytes) -> None:
        turn.outbound.append(Outbound(self._config.network, sealed))
        if self._watch:
            target = self._config.network
            event = interbank_event(sealed, frame.message, source=self.name, target=target, at_ms=books.now_ms)
            turn.events.append(event)

    def _tell(self, turn: Turn, books: AcquirerBooks, title: str, reason: Reason | None = None) -> None:
        turn.events.append(Event(source=self.name, title=title, reason=reason.name if reason else "", at_ms=books.now_ms))
