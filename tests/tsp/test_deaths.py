"""The service dies at every point of every turn of an enrolment: whoever asks again gets the same token, and one only."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shanfu.links.crash import CRASH_POINTS
from shanfu.messages import Actor, CardEvent, Colour, Problem, TokenState
from shanfu.messages.issuing import CardChanged
from shanfu.messages.requestor import ChangeToken, Since, VerifyCode
from shanfu.tsp import list_tokens, show
from tests.tsp.service import LANTERN, ME, RIGHT_CODE, SMS, Died, Service, pan_of

TURNS = (1, 2)  # the call's turn, and the turn of the issuer's answer
DEATHS = list(itertools.product(CRASH_POINTS, TURNS))
BORN = (TokenState.INACTIVE, TokenState.ACTIVE, TokenState.SUSPENDED, TokenState.DEACTIVATED)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(folder=tmp_path)
    yield made
    made.store.close()


def until(service: Service, ask: Callable[[], Any]) -> Any:
    """Ask the same question until there is an answer, as a requestor does."""
    for _ in range(6):
        try:
            answer = ask()
        except Died:
            service.revive()
            continue
        except KeyError:  # the answer was lost, or is still to come
            try:
                service.tick(11_000)
            except Died:
                service.revive()
            continue
        if not (isinstance(answer, Problem) and answer.retryable):
            return answer
    raise AssertionError("never answered")


@pytest.mark.parametrize(("point", "nth"), DEATHS)
@pytest.mark.parametrize("colour", [Colour.GREEN, Colour.YELLOW])
def test_one_request_makes_one_token(service: Service, point: str, nth: int, colour: Colour) -> None:
    body = service.request_of(service.card(), colour=colour)
    service.restart(point, nth)
    made = until(service, lambda: service.call("tsp.request", body, key="add-1"))
    assert made.decision is colour
    assert service.call("tsp.request", body, key="add-1") == made
    born = [view for view in list_tokens(service.store) if view.state in BORN]
    assert [view.token for view in born] == [made.view.token]


@pytest.mark.parametrize(("point", "nth"), DEATHS)
def test_a_right_code_activates_once(service: Service, point: str, nth: int) -> None:
    token = service.request(service.card(), colour=Colour.YELLOW).view.token
    body = VerifyCode(token=token, method=SMS.method, code=RIGHT_CODE)
    service.restart(point, nth)
    assert until(service, lambda: service.call("tsp.code.verify", body)).decision is Colour.GREEN
    assert [line.event for line in show(service.store, token).diary] == ["CREATE", "ACTIVATE"]


@pytest.mark.parametrize(("point", "nth"), DEATHS)
def test_dying_gives_no_tries_back(service: Service, point: str, nth: int) -> None:
    token = service.request(service.card(), colour=Colour.YELLOW).view.token
    judged = []
    answer = service._answer

    def counting(station: str, call: Any) -> Any:
        judged.append(call.op)
        return answer(station, call)

    service._answer = counting  # type: ignore[method-assign]
    for _ in range(5):
        service.restart(point, nth)
        try:
            service.verify(token, "000000")
        except Died:
            service.revive()
        except KeyError:
            pass
    assert judged.count("issuer.code.verify") <= 3


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_change_happens_once_and_is_told(service: Service, point: str) -> None:
    card = service.card()
    token = service.active(card).token
    body = ChangeToken(tokens=(token,), actor=Actor.CARDHOLDER)
    service.restart(point)
    until(service, lambda: service.call("tsp.suspend", body, key="freeze-1"))
    assert [line.event for line in show(service.store, token).diary][2:] == ["SUSPEND"]
    assert [notice.number for notice in service.call("tsp.since", Since(), caller=ME).notices] == [1, 2, 3]


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_cards_event_happens_once(service: Service, point: str) -> None:
    card = service.card()
    token = service.active(card).token
    pan = pan_of(70)
    body = CardChanged(card=card.ref, event=CardEvent.REPLACED, pan=service.sealed(card, pan), at_ms=service.clock.now_ms())
    service.restart(point)
    until(service, lambda: service.call("tsp.card", body, caller=f"issuer/{LANTERN}", key="event-1"))
    until(service, lambda: service.call("tsp.card", body, caller=f"issuer/{LANTERN}", key="event-1b"))
    case = show(service.store, token)
    assert (case.token.pan_last4, case.token.state) == (pan[-4:], TokenState.ACTIVE)


@pytest.mark.parametrize("point", [f"due-{name}" for name in CRASH_POINTS[1:]])
def test_dying_while_telling(service: Service, point: str) -> None:
    service.active(service.card())
    service.restart(point)
    for _ in range(6):
        try:
            service.tick(8_000)
        except Died:
            service.revive()
    numbers = [notice.number for notice in service.notices["cloud"]]
    assert sorted(set(numbers)) == [1, 2]
