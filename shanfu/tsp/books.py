"""The token service's books as one turn sees them: loaded by key, changed in memory, saved in bulk.

Whoever works on the rows never speaks to the database. The member's part (keys, link, closed days) and the desk's (answers,
questions, notices) are those of every host; the rest is the vault, the registry, enrolments, the diary, key sets and payments.
"""

from pathlib import Path
from typing import Final

from shanfu.events import Event
from shanfu.hosts import LOOKUP, SEAL, DeskBooks, DeskShelves, MemberBooks, MemberShelves
from shanfu.store import Schema, Transaction
from shanfu.tsp.diary import DIARY
from shanfu.tsp.enrolments import BY_ENROLLED, ENROLMENTS, EnrolmentRow
from shanfu.tsp.history import HISTORY
from shanfu.tsp.key_sets import COUNTERS, KEY_SETS
from shanfu.tsp.requestors import BY_ISSUER, BY_TRID, RANGES, REQUESTORS, RangeRow, RequestorRow
from shanfu.tsp.tables import METADATA, PREFIX
from shanfu.tsp.vault import BY_CARD, BY_TOKEN, CARDS, PARS, TOKENS, CardRow, TokenRow

__all__ = ["DESK", "SCHEMA", "SHELVES", "TSPBooks"]

SHELVES: Final = MemberShelves(METADATA, PREFIX)
DESK: Final = DeskShelves(METADATA, PREFIX)
SCHEMA: Final = Schema(party="tsp", metadata=METADATA, migrations=Path(__file__).with_name("migrations"))


class TSPBooks(MemberBooks):
    """The rows of one turn."""

    __slots__ = (
        "cards",
        "counters",
        "desk",
        "diary",
        "enrolments",
        "history",
        "key_sets",
        "pars",
        "ranges",
        "requestors",
        "tokens",
        "told",
    )  # fmt: skip

    def __init__(self, tx: Transaction, *, now_ms: int) -> None:
        super().__init__(SHELVES, tx, now_ms=now_ms)
        self.desk = DeskBooks(DESK, tx, now_ms=now_ms)
        self.requestors, self.ranges = REQUESTORS.open(tx), RANGES.open(tx)
        self.tokens, self.cards, self.pars = TOKENS.open(tx), CARDS.open(tx), PARS.open(tx)
        self.enrolments, self.diary = ENROLMENTS.open(tx), DIARY.open(tx)
        self.key_sets, self.counters, self.history = KEY_SETS.open(tx), COUNTERS.open(tx), HISTORY.open(tx)
        self.told: list[Event] = []  # what those who watch are told once this turn is durable
        self.keys.load([LOOKUP, SEAL])

    def save(self) -> None:
        """Write every changed and added row through the transaction."""
        super().save()
        self.desk.save()
        for book in (
            self.requestors, self.ranges, self.tokens, self.cards, self.pars, self.enrolments, self.diary,
            self.key_sets, self.counters, self.history,
        ):  # fmt: skip
            book.save()

    def token(self, reference: str) -> TokenRow | None:
        """Fetch a token by its reference."""
        self.tokens.load(BY_TOKEN, [reference])
        return self.tokens.find(BY_TOKEN, reference)

    def enrolled(self, reference: str) -> tuple[TokenRow | None, EnrolmentRow | None]:
        """Fetch a token and its enrolment."""
        self.enrolments.load(BY_ENROLLED, [reference])
        return self.token(reference), self.enrolments.find(BY_ENROLLED, reference)

    def requestor(self, trid: str) -> RequestorRow | None:
        """Fetch a requestor."""
        self.requestors.load(BY_TRID, [trid])
        return self.requestors.find(BY_TRID, trid)

    def card(self, issuer: str, card: str) -> CardRow | None:
        """Fetch the card behind tokens by its issuer's reference."""
        self.cards.load(BY_CARD, [(issuer, card)])
        return self.cards.find(BY_CARD, (issuer, card))

    def tokens_of_card(self, issuer: str, card: str) -> list[TokenRow]:
        """Fetch every token of a card, in whatever state."""
        return self.tokens.load(BY_CARD, [(issuer, card)])

    def ranges_of(self, issuer: str) -> list[RangeRow]:
        """Fetch the token ranges of an issuer."""
        return self.ranges.load(BY_ISSUER, [issuer])
