"""The vault: tokens, the cards behind them, and the references under which accounts are known to everybody (PAR).

A token's number and a card's PAN lie sealed beside a keyed hash to find them by; nothing here shows either. The PAN belongs to
the card's row alone, so that a replaced card is one change; every change of the PAN raises the card's `generation`, and a
token pays only while it is mapped to the newest one. That is how a stolen card's tokens stay behind without a copy of the PAN.

Refunds go to the card's PAN as it is now, whatever became of the token.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec
from sqlalchemy import Index, bindparam

from shanfu.messages import Actor, KeyPolicy, TokenState, TokenView
from shanfu.store import Shelf, Statement, book_of, open_index
from shanfu.tsp.tables import METADATA, PREFIX

__all__ = [
    "BY_ACCOUNT", "BY_CARD", "BY_DEVICE", "BY_NUMBER", "BY_PAN", "BY_TOKEN", "CARDS", "EXPIRING", "PARS", "TOKENS",
    "CardRow", "CardState", "PARRow", "TokenRow", "number_context", "pan_context", "policy_of", "suspenders", "view_of",
]  # fmt: skip

BY_TOKEN: Final = ("token",)
BY_NUMBER: Final = ("number",)  # the keyed hash of a token's number (`lookup` key)
BY_DEVICE: Final = ("device",)
BY_CARD: Final = ("issuer", "card")
BY_PAN: Final = ("pan",)  # the keyed hash of a PAN
BY_ACCOUNT: Final = ("account",)
MOST_EXPIRING: Final = 64  # tokens that one tick lets expire; the next is a tenth of a second away
LIVING: Final = (TokenState.INACTIVE.value, TokenState.ACTIVE.value, TokenState.SUSPENDED.value)


class CardState(StrEnum):
    """What the issuer has said of the card behind tokens; only an active one pays."""

    ACTIVE = "active"
    CLOSED = "closed"
    LOST = "lost"
    STOLEN = "stolen"


@dataclass(slots=True)
class TokenRow:
    """One token. `card` is the issuer's card reference; `policy` the issuer's `KeyPolicy` as JSON; `expiry` is YYMM.

    `atc_allotted` is the highest ATC that any key set may use. `suspended_by` holds the names of `Actor`, sorted, between
    spaces. `generation` is that of the card's PAN the token is mapped to.
    """

    bucket: int
    token: str
    number: str
    number_sealed: bytes = field(repr=False)
    token_last4: str
    expiry: str
    psn: str
    dki: int
    par: str
    trid: str
    issuer: str
    card: str
    generation: int
    pan_last4: str
    device: str
    device_name: str
    storage: str
    assurance: str
    state: str
    suspended_by: str
    version: int
    reason: str
    policy: bytes
    atc_allotted: int
    created_ms: int
    activated_ms: int
    changed_ms: int
    expires_ms: int

    @property
    def active(self) -> bool:
        """Whether the token's own state lets it pay."""
        return self.state == TokenState.ACTIVE.value


@dataclass(slots=True)
class CardRow:
    """The card behind tokens, as its issuer names it; `told_ms`: its newest event, `stolen_ms`: the last theft."""

    bucket: int
    issuer: str
    card: str
    par: str
    account_group: str
    pan: str
    pan_sealed: bytes = field(repr=False)
    pan_last4: str
    generation: int
    expiry: str
    psn: str
    currency: str
    credit: int
    label: str
    state: str
    told_ms: int
    stolen_ms: int
    since_ms: int


@dataclass(slots=True)
class PARRow:
    """The PAR of an account: `account` is the keyed hash of issuer, account group and PAN; a new PAN takes its PAR over."""

    bucket: int
    account: str
    par: str
    since_ms: int


_TOKENS: Final = book_of(f"{PREFIX}tokens", METADATA, TokenRow, "token")
Index(f"{PREFIX}tokens_token", _TOKENS.c.token, unique=True)
Index(f"{PREFIX}tokens_number", _TOKENS.c.number, unique=True)
Index(f"{PREFIX}tokens_card", _TOKENS.c.issuer, _TOKENS.c.card)
Index(f"{PREFIX}tokens_device", _TOKENS.c.device)
open_index(f"{PREFIX}tokens_living", _TOKENS.c.expires_ms, where=_TOKENS.c.state.in_(LIVING))
TOKENS: Final = Shelf(_TOKENS, TokenRow)

_CARDS: Final = book_of(f"{PREFIX}cards", METADATA, CardRow, "issuer", "card")
Index(f"{PREFIX}cards_card", _CARDS.c.issuer, _CARDS.c.card, unique=True)
Index(f"{PREFIX}cards_pan", _CARDS.c.pan)
CARDS: Final = Shelf(_CARDS, CardRow)

_PARS: Final = book_of(f"{PREFIX}pars", METADATA, PARRow, "account")
Index(f"{PREFIX}pars_account", _PARS.c.account, unique=True)
PARS: Final = Shelf(_PARS, PARRow)

_expiring = TOKENS.select().where(_TOKENS.c.state.in_(LIVING), _TOKENS.c.expires_ms <= bindparam("now_ms"))
EXPIRING: Final = Statement(_expiring.order_by(_TOKENS.c.expires_ms).limit(MOST_EXPIRING), "now_ms")


def number_context(token: str) -> bytes:
    """Return the context under which a token's number is sealed in our books; `token` is its reference."""
    return f"{PREFIX}tokens/{token}".encode()


def pan_context(card: CardRow) -> bytes:
    """Return the context under which a card's PAN is sealed in our books: it fits one generation of one card."""
    return f"{PREFIX}cards/{card.issuer}/{card.card}/{card.generation}".encode()


def suspenders(token: TokenRow) -> tuple[Actor, ...]:
    """Return who has suspended a token, sorted by name."""
    return tuple(Actor(name) for name in token.suspended_by.split())


def policy_of(token: TokenRow) -> KeyPolicy:
    """Return the issuer's rule for the token's keys."""
    return msgspec.json.decode(token.policy, type=KeyPolicy)


def view_of(token: TokenRow) -> TokenView:
    """Return the token as parties outside see it."""
    return TokenView(
        token=token.token, state=TokenState(token.state), suspended_by=suspenders(token), version=token.version,
        token_last4=token.token_last4, pan_last4=token.pan_last4, expiry=token.expiry, par=token.par, trid=token.trid,
        device=token.device, card=token.card, assurance=token.assurance, reason=token.reason, policy=policy_of(token),
    )  # fmt: skip
