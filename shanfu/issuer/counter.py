"""What the token service asks about customers and cards: logging in, whether a card may become a token, what became of tokens.

The bank knows its customers by the names that it gave them; a card by its reference, never by its number. The number goes to
the token service sealed under the key that both share (`pan/INSTITUTION`), and only when the answer is not red.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from shanfu.clock import local
from shanfu.hosts import LOOKUP, SEAL, Answer, Handler, OnReply, Visit
from shanfu.hsm import HSM
from shanfu.issuer.accounts import BY_OWNER, OF_GROUP, Account, AccountKind, AccountState
from shanfu.issuer.books import IssuerBooks
from shanfu.issuer.cards import BY_GROUP, BY_REFERENCE, Card, CardState, newest
from shanfu.issuer.codes import AssertionRow
from shanfu.issuer.config import IssuerConfig
from shanfu.issuer.customers import BY_CUSTOMER, Customer
from shanfu.issuer.eligibility import Mark, TokenFacts, colour_of, marks_of, options_of
from shanfu.issuer.passwords import password_right
from shanfu.issuer.phone_events import judged_event
from shanfu.issuer.sms import Message, Messenger
from shanfu.issuer.tokens import BY_SENDER, BY_TOKEN, BY_TOKEN_CARD, HeardRow, TokenRow, follow
from shanfu.messages import Colour, Empty, Problem, ProblemCode, TokenState, TokenView, issuing, problem, requestor, wallet
from shanfu.store import bucket_of

__all__ = ["Counter", "assertion_digest", "word"]

LOGINS_A_TURN: Final = 2  # each costs some 30 ms of the thread that authorises payments
ASSERTION_BYTES: Final = 16
ASK_AGAIN_MS: Final = 30_000  # what was missed is asked for once in so long
PAGE: Final = 99
MINUTE_MS, DAY_MS = 60_000, 86_400_000
LONGEST_WORD: Final = 64


class Counter:
    """Serves the token service."""

    def __init__(self, config: IssuerConfig, hsm: HSM, messenger: Messenger, *, watch: bool = False) -> None:
        self._config, self._hsm, self._messenger, self._watch = config, hsm, messenger, watch
        self._policy = config.policy.tokens

    def served(self) -> Mapping[str, Handler[IssuerBooks]]:
        """Return the operations that are answered here."""
        return {"issuer.login": self.login, "issuer.judge": self.judge, "issuer.notice": self.notice}

    def answered(self) -> Mapping[str, OnReply[IssuerBooks]]:
        """Return the replies that are worked here."""
        return {"tsp.issuer.since": self.caught_up}

    # -- logging in ----------------------------------------------------------------------------------------------------

    def login(self, visit: Visit[IssuerBooks], asked: wallet.Login) -> Answer:
        """Log a customer in: his cards that may go into phones, and an assertion that proves this login once."""
        books = visit.books
        if books.logins >= LOGINS_A_TURN:
            return problem(ProblemCode.BUSY, "many are logging in", retry_after_s=1)
        books.logins += 1
        books.keys.load([LOOKUP, SEAL])
        customer = self._customer(books, asked.user[:LONGEST_WORD])
        now = books.now_ms
        if customer is not None and now < customer.locked_until_ms:
            left_s = (customer.locked_until_ms - now) // 1000 + 1
            return problem(ProblemCode.TOO_MANY, "too many wrong passwords", reason="LOGIN_LOCKED", retry_after_s=left_s)
        if not password_right(self._hsm, books.keys, customer, password=asked.password) or customer is None:
            if customer is not None:
                self._missed(customer, now)
            return problem(ProblemCode.LOGIN_WRONG)
        customer.wrong_logins = 0
        return wallet.LoggedIn(
            customer=customer.customer, name=customer.name, assertion=self._assertion(books, customer),
            cards=tuple(self._offers(books, customer)),
        )  # fmt: skip

    def _customer(self, books: IssuerBooks, user: str) -> Customer | None:
        key = (bucket_of(user, self._config.buckets), user)
        books.customers.load(BY_CUSTOMER, [key])
        return books.customers.find(BY_CUSTOMER, key)

    def _missed(self, customer: Customer, now_ms: int) -> None:
        customer.wrong_logins += 1
        if customer.wrong_logins >= self._policy.login_tries:
            customer.wrong_logins = 0
            customer.locked_until_ms = now_ms + self._policy.login_lock_minutes * MINUTE_MS

    def _assertion(self, books: IssuerBooks, customer: Customer) -> str:
        assertion, until = self._hsm.random(ASSERTION_BYTES).hex(), books.now_ms + self._policy.assertion_minutes * MINUTE_MS
        digest = assertion_digest(self._hsm, books, assertion)
        books.assertions.add(AssertionRow(0, digest, customer.customer, "", books.now_ms, until))
        return assertion

    def _offers(self, books: IssuerBooks, customer: Customer) -> Iterable[wallet.CardOffer]:
        """Yield the customer's cards that may be added to a phone."""
        groups = {account.account_group for account in books.accounts.load(BY_OWNER, [customer.customer])}
        cards = newest(books.cards.load(BY_GROUP, sorted(groups)))
        for card in sorted(cards, key=lambda card: (card.since_ms, card.masked)):
            product = self._policy.products.get(card.product)
            if product is None or card.state != CardState.ACTIVE or card.expiry < _month(books.now_ms):
                continue
            yield wallet.CardOffer(
                card=card.reference, last4=card.masked[-4:], product=product.label, product_zh=product.label_zh,
                art=product.art, terms=product.terms, terms_title=product.terms_title,
            )  # fmt: skip

    # -- judging -------------------------------------------------------------------------------------------------------

    def judge(self, visit: Visit[IssuerBooks], asked: issuing.JudgeCard) -> Answer:
        """Say in which colour we see this request, and unless it is red, what a token of this card needs."""
        books = visit.books
        books.keys.load([LOOKUP, SEAL, self._config.pan])
        facts = self._facts(books, asked)
        marks = marks_of(facts)
        colour, options = colour_of(marks, facts), options_of(facts)
        row = self._remember(books, asked, colour, marks)
        if self._watch:
            visit.turn.events.append(judged_event(self._config.name, facts, marks, colour=colour))
        if colour is Colour.RED or facts.card is None or facts.product is None:
            row.state = TokenState.DECLINED.value
            return issuing.CardJudged(colour=Colour.RED, reasons=tuple(mark.name for mark in marks))
        card, account = facts.card, self._account(books, facts.card)
        return issuing.CardJudged(
            colour=colour, reasons=tuple(mark.name for mark in marks), pan=self._sealed_pan(books, card),
            pan_last4=card.masked[-4:], expiry=card.expiry, psn=card.psn, account_group=card.account_group,
            currency=account.currency if account else "", credit=bool(account and account.kind == AccountKind.CREDIT),
            label=facts.product.label, options=options, policy=facts.product.keys,
        )  # fmt: skip

    def _facts(self, books: IssuerBooks, asked: issuing.JudgeCard) -> TokenFacts:
        cards = newest(books.cards.load(BY_REFERENCE, [asked.card])) if asked.card else []
        card, customer = (cards[0] if cards else None), self._customer(books, asked.customer[:LONGEST_WORD])
        owners = {a.customer for a in books.accounts.load(OF_GROUP, [card.account_group])} if card else set()
        return TokenFacts(
            asked=asked, policy=self._config.policy, now_ms=books.now_ms, month=_month(books.now_ms), card=card,
            owned=customer is not None and customer.customer in owners, customer=customer,
            product=self._policy.products.get(card.product) if card else None,
            tokens=[row for row in books.tokens.load(BY_TOKEN_CARD, [asked.card]) if row.token != asked.token],
        )  # fmt: skip

    def _account(self, books: IssuerBooks, card: Card) -> Account | None:
        """The account that a token of this card is shown with: the bank's own currency, else the oldest."""
        rows = [a for a in books.accounts.load(OF_GROUP, [card.account_group]) if a.state == AccountState.OPEN]
        home = self._config.currency
        return min(rows, key=lambda a: (a.currency != home, a.since_ms, a.account), default=None)

    def _sealed_pan(self, books: IssuerBooks, card: Card) -> str:
        [digits] = self._hsm.unseal(books.keys.current(SEAL), [(card.pan_sealed, f"cards/{card.card}".encode())])
        key = books.keys.current(self._config.pan)
        return self._hsm.seal(key, [(digits, f"pan/{card.reference}".encode())])[0].hex()

    def _remember(self, books: IssuerBooks, asked: issuing.JudgeCard, colour: Colour, marks: list[Mark]) -> TokenRow:
        row = _row(books, asked.token)
        row.card, row.customer, row.trid = asked.card, word(asked.customer), asked.trid
        row.device, row.device_name, row.device_model = word(asked.device), word(asked.device_name), word(asked.device_model)
        row.asked, row.colour = msgspec.json.encode(asked), colour.value
        row.reasons, row.tries_left = " ".join(mark.name for mark in marks), self._policy.code_tries
        return row

    # -- notices -------------------------------------------------------------------------------------------------------

    def notice(self, visit: Visit[IssuerBooks], asked: requestor.Notice) -> Answer:
        """Take over how a token stands; where numbers are missing, ask for them."""
        books = visit.books
        if visit.caller != self._config.tsp:
            return problem(ProblemCode.FORBIDDEN, "not the token service of our cards")
        self._take(books, asked.view, at_ms=asked.at_ms)
        heard = _heard(books, visit.caller)
        if asked.number == heard.number + 1:
            heard.number = asked.number
        elif asked.number > heard.number:
            self._catch_up(visit, heard)
        return Empty()

    def _catch_up(self, visit: Visit[IssuerBooks], heard: HeardRow) -> None:
        if visit.books.now_ms - heard.asked_ms < ASK_AGAIN_MS and heard.asked_ms:
            return
        heard.asked_ms = visit.books.now_ms
        question = (self._config.tsp, "tsp.issuer.since", requestor.Since(since=heard.number, limit=PAGE))
        visit.desk.ask(visit.books, visit.turn, question, caller=self._config.station)

    def caught_up(self, visit: Visit[IssuerBooks], answer: Struct | Problem, _about: bytes) -> Answer:
        """Take what was missed; ask on while there is more."""
        books, heard = visit.books, _heard(visit.books, self._config.tsp)
        if not isinstance(answer, requestor.SinceAnswer):
            return None
        for notice in answer.notices:
            self._take(books, notice.view, at_ms=notice.at_ms)
            if notice.number == heard.number + 1:
                heard.number = notice.number
        heard.asked_ms = 0
        if answer.more and answer.notices:
            self._catch_up(visit, heard)
        return None

    def _take(self, books: IssuerBooks, view: TokenView, *, at_ms: int) -> None:
        row = _row(books, view.token)
        before = row.state
        if not follow(row, view, at_ms=at_ms):
            return
        row.card, row.trid, row.device = row.card or view.card, row.trid or view.trid, row.device or view.device
        if row.state == TokenState.ACTIVE.value and before in (TokenState.REQUESTED.value, TokenState.INACTIVE.value):
            self._tell_holder(books, row)

    def _tell_holder(self, books: IssuerBooks, row: TokenRow) -> None:
        """Say on the old channel that a card is on a new device: who did not do this should hear of it."""
        customer = self._customer(books, row.customer) if row.customer else None
        if customer is None or not customer.mobile:
            return
        books.keys.load([LOOKUP, SEAL])
        call, last4 = f" Not you? Call {self._policy.call_centre}." if self._policy.call_centre else "", row.pan_last4
        text = f"Your card ending {last4} was added to “{row.device_name}”.{call} 您尾号{last4}的卡已添加到该设备。"
        message = Message(text=text, token=row.token, at_ms=books.now_ms, expires_ms=books.now_ms + DAY_MS)
        self._messenger.send(books, message, mobile=customer.mobile, hint=customer.mobile_hint)


def assertion_digest(hsm: HSM, books: IssuerBooks, assertion: str) -> str:
    """Return the keyed hash under which a login's assertion is kept."""
    return hsm.lookup(books.keys.current(LOOKUP), [b"assertion/" + assertion.encode("utf-8", "surrogatepass")])[0]


def word(text: str) -> str:
    """Return as much of what others say as may lie in books and be shown."""
    return "".join(letter for letter in text if letter.isprintable())[:LONGEST_WORD]


def _row(books: IssuerBooks, token: str) -> TokenRow:
    key = (0, token)
    books.tokens.load(BY_TOKEN, [key])
    state = TokenState.REQUESTED.value
    return books.tokens.find(BY_TOKEN, key) or books.tokens.add(
        TokenRow(
            0, token, "", "", "", "", "", "", b"", "", "", 0, "", state, "", 0, "", "", "", "", "", "", books.now_ms,
            books.now_ms,
        )
    )  # fmt: skip


def _heard(books: IssuerBooks, sender: str) -> HeardRow:
    key = (0, sender)
    books.heard.load(BY_SENDER, [key])
    return books.heard.find(BY_SENDER, key) or books.heard.add(HeardRow(0, sender, 0, 0))


def _month(now_ms: int) -> str:
    return local(now_ms).strftime("%y%m")
