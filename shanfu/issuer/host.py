"""The issuing bank's host: batches in, answers out, through load → prove → decide → record.

The network asks for payments (interbank messages under the link's MAC); the token service asks about customers and cards (JSON
calls: the desk, with `counter` and `idv` behind it). Both are worked in the order of arrival.

A batch is worked in stretches: network management changes keys, so what comes before a key reset is proved under the old ones
and what comes after under the new. Within a stretch each table is read once and each kind of proof asked for once; decisions
are then made one after the other on the loaded rows, so two payments of one account, or one request twice, see each other.

Sources: the shape of hosts in `shanfu.links`, the order of checks in `decide`, the wires page for what is answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shanfu.errors import DecodeError
from shanfu.events import Event
from shanfu.hosts import Desk, MemberManagement, interbank_event, rejected, seal_interbank
from shanfu.hsm import HSM, KeyBlock, Proof
from shanfu.iso8583 import InterbankFrame, decode_interbank, encode_interbank, is_request
from shanfu.issuer.accounts import Account, AccountKind, account_name
from shanfu.issuer.answers import answer, chip_answer, is_maced
from shanfu.issuer.books import DESK, IssuerBooks
from shanfu.issuer.cards import BY_CARD
from shanfu.issuer.checks import Facts
from shanfu.issuer.clearing import clear_closed_days, release_lapsed
from shanfu.issuer.config import IssuerConfig
from shanfu.issuer.counter import Counter
from shanfu.issuer.decide import decide, repeated
from shanfu.issuer.events import decision_event
from shanfu.issuer.idv import IDV
from shanfu.issuer.journal import JOURNAL, JournalRow
from shanfu.issuer.prove import Errand, Prover
from shanfu.issuer.reasons import Reason
from shanfu.issuer.record import record
from shanfu.issuer.requests import Kind, Request, read
from shanfu.issuer.scripts import KINDS, ScriptState, named_by, next_script, sent
from shanfu.issuer.sms import Box, Messenger
from shanfu.issuer.staff import Staff
from shanfu.links import Inbound, Outbound, Turn
from shanfu.links import Kind as Arrival
from shanfu.messages import Call, Problem, Reply, is_json_frame
from shanfu.store import Sequencer, Transaction

__all__ = ["Issuer"]


Calls = list[tuple[Inbound, Call | Reply]]


@dataclass(slots=True)
class Case:
    """One request on its way to an answer."""

    request: Request
    reason: Reason | None = None
    row: JournalRow | None = None
    facts: Facts | None = None
    proof: Proof | None = None
    earns_arpc: bool = False
    script: bytes = b""  # 71 or 72, what the card is to run
    bucket: int = 0


class Issuer:
    """The bank that issued the card. With `watch` it tells every frame and every decision as events."""

    def __init__(self, config: IssuerConfig, hsm: HSM, watch: bool = False, *, messenger: Messenger | None = None) -> None:
        config.check()
        self.name, self._config, self._watch = config.name, config, watch
        self._hsm, self._prover = hsm, Prover(hsm, config)
        self._management = MemberManagement[IssuerBooks](config, hsm)
        self._numbers = Sequencer(JOURNAL.table)
        texts = messenger or Box(hsm)
        self._idv, counter = IDV(config, hsm, texts, watch=watch), Counter(config, hsm, texts, watch=watch)
        staff = Staff(config, hsm)
        self._desk = Desk[IssuerBooks](
            "issuer", DESK, served={**counter.served(), **self._idv.served(), **staff.served()}, answered=counter.answered(),
            timeout_ms=config.ask_timeout_ms,
        )  # fmt: skip
        self._mak: KeyBlock | None = None  # the last one seen, for refusals that cannot look into the books

    # -- the three questions a host is asked ---------------------------------------------------------------------------

    def books(self, tx: Transaction, *, now_ms: int) -> IssuerBooks:
        """Open the books for one turn."""
        return IssuerBooks(tx, now_ms=now_ms, numbers=self._numbers)

    def handle(self, batch: Sequence[Inbound], books: IssuerBooks) -> Turn:
        """Work a batch in the order of arrival."""
        turn, stretch, calls = Turn(), list[Request](), Calls()
        for inbound in batch:
            if inbound.station != self._config.network and inbound.kind is Arrival.FRAME and is_json_frame(inbound.frame):
                self._work(stretch, books, turn)
                stretch = []
                self._take(inbound, calls, books, turn=turn)
                continue
            if calls:
                self._desk.work(calls, books, turn)
                calls = Calls()
            frame = self._open(inbound, books, turn)
            if frame is not None and is_maced(frame.message.mti) and is_request(frame.message.mti):
                stretch.append(self._read(inbound, frame, books))
                continue
            self._work(stretch, books, turn)
            stretch = []
            if inbound.kind is not Arrival.FRAME:
                self._link_changed(inbound, books, turn)
            elif frame is not None:
                self._manage(frame, books, turn)
        self._work(stretch, books, turn)
        if calls:
            self._desk.work(calls, books, turn)
        return turn

    def due(self, books: IssuerBooks) -> Turn:
        """Ask again for an unanswered sign-on, clear closed days, release lapsed holds, send notices; bounded in rows."""
        turn = Turn()
        for frame in self._management.unanswered(books):
            self._send(turn, books, frame, encode_interbank(frame))
        if cleared := clear_closed_days(books):
            self._tell(turn, books, f"cleared {cleared} held payments of closed days")
        if lapsed := release_lapsed(books, days=self._config.policy.hold_days):
            self._tell(turn, books, f"released {lapsed} holds that lapsed")
        self._idv.due(books)
        self._desk.due(books, turn, caller=self._config.station)
        return turn

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        """Answer one message that cannot be worked: 30 when it does not parse, else 96; nothing is stored."""
        turn = Turn()
        what = f"message not worked: {type(fault).__name__}"
        turn.events.append(Event(source=self.name, title=what, reason=Reason.MALFUNCTION.name, at_ms=now_ms))
        if inbound.kind is not Arrival.FRAME:
            return turn
        if inbound.station != self._config.network:
            turn.outbound.extend(self._desk.refuse(inbound, fault) if is_json_frame(inbound.frame) else ())
            return turn
        try:
            frame = decode_interbank(inbound.frame)
        except DecodeError:
            self._reject(inbound, turn)
            return turn
        if frame.header.rejected or not is_maced(frame.message.mti) or not is_request(frame.message.mti):
            return turn
        reply = answer(frame, Reason.FORMAT if isinstance(fault, DecodeError) else Reason.MALFUNCTION)
        turn.outbound.append(Outbound(inbound.station, seal_interbank(self._hsm, [(reply, self._mak)])[0]))
        return turn

    # -- arrivals ------------------------------------------------------------------------------------------------------

    def _open(self, inbound: Inbound, books: IssuerBooks, turn: Turn) -> InterbankFrame | None:
        """Decode a frame from the network; what is not one is told, and goes back rejected where that is possible."""
        if inbound.kind is not Arrival.FRAME:
            return None
        if inbound.station != self._config.network:
            self._tell(turn, books, f"dropped a frame from {inbound.station}: not our network")
            return None
        try:
            frame = decode_interbank(inbound.frame)
        except DecodeError as fault:
            self._tell(turn, books, f"rejected a frame that does not parse: {fault}", Reason.FORMAT)
            self._reject(inbound, turn)
            return None
        if frame.header.rejected:
            self._tell(turn, books, f"our message came back with reject code {frame.header.reject_code}")
            return None
        if self._watch:
            event = interbank_event(inbound.frame, frame.message, source=inbound.station, target=self.name, at_ms=books.now_ms)
            turn.events.append(event)
        return frame

    def _take(self, inbound: Inbound, calls: Calls, books: IssuerBooks, *, turn: Turn) -> None:
        """Read a call, or a reply to ours."""
        message = self._desk.read(inbound)
        if isinstance(message, Problem):
            self._tell(turn, books, f"dropped a frame from {inbound.station}: {message.detail}")
        else:
            calls.append((inbound, message))

    def _reject(self, inbound: Inbound, turn: Turn) -> None:
        if (back := rejected(inbound.frame)) is not None:
            turn.outbound.append(Outbound(inbound.station, back))

    def _read(self, inbound: Inbound, frame: InterbankFrame, books: IssuerBooks) -> Request:
        request = read(frame, now_ms=books.now_ms)
        late = inbound.arrived_ms and books.now_ms - inbound.arrived_ms > self._config.patience_ms
        if late and request.kind in (Kind.PURCHASE, Kind.BALANCE, Kind.VOID):
            request.late = True
        return request

    def _link_changed(self, inbound: Inbound, books: IssuerBooks, turn: Turn) -> None:
        if inbound.station != self._config.network:
            return
        if inbound.kind is Arrival.DOWN:
            self._management.link_down(books)
            return
        ask = self._management.link_up(books)
        self._send(turn, books, ask, encode_interbank(ask))

    def _manage(self, frame: InterbankFrame, books: IssuerBooks, turn: Turn) -> None:
        message = frame.message
        if message.mti[:2] == "08":
            words, reply = self._management.heard(frame, books)
            if words:
                self._tell(turn, books, words)
            if reply is not None:
                self._send(turn, books, decode_interbank(reply) if self._watch else frame, reply)
        elif is_request(message.mti):
            refusal = answer(frame, Reason.UNKNOWN_KIND)
            self._send(turn, books, refusal, encode_interbank(refusal))
        else:
            self._tell(turn, books, f"dropped {message.mti}: it answers nothing we have asked")

    # -- requests ------------------------------------------------------------------------------------------------------

    def _work(self, stretch: list[Request], books: IssuerBooks, turn: Turn) -> None:
        """Answer a stretch of requests: prove, load, prove more, decide and record each, answer all."""
        if not stretch:
            return
        self._prover.load_keys(books.keys)
        if books.keys.has(self._config.mak):
            self._mak = books.keys.current(self._config.mak)
        cases = [Case(request) for request in stretch]
        good = self._authentic(cases, books)
        requests = [case.request for case in good]
        self._prover.lookups(requests, books.keys)
        books.load(requests, self._config.buckets)
        self._prove(good, books)
        for case in good:
            self._judge(case, books, turn)
        self._answer_cards(good, books, turn)
        self._answer_all(cases, books, turn)

    def _authentic(self, cases: list[Case], books: IssuerBooks) -> list[Case]:
        """Refuse what has a wrong MAC, no name, or has waited too long; return the rest."""
        verdicts = self._prover.right_macs([case.request.message for case in cases], books.keys)
        for case, right in zip(cases, verdicts, strict=True):
            if not right:
                case.reason = Reason.MAC_WRONG
            elif not case.request.name:
                case.reason = Reason.FORMAT
            elif case.request.late:
                case.reason = Reason.BUSY
        return [case for case in cases if case.reason is None]

    def _prove(self, cases: list[Case], books: IssuerBooks) -> None:
        """Ask for the proofs of all cryptograms at once, then of the PINs of those that were right, here or at the service."""
        claims, phones, swiped, seen = [], [], [], set[str]()
        for case in cases:
            request = case.request
            card = books.card(request)
            case.bucket = books.bucket(request, self._config.buckets)
            case.facts = Facts(request, self._config.policy, books.now_ms, card)
            is_repeat = request.name in seen or books.row(case.bucket, request.name) is not None
            seen.add(request.name)
            if card is None or request.fault or is_repeat:
                continue
            if request.chip:
                claims.append((case.facts, case, card))
            elif request.stripe:
                swiped.append((case.facts, card))
            elif request.token and request.token.verified and request.pin:
                phones.append((case.facts, card))
        if not claims and not phones and not swiped:
            return
        pairs = [(facts.request, card) for facts, _, card in claims]
        self._prover.load_keys(books.keys, [*pairs, *((facts.request, card) for facts, card in (*phones, *swiped))])
        for (facts, case, _), (known, proof) in zip(claims, self._prover.cryptograms(pairs, books.keys), strict=True):
            facts.key_known, facts.proved, case.proof = known, proof is not None, proof
        if swiped:
            stripes = self._prover.stripes([(facts.request, card) for facts, card in swiped], books.keys)
            for (facts, _), (known, right) in zip(swiped, stripes, strict=True):
                facts.key_known, facts.proved = known, right
        with_pin = phones + [(facts, card) for facts, case, card in claims if case.proof and facts.request.pin]
        with_pin += [(facts, card) for facts, card in swiped if facts.proved and facts.request.pin]
        if with_pin:
            verdicts = self._prover.pins([(facts.request, card) for facts, card in with_pin], books.keys)
            for (facts, _), verdict in zip(with_pin, verdicts, strict=True):
                facts.pin = verdict

    def _judge(self, case: Case, books: IssuerBooks, turn: Turn) -> None:
        """Give the stored answer to a repeat, or decide and record."""
        request, facts = case.request, case.facts
        assert facts
        before = books.row(case.bucket, request.name)
        if before is not None:
            refusal = repeated(request, before)
            case.reason, case.row = (refusal, None) if refusal else (Reason[before.reason], before)
            self._tell(turn, books, f"repeat of {request.name}: answered {case.reason.code}", refusal)
            return
        facts.original = books.row(case.bucket, request.original)
        if facts.original is not None and facts.original.card != request.card:
            facts.original_card = books.cards.find(BY_CARD, facts.original.card)
        facts.account = _account(facts, books)
        if request.kind is Kind.OFFLINE:
            facts.seen = books.certificate(request)
        elif request.script_results:
            facts.scripts = named_by(request.script_results, books.orders(request))
        decision = decide(facts)
        if self._watch:
            turn.events.append(decision_event(self.name, facts, decision, at_ms=books.now_ms))
        case.row = record(books, facts, decision, issuer=self._config.institution, bucket=case.bucket)
        case.reason, case.earns_arpc = decision.reason, decision.cryptogram_right

    def _answer_cards(self, cases: list[Case], books: IssuerBooks, turn: Turn) -> None:
        """Make the answers to right cryptograms: each proof buys one, for approvals and refusals alike.

        Scripts come first, since a proof is spent by its ARPC.
        """
        earned = [case for case in cases if case.earns_arpc and case.proof and case.row]
        if inserted := [case for case in earned if case.request.contact]:
            self._give_orders(inserted, books, turn)
        jobs = [(case.proof, case.row.response_code.encode()) for case in earned if case.proof and case.row]
        if not jobs:
            return
        for case, arpc in zip(earned, self._hsm.make_arpcs(jobs), strict=True):
            assert case.row
            assert case.request.chip
            case.row.chip = chip_answer(arpc, case.row.response_code, case.request.chip.atc)

    def _give_orders(self, cases: list[Case], books: IssuerBooks, turn: Turn) -> None:
        """Put what the bank has ordered for these cards into the answers, one order each."""
        due = []
        for case in cases:
            order, card = next_script(books.orders(case.request)), books.card(case.request)
            if order is not None and card is not None and case.proof is not None:
                due.append((case, Errand(case.request, card, order, case.proof)))
        if not due:
            return
        made = self._prover.scripts([errand for _, errand in due], books.keys)
        for (case, errand), (ready, script) in zip(due, made, strict=True):
            order, what = errand.order, f"script {errand.order.number}, {KINDS[errand.order.kind].en}"
            if script is not None:
                case.script = bytes(script)
                sent(order, case.request.name, books.now_ms)
                self._tell(turn, books, f"{what}: sent")
            elif ready:
                order.end(ScriptState.FAILED, books.now_ms)
                self._tell(turn, books, f"{what}: its new PIN cannot be read", Reason.PIN_UNREADABLE)
            else:
                self._tell(turn, books, f"{what}: waits on, a key for scripts is missing", Reason.KEY_UNKNOWN)

    def _answer_all(self, cases: list[Case], books: IssuerBooks, turn: Turn) -> None:
        replies = []
        for case in cases:
            assert case.reason
            row, token = None if case.request.kind in _WITHOUT_ROW else case.row, case.request.token
            told = token.told if token else b""
            replies.append(answer(case.request.frame, case.reason, row, told=told, script=case.script))
        frames = seal_interbank(self._hsm, [(reply, self._mak) for reply in replies])  # before a key reset: without MACs
        for reply, sealed in zip(replies, frames, strict=True):
            self._send(turn, books, reply, sealed)

    # -- telling -------------------------------------------------------------------------------------------------------

    def _send(self, turn: Turn, books: IssuerBooks, reply: InterbankFrame, frame: bytes) -> None:
        turn.outbound.append(Outbound(self._config.network, frame))
        if self._watch:
            event = interbank_event(frame, reply.message, source=self.name, target=self._config.network, at_ms=books.now_ms)
            turn.events.append(event)

    def _tell(self, turn: Turn, books: IssuerBooks, title: str, reason: Reason | None = None) -> None:
        turn.events.append(Event(source=self.name, title=title, reason=reason.name if reason else "", at_ms=books.now_ms))


_WITHOUT_ROW: Final = frozenset((Kind.REVERSAL, Kind.SCRIPT_RESULT))


def _account(facts: Facts, books: IssuerBooks) -> Account | None:
    """The account that the request is about: its original's, else the card's in its currency, or its e-cash if that was spent.

    What was paid with e-cash is refunded to the card's other account: nobody puts it on the card again. A reversal undoes
    the payment where it was booked, and leaves what a refusal had left.
    """
    request = facts.request
    if request.kind is Kind.OFFLINE and request.from_cash:
        return books.cash(request)
    if facts.original is not None and facts.original.account:
        found = books.account(facts.original.bucket, facts.original.account)
        if request.kind is Kind.REVERSAL or found is None or found.kind != AccountKind.ECASH:
            return found
    if facts.card is None:
        return None
    return books.account(facts.card.bucket, account_name(facts.card.account_group, facts.request.currency))
