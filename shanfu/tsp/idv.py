"""ID&V: the holder of a card shows who he is, and his token becomes ACTIVE, or his enrolment ends.

The issuer makes, sends and checks the codes; this service forwards, and counts. A try is taken *before* the issuer is asked,
so guesses made side by side cost as much as guesses one after the other; it is given back only when the issuer has not judged.
The third wrong one ends the enrolment, and so does time. A code belongs to one enrolment: it says nothing to any other.

What a method earns is the issuer's to say (token assurance method: 11 one factor, 12 two, 14 asserted by the issuer).
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from shanfu.hosts import Answer, Handler, OnReply, Visit
from shanfu.messages import (
    Actor,
    Colour,
    IDVMethod,
    IDVOption,
    LifeCycleEvent,
    Problem,
    ProblemCode,
    TokenState,
    issuing,
    problem,
    requestor,
    wallet,
)
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.changes import Cause, LifeCycle
from shanfu.tsp.config import TSPConfig
from shanfu.tsp.diary import Channel
from shanfu.tsp.enrolments import OVERDUE, EnrolmentRow, EnrolmentState
from shanfu.tsp.vault import CardState, TokenRow, view_of

__all__ = ["IDV"]

ENDED: Final = "the enrolment is over"
JUDGED_WRONG: Final = frozenset((ProblemCode.CODE_WRONG.value, ProblemCode.CODE_LOCKED.value))
ASSURANCES: Final = frozenset(("11", "12", "14"))  # what an issuer can give for a right code (EMVCo token assurance method)


class About(Struct, frozen=True):
    """What the issuer's answer is about."""

    token: str


class IDV:
    """Has holders verified by their issuers."""

    def __init__(self, config: TSPConfig, life: LifeCycle) -> None:
        self._config, self._life = config, life

    def served(self) -> Mapping[str, Handler[TSPBooks]]:
        """Return the operations that are answered here."""
        return {"tsp.code.send": self.send, "tsp.code.verify": self.verify}

    def answered(self) -> Mapping[str, OnReply[TSPBooks]]:
        """Return the replies that are worked here."""
        return {"issuer.code.send": self.sent, "issuer.code.verify": self.verified}

    # -- a code is sent ------------------------------------------------------------------------------------------------

    def send(self, visit: Visit[TSPBooks], asked: requestor.SendCode) -> Answer:
        """Have the issuer send a code over a way that is open."""
        token, enrolment = self._open(visit, asked.token)
        if token is None or enrolment is None:
            return problem(ProblemCode.NOT_FOUND, "no such token")
        if refusal := self._refusal(visit.books, token, enrolment, method=asked.method):
            return refusal
        if asked.method is IDVMethod.BANK_APP:
            return problem(ProblemCode.REFUSED, "the bank's app sends no code: its login is the proof", reason="NO_CODE")
        if enrolment.sends >= self._config.code_sends:
            left_s = max(1, (enrolment.deadline_ms - visit.books.now_ms) // 1000)
            return problem(ProblemCode.TOO_MANY, "no more codes for this enrolment", retry_after_s=left_s)
        enrolment.sends += 1
        enrolment.method = asked.method.value
        body = issuing.SendCode(token=token.token, card=token.card, method=asked.method)
        self._ask(visit, token, "issuer.code.send", body)
        return None

    def sent(self, visit: Visit[TSPBooks], answer: Struct | Problem, about: bytes) -> Answer:
        """Pass on that a code is on its way, or why not."""
        _, enrolment = visit.books.enrolled(msgspec.json.decode(about, type=About).token)
        if isinstance(answer, wallet.CodeSent) and enrolment is not None:
            ends = min(answer.expires_ms, enrolment.deadline_ms)
            return wallet.CodeSent(hint=answer.hint, expires_ms=ends, tries_left=min(answer.tries_left, enrolment.tries_left))
        if isinstance(answer, Problem) and answer.code == ProblemCode.UNAVAILABLE.value and enrolment is not None:
            enrolment.sends -= 1
        return answer

    # -- a code is submitted -------------------------------------------------------------------------------------------

    def verify(self, visit: Visit[TSPBooks], asked: requestor.VerifyCode) -> Answer:
        """Take a try, and have the issuer judge the code."""
        token, enrolment = self._open(visit, asked.token)
        if token is None or enrolment is None:
            return problem(ProblemCode.NOT_FOUND, "no such token")
        if token.state == TokenState.ACTIVE.value and enrolment.state == EnrolmentState.DONE:
            return requestor.TokenRequested(decision=Colour.GREEN, view=view_of(token))  # verified before: the answer was lost
        if refusal := self._refusal(visit.books, token, enrolment, method=asked.method):
            return refusal
        if enrolment.tries_left <= 0:  # another try is on its way
            return problem(ProblemCode.CODE_LOCKED, "no tries left")
        enrolment.tries_left -= 1
        enrolment.method = asked.method.value
        body = issuing.VerifyCode(token=token.token, card=token.card, method=asked.method, code=asked.code)
        self._ask(visit, token, "issuer.code.verify", body)
        return None

    def verified(self, visit: Visit[TSPBooks], answer: Struct | Problem, about: bytes) -> Answer:
        """Work the issuer's verdict: activate, count, or end the enrolment."""
        books = visit.books
        token, enrolment = books.enrolled(msgspec.json.decode(about, type=About).token)
        if token is None or enrolment is None or enrolment.state != EnrolmentState.OPEN:
            return problem(ProblemCode.WRONG_STATE, ENDED, reason="ENROLMENT_ENDED")
        if isinstance(answer, issuing.CodeVerdict):
            return self._activated(books, token, enrolment, assurance=answer.assurance)
        assert isinstance(answer, Problem)
        if answer.code not in JUDGED_WRONG:
            enrolment.tries_left += 1  # expired, not sent, nobody there: that was no guess
            return answer
        if answer.code == ProblemCode.CODE_LOCKED.value or enrolment.tries_left <= 0:
            self._end(books, token, enrolment, reason="IDV_FAILED")
            return problem(ProblemCode.CODE_LOCKED, "too many wrong codes: the enrolment has ended")
        return problem(ProblemCode.CODE_WRONG, f"{enrolment.tries_left} tries left")

    def _activated(self, books: TSPBooks, token: TokenRow, enrolment: EnrolmentRow, *, assurance: str) -> Answer:
        card = books.card(token.issuer, token.card)
        if card is None or card.state != CardState.ACTIVE or card.generation != token.generation:
            return problem(ProblemCode.REFUSED, "the card is not active", reason="CARD_NOT_ACTIVE")
        if assurance not in ASSURANCES:
            enrolment.tries_left += 1
            return problem(ProblemCode.UNAVAILABLE, "the issuer's verdict makes no sense")
        token.assurance = assurance
        step = self._life.apply(books, token, Cause(LifeCycleEvent.ACTIVATE, Actor.TSP, Channel.REQUESTOR, enrolment.method))
        if not step.done:
            return problem(ProblemCode.WRONG_STATE, f"the token is {token.state}", reason=step.result.value)
        enrolment.state = EnrolmentState.DONE.value
        return requestor.TokenRequested(decision=Colour.GREEN, view=view_of(token))

    # -- time ----------------------------------------------------------------------------------------------------------

    def due(self, books: TSPBooks) -> None:
        """End enrolments whose time is over; a bounded number of rows."""
        overdue = books.enrolments.select(OVERDUE, (books.now_ms,))
        books.tokens.load(("token",), [row.token for row in overdue])
        for enrolment in overdue:
            token = books.token(enrolment.token)
            if token is not None:
                self._end(books, token, enrolment, reason="IDV_TIMED_OUT")

    def _end(self, books: TSPBooks, token: TokenRow, enrolment: EnrolmentRow, *, reason: str) -> None:
        asked = enrolment.state == EnrolmentState.ASKED
        event = LifeCycleEvent.DECLINE if asked else LifeCycleEvent.IDV_FAILED
        ended = self._life.apply(books, token, Cause(event, Actor.TSP, Channel.CLOCK, reason)).done
        timed_out = reason == "IDV_TIMED_OUT" and enrolment.tries_left == self._config.idv_tries
        nobody_tried = asked or not ended or timed_out
        enrolment.state = EnrolmentState.DROPPED.value if nobody_tried else EnrolmentState.FAILED.value

    # -- both ----------------------------------------------------------------------------------------------------------

    def _open(self, visit: Visit[TSPBooks], reference: str) -> tuple[TokenRow | None, EnrolmentRow | None]:
        """Return the caller's token and its enrolment; another requestor's is not there."""
        token, enrolment = visit.books.enrolled(reference)
        return (token, enrolment) if token is not None and token.trid == visit.name else (None, None)

    def _refusal(self, books: TSPBooks, token: TokenRow, enrolment: EnrolmentRow, *, method: IDVMethod) -> Problem | None:
        if token.state != TokenState.INACTIVE.value or enrolment.state != EnrolmentState.OPEN:
            return problem(ProblemCode.WRONG_STATE, f"the token is {token.state}", reason=token.reason)
        if books.now_ms >= enrolment.deadline_ms:
            return problem(ProblemCode.WRONG_STATE, ENDED, reason="IDV_TIMED_OUT")
        options = msgspec.json.decode(enrolment.options, type=tuple[IDVOption, ...])
        if method not in {option.method for option in options}:
            return problem(ProblemCode.REFUSED, f"{method.value} is not open for this enrolment", reason="METHOD_NOT_OPEN")
        return None

    def _ask(self, visit: Visit[TSPBooks], token: TokenRow, op: str, body: Struct) -> None:
        visit.ask(f"issuer/{token.issuer}", op, body, caller=self._config.station, about=About(token.token))
