"""How tokens live: triggers and policies, lost answers, refreshes and taps in any order."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from shanfu.card import Interface
from shanfu.dialogue import Finished, advance
from shanfu.emv import commands
from shanfu.errors import LinkTimeout
from shanfu.messages import Actor, ProblemCode, TokenState, encoded, problem, wallet
from shanfu.tokens import KeyScheme
from shanfu.wallet import Reason, Refreshed, Refused, Trigger
from tests.budget import examples
from tests.wallet.bench import APP, OTHER, Bench, ask, bench

HOUR_MS = 3_600_000


def opened(one: Bench) -> Refreshed | Refused:
    return one.phone.do(one.phone.app(APP).open())


# -- triggers ----------------------------------------------------------------------------------------------------------


def tapped_low(one: Bench) -> None:
    one.phone.online(False)
    one.taps(7)
    one.phone.handset.storage.change(lambda now, _: (now.switch(online=True), {}))  # as if it had never been away
    one.tap()


def network_back(one: Bench) -> None:
    one.phone.online(False)
    one.taps(10)
    one.phone.online(True)


def pushed(one: Bench) -> None:
    one.phone.pushed(APP, wallet.Push(number=1, token=one.token, event="SUSPEND", expires_ms=one.clock.now_ms() + 1))


def timer(one: Bench) -> None:
    assert one.phone.tick() == []
    one.clock.advance(432_000_000 - 86_400_000)
    one.phone.tick()


def app_opened(one: Bench) -> None:
    one.taps(10)
    opened(one)


@pytest.mark.parametrize(("policy", "set_off"), [
    ("on_open", {app_opened}),
    ("eager",   {app_opened, tapped_low, network_back, pushed, timer}),
    ("at_tap",  {app_opened}),
    ("unknown", {app_opened}),
])  # fmt: skip
@pytest.mark.parametrize("happens", [app_opened, tapped_low, network_back, pushed, timer])
def test_what_sets_a_refresh_off(policy: str, set_off: set[Any], happens: Callable[[Bench], None]) -> None:
    one = bench(fetch=policy).enrolled()
    before = one.cloud.calls.count("news.take")
    happens(one)
    assert (one.cloud.calls.count("news.take") > before) == (happens in set_off)


def test_eager_never_dies_while_it_is_online() -> None:
    one = bench(fetch="eager").enrolled()
    assert one.taps(50) == ["OK"] * 50
    assert len(one.cloud.tokens[one.token].sets) == 8


def test_at_tap_one_key_is_fetched_for_each_tap() -> None:
    one = bench(fetch="at_tap", max_uses=1).enrolled()
    assert one.taps(5) == ["OK"] * 5
    assert [terms.terms.max_uses for terms in one.cloud.tokens[one.token].sets.values()] == [1] * 5
    one.phone.online(False)
    assert (one.tap(), one.sentence) == ("6985", "COUNT_EXHAUSTED"), "without a network there is no key: not the usual way"
    one.phone.online(True)
    assert one.tap() == "OK"


def test_at_tap_refuses_in_words_when_the_cloud_is_silent() -> None:
    one = bench(fetch="at_tap", max_uses=1).enrolled()
    one.tap()
    one.cloud.dropped["news.take"] = 2
    assert (one.tap(), one.sentence) == ("6985", "COUNT_EXHAUSTED")


@pytest.mark.parametrize("policy", ["on_open", "eager"])
def test_a_push_that_is_late_is_dropped_and_leaves_its_mark(policy: str) -> None:
    one = bench(fetch=policy).enrolled()
    calls = len(one.cloud.calls)
    late = wallet.Push(number=1, token=one.token, event="RENEW", expires_ms=one.clock.now_ms())
    assert one.phone.pushed(APP, late) == []
    assert len(one.cloud.calls) == calls
    assert one.phone.handset.state().apps[APP].flagged
    one.restart().tick()
    one.phone.online(False)
    one.phone.online(True)
    assert one.phone.handset.state().apps[APP].flagged == (policy == "on_open"), "the next trigger that counts does the work"
    opened(one)
    assert not one.phone.handset.state().apps[APP].flagged


def test_a_push_without_a_network_or_for_nobody() -> None:
    one = bench(fetch="eager").enrolled()
    push = wallet.Push(number=1, token=one.token, event="SUSPEND", expires_ms=one.clock.now_ms() + 1)
    assert one.phone.pushed("example.nobody", push) == []
    one.phone.online(False)
    assert one.phone.pushed(APP, push) == []
    assert one.phone.handset.state().apps[APP].flagged


def test_the_inbox_of_pushes_is_read_on() -> None:
    one = bench().enrolled()
    one.cloud.pushes = [wallet.Push(number=n, token=one.token, event="KEYS", expires_ms=0) for n in (1, 2, 3)]
    opened(one)
    assert one.phone.handset.state().apps[APP].news == 3


def test_the_phone_speaks_for_nobody_else() -> None:
    """What one app's cloud says of another app's token changes nothing."""
    one = bench().enrolled(APP).enrolled(OTHER)
    _, other = one.cloud.tokens
    stolen = structs.replace(one.cloud.tokens[other].view, version=99, state=TokenState.SUSPENDED)
    one.cloud.changes["news.take"] = lambda news: structs.replace(news, tokens=(*news.tokens, stolen))
    opened(one)
    assert one.held(other).view.state is TokenState.ACTIVE


# -- what is fetched ---------------------------------------------------------------------------------------------------


def test_nothing_is_fetched_that_is_not_needed() -> None:
    one = bench().enrolled()
    for uses, sets in ((6, 1), (1, 2)):
        one.taps(uses)
        opened(one)
        assert len(one.cloud.tokens[one.token].sets) == sets, uses
    assert one.cloud.calls.count("tokens.profile") == 1


def test_another_card_behind_the_token_brings_another_profile() -> None:
    one = bench().enrolled()
    one.cloud.set(one.token, pan_last4="7777")
    opened(one)
    assert one.tap() == "OK"
    target = one.phone.tap_target
    target.power_on(Interface.CONTACTLESS)
    ask(target, commands.select(bytes.fromhex("A000000333010101")))
    assert "9f25027777" in ask(target, commands.read_record(2, 1)).data.hex()
    assert one.held().sequence == 1, "number, keys and account stay"


def test_forced_every_card_gets_a_new_set() -> None:
    one = bench().enrolled()
    assert one.phone.do(one.phone.app(APP).refresh(force=True)) == Refreshed(replenished=(one.token,))
    assert one.held().uses_left == 10


def test_small_sets_are_not_fetched_for_ever() -> None:
    one = bench(max_uses=2, ttl_s=3600).enrolled()
    for _ in range(3):
        opened(one)
    assert len(one.cloud.tokens[one.token].sets) == 1


def test_the_log_of_uses_is_reported_and_reaches_back_over_one_set() -> None:
    one = bench(max_uses=3, replenish_below=1).enrolled()
    for _ in range(3):
        one.taps(2)
        opened(one)
    assert one.cloud.tokens[one.token].reports == [(), (1, 2), (1, 2, 4, 5), (4, 5, 7, 8)]


@pytest.mark.parametrize("spoil", [
    lambda s: structs.replace(s, token="f" * 32),
    lambda s: structs.replace(s, wrapped=s.wrapped[:-2] + ("00" if s.wrapped[-2:] != "00" else "01")),
    lambda s: structs.replace(s, wrapped="zz"),
    lambda s: structs.replace(s, terms=structs.replace(s.terms, index="6000100")),
    lambda s: structs.replace(s, terms=structs.replace(s.terms, sequence=7)),
    lambda s: structs.replace(s, terms=structs.replace(s.terms, atc_first=1)),
    lambda s: structs.replace(s, terms=structs.replace(s.terms, atc_last=70_000)),
    lambda s: structs.replace(s, terms=structs.replace(s.terms, atc_last=s.terms.atc_first - 1)),
    lambda s: structs.replace(s, terms=structs.replace(s.terms, scheme=KeyScheme.SUK)),
])  # fmt: skip
def test_a_key_set_that_does_not_fit_is_not_kept(spoil: Callable[[wallet.KeySet], wallet.KeySet]) -> None:
    one = bench().enrolled()
    one.taps(8)
    one.cloud.changes["keys.replenish"] = spoil
    result = opened(one)
    assert result == Refreshed(refused=((one.token, Refused(reason=Reason.BAD_KEYS)),))
    assert one.held().sequence == 1
    assert one.taps(3) == ["OK", "OK", "6985"], "the old set pays on"
    one.cloud.changes.clear()
    opened(one)
    assert one.tap() == "OK"


@pytest.mark.parametrize("change", [
    {"number": "123"}, {"expiry": "20"}, {"algorithm": "sm4"}, {"currency": "999"}, {"trid": "1"}, {"par": "x"}, {"psn": "A0"},
    {"pan_last4": "12"}, {"country": "CHN"},
])  # fmt: skip
def test_a_profile_of_which_no_card_comes_is_not_kept(change: dict[str, str]) -> None:
    one = bench()
    one.cloud.green, one.cloud.profile = True, change
    one.phone.do(one.phone.app(APP).enrol())
    one.phone.do(one.phone.app(APP).login("lin", "right"))
    added: Any = one.phone.do(one.phone.app(APP).add_card("card-0013"))
    assert added.missing == Refused(reason=Reason.BAD_KEYS)
    assert (one.tap(), one.sentence) == ("PPSE 6A82", "NO_KEYS")


# -- lost, doubled, refused --------------------------------------------------------------------------------------------

OPS = ("news.take", "keys.replenish", "keys.confirm", "sessions.open")


@pytest.mark.parametrize("how", ["lost", "dropped"])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("op", OPS)
def test_whatever_is_lost_the_next_opening_mends(how: str, times: int, op: str) -> None:
    one = bench().enrolled()
    one.taps(10)
    one.restart()
    getattr(one.cloud, how)[op] = times
    opened(one)
    opened(one)
    assert one.taps(11) == ["OK"] * 10 + ["6985"]
    token = one.cloud.tokens[one.token]
    assert sorted(token.sets) == [1, 2]
    assert token.confirmed == {1, 2}


def test_a_lost_answer_is_repeated_and_a_tap_between_is_reported_later() -> None:
    one = bench().enrolled()
    one.taps(8)
    one.cloud.lost["keys.replenish"] = 2
    opened(one)
    assert one.tap() == "OK", "the old set pays until the new one is there"
    opened(one)
    assert one.held().sequence == 2
    one.taps(8)
    opened(one)
    assert set(one.cloud.tokens[one.token].reports[-1]) == {*range(1, 10), *range(11, 19)}


@pytest.mark.parametrize(("code", "reason"), [
    (ProblemCode.TOO_MANY,    Reason.REFUSED),
    (ProblemCode.WRONG_STATE, Reason.REFUSED),
    (ProblemCode.UNAVAILABLE, Reason.NO_ANSWER),
])  # fmt: skip
def test_a_refusal_leaves_the_old_set(code: ProblemCode, reason: Reason) -> None:
    one = bench().enrolled()
    one.taps(8)
    one.cloud.refuse["keys.replenish"] = said = problem(code, "no", retry_after_s=60)
    result = opened(one)
    assert isinstance(result, Refreshed)
    ((token, refused),) = result.refused
    assert (token, refused.reason, refused.problem) == (one.token, reason, said)
    assert refused.zh == (code.phrase_zh if reason is Reason.REFUSED else reason.zh)
    assert one.taps(3) == ["OK", "OK", "6985"]


def test_a_session_that_the_cloud_forgot_is_opened_anew() -> None:
    one = bench().enrolled()
    one.cloud.sessions.clear()
    assert isinstance(opened(one), Refreshed)
    one.clock.advance(16 * 60_000)
    assert isinstance(opened(one), Refreshed)
    assert one.cloud.calls.count("sessions.open") == 3


def test_a_cloud_that_knows_no_session_at_all_is_asked_twice_only() -> None:
    one = bench().enrolled()
    one.cloud.open = lambda call, body: wallet.SessionOpened(  # type: ignore[method-assign]
        session="", ephemeral="", expires_ms=0, signature=""
    )
    one.restart()
    assert opened(one) == Refused(reason=Reason.CLOUD_UNTRUSTED)


def test_a_session_by_another_key_is_not_trusted() -> None:
    one, other = bench().enrolled(), bench()
    one.cloud.key = other.cloud.key
    one.restart()
    assert opened(one) == Refused(reason=Reason.CLOUD_UNTRUSTED)


def test_an_answer_that_is_not_sealed_changes_nothing() -> None:
    one = bench().enrolled()
    work = one.cloud.work

    def plain(call: Any) -> Any:
        reply = work(call)
        view = one.cloud.set(one.token, state=TokenState.SUSPENDED, suspended_by=(Actor.ISSUER,))
        news = wallet.News(tokens=(view,))
        return reply if call.op != "news.take" else structs.replace(reply, body=encoded(news))

    one.cloud.work = plain  # type: ignore[method-assign]
    assert opened(one) == Refused(reason=Reason.CLOUD_UNTRUSTED)
    assert one.tap() == "OK"


def test_offline_says_so() -> None:
    one = bench().enrolled()
    one.phone.online(False)
    assert opened(one) == Refused(reason=Reason.OFFLINE)
    assert one.phone.do(one.phone.app(OTHER).open()) == Refused(reason=Reason.NOT_ENROLLED)


# -- any order ---------------------------------------------------------------------------------------------------------


class Pace:
    """Several refreshes at once, one step at a time, with answers lost, and taps in between."""

    def __init__(self, one: Bench) -> None:
        self.one, self.running = one, list[tuple[Generator[Any, Any, Any], Any]]()

    def begin(self, *, force: bool) -> None:
        dialogue = self.one.phone.app(APP).refresh(force=force)
        self.go_on(dialogue, advance(dialogue))

    def go_on(self, dialogue: Any, step: Any) -> None:
        if not isinstance(step, Finished):
            self.running.append((dialogue, step))

    def step(self, which: int, fate: str) -> None:
        if not self.running:
            return
        dialogue, step = self.running.pop(which % len(self.running))
        try:
            if fate == "dropped":
                raise LinkTimeout
            reply = self.one.cloud(step.message)
            if fate == "lost":
                raise LinkTimeout
        except LinkTimeout as fault:
            self.go_on(dialogue, advance(dialogue, None, fault))
        else:
            self.go_on(dialogue, advance(dialogue, reply))


STEPS = st.one_of(
    st.just(("tap", 0, "")),
    st.tuples(st.sampled_from(["begin", "force"]), st.just(0), st.just("")),
    st.tuples(st.just("step"), st.integers(0, 3), st.sampled_from(["ok", "ok", "ok", "ok", "ok", "lost", "dropped"])),
    st.just(("restart", 0, "")),
)


@settings(max_examples=examples(60, heavy=10_000), deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=40), st.sampled_from([KeyScheme.SHANFU_1, KeyScheme.SUK]))
def test_refreshes_and_taps_in_any_order_never_give_more_uses_than_allowed(steps: list[Any], scheme: KeyScheme) -> None:
    one = bench(scheme=scheme, max_uses=2, replenish_below=1).enrolled()
    pace = Pace(one)
    for what, which, fate in steps:
        if what == "tap":
            assert one.tap() in ("OK", "6985")
        elif what == "restart":
            pace.running.clear()
            one.restart()
        elif what == "step":
            pace.step(which, fate)
        elif len(pace.running) < 4:
            pace.begin(force=what == "force")
    token = one.cloud.tokens[one.token]
    issued = {kept.terms.index: kept.terms.max_uses for kept in token.sets.values()}
    assert all(token.uses[index] <= most for index, most in issued.items())
    assert one.held().sequence <= len(token.sets)
    opened(one)
    assert one.tap() == "OK", "and it always comes back to life"


HAPPENINGS = st.sampled_from([
    "tap", "tap", "open", "freeze", "unfreeze", "delete", "offline", "online", "restart", "suspend", "resume", "expire",
    "lose news.take", "lose keys.replenish", "lose keys.confirm", "lose tokens.freeze", "lose tokens.unfreeze",
    "lose tokens.delete", "drop news.take", "old news",
])  # fmt: skip


def happen(one: Bench, what: str) -> None:
    """Let one thing happen to a phone, its holder, or its bank."""
    phone, token, app = one.phone, one.token, one.phone.app(APP)
    view = one.cloud.tokens[token].view
    dead = view.state is TokenState.DEACTIVATED
    if what == "tap":
        assert one.tap() in ("OK", "6985", "PPSE 6A82")
    elif what in ("open", "freeze", "unfreeze", "delete"):
        phone.do(app.open() if what == "open" else getattr(app, what)(token))
    elif what in ("offline", "online"):
        phone.online(what == "online")
    elif what == "restart":
        one.restart()
    elif what in ("suspend", "resume") and not dead and view.state is not TokenState.EXPIRED:
        others = tuple(actor for actor in view.suspended_by if actor is not Actor.ISSUER)
        by = (*others, Actor.ISSUER) if what == "suspend" else others
        one.cloud.set(token, state=TokenState.SUSPENDED if by else TokenState.ACTIVE, suspended_by=by)
    elif what == "expire" and view.state is TokenState.ACTIVE:
        one.cloud.set(token, state=TokenState.EXPIRED)
    elif what.startswith("lose "):
        one.cloud.lost[what[5:]] += 1
    elif what.startswith("drop "):
        one.cloud.dropped[what[5:]] += 1
    elif what == "old news":
        one.cloud.changes["news.take"] = lambda news: structs.replace(news, tokens=(view,))


def test_a_freeze_is_not_told_of_a_card_that_is_gone() -> None:
    one = bench().enrolled()
    for what in ("offline", "freeze", "online", *["lose tokens.delete"] * 2, "delete", "open"):
        happen(one, what)
    assert one.cloud.tokens[one.token].view.state is TokenState.DEACTIVATED
    assert "tokens.freeze" not in one.cloud.calls


@settings(max_examples=examples(60, heavy=2_000), deadline=None)
@given(st.lists(HAPPENINGS, max_size=30))
@example(["offline", "freeze", "online", *["lose tokens.freeze"] * 2, *["lose tokens.delete"] * 2, "delete", "open"])
def test_whatever_happens_phone_and_bank_agree_in_the_end(events: list[str]) -> None:
    one = bench(max_uses=3, replenish_below=1).enrolled()
    for what in events:
        happen(one, what)
    one.cloud.lost.clear()
    one.cloud.dropped.clear()
    one.cloud.changes.clear()
    one.phone.online(True)
    for _ in range(2):
        opened(one)
    view = one.cloud.tokens[one.token].view
    held = one.phone.handset.state().tokens.get(one.token)
    assert (held.view if held else TokenState.DEACTIVATED) == (view if held else view.state)
    paid = {TokenState.ACTIVE: "OK", TokenState.SUSPENDED: "6985", TokenState.DEACTIVATED: "PPSE 6A82"}
    assert one.tap() == paid[view.state]


def test_due_dialogues_may_be_driven_by_others() -> None:
    one = bench(fetch="eager").enrolled()
    one.phone.online(False)
    one.taps(10)
    one.phone.handset.storage.change(lambda now, _: (now.switch(online=True), {}))
    (dialogue,) = one.phone.due(Trigger.NETWORK_REGAINED)
    assert one.phone.do(dialogue) == Refreshed(replenished=(one.token,))
    assert one.phone.timer_ms is not None
