"""Store-and-forward: what was accepted by commit and must reach a member, however long that takes.

Reversals, refunds, offline approvals and script results on their way to issuers, the network's own reversals, how token
payments ended on its way to the token service, and the cut-off's news to every member. A row is OPEN until its answer ends it;
DONE rows stay, since they answer the sender's repeats. `kept` is the message, sealed, and empty once nothing is to be sent any
more. A DEAD row is a dead letter: it was refused too often, cannot be opened, or is a refund that its issuer finally refused;
somebody has to look at it, and nobody waits behind it.

One name may be two items, to the token service and to the issuer: each is acknowledged on its own. A token's refund goes to the
service first, and with its answer turns to the issuer.

Items of one card to one member keep their order: a later one waits until the earlier ones have ended. Other cards pass.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import Index, bindparam, exists, update

from shanfu.network.tables import METADATA
from shanfu.store import Shelf, Statement, book_of, open_index

__all__ = [
    "BY_FORWARD_NAME", "DUE_FORWARDS", "FORWARDS", "HURRY", "Carried", "ForwardRow", "stan_of",
]  # fmt: skip

BY_FORWARD_NAME: Final = ("bucket", "name")
MOST_DUE: Final = 64  # items sent to one member in one tick


class Carried(StrEnum):
    """Where an item stands."""

    OPEN = "OPEN"
    DONE = "DONE"
    DEAD = "DEAD"


@dataclass(slots=True)
class ForwardRow:
    """One item. `original`: the journal row it is about; `origin`: who sent it ("": we), `response_code`: what they got."""

    bucket: int
    seq: int
    name: str
    mti: str
    target: str
    card: str
    original: str
    origin: str
    business_date: str
    currency: str
    amount_minor: int
    response_code: str
    reason: str
    state: str
    attempts: int
    refusals: int
    last_code: str
    next_ms: int
    kept: bytes = field(repr=False)
    arrived_ms: int


_TABLE: Final = book_of("forwards", METADATA, ForwardRow, "seq")
_OPEN: Final = _TABLE.c.state == Carried.OPEN.value
Index("forwards_name", _TABLE.c.bucket, _TABLE.c.name, _TABLE.c.target, unique=True)
open_index("forwards_card", _TABLE.c.target, _TABLE.c.card, _TABLE.c.seq, where=_OPEN)
open_index("forwards_open", _TABLE.c.target, _TABLE.c.next_ms, where=_OPEN)
FORWARDS: Final = Shelf(_TABLE, ForwardRow)

_EARLIER: Final = _TABLE.alias("earlier")
_BLOCKED: Final = exists().where(
    _EARLIER.c.state == Carried.OPEN.value,
    _EARLIER.c.target == _TABLE.c.target,
    _EARLIER.c.card == _TABLE.c.card,
    _EARLIER.c.seq < _TABLE.c.seq,
)
DUE_FORWARDS: Final = Statement(
    FORWARDS.select()
    .where(_OPEN, _TABLE.c.target == bindparam("target"), _TABLE.c.next_ms <= bindparam("now_ms"), ~_BLOCKED)
    .order_by(_TABLE.c.next_ms, _TABLE.c.seq)
    .limit(MOST_DUE),
    "target",
    "now_ms",
)
HURRY: Final = Statement(
    update(_TABLE).where(_OPEN, _TABLE.c.target == bindparam("station")).values(next_ms=bindparam("now_ms")),
    "now_ms",
    "station",
)


def stan_of(seq: int) -> str:
    """Return DE11 for a message of our own: unique within the second that DE7 names, also over a restart.

    >>> stan_of((1_234_567 << 20) + 8)
    '567008'
    """
    return f"{(seq >> 20) % 1000:03d}{(seq & 0xFFFFF) % 1000:03d}"
