"""What happens to cards, and what that does to their tokens.

A lost card's tokens are suspended by the issuer, and come back when it is found, or follow to the new card if the issuer so
chooses. A *stolen* card's never come back by themselves: those with weak or late ID&V are deleted, the others stay suspended
until the issuer resumes each, having verified the holder again; the new card's number is not theirs until then. A closed one's
are deleted. A card that is replaced or renewed without suspicion takes its tokens along: number, keys and PAR stay.

Events are told at least once and may overtake one another. What makes tokens safer is always done; what would revive them is
ignored when something newer is known of the card.

Source: published attacks in which tokens survived a reported theft and were linked to the new card (USENIX Security 2024).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shanfu.errors import IntegrityError
from shanfu.hosts import Answer, Handler, Visit
from shanfu.hsm import HSM
from shanfu.messages import Actor, CardEvent, LifeCycleEvent, Problem, ProblemCode, TokenState, issuing, problem
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.changes import Cause, LifeCycle
from shanfu.tsp.config import TSPConfig
from shanfu.tsp.diary import OF_TOKEN, Channel
from shanfu.tsp.numbers import Numbers
from shanfu.tsp.provisioning import is_month
from shanfu.tsp.renewal import follow
from shanfu.tsp.vault import CardRow, CardState, TokenRow, view_of

__all__ = ["CardEvents"]

STRONG: Final = 11  # token assurance below 11 is no proof by the issuer's own cardholder authentication (EMVCo list)
UNTOUCHED: Final = frozenset((TokenState.REQUESTED.value, TokenState.DECLINED.value, TokenState.DEACTIVATED.value))
CARD_LOST, CARD_STOLEN = "CARD_LOST", "CARD_STOLEN"
_E = LifeCycleEvent


class CardEvents:
    """Works what issuers tell of cards."""

    def __init__(self, config: TSPConfig, hsm: HSM, life: LifeCycle) -> None:
        self._life, self._numbers = life, Numbers(hsm, config.bin_controller)
        self._works = {
            CardEvent.LOST: self._lost, CardEvent.STOLEN: self._stolen, CardEvent.FOUND: self._found,
            CardEvent.REPLACED: self._replaced, CardEvent.RENEWED: self._replaced, CardEvent.CLOSED: self._closed,
        }  # fmt: skip

    def served(self) -> Mapping[str, Handler[TSPBooks]]:
        """Return the operations that are answered here."""
        return {"tsp.card": self.changed}

    def changed(self, visit: Visit[TSPBooks], asked: issuing.CardChanged) -> Answer:
        """Work one event of a card; a card that has no tokens needs no answer but that."""
        books, card = visit.books, visit.books.card(visit.name, asked.card)
        if card is None:
            return issuing.TokenChanges()
        if asked.expiry and not is_month(asked.expiry):
            return problem(ProblemCode.FORMAT, "expiry: a year and a month, YYMM")
        happened_ms = min(asked.at_ms or books.now_ms, books.now_ms)
        tokens = [token for token in books.tokens_of_card(card.issuer, card.card) if token.state not in UNTOUCHED]
        case = _Case(books, card, asked, tokens, happened_ms=happened_ms, newest=happened_ms >= card.told_ms)
        told = self._works[asked.event](case)
        if isinstance(told, Problem):
            return told
        card.told_ms = max(card.told_ms, happened_ms)
        return issuing.TokenChanges(changes=tuple(told))

    # -- events that make tokens safer ---------------------------------------------------------------------------------

    def _lost(self, case: "_Case") -> "Told":
        """Suspend the tokens, or let them follow to the new card if the issuer chooses so."""
        if not case.newest:
            return []
        if case.asked.remap:
            return self._replaced(case)
        if case.card.state == CardState.ACTIVE:
            case.card.state = CardState.LOST.value
        return [self._apply(case, token, _E.SUSPEND, CARD_LOST) for token in case.tokens if _may_suspend(token)]

    def _stolen(self, case: "_Case") -> "Told":
        """Delete tokens that a thief may have made, suspend the others; never map any to another number."""
        if case.happened_ms <= case.card.stolen_ms:
            return []  # told before: the issuer may have verified holders since
        case.card.stolen_ms = case.happened_ms
        if case.newest:
            case.card.state = CardState.STOLEN.value
        told = []
        for token in case.tokens:
            if token.created_ms > case.happened_ms and not case.newest:
                continue  # made of the new card, after the theft
            if token.state == TokenState.INACTIVE.value or _weak(token, case.asked.trusted_ms):
                told.append(self._apply(case, token, _E.DELETE, CARD_STOLEN))
                continue
            token.generation = 0  # whatever number the card gets, this token does not follow by itself
            told.append(self._apply(case, token, _E.SUSPEND, CARD_STOLEN))
        return told

    def _closed(self, case: "_Case") -> "Told":
        """Delete every token: there is no account any more."""
        case.card.state = CardState.CLOSED.value
        return [self._apply(case, token, _E.DELETE, "ACCOUNT_CLOSED") for token in case.tokens]

    # -- events that may revive ----------------------------------------------------------------------------------------

    def _found(self, case: "_Case") -> "Told":
        """Take a lost card back: tokens that its loss suspended resume. A stolen one is not found but replaced."""
        if case.newest and case.card.state == CardState.STOLEN:
            return [issuing.TokenChange(token=token.token, result=CARD_STOLEN, view=view_of(token)) for token in case.tokens]
        if not case.newest or case.card.state != CardState.LOST:
            return []
        case.card.state = CardState.ACTIVE.value
        lost = [token for token in case.tokens if self._suspended_as_lost(case, token)]
        return [self._apply(case, token, _E.RESUME, "CARD_FOUND") for token in lost]

    def _replaced(self, case: "_Case") -> "Told":
        """Give the card its new number and expiry; tokens follow unless a theft or an unsettled loss stands between."""
        if not case.newest or case.card.state == CardState.CLOSED:
            return []
        before = case.card.state
        if case.asked.pan or case.asked.event is not CardEvent.RENEWED:
            fault = self._number(case)
            if fault is not None:
                return fault
        case.card.expiry = case.asked.expiry or case.card.expiry
        follows = before == CardState.ACTIVE or (before == CardState.LOST and case.asked.remap)
        if before == CardState.ACTIVE or case.asked.pan:
            case.card.state = CardState.ACTIVE.value
        if not follows:
            return []
        return [told for token in case.tokens for told in self._follows(case, token)]

    def _number(self, case: "_Case") -> Problem | None:
        """Map the card's row to its new PAN, which the account's PAR then stands for as well."""
        card, books = case.card, case.books
        try:
            pan = self._numbers.open_pan(books, case.asked.pan, issuer=card.issuer, card=card.card)
        except IntegrityError:
            return problem(ProblemCode.FORMAT, "pan: not sealed for this card, or none")
        if self._numbers.is_token(books, pan, card.issuer):
            return problem(ProblemCode.FORMAT, "pan: lies in a token range")
        if self._numbers.found(books, pan.digits) != card.pan:
            self._numbers.keep_par(books, card.issuer, card.account_group, pan=pan, par=card.par)
            self._numbers.map_pan(books, card, pan)
        return None

    def _follows(self, case: "_Case", token: TokenRow) -> list[issuing.TokenChange]:
        """Map one token to the card as it is now, and lift the suspension that the loss has left."""
        if token.generation == 0:  # stayed behind at a theft: only the issuer's own word brings it back
            return []
        cause = Cause(_E.PAN_UPDATE, Actor.ISSUER, Channel.CARD, case.asked.reason or f"CARD_{case.asked.event.value}")
        told = [
            issuing.TokenChange(token=token.token, result=follow(self._life, case.books, token, cause), view=view_of(token))
        ]
        if self._suspended_as_lost(case, token):
            told.append(self._apply(case, token, _E.RESUME, cause.reason))
        return told

    # -- all -----------------------------------------------------------------------------------------------------------

    def _apply(self, case: "_Case", token: TokenRow, event: LifeCycleEvent, reason: str) -> issuing.TokenChange:
        step = self._life.apply(case.books, token, Cause(event, Actor.ISSUER, Channel.CARD, case.asked.reason or reason))
        return issuing.TokenChange(token=token.token, result=step.result.value, view=view_of(token))

    def _suspended_as_lost(self, case: "_Case", token: TokenRow) -> bool:
        """Whether the issuer's suspension is the loss's: what he suspended for another cause he resumes himself."""
        if Actor.ISSUER.value not in token.suspended_by.split():
            return False
        lines = case.books.diary.select(OF_TOKEN, (token.token,))
        mine = [line for line in lines if line.event == _E.SUSPEND.value and line.actor == Actor.ISSUER.value]
        return bool(mine) and mine[-1].channel == Channel.CARD


@dataclass(frozen=True, slots=True)
class _Case:
    """One event of one card. `newest`: nothing later is known of the card."""

    books: TSPBooks
    card: CardRow
    asked: issuing.CardChanged
    tokens: list[TokenRow]
    happened_ms: int
    newest: bool


Told = list[issuing.TokenChange] | Problem


def _weak(token: TokenRow, trusted_ms: int) -> bool:
    """Whether a thief may have made this token: weak proof, or active only after the card was last trusted."""
    strength = int(token.assurance) if token.assurance.isdigit() else 0
    return strength < STRONG or bool(trusted_ms and token.activated_ms > trusted_ms)


def _may_suspend(token: TokenRow) -> bool:
    return token.state in (TokenState.ACTIVE.value, TokenState.SUSPENDED.value)
