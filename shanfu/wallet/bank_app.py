"""The bank's app: what its holder can do, each action a dialogue with the key cloud.

    enrol -> login -> add_card -> (choose_idv -> submit_code) -> the card can pay: in the same session, in this app alone
    open     what every opening does: it brings dead cards back to life
    cards    what is here: both last digits, state, uses left, until when, up to which amount; and in words why one cannot pay

A result is a value of its own or `Refused` with a sentence. Freezing and deleting hold at once, network or not; the bank hears
of it with the next refresh. The customer's password and one-time codes pass through and are kept nowhere.

Called by the doors and the sandbox, with `shanfu.dialogue.run` (or `Phone.do`).
"""

import os
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from shanfu.dialogue import Dialogue
from shanfu.messages import IDVMethod, IDVOption, TokenState, TokenView, wallet
from shanfu.wallet import refresh as refreshing
from shanfu.wallet import session
from shanfu.wallet.handset import Handset
from shanfu.wallet.keyring import why_not
from shanfu.wallet.reasons import Reason, Refused
from shanfu.wallet.refresh import Refreshed, bring_up, learn, tell_wish
from shanfu.wallet.state import AppState, HeldToken, PhoneState, keys_record, profile_record
from shanfu.wallet.storage import Tampered

__all__ = ["Added", "BankApp", "CardLine"]

T = TypeVar("T")
FROZEN_BY_HOLDER: Final = frozenset({TokenState.ACTIVE, TokenState.SUSPENDED, TokenState.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class CardLine:
    """One card as the app lists it: the token (its number's and the card's last digits, state, expiry) and its key set."""

    token: str
    app: str
    pan_last4: str
    token_last4: str
    state: TokenState
    expiry: str
    default: bool
    uses_left: int
    max_uses: int
    amount_left: int
    keys_expire_ms: int
    fetch: str
    why_not: Reason | None

    @property
    def ready(self) -> bool:
        """Whether it would pay now, a small amount at least."""
        return self.why_not is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What came of adding a card: ready to pay, or `options` to show who one is (`view` INACTIVE)."""

    decision: str
    view: TokenView
    reasons: tuple[str, ...] = ()
    options: tuple[IDVOption, ...] = ()
    missing: Refused | None = None  # the token is there, its keys are not yet: the next refresh fetches them


class BankApp:
    """One bank's app on one phone, named by its package."""

    def __init__(self, handset: Handset, package: str) -> None:
        self.package = package
        self._handset = handset

    def __repr__(self) -> str:
        return f"BankApp({self.package})"

    # -- who am I ------------------------------------------------------------------------------------------------------

    def enrol(self) -> Dialogue[AppState | Refused]:
        """Make this phone known to the bank."""
        return self._guarded(session.enrol(self._handset, self.package))

    def login(self, user: str, password: str) -> Dialogue[wallet.LoggedIn | Refused]:
        """Log in; the answer lists the cards that may be added, with their art and terms."""

        def act() -> Dialogue[wallet.LoggedIn | Refused]:
            answer = yield from self._call("accounts.login", wallet.Login(user=user, password=password))
            here = self._handset.session(self.package)
            if not isinstance(answer, wallet.LoggedIn) or here is None:
                return _refusal(answer)
            here.login = answer
            return answer

        return self._guarded(act())

    # -- cards ---------------------------------------------------------------------------------------------------------

    def add_card(self, card: str, *, terms: str = "") -> Dialogue[Added | Refused]:
        """Add a card of the customer, its terms accepted now; a card that may pay at once gets profile and keys."""

        def act() -> Dialogue[Added | Refused]:
            login = self._handset.login(self.package)
            if login is None:
                return Refused(reason=Reason.NOT_LOGGED_IN)
            offer = next((one for one in login.cards if one.card == card), None)
            if offer is None:
                return Refused(reason=Reason.NO_SUCH_CARD)
            asked = wallet.Provision(
                card=card, customer=login.customer, terms=terms or offer.terms,
                terms_accepted_ms=self._handset.clock.now_ms(),
            )  # fmt: skip
            answer = yield from self._call("cards.provision", asked, key=f"provision/{os.urandom(8).hex()}")
            return (yield from self._added(answer))

        return self._guarded(act())

    def choose_idv(self, token: str, method: IDVMethod) -> Dialogue[wallet.CodeSent | Refused]:
        """Choose how to show who one is; for SMS and call centre a code is sent."""

        def act() -> Dialogue[wallet.CodeSent | Refused]:
            if self._held(token) is None:
                return Refused(reason=Reason.NO_SUCH_CARD)
            asked = wallet.ChooseIDV(token=token, method=method)
            answer = yield from self._call("idv.choose", asked, key=f"idv/{os.urandom(8).hex()}")
            return answer if isinstance(answer, wallet.CodeSent) else _refusal(answer)

        return self._guarded(act())

    def submit_code(self, token: str, method: IDVMethod, code: str = "") -> Dialogue[Added | Refused]:
        """Submit the one-time code (for `bank-app` the login proves it); right, the card can pay when this returns."""

        def act() -> Dialogue[Added | Refused]:
            login = self._handset.login(self.package)
            if method is IDVMethod.BANK_APP and not code and login is None:
                return Refused(reason=Reason.NOT_LOGGED_IN)
            if self._held(token) is None:
                return Refused(reason=Reason.NO_SUCH_CARD)
            proof = code or (login.assertion if login else "")
            answer = yield from self._call("idv.submit", wallet.SubmitCode(token=token, method=method, code=proof))
            return (yield from self._added(answer))

        return self._guarded(act())

    def open(self) -> Dialogue[Refreshed | Refused]:
        """Open the app: it comes to the front and refreshes what needs it, whatever the policy."""
        handset, package = self._handset, self.package

        def act() -> Dialogue[Refreshed | Refused]:
            if package not in handset.state().apps:
                return Refused(reason=Reason.NOT_ENROLLED)
            handset.storage.change(lambda now, _: (now.switch(front=package), {}))
            return (yield from refreshing.refresh(handset, package))

        return self._guarded(act())

    def refresh(self, *, force: bool = False) -> Dialogue[Refreshed | Refused]:
        """Refresh without opening; with `force` every card gets a new key set."""
        return self._guarded(refreshing.refresh(self._handset, self.package, force=force))

    def cards(self) -> list[CardLine]:
        """List this app's cards as they stand on the phone; those that their holder deleted, only until the bank has, too."""
        state = self._handset.state()
        return [self._line(state, held) for _, held in sorted(state.of(self.package).items()) if not held.finished]

    def set_default(self, token: str) -> Refused | None:
        """Let this card pay from now on when this app does."""
        held = self._held(token)
        if held is None or held.gone:
            return Refused(reason=Reason.NO_SUCH_CARD)
        self._change(lambda now: now.with_app(self.package, replace(now.apps[self.package], default_token=token)))
        return None

    # -- the holder's wishes -------------------------------------------------------------------------------------------

    def freeze(self, token: str, *, reason: str = "CUSTOMER_CONFIRMED") -> Dialogue[Refused | None]:
        """Freeze a card: it does not pay from this moment, and the bank is told as soon as it can be."""

        def act() -> Dialogue[Refused | None]:
            held = self._held(token)
            if held is None or held.view.state not in FROZEN_BY_HOLDER:
                return Refused(reason=Reason.NO_SUCH_CARD)
            self._change(lambda now: now.with_tokens({token: replace(now.tokens[token], frozen=True)}))
            return (yield from tell_wish(self._handset, token, "tokens.freeze", reason=reason))

        return self._guarded(act())

    def unfreeze(self, token: str, *, reason: str = "CUSTOMER_CONFIRMED") -> Dialogue[Refused | None]:
        """Lift one's own freeze; the bank must agree, and its own suspension stays."""

        def act() -> Dialogue[Refused | None]:
            held = self._held(token)
            if held is None:
                return Refused(reason=Reason.NO_SUCH_CARD)
            asked = wallet.ChangeToken(token=token, reason=reason)
            news = yield from self._call("tokens.unfreeze", asked)
            if not isinstance(news, wallet.News):
                return _refusal(news)
            learn(self._handset, self.package, news.tokens)
            held = self._held(token)
            if held is not None:
                self._change(lambda now: now.with_tokens({token: replace(held, frozen=False)}))
            return None

        return self._guarded(act())

    def delete(self, token: str, *, reason: str = "CUSTOMER_CONFIRMED") -> Dialogue[Refused | None]:
        """Delete a card from this phone: its keys are wiped at once, and the bank is told as soon as it can be."""

        def act() -> Dialogue[Refused | None]:
            held = self._held(token)
            if held is None:
                return Refused(reason=Reason.NO_SUCH_CARD)
            wiped = replace(held.wiped(), deleting=True)
            gone = {keys_record(token): None, profile_record(token): None}
            self._handset.storage.change(lambda now, _: (now.with_tokens({token: wiped}), gone))
            return (yield from tell_wish(self._handset, token, "tokens.delete", reason=reason))

        return self._guarded(act())

    def forget(self, token: str) -> None:
        """Take a card off the list that was deleted by the bank."""
        held = self._held(token)
        if held is not None and held.gone and not held.deleting:
            self._change(lambda now: now.with_tokens({token: None}))

    def transactions(self, token: str, *, before: str = "", limit: int = 20) -> Dialogue[wallet.TransactionList | Refused]:
        """List a card's payments, newest first, with the reasons of declined ones."""

        def act() -> Dialogue[wallet.TransactionList | Refused]:
            if self._held(token) is None:
                return Refused(reason=Reason.NO_SUCH_CARD)
            asked = wallet.TransactionsAsked(token=token, before=before, limit=limit)
            answer = yield from self._call("transactions.list", asked)
            return answer if isinstance(answer, wallet.TransactionList) else _refusal(answer)

        return self._guarded(act())

    # -- inside --------------------------------------------------------------------------------------------------------

    def _added(self, answer: Any) -> Dialogue[Added | Refused]:
        """Take the verdict of a request or of a code; an active token gets all that it needs to pay."""
        if not isinstance(answer, wallet.Provisioned):
            return _refusal(answer)
        if answer.view is None:
            return Refused(reason=Reason.CARD_REFUSED, detail=", ".join(answer.reasons))
        learn(self._handset, self.package, (answer.view,))
        missing = yield from bring_up(self._handset, answer.view.token)
        held = self._held(answer.view.token)
        return Added(
            decision=answer.decision, view=held.view if held else answer.view, reasons=answer.reasons,
            options=answer.options, missing=missing,
        )  # fmt: skip

    def _line(self, state: PhoneState, held: HeldToken) -> CardLine:
        keys, view = held.keys, held.view
        why = why_not(held, amount=0, now_ms=self._handset.clock.now_ms(), screen=state.switches.screen)
        wants_amount = Reason.AMOUNT_EXHAUSTED if held.wanted else None
        return CardLine(
            token=view.token, app=held.app, pan_last4=view.pan_last4, token_last4=view.token_last4, state=view.state,
            expiry=view.expiry, default=state.apps[held.app].default_token == view.token,
            uses_left=held.uses_left if held.keys_at else 0, max_uses=keys.terms.max_uses if keys else 0,
            amount_left=max(0, keys.terms.max_amount - keys.spent) if keys else 0,
            keys_expire_ms=keys.terms.expires_ms if keys else 0, fetch=view.policy.fetch, why_not=why or wants_amount,
        )  # fmt: skip

    def _held(self, token: str) -> HeldToken | None:
        held = self._handset.state().tokens.get(token)
        return held if held is not None and held.app == self.package and not held.finished else None

    def _change(self, change: Any) -> None:
        self._handset.storage.change(lambda now, _: (change(now), {}))

    def _call(self, op: str, body: Struct, *, key: str = "") -> Dialogue[Any]:
        return session.call(self._handset, self.package, op, body=body, key=key)

    @staticmethod
    def _guarded(dialogue: Dialogue[T]) -> Generator[Any, Any, T | Refused]:
        """Run an action; storage that is not to be trusted ends it with its sentence."""
        try:
            return (yield from dialogue)
        except Tampered as fault:
            return Refused(reason=fault.reason)


def _refusal(answer: Any) -> Refused:
    return answer if isinstance(answer, Refused) else Refused(reason=Reason.NO_ANSWER)
