"""Requests for tokens: asked, judged by three parties, and a token made or not.

    tsp.request → enrolment and token REQUESTED → issuer.judge → the decision → DECLINED, INACTIVE (ID&V open) or ACTIVE

The issuer is always asked, also about a card that is on the device already: the wallet's word for who its customer is does not
count. Only what wallet or service refuse by themselves never reaches him. A card that has a living token on the device keeps
that token; its number, keys and PAR stay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from shanfu.clock import CST, local
from shanfu.errors import IntegrityError
from shanfu.hosts import Answer, Handler, OnReply, Visit
from shanfu.hsm import HSM
from shanfu.messages import (
    Actor,
    Colour,
    IDVOption,
    LifeCycleEvent,
    Problem,
    ProblemCode,
    TokenState,
    issuing,
    problem,
    requestor,
)
from shanfu.pan import PAN
from shanfu.store import bucket_of
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.changes import Cause, LifeCycle
from shanfu.tsp.config import TSPConfig
from shanfu.tsp.decision import Decision, combine, narrowed
from shanfu.tsp.diary import Channel
from shanfu.tsp.enrolments import OF_CARD, OF_DEVICE, EnrolmentRow, EnrolmentState
from shanfu.tsp.events import request_event
from shanfu.tsp.numbers import Numbers
from shanfu.tsp.reasons import Mark
from shanfu.tsp.requestors import RequestorRow
from shanfu.tsp.vault import BY_DEVICE, BY_PAN, CardRow, CardState, TokenRow, view_of
from shanfu.tsp.velocity import DAY_MS, HALF_YEAR_MS, LIVING, Facts, marks_of

__all__ = ["Provisioning", "expiry_after", "expiry_ms", "is_month"]

NO_IDV, BY_ACCOUNT_CHECK = "00", "10"  # token assurance methods (EMVCo): none performed; card issuer account verification


class About(Struct, frozen=True):
    """What the issuer's answer is about."""

    token: str


class Provisioning:
    """Makes tokens of cards."""

    def __init__(self, config: TSPConfig, hsm: HSM, life: LifeCycle) -> None:
        self._config, self._life = config, life
        self._numbers = Numbers(hsm, config.bin_controller)

    def served(self) -> Mapping[str, Handler[TSPBooks]]:
        """Return the operations that are answered here."""
        return {"tsp.request": self.request}

    def answered(self) -> Mapping[str, OnReply[TSPBooks]]:
        """Return the replies that are worked here."""
        return {"issuer.judge": self.judged}

    # -- the question --------------------------------------------------------------------------------------------------

    def request(self, visit: Visit[TSPBooks], asked: requestor.RequestToken) -> Answer:
        """Enter a request, and ask the card's issuer about it."""
        books = visit.books
        who = books.requestor(visit.name)
        if who is None:
            return problem(ProblemCode.FORBIDDEN, "the requestor is not registered")
        if fault := _malformed(asked):
            return problem(ProblemCode.FORMAT, fault)
        token, enrolment = self._enter(books, who, asked)
        marks = marks_of(self._facts(books, token, enrolment))
        enrolment.service_colour = Colour.worst(mark.colour for mark in marks).value
        if Colour.worst((asked.colour, Colour(enrolment.service_colour))) is Colour.RED:
            return self._declined(books, token, enrolment, reasons=(*asked.reasons, *(mark.name for mark in marks)))
        active = [one for one in books.tokens_of_card(token.issuer, token.card) if one.state in LIVING]
        body = issuing.JudgeCard(
            token=token.token, card=asked.card, customer=asked.customer, trid=token.trid, device=asked.device,
            device_name=asked.device_name, device_model=asked.device_model, storage=asked.storage, attested=asked.attested,
            wallet_colour=asked.colour, wallet_reasons=asked.reasons, active_tokens=len(active),
        )  # fmt: skip
        visit.ask(f"issuer/{token.issuer}", "issuer.judge", body, caller=self._config.station, about=About(token.token))
        return None

    def _enter(self, books: TSPBooks, who: RequestorRow, asked: requestor.RequestToken) -> tuple[TokenRow, EnrolmentRow]:
        now, reference = books.now_ms, self._numbers.reference()
        bucket = bucket_of(f"{who.issuer}/{asked.card}", self._config.buckets)
        token = books.tokens.add(
            TokenRow(
                bucket, reference, f"none/{reference}", b"", "", "", self._config.token_psn, asked.dki, "", who.trid,
                who.issuer, asked.card, 0, "", asked.device, asked.device_name, asked.storage, NO_IDV,
                TokenState.REQUESTED.value, "", 0, "", b"{}", 0, now, 0, now, 0,
            )
        )  # fmt: skip
        enrolment = books.enrolments.add(
            EnrolmentRow(
                bucket, reference, who.trid, who.issuer, asked.card, asked.customer, asked.device,
                asked.device_model, int(asked.attested), asked.colour.value, "", "", "", " ".join(asked.reasons), b"[]", "", 0,
                self._config.idv_tries, asked.terms, asked.terms_accepted_ms, EnrolmentState.ASKED.value, now,
                now + self._config.idv_window_ms,
            )
        )  # fmt: skip
        return token, enrolment

    def _facts(self, books: TSPBooks, token: TokenRow, enrolment: EnrolmentRow) -> Facts:
        who = books.requestor(token.trid)
        assert who is not None
        books.tokens.load(BY_DEVICE, [token.device])
        half_a_year, a_day = books.now_ms - HALF_YEAR_MS, books.now_ms - DAY_MS
        of_card = books.enrolments.select(OF_CARD, (token.issuer, token.card, half_a_year))
        of_device = books.enrolments.select(OF_DEVICE, (token.device, a_day))
        return Facts(
            enrolment=enrolment, token=token, requestor=who, card=books.card(token.issuer, token.card),
            tokens_of_card=books.tokens_of_card(token.issuer, token.card),
            tokens_of_device=books.tokens.all(BY_DEVICE, token.device),
            of_card=[row for row in of_card if row is not enrolment],
            of_device=[row for row in of_device if row is not enrolment],
            rules=self._config.velocity, now_ms=books.now_ms,
        )  # fmt: skip

    # -- the answer ----------------------------------------------------------------------------------------------------

    def judged(self, visit: Visit[TSPBooks], answer: Struct | Problem, about: bytes) -> Answer:
        """Work the issuer's opinion: decide, and make the token or decline."""
        books = visit.books
        token, enrolment = books.enrolled(msgspec.json.decode(about, type=About).token)
        if token is None or enrolment is None or enrolment.state != EnrolmentState.ASKED:
            return problem(ProblemCode.WRONG_STATE, "the request is no longer open")
        if not isinstance(answer, issuing.CardJudged):
            return self._dropped(books, token, enrolment, "ISSUER_SILENT")
        marks = marks_of(self._facts(books, token, enrolment))
        service = Colour.worst(mark.colour for mark in marks)
        decision = combine(wallet=Colour(enrolment.wallet_colour), service=service, issuer=answer.colour)
        reasons = (*enrolment.reasons.split(), *(mark.name for mark in marks), *answer.reasons)
        enrolment.service_colour, enrolment.issuer_colour = service.value, answer.colour.value
        if not decision.created:
            return self._declined(books, token, enrolment, reasons=reasons)
        try:
            pan = self._numbers.open_pan(books, answer.pan, issuer=token.issuer, card=token.card)
        except IntegrityError:
            return self._dropped(books, token, enrolment, "PAN_UNREADABLE")
        if _unusable(answer):
            return self._dropped(books, token, enrolment, "CARD_DATA_UNUSABLE")
        if (living := self._living(books, token, pan)) is not None:
            return self._kept(books, token, enrolment, living=living)
        return self._created(books, token, answer, made=_Made(enrolment, decision, reasons, pan))

    def _living(self, books: TSPBooks, token: TokenRow, pan: PAN) -> TokenRow | None:
        """Return the token that this card's PAN has on this device already."""
        cards = {(row.issuer, row.card) for row in books.cards.load(BY_PAN, [self._numbers.found(books, pan.digits)])}
        cards.add((token.issuer, token.card))
        others = [one for key in sorted(cards) for one in books.tokens_of_card(*key)]
        mine = (one for one in others if one.device == token.device and one.trid == token.trid)
        return next((one for one in mine if one is not token and one.state in LIVING), None)

    def _kept(self, books: TSPBooks, token: TokenRow, enrolment: EnrolmentRow, *, living: TokenRow) -> requestor.TokenRequested:
        """End this request in the token that is there already, and say how far that one is."""
        self._life.apply(books, token, Cause(LifeCycleEvent.DECLINE, Actor.TSP, Channel.REQUESTOR, "ALREADY_THERE"))
        enrolment.state = EnrolmentState.DROPPED.value
        _, before = books.enrolled(living.token)
        reasons, options = tuple[str, ...](), tuple[IDVOption, ...]()
        colour = Colour.GREEN
        if before is not None and living.state == TokenState.INACTIVE.value:
            colour, reasons = Colour(before.decision), tuple(before.reasons.split())
            options = msgspec.json.decode(before.options, type=tuple[IDVOption, ...])
        return requestor.TokenRequested(decision=colour, reasons=reasons, view=view_of(living), options=options)

    def _created(self, books: TSPBooks, token: TokenRow, judged: issuing.CardJudged, *, made: "_Made") -> Answer:
        """Make the token, if a number and a way to verify its holder are there."""
        range_ = self._numbers.range_for(books, token.issuer, made.pan)
        options = narrowed(made.decision, judged.options)
        lacks = None
        if range_ is None or self._numbers.is_token(books, made.pan, token.issuer):
            lacks = Mark.NO_TOKEN_RANGE
        elif made.decision.state is TokenState.INACTIVE and not options:
            lacks = Mark.NO_CHANNEL
        elif not self._numbers.number(books, token, range_):
            lacks = Mark.NO_TOKEN_RANGE
        if lacks is not None:
            return self._declined(books, token, made.enrolment, reasons=(*made.reasons, lacks.name))
        self._fill(books, token, judged, pan=made.pan)
        enrolment = made.enrolment
        enrolment.decision, enrolment.reasons = made.decision.colour.value, " ".join(dict.fromkeys(made.reasons))
        enrolment.options, enrolment.state = msgspec.json.encode(options), EnrolmentState.OPEN.value
        self._forget_expired(books, token)
        self._life.apply(books, token, Cause(LifeCycleEvent.CREATE, Actor.TSP, Channel.REQUESTOR, made.decision.colour.value))
        self._tell(books, token, enrolment)
        if made.decision.state is TokenState.ACTIVE:
            token.assurance, enrolment.state = BY_ACCOUNT_CHECK, EnrolmentState.DONE.value
            self._life.apply(books, token, Cause(LifeCycleEvent.ACTIVATE, Actor.TSP, Channel.REQUESTOR))
            options = ()
        reasons = tuple(enrolment.reasons.split())
        return requestor.TokenRequested(decision=made.decision.colour, reasons=reasons, view=view_of(token), options=options)

    def _forget_expired(self, books: TSPBooks, token: TokenRow) -> None:
        """Delete what this card had on this device and let expire: one card has one token there."""
        for other in books.tokens_of_card(token.issuer, token.card):
            same_place = other.device == token.device and other.trid == token.trid
            if same_place and other.state == TokenState.EXPIRED.value:
                self._life.apply(books, other, Cause(LifeCycleEvent.DELETE, Actor.TSP, Channel.REQUESTOR, "ADDED_AGAIN"))

    def _tell(self, books: TSPBooks, token: TokenRow, enrolment: EnrolmentRow) -> None:
        if self._life.watch:
            books.told.append(request_event(self._life.name, token, enrolment, at_ms=books.now_ms))

    def _fill(self, books: TSPBooks, token: TokenRow, judged: issuing.CardJudged, *, pan: PAN) -> None:
        """Enter what the issuer told of the card and of his rules."""
        card = self._card(books, token, judged, pan=pan)
        token.par, token.generation, token.pan_last4 = card.par, card.generation, card.pan_last4
        token.policy = msgspec.json.encode(judged.policy)
        token.expiry = expiry_after(books.now_ms, self._config.token_life_months)
        token.expires_ms = expiry_ms(token.expiry)

    def _card(self, books: TSPBooks, token: TokenRow, judged: issuing.CardJudged, *, pan: PAN) -> CardRow:
        """Return the row of the card, entered or brought up to date; another PAN than we knew is a new generation of it."""
        row = books.card(token.issuer, token.card)
        if row is None:
            row = CardRow(
                token.bucket, token.issuer, token.card, "", judged.account_group, "", b"", "", 0, judged.expiry, judged.psn,
                judged.currency, int(judged.credit), judged.label, CardState.ACTIVE.value, 0, 0, books.now_ms,
            )  # fmt: skip
            row.par = self._numbers.par_of(books, token.issuer, judged.account_group, pan=pan)
            self._numbers.map_pan(books, row, pan)
            return books.cards.add(row)
        if row.pan != self._numbers.found(books, pan.digits):
            self._numbers.keep_par(books, token.issuer, row.account_group, pan=pan, par=row.par)
            self._numbers.map_pan(books, row, pan)
        row.expiry, row.psn, row.label = judged.expiry, judged.psn, judged.label
        row.currency, row.credit = judged.currency, int(judged.credit)
        return row

    # -- no token ------------------------------------------------------------------------------------------------------

    def _declined(
        self, books: TSPBooks, token: TokenRow, enrolment: EnrolmentRow, *, reasons: tuple[str, ...]
    ) -> requestor.TokenRequested:
        told = tuple(dict.fromkeys(reasons))
        enrolment.decision, enrolment.reasons = Colour.RED.value, " ".join(told)
        enrolment.state = EnrolmentState.DECLINED.value
        cause = Cause(LifeCycleEvent.DECLINE, Actor.TSP, Channel.REQUESTOR, told[-1] if told else "")
        self._life.apply(books, token, cause)
        self._tell(books, token, enrolment)
        return requestor.TokenRequested(decision=Colour.RED, reasons=told)

    def _dropped(self, books: TSPBooks, token: TokenRow, enrolment: EnrolmentRow, reason: str) -> Problem:
        """End a request that nobody could judge; it counts in no rule, and may be made again."""
        enrolment.state = EnrolmentState.DROPPED.value
        self._life.apply(books, token, Cause(LifeCycleEvent.DECLINE, Actor.TSP, Channel.REQUESTOR, reason))
        return problem(ProblemCode.UNAVAILABLE, "the card's issuer gave no usable answer", reason=reason)


@dataclass(frozen=True, slots=True)
class _Made:
    """What a token is made from."""

    enrolment: EnrolmentRow
    decision: Decision
    reasons: tuple[str, ...]
    pan: PAN


MOST_USES: Final = 1_000  # of one key set; a token has 65,535 in all
LONGEST: Final = 64  # of names that others choose: they become rows of ours


def _malformed(asked: requestor.RequestToken) -> str:
    """Say which name is empty, too long, or none; "" when all are good. Reasons are words, since they are listed as words."""
    for name in ("card", "customer", "device", "device_name", "device_model", "storage", "terms"):
        value = getattr(asked, name)
        if len(value) > LONGEST or (name in ("card", "customer", "device") and not value):
            return f"{name}: {len(value)} characters, it has 1 to {LONGEST}"
    if not 0 <= asked.dki <= 255:
        return "dki: one byte"
    if len(asked.reasons) > 20 or any(not word or len(word) > LONGEST or " " in word for word in asked.reasons):
        return f"reasons: at most 20 words of 1 to {LONGEST} characters"
    return ""


def _unusable(judged: issuing.CardJudged) -> bool:
    """Whether no token could be made of what the issuer says: its card's data have a wrong form, or its keys could not pay."""
    policy = judged.policy
    digits = len(judged.currency) == 3 and len(judged.psn) == 2 and (judged.currency + judged.psn).isdecimal()
    lives = 0 < policy.max_uses <= MOST_USES and policy.ttl_s > 0 and policy.max_amount > 0
    return not (digits and lives and is_month(judged.expiry) and len(judged.label) <= LONGEST)


def is_month(text: str) -> bool:
    """Whether this is a YYMM.

    >>> is_month("2912"), is_month("2913"), is_month("")
    (True, False, False)
    """
    return len(text) == 4 and text.isascii() and text.isdigit() and "01" <= text[2:] <= "12"


def expiry_after(now_ms: int, months: int) -> str:
    """Return the YYMM that lies so many months after now.

    >>> expiry_after(1_767_600_000_000, 36)  # January 2026
    '2901'
    """
    now = local(now_ms)
    month = now.year * 12 + now.month - 1 + months
    return f"{month // 12 % 100:02d}{month % 12 + 1:02d}"


def expiry_ms(expiry: str) -> int:
    """Return the moment at which a YYMM is over: the first of the month after, in China.

    >>> expiry_ms("2512")
    1767196800000
    """
    month = (2000 + int(expiry[:2])) * 12 + int(expiry[2:])
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=CST).timestamp() * 1000)
