"""The switch: batches in, answers out, through load → prove → decide → record.

A batch is worked in stretches: network management changes keys, so what comes before a key reset is proved under the old ones
and what comes after under the new. Within a stretch each table is read once and each kind of proof asked for once; decisions
are then made one after the other on the loaded rows, so a request, its repeat and its reversal see each other.

The switch never waits: a forwarded request is a row in state WAITING, and its issuer's answer is the next message that comes.

Sources: the shape of hosts in `shanfu.links`, the order of checks in `decide`, the wires page for what is answered.
"""

from collections.abc import Sequence

from shanfu.errors import DecodeError
from shanfu.events import Event
from shanfu.hosts import interbank_event, opened, rejected, written
from shanfu.hsm import HSM
from shanfu.iso8583 import InterbankFrame, Message, decode_interbank, is_request
from shanfu.links import Inbound, Outbound, Turn
from shanfu.links import Kind as Arrived
from shanfu.network.answers import verdict
from shanfu.network.books import NetworkBooks, Process
from shanfu.network.config import NetworkConfig
from shanfu.network.duties import Duties
from shanfu.network.events import outcome_event
from shanfu.network.forward import Carried
from shanfu.network.management import Management
from shanfu.network.outgoing import Outgoing
from shanfu.network.prove import Letter, Prover
from shanfu.network.reasons import Reason
from shanfu.network.requests import Arrival, read
from shanfu.network.transactions import Transactions
from shanfu.store import Transaction

__all__ = ["Network"]

FINANCIAL = frozenset({"01", "02", "04", "06"})  # classes of messages that carry DE128 and are worked in stretches


class Network:
    """The switch between acquirers and issuers. With `watch` it tells every frame and every decision as events."""

    def __init__(self, config: NetworkConfig, hsm: HSM, watch: bool = False) -> None:
        config.check()
        self.name, self._config = config.name, config
        self._prover = Prover(hsm, inside=config.inside)
        self._management = Management(config, self._prover)
        self._duties = Duties(config, self._prover, self._management)
        self._out = Outgoing(self._prover, name=config.name, watch=watch)
        self._transactions = Transactions(config, self._prover, self._duties, out=self._out)
        self._process = Process(hsm.random(8).hex())

    # -- the questions a host is asked ---------------------------------------------------------------------------------

    def books(self, tx: Transaction, *, now_ms: int) -> NetworkBooks:
        """Open the books for one turn."""
        return NetworkBooks(tx, now_ms=now_ms, config=self._config, process=self._process)

    def handle(self, batch: Sequence[Inbound], books: NetworkBooks) -> Turn:
        """Work a batch in the order of arrival."""
        turn, stretch = Turn(), list[Arrival]()
        for inbound in batch:
            frame = self._open(inbound, books, turn)
            if frame is not None and frame.message.mti[:2] in FINANCIAL:
                stretch.append(self._read(inbound, frame, books))
                continue
            self._transactions.work(stretch, books, turn)
            stretch = []
            if inbound.kind is not Arrived.FRAME:
                self._management.link_changed(inbound.station, books)
            elif frame is not None:
                self._manage(inbound.station, frame, books, turn)
        self._transactions.work(stretch, books, turn)
        return turn

    def due(self, books: NetworkBooks) -> Turn:
        """Do what time asks for: time-outs, store-and-forward, key resets, the cut-off; a bounded number of rows."""
        turn = Turn()
        letters, remarks, given_up = self._duties.all(books)
        for text in remarks:
            self._out.tell(turn, books, text)
        if self._out.watch:
            turn.events += [outcome_event(self.name, row, at_ms=books.now_ms) for row in given_up]
        self._out.post(turn, books, letters)
        return turn

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        """Answer one message that cannot be worked: 30 when it does not parse, else 96; nothing is stored."""
        turn = Turn()
        what = f"message not worked: {type(fault).__name__}"
        turn.events.append(Event(source=self.name, title=what, reason=Reason.MALFUNCTION.name, at_ms=now_ms))
        if inbound.kind is not Arrived.FRAME:
            return turn
        try:
            frame = decode_interbank(inbound.frame)
        except DecodeError:
            self._reject(inbound, turn)
            return turn
        if frame.header.rejected or frame.message.mti[:2] not in FINANCIAL or not is_request(frame.message.mti):
            return turn
        reason = Reason.FORMAT if isinstance(fault, DecodeError) else Reason.MALFUNCTION
        reply = frame.answer(verdict(frame.message, reason.code, day=""))
        del reply.message.fields[15]  # the business date stands in the books, which are not open
        turn.outbound += self._prover.post([Letter(inbound.station, reply, self._out.maks.get(inbound.station))])
        return turn

    # -- arrivals ------------------------------------------------------------------------------------------------------

    def _open(self, inbound: Inbound, books: NetworkBooks, turn: Turn) -> InterbankFrame | None:
        """Decode a frame; what is not one is told, and goes back rejected where that is possible."""
        if inbound.kind is not Arrived.FRAME:
            return None
        try:
            frame = opened(inbound)
        except DecodeError as fault:
            self._out.tell(
                turn, books, f"rejected a frame of {inbound.station} that does not parse: {fault}", reason=Reason.FORMAT
            )
            self._reject(inbound, turn)
            return None
        if self._out.watch:
            event = interbank_event(
                written(inbound), frame.message, source=inbound.station, target=self.name, at_ms=books.now_ms
            )
            turn.events.append(event)
        return frame

    def _reject(self, inbound: Inbound, turn: Turn) -> None:
        if (back := rejected(inbound.frame)) is not None:
            turn.outbound.append(Outbound(inbound.station, back))

    def _read(self, inbound: Inbound, frame: InterbankFrame, books: NetworkBooks) -> Arrival:
        arrival = read(frame, station=inbound.station)
        arrival.late = bool(inbound.arrived_ms) and books.now_ms - inbound.arrived_ms > self._config.timeout_ms
        return arrival

    def _manage(self, station: str, frame: InterbankFrame, books: NetworkBooks, turn: Turn) -> None:
        message = frame.message
        if frame.header.rejected:
            self._out.tell(turn, books, f"{message.mti} came back from {station}, reject code {frame.header.reject_code}")
        elif message.mti == "0810":
            words, letters = self._management.answered(station, message, books)
            self._out.tell(turn, books, f"{station}: {words}")
            self._out.post(turn, books, letters)
        elif message.mti == "0830":
            self._news_taken(station, message, books, turn)
        elif is_request(message.mti):
            code, letters = self._management.work(station, frame, books)
            self._out.tell(turn, books, f"{station}: network management {message.text(70, '')}, answered {code}")
            self._out.post(turn, books, letters)
        else:
            self._out.tell(turn, books, f"dropped {message.mti} of {station}: it answers nothing we have asked")

    def _news_taken(self, station: str, message: Message, books: NetworkBooks, turn: Turn) -> None:
        """A member has answered the news of a cut-off, whose name has our identifier twice."""
        own = self._config.institution
        item = books.load_item(0, f"{message.text(7, '')}.{message.text(11, '')}.{own}.{own}")
        if item is None or item.target != station or item.state != Carried.OPEN:
            self._out.tell(turn, books, f"dropped 0830 of {station}: it answers nothing we have asked")
            return
        self._transactions.item_answered(item, message.text(39, ""), books, turn)
