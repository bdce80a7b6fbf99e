"""What requestors ask about key sets and payments: enter a key set, confirm it, list a token's payments.

The key cloud asks for the terms of a set *before* it derives it, since the service judges payments by them. A repeat of the
last sequence gets the same terms. With each request comes the phone's log of uses; where it contradicts the payments that were
seen, keys have been copied, and the token is suspended until somebody has looked.

A new key set changes nothing that others see of a token, so it leaves no line in the diary and nobody is told: the key sets
themselves are the record, and who asked knows.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from shanfu.events import Event
from shanfu.hosts import SEAL, Answer, Handler, Visit
from shanfu.hsm import HSM
from shanfu.links import Turn
from shanfu.messages import (
    Actor,
    Empty,
    KeySetTerms,
    LifeCycleEvent,
    Problem,
    ProblemCode,
    TokenState,
    problem,
    requestor,
    wallet,
)
from shanfu.tokens import LAST_COUNTER
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.changes import Cause, LifeCycle
from shanfu.tsp.config import TSPConfig, pan_label
from shanfu.tsp.diary import Channel
from shanfu.tsp.history import PAGE, RECENT, view
from shanfu.tsp.key_sets import (
    BY_COUNTER,
    BY_SEQUENCE,
    CounterRow,
    KeySetRow,
    KeySetState,
    Seen,
    allot,
    confirm,
    issued_within,
    never_seen,
    newest_names,
    suspicion,
    terms_of,
)
from shanfu.tsp.life_cycle import step
from shanfu.tsp.prove import record_context
from shanfu.tsp.record import counter_of
from shanfu.tsp.vault import CardState, TokenRow, number_context, policy_of, suspenders

__all__ = ["CLONE_SUSPECTED", "KeySets"]

CLONE_SUSPECTED: Final = "CLONE_SUSPECTED"
HOUR: Final = timedelta(hours=1)
MOST_LISTED: Final = 50  # payments on one page
LAST_SEQ: Final = 2**63 - 1
LONGEST_LOG: Final = 256  # uses that a phone keeps and the key cloud passes on
USUAL_USES: Final = 10  # of a key set; the hour's bound is meant for such


class KeySets:
    """Serves the key cloud."""

    def __init__(self, config: TSPConfig, hsm: HSM, life: LifeCycle) -> None:
        self._config, self._hsm, self._life = config, hsm, life

    def served(self) -> Mapping[str, Handler[TSPBooks]]:
        """Return the operations served here."""
        return {"tsp.keys.issue": self.issue, "tsp.keys.confirm": self.confirm, "tsp.transactions": self.transactions}

    def due(self, books: TSPBooks, turn: Turn) -> None:
        """Nothing waits for time here: grace and time to live are judged by the clock when a payment comes."""

    # -- key sets ------------------------------------------------------------------------------------------------------

    def issue(self, visit: Visit[TSPBooks], asked: requestor.IssueKeys) -> Answer:
        """Enter a key set of an active token for its own device; the last sequence again gets the same terms."""
        books = visit.books
        token = _own_token(visit, asked.token)
        if isinstance(token, Problem):
            return token
        if token.device != asked.device:
            return problem(ProblemCode.FORBIDDEN, "the token is another device's", reason="DEVICE")
        if not 0 <= asked.atc <= token.atc_allotted:
            return problem(ProblemCode.FORMAT, f"atc: the token's keys go to {token.atc_allotted}", reason="ATC")
        if refusal := self._refusal(token, books):
            return refusal
        counter = _counter(books, token)
        newest = books.key_sets.load(BY_SEQUENCE, newest_names(counter, self._hourly(token) + 1))
        is_repeat = counter.sequence > 0 and asked.sequence == counter.sequence
        if not is_repeat and asked.sequence != counter.sequence + 1:
            return problem(ProblemCode.WRONG_STATE, f"the next sequence is {counter.sequence + 1}", reason="SEQUENCE")
        if refusal := self._compare(visit, token, asked, newest=newest):
            return refusal
        if is_repeat:
            newest[0].reported_atc = max(newest[0].reported_atc, asked.atc)
            return self._issued(books, token, terms_of(newest[0]))
        return self._new(books, token, asked, newest=newest)

    def _refusal(self, token: TokenRow, books: TSPBooks) -> Problem | None:
        """Say why this token gets no keys now: `reason` is its state, or that of what is behind it."""
        granted = step(TokenState(token.state), suspenders(token), LifeCycleEvent.REPLENISH, Actor.WALLET)
        if not granted.done:
            by = f" by {token.suspended_by}" if token.suspended_by else ""
            return problem(ProblemCode.WRONG_STATE, f"token is {token.state}{by}", reason=token.reason or token.state)
        if token.expires_ms <= books.now_ms:  # the clock has not come by yet
            return problem(ProblemCode.WRONG_STATE, "token is EXPIRED", reason=TokenState.EXPIRED.value)
        card = books.card(token.issuer, token.card)
        if card is None or card.state != CardState.ACTIVE or card.generation != token.generation:
            return problem(ProblemCode.WRONG_STATE, "the card behind it does not pay", reason="CARD_NOT_ACTIVE")
        return None

    def _new(self, books: TSPBooks, token: TokenRow, asked: requestor.IssueKeys, *, newest: Sequence[KeySetRow]) -> Answer:
        recent = issued_within(newest, books.now_ms)
        if len(recent) >= self._hourly(token):
            wait_ms = recent[-1].issued_ms + HOUR // timedelta(milliseconds=1) - books.now_ms
            return problem(ProblemCode.TOO_MANY, "key sets of the hour are used up", retry_after_s=wait_ms // 1000 + 1)
        terms = allot(
            newest, policy_of(token), config=self._config, lowered=asked.lowered, now_ms=books.now_ms,
            allotted=token.atc_allotted,
        )  # fmt: skip
        if terms is None:
            return problem(ProblemCode.WRONG_STATE, "the token has no transaction counters left", reason="ATC_EXHAUSTED")
        if newest:  # who asks for the next has stored the one before, whatever became of its confirmation
            confirm(newest[0], newest, now_ms=books.now_ms, grace_ms=self._config.grace_ms)
        books.key_sets.add(_row(token, terms, asked))
        counter_of(books, token).sequence = terms.sequence
        token.atc_allotted = terms.atc_last
        return self._issued(books, token, terms)

    def _hourly(self, token: TokenRow) -> int:
        """Return how many sets a token may have in an hour: more where a set has few uses, such as one for each tap."""
        smaller = max(1, USUAL_USES // max(1, policy_of(token).max_uses))
        return min(self._config.key_sets_per_hour * smaller, LAST_COUNTER + 1)  # an hour has no more indexes

    def _issued(self, books: TSPBooks, token: TokenRow, terms: KeySetTerms) -> requestor.KeysIssued:
        """Return terms with the token's number, sealed for the requestor: keys are derived from it."""
        shared = pan_label(token.trid)
        books.keys.load([SEAL, shared])
        [number] = self._hsm.unseal(books.keys.current(SEAL), [(token.number_sealed, number_context(token.token))])
        [sealed] = self._hsm.seal(books.keys.current(shared), [(number, record_context(token.token))])
        return requestor.KeysIssued(token=token.token, terms=terms, number=sealed.hex(), psn=token.psn, dki=token.dki)

    def confirm(self, visit: Visit[TSPBooks], asked: requestor.ConfirmKeys) -> Answer:
        """Note that a key set is stored: the one before has its grace from now on. A repeat changes nothing."""
        books = visit.books
        token = _own_token(visit, asked.token)
        if isinstance(token, Problem):
            return token
        newest = books.key_sets.load(BY_SEQUENCE, newest_names(_counter(books, token), self._hourly(token) + 1))
        row = next((row for row in newest if row.sequence == asked.sequence), None)
        if row is None:
            return problem(ProblemCode.NOT_FOUND, f"no key set {asked.sequence}")
        confirm(row, newest, now_ms=books.now_ms, grace_ms=self._config.grace_ms)
        return Empty()

    # -- the phone's log -----------------------------------------------------------------------------------------------

    def _compare(
        self, visit: Visit[TSPBooks], token: TokenRow, asked: requestor.IssueKeys, *, newest: Sequence[KeySetRow]
    ) -> Problem | None:
        """Compare the log with what was authorised; keys that were copied suspend the token."""
        before = [row for row in newest if row.sequence < asked.sequence]
        covered = before[0].reported_atc if before else 0
        if len(asked.uses) >= LONGEST_LOG:  # the phone may have let older ones go
            covered = max(covered, min(use.atc for use in asked.uses) - 1)
        rows = visit.books.history.select(RECENT, (token.token, covered))
        seen = [Seen(row.atc, row.amount_minor, row.un) for row in rows]
        found = suspicion(seen, asked.uses, atc=asked.atc, covered=covered)
        if asked.atc < covered:
            found = f"the phone's counter ran back from {covered} to {asked.atc}"
        if not found:
            if lost := never_seen(seen, asked.uses):
                self._tell(visit, f"reported uses that have not been seen here: {lost}")
            return None
        self._life.apply(visit.books, token, Cause(LifeCycleEvent.SUSPEND, Actor.TSP, Channel.RISK, reason=CLONE_SUSPECTED))
        self._tell(visit, f"risk: clone suspected ({found})", reason=CLONE_SUSPECTED)
        return problem(ProblemCode.WRONG_STATE, "token is SUSPENDED by TSP", reason=CLONE_SUSPECTED)

    def _tell(self, visit: Visit[TSPBooks], title: str, *, reason: str = "") -> None:
        event = Event(source=self._config.name, title=title, reason=reason, at_ms=visit.books.now_ms)
        visit.turn.events.append(event)

    # -- payments ------------------------------------------------------------------------------------------------------

    def transactions(self, visit: Visit[TSPBooks], asked: wallet.TransactionsAsked) -> Answer:
        """List a token's payments, newest first; `before` is the cursor that the page before gave."""
        token = _own_token(visit, asked.token)
        if isinstance(token, Problem):
            return token
        if asked.before and not (asked.before.isascii() and asked.before.isdecimal() and len(asked.before) < 20):
            return problem(ProblemCode.FORMAT, "before: not a cursor of ours")
        limit = min(max(asked.limit, 1), MOST_LISTED)
        before = min(int(asked.before or LAST_SEQ), LAST_SEQ)
        rows = visit.books.history.select(PAGE, (token.token, before, limit + 1))
        more = len(rows) > limit
        return wallet.TransactionList(
            items=tuple(view(row) for row in rows[:limit]), next=str(rows[limit - 1].seq) if more else ""
        )


def _own_token(visit: Visit[TSPBooks], reference: str) -> TokenRow | Problem:
    """Fetch a token of the caller; another's does not exist for him."""
    token = visit.books.token(reference)
    if token is None or token.trid != visit.name:
        return problem(ProblemCode.NOT_FOUND, "no such token")
    return token


def _counter(books: TSPBooks, token: TokenRow) -> CounterRow:
    books.counters.load(BY_COUNTER, [(token.bucket, token.token)])
    return counter_of(books, token)


def _row(token: TokenRow, terms: KeySetTerms, asked: requestor.IssueKeys) -> KeySetRow:
    return KeySetRow(
        token.bucket, token.token, terms.sequence, terms.index, terms.scheme.value, asked.device, terms.atc_first,
        terms.atc_last, terms.max_uses, terms.max_amount, terms.issued_ms, terms.expires_ms, KeySetState.ISSUED.value, 0, 0, 0,
        int(asked.lowered), asked.atc,
    )  # fmt: skip
