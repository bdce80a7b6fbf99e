"""The mirror of tokens: notices lost, doubled and out of order end in the same picture; pushes come once."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from shanfu.cloud import list_tokens
from shanfu.links import FaultKind
from shanfu.messages import Call, Problem, TokenState, decoded, encoded
from tests.budget import examples
from tests.cloud.service import TRID, TSP
from tests.cloud.world import MINUTE_MS, Phone, World

ACTIVE, SUSPENDED = TokenState.ACTIVE, TokenState.SUSPENDED


def state(world: World, phone: Phone) -> TokenState:
    return next(view.state for view in list_tokens(world.store, phone.device) if view.token == phone.token)


def test_a_notice_changes_the_mirror_and_is_acknowledged(world: World, phone: Phone) -> None:
    notice = world.service.tell(phone.token, "SUSPEND", reason="CARD_LOST", state=SUSPENDED)
    world.settle()
    assert state(world, phone) is SUSPENDED
    assert world.service.acknowledged == [f"notice/requestor/{TRID}/{notice.number}"]
    push = phone.news().pushes[0]
    assert (push.event, push.reason, push.token) == ("SUSPEND", "CARD_LOST", phone.token)
    assert 9 * MINUTE_MS < push.expires_ms - world.clock.now_ms() <= 10 * MINUTE_MS


def test_a_doubled_notice_pushes_once(world: World, phone: Phone) -> None:
    notice = world.service.tell(phone.token, "SUSPEND", state=SUSPENDED)
    world.settle()
    world.service.send(notice)
    world.settle()
    assert len(phone.news().pushes) == 1
    assert len(world.service.acknowledged) == 2


def test_an_old_notice_does_not_undo_a_newer(world: World, phone: Phone) -> None:
    first = world.service.tell(phone.token, "SUSPEND", state=SUSPENDED, lost=True)
    world.service.tell(phone.token, "RESUME", state=ACTIVE)
    world.settle()
    world.service.send(first)
    world.settle()
    assert state(world, phone) is ACTIVE


def test_a_gap_is_asked_for(world: World, phone: Phone) -> None:
    for turn in range(5):
        world.service.tell(phone.token, "SUSPEND", lost=True, state=SUSPENDED, reason=str(turn))
    world.service.tell(phone.token, "KEYS", reason="last")
    world.settle(2_000)
    assert [body.since for body in world.asked("tsp.since")] == [0, 2, 4]
    assert sorted(push.reason for push in phone.news().pushes) == ["0", "1", "2", "3", "4", "last"]
    world.service.tell(phone.token, "RESUME", state=ACTIVE)
    world.settle()
    assert len(world.asked("tsp.since")) == 3  # the gap is closed


def test_a_link_that_stands_again_asks_what_was_missed(world: World, phone: Phone) -> None:
    world.service.tell(phone.token, "SUSPEND", lost=True, state=SUSPENDED)
    world.settle(60_000)
    assert state(world, phone) is ACTIVE
    world.net.restart("tsp")
    world.settle()
    assert state(world, phone) is SUSPENDED


def test_a_silent_service_is_asked_again(world: World, phone: Phone) -> None:
    world.service.silent.add("tsp.since")
    world.service.tell(phone.token, "SUSPEND", lost=True, state=SUSPENDED)
    world.service.tell(phone.token, "KEYS")
    world.service.tell(phone.token, "KEYS")
    world.settle()
    assert len(world.asked("tsp.since")) == 1  # one question at a time
    world.service.silent.clear()
    world.settle(world.config.timeout_ms)
    world.service.tell(phone.token, "KEYS")
    world.settle()
    assert len(phone.news().pushes) == 4


def test_tokens_of_unknown_phones_and_requestors_are_nobodys(world: World, phone: Phone) -> None:
    view = world.service.tokens[phone.token]
    for strange in ({"device": "0" * 32}, {"trid": "90100000002"}, {"trid": "90100000009"}):
        world.service.tokens["f" * 32] = structs.replace(view, token="f" * 32, **strange)
        world.service.tell("f" * 32, "SUSPEND")
    world.settle()
    assert len(world.service.acknowledged) == 3
    assert [view.token for view in list_tokens(world.store, phone.device)] == [phone.token]


def test_a_token_whose_answer_was_lost_comes_by_its_notice(world: World, phone: Phone) -> None:
    """The service has made the token, the cloud died before it knew: the notice brings it."""
    world.net.crash_at("cloud", "before-commit", nth=2)
    with pytest.raises(Exception):  # noqa: B017,PT011  # hung up, or timed out
        phone.provision("card-2")
    token = max(world.service.tokens)
    world.service.tell(token, "CREATE")
    world.settle()
    phone.open()
    assert token in [view.token for view in phone.news().tokens]


def test_pushes_are_kept_until_the_phone_has_had_them(world: World, phone: Phone) -> None:
    for reason in "abc":
        world.service.tell(phone.token, "PAYMENT", reason=reason)
    world.settle()
    news = phone.news()
    assert ([push.number for push in news.pushes], news.number) == ([1, 2, 3], 3)
    assert [push.number for push in phone.news(since=2).pushes] == [3]
    assert [push.number for push in phone.news().pushes] == [3]  # the first two have been had
    assert phone.news(since=3).pushes == ()
    world.service.tell(phone.token, "PAYMENT", reason="d")
    world.settle()
    assert [push.number for push in phone.news(since=3).pushes] == [4]
    world.clock.advance(world.config.push_kept_ms + world.config.push_ms)
    world.settle()
    phone.open()
    assert phone.news().pushes == ()


def test_only_the_service_tells_notices(world: World, phone: Phone) -> None:
    notice = world.service.tell(phone.token, "RESUME", state=SUSPENDED, lost=True)
    reply = phone.send(Call(id="1", op="notices.take", caller=TSP, body=encoded(notice)))
    assert decoded(reply.body, Problem, path="notice").code == "forbidden"
    assert state(world, phone) is ACTIVE


STEPS = st.lists(st.tuples(st.sampled_from(["tell", "lose", "double", "link"]), st.booleans()), max_size=14)


@given(steps=STEPS, seed=st.integers(0, 2**32))
@settings(max_examples=examples(15, heavy=150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_converges(tmp_path_factory: pytest.TempPathFactory, steps: list, seed: int) -> None:
    """Whatever is lost, doubled or overtaken: after the next link the mirror is the service's picture."""
    world = World(tmp_path_factory.mktemp("any"))
    phone, dice = world.ready(), random.Random(seed)
    try:
        for how, suspended in steps:
            if how == "link":
                world.net.restart("tsp")
            else:
                notice = world.service.tell(
                    phone.token,
                    "SUSPEND" if suspended else "RESUME",
                    lost=how == "lose",
                    state=SUSPENDED if suspended else ACTIVE,
                )
                if how == "double":
                    world.net.fault(FaultKind.REORDER, lambda passage: passage.target == "cloud", delay_ms=dice.randrange(500))
                    world.service.send(notice)
            world.settle(dice.randrange(100, 2_000))
        world.net.heal()
        world.net.restart("tsp")
        world.settle(2 * world.config.timeout_ms)
        assert list_tokens(world.store, phone.device) == [world.service.tokens[phone.token]]
    finally:
        world.close()
