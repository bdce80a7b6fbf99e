"""The life of a payment application between two powers-on, as one table.

*Inert* until its name is selected. *Selected* it may be read and asked for one transaction (GET PROCESSING OPTIONS), which
makes it *initiated*: the cryptogram has left, records may be read, and a second transaction needs a new selection. A blocked
application can be selected, which the terminal is told, but then does no more than show its data. Selecting again starts
afresh; losing power or the selection of another application makes it inert. None of this survives power: what must is in
the memory (see `live.py`).

Called by `application.py` alone. Sources: JR/T 0025.5 (application states), EMV Book 3 6, EMV Book 1 11.3.
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


class Event(StrEnum):
    """What moves it."""

    SELECT = "selected by name"
    SELECT_BLOCKED = "selected by name while blocked"
    INITIATE = "transaction initiated"
    RESET = "power lost or another application selected"


# fmt: off
TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType({
    (State.INERT,     Event.SELECT):         State.SELECTED,
    (State.INERT,     Event.SELECT_BLOCKED): State.BLOCKED,
    (State.INERT,     Event.RESET):          State.INERT,
    (State.SELECTED,  Event.SELECT):         State.SELECTED,
    (State.SELECTED,  Event.SELECT_BLOCKED): State.BLOCKED,
    (State.SELECTED,  Event.INITIATE):       State.INITIATED,
    (State.SELECTED,  Event.RESET):          State.INERT,
    (State.BLOCKED,   Event.SELECT):         State.SELECTED,  # unblocked in between
    (State.BLOCKED,   Event.SELECT_BLOCKED): State.BLOCKED,
    (State.BLOCKED,   Event.RESET):          State.INERT,
    (State.INITIATED, Event.SELECT):         State.SELECTED,
    (State.INITIATED, Event.SELECT_BLOCKED): State.BLOCKED,   # its last transaction number is spent
    (State.INITIATED, Event.RESET):          State.INERT,
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
