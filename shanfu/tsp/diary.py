"""The diary: one row for each change of a token's life, written in the transaction that made it, never changed.

It says what happened, who did it over which channel and why, and the state before and after. Customer service reads it
(`admin.events_of`), and so does whoever must explain a token that does not pay.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Index, bindparam

from shanfu.store import Sequencer, Shelf, Statement, book_of
from shanfu.tsp.tables import METADATA, PREFIX

__all__ = ["DIARY", "NUMBERS", "OF_TOKEN", "Channel", "DiaryRow"]

MOST_READ: Final = 500  # a token lives some years; its changes are a few dozen


class Channel(StrEnum):
    """How a change came to us."""

    REQUESTOR = "requestor"
    ISSUER = "issuer"
    CARD = "card"  # the issuer told of a card, not of a token
    ADMIN = "admin"
    RISK = "risk"
    CLOCK = "clock"
    PAYMENT = "payment"


@dataclass(slots=True)
class DiaryRow:
    """One change. `before` and `after` are states, `suspended_before` and `suspended_after` the sets, between spaces."""

    bucket: int
    seq: int
    token: str
    version: int
    event: str
    result: str
    actor: str
    channel: str
    reason: str
    before: str
    after: str
    suspended_before: str
    suspended_after: str
    at_ms: int


_TABLE: Final = book_of(f"{PREFIX}diary", METADATA, DiaryRow, "seq")
Index(f"{PREFIX}diary_token", _TABLE.c.token, _TABLE.c.seq)
DIARY: Final = Shelf(_TABLE, DiaryRow)
NUMBERS: Final = Sequencer(_TABLE)
_of_token = DIARY.select().where(_TABLE.c.token == bindparam("token"))
OF_TOKEN: Final = Statement(_of_token.order_by(_TABLE.c.seq).limit(MOST_READ), "token")
