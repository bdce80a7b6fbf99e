"""Cards: the sealed PAN and its look-up, what state the card is in, how its PIN and its cryptograms are checked.

A card is found by the keyed hash of its PAN; the number itself lies sealed and is opened for administration and for the token
service alone, since a request brings the PAN with it. The ATC here is the last one whose cryptogram was right.

Outside the bank a card is named by its `reference`, which says nothing and outlives the number: a card that replaces another
takes its reference over, one `generation` later. Old numbers keep their rows, since refunds still name them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from sqlalchemy import Index

from shanfu.hsm import Algorithm
from shanfu.issuer.reasons import Reason
from shanfu.issuer.tables import METADATA
from shanfu.store import Shelf, book_of

__all__ = ["BY_CARD", "BY_GROUP", "BY_REFERENCE", "CARDS", "Card", "CardState", "imk_label", "newest"]

BY_CARD: Final = ("card",)
BY_GROUP: Final = ("account_group",)
BY_REFERENCE: Final = ("reference",)


class CardState(StrEnum):
    """What the bank says of a card, and with which reason it refuses one that is not active."""

    refusal: Reason | None

    def __new__(cls, name: str, refusal: Reason | None) -> "CardState":
        """Build a row of the table."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.refusal = refusal
        return member

    # fmt: off
    ACTIVE   = "active",   None
    BLOCKED  = "blocked",  Reason.CARD_BLOCKED
    CLOSED   = "closed",   Reason.CARD_CLOSED
    EXPIRED  = "expired",  Reason.CARD_EXPIRED
    INACTIVE = "inactive", Reason.CARD_INACTIVE
    LOST     = "lost",     Reason.CARD_LOST
    STOLEN   = "stolen",   Reason.CARD_STOLEN
    # fmt: on


REFUSALS: Final = {state.value: state.refusal for state in CardState}


@lru_cache(maxsize=4096)  # asked for every cryptogram; a byte of DKI, two algorithms, some families
def imk_label(family: str, algorithm: Algorithm, dki: int, *, use: str = "ac") -> str:
    """Return the label of the master key that a card's 9F10 points to: the card's family, its algorithm byte and DKI.

    `use` is ac for cryptograms, mac and enc for the scripts of the same cards.

    >>> imk_label("debit", Algorithm.SM4, 1)
    'imk-ac/debit/sm4/01'
    """
    return f"imk-{use}/{family}/{algorithm.name.lower()}/{dki:02X}"


@dataclass(slots=True)
class Card:
    """One card. `card` is the keyed hash of the PAN, `masked` what people see, `algorithms` names of `Algorithm`, spaced.

    `event_ms` is when something last happened to it that its holder should be asked about: lost, stolen, found, replaced.
    """

    bucket: int
    card: str
    account_group: str
    pan_sealed: bytes = field(repr=False)
    masked: str
    psn: str
    expiry: str
    state: str
    product: str
    imk_family: str
    algorithms: str
    pvki: str
    pvv: str = field(repr=False)
    pin_tries_left: int
    atc: int
    reference: str
    generation: int
    event_ms: int
    since_ms: int

    @property
    def refusal(self) -> Reason | None:
        """The reason to refuse a card in this state, None for an active one."""
        return REFUSALS[self.state]


_TABLE: Final = book_of("cards", METADATA, Card, "card")
Index("cards_card", _TABLE.c.card, unique=True)
Index("cards_group", _TABLE.c.account_group)
Index("cards_reference", _TABLE.c.reference)
CARDS: Final = Shelf(_TABLE, Card)


def newest(cards: Iterable[Card]) -> list[Card]:
    """Return of each reference the card that is in use now."""
    latest: dict[str, Card] = {}
    for card in sorted(cards, key=lambda card: card.generation):
        latest[card.reference] = card
    return list(latest.values())
