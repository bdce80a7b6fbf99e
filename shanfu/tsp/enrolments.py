"""Enrolments: one row for each request for a token, from the question to the verified holder, or to its end.

It remembers what the wallet, the service and the issuer said, which ways of ID&V are open and how many tries are left. Velocity
rules look back into these rows; so they are kept, and bear neither PAN nor code.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Index, bindparam

from shanfu.store import Shelf, Statement, book_of, open_index
from shanfu.tsp.tables import METADATA, PREFIX

__all__ = ["BY_ENROLLED", "ENROLMENTS", "OF_CARD", "OF_DEVICE", "OVERDUE", "EnrolmentRow", "EnrolmentState"]

BY_ENROLLED: Final = ("token",)
MOST_OVERDUE: Final = 64
MOST_LOOKED_AT: Final = 200  # rows that one velocity check reads: every bound of a rule is far below


class EnrolmentState(StrEnum):
    """Where an enrolment stands."""

    ASKED = "asked"  # the issuer has not answered yet
    OPEN = "open"  # the holder is to be verified
    DONE = "done"
    DECLINED = "declined"
    FAILED = "failed"  # ID&V failed, or its time is over
    DROPPED = "dropped"  # the issuer was silent, or the token was deleted before


@dataclass(slots=True)
class EnrolmentRow:
    """One request. `decision` is a colour, `reasons` are words between spaces, `options` the ways of ID&V left, as JSON."""

    bucket: int
    token: str
    trid: str
    issuer: str
    card: str
    customer: str
    device: str
    device_model: str
    attested: int
    wallet_colour: str
    service_colour: str
    issuer_colour: str
    decision: str
    reasons: str
    options: bytes
    method: str
    sends: int
    tries_left: int
    terms: str
    terms_accepted_ms: int
    state: str
    at_ms: int
    deadline_ms: int


_TABLE: Final = book_of(f"{PREFIX}enrolments", METADATA, EnrolmentRow, "token")
Index(f"{PREFIX}enrolments_token", _TABLE.c.token, unique=True)
Index(f"{PREFIX}enrolments_card", _TABLE.c.issuer, _TABLE.c.card, _TABLE.c.at_ms)
Index(f"{PREFIX}enrolments_device", _TABLE.c.device, _TABLE.c.at_ms)
_WAITING: Final = _TABLE.c.state.in_((EnrolmentState.ASKED.value, EnrolmentState.OPEN.value))
open_index(f"{PREFIX}enrolments_waiting", _TABLE.c.deadline_ms, where=_WAITING)
ENROLMENTS: Final = Shelf(_TABLE, EnrolmentRow)

_of_card = ENROLMENTS.select().where(
    _TABLE.c.issuer == bindparam("issuer"), _TABLE.c.card == bindparam("card"), _TABLE.c.at_ms >= bindparam("after_ms")
)
OF_CARD: Final = Statement(_of_card.order_by(_TABLE.c.at_ms.desc()).limit(MOST_LOOKED_AT), "issuer", "card", "after_ms")
_of_device = ENROLMENTS.select().where(_TABLE.c.device == bindparam("device"), _TABLE.c.at_ms >= bindparam("after_ms"))
OF_DEVICE: Final = Statement(_of_device.order_by(_TABLE.c.at_ms.desc()).limit(MOST_LOOKED_AT), "device", "after_ms")
_overdue = ENROLMENTS.select().where(_WAITING, _TABLE.c.deadline_ms <= bindparam("now_ms"))
OVERDUE: Final = Statement(_overdue.order_by(_TABLE.c.deadline_ms).limit(MOST_OVERDUE), "now_ms")
