"""What happens to cards, told by the bank's counter: lost, stolen, found, closed, replaced, renewed; and orders about tokens.

An event changes the card here at once, and is told to the token service at least once: a row of the outbox, which leaves with
the host's next tick. What it does to tokens is the service's to work out (never does a token follow the number of a stolen card
by itself), and comes back in its notices. A card that replaces another takes over its reference; the old number keeps its row,
and the state in which it was left.

    report_card(store, hsm, pan, CardReport(event=CardEvent.LOST), config=config, now_ms=now)

`report` and `order_tokens` work on books that a turn has opened already; the others open the store themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
from sqlalchemy import bindparam

from shanfu.errors import ConfigError, Conflict, NotFound
from shanfu.hosts import LOOKUP, SEAL
from shanfu.hsm import HSM
from shanfu.issuer.admin import CardOrder, CardView, enter_cards, load_cash, view_of
from shanfu.issuer.books import DESK, IssuerBooks
from shanfu.issuer.cards import BY_CARD, BY_REFERENCE, Card, CardState, newest
from shanfu.issuer.config import IssuerConfig
from shanfu.issuer.journal import JOURNAL
from shanfu.issuer.tokens import BY_TOKEN
from shanfu.messages import Actor, CardEvent, issuing, requestor
from shanfu.pan import PAN
from shanfu.store import Sequencer, Statement, Store

__all__ = [
    "CardReport", "delete_tokens", "enter_event", "order_tokens", "report", "report_card", "resume_tokens", "suspend_tokens",
]  # fmt: skip

MOST: Final = 99  # tokens in one call
WAITING, DONE = "WAITING", "DONE"
_S = CardState
_IN_USE: Final = frozenset((_S.ACTIVE, _S.BLOCKED, _S.INACTIVE, _S.EXPIRED))

# fmt: off
#   event -> states in which it may be told, the state that it leads to (None: as it is)
_CHANGES: Final = {
    CardEvent.CLOSED:   (frozenset(_S) - {_S.CLOSED},             _S.CLOSED),
    CardEvent.FOUND:    (frozenset((_S.LOST,)),                   _S.ACTIVE),
    CardEvent.LOST:     (_IN_USE,                                 _S.LOST),
    CardEvent.RENEWED:  (_IN_USE,                                 None),
    CardEvent.REPLACED: (frozenset(_S) - {_S.CLOSED},             None),
    CardEvent.STOLEN:   (frozenset((*_IN_USE, _S.LOST)),          _S.STOLEN),
}
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class CardReport:
    """What has happened. A replacement brings the order for its `card`, a renewal its `expiry` (and a new chip its `psn`).

    `remap` lets tokens of a lost card follow to the new one instead of staying suspended. `trusted_ms` is when the bank last
    knew a stolen card in its holder's hands, `at_ms` when it happened (0: now).
    """

    event: CardEvent
    card: CardOrder | None = None
    expiry: str = field(default="", repr=False)
    psn: str = ""
    remap: bool = False
    reason: str = ""
    at_ms: int = 0
    trusted_ms: int = 0


def report_card(
    store: Store, hsm: HSM, pan: PAN, report_: CardReport, *, config: IssuerConfig, now_ms: int
) -> CardView:  # fmt: skip
    """Enter what has happened to a card and tell the token service; return the card that is in use now.

    Raises NotFound, Conflict where it cannot have happened (a stolen card is not found but replaced), ConfigError for a report
    that lacks something. What was entered before is not told again.
    """
    with store.begin() as tx:
        books = IssuerBooks(tx, now_ms=now_ms, numbers=Sequencer(JOURNAL.table))
        card = report(books, hsm, pan, told=report_, config=config)
        books.save()
        return view_of(card)


def report(books: IssuerBooks, hsm: HSM, pan: PAN, *, told: CardReport, config: IssuerConfig) -> Card:
    """The same on open books."""
    books.keys.load([LOOKUP])
    return enter_event(books, hsm, _in_use(books, hsm, pan), told=told, config=config)


def enter_event(books: IssuerBooks, hsm: HSM, card: Card, *, told: CardReport, config: IssuerConfig) -> Card:
    """Enter what has happened to the card in use; return the one that is in use now."""
    books.keys.load([LOOKUP, SEAL, config.pan])
    allowed, after = _CHANGES[told.event]
    if after is not None and card.state == after:
        return card
    if card.state not in allowed:
        raise Conflict(f"card {card.masked}: is {card.state}, it cannot be {told.event.value.lower()}")
    _require(told, card)
    if after is not None:
        card.state = after.value
    if told.event is CardEvent.RENEWED:
        _renew(card, told)
    else:
        card.event_ms = books.now_ms
    if told.card is not None:
        card = _replace(books, hsm, card, order=told.card, config=config)
    _tell(books, hsm, card, told=told, config=config)
    return card


def _in_use(books: IssuerBooks, hsm: HSM, pan: PAN) -> Card:
    [key] = hsm.lookup(books.keys.current(LOOKUP), [pan.digits.encode()])
    books.cards.load(BY_CARD, [key])
    named = books.cards.find(BY_CARD, key)
    if named is None:
        raise NotFound(f"card {pan}: was not issued here")
    return newest(books.cards.load(BY_REFERENCE, [named.reference]))[0]


def _require(told: CardReport, card: Card) -> None:
    replaces = told.event is CardEvent.REPLACED or (told.event is CardEvent.LOST and told.remap)
    if replaces != (told.card is not None):
        raise ConfigError(f"card {card.masked}: a replacement, and nothing else, brings the order for the new card")
    if told.card is not None and told.card.group != card.account_group:
        raise ConfigError(f"card {card.masked}: its replacement is of the same account, {card.account_group}")
    if told.event is CardEvent.RENEWED and not (len(told.expiry) == 4 and told.expiry.isdigit() and told.expiry > card.expiry):
        raise ConfigError(f"card {card.masked}: a renewal brings a later expiry, YYMM")


def _renew(card: Card, told: CardReport) -> None:
    card.expiry = told.expiry
    if told.psn and told.psn != card.psn:  # another chip: its counter begins again, and the old one's cryptograms are wrong
        card.psn, card.atc = told.psn, 0


def _replace(books: IssuerBooks, hsm: HSM, card: Card, *, order: CardOrder, config: IssuerConfig) -> Card:
    """Issue the new card under the old one's reference; an old one that was in use is closed."""
    if card.state in {state.value for state in _IN_USE}:
        card.state = CardState.CLOSED.value
    renamed = replace(order, reference=card.reference, generation=card.generation + 1)
    [fresh] = enter_cards(books.cards, books.keys, hsm, orders=[renamed], where=(config.buckets, books.now_ms))
    load_cash(books.accounts, books.entries, [fresh], orders=[renamed], now_ms=books.now_ms)
    fresh.event_ms = books.now_ms
    return fresh


def _tell(books: IssuerBooks, hsm: HSM, card: Card, *, told: CardReport, config: IssuerConfig) -> None:
    sealed = ""
    if told.card is not None:
        item = (told.card.pan.digits.encode(), f"pan/{card.reference}".encode())
        sealed = hsm.seal(books.keys.current(config.pan), [item])[0].hex()
    brings = told.card is not None or told.event is CardEvent.RENEWED
    changed = issuing.CardChanged(
        card=card.reference, event=told.event, pan=sealed, pan_last4=card.masked[-4:] if sealed else "",
        expiry=card.expiry if brings else "", remap=told.remap, reason=told.reason, at_ms=told.at_ms or books.now_ms,
        trusted_ms=told.trusted_ms,
    )  # fmt: skip
    books.desk.tell(config.tsp, "tsp.card", lambda _: changed)


# -- tokens ------------------------------------------------------------------------------------------------------------


def suspend_tokens(store: Store, tokens: Sequence[str], *, config: IssuerConfig, now_ms: int, reason: str = "OTHER") -> None:
    """Have tokens of our cards suspended by their references; raises NotFound for one that is none of ours."""
    _order(store, "tsp.issuer.suspend", tokens, config=config, now_ms=now_ms, reason=reason)


def resume_tokens(store: Store, tokens: Sequence[str], *, config: IssuerConfig, now_ms: int, reason: str = "OTHER") -> None:
    """Have our own suspension of tokens lifted; others' suspensions stay."""
    _order(store, "tsp.issuer.resume", tokens, config=config, now_ms=now_ms, reason=reason)


def delete_tokens(store: Store, tokens: Sequence[str], *, config: IssuerConfig, now_ms: int, reason: str = "OTHER") -> None:
    """Have tokens deleted for good."""
    _order(store, "tsp.issuer.delete", tokens, config=config, now_ms=now_ms, reason=reason)


def _order(store: Store, op: str, tokens: Sequence[str], *, config: IssuerConfig, now_ms: int, reason: str) -> None:
    with store.begin() as tx:
        books = IssuerBooks(tx, now_ms=now_ms, numbers=Sequencer(JOURNAL.table))
        order_tokens(books, op, tokens, config=config, reason=reason)
        books.save()


def order_tokens(books: IssuerBooks, op: str, tokens: Sequence[str], *, config: IssuerConfig, reason: str) -> None:
    """Put an order about tokens into the outbox; an order about the same ones that has not arrived is withdrawn."""
    if not 1 <= len(tokens) <= MOST:
        raise ConfigError(f"{len(tokens)} tokens: an order names 1 to {MOST}")
    books.tokens.load(BY_TOKEN, [(0, token) for token in tokens])
    if strangers := [token for token in tokens if books.tokens.find(BY_TOKEN, (0, token)) is None]:
        raise NotFound(f"token {strangers[0]}: is none of our cards'")
    for notice in books.desk.notices.select(_ON_THEIR_WAY, (config.tsp,)):
        if notice.op in ("tsp.issuer.suspend", "tsp.issuer.resume"):  # sent again later it would undo this one
            before = msgspec.json.decode(notice.body, type=requestor.ChangeToken)
            if set(before.tokens) <= set(tokens):
                notice.state = DONE
    change = requestor.ChangeToken(tokens=tuple(tokens), actor=Actor.ISSUER, reason=reason)
    books.desk.tell(config.tsp, op, lambda _: change)


_n = DESK.notices.table.c
_ON_THEIR_WAY: Final = Statement(
    DESK.notices.select().where(_n.receiver == bindparam("receiver"), _n.state == WAITING).order_by(_n.number), "receiver"
)
