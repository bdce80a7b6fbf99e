"""A stretch of transactions: terminals' requests and the network's answers, worked together under the same keys.

Each table is read once and each kind of proof asked for once; then they are decided one after the other on the loaded rows, so
a request and its repeat, a payment and its void, an answer and the reversal that overtakes it see each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from shanfu.acquirer import interbank
from shanfu.acquirer.answers import bare, of_note, of_reversal
from shanfu.acquirer.books import AcquirerBooks
from shanfu.acquirer.config import AcquirerConfig
from shanfu.acquirer.decide import Facts, decide, repeated, reversal_outcome
from shanfu.acquirer.events import decision_event, trace_of, trace_of_request, verdict_event
from shanfu.acquirer.forward import Forward, ForwardKind, ForwardState
from shanfu.acquirer.journal import JournalRow, PaymentKind
from shanfu.acquirer.management import Management
from shanfu.acquirer.outtray import OutTray, answer_terminal
from shanfu.acquirer.prove import Prover
from shanfu.acquirer.reasons import Reason
from shanfu.acquirer.record import accept, acknowledge, expire, forward, note, refuse, reverse, sent, settle
from shanfu.acquirer.requests import Request
from shanfu.events import Event
from shanfu.hosts import State, interbank_trial, name_of, right_macs
from shanfu.iso8583 import Message, ReversalReason, Value, response_mti
from shanfu.links import Turn

__all__ = ["Answer", "Stretch"]

REVERSAL_ANSWER: Final = "0430"


@dataclass(slots=True)
class Answer:
    """An answer from the network; `name` is the interbank name of what it answers."""

    message: Message = field(repr=False)
    bucket: int
    name: str
    mac_right: bool = False

    @classmethod
    def of(cls, message: Message, bucket: int) -> "Answer":
        """Name an answer by its fields; zeros that pad an institution's identifier do not count."""
        return cls(message, bucket, name_of(message))


class Stretch:
    """Works transactions; what it says leaves through an `OutTray`."""

    def __init__(self, config: AcquirerConfig, prover: Prover, management: Management, *, watch: bool) -> None:
        self._config, self._prover, self._management, self._watch = config, prover, management, watch

    def work(self, items: Sequence[Request | Answer], books: AcquirerBooks, turn: Turn) -> None:
        """Load, prove, decide and record each, answer all."""
        if not items:
            return
        requests = [item for item in items if isinstance(item, Request)]
        answers = [item for item in items if isinstance(item, Answer)]
        terminals = {request.terminal for request in requests} | {answer.message.text(41) for answer in answers}
        books.load_terminals(terminals)
        self._prover.load_keys(books, terminals)
        books.load_journal(requests, [(answer.bucket, answer.name) for answer in answers])
        facts = self._prove(requests, books)
        self._prove_answers(answers, books)
        tray = OutTray(self._config, self._prover, books, watch=self._watch)
        leaving: list[tuple[JournalRow, str]] = []
        enclosed: list[tuple[Forward, dict[int, Value]]] = []
        in_order = iter(facts)
        for item in items:
            if isinstance(item, Answer):
                self._take(item, books, tray, turn=turn)
                continue
            row = carried = None
            if item.reversal:
                carried = self._take_back(next(in_order), books, tray, turn=turn)
            elif item.kind is PaymentKind.SCRIPT:
                carried = self._take_note(next(in_order), books, tray, turn=turn)
            else:
                row, carried = self._judge(next(in_order), books, tray, turn=turn)
            if row is not None:
                leaving.append((row, item.pan))
            if carried is not None and item.enclosed:
                enclosed.append((carried, item.enclosed))
        if leaving:
            self._prover.keep_pans(leaving, books)
        if enclosed:
            self._prover.keep_enclosed(enclosed, books)
        tray.empty(turn)

    # -- proofs --------------------------------------------------------------------------------------------------------

    def _prove(self, requests: Sequence[Request], books: AcquirerBooks) -> list[Facts]:
        if not requests:
            return []
        network_up = self._management.network_up(books)
        self._prover.lookups(requests, books)
        right = self._prover.right_macs(requests, books)
        facts = [
            self._facts(request, books, mac_right=good, network_up=network_up)
            for request, good in zip(requests, right, strict=True)
        ]
        with_pin = [fact for fact in facts if fact.mac_right and fact.request.pin_format and not fact.request.fault]
        if with_pin:
            blocks = self._prover.translated([fact.request for fact in with_pin], books)
            for fact, block in zip(with_pin, blocks, strict=True):
                fact.pin = block
        return facts

    def _facts(self, request: Request, books: AcquirerBooks, *, mac_right: bool, network_up: bool) -> Facts:
        terminal = books.terminal(request.terminal)
        merchant = books.merchant(terminal.merchant) if terminal else None
        return Facts(request, terminal, merchant, mac_right=mac_right, network_up=network_up)

    def _prove_answers(self, answers: Sequence[Answer], books: AcquirerBooks) -> None:
        if not answers:
            return
        candidates = books.keys.candidates(self._config.mak)
        trials = [interbank_trial(answer.message, candidates) for answer in answers]
        for answer, good in zip(answers, right_macs(self._prover.hsm, trials), strict=True):
            answer.mac_right = good

    # -- requests ------------------------------------------------------------------------------------------------------

    def _judge(
        self, facts: Facts, books: AcquirerBooks, tray: OutTray, *, turn: Turn
    ) -> tuple[JournalRow | None, Forward | None]:
        """Answer a request, or forward it; return its row if its card is to be named again, and the item that carries it."""
        request = facts.request
        bucket, trace = books.bucket(request.terminal), self._trace(request, books)
        before = books.row_of_terminal(bucket, request.terminal_name)
        if before is not None:
            self._repeat(facts, before, tray, turn=turn)
            return None, None
        facts.original = books.row_of_terminal(bucket, request.original)
        decision = decide(facts)
        if self._watch:
            turn.events.append(decision_event(self._config.name, facts, decision, at_ms=books.now_ms, trace=trace))
        institution = self._config.institution
        if decision.reason is None and request.kind is PaymentKind.OFFLINE:
            row, item = accept(books, request, institution=institution)
            answer_terminal(tray, row, acquirer=institution)
            return row, item
        if decision.reason is None:
            row = forward(books, request, institution=institution, deadline_ms=request.deadline_ms)
            assert facts.merchant
            message = interbank.request_of(row, request, facts.merchant, pin=facts.pin, original=facts.original)
            tray.to_network(message, trace=trace, also=row.name)
            return row, None
        # Its name is spent: whoever repeats it gets the same refusal. The money of an offline approval has moved, so it may
        # come again when what stands against it has been put right.
        if facts.mac_right and request.terminal_name and request.kind is not PaymentKind.OFFLINE:
            row = refuse(books, request, decision.reason, institution=institution)
            answer_terminal(tray, row, acquirer=institution)
            return None, None
        reply = bare(request.message, decision.reason.code, acquirer=institution, moment=books.moment)
        tray.to_terminal(request.station, request.frame.answer(reply), mac=False, trace=trace)
        return None, None

    def _repeat(self, facts: Facts, row: JournalRow, tray: OutTray, *, turn: Turn) -> None:
        """Give the stored answer, refuse a name with other contents, or leave a request that waits alone."""
        request = facts.request
        refusal, trace = repeated(request, row), trace_of(row)
        if refusal is None and row.state == State.WAITING:
            if facts.mac_right:  # its terminal may have called again: the answer goes where it listens now
                row.station, row.tpdu, row.header = request.station, request.frame.tpdu, request.frame.header
            self._tell(turn, f"repeat of {row.terminal_name}: dropped, it still waits", trace=trace)
            return
        if refusal is None:
            self._tell(turn, f"repeat of {row.terminal_name}: answered {row.response_code} again", trace=trace)
            answer_terminal(tray, row, acquirer=self._config.institution, to=request)
            return
        self._tell(turn, f"repeat of {row.terminal_name}: refused {refusal.code}", refusal, trace=trace)
        reply = bare(request.message, refusal.code, acquirer=self._config.institution, moment=tray.moment)
        tray.to_terminal(request.station, request.frame.answer(reply), mac=False, trace=trace)

    def _take_back(self, facts: Facts, books: AcquirerBooks, tray: OutTray, *, turn: Turn) -> Forward | None:
        """Accept a reversal by commit, or refuse one that is not its sender's; return what is to go on."""
        request, decision = facts.request, decide(facts)
        trace = trace_of_request(request, books.moment.date)
        if self._watch:
            turn.events.append(decision_event(self._config.name, facts, decision, at_ms=books.now_ms, trace=trace))
        institution, reason = self._config.institution, decision.reason
        row, item = None, None
        if reason is None:
            before = books.row_of_terminal(books.bucket(request.terminal), request.terminal_name)
            reason = reversal_outcome(request, before)
            row, item = reverse(books, request, reason, institution=institution)
            self._tell(turn, f"reversal: {reason.code}, {reason.en}", reason, trace=trace)
        reply = of_reversal(request.message, row, reason.code, acquirer=institution, moment=books.moment)
        tray.to_terminal(request.station, request.frame.answer(reply), mac=reason.approved, trace=trace)
        return item

    def _take_note(self, facts: Facts, books: AcquirerBooks, tray: OutTray, *, turn: Turn) -> Forward | None:
        """Accept by commit what became of scripts, or say why it is nobody's; return what is to go on."""
        request, bucket = facts.request, books.bucket(facts.request.terminal)
        facts.before = books.row_of_terminal(bucket, request.terminal_name)
        facts.original = books.row_of_terminal(bucket, request.original)
        facts.noted = item = books.noted(bucket, request.terminal_name)
        decision, trace = decide(facts), trace_of_request(request, books.moment.date)
        if self._watch:
            turn.events.append(decision_event(self._config.name, facts, decision, at_ms=books.now_ms, trace=trace))
        institution, original = self._config.institution, facts.original
        if decision.reason is not None or original is None:
            code = (decision.reason or Reason.ORIGINAL_UNKNOWN).code
            reply = bare(request.message, code, acquirer=institution, moment=books.moment)
            tray.to_terminal(request.station, request.frame.answer(reply), mac=False, trace=trace)
            return None
        if item is None:
            item = note(books, request, original)
            self._tell_at_once(facts, item, original, books=books, tray=tray)
        reply = of_note(request.message, original, acquirer=institution, noted_ms=item.queued_ms)
        tray.to_terminal(request.station, request.frame.answer(reply), mac=True, trace=trace)
        return None if facts.noted else item

    def _tell_at_once(self, facts: Facts, item: Forward, original: JournalRow, *, books: AcquirerBooks, tray: OutTray) -> None:
        """Let a script result be with its issuer before the card's next payment, at which he would send the script again."""
        request, merchant = facts.request, facts.merchant
        if not facts.network_up or merchant is None:
            return
        message = interbank.script_result(item, original, merchant, pan=request.pan, enclosed=request.enclosed or {})
        tray.to_network(message, trace=trace_of(original) if self._watch else "", also=item.name)
        sent(books, item)

    # -- answers -------------------------------------------------------------------------------------------------------

    def _take(self, answer: Answer, books: AcquirerBooks, tray: OutTray, *, turn: Turn) -> None:
        """Take the network's answer to a request that waits, or to an item of store-and-forward."""
        item = books.item(answer.bucket, answer.name)
        if item is not None:
            if item.state != ForwardState.QUEUED or not answer.mac_right:
                why = "with a wrong MAC" if not answer.mac_right else "once more"
                self._tell(turn, f"dropped {answer.message.mti} to {answer.name}: it came {why}", trace=answer.name)
                return
            acknowledge(books, item, answer.message)
            self._tell(turn, f"{item.kind} answered {item.response_code}: {item.state.lower()}", trace=answer.name)
            if item.kind == ForwardKind.ADVICE and item.state != ForwardState.QUEUED:
                refund = books.row(item.bucket, item.original)
                assert refund
                answer_terminal(tray, refund, acquirer=self._config.institution)  # it may be asking again just now
            return
        row = books.row(answer.bucket, answer.name)
        if row is None or row.state != State.WAITING or answer.message.mti != response_mti(row.mti):
            what = "nothing waits for it" if row is None else f"it is late, {row.state}"
            self._tell(turn, f"dropped {answer.message.mti} to {answer.name}: {what}", trace=answer.name)
            return
        fault = _untrusted(answer, row)
        if fault is not None and row.kind == PaymentKind.REFUND:
            self._tell(turn, f"dropped the answer to a refund: {fault.name}", Reason.NO_VALID_ANSWER, trace=answer.name)
            return  # an advice is not reversed; it goes again when its time is up
        if fault is not None:
            expire(books, row, Reason.NO_VALID_ANSWER, because=fault.value)
        else:
            settle(books, row, answer.message)
        if self._watch:
            turn.events.append(verdict_event(self._config.name, row, at_ms=books.now_ms))
        answer_terminal(tray, row, acquirer=self._config.institution)

    def _trace(self, request: Request, books: AcquirerBooks) -> str:
        """Name a request for those who watch; nobody else needs its name."""
        return trace_of_request(request, books.moment.date) if self._watch else ""

    def _tell(self, turn: Turn, title: str, reason: Reason | None = None, *, trace: str = "") -> None:
        refused = reason.name if reason and not reason.approved else ""
        turn.events.append(Event(source=self._config.name, title=title, reason=refused, trace=trace))


def _untrusted(answer: Answer, row: JournalRow) -> ReversalReason | None:
    """Say why an answer does not count: its MAC is wrong, or it speaks of another amount."""
    if not answer.mac_right:
        return ReversalReason.BAD_MAC
    amount = answer.message.text(4, "")
    return ReversalReason.NOT_PARSEABLE if amount and int(amount) != row.amount_minor else None
