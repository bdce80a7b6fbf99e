"""One-time codes and logins' assertions: what a cardholder proves himself with, kept as keyed hashes.

A code belongs to one enrolment (its token's reference), an assertion to one customer until an enrolment has used it up. Neither
can be read here by anybody: the code in clear is in the message that carries it (`sms`), the assertion with who has logged in.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import Index, bindparam

from shanfu.issuer.tables import METADATA
from shanfu.store import Shelf, Statement, book_of

__all__ = [
    "ASSERTIONS", "BY_ASSERTION", "BY_ENROLMENT", "CODES", "OLD_ASSERTIONS", "SENT_FOR_CARD", "AssertionRow", "CodeRow",
    "CodeState",
]  # fmt: skip

BY_ENROLMENT: Final = ("bucket", "token")
BY_ASSERTION: Final = ("bucket", "assertion")
MOST_OLD: Final = 64  # rows that one tick forgets


class CodeState(StrEnum):
    """What became of a code."""

    OPEN = "open"
    REPLACED = "replaced"
    USED = "used"


@dataclass(slots=True)
class CodeRow:
    """One code that was sent for an enrolment, the first of it has number 1; `message` is the row of `sms` that carries it."""

    bucket: int
    token: str
    number: int
    card: str
    method: str
    digest: str = field(repr=False)
    message: str
    state: str
    sent_ms: int
    expires_ms: int


@dataclass(slots=True)
class AssertionRow:
    """A login that may prove its customer once: `assertion` is a keyed hash, `token` the enrolment that has used it."""

    bucket: int
    assertion: str = field(repr=False)
    customer: str
    token: str
    at_ms: int
    expires_ms: int


_CODES: Final = book_of("codes", METADATA, CodeRow, "token", "number")
Index("codes_card", _CODES.c.card, _CODES.c.sent_ms)
CODES: Final = Shelf(_CODES, CodeRow)
_c = CODES.table.c
_of_card = CODES.select().where(_c.card == bindparam("card"), _c.sent_ms > bindparam("since_ms"))
SENT_FOR_CARD: Final = Statement(_of_card.order_by(_c.sent_ms), "card", "since_ms")

_ASSERTIONS: Final = book_of("assertions", METADATA, AssertionRow, "assertion")
Index("assertions_age", _ASSERTIONS.c.expires_ms)
ASSERTIONS: Final = Shelf(_ASSERTIONS, AssertionRow)
_a = ASSERTIONS.table.c
_old = ASSERTIONS.select().where(_a.expires_ms <= bindparam("now_ms"))
OLD_ASSERTIONS: Final = Statement(_old.order_by(_a.expires_ms).limit(MOST_OLD), "now_ms")
