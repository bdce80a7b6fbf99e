"""The life of a payment application between two powers-on, as one table.

*Inert* until its name is selected. *Selected* it may be read and asked for one transaction (GET PROCESSING OPTIONS), which
makes it *initiated*: the cryptogram has left, records may be read, and a second transaction needs a new selection. A blocked
application can be selected, which the terminal is told, but then does no more than show its data. Selecting again starts
afresh; losing power or the selection of another application makes it inert. None of this survives power: what must is in
the memory (see `live.py`).

The contact flow has more steps. GET PROCESSING OPTIONS *opens* a transaction: records are read, the PIN verified, the card's
key proved. The first GENERATE AC makes it *online* (ARQC: the issuer is asked, its answer and scripts may come) or *ended*
(approved or declined by the card); the second makes it *completed*: nothing but the issuer's last scripts can follow.

Called by `application.py` alone. Sources: JR/T 0025.5 (application states), EMV Book 3 6 and 6.5.5, EMV Book 1 11.3.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from shanfu.errors import IllegalEvent

__all__ = ["TRANSITIONS", "Event", "State", "after"]


class State(StrEnum):
    """Where an application stands."""

    INERT = "inert"
    SELECTED = "selected"
    BLOCKED = "blocked"
    INITIATED = "initiated"
    OPENED = "opened"
    ONLINE = "online"
    ENDED = "ended"
    COMPLETED = "completed"


class Event(StrEnum):
    """What moves it."""

    SELECT = "selected by name"
    SELECT_BLOCKED = "selected by name while blocked"
    INITIATE = "transaction initiated"
    OPEN = "contact transaction opened"
    ASK_ISSUER = "first cryptogram: the issuer is asked"
    END = "first cryptogram: approved or declined"
    COMPLETE = "second cryptogram given"
    RESET = "power lost or another application selected"


# fmt: off
TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType({
    (State.INERT,     Event.SELECT):         State.SELECTED,
    (State.INERT,     Event.SELECT_BLOCKED): State.BLOCKED,
    (State.INERT,     Event.RESET):          State.INERT,
    (State.SELECTED,  Event.SELECT):         State.SELECTED,
    (State.SELECTED,  Event.SELECT_BLOCKED): State.BLOCKED,
    (State.SELECTED,  Event.INITIATE):       State.INITIATED,
    (State.SELECTED,  Event.OPEN):           State.OPENED,
    (State.SELECTED,  Event.RESET):          State.INERT,
    (State.BLOCKED,   Event.SELECT):         State.SELECTED,  # unblocked in between
    (State.BLOCKED,   Event.SELECT_BLOCKED): State.BLOCKED,
    (State.BLOCKED,   Event.RESET):          State.INERT,
    (State.INITIATED, Event.SELECT):         State.SELECTED,
    (State.INITIATED, Event.SELECT_BLOCKED): State.BLOCKED,   # its last transaction number is spent
    (State.INITIATED, Event.RESET):          State.INERT,
    (State.OPENED,    Event.SELECT):         State.SELECTED,
    (State.OPENED,    Event.SELECT_BLOCKED): State.BLOCKED,
    (State.OPENED,    Event.ASK_ISSUER):     State.ONLINE,
    (State.OPENED,    Event.END):            State.ENDED,
    (State.OPENED,    Event.RESET):          State.INERT,
    (State.ONLINE,    Event.SELECT):         State.SELECTED,
    (State.ONLINE,    Event.SELECT_BLOCKED): State.BLOCKED,
    (State.ONLINE,    Event.COMPLETE):       State.COMPLETED,
    (State.ONLINE,    Event.RESET):          State.INERT,
    (State.ENDED,     Event.SELECT):         State.SELECTED,
    (State.ENDED,     Event.SELECT_BLOCKED): State.BLOCKED,
    (State.ENDED,     Event.RESET):          State.INERT,
    (State.COMPLETED, Event.SELECT):         State.SELECTED,
    (State.COMPLETED, Event.SELECT_BLOCKED): State.BLOCKED,
    (State.COMPLETED, Event.RESET):          State.INERT,
})
# fmt: on


def after(state: State, event: Event) -> State:
    """Return the state that follows; `IllegalEvent` if the table has no such step.

    >>> after(State.SELECTED, Event.INITIATE)
    <State.INITIATED: 'initiated'>
    """
    following = TRANSITIONS.get((state, event))
    if following is None:
        raise IllegalEvent(f"{state}: no step for “{event}”", by="card")
    return following
