"""The switch: batches in, answers out, through load → prove → decide → record.

A batch is worked in stretches: network management changes keys, so what comes before a key reset is proved under the old ones
and what comes after under the new. Within a stretch each table is read once and each kind of proof asked for once; decisions
are then made one after the other on the loaded rows, so a request, its repeat and its reversal see each other.

The switch never waits: a forwarded request is a row in state WAITING, and its issuer's answer is the next message that comes.

Sources: the shape of hosts in `shanfu.links`, the order of checks in `decide`, the wires page for what is answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shanfu.errors import DecodeError
from shanfu.hsm import HSM, KeyBlock
from shanfu.iso8583 import REVERSAL_DONE, InterbankFrame, Message, decode_interbank, is_request
from shanfu.links import Inbound, Outbound, Turn
from shanfu.links import Kind as Arrived
from shanfu.network.answers import (
    advice_answer,
    answer,
    carried,
    header,
    kept,
    rejected,
    request_for_issuer,
    verdict,
)
from shanfu.network.books import NetworkBooks, Process
from shanfu.network.config import NetworkConfig, pik_label
from shanfu.network.decide import Facts, decide
from shanfu.network.duties import Duties, keep, sealed_context
from shanfu.network.events import decision_event, frame_event, outcome_event, remark
from shanfu.network.forward import ForwardRow
from shanfu.network.journal import JournalRow, State
from shanfu.network.management import Management
from shanfu.network.prove import Letter, Prover
from shanfu.network.reasons import Reason
from shanfu.network.record import acknowledge, begin, carry, end, refuse_item, refuse_waiting, reverse
from shanfu.network.requests import ASKED, CARRIED, Arrival, Kind, read
from shanfu.store import Transaction, bucket_of

__all__ = ["Network"]

FINANCIAL = frozenset({"01", "02", "04"})  # classes of messages that carry DE128 and are worked in stretches
STORED_REFUSALS = frozenset({Reason.ISSUER_AWAY, Reason.KEYS_MISSING, Reason.NO_ISSUER, Reason.PIN_UNREADABLE})


@dataclass(slots=True)
class Stretch:
    """What one stretch of messages gathers: letters to send, and messages to seal into rows before these are saved."""

    letters: list[Letter] = field(default_factory=list)
    asked: list[tuple[JournalRow, Message]] = field(default_factory=list)
    carried: list[tuple[ForwardRow, Message]] = field(default_factory=list)
    pins: dict[int, bytes] = field(default_factory=dict)  # by the place of the message


class Network:
    """The switch between acquirers and issuers. With `watch` it tells every frame and every decision as events."""

    def __init__(self, config: NetworkConfig, hsm: HSM, watch: bool = False) -> None:
        config.check()
        self.name, self._config, self._watch = config.name, config, watch
        self._prover = Prover(hsm)
        self._management = Management(config, self._prover)
        self._duties = Duties(config, self._prover, self._management)
        self._process = Process(hsm.random(8).hex())
        self._maks: dict[str, KeyBlock] = {}  # the last ones seen, for refusals that cannot look into the books

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
            self._work(stretch, books, turn)
            stretch = []
            if inbound.kind is not Arrived.FRAME:
                self._management.link_changed(inbound.station, books)
            elif frame is not None:
                self._manage(inbound.station, frame, books, turn)
        self._work(stretch, books, turn)
        return turn

    def due(self, books: NetworkBooks) -> Turn:
        """Do what time asks for: time-outs, store-and-forward, key resets, the cut-off; a bounded number of rows."""
        turn = Turn()
        letters, remarks, given_up = self._duties.all(books)
        for text in remarks:
            self._tell(turn, books, text)
        if self._watch:
            turn.events += [outcome_event(self.name, row, at_ms=books.now_ms) for row in given_up]
        self._post(turn, books, letters)
        return turn

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        """Answer one message that cannot be worked: 30 when it does not parse, else 96; nothing is stored."""
        turn = Turn()
        what = f"message not worked: {type(fault).__name__}"
        turn.events.append(remark(self.name, what, reason=Reason.MALFUNCTION.name, at_ms=now_ms))
        if inbound.kind is not Arrived.FRAME:
            return turn
        try:
            frame = decode_interbank(inbound.frame)
        except DecodeError:
            self._reject(inbound, turn)
            return turn
        if frame.header.rejected or frame.message.mti[:2] not in FINANCIAL or not _answerable(frame.message):
            return turn
        reason = Reason.FORMAT if isinstance(fault, DecodeError) else Reason.MALFUNCTION
        reply = frame.answer(verdict(frame.message, reason.code, day=""))
        del reply.message.fields[15]  # the business date stands in the books, which are not open
        turn.outbound += self._prover.post([Letter(inbound.station, reply, self._maks.get(inbound.station))])
        return turn

    # -- arrivals ------------------------------------------------------------------------------------------------------

    def _open(self, inbound: Inbound, books: NetworkBooks, turn: Turn) -> InterbankFrame | None:
        """Decode a frame; what is not one is told, and goes back rejected where that is possible."""
        if inbound.kind is not Arrived.FRAME:
            return None
        try:
            frame = decode_interbank(inbound.frame)
        except DecodeError as fault:
            self._tell(turn, books, f"rejected a frame of {inbound.station} that does not parse: {fault}", Reason.FORMAT)
            self._reject(inbound, turn)
            return None
        if self._watch:
            event = frame_event(inbound.frame, frame, source=inbound.station, target=self.name, at_ms=books.now_ms)
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
            self._tell(turn, books, f"{message.mti} came back from {station}, reject code {frame.header.reject_code}")
        elif message.mti == "0810":
            words, letters = self._management.answered(station, message, books)
            self._tell(turn, books, f"{station}: {words}")
            self._post(turn, books, letters)
        elif message.mti == "0830":
            self._news_taken(station, message, books, turn)
        elif _answerable(message):
            code, letters = self._management.work(station, frame, books)
            self._tell(turn, books, f"{station}: network management {message.text(70, '')}, answered {code}")
            self._post(turn, books, letters)
        else:
            self._tell(turn, books, f"dropped {message.mti} of {station}: it answers nothing we have asked")

    def _news_taken(self, station: str, message: Message, books: NetworkBooks, turn: Turn) -> None:
        """A member has answered the news of a cut-off."""
        own = self._config.institution
        arrival = read(InterbankFrame(header(own, own), Message("0830", {**message.fields, 32: own, 33: own})), station=station)
        books.load([arrival])
        item = books.item(0, arrival.name)
        if item is None or item.target != station or item.state != "OPEN":
            self._tell(turn, books, f"dropped 0830 of {station}: it answers nothing we have asked")
            return
        self._item_answered(item, message.text(39, ""), books, turn)

    # -- transactions --------------------------------------------------------------------------------------------------

    def _work(self, arrivals: list[Arrival], books: NetworkBooks, turn: Turn) -> None:
        """Work a stretch: load, prove, decide and record each in order, seal what is kept, send."""
        if not arrivals:
            return
        books.load_stations(arrival.station for arrival in arrivals)
        self._prover.lookups(arrivals, books)
        for arrival in arrivals:
            arrival.bucket = bucket_of(arrival.card, self._config.buckets)
        books.load(arrivals)
        facts = self._gather(arrivals, books)
        stretch = Stretch()
        self._move_pins(facts, books, stretch)
        for place, about in enumerate(facts):
            if about.arrival.frame.header.rejected:
                self._came_back(about, books, turn, stretch)
            elif about.arrival.kind is Kind.ANSWER:
                self._answered(about, books, turn, stretch)
            elif about.arrival.kind is Kind.ADVICE_ANSWER:
                self._acknowledged(about, books, turn)
            elif _answerable(about.arrival.message):
                self._judge(place, about, books=books, turn=turn, stretch=stretch)
            else:
                self._tell(turn, books, f"dropped {about.arrival.message.mti} of {about.arrival.station}: it takes no answer")
        self._seal(stretch, books)
        self._post(turn, books, stretch.letters)

    def _gather(self, arrivals: list[Arrival], books: NetworkBooks) -> list[Facts]:
        """Collect what is known about each message: its sender, its MAC, its route."""
        stations = set()
        facts = []
        for arrival, right in zip(arrivals, self._prover.right_macs(arrivals, books), strict=True):
            member = books.member(arrival.station)
            about = Facts(arrival, member, member is not None and member.signed_on(books.life), right)
            if arrival.kind in ASKED or arrival.kind in CARRIED:
                about.route = books.routes.find(arrival.pan)
            if about.route:
                stations.add(about.route.station)
            if row := books.row(arrival.bucket, arrival.name):
                stations |= {row.origin, row.target}
            facts.append(about)
        books.load_stations(stations)
        for about in facts:
            if about.route and (issuer := books.member(about.route.station)):
                about.away = not (issuer.issuer and issuer.reachable(books.life))
        return facts

    def _move_pins(self, facts: list[Facts], books: NetworkBooks, stretch: Stretch) -> None:
        """Translate the PIN blocks of all new requests whose issuer is there, at once."""
        wanted = []
        for place, about in enumerate(facts):
            arrival, route = about.arrival, about.route
            needless = not arrival.has_pin or arrival.fault or not about.authentic or not route or about.away
            if needless or arrival.kind not in ASKED or books.row(arrival.bucket, arrival.name) is not None:
                continue
            assert route
            ends = (books.candidates(pik_label(station)) for station in (arrival.station, route.station))
            about.pin_keys = all(ends)
            if about.pin_keys:
                wanted.append((place, arrival, route.station))
        if not wanted:
            return
        moved = self._prover.pins([(arrival, station) for _, arrival, station in wanted], books)
        for (place, _, _), block in zip(wanted, moved, strict=True):
            facts[place].pin_ok = block is not None
            if block is not None:
                stretch.pins[place] = block

    def _judge(self, place: int, about: Facts, *, books: NetworkBooks, turn: Turn, stretch: Stretch) -> None:
        """Decide about a request or an advice, record it, and answer or forward it."""
        arrival = about.arrival
        message = arrival.message
        about.before, about.carried = books.row(arrival.bucket, arrival.name), books.item(arrival.bucket, arrival.name)
        about.original = books.row(arrival.bucket, arrival.original) if arrival.kind is Kind.REVERSAL else None
        reason = decide(about)
        if self._watch:
            turn.events.append(decision_event(self.name, about, reason, at_ms=books.now_ms))
        if reason is Reason.STILL_WAITING:
            return
        if reason is Reason.FORWARDED:
            self._forward(about, books, stretch, pin=stretch.pins.get(place))
            return
        issuer = about.route.institution if about.route else ""
        if reason is Reason.REPEATED and about.before is not None:
            reply = answer(message, about.before)
        elif reason is Reason.REPEATED and about.carried is not None:
            reply = advice_answer(message, about.carried, issuer=issuer)
        elif reason in (Reason.ACCEPTED, Reason.TOMBSTONE_KEPT, Reason.NOTHING_TO_REVERSE):
            reply = self._accept(about, reason, books, stretch)
        elif reason in STORED_REFUSALS:
            reply = answer(message, begin(books, about, reason))
        else:
            reply = verdict(message, reason.code, day=books.state.business_date, issuer=issuer)
        stretch.letters.append(self._duties.to_station(books, arrival.station, reply))

    def _forward(self, about: Facts, books: NetworkBooks, stretch: Stretch, *, pin: bytes | None) -> None:
        """Ask the issuer: the row waits for its answer."""
        assert about.route
        message = about.arrival.message
        row = begin(books, about, Reason.FORWARDED, deadline_ms=books.now_ms + self._config.timeout_ms)
        asked = request_for_issuer(message, day=row.business_date, issuer=row.issuer, pin=pin)
        stretch.letters.append(self._duties.to_station(books, row.target, asked))
        stretch.asked.append((row, message))

    def _accept(self, about: Facts, reason: Reason, books: NetworkBooks, stretch: Stretch) -> Message:
        """Accept a reversal or a refund by commit: change its original or enter it, put it into store-and-forward."""
        arrival, original = about.arrival, about.original
        item = carry(books, about, reason)
        if arrival.kind is Kind.REFUND or original is None:
            begin(books, about, reason)
        elif reason is Reason.ACCEPTED:
            reverse(books, original)
        issuer = original.issuer if original else about.route.institution if about.route else ""
        if item.state == "OPEN":
            stretch.carried.append((item, carried(arrival.message, day=item.business_date, issuer=issuer)))
        return advice_answer(arrival.message, item, issuer=issuer)

    def _seal(self, stretch: Stretch, books: NetworkBooks) -> None:
        """Keep, sealed, what time-outs and store-and-forward will need."""
        waiting = [(row, message) for row, message in stretch.asked if row.state == State.WAITING]
        sealed = self._prover.seal([(kept(m), sealed_context("journal", row.name)) for row, m in waiting], books)
        for (row, _), blob in zip(waiting, sealed, strict=True):
            row.kept = blob
        keep(self._prover, stretch.carried, books)

    # -- answers of issuers --------------------------------------------------------------------------------------------

    def _answered(self, about: Facts, books: NetworkBooks, turn: Turn, stretch: Stretch) -> None:
        """Take an issuer's answer to the row that waits for it; every other one is told and dropped."""
        arrival = about.arrival
        row = books.row(arrival.bucket, arrival.name)
        if row is None or row.target != arrival.station:
            self._drop(about, books, turn, "it answers nothing that was asked")
        elif row.state != State.WAITING:
            self._drop(about, books, turn, f"it is late, the transaction is {row.state}")
        elif not about.authentic:
            stretch.letters += self._duties.give_up([row], books, Reason.ANSWER_MAC_WRONG)
            turn.events.append(outcome_event(self.name, row, at_ms=books.now_ms))
        elif arrival.fault or not _same_transaction(arrival, row):
            self._drop(about, books, turn, f"it is not the answer to this request ({arrival.fault or 'contents differ'})")
        else:
            end(books, row, arrival.message)
            stretch.letters.append(self._duties.to_station(books, row.origin, answer(arrival.message, row)))
            if self._watch:
                turn.events.append(outcome_event(self.name, row, at_ms=books.now_ms))

    def _acknowledged(self, about: Facts, books: NetworkBooks, turn: Turn) -> None:
        """Take a member's answer to a reversal or a refund of store-and-forward."""
        arrival = about.arrival
        item = books.item(arrival.bucket, arrival.name)
        if item is None or item.target != arrival.station or item.state != "OPEN":
            self._drop(about, books, turn, "nothing of store-and-forward waits for it")
        elif not about.authentic or arrival.fault:
            self._drop(about, books, turn, "it is not authentic, so nothing is acknowledged")
        else:
            self._item_answered(item, arrival.message.text(39), books, turn)

    def _item_answered(self, item: ForwardRow, code: str, books: NetworkBooks, turn: Turn) -> None:
        if code in REVERSAL_DONE:
            acknowledge(books, item, code)
        elif refuse_item(item, code, self._config):
            self._tell(turn, books, f"dead letter {item.name}: refused {item.refusals} times, last with {code}")
            return
        if self._watch:
            self._tell(turn, books, f"{item.mti} {item.name}: answered {code}, {item.state.lower()}")

    def _came_back(self, about: Facts, books: NetworkBooks, turn: Turn, stretch: Stretch) -> None:
        """What we sent came back with a reject code: a failed request, never an answer (Q/CUP 006 header)."""
        arrival = about.arrival
        row, item = books.row(arrival.bucket, arrival.name), books.item(arrival.bucket, arrival.name)
        code = arrival.frame.header.reject_code
        if not about.authentic or not is_request(arrival.message.mti):
            self._drop(about, books, turn, f"reject code {code} on what we did not send")
        elif item is not None and item.target == arrival.station and item.state == "OPEN":
            self._item_answered(item, code, books, turn)
        elif row is not None and row.target == arrival.station and row.state == State.WAITING:
            refuse_waiting(books, row, Reason.ISSUER_REJECTED)
            stretch.letters.append(self._duties.to_station(books, row.origin, answer(arrival.message, row)))
            turn.events.append(outcome_event(self.name, row, at_ms=books.now_ms))
        else:
            self._drop(about, books, turn, f"reject code {code} on nothing that waits")

    # -- telling -------------------------------------------------------------------------------------------------------

    def _post(self, turn: Turn, books: NetworkBooks, letters: list[Letter]) -> None:
        for letter, outbound in zip(letters, self._prover.post(letters) if letters else [], strict=True):
            turn.outbound.append(outbound)
            if letter.key is not None:
                self._maks[letter.station] = letter.key
            if self._watch:
                turn.events.append(
                    frame_event(outbound.frame, letter.frame, source=self.name, target=letter.station, at_ms=books.now_ms)
                )

    def _drop(self, about: Facts, books: NetworkBooks, turn: Turn, why: str) -> None:
        arrival = about.arrival
        self._tell(turn, books, f"dropped {arrival.message.mti} of {arrival.station}: {why}", trace=arrival.name)

    def _tell(self, turn: Turn, books: NetworkBooks, title: str, reason: Reason | None = None, *, trace: str = "") -> None:
        name = reason.name if reason else ""
        turn.events.append(remark(self.name, title, reason=name, trace=trace, at_ms=books.now_ms))


def _answerable(message: Message) -> bool:
    return is_request(message.mti)


def _same_transaction(arrival: Arrival, row: JournalRow) -> bool:
    """Whether an answer echoes what was asked; what it leaves out it does not contradict."""
    message = arrival.message
    pairs = ((4, f"{row.amount_minor:012d}"), (37, row.rrn), (49, row.currency))
    echoed = all(message.text(number, value) == value for number, value in pairs)
    return echoed and arrival.card in ("", row.card)
