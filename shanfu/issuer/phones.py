"""Which phones a card is on, and which of them paid: what the bank's staff see of tokens.

A token is known here by its reference, its last four digits and its requestor; of the phone, the name that it gave itself. The
journal keeps the token of each payment by its last digits, so a payment is matched with a phone as a person would do it.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam

from shanfu.errors import NotFound
from shanfu.hsm import HSM
from shanfu.issuer.admin import find_card
from shanfu.issuer.journal import JOURNAL
from shanfu.issuer.tokens import BY_TOKEN_CARD, TOKENS, TokenRow
from shanfu.messages import Actor, TokenState, TokenView
from shanfu.pan import PAN
from shanfu.store import Statement, Store

__all__ = ["PaymentView", "PhoneView", "card_reference", "list_tokens", "payments_of", "tokens_of"]

UNBORN: Final = frozenset((TokenState.REQUESTED.value, TokenState.DECLINED.value))
_EVERY: Final = Statement(TOKENS.select().order_by(TOKENS.table.c.asked_ms, TOKENS.table.c.token))


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneView:
    """A token of a card, and the phone that it is on; `suspended_by` names every suspender."""

    token: str
    token_last4: str
    trid: str
    device: str
    device_name: str
    state: str
    suspended_by: tuple[str, ...]
    reason: str
    assurance: str
    expiry: str
    par: str
    version: int
    asked_ms: int
    changed_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentView:
    """A line of the journal; `device_name` is "" for a payment with the card itself."""

    name: str
    rrn: str
    at_ms: int
    processing_code: str
    amount_minor: int
    currency: str
    state: str
    response_code: str
    reason: str
    token_last4: str
    trid: str
    assurance: str
    device_name: str


_j = JOURNAL.table.c
_LATEST: Final = Statement(
    JOURNAL.select()
    .where(_j.bucket == bindparam("bucket"), _j.card == bindparam("card"))
    .order_by(_j.seq.desc())
    .limit(bindparam("most")),
    "bucket", "card", "most",
)  # fmt: skip


def tokens_of(store: Store, hsm: HSM, pan: PAN, *, unborn: bool = False) -> list[PhoneView]:
    """Return the tokens of a card, newest first; with `unborn` also requests that came to nothing. Raises NotFound."""
    with store.begin() as tx:
        _, card = find_card(tx, hsm, pan)
        rows = TOKENS.open(tx).load(BY_TOKEN_CARD, [card.reference])
    shown = [row for row in rows if unborn or row.state not in UNBORN]
    return [_phone(row) for row in sorted(shown, key=lambda row: (-row.asked_ms, row.token))]


def list_tokens(store: Store) -> list[TokenView]:
    """Return all tokens of this bank's cards as its books have them, oldest first, for whoever compares."""
    with store.begin() as tx:
        rows = TOKENS.open(tx).select(_EVERY)
    return [_view(row) for row in rows if row.state not in UNBORN]


def card_reference(store: Store, hsm: HSM, pan: PAN) -> str:
    """Return the reference by which parties without the number know a card; "" when it was not issued here."""
    with store.begin() as tx:
        try:
            return find_card(tx, hsm, pan)[1].reference
        except NotFound:
            return ""


def _view(row: TokenRow) -> TokenView:
    return TokenView(
        token=row.token, state=TokenState(row.state), suspended_by=tuple(Actor(name) for name in row.suspended_by.split()),
        version=row.version, token_last4=row.token_last4, pan_last4=row.pan_last4, expiry=row.expiry, par=row.par,
        trid=row.trid, device=row.device, card=row.card, assurance=row.assurance, reason=row.reason,
    )  # fmt: skip


def _phone(row: TokenRow) -> PhoneView:
    return PhoneView(
        token=row.token, token_last4=row.token_last4, trid=row.trid, device=row.device, device_name=row.device_name,
        state=row.state, suspended_by=tuple(row.suspended_by.split()), reason=row.reason, assurance=row.assurance,
        expiry=row.expiry, par=row.par, version=row.version, asked_ms=row.asked_ms, changed_ms=row.changed_ms,
    )  # fmt: skip


def payments_of(store: Store, hsm: HSM, pan: PAN, *, most: int = 50) -> list[PaymentView]:
    """Return the latest lines of a card number, newest first, each with the phone that paid. Raises NotFound."""
    with store.begin() as tx:
        _, card = find_card(tx, hsm, pan)
        lines = JOURNAL.open(tx).select(_LATEST, (card.bucket, card.card, most))
        tokens = TOKENS.open(tx).load(BY_TOKEN_CARD, [card.reference])
    names = {(row.token_last4, row.trid): row.device_name or row.device for row in tokens if row.token_last4}
    return [
        PaymentView(
            name=line.name, rrn=line.rrn, at_ms=line.arrived_ms, processing_code=line.processing_code,
            amount_minor=line.amount_minor, currency=line.currency, state=line.state, response_code=line.response_code,
            reason=line.reason, token_last4=line.token_last4, trid=line.trid, assurance=line.assurance,
            device_name=names.get((line.token_last4, line.trid), "") if line.token_last4 else "",
        )
        for line in lines
    ]  # fmt: skip
