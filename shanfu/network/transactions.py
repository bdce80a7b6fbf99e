"""Transactions: a stretch of requests, advices and answers, worked in their order on rows that were loaded once.

Load what all of them need, prove all MACs and move all PINs at once, then decide about and record each in turn; what rows
keep is sealed, and what goes out is authenticated, at once again at the end. `host` calls this with everything between two
messages of network management. What is said of tokens is in `token_leg`.
"""

from shanfu.hosts import VAULT, State, pik_label
from shanfu.iso8583 import Message, is_request
from shanfu.links import Turn
from shanfu.network.answers import advice_answer, answer, carried, request_for_issuer, request_for_tsp, verdict
from shanfu.network.books import NetworkBooks
from shanfu.network.config import NetworkConfig
from shanfu.network.decide import Facts, decide
from shanfu.network.duties import Duties
from shanfu.network.events import decision_event, outcome_event
from shanfu.network.forward import Carried, ForwardRow
from shanfu.network.journal import JournalRow
from shanfu.network.outgoing import Outgoing
from shanfu.network.prove import PINMove, Prover
from shanfu.network.reasons import Reason
from shanfu.network.record import acknowledge, begin, carry, disown, end, ends, put_off, refuse_item, refuse_waiting, reverse
from shanfu.network.requests import ASKED, CARRIED, Arrival, Kind
from shanfu.network.stretch import Stretch
from shanfu.network.token_leg import TokenLeg
from shanfu.store import bucket_of

__all__ = ["Transactions"]

_OF_AN_ORIGINAL = frozenset({Kind.REVERSAL, Kind.SCRIPT_RESULT})
STORED_REFUSALS = frozenset({Reason.ISSUER_AWAY, Reason.KEYS_MISSING, Reason.NO_ISSUER, Reason.PIN_UNREADABLE, Reason.TSP_AWAY})


class Transactions:
    """Works stretches of financial messages."""

    def __init__(self, config: NetworkConfig, prover: Prover, duties: Duties, *, out: Outgoing) -> None:
        self._config, self._prover, self._duties, self._out = config, prover, duties, out
        self._tokens = TokenLeg(config, prover, duties, out=out)

    def work(self, arrivals: list[Arrival], books: NetworkBooks, turn: Turn) -> None:
        """Work a stretch: load, prove, decide and record each in order, seal what is kept, send."""
        if not arrivals:
            return
        books.load_stations(arrival.station for arrival in arrivals)
        self._prover.lookups(arrivals, books)
        for arrival in arrivals:
            arrival.bucket = bucket_of(arrival.card, self._config.buckets)
        books.load(arrivals)
        self._find_strays(arrivals, books)
        facts = self._gather(arrivals, books)
        self._tokens.recall(facts, books)
        stretch = Stretch()
        self._move_pins(facts, books, stretch)
        for place, about in enumerate(facts):
            if about.arrival.frame.header.rejected:
                self._came_back(about, books, turn, stretch)
            elif about.arrival.kind is Kind.ANSWER:
                self._answered(place, about, books=books, turn=turn, stretch=stretch)
            elif about.arrival.kind is Kind.ADVICE_ANSWER:
                self._acknowledged(about, books, turn, stretch)
            elif is_request(about.arrival.message.mti):
                self._judge(place, about, books=books, turn=turn, stretch=stretch)
            else:
                self._out.drop(turn, books, about.arrival, why="it takes no answer")
        self._tokens.tell_outcomes(books, stretch)
        books.at_save(lambda: stretch.seal(self._prover, books))
        self._out.post(turn, books, stretch.letters)

    def _find_strays(self, arrivals: list[Arrival], books: NetworkBooks) -> None:
        """An answer that names neither token nor card, or only the card behind a token, is known by its name alone."""
        buckets = self._config.buckets
        for arrival in arrivals if buckets > 1 else ():
            if not is_request(arrival.message.mti):
                books.find_stray(arrival, buckets)

    def _gather(self, arrivals: list[Arrival], books: NetworkBooks) -> list[Facts]:
        """Collect what is known about each message: its sender, its MAC, its route."""
        stations = set()
        facts = []
        for arrival, right in zip(arrivals, self._prover.right_macs(arrivals, books), strict=True):
            member = books.member(arrival.station)
            about = Facts(arrival, member, member is not None and member.signed_on(books.life), right)
            if arrival.kind in ASKED or arrival.kind in CARRIED or arrival.token:
                about.route = books.routes.find(arrival.pan)
            if about.route:
                stations.add(about.route.station)
            if row := books.row(arrival.bucket, arrival.name):
                stations |= {row.origin, row.target, row.tsp}
            facts.append(about)
        books.load_stations(stations)
        for about in facts:
            if about.route and (end := books.member(about.route.station)):
                about.tsp = bool(end.tsp)
                about.away = not ((end.issuer or end.tsp) and end.reachable(books.life))
        return facts

    def _move_pins(self, facts: list[Facts], books: NetworkBooks, stretch: Stretch) -> None:
        """Translate the PIN blocks of all that is to be asked of an issuer who is there, at once."""
        wanted = []
        for place, about in enumerate(facts):
            move = self._tokens.pin_move(about, books) or _pin_move(about, books)
            if move is None:
                continue
            ends = (books.candidates(pik_label(station)) for station in (move.origin, move.target))
            about.pin_keys = all(ends) and (not move.record or books.keys.has(VAULT))
            if about.pin_keys:
                wanted.append((place, move))
        if not wanted:
            return
        moved = self._prover.pins([move for _, move in wanted], books)
        for (place, _), block in zip(wanted, moved, strict=True):
            facts[place].pin_ok = block is not None
            if block is not None:
                stretch.pins[place] = block

    def _judge(self, place: int, about: Facts, *, books: NetworkBooks, turn: Turn, stretch: Stretch) -> None:
        """Decide about a request or an advice, record it, and answer or forward it."""
        arrival = about.arrival
        message = arrival.message
        about.before, about.carried = books.row(arrival.bucket, arrival.name), books.item(arrival.bucket, arrival.name)
        about.original = books.row(arrival.bucket, arrival.original) if arrival.kind in _OF_AN_ORIGINAL else None
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
        """Ask the issuer, or the token service: the row waits for the answer."""
        message, config = about.arrival.message, self._config
        patience_ms = config.token_service_ms if about.tsp else config.timeout_ms
        row = begin(books, about, Reason.FORWARDED, deadline_ms=books.now_ms + patience_ms)
        if about.tsp:
            books.requests[row.name] = message
            asked = request_for_tsp(message, day=row.business_date, issuer=row.issuer)
        else:
            asked = request_for_issuer(message, day=row.business_date, issuer=row.issuer, pin=pin)
        stretch.letters.append(self._duties.to_station(books, row.target, asked))
        stretch.asked.append((row, message, row.target))

    def _accept(self, about: Facts, reason: Reason, books: NetworkBooks, stretch: Stretch) -> Message:
        """Accept an advice by commit: change its original or enter it, put it into store-and-forward."""
        arrival, original = about.arrival, about.original
        item = carry(books, about, reason)
        if original is None:
            begin(books, about, reason)
        elif arrival.kind is Kind.REVERSAL and reason is Reason.ACCEPTED:
            reverse(books, original)
        issuer = original.issuer if original else about.route.institution if about.route else ""
        if item.state == Carried.OPEN:
            message = carried(arrival.message, day=item.business_date, issuer=issuer)
            if original and original.tsp and not original.at_tsp:
                self._tokens.take_back(item, message, original, books=books, stretch=stretch)
            else:
                stretch.carried.append((item, message))
            if arrival.kind is Kind.SCRIPT_RESULT:
                self._tell_at_once(item, message, books, stretch)
        return advice_answer(arrival.message, item, issuer=issuer)

    def _tell_at_once(self, item: ForwardRow, message: Message, books: NetworkBooks, stretch: Stretch) -> None:
        """Let a script result be with its issuer before the card's next payment, at which he would send the script again."""
        books.load_stations([item.target])
        issuer = books.member(item.target)
        if issuer and issuer.reachable(books.life):
            stretch.letters.append(self._duties.to_station(books, item.target, message))
            put_off(books, item, self._config)

    # -- answers of issuers --------------------------------------------------------------------------------------------

    def _answered(self, place: int, about: Facts, *, books: NetworkBooks, turn: Turn, stretch: Stretch) -> None:
        """Take an answer to the row that waits for it; every other one is told and dropped."""
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
        elif row.at_tsp:
            self._tokens.answered(about, row, books=books, turn=turn, stretch=stretch, pin=stretch.pins.get(place))
        else:
            end(books, row, arrival.message)
            self._tokens.conclude(about, row, books, stretch)
            if self._out.watch:
                turn.events.append(outcome_event(self._out.name, row, at_ms=books.now_ms))

    def _acknowledged(self, about: Facts, books: NetworkBooks, turn: Turn, stretch: Stretch) -> None:
        """Take a member's answer to an item of store-and-forward."""
        arrival = about.arrival
        item = books.item(arrival.bucket, arrival.name, arrival.station)
        if item is None or item.state != Carried.OPEN:
            self._out.drop(turn, books, about.arrival, why="nothing of store-and-forward waits for it")
        elif not about.authentic or arrival.fault:
            self._out.drop(turn, books, about.arrival, why="it is not authentic, so nothing is acknowledged")
        elif not self._tokens.refund_resolved(about, item, books=books, turn=turn, stretch=stretch):
            self.item_answered(item, arrival.message.text(39), books, turn)

    def item_answered(self, item: ForwardRow, code: str, books: NetworkBooks, turn: Turn) -> None:
        """Take a member's verdict on an item of store-and-forward: done, or refused once more."""
        over = ends(books, item, code)
        if over:
            acknowledge(books, item, code)
        elif refuse_item(item, code, self._config):
            disown(books, item, code)
            self._out.tell(turn, books, f"dead letter {item.name}: refused {item.refusals} times, last with {code}")
            return
        if item.state == Carried.DEAD:
            self._out.tell(turn, books, f"dead letter {item.name}: its issuer refused it for good, with {code}")
        elif self._out.watch:
            after = item.state if item.state != Carried.OPEN or not over else Carried.DONE.value
            self._out.tell(turn, books, f"{item.mti} {item.name}: answered {code}, {after.lower()}")

    def _came_back(self, about: Facts, books: NetworkBooks, turn: Turn, stretch: Stretch) -> None:
        """What we sent came back with a reject code: a failed request, never an answer (Q/CUP 006 header)."""
        arrival = about.arrival
        row, item = books.row(arrival.bucket, arrival.name), books.item(arrival.bucket, arrival.name, arrival.station)
        code = arrival.frame.header.reject_code
        if not about.authentic or not is_request(arrival.message.mti):
            self._out.drop(turn, books, about.arrival, why=f"reject code {code} on what we did not send")
        elif item is not None and item.state == Carried.OPEN:
            self.item_answered(item, code, books, turn)
        elif row is not None and row.target == arrival.station and row.state == State.WAITING:
            refuse_waiting(books, row, Reason.TSP_REJECTED if row.at_tsp else Reason.ISSUER_REJECTED)
            self._tokens.conclude(about, row, books, stretch)
            turn.events.append(outcome_event(self._out.name, row, at_ms=books.now_ms))
        else:
            self._out.drop(turn, books, about.arrival, why=f"reject code {code} on nothing that waits")


def _same_transaction(arrival: Arrival, row: JournalRow) -> bool:
    """Whether an answer echoes what was asked; what it leaves out it does not contradict."""
    message = arrival.message
    pairs = ((4, f"{row.amount_minor:012d}"), (37, row.rrn), (49, row.currency))
    echoed = all(message.text(number, value) == value for number, value in pairs)
    return echoed and _same_card(arrival, row)


def _same_card(arrival: Arrival, row: JournalRow) -> bool:
    """Whether it is about this card, or about this token and the card that it stands for."""
    if not arrival.token:
        return arrival.card in ("", row.account or row.card)
    return arrival.card == row.card and (not row.account or arrival.account in ("", row.account))


def _pin_move(about: Facts, books: NetworkBooks) -> PINMove | None:
    """Return how the PIN block of a new request goes to its issuer; None when there is none, or it need not."""
    arrival, route = about.arrival, about.route
    needless = not arrival.has_pin or arrival.fault or not about.authentic or about.away or about.tsp
    if needless or not route or arrival.kind not in ASKED or books.row(arrival.bucket, arrival.name) is not None:
        return None
    return PINMove(arrival.message, arrival.pan, arrival.station, route.station)
