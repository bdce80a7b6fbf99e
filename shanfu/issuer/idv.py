"""ID&V: the bank finds out whether the one who adds a card to a phone is its holder.

A one-time code has six digits and is bound to one enrolment: it is hashed with the enrolment's name under a key of the HSM, and
in clear it stands only in the sealed text that carries it. Three wrong tries, over all codes of an enrolment, lock it; a code
lasts five minutes; a card is sent five codes an hour at most. A login to the bank's app proves its customer once.

Whoever has lost an answer may ask again: a right code is right again for its own enrolment while it lasts, for no other.
Sources: EMVCo's token assurance methods (11 one factor, 12 two, 14 asserted by the issuer); NIST SP 800-63B for the limits.
"""

from collections.abc import Mapping
from typing import Final

from shanfu.hosts import LOOKUP, SEAL, Answer, Handler, Visit
from shanfu.hsm import HSM
from shanfu.issuer.books import IssuerBooks
from shanfu.issuer.cards import BY_REFERENCE, Card, CardState, newest
from shanfu.issuer.codes import (
    BY_ASSERTION,
    BY_ENROLMENT,
    OLD_ASSERTIONS,
    SENT_FOR_CARD,
    AssertionRow,
    CodeRow,
    CodeState,
)
from shanfu.issuer.config import IssuerConfig
from shanfu.issuer.counter import assertion_digest
from shanfu.issuer.customers import BY_CUSTOMER, Customer
from shanfu.issuer.eligibility import tenured
from shanfu.issuer.phone_events import proof_event, sent_event
from shanfu.issuer.sms import STALE, Message, Messenger, empty
from shanfu.issuer.token_policy import ASSURANCE, TWO_FACTORS
from shanfu.issuer.tokens import BY_TOKEN, TokenRow
from shanfu.messages import IDVMethod, Problem, ProblemCode, issuing, problem, wallet
from shanfu.store import bucket_of

__all__ = ["IDV"]

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
DIGITS: Final = 6
TWO: Final = frozenset((IDVMethod.SMS.value, IDVMethod.BANK_APP.value))  # something he has, something he knows


class IDV:
    """Sends codes, and judges them."""

    def __init__(self, config: IssuerConfig, hsm: HSM, messenger: Messenger, *, watch: bool = False) -> None:
        self._config, self._hsm, self._messenger, self._watch = config, hsm, messenger, watch
        self._policy = config.policy.tokens

    def served(self) -> Mapping[str, Handler[IssuerBooks]]:
        """Return the operations that are answered here."""
        return {"issuer.code.send": self.send, "issuer.code.verify": self.verify}

    # -- a code is sent ------------------------------------------------------------------------------------------------

    def send(self, visit: Visit[IssuerBooks], asked: issuing.SendCode) -> Answer:
        """Make a code for this enrolment and have it brought to the holder."""
        books = visit.books
        row = self._enrolment(books, asked.token, asked.card)
        if row is None:
            return problem(ProblemCode.NOT_FOUND, "no such enrolment")
        card, customer = self._card(books, row), self._customer(books, row)
        refusal = self._refusal(books, row, card, method=asked.method) or self._unreachable(books, customer, asked.method)
        if refusal is not None or customer is None or card is None:
            return refusal or problem(ProblemCode.NOT_FOUND, "no such card")
        sent = books.codes.select(SENT_FOR_CARD, (row.card, books.now_ms - HOUR_MS))
        if len(sent) >= self._policy.codes_per_hour:
            left_s = (sent[0].sent_ms + HOUR_MS - books.now_ms) // 1000 + 1
            return problem(ProblemCode.TOO_MANY, "no more codes for this card now", retry_after_s=left_s)
        books.keys.load([LOOKUP, SEAL])
        code = self._made(books, row, customer, card=card, method=asked.method)
        hint = customer.mobile_hint if asked.method is IDVMethod.SMS else self._policy.call_centre
        if self._watch:
            visit.turn.events.append(sent_event(self._config.name, row, asked.method, hint=hint, at_ms=books.now_ms))
        return wallet.CodeSent(hint=hint, expires_ms=code.expires_ms, tries_left=row.tries_left)

    def _made(self, books: IssuerBooks, row: TokenRow, customer: Customer, *, card: Card, method: IDVMethod) -> CodeRow:
        before = self._codes(books, row)
        for old in before:
            if old.state == CodeState.OPEN:
                old.state = CodeState.REPLACED.value
                self._messenger.erase(books, old.message)
        digits = f"{int.from_bytes(self._hsm.random(8)) % 10**DIGITS:0{DIGITS}d}"
        minutes, now = self._policy.code_minutes, books.now_ms
        text = (
            f"{digits} is your code to add your card ending {card.masked[-4:]} to “{row.device_name}”. Valid for {minutes} "
            f"minutes; tell it to nobody. 验证码{digits}，{minutes}分钟内有效，切勿告知他人。"
        )
        message = Message(text=text, code=digits, token=row.token, at_ms=now, expires_ms=now + minutes * MINUTE_MS)
        by_sms = method is IDVMethod.SMS
        name = self._messenger.send(
            books, message, mobile=customer.mobile if by_sms else "", hint=customer.mobile_hint if by_sms else ""
        )
        number = len(before) + 1
        digest = self._digest(books, (row.token, number), digits)
        return books.codes.add(
            CodeRow(
                0, row.token, number, row.card, method.value, digest, name, CodeState.OPEN.value, now, message.expires_ms
            )
        )  # fmt: skip

    def _unreachable(self, books: IssuerBooks, customer: Customer | None, method: IDVMethod) -> Problem | None:
        if method is IDVMethod.BANK_APP:
            return problem(ProblemCode.REFUSED, "the bank's app sends no code: its login is the proof", reason="NO_CODE")
        if method is IDVMethod.CALL_CENTRE:
            return None if self._policy.call_centre else problem(ProblemCode.REFUSED, "no call centre", reason="NO_CHANNEL")
        if customer is None or not customer.mobile or not tenured(customer, self._config.policy, now_ms=books.now_ms):
            return problem(ProblemCode.REFUSED, "no mobile number of long standing", reason="NO_CHANNEL")
        return None

    # -- a code is judged ----------------------------------------------------------------------------------------------

    def verify(self, visit: Visit[IssuerBooks], asked: issuing.VerifyCode) -> Answer:
        """Judge a code, or a login's assertion, for this enrolment; a wrong one costs a try."""
        books = visit.books
        row = self._enrolment(books, asked.token, asked.card)
        if row is None:
            return problem(ProblemCode.NOT_FOUND, "no such enrolment")
        answer = self._judged(books, row, asked)
        if self._watch:
            wrong = answer if isinstance(answer, Problem) else None
            visit.turn.events.append(proof_event(self._config.name, row, asked.method, wrong=wrong, at_ms=books.now_ms))
        return answer

    def _judged(self, books: IssuerBooks, row: TokenRow, asked: issuing.VerifyCode) -> issuing.CodeVerdict | Problem:
        if refusal := self._refusal(books, row, self._card(books, row), method=asked.method):
            return refusal
        books.keys.load([LOOKUP, SEAL])
        by_login = asked.method is IDVMethod.BANK_APP
        wrong = self._login_wrong(books, row, asked.code) if by_login else self._code_wrong(books, row, asked)
        if wrong is None:
            row.proofs = " ".join(sorted({*row.proofs.split(), asked.method.value}))
            return issuing.CodeVerdict(assurance=TWO_FACTORS if set(row.proofs.split()) >= TWO else ASSURANCE[asked.method])
        if wrong is not ProblemCode.CODE_WRONG:
            return problem(wrong)
        row.tries_left -= 1
        if row.tries_left > 0:
            return problem(ProblemCode.CODE_WRONG, f"{row.tries_left} tries left")
        return self._lock(books, row)

    def _code_wrong(self, books: IssuerBooks, row: TokenRow, asked: issuing.VerifyCode) -> ProblemCode | None:
        """Say what is wrong with a code; None when it is the newest that was sent this way, and in time."""
        sent = [code for code in self._codes(books, row) if code.method == asked.method.value]
        if not sent or sent[-1].state == CodeState.REPLACED:
            return ProblemCode.CODE_EXPIRED  # none is open: another way was chosen since
        code = sent[-1]
        if books.now_ms >= code.expires_ms:
            return ProblemCode.CODE_EXPIRED
        if self._digest(books, (row.token, code.number), asked.code) != code.digest:  # keyed hashes: nothing to time
            return ProblemCode.CODE_WRONG
        code.state = CodeState.USED.value
        self._messenger.erase(books, code.message)
        return None

    def _login_wrong(self, books: IssuerBooks, row: TokenRow, assertion: str) -> ProblemCode | None:
        """Say what is wrong with an assertion; None when it is this customer's, in time, and not another enrolment's."""
        key = (0, assertion_digest(self._hsm, books, assertion))
        books.assertions.load(BY_ASSERTION, [key])
        login = books.assertions.find(BY_ASSERTION, key)
        if login is None or login.customer != row.customer or login.token not in ("", row.token):
            return ProblemCode.CODE_WRONG
        if books.now_ms >= login.expires_ms:
            return ProblemCode.CODE_EXPIRED
        login.token = row.token
        return None

    def _lock(self, books: IssuerBooks, row: TokenRow) -> Problem:
        for code in self._codes(books, row):
            self._messenger.erase(books, code.message)
        return problem(ProblemCode.CODE_LOCKED)

    # -- time ----------------------------------------------------------------------------------------------------------

    def due(self, books: IssuerBooks) -> None:
        """Erase texts that have expired, forget logins that prove nothing any more; a bounded number of rows."""
        for text in books.sms.select(STALE, (books.now_ms,)):
            empty(text)
        old: list[AssertionRow] = books.assertions.select(OLD_ASSERTIONS, (books.now_ms,))
        for login in old:
            books.assertions.remove(login)

    # -- both ----------------------------------------------------------------------------------------------------------

    def _enrolment(self, books: IssuerBooks, token: str, card: str) -> TokenRow | None:
        """Return an enrolment that we have judged, of this card; another card's is not there."""
        books.tokens.load(BY_TOKEN, [(0, token)])
        row = books.tokens.find(BY_TOKEN, (0, token))
        return row if row is not None and row.card == card and row.colour not in ("", "RED") else None

    def _refusal(self, books: IssuerBooks, row: TokenRow, card: Card | None, *, method: IDVMethod) -> Problem | None:
        del books
        if card is None or card.state != CardState.ACTIVE:
            return problem(ProblemCode.REFUSED, "the card is not active", reason="CARD_NOT_ACTIVE")
        if method not in self._policy.open_methods:
            return problem(ProblemCode.REFUSED, f"{method.value} is not enough here", reason="METHOD_NOT_OPEN")
        return problem(ProblemCode.CODE_LOCKED) if row.tries_left <= 0 else None

    def _card(self, books: IssuerBooks, row: TokenRow) -> Card | None:
        return next(iter(newest(books.cards.load(BY_REFERENCE, [row.card]))), None)

    def _customer(self, books: IssuerBooks, row: TokenRow) -> Customer | None:
        key = (bucket_of(row.customer, self._config.buckets), row.customer)
        books.customers.load(BY_CUSTOMER, [key])
        return books.customers.find(BY_CUSTOMER, key)

    def _codes(self, books: IssuerBooks, row: TokenRow) -> list[CodeRow]:
        """Return the codes of an enrolment, oldest first."""
        return sorted(books.codes.load(BY_ENROLMENT, [(0, row.token)]), key=lambda code: code.number)

    def _digest(self, books: IssuerBooks, of: tuple[str, int], digits: str) -> str:
        bound = f"code/{of[0]}/{of[1]}/{digits[:64]}".encode("utf-8", "surrogatepass")
        return self._hsm.lookup(books.keys.current(LOOKUP), [bound])[0]
