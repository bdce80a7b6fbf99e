"""Whoever keeps the newest view converges, whatever is lost, doubled or out of order; what has drifted is found and mended."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from msgspec.structs import replace

from shanfu.messages import Actor, Call, CardEvent, Colour, TokenState, TokenView, unpack
from shanfu.messages.requestor import Notice, Since
from shanfu.tsp import Drift, DriftKind, compare, list_tokens, reconcile
from tests.budget import examples
from tests.tsp.service import LANTERN, ME, MINUTE_MS, Service, pan_of

BANK = f"issuer/{LANTERN}"
VIEW = TokenView(token="t" * 32, state=TokenState.ACTIVE, version=3, expiry="2901", trid="90100000001")


@dataclass
class Receiver:
    """A requestor or an issuer: keeps the newest view, and knows up to which number it has heard everything."""

    name: str
    op: str
    views: dict[str, TokenView] = field(default_factory=dict)
    heard: set[int] = field(default_factory=set)

    def take(self, notice: Notice) -> None:
        self.heard.add(notice.number)
        kept = self.views.get(notice.view.token)
        if kept is None or notice.view.version > kept.version:
            self.views[notice.view.token] = notice.view

    @property
    def complete(self) -> int:
        number = 0
        while number + 1 in self.heard:
            number += 1
        return number

    def catch_up(self, service: Service) -> None:
        more = True
        while more:
            answer = service.call(self.op, Since(since=self.complete, limit=7), caller=self.name)
            more = answer.more
            for notice in answer.notices:
                self.take(notice)


class Drifting(RuleBasedStateMachine):
    """Tokens live; what is told of them is lost, doubled, delayed; then the receivers ask what they have missed."""

    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.service = Service()
        self.service.silent |= {"notices.take", "issuer.notice"}
        self.receivers = {"cloud": Receiver(ME, "tsp.since"), BANK: Receiver(BANK, "tsp.issuer.since")}
        self.cards = 0

    def teardown(self) -> None:
        for receiver in self.receivers.values():
            receiver.catch_up(self.service)
            ours = list_tokens(self.service.store)
            assert compare(receiver.name, ours, receiver.views.values()) == []
            born = [view for view in ours if view.state not in (TokenState.DECLINED, TokenState.REQUESTED)]
            assert receiver.views == {view.token: view for view in born}
        self.service.store.close()

    @rule(target=tokens, colour=st.sampled_from([Colour.GREEN, Colour.YELLOW]))
    def add(self, colour: Colour) -> Any:
        self.cards += 1
        made = self.service.request(self.service.card(f"card-{self.cards}", self.cards), colour=colour, device=f"d{self.cards}")
        return made.view.token if made.view else multiple()

    @rule(token=tokens, verb=st.sampled_from(["suspend", "resume"]), actor=st.sampled_from([Actor.CARDHOLDER, Actor.ISSUER]))
    def change(self, token: str, verb: str, actor: Actor) -> None:
        issuer = actor is Actor.ISSUER
        op = f"tsp.issuer.{verb}" if issuer else f"tsp.{verb}"
        self.service.change(op, token, actor=actor, caller=BANK if issuer else ME)

    @rule(token=consumes(tokens))
    def delete(self, token: str) -> None:
        self.service.change("tsp.delete", token, actor=Actor.CARDHOLDER)

    @rule(token=tokens)
    def verify(self, token: str) -> None:
        self.service.verify(token)

    @rule(token=tokens, event=st.sampled_from(CardEvent), serial=st.integers(50, 90))
    def card_event(self, token: str, event: CardEvent, serial: int) -> None:
        card = self.service.cards[self.service.view(token).card]
        pan = pan_of(serial) if event in (CardEvent.REPLACED, CardEvent.RENEWED) else ""
        self.service.clock.advance(1)
        self.service.event(card, event, pan=pan)

    @rule(data=st.data(), minutes=st.integers(0, 5))
    def tell(self, data: st.DataObject, minutes: int) -> None:
        """Notices leave; some arrive, in any order, some twice; none is acknowledged, so that they come again."""
        notices: list[tuple[str, Notice]] = []
        self.service._send, send = (lambda station, frames: notices.extend(_read(station, frames))), self.service._send
        self.service.restart()
        self.service.clock.advance(minutes * MINUTE_MS)
        self.service.worker.tick()
        self.service._send = send  # type: ignore[method-assign]
        self.service.restart()
        arriving = data.draw(st.lists(st.sampled_from(notices), max_size=12)) if notices else []
        for station, notice in arriving:
            self.receivers[station].take(notice)

    @rule(who=st.sampled_from(["cloud", BANK]))
    def ask(self, who: str) -> None:
        self.receivers[who].catch_up(self.service)

    @invariant()
    def nobody_is_ahead(self) -> None:
        ours = {view.token: view for view in list_tokens(self.service.store)}
        for receiver in self.receivers.values():
            for token, view in receiver.views.items():
                assert view.version <= ours[token].version


def _read(station: str, frames: list[bytes]) -> list[tuple[str, Notice]]:
    calls = [unpack(frame, Call) for frame in frames]
    return [(station, msgspec.json.decode(call.body, type=Notice)) for call in calls]


TestDrifting = Drifting.TestCase
TestDrifting.settings = settings(
    max_examples=examples(12, heavy=200), stateful_step_count=25, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip


# ours, theirs: how it is called
FOUND = [
    (VIEW, VIEW, None),
    (VIEW, None, DriftKind.MISSING),
    (None, VIEW, DriftKind.STRANGE),
    (replace(VIEW, version=4), VIEW, DriftKind.BEHIND),
    (VIEW, replace(VIEW, version=4), DriftKind.AHEAD),
    (VIEW, replace(VIEW, state=TokenState.SUSPENDED), DriftKind.DIFFERS),
    (VIEW, replace(VIEW, expiry="3001"), DriftKind.DIFFERS),
    (replace(VIEW, state=TokenState.DEACTIVATED), None, None),
    (replace(VIEW, state=TokenState.DECLINED), None, None),
]


@pytest.mark.parametrize(("ours", "theirs", "kind"), FOUND)
def test_found(ours, theirs, kind) -> None:
    found = compare(BANK, [ours] if ours else [], [theirs] if theirs else [])
    assert [drift.kind for drift in found] == ([kind] if kind else [])


def told(service: Service, station: str) -> TokenView:
    return service.notices[station][-1].view


# what is wrong with a copy: it is mended
SPOILT = {
    "missing": lambda view: None,
    "behind": lambda view: replace(view, version=1, state=TokenState.INACTIVE),
    "ahead": lambda view: replace(view, version=99, state=TokenState.DEACTIVATED),
    "differs": lambda view: replace(view, suspended_by=(Actor.TSP,)),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("party", [ME, BANK])
def test_mended(service: Service, spoil, party) -> None:
    view = service.active(service.card())
    service.tick(1000)
    copy = spoil(view)
    theirs = {party: [copy] if copy else []}
    found = reconcile(service.store, theirs, now_ms=service.clock.now_ms())
    assert [(drift.token, drift.party) for drift in found] == [(view.token, party)]
    service.tick(1000)
    news = told(service, "cloud" if party == ME else BANK)
    assert copy is None or news.version > copy.version, "whoever keeps the highest version keeps this"
    assert news == service.view(view.token)
    assert (news.state, news.suspended_by) == (TokenState.ACTIVE, ())
    assert reconcile(service.store, {party: [news]}, now_ms=service.clock.now_ms()) == []


def test_looking_alone_mends_nothing(service: Service) -> None:
    view = service.active(service.card())
    service.tick(1000)
    before = len(service.notices["cloud"])
    [drift] = reconcile(service.store, {ME: []}, now_ms=service.clock.now_ms(), repair=False)
    assert drift == Drift(token=view.token, party=ME, kind=DriftKind.MISSING, ours=2, theirs=0)
    service.tick(1000)
    assert len(service.notices["cloud"]) == before


def test_what_only_others_know_is_reported_and_left(service: Service) -> None:
    [drift] = reconcile(service.store, {BANK: [VIEW]}, now_ms=service.clock.now_ms())
    assert drift.kind is DriftKind.STRANGE
