"""The life of a token, as one table: what each event does in each state, and the set of those who have suspended it.

A token is asked for (REQUESTED) and either declined or created; until its holder is verified it is INACTIVE. ACTIVE is the one
state that pays. Whoever suspends joins a set, and lifts only his own suspension: the token is ACTIVE again when the set is
empty. It EXPIRES by the clock, keeping the set, and renewal brings it back to where the set says. DEACTIVATED and DECLINED are
ends. A repeat is no fault: it is a *noop*, so that whoever has lost an answer may ask again.

`step` is pure; `changes` applies it to rows, writes it down and tells the others. Names are those of the life cycle's vectors;
the form follows public documents of token services, since JR/T 0149 has no public list.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

from shanfu.messages import Actor, LifeCycleEvent, TokenState

__all__ = ["ENDS", "TRANSITIONS", "Outcome", "Result", "Rule", "Set", "Step", "step"]


class Outcome(StrEnum):
    """Whether an event did something, found it done, or was refused; only `ok` changes anything."""

    OK = "ok"
    NOOP = "noop"
    REJECT = "reject"


class Result(StrEnum):
    """What became of an event, as the answers to it say."""

    ALREADY_DONE = "ALREADY_DONE"
    KEYS_REPLENISHED = "KEYS_REPLENISHED"
    NOT_SUSPENDED_BY_YOU = "NOT_SUSPENDED_BY_YOU"
    SUSPENSION_REASON_REMOVED = "SUSPENSION_REASON_REMOVED"
    TERMINAL_STATE = "TERMINAL_STATE"
    TOKEN_ACTIVATED = "TOKEN_ACTIVATED"  # noqa: S105  # a word of the trade
    TOKEN_CREATED = "TOKEN_CREATED"  # noqa: S105
    TOKEN_DEACTIVATED = "TOKEN_DEACTIVATED"  # noqa: S105
    TOKEN_DECLINED = "TOKEN_DECLINED"  # noqa: S105
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105
    TOKEN_PAN_UPDATED = "TOKEN_PAN_UPDATED"  # noqa: S105
    TOKEN_PERSONALISED = "TOKEN_REPERSONALISED"  # noqa: S105
    TOKEN_RENEWED = "TOKEN_RENEWED"  # noqa: S105
    TOKEN_RESUMED = "TOKEN_RESUMED"  # noqa: S105
    TOKEN_SUSPENDED = "TOKEN_SUSPENDED"  # noqa: S105
    WRONG_STATE = "WRONG_STATE"


class Set(Enum):
    """What an event does to the set of suspenders."""

    KEPT = "is kept"
    JOINED = "the actor joins it"
    LEFT = "the actor leaves it; when it is empty the token is ACTIVE"
    EMPTIED = "is emptied"
    DECIDES = "decides: SUSPENDED when somebody is in it, else ACTIVE"


@dataclass(frozen=True, slots=True)
class Rule:
    """One cell of the table: the result, the state that follows (None: it stays), what becomes of the set."""

    result: Result
    to: TokenState | None = None
    suspenders: Set = Set.KEPT


_S, _E = TokenState, LifeCycleEvent
_DONE: Final = Rule(Result.ALREADY_DONE)
_DELETED: Final = Rule(Result.TOKEN_DEACTIVATED, _S.DEACTIVATED, Set.EMPTIED)
_SUSPENDED: Final = Rule(Result.TOKEN_SUSPENDED, _S.SUSPENDED, Set.JOINED)
_EXPIRED: Final = Rule(Result.TOKEN_EXPIRED, _S.EXPIRED)
_RENEWED: Final = Rule(Result.TOKEN_RENEWED)
_MOVED: Final = Rule(Result.TOKEN_PAN_UPDATED)
_PERSONALISED: Final = Rule(Result.TOKEN_PERSONALISED)

# fmt: off
TRANSITIONS: Final[Mapping[tuple[TokenState, LifeCycleEvent], Rule]] = MappingProxyType({
    (_S.REQUESTED,   _E.CREATE):     Rule(Result.TOKEN_CREATED, _S.INACTIVE),
    (_S.REQUESTED,   _E.DECLINE):    Rule(Result.TOKEN_DECLINED, _S.DECLINED),
    (_S.REQUESTED,   _E.DELETE):     _DELETED,
    (_S.INACTIVE,    _E.ACTIVATE):   Rule(Result.TOKEN_ACTIVATED, _S.ACTIVE),
    (_S.INACTIVE,    _E.DELETE):     _DELETED,
    (_S.INACTIVE,    _E.EXPIRE):     _EXPIRED,
    (_S.INACTIVE,    _E.IDV_FAILED): _DELETED,
    (_S.INACTIVE,    _E.PAN_UPDATE): _MOVED,
    (_S.INACTIVE,    _E.RENEW):      _RENEWED,
    (_S.ACTIVE,      _E.ACTIVATE):   _DONE,
    (_S.ACTIVE,      _E.DELETE):     _DELETED,
    (_S.ACTIVE,      _E.EXPIRE):     _EXPIRED,
    (_S.ACTIVE,      _E.PAN_UPDATE): _MOVED,
    (_S.ACTIVE,      _E.RENEW):      _RENEWED,
    (_S.ACTIVE,      _E.REPERSO):    _PERSONALISED,
    (_S.ACTIVE,      _E.REPLENISH):  Rule(Result.KEYS_REPLENISHED),
    (_S.ACTIVE,      _E.RESUME):     _DONE,
    (_S.ACTIVE,      _E.SUSPEND):    _SUSPENDED,
    (_S.SUSPENDED,   _E.DELETE):     _DELETED,
    (_S.SUSPENDED,   _E.EXPIRE):     _EXPIRED,
    (_S.SUSPENDED,   _E.PAN_UPDATE): _MOVED,
    (_S.SUSPENDED,   _E.RENEW):      _RENEWED,
    (_S.SUSPENDED,   _E.REPERSO):    _PERSONALISED,
    (_S.SUSPENDED,   _E.RESUME):     Rule(Result.TOKEN_RESUMED, None, Set.LEFT),
    (_S.SUSPENDED,   _E.SUSPEND):    _SUSPENDED,
    (_S.EXPIRED,     _E.DELETE):     _DELETED,
    (_S.EXPIRED,     _E.EXPIRE):     _DONE,
    (_S.EXPIRED,     _E.PAN_UPDATE): _MOVED,
    (_S.EXPIRED,     _E.RENEW):      Rule(Result.TOKEN_RENEWED, None, Set.DECIDES),
    (_S.DEACTIVATED, _E.DELETE):     _DONE,
})
# fmt: on
ENDS: Final = frozenset((TokenState.DEACTIVATED, TokenState.DECLINED))


@dataclass(frozen=True, slots=True)
class Step:
    """What an event comes to: whether it did something, its result, and where the token stands afterwards."""

    outcome: Outcome
    result: Result
    state: TokenState
    suspended_by: tuple[Actor, ...]

    @property
    def done(self) -> bool:
        """Whether something changed."""
        return self.outcome is Outcome.OK


def step(state: TokenState, suspended_by: Collection[Actor], event: LifeCycleEvent, actor: Actor) -> Step:
    """Return what an event of an actor does to a token in this state.

    >>> step(TokenState.SUSPENDED, [Actor.ISSUER], LifeCycleEvent.RESUME, Actor.CARDHOLDER).result
    <Result.NOT_SUSPENDED_BY_YOU: 'NOT_SUSPENDED_BY_YOU'>
    """
    now = tuple(sorted(suspended_by, key=lambda one: one.value))
    rule = TRANSITIONS.get((state, event))
    if rule is None:
        return Step(Outcome.REJECT, Result.TERMINAL_STATE if state in ENDS else Result.WRONG_STATE, state, now)
    if rule is _DONE or (rule.suspenders is Set.JOINED and actor in now):
        return Step(Outcome.NOOP, Result.ALREADY_DONE, state, now)
    if rule.suspenders is Set.LEFT and actor not in now:
        return Step(Outcome.REJECT, Result.NOT_SUSPENDED_BY_YOU, state, now)
    then = _suspenders_after(rule.suspenders, now, actor)
    result, to = rule.result, rule.to or state
    if rule.suspenders in (Set.LEFT, Set.DECIDES):
        to = TokenState.SUSPENDED if then else TokenState.ACTIVE
    if rule.suspenders is Set.LEFT and then:
        result = Result.SUSPENSION_REASON_REMOVED
    return Step(Outcome.OK, result, to, then)


def _suspenders_after(effect: Set, now: tuple[Actor, ...], actor: Actor) -> tuple[Actor, ...]:
    if effect is Set.EMPTIED:
        return ()
    if effect is Set.LEFT:
        return tuple(one for one in now if one is not actor)
    if effect is Set.JOINED:
        return tuple(sorted((*now, actor), key=lambda one: one.value))
    return now
