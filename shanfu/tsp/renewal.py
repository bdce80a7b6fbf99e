"""Coming back: what may revive a token, and what never does.

Renewal extends a token's own expiry, where the issuer's policy allows it; resuming lifts one's own suspension. Neither revives
a token whose card is lost, stolen or closed. A token that stayed behind when its card was replaced (after a theft) follows to
the new card only when the issuer himself resumes it: then he has verified the holder again.
"""

from shanfu.messages import Actor, LifeCycleEvent, TokenState
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.changes import Cause, LifeCycle
from shanfu.tsp.life_cycle import Result
from shanfu.tsp.provisioning import expiry_after, expiry_ms, is_month
from shanfu.tsp.vault import CardRow, CardState, TokenRow, policy_of

__all__ = ["follow", "renew", "resume"]

CARD_NOT_ACTIVE, NOT_RENEWABLE = "CARD_NOT_ACTIVE", "NOT_RENEWABLE"


def renew(life: LifeCycle, books: TSPBooks, token: TokenRow, cause: Cause, *, months: int, wanted: str = "") -> str:
    """Extend a token's expiry, to `wanted` (YYMM) if that is sooner than the full span; return the result's name."""
    card = books.card(token.issuer, token.card)
    ended = token.state == TokenState.DEACTIVATED.value
    if not ended and (card is None or not _pays(card, token, books.now_ms)):
        return CARD_NOT_ACTIVE
    latest = expiry_after(books.now_ms, months)
    expiry = min(wanted, latest) if is_month(wanted) else latest
    if not ended and expiry <= token.expiry and token.state != TokenState.EXPIRED.value:
        return Result.ALREADY_DONE.value
    if not ended and (not policy_of(token).renewable or expiry_ms(expiry) <= books.now_ms):
        return NOT_RENEWABLE
    before = token.expiry, token.expires_ms
    token.expiry, token.expires_ms = expiry, expiry_ms(expiry)
    step = life.apply(books, token, cause)
    if not step.done:
        token.expiry, token.expires_ms = before
    return step.result.value


def _pays(card: CardRow, token: TokenRow, now_ms: int) -> bool:
    """Whether the card behind a token is in use, not expired, and has the number that the token is mapped to."""
    return card.state == CardState.ACTIVE and card.generation == token.generation and expiry_ms(card.expiry) > now_ms


def resume(life: LifeCycle, books: TSPBooks, token: TokenRow, cause: Cause) -> str:
    """Lift the actor's suspension; the issuer's brings a token to its card's new number. Return the result's name."""
    card = books.card(token.issuer, token.card)
    if cause.actor is Actor.ISSUER and token.state == TokenState.SUSPENDED.value and card is not None:
        if card.state != CardState.ACTIVE:
            return CARD_NOT_ACTIVE
        if "ISSUER" in token.suspended_by.split() and card.generation != token.generation:
            follow(life, books, token, Cause(LifeCycleEvent.PAN_UPDATE, Actor.ISSUER, cause.channel, cause.reason))
    return life.apply(books, token, cause).result.value


def follow(life: LifeCycle, books: TSPBooks, token: TokenRow, cause: Cause) -> str:
    """Map a token to its card's number as it is now; token number, keys and PAR stay."""
    card = books.card(token.issuer, token.card)
    assert card is not None
    before = token.generation, token.pan_last4
    token.generation, token.pan_last4 = card.generation, card.pan_last4
    step = life.apply(books, token, cause)
    if not step.done:
        token.generation, token.pan_last4 = before
    return step.result.value
