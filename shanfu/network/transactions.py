"""Transactions: a stretch of requests, advices and answers, worked in their order on rows that were loaded once.

Load what all of them need, prove all MACs and move all PINs at once, then decide about and record each in turn; what rows
keep is sealed, and what goes out is authenticated, at once again at the end. `host` calls this with everything between two
messages of network management.
"""

from dataclasses import dataclass, field

from shanfu.hosts import State, pik_label
from shanfu.iso8583 import REVERSAL_DONE, Message, is_request
from shanfu.links import Turn
from shanfu.network.answers import advice_answer, answer, carried, kept, request_for_issuer, verdict
from shanfu.network.books import NetworkBooks
from shanfu.network.config import NetworkConfig
from shanfu.network.decide import Facts, decide
from shanfu.network.duties import Duties, keep, sealed_context
from shanfu.network.events import decision_event, outcome_event
from shanfu.network.forward import Carried, ForwardRow
from shanfu.network.journal import JournalRow
from shanfu.network.outgoing import Outgoing
from shanfu.network.prove import Letter, Prover
from shanfu.network.reasons import Reason
from shanfu.network.record import acknowledge, begin, carry, end, refuse_item, refuse_waiting, reverse
from shanfu.network.requests import ASKED, CARRIED, Arrival, Kind
from shanfu.store import bucket_of

__all__ = ["Transactions"]

STORED_REFUSALS = frozenset({Reason.ISSUER_AWAY, Reason.KEYS_MISSING, Reason.NO_ISSUER, Reason.PIN_UNREADABLE})


@dataclass(slots=True)
class Stretch:
    """What one stretch of messages gathers: letters to send, and messages to seal into rows before these are saved."""

    letters: list[Letter] = field(default_factory=list)
    asked: list[tuple[JournalRow, Message]] = field(default_factory=list)
    carried: list[tuple[ForwardRow, Message]] = field(default_factory=list)
    pins: dict[int, bytes] = field(default_factory=dict)  # by the place of the message


class Transactions:
    """Works stretches of financial messages."""

    def __init__(self, config: NetworkConfig, prover: Prover, duties: Duties, *, out: Outgoing) -> None:
        self._config, self._prover, self._duties, self._out = config, prover, duties, out

    def work(self, arrivals: list[Arrival], books: NetworkBooks, turn: Turn) -> None:
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
            elif is_request(about.arrival.message.mti):
                self._judge(place, about, books=books, turn=turn, stretch=stretch)
            else:
                self._out.drop(turn, books, about.arrival, why="it takes no answer")
        self._seal(stretch, books)
        self._out.post(turn, books, stretch.letters)

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
        if self._out.watch:
            turn.events.append(decision_event(self._out.name, about, reason, at_ms=books.now_ms))
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
        if item.state == Carried.OPEN:
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
            self._out.drop(turn, books, about.arrival, why="it answers nothing that was asked")
        elif row.state != State.WAITING:
            self._out.drop(turn, books, about.arrival, why=f"it is late, the transaction is {row.state}")
        elif not about.authentic:
            stretch.letters += self._duties.give_up([row], books, Reason.ANSWER_MAC_WRONG)
            turn.events.append(outcome_event(self._out.name, row, at_ms=books.now_ms))
        elif arrival.fault or not _same_transaction(arrival, row):
            self._out.drop(
                turn, books, about.arrival, why=f"it is not the answer to this request ({arrival.fault or 'contents differ'})"
            )
        else:
            end(books, row, arrival.message)
            stretch.letters.append(self._duties.to_station(books, row.origin, answer(arrival.message, row)))
            if self._out.watch:
                turn.events.append(outcome_event(self._out.name, row, at_ms=books.now_ms))

    def _acknowledged(self, about: Facts, books: NetworkBooks, turn: Turn) -> None:
        """Take a member's answer to a reversal or a refund of store-and-forward."""
        arrival = about.arrival
        item = books.item(arrival.bucket, arrival.name)
        if item is None or item.target != arrival.station or item.state != Carried.OPEN:
            self._out.drop(turn, books, about.arrival, why="nothing of store-and-forward waits for it")
        elif not about.authentic or arrival.fault:
            self._out.drop(turn, books, about.arrival, why="it is not authentic, so nothing is acknowledged")
        else:
            self.item_answered(item, arrival.message.text(39), books, turn)

    def item_answered(self, item: ForwardRow, code: str, books: NetworkBooks, turn: Turn) -> None:
        """Take a member's verdict on an item of store-and-forward: done, or refused once more."""
        if code in REVERSAL_DONE:
            acknowledge(books, item, code)
        elif refuse_item(item, code, self._config):
            self._out.tell(turn, books, f"dead letter {item.name}: refused {item.refusals} times, last with {code}")
            return
        if self._out.watch:
            self._out.tell(turn, books, f"{item.mti} {item.name}: answered {code}, {item.state.lower()}")

    def _came_back(self, about: Facts, books: NetworkBooks, turn: Turn, stretch: Stretch) -> None:
        """What we sent came back with a reject code: a failed request, never an answer (Q/CUP 006 header)."""
        arrival = about.arrival
        row, item = books.row(arrival.bucket, arrival.name), books.item(arrival.bucket, arrival.name)
        code = arrival.frame.header.reject_code
        if not about.authentic or not is_request(arrival.message.mti):
            self._out.drop(turn, books, about.arrival, why=f"reject code {code} on what we did not send")
        elif item is not None and item.target == arrival.station and item.state == Carried.OPEN:
            self.item_answered(item, code, books, turn)
        elif row is not None and row.target == arrival.station and row.state == State.WAITING:
            refuse_waiting(books, row, Reason.ISSUER_REJECTED)
            stretch.letters.append(self._duties.to_station(books, row.origin, answer(arrival.message, row)))
            turn.events.append(outcome_event(self._out.name, row, at_ms=books.now_ms))
        else:
            self._out.drop(turn, books, about.arrival, why=f"reject code {code} on nothing that waits")


def _same_transaction(arrival: Arrival, row: JournalRow) -> bool:
    """Whether an answer echoes what was asked; what it leaves out it does not contradict."""
    message = arrival.message
    pairs = ((4, f"{row.amount_minor:012d}"), (37, row.rrn), (49, row.currency))
    echoed = all(message.text(number, value) == value for number, value in pairs)
    return echoed and arrival.card in ("", row.card)
