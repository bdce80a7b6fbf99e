"""The issuer's books as one turn sees them: loaded by key, changed in memory, saved in bulk.

`load` fetches what a batch of requests needs, one query per table; `save` writes what was changed or added. Whoever works on
the rows never speaks to the database.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shanfu.hosts import BY_NAME, DeskBooks, DeskShelves, MemberBooks, MemberShelves
from shanfu.issuer.accounts import ACCOUNTS, BY_ACCOUNT, Account, account_name, cash_group
from shanfu.issuer.cards import BY_CARD, CARDS, Card
from shanfu.issuer.certificates import BY_COUNTER, CERTIFICATES, CertificateRow
from shanfu.issuer.codes import ASSERTIONS, CODES
from shanfu.issuer.customers import CUSTOMERS
from shanfu.issuer.journal import JOURNAL, JournalRow
from shanfu.issuer.ledger import ENTRIES
from shanfu.issuer.requests import Kind, Request
from shanfu.issuer.scripts import OF_CARD, SCRIPTS, ScriptRow
from shanfu.issuer.sms import SMS
from shanfu.issuer.tables import METADATA
from shanfu.issuer.tokens import HEARD, TOKENS
from shanfu.store import Schema, Sequencer, Transaction, bucket_of

__all__ = ["DESK", "SCHEMA", "SHELVES", "IssuerBooks"]

SHELVES: Final = MemberShelves(METADATA)
DESK: Final = DeskShelves(METADATA)
SCHEMA: Final = Schema(party="issuer", metadata=METADATA, migrations=Path(__file__).with_name("migrations"))


class IssuerBooks(MemberBooks):
    """The rows of one turn."""

    __slots__ = (
        "_numbers", "accounts", "assertions", "cards", "certificates", "codes", "customers", "desk", "entries", "heard",
        "journal", "logins", "scripts", "sms", "tokens",
    )  # fmt: skip

    def __init__(self, tx: Transaction, *, now_ms: int, numbers: Sequencer) -> None:
        super().__init__(SHELVES, tx, now_ms=now_ms)
        self._numbers = numbers
        self.customers = CUSTOMERS.open(tx)
        self.cards = CARDS.open(tx)
        self.accounts = ACCOUNTS.open(tx)
        self.journal = JOURNAL.open(tx)
        self.entries = ENTRIES.open(tx)
        self.desk = DeskBooks(DESK, tx, now_ms=now_ms)
        self.tokens, self.heard, self.sms = TOKENS.open(tx), HEARD.open(tx), SMS.open(tx)
        self.codes, self.assertions = CODES.open(tx), ASSERTIONS.open(tx)
        self.certificates, self.scripts = CERTIFICATES.open(tx), SCRIPTS.open(tx)
        self.logins = 0  # passwords that this turn has tried

    def save(self) -> None:
        """Write every changed and added row through the transaction."""
        super().save()
        self.desk.save()
        for book in (
            self.customers, self.cards, self.accounts, self.journal, self.entries,
            self.tokens, self.heard, self.sms, self.codes, self.assertions,
            self.certificates, self.scripts,
        ):  # fmt: skip
            book.save()

    def next_seq(self) -> int:
        """Return the number of the next journal row."""
        return self._numbers.next(self.tx, now_ms=self.now_ms)

    def load(self, requests: Sequence[Request], buckets: int) -> None:
        """Fetch cards, journal rows and accounts of these requests, whose `card` is set.

        Orders for cards are read for those that are inserted, and for results; booked certificates for offline approvals.
        """
        self.cards.load(BY_CARD, [request.card for request in requests])
        names = []
        for request in requests:
            bucket = self.bucket(request, buckets)
            names.append((bucket, request.name))
            if request.original:
                names.append((bucket, request.original))
        found = self.journal.load(BY_NAME, names)
        # a reversed void gives its payment back: the original's original
        found += self.journal.load(BY_NAME, [(row.bucket, row.original) for row in found if row.original])
        self.cards.load(BY_CARD, [row.card for row in found])  # of a card that was replaced since, an old number
        wanted = [(row.bucket, row.account) for row in found if row.account]
        for request in requests:
            if card := self.card(request):
                wanted.append((card.bucket, account_name(card.account_group, request.currency)))
        if more := [request for request in requests if request.scripted or request.kind is Kind.OFFLINE]:
            wanted += self._load_more(more)
        self.accounts.load(BY_ACCOUNT, wanted)

    def _load_more(self, requests: Sequence[Request]) -> list[tuple[int, str]]:
        """Fetch what few requests need; return the e-cash accounts that are needed besides."""
        ours = [(request, card) for request in requests if (card := self.card(request))]
        if inserted := [(card.bucket, card.card) for request, card in ours if request.scripted]:
            self.scripts.load(OF_CARD, inserted)
        if spent := [key for request in requests if (key := self._counter(request)) is not None]:
            self.certificates.load(BY_COUNTER, spent)
        return [(card.bucket, cash_name(request, card)) for request, card in ours if request.kind is Kind.OFFLINE]

    def orders(self, request: Request) -> list[ScriptRow]:
        """What the request's card is ordered to run, and was."""
        card = self.card(request)
        return self.scripts.all(OF_CARD, (card.bucket, card.card)) if card and request.scripted else []

    def certificate(self, request: Request) -> CertificateRow | None:
        """The booking of the certificate that the request brings, if it was booked before."""
        key = self._counter(request)
        return self.certificates.find(BY_COUNTER, key) if key else None

    def cash(self, request: Request) -> Account | None:
        """The e-cash account of the request's card in its currency."""
        card = self.card(request)
        return self.account(card.bucket, cash_name(request, card)) if card else None

    def _counter(self, request: Request) -> tuple[int, str, str, int] | None:
        card = self.card(request) if request.kind is Kind.OFFLINE else None
        return (card.bucket, card.card, request.psn or card.psn, request.chip.atc) if card and request.chip else None

    def card(self, request: Request) -> Card | None:
        """The request's card, if it is ours."""
        return self.cards.find(BY_CARD, request.card)

    def bucket(self, request: Request, buckets: int) -> int:
        """Where the request's rows lie: with its card; an unknown card's refusal lies by its hash."""
        card = self.card(request)
        return card.bucket if card else bucket_of(request.card, buckets)

    def row(self, bucket: int, name: str) -> JournalRow | None:
        """A journal row by the interbank name; it was loaded."""
        return self.journal.find(BY_NAME, (bucket, name)) if name else None

    def account(self, bucket: int, name: str) -> Account | None:
        """An account by its name; it was loaded."""
        return self.accounts.find(BY_ACCOUNT, (bucket, name))


def cash_name(request: Request, card: Card) -> str:
    """Return the name of the card's e-cash account in the request's currency."""
    return account_name(cash_group(card.account_group, card.card), request.currency)
