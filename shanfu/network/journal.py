"""The journal: one row per transaction, under its interbank name, never removed.

It answers repeats, knows where an answer goes, and is what reconciliation and net positions read. A row's money counts while
it is APPROVED. While the issuer is asked, `kept` holds what a time-out needs of the request, sealed; afterwards it is empty,
so no card number stays longer than the question.

A token payment waits twice, first for the token service (`target` is `tsp`), then for the issuer. What the token stands for,
`behind`, is sealed into the row when the service has said it, and stays for `keep_account_days`, since a reversal must name
the account's card to the issuer. `card` and the bucket are the token's throughout.

A reversal has no row of its own: it changes its original's, or leaves a TOMBSTONE under the original's name.
"""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Index, bindparam

from shanfu.hosts import State, overdue
from shanfu.network.tables import METADATA
from shanfu.store import Shelf, Statement, book_of, open_index

__all__ = ["FORGETTABLE", "FORMAT", "JOURNAL", "OVERDUE", "JournalRow"]

FORMAT: Final = 1
MOST_OVERDUE: Final = 256  # time-outs worked in one tick: each writes a row and a reversal
MOST_FORGOTTEN: Final = 256  # rows rid of their account in one tick


@dataclass(slots=True)
class JournalRow:
    """One transaction. `origin` is the acquirer's station, `target` who was asked last; `balances`, `chip`: DE54, DE55.

    Of tokens only: `tsp`, the token service's station; `account`, the keyed hash of the PAN behind the token; `par`; `behind`,
    the PAN and what goes with it, sealed; `sealed` is 1 while it is there.
    """

    bucket: int
    seq: int
    format: int
    business_date: str
    batch: str
    institution: str
    currency: str
    name: str
    mti: str
    processing_code: str
    issuer: str
    rrn: str
    amount_minor: int
    card: str
    origin: str
    target: str
    state: str
    response_code: str
    reason: str
    auth_code: str
    balances: str = field(repr=False)
    chip: bytes = field(repr=False)
    kept: bytes = field(repr=False)
    deadline_ms: int
    arrived_ms: int
    tsp: str
    account: str
    par: str = field(repr=False)
    behind: bytes = field(repr=False)
    sealed: int

    @property
    def at_tsp(self) -> bool:
        """Whether the token service was asked last, and no issuer has heard of it."""
        return bool(self.tsp) and self.target == self.tsp


_TABLE: Final = book_of("journal", METADATA, JournalRow, "seq")
Index("journal_name", _TABLE.c.bucket, _TABLE.c.name, unique=True)
open_index("journal_waiting", _TABLE.c.deadline_ms, where=_TABLE.c.state == State.WAITING.value)
open_index("journal_sealed", _TABLE.c.business_date, where=_TABLE.c.sealed == 1)
JOURNAL: Final = Shelf(_TABLE, JournalRow)

OVERDUE: Final = overdue(JOURNAL, most=MOST_OVERDUE)
FORGETTABLE: Final = Statement(
    JOURNAL.select()
    .where(_TABLE.c.sealed == 1, _TABLE.c.business_date < bindparam("day"))
    .order_by(_TABLE.c.business_date)
    .limit(MOST_FORGOTTEN),
    "day",
)
