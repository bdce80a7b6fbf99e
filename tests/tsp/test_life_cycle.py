"""A token's life as a table: what the vectors do not say, and that walks stay inside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanfu.messages import Actor, LifeCycleEvent, TokenState
from shanfu.tsp import TRANSITIONS, Outcome, Result, step

E, S = LifeCycleEvent, TokenState
ENDS = (S.DEACTIVATED, S.DECLINED)

# state, suspenders, event, actor: result, state after, suspenders after
ATTEMPTS = """
REQUESTED    -                  CREATE      TSP              TOKEN_CREATED             INACTIVE     -
REQUESTED    -                  DECLINE     TSP              TOKEN_DECLINED            DECLINED     -
REQUESTED    -                  ACTIVATE    TSP              WRONG_STATE               REQUESTED    -
REQUESTED    -                  REPLENISH   WALLET           WRONG_STATE               REQUESTED    -
REQUESTED    -                  DELETE      CARDHOLDER       TOKEN_DEACTIVATED         DEACTIVATED  -
INACTIVE     -                  IDV_FAILED  TSP              TOKEN_DEACTIVATED         DEACTIVATED  -
INACTIVE     -                  EXPIRE      TSP              TOKEN_EXPIRED             EXPIRED      -
ACTIVE       -                  IDV_FAILED  TSP              WRONG_STATE               ACTIVE       -
ACTIVE       -                  CREATE      TSP              WRONG_STATE               ACTIVE       -
ACTIVE       -                  ACTIVATE    TSP              ALREADY_DONE              ACTIVE       -
SUSPENDED    CARDHOLDER         RESUME      CDCVM_LOCKED     NOT_SUSPENDED_BY_YOU      SUSPENDED    CARDHOLDER
SUSPENDED    CDCVM_LOCKED       RESUME      CDCVM_LOCKED     TOKEN_RESUMED             ACTIVE       -
SUSPENDED    ISSUER,TSP         RESUME      TSP              SUSPENSION_REASON_REMOVED SUSPENDED    ISSUER
SUSPENDED    TSP                DELETE      CARDHOLDER       TOKEN_DEACTIVATED         DEACTIVATED  -
EXPIRED      ISSUER             RENEW       CARDHOLDER       TOKEN_RENEWED             SUSPENDED    ISSUER
EXPIRED      -                  RENEW       CARDHOLDER       TOKEN_RENEWED             ACTIVE       -
EXPIRED      -                  REPERSO     TSP              WRONG_STATE               EXPIRED      -
DEACTIVATED  -                  RENEW       ISSUER           TERMINAL_STATE            DEACTIVATED  -
DEACTIVATED  -                  DELETE      ISSUER           ALREADY_DONE              DEACTIVATED  -
DECLINED     -                  CREATE      TSP              TERMINAL_STATE            DECLINED     -
DECLINED     -                  DELETE      ISSUER           TERMINAL_STATE            DECLINED     -
"""


def actors(text: str) -> tuple[Actor, ...]:
    return () if text == "-" else tuple(Actor(name) for name in text.split(","))


@pytest.mark.parametrize("line", ATTEMPTS.strip().splitlines())
def test_one_step(line: str) -> None:
    state, by, event, actor, result, after, by_after = line.split()
    found = step(S(state), actors(by), E(event), Actor(actor))
    assert (found.result, found.state, found.suspended_by) == (Result(result), S(after), actors(by_after))


events = st.tuples(st.sampled_from(E), st.sampled_from(Actor))


@given(st.lists(events, max_size=40))
def test_walks_stay_in_the_table(walk: list[tuple[LifeCycleEvent, Actor]]) -> None:
    state, by = S.REQUESTED, tuple[Actor, ...]()
    for event, actor in walk:
        found = step(state, by, event, actor)
        if found.outcome is not Outcome.OK:
            assert (found.state, found.suspended_by) == (state, by)
        if state in ENDS:
            assert found.state is state
        state, by = found.state, found.suspended_by
        assert (state is S.SUSPENDED) <= bool(by), "suspended by nobody"
        assert not (state is S.ACTIVE and by), "active, though somebody suspends it"
        assert list(by) == sorted(set(by), key=lambda one: one.value)


@given(st.lists(events, max_size=40), st.sampled_from(Actor))
def test_nobody_lifts_anothers_suspension(walk: list[tuple[LifeCycleEvent, Actor]], who: Actor) -> None:
    state, by = S.SUSPENDED, (who,)
    for event, actor in walk:
        if actor is who or event is E.DELETE or state in ENDS:
            continue
        found = step(state, by, event, actor)
        state, by = found.state, found.suspended_by
        assert who in by
        assert state is not S.ACTIVE


def test_every_state_is_reached_and_every_event_means_something() -> None:
    met, wave = {S.REQUESTED}, [(S.REQUESTED, ())]
    seen = set(wave)
    while wave:
        state, by = wave.pop()
        for event in E:
            for actor in (Actor.ISSUER, Actor.CARDHOLDER):
                found = step(state, by, event, actor)
                met.add(found.state)
                if (place := (found.state, found.suspended_by)) not in seen:
                    seen.add(place)
                    wave.append(place)
    assert met == set(S)
    assert {event for _, event in TRANSITIONS} == set(E)
