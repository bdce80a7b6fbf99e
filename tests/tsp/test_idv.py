"""ID&V: right codes, wrong ones, late ones, lost answers, and guessing side by side."""

import pytest

from shanfu.links import Inbound
from shanfu.messages import Actor, Call, CardEvent, Colour, IDVMethod, ProblemCode, TokenState, encoded, pack, problem
from shanfu.messages.issuing import CodeVerdict
from shanfu.messages.requestor import VerifyCode
from shanfu.messages.wallet import CodeSent
from shanfu.tsp import show
from tests.tsp.service import HARBOUR_TRID, ME, MINUTE_MS, RIGHT_CODE, SMS, Service

SMS_, APP, CALL_ = IDVMethod.SMS, IDVMethod.BANK_APP, IDVMethod.CALL_CENTRE


def waiting(service: Service, colour: Colour = Colour.YELLOW) -> str:
    return service.request(service.card(), colour=colour).view.token


# colour, method: what asking for a code comes to, what the right proof comes to
WAYS = [
    (Colour.YELLOW, SMS_, "sent", "ACTIVE"),
    (Colour.YELLOW, CALL_, "sent", "ACTIVE"),
    (Colour.YELLOW, APP, "NO_CODE", "ACTIVE"),
    (Colour.ORANGE, SMS_, "sent", "ACTIVE"),
    (Colour.ORANGE, CALL_, "METHOD_NOT_OPEN", "METHOD_NOT_OPEN"),
    (Colour.ORANGE, APP, "METHOD_NOT_OPEN", "METHOD_NOT_OPEN"),
]


@pytest.mark.parametrize(("colour", "method", "sent", "proved"), WAYS)
def test_ways(service: Service, colour, method, sent, proved) -> None:
    token = waiting(service, colour)
    asked = service.send_code(token, method)
    assert ("sent" if isinstance(asked, CodeSent) else asked.reason) == sent
    done = service.verify(token, method=method)
    assert (done.view.state.value if hasattr(done, "view") else done.reason) == proved


def test_the_issuers_minimum_is_never_widened(service: Service) -> None:
    service.options = (SMS,)
    token = waiting(service)
    assert service.verify(token, method=APP).reason == "METHOD_NOT_OPEN"


def test_assurance_is_the_issuers_to_say(service: Service) -> None:
    token = waiting(service)
    assert service.view(token).assurance == "00"
    service.verify(token)
    assert service.view(token).assurance == "11"


def test_three_wrong_codes_end_it(service: Service) -> None:
    token = waiting(service)
    told = [service.verify(token, "000000") for _ in range(4)]
    assert [one.code for one in told] == ["code-wrong", "code-wrong", "code-locked", "wrong-state"]
    assert service.verify(token).code == "wrong-state", "even the right one"
    assert service.view(token).state is TokenState.DEACTIVATED
    assert show(service.store, token).diary[-1].reason == "IDV_FAILED"


def test_guesses_side_by_side_cost_as_much(service: Service) -> None:
    """A hundred guesses in one batch: three reach the issuer."""
    token = waiting(service)
    batch = []
    for n in range(100):
        body = encoded(VerifyCode(token=token, method=SMS_, code=f"{n:06d}"))
        service._ops[f"g{n}"] = "tsp.code.verify"
        batch.append(Inbound("cloud", pack(Call(id=f"g{n}", op="tsp.code.verify", caller=ME, body=body))))
    service.arrive(*batch)
    assert [op for _, op in service.heard].count("issuer.code.verify") == 3
    assert service.view(token).state is TokenState.DEACTIVATED


# the issuer's word: the code on the wire, tries left afterwards, whether it ends the enrolment
VERDICTS = [
    (ProblemCode.CODE_WRONG, "code-wrong", 2, False),
    (ProblemCode.CODE_EXPIRED, "code-expired", 3, False),
    (ProblemCode.UNAVAILABLE, "unavailable", 3, False),
    (ProblemCode.BUSY, "busy", 3, False),
    (ProblemCode.CODE_LOCKED, "code-locked", 0, True),
]


@pytest.mark.parametrize(("verdict", "code", "left", "ends"), VERDICTS)
def test_the_issuers_word(service: Service, verdict, code, left, ends) -> None:
    token = waiting(service)
    answer, service._answer = (
        service._answer,
        lambda station, call: problem(verdict) if call.op == "issuer.code.verify" else answer(station, call),
    )
    assert service.verify(token).code == code
    service._answer = answer
    if ends:
        assert service.view(token).state is TokenState.DEACTIVATED
    else:
        assert service.send_code(token).tries_left == left


def test_an_assurance_that_does_not_exist_activates_nothing(service: Service) -> None:
    token = waiting(service)
    answer, service._answer = (
        service._answer,
        lambda station, call: CodeVerdict(assurance="99") if call.op == "issuer.code.verify" else answer(station, call),
    )
    assert service.verify(token).code == "unavailable"
    assert service.view(token).state is TokenState.INACTIVE


def test_a_lost_answer_may_be_asked_for_again(service: Service) -> None:
    token = waiting(service)
    assert service.verify(token).decision is Colour.GREEN
    assert service.verify(token).view == service.view(token)


def test_a_silent_issuer_costs_no_try(service: Service) -> None:
    token = waiting(service)
    service.silent.add("issuer.code.verify")
    name = service.put("tsp.code.verify", VerifyCode(token=token, method=SMS_, code=RIGHT_CODE))
    service.tick(11_000)
    assert service.answer_to(name).code == "unavailable"
    service.silent.clear()
    assert service.verify(token).decision is Colour.GREEN


def test_an_enrolment_ends_with_time(service: Service) -> None:
    token = waiting(service)
    service.tick(29 * MINUTE_MS)
    assert service.view(token).state is TokenState.INACTIVE
    service.clock.advance(MINUTE_MS)
    assert service.verify(token).reason == "IDV_TIMED_OUT", "not even between the deadline and the next tick"
    service.tick()
    view = service.view(token)
    assert (view.state, view.reason) == (TokenState.DEACTIVATED, "IDV_TIMED_OUT")
    service.tick(1000)
    assert service.notices["cloud"][-1].view.state is TokenState.DEACTIVATED


def test_codes_are_bounded(service: Service) -> None:
    token = waiting(service)
    told = [service.send_code(token) for _ in range(6)]
    assert [getattr(one, "code", "sent") for one in told] == ["sent"] * 5 + ["too-many"]
    assert told[-1].retry_after_s > 0
    assert [op for _, op in service.heard].count("issuer.code.send") == 5


def test_another_requestors_enrolment_is_not_there(service: Service) -> None:
    token = waiting(service)
    for told in (
        service.verify(token, caller=f"requestor/{HARBOUR_TRID}"),
        service.send_code(token, caller=f"requestor/{HARBOUR_TRID}"),
        service.verify("f" * 32),
    ):
        assert told.code == "not-found"
    assert service.verify(token).decision is Colour.GREEN


@pytest.mark.parametrize("event", [CardEvent.LOST, CardEvent.CLOSED, CardEvent.STOLEN])
def test_a_card_in_trouble_is_not_activated(service: Service, event) -> None:
    token = waiting(service)
    service.event(service.cards["card-1"], event)
    assert service.verify(token).code in ("refused", "wrong-state")
    assert service.view(token).state is not TokenState.ACTIVE


def test_a_deleted_token_is_not_activated_by_a_late_verdict(service: Service) -> None:
    token = waiting(service)
    service.silent.add("issuer.code.verify")
    name = service.put("tsp.code.verify", VerifyCode(token=token, method=SMS_, code=RIGHT_CODE))
    service.result("tsp.delete", token, Actor.CARDHOLDER)
    service.tick(11_000)
    assert service.answer_to(name).code == "unavailable"
    assert service.verify(token).code == "wrong-state"


def test_codes_are_neither_kept_nor_told(tmp_path) -> None:
    service = Service(folder=tmp_path)
    token = waiting(service)
    service.verify(token, "975318")
    service.verify(token)
    told = repr(service.events.events) + repr(service.notices)
    service.store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for code in ("975318", RIGHT_CODE):
        assert code not in told
        assert code.encode() not in kept
