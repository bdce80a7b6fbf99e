"""What the network asks about payments of tokens: stretches of interbank requests, proved, decided in order, answered.

`Payments.work` gets the requests (0200, 0220, 0420 and their repeats) of one stretch, already parsed. MACs are proved first,
then everything the stretch needs is loaded, each table once; the cryptograms are proved together; decisions are made one after
the other on the loaded rows, so two payments of one token, or one request twice, see each other; at the end the PANs of the
resolved are opened together, and all answers leave under the MAC key now in force.

A repeated name is answered from the history before any other check, with the PAN as it is now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shanfu.errors import DecodeError
from shanfu.events import Event
from shanfu.hosts import interbank_event, seal_interbank, written
from shanfu.hsm import HSM, KeyBlock
from shanfu.iso8583 import InterbankFrame, TokenBlock
from shanfu.links import Inbound, Outbound, Turn
from shanfu.store import Sequencer
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.changes import LifeCycle
from shanfu.tsp.checks import Verdict
from shanfu.tsp.config import TSPConfig
from shanfu.tsp.history import BY_NAME, BY_RRN, HISTORY, HistoryRow, HistoryState, view
from shanfu.tsp.interbank import (
    ASKED,
    FROM_HISTORY,
    SCENARIO,
    Account,
    Kind,
    Request,
    acknowledged,
    read,
    refused,
    resolved,
)
from shanfu.tsp.key_sets import BY_COUNTER, BY_INDEX, OF_ANY_TOKEN
from shanfu.tsp.payment_events import RISKS, decision_event, risk_event
from shanfu.tsp.prove import Claim, Prover
from shanfu.tsp.record import enter, note_outcome, reverse
from shanfu.tsp.requestors import BY_TRID, caller_of
from shanfu.tsp.resolve import Facts, from_history, resolve
from shanfu.tsp.vault import BY_CARD, BY_NUMBER, BY_TOKEN, CardRow, TokenRow

__all__ = ["Payments"]

PAYMENT: Final = "PAYMENT"  # the event of a notice that is none of a token's life


@dataclass(slots=True)
class Case:
    """One request on its way to an answer: its facts, and then its verdict; `row` when a payment has one."""

    request: Request
    facts: Facts
    verdict: Verdict | None = None
    row: HistoryRow | None = None
    account: Account | None = None


class Payments:
    """Resolves tokens for the network."""

    def __init__(self, config: TSPConfig, hsm: HSM, life: LifeCycle, *, watch: bool = False) -> None:
        self._config, self._hsm, self._life, self._watch = config, hsm, life, watch
        self._prover, self._numbers = Prover(hsm, config), Sequencer(HISTORY.table)
        self._mak: KeyBlock | None = None  # the last one seen, for refusals that cannot look into the books

    def work(self, stretch: Sequence[tuple[Inbound, InterbankFrame]], books: TSPBooks, turn: Turn) -> None:
        """Answer a stretch of requests."""
        self._prover.load_keys(books.keys)
        if self._config.network not in self._config.inside and books.keys.has(self._config.mak):
            self._mak = books.keys.current(self._config.mak)
        cases = [self._read(inbound, frame, books) for inbound, frame in stretch]
        good = self._authentic(cases, books)
        if good:
            self._load(good, books)
            self._prove(good, books)
            for case in good:
                self._judge(case, books, turn)
            self._open(good, books)
        self._answer(cases, books, turn)

    def refusal(self, frame: InterbankFrame, fault: Exception) -> bytes:
        """Return the answer to a request that cannot be worked: 30 when it makes no sense, else 96."""
        verdict = Verdict.FORMAT_ERROR if isinstance(fault, DecodeError) else Verdict.MALFUNCTION
        return seal_interbank(self._hsm, [(refused(frame, verdict), self._mak)])[0]

    # -- before the decision -------------------------------------------------------------------------------------------

    def _read(self, inbound: Inbound, frame: InterbankFrame, books: TSPBooks) -> Case:
        request = read(frame, now_ms=books.now_ms)
        late = inbound.arrived_ms and books.now_ms - inbound.arrived_ms > self._config.patience_ms
        request.late = bool(late) and frame.message.mti[:3] == "020"  # advices and reversals are worked however late
        return Case(request, Facts(request, self._config, books.now_ms))

    def _authentic(self, cases: list[Case], books: TSPBooks) -> list[Case]:
        """Refuse what has a wrong MAC, no name, or has waited too long; return the rest, each with its number's hash."""
        verdicts = self._prover.right_macs([case.request.message for case in cases], books.keys)
        for case, right in zip(cases, verdicts, strict=True):
            if not right:
                case.verdict = Verdict.MAC_WRONG
            elif not case.request.name:
                case.verdict = Verdict.FORMAT_ERROR
            elif case.request.late:
                case.verdict = Verdict.BUSY
            elif case.request.kind is Kind.UNKNOWN:
                case.verdict = Verdict.UNKNOWN_KIND
        good = [case for case in cases if case.verdict is None]
        if good:
            self._prover.lookups([case.request for case in good], books.keys)
        return good

    def _load(self, cases: list[Case], books: TSPBooks) -> None:
        """Fetch history, tokens and all that hangs on them, each table once."""
        requests = [case.request for case in cases]
        names = [request.name for request in requests if request.kind in ASKED or request.kind in FROM_HISTORY]
        ended = (name for request in requests for name, _ in request.outcomes)
        rows = books.history.load(BY_NAME, [*names, *(request.original for request in requests if request.original), *ended])
        live = [case for case in cases if case.request.kind in ASKED]
        late = [case.request for case in cases if case.request.kind in FROM_HISTORY]
        if not live and not late:
            return  # outcomes and reversals look at the history alone
        rows += self._by_reference(late, books)
        tokens = books.tokens.load(BY_NUMBER, [case.request.number for case in live])
        tokens += books.tokens.load(BY_TOKEN, [row.token for row in rows if row.token]) if late else []
        books.cards.load(BY_CARD, [(token.issuer, token.card) for token in tokens])
        if live:
            books.requestors.load(BY_TRID, [token.trid for token in tokens])
            books.counters.load(BY_COUNTER, [(token.bucket, token.token) for token in tokens])
            self._load_keys(live, books)

    def _by_reference(self, requests: list[Request], books: TSPBooks) -> list[HistoryRow]:
        """Fetch originals that are not found by name, by DE37 and the original's DE7."""
        lost = [
            (request.rrn, request.original_sent)
            for request in requests
            if request.original and books.history.find(BY_NAME, request.original) is None
        ]
        return books.history.load(BY_RRN, lost) if lost else []

    def _load_keys(self, cases: list[Case], books: TSPBooks) -> None:
        """Fetch the key sets that the phones name, and the master keys."""
        pairs, named = [], []
        for case in cases:
            token, chip = books.tokens.find(BY_NUMBER, case.request.number), case.request.chip
            if token is None:
                continue
            pairs.append((case.request, token))
            if chip is not None and chip.index:
                named.append((chip.index, token.token))
        books.key_sets.load(BY_INDEX, named)
        if pairs:
            self._prover.load_keys(books.keys, pairs)

    def _prove(self, cases: list[Case], books: TSPBooks) -> None:
        """Fill in the facts of payments with the live token, and have their cryptograms proved at once."""
        claims, whose = [], []
        for case in cases:
            if case.request.kind not in ASKED or books.history.find(BY_NAME, case.request.name) is not None:
                continue
            claim = self._claim(case.facts, books)
            if claim is not None:
                claims.append(claim)
                whose.append(case.facts)
        for facts, right in zip(whose, self._prover.cryptograms(claims, books.keys), strict=True):
            facts.proved = right

    def _claim(self, facts: Facts, books: TSPBooks) -> Claim | None:
        """Look up what the payment is said to be made with; None when there is nothing to prove it by."""
        request, chip = facts.request, facts.request.chip
        token = facts.token = books.tokens.find(BY_NUMBER, request.number)
        if token is None:
            return None
        facts.card = books.cards.find(BY_CARD, (token.issuer, token.card))
        facts.requestor = books.requestors.find(BY_TRID, token.trid)
        facts.master_key = self._prover.has_master_key(request, token, books.keys)
        if chip is None:
            return None
        if chip.index:
            facts.keys = books.key_sets.find(BY_INDEX, (chip.index, token.token))
            facts.stranger = facts.keys is None and bool(books.key_sets.select(OF_ANY_TOKEN, (chip.index,)))
            if facts.keys is None:
                return None
        usable = facts.master_key and chip.dki == token.dki
        return Claim(request, chip, token, facts.keys) if usable else None

    # -- the decision --------------------------------------------------------------------------------------------------

    def _judge(self, case: Case, books: TSPBooks, turn: Turn) -> None:
        """Give the stored answer to a repeat; note an advice; or decide and record."""
        request, facts = case.request, case.facts
        if request.kind is Kind.OUTCOME:
            case.verdict = self._outcomes(request, books, turn)
            return
        facts.original = self._original(request, books)
        if request.kind is Kind.REVERSAL:
            case.verdict = self._reversal(facts, books)
            self._tell_reversal(case, books, turn)
            return
        before = books.history.find(BY_NAME, request.name)
        if before is not None:
            case.verdict, case.row = _repeated(request, before), before
            self._tell(turn, books, f"repeat of {request.name}: answered {case.verdict.code}", trace=request.name)
            return
        if request.kind in FROM_HISTORY:
            self._account_of(facts, books)
            resolution = from_history(facts)
        else:
            if token := facts.token:
                facts.counter = books.counters.find(BY_COUNTER, (token.bucket, token.token))
            resolution = resolve(facts)
        if self._watch:
            turn.events.append(decision_event(self._config.name, request, resolution, at_ms=books.now_ms))
        if resolution.verdict in RISKS:
            turn.events.append(risk_event(self._config.name, request, resolution, at_ms=books.now_ms))
        case.verdict = resolution.verdict
        case.row = enter(books, facts, resolution, seq=self._next_seq(books))
        if self._config.payment_notices and case.row.state == HistoryState.APPROVED:  # a refund, over as soon as it is told
            self._notify(case.row, books)

    def _outcomes(self, request: Request, books: TSPBooks, turn: Turn) -> Verdict:
        """Note how payments ended; of one that is not known nothing can be noted, and asking again would not help."""
        if request.fault:
            self._tell(
                turn,
                books,
                f"outcome advice: {request.fault} is malformed",
                trace=request.name,
                reason=Verdict.FORMAT_ERROR.name,
            )
            return Verdict.FORMAT_ERROR
        for name, end in request.outcomes:
            row = books.history.find(BY_NAME, name)
            verdict = Verdict.NOTED if row else Verdict.ORIGINAL_UNKNOWN
            if row is not None and note_outcome(row, end) and self._config.payment_notices:
                self._notify(row, books)
            if self._watch or row is None:
                self._tell(turn, books, f"outcome of {name}: {end.code}, {verdict.en}", trace=name, reason=verdict.name)
        return Verdict.NOTED

    def _reversal(self, facts: Facts, books: TSPBooks) -> Verdict:
        """Note a reversal; one that makes no sense is refused."""
        if facts.request.fault:
            return Verdict.FORMAT_ERROR
        row = facts.original
        before = row.state if row else ""
        verdict = reverse(books, facts, seq=self._next_seq(books))
        if self._config.payment_notices and row is not None and row.state != before:
            self._notify(row, books)
        return verdict

    def _notify(self, row: HistoryRow, books: TSPBooks) -> None:
        """Tell the requestor how a payment of its token ended, for a phone that wants to say so at once."""
        token = books.token(row.token) if row.token else None
        if token is not None:
            seen = view(row)
            self._life.tell(books, token, PAYMENT, reason=f"{seen.kind}_{seen.result}", to=caller_of(token.trid))

    def _original(self, request: Request, books: TSPBooks) -> HistoryRow | None:
        """The row that DE90 names; for what follows an original, else the one with its DE37 and DE7."""
        if not request.original:
            return None
        row = books.history.find(BY_NAME, request.original)
        if row is not None or request.kind not in FROM_HISTORY:
            return row
        rows = books.history.load(BY_RRN, [(request.rrn, request.original_sent)])
        mine = [one for one in rows if one.number == request.number and one.name != request.name]
        return mine[0] if len(mine) == 1 else None

    def _account_of(self, facts: Facts, books: TSPBooks) -> None:
        """Fill in the original's token and card, as they are now."""
        if facts.original is None or not facts.original.token:
            return
        facts.token = books.token(facts.original.token)
        self._card_of(facts, books)

    def _card_of(self, facts: Facts, books: TSPBooks) -> None:
        """Fill in the card behind the token."""
        if token := facts.token:
            facts.card = books.card(token.issuer, token.card)

    def _next_seq(self, books: TSPBooks) -> int:
        return self._numbers.next(books.tx, now_ms=books.now_ms)

    # -- answers -------------------------------------------------------------------------------------------------------

    def _open(self, cases: list[Case], books: TSPBooks) -> None:
        """Open the PANs behind the resolved tokens, and tie each to its token for the network."""
        found = list[tuple[Case, TokenRow, CardRow]]()
        for case in cases:
            if case.verdict is not Verdict.RESOLVED or case.row is None:
                continue
            if case.facts.token is None or case.facts.card is None:  # a repeat
                case.facts.token = books.token(case.row.token)
                self._card_of(case.facts, books)
            token, card = case.facts.token, case.facts.card
            assert token, "a resolved payment has its token"
            assert card, "a token has its card"
            found.append((case, token, card))
        records = self._prover.records([(case.request.token, card) for case, _, card in found], books.keys)
        for (case, token, card), (pan, record) in zip(found, records, strict=True):
            block = TokenBlock(
                verified="1", token=case.request.token, expiry=token.expiry, assurance=token.assurance, scenario=SCENARIO,
                trid=token.trid,
            )  # fmt: skip
            case.account = Account(pan=pan, expiry=card.expiry, par=token.par, block=block, record=record)

    def _answer(self, cases: list[Case], books: TSPBooks, turn: Turn) -> None:
        replies, network = [_reply(case) for case in cases], self._config.network
        if network in self._config.inside:
            answers = [Outbound(network, said=reply) for reply in replies]
        else:  # before a key reset: without MACs
            answers = [Outbound(network, raw) for raw in seal_interbank(self._hsm, [(reply, self._mak) for reply in replies])]
        turn.outbound += answers
        for reply, answer in zip(replies, answers, strict=True) if self._watch else ():
            told = written(answer), reply.message
            turn.events.append(interbank_event(*told, source=self._config.name, target=network, at_ms=books.now_ms))

    def _tell_reversal(self, case: Case, books: TSPBooks, turn: Turn) -> None:
        assert case.verdict
        if self._watch or not case.verdict.approved:
            title = f"{case.request.kind.value} of {case.request.original}: {case.verdict.en}"
            self._tell(turn, books, title, trace=case.request.name, reason=case.verdict.name)

    def _tell(self, turn: Turn, books: TSPBooks, title: str, *, trace: str, reason: str = "") -> None:
        event = Event(source=self._config.name, title=title, reason=reason, trace=trace, at_ms=books.now_ms)
        turn.events.append(event)


def _reply(case: Case) -> InterbankFrame:
    assert case.verdict
    frame = case.request.frame
    if case.account is not None:
        return resolved(frame, case.account)
    return acknowledged(frame, case.verdict) if case.verdict.approved else refused(frame, case.verdict)


def _repeated(request: Request, row: HistoryRow) -> Verdict:
    """Judge a request whose name the history has: what was resolved is resolved again, what was refused, refused."""
    if row.state in (HistoryState.TOMBSTONE, HistoryState.REVERSED):
        return Verdict.REVERSED_EARLIER
    same = (row.mti[:3], row.processing_code, row.amount_minor, row.number, row.currency) == (
        request.message.mti[:3], request.message.text(3, ""), request.amount_minor, request.number, request.currency,
    )  # fmt: skip
    if not same:
        return Verdict.DUPLICATE
    return Verdict[row.reason] if row.state == HistoryState.REFUSED else Verdict.RESOLVED
