"""What would change under another policy: past traffic judged again, before the policy is put into force.

Payments are taken from the journal in the order in which they came, and judged by the same checks as in life, on what the
journal keeps of them: amount, currency, the day's sums and counts as they would have grown, the age of a refund's payment. What
it does not keep is left as it was: chip data, PIN tries, and how much money was there; so a payment that an old limit refused
and no new one does counts as approved, though the account might not have had the money. Requests for tokens are judged again on
the question as it came and the card as it was found then.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import bindparam

from shanfu.hosts import BY_NAME, State
from shanfu.iso8583 import InterbankFrame, InterbankHeader, Message
from shanfu.issuer.accounts import Account, AccountState
from shanfu.issuer.cards import BY_REFERENCE, CARDS, newest
from shanfu.issuer.checks import Check, Facts, account_open, day_count, day_limit, transaction_limit
from shanfu.issuer.eligibility import Mark, TokenFacts, colour_of, marks_of
from shanfu.issuer.journal import JOURNAL, JournalRow
from shanfu.issuer.originals import recent
from shanfu.issuer.policy import Policy
from shanfu.issuer.reasons import Reason
from shanfu.issuer.requests import Kind, Request
from shanfu.issuer.tokens import TOKENS
from shanfu.messages import issuing
from shanfu.store import Book, Statement, Store

__all__ = ["DryRun", "dry_run"]

PAGE: Final = 2_000  # journal rows in memory at once
PAID: Final = frozenset((State.APPROVED.value, State.REVERSED.value))
PAYMENT: Final[tuple[Check, ...]] = (account_open, transaction_limit, day_limit, day_count)
BY_LIMITS: Final = frozenset((Reason.DAY_LIMIT_EXCEEDED.name, Reason.COUNT_EXCEEDED.name, Reason.TRANSACTION_LIMIT.name))
_OF_CARD: Final = frozenset((  # what depends on the card as it was: not judged again
    Mark.CARD_BLOCKED, Mark.CARD_CLOSED, Mark.CARD_EVENT_RECENT, Mark.CARD_EXPIRED, Mark.CARD_LOST, Mark.CARD_UNKNOWN,
    Mark.PIN_LOCKED,
))  # fmt: skip


@dataclass(slots=True)
class DryRun:
    """What came out: how many were judged, and each change (before, after) with its number. Names are those of reasons."""

    payments: int = 0
    refunds: int = 0
    requests: int = 0
    changed: Counter[tuple[str, str]] = field(default_factory=Counter)  # of payments and refunds: reason before, after
    recoloured: Counter[tuple[str, str]] = field(default_factory=Counter)  # of requests for tokens: colour before, after
    marked: Counter[str] = field(default_factory=Counter)  # marks that requests would get and did not

    def lines(self) -> list[str]:
        """Return the report as a person reads it, largest change first."""
        judged = f"{self.payments} payments, {self.refunds} refunds, {self.requests} requests for tokens judged again"
        told = [judged]
        for what, changes in (("payments and refunds", self.changed), ("requests", self.recoloured)):
            told += [f"{number} {what}: {before} -> {after}" for (before, after), number in changes.most_common()]
        told += [f"{number} requests: newly marked {mark}" for mark, number in self.marked.most_common()]
        return told if len(told) > 1 else [*told, "nothing would change"]


def dry_run(store: Store, policy: Policy | Path, *, since: str = "", until: str = "99999999") -> DryRun:
    """Judge past traffic again under this policy (or the file of one), of business dates `since` to `until` (YYYYMMDD).

    Only reads, so the books may be a running host's, opened `read_only`. Raises ConfigError for a policy that is none.
    """
    rules = Policy.load(policy) if isinstance(policy, Path) else policy
    found = DryRun()
    with store.begin() as tx:
        book, days = JOURNAL.open(tx), dict[str, Account]()
        for page in _pages(book, since, until):
            book.load(BY_NAME, [(row.bucket, row.original) for row in page if row.original])
            for row in page:
                if row.processing_code == "000000" and row.mti.startswith("020"):
                    _payment(found, row, rules, days=days)
                elif row.mti.startswith("022") and row.original:
                    _refund(found, row, rules, paid=book.find(BY_NAME, (row.bucket, row.original)))
        tokens, cards = TOKENS.open(tx).select(_REQUESTS), CARDS.open(tx)
        cards.load(BY_REFERENCE, [row.card for row in tokens])
        for token in tokens:
            asked = msgspec.json.decode(token.asked, type=issuing.JudgeCard)
            card = next(iter(newest(cards.all(BY_REFERENCE, token.card))), None)
            product = rules.tokens.products.get(card.product) if card else None
            facts = TokenFacts(
                asked=asked, policy=rules, now_ms=token.asked_ms, month="0000", card=card, owned=True, customer=None,
                product=product, tokens=(),
            )  # fmt: skip
            _request(found, facts, token.colour, {Mark[name] for name in token.reasons.split()})
    return found


_j = JOURNAL.table.c
_PAGE: Final = Statement(
    JOURNAL.select()
    .where(
        (_j.bucket > bindparam("bucket")) | ((_j.bucket == bindparam("bucket")) & (_j.seq > bindparam("seq"))),
        _j.business_date >= bindparam("since"), _j.business_date <= bindparam("until"), _j.state != State.TOMBSTONE.value,
    )
    .order_by(_j.bucket, _j.seq)
    .limit(PAGE),
    "bucket", "seq", "since", "until",
)  # fmt: skip
_t = TOKENS.table.c
_REQUESTS: Final = Statement(TOKENS.select().where(_t.colour != "").order_by(_t.asked_ms))


def _pages(book: Book[JournalRow], since: str, until: str) -> Iterator[list[JournalRow]]:
    bucket, seq = -1, 0
    while page := book.select(_PAGE, (bucket, seq, since, until)):
        yield page
        bucket, seq = page[-1].bucket, page[-1].seq


# -- payments ----------------------------------------------------------------------------------------------------------


def _payment(found: DryRun, row: JournalRow, policy: Policy, *, days: dict[str, Account]) -> None:
    found.payments += 1
    before = Reason.APPROVED.name if row.state in PAID else row.reason
    if before != Reason.APPROVED.name and before not in BY_LIMITS:
        return  # what refused it then is not judged here
    account = days.get(row.account) or days.setdefault(row.account, _account(row))
    facts = _facts(row, policy, Kind.PURCHASE)
    facts.account = account
    after = next((reason.name for check in PAYMENT if (reason := check(facts)) is not None), Reason.APPROVED.name)
    if after == Reason.APPROVED.name and row.state != State.REVERSED and not row.undone_by:
        account.count(row.business_date, row.amount_minor)
    if after != before:
        found.changed[before, after] += 1


def _account(row: JournalRow) -> Account:
    """An account that has nothing but its counters."""
    open_ = AccountState.OPEN.value
    return Account(row.bucket, row.account, "", "", row.currency, "", open_, 0, 0, 0, "", 0, 0, 0)


def _refund(found: DryRun, row: JournalRow, policy: Policy, *, paid: JournalRow | None) -> None:
    found.refunds += 1
    before = Reason.APPROVED.name if row.state in PAID else row.reason
    if paid is None or before not in (Reason.APPROVED.name, Reason.ORIGINAL_TOO_OLD.name):
        return
    facts = _facts(row, policy, Kind.REFUND)
    facts.original = paid
    after = (recent(facts) or Reason.APPROVED).name
    if after != before:
        found.changed[before, after] += 1


_NO_FRAME: Final = InterbankFrame(InterbankHeader(destination="00000000", source="00000000"), Message("0200", {}))


def _facts(row: JournalRow, policy: Policy, kind: Kind) -> Facts:
    request = Request(
        _NO_FRAME, kind, row.name, "", row.amount_minor, row.currency, row.business_date, row.institution, "", "",
        row.original, None, None, "",
    )  # fmt: skip
    return Facts(request, policy, row.arrived_ms)


# -- requests for tokens -----------------------------------------------------------------------------------------------


def _request(found: DryRun, facts: TokenFacts, before: str, marks: set[Mark]) -> None:
    found.requests += 1
    kept = [mark for mark in marks if mark in _OF_CARD]
    now = [*kept, *(mark for mark in marks_of(facts) if mark not in _OF_CARD)]
    colour = colour_of(now, facts).value
    if colour != before:
        found.recoloured[before, colour] += 1
    for mark in now:
        if mark not in marks:
            found.marked[mark.name] += 1
