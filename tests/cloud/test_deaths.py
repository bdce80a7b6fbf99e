"""The cloud dies at every point of every turn: a repeat gets the same device, the same token, the same key set."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from shanfu.cloud import list_devices, list_key_sets
from shanfu.errors import LinkError
from shanfu.links import FaultKind
from shanfu.links.crash import CRASH_POINTS
from shanfu.messages import Empty, Problem, wallet
from tests.cloud.world import Phone, World, expected_keys

TURNS = (1, 2)  # of a call that asks the service: the call's, and the reply's
DEATHS = list(itertools.product(CRASH_POINTS, TURNS))


def until(phone: Phone, ask: Any) -> Any:
    """Ask until there is an answer, as a phone does: a new session, the same question."""
    for _ in range(5):
        try:
            answer = ask()
            if not (isinstance(answer, Problem) and answer.retryable):
                return answer
        except LinkError:
            phone.world.settle(100)
            try:
                if phone.device:
                    phone.open()
            except LinkError:
                continue
    raise AssertionError("never answered")


@pytest.fixture
def dying(tmp_path: Path):
    """A world in which the cloud dies at a point, once."""
    worlds = []

    def make(point: str, nth: int) -> tuple[World, Phone]:
        world = World(tmp_path)
        worlds.append(world)
        phone = world.ready()
        world.net.crash_at("cloud", point, nth=nth)
        return world, phone

    yield make
    for world in worlds:
        world.close()


@pytest.mark.parametrize(("point", "nth"), DEATHS)
def test_a_key_set_is_never_made_twice(dying, point: str, nth: int) -> None:
    world, phone = dying(point, nth)
    got = until(phone, lambda: phone.replenish(key="k1"))
    assert isinstance(got, wallet.KeySet)
    assert phone.replenish(1) == got == phone.replenish(1, key="k1")
    assert phone.keys(got) == expected_keys(phone.token, got.terms)
    assert list(world.service.sets) == [(phone.token, 1)]
    assert [line.terms for line in list_key_sets(world.store, phone.token)] == [got.terms]
    assert until(phone, lambda: phone.replenish(2)).terms.atc_first == got.terms.atc_last + 1


@pytest.mark.parametrize(("point", "nth"), DEATHS)
def test_a_confirmation_is_not_lost(dying, point: str, nth: int) -> None:
    world, phone = dying("after-send", 99)
    phone.replenish(1)
    world.net.crash_at("cloud", point, nth=nth)
    assert until(phone, lambda: phone.confirm(1)) == Empty()
    assert set(world.service.confirmed) == {(phone.token, 1)}
    assert [line.state for line in list_key_sets(world.store, phone.token)] == ["CONFIRMED"]


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_an_enrolment_gives_one_device(tmp_path: Path, point: str) -> None:
    world = World(tmp_path)
    phone = world.phone()
    world.net.crash_at("cloud", point)
    enrolled = until(phone, phone.enrol)
    assert phone.enrol() == enrolled
    assert [line.device for line in list_devices(world.store)] == [enrolled.device]
    world.close()


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_session_that_was_half_opened_is_opened_again(dying, point: str) -> None:
    _, phone = dying(point, 1)
    assert isinstance(until(phone, phone.open), wallet.SessionOpened)
    assert phone.news().tokens


@pytest.mark.parametrize(("point", "nth"), DEATHS)
def test_a_card_is_added_once(dying, point: str, nth: int) -> None:
    world, phone = dying("after-send", 99)
    accepted_ms = world.clock.now_ms()
    world.net.crash_at("cloud", point, nth=nth)

    def add() -> Any:
        answer = phone.provision("card-2", key="add", terms_accepted_ms=accepted_ms)
        if getattr(answer, "reason", "") == "NOT_LOGGED_IN":
            phone.login()
            answer = phone.provision("card-2", key="add-again", terms_accepted_ms=accepted_ms)
        return answer

    answer = until(phone, add)
    assert answer.view.token in [view.token for view in phone.news().tokens]


# fmt: off
LOST = [  # what is lost on its way, and between whom
    ("cloud", "tsp"),
    ("tsp", "cloud"),
    ("cloud", "terminal"),
]
# fmt: on


@pytest.mark.parametrize(("source", "target"), LOST)
@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.DUPLICATE, FaultKind.DELAY])
def test_what_is_lost_or_doubled_costs_no_second_set(
    world: World, phone: Phone, source: str, target: str, kind: FaultKind
) -> None:
    world.net.fault(kind, lambda passage: (passage.source, passage.target) == (source, target), delay_ms=15_000)
    answers = []
    for _ in range(4):
        try:
            answers.append(phone.replenish())
        except LinkError:
            phone.open()
    sets = [answer for answer in answers if isinstance(answer, wallet.KeySet)]
    assert sets
    assert len({key_set.wrapped for key_set in sets}) == 1
    assert list(world.service.sets) == [(phone.token, 1)]
