"""Requests for tokens: three parties decide, and one token comes of it, or none."""

import pytest

from shanfu.messages import Actor, Colour, IDVMethod, KeyPolicy, Problem, ProblemCode, TokenState, problem
from shanfu.messages.requestor import ProfileAsked
from shanfu.pan import PAN, luhn_digit
from shanfu.tsp import find_number, list_tokens, show
from tests.tsp.service import (
    BANK_APP,
    CALL,
    DAY_MS,
    HARBOUR,
    HARBOUR_TRID,
    ME,
    SMS,
    Service,
    pan_of,
)

G, Y, O, R = Colour.GREEN, Colour.YELLOW, Colour.ORANGE, Colour.RED  # noqa: E741

# wallet, attested, issuer: decision, state, ways of ID&V that stay open
DECISIONS = [
    (G, True, G, G, "ACTIVE", ()),
    (Y, True, G, Y, "INACTIVE", (SMS, BANK_APP, CALL)),
    (G, False, G, Y, "INACTIVE", (SMS, BANK_APP, CALL)),
    (G, True, Y, Y, "INACTIVE", (SMS, BANK_APP, CALL)),
    (G, True, O, O, "INACTIVE", (SMS,)),
    (O, True, G, O, "INACTIVE", (SMS,)),
    (G, True, R, R, None, ()),
    (R, True, G, R, None, ()),
]


@pytest.mark.parametrize("line", DECISIONS, ids=str)
def test_decision(service: Service, line) -> None:
    wallet, attested, issuer, decision, state, options = line
    service.colour = issuer
    made = service.request(service.card(), colour=wallet, attested=attested)
    assert made.decision is decision
    assert made.options == options
    assert (made.view.state if made.view else None) == (TokenState(state) if state else None)


def test_what_a_token_is_made_of(service: Service) -> None:
    card = service.card()
    view = service.request(card).view
    case = show(service.store, view.token)
    assert (view.expiry, view.par[:4], len(view.par), view.pan_last4) == ("2901", "SF01", 29, card.pan[-4:])
    assert (view.assurance, view.trid, view.device, view.card) == ("10", "90100000001", "phone-1", "card-1")
    assert [(line.event, line.before, line.after) for line in case.diary] == [
        ("CREATE", "REQUESTED", "INACTIVE"), ("ACTIVATE", "INACTIVE", "ACTIVE"),
    ]  # fmt: skip
    assert case.card_state == "active"


def test_the_number_is_of_the_issuers_range_and_only_its_requestor_reads_it(service: Service) -> None:
    view = service.request(service.card()).view
    asked = service.call("tsp.profile", ProfileAsked(token=view.token))
    [digits] = service.peer.unseal(
        service.shared["90100000001"], [(bytes.fromhex(asked.number), f"token/{view.token}".encode())]
    )
    number = digits.decode()
    assert (number[:6], len(number), number[-4:]) == ("625094", 16, view.token_last4)
    assert luhn_digit(number[:-1]) == number[-1]
    assert find_number(service.store, service.hsm, PAN(number)) == view.token
    assert (asked.psn, asked.expiry, asked.country, asked.phone_cvm, asked.dki) == ("00", "2901", "156", "online_pin", 1)


def test_the_par_is_the_accounts_and_not_the_tokens(service: Service) -> None:
    card, other = service.card(), service.card("card-2", 2)
    pars = [service.request(card, device=f"phone-{n}").view.par for n in range(3)]
    assert len(set(pars)) == 1
    assert service.request(other).view.par != pars[0]


def test_one_card_on_one_device_keeps_its_token(service: Service) -> None:
    card = service.card()
    first, second = service.request(card).view, service.request(card).view
    assert first == second
    same_pan_other_name = service.card("card-1b", 1)
    assert service.request(same_pan_other_name).view.token == first.token
    assert service.request(card, device="phone-2").view.token != first.token
    assert len([view for view in list_tokens(service.store) if view.state is TokenState.ACTIVE]) == 2


def test_a_card_that_waits_for_verification_may_be_added_again(service: Service) -> None:
    card = service.card()
    first = service.request(card, colour=Y)
    assert service.request(card, colour=Y) == first


def test_the_issuer_judges_also_a_card_that_is_there(service: Service) -> None:
    card = service.card()
    service.request(card)
    service.colour = R
    assert service.request(card, customer="mallory").decision is R


def test_a_repeat_gets_the_same_token(service: Service) -> None:
    body = service.request_of(service.card())
    first, second = (service.call("tsp.request", body, key="add-1") for _ in range(2))
    assert first == second
    assert [op for _, op in service.heard if op == "issuer.judge"] == ["issuer.judge"]


def test_a_silent_issuer_leaves_nothing_behind(service: Service) -> None:
    service.silent.add("issuer.judge")
    name = service.put("tsp.request", service.request_of(service.card()), key="add-1")
    service.tick(11_000)
    answer = service.answer_to(name)
    assert (answer.code, answer.retryable) == ("unavailable", True)
    assert [view.state for view in list_tokens(service.store)] == [TokenState.DECLINED]
    service.silent.clear()
    assert service.call("tsp.request", service.request_of(service.cards["card-1"]), key="add-2").decision is G
    assert [notice.event for notice in service.notices.get("cloud", [])] == []


def test_a_killed_service_goes_on_when_the_issuer_answers(service: Service) -> None:
    service.silent.add("issuer.judge")
    name = service.put("tsp.request", service.request_of(service.card()))
    service.restart()
    service.silent.clear()
    service.tick(11_000)
    assert service.answer_to(name).code == "unavailable"


# what the issuer answers: what comes of it
ODD_ANSWERS = [
    (lambda s, c: problem(ProblemCode.UNAVAILABLE), "unavailable", "ISSUER_SILENT"),
    (lambda s, c: s.judged(c, pan="00" * 40), "unavailable", "PAN_UNREADABLE"),
    (lambda s, c: s.judged(c, pan="not hex"), "unavailable", "PAN_UNREADABLE"),
    (lambda s, c: s.judged(c, pan=s.sealed(s.card("card-2", 2))), "unavailable", "PAN_UNREADABLE"),
    (lambda s, c: s.judged(c, pan=s.sealed(c, "12345")), "unavailable", "PAN_UNREADABLE"),
    (lambda s, c: s.judged(c, pan=s.sealed(c, pan_of(5, "625094"))), R, "NO_TOKEN_RANGE"),
    (lambda s, c: s.judged(c, expiry="3013"), "unavailable", "CARD_DATA_UNUSABLE"),
    (lambda s, c: s.judged(c, currency=""), "unavailable", "CARD_DATA_UNUSABLE"),
    (lambda s, c: s.judged(c, psn="1"), "unavailable", "CARD_DATA_UNUSABLE"),
    (lambda s, c: s.judged(c, policy=KeyPolicy(max_uses=0)), "unavailable", "CARD_DATA_UNUSABLE"),
    (lambda s, c: s.judged(c, policy=KeyPolicy(ttl_s=-1)), "unavailable", "CARD_DATA_UNUSABLE"),
    (lambda s, c: s.judged(c, colour=Y, options=()), R, "NO_CHANNEL"),
    (lambda s, c: s.judged(c, colour=O, options=(BANK_APP, CALL)), R, "NO_CHANNEL"),
]


@pytest.mark.parametrize(("answer", "outcome", "reason"), ODD_ANSWERS)
def test_what_the_issuer_cannot_have_meant(service: Service, answer, outcome, reason) -> None:
    service.judge = lambda card: answer(service, card)
    made = service.request(service.card())
    if isinstance(made, Problem):
        assert (made.code, made.reason) == (outcome, reason)
    else:
        assert (made.decision, made.view) == (outcome, None)
        assert reason in made.reasons
    assert {view.state for view in list_tokens(service.store)} == {TokenState.DECLINED}


# what the requestor asks: what comes of it
ODD_REQUESTS = [
    ({"terms": ""}, R, "TERMS_NOT_ACCEPTED"),
    ({"terms_accepted_ms": 0}, R, "TERMS_NOT_ACCEPTED"),
    ({"storage": "03"}, R, "STORAGE_NOT_ALLOWED"),
    ({"device": ""}, "format", ""),
    ({"device": "d" * 65}, "format", ""),
    ({"dki": 256}, "format", ""),
    ({"reasons": ("two words",)}, "format", ""),
]


@pytest.mark.parametrize(("odd", "outcome", "reason"), ODD_REQUESTS)
def test_what_the_requestor_may_not_ask(service: Service, odd, outcome, reason) -> None:
    made = service.call("tsp.request", service.request_of(service.card(), **odd))
    if isinstance(made, Problem):
        assert made.code == outcome
    else:
        assert (made.decision, reason in made.reasons) == (outcome, True)
    assert "issuer.judge" not in [op for _, op in service.heard]


def test_a_stranger_and_an_unregistered_requestor_are_refused(service: Service) -> None:
    body = service.request_of(service.card())
    assert service.call("tsp.request", body, caller="issuer/99010000").code == "forbidden"
    assert service.call("tsp.request", body, caller="requestor/90100000099").code == "forbidden"
    assert service.call("tsp.request", body, caller="requestor/90100000099", station="http/1").code == "forbidden"
    assert service.call("tsp.request", body, caller=ME, station="issuer/99010000").code == "forbidden"


def test_each_issuer_has_its_own_range(service: Service) -> None:
    card = service.card("card-h", 7, issuer=HARBOUR, group="wong")
    view = service.request(card, caller=f"requestor/{HARBOUR_TRID}").view
    asked = service.call("tsp.profile", ProfileAsked(token=view.token), caller=f"requestor/{HARBOUR_TRID}")
    sealed = (bytes.fromhex(asked.number), f"token/{view.token}".encode())
    assert service.peer.unseal(service.shared[HARBOUR_TRID], [sealed])[0][:6] == b"625095"


def test_the_issuers_policy_goes_with_the_token(service: Service) -> None:
    service.policy = KeyPolicy(max_uses=4, renewable=False)
    assert service.request(service.card()).view.policy == service.policy


def test_nothing_that_leaves_or_is_told_or_kept_shows_a_number(tmp_path) -> None:
    service = Service(folder=tmp_path)
    card = service.card()
    view = service.active(card)
    profile = service.call("tsp.profile", ProfileAsked(token=view.token))
    sealed = (bytes.fromhex(profile.number), f"token/{view.token}".encode())
    number = service.peer.unseal(service.shared["90100000001"], [sealed])[0]
    service.tick(1000)
    told = repr(service.events.events) + repr(service.notices) + repr(profile) + repr(show(service.store, view.token))
    service.store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (card.pan, number.decode()):
        assert secret not in told
        assert secret.encode() not in kept


def test_a_card_that_is_added_again_after_its_token_expired_has_one_token(service: Service) -> None:
    card = service.card(expiry="4012")
    old = service.active(card).token
    service.clock.advance(37 * 31 * DAY_MS)
    service.tick()
    new = service.active(card).token
    assert [service.view(one).state.value for one in (old, new)] == ["DEACTIVATED", "ACTIVE"]


def test_the_decision_is_told_with_every_rule(service: Service) -> None:
    service.request(service.card(), attested=False)
    [told] = [event for event in service.events.events if event.title.startswith("token requested")]
    assert (told.reason, told.detail["wallet"], told.detail["service"], told.detail["issuer"]) == (
        "YELLOW", "GREEN", "YELLOW", "GREEN",
    )  # fmt: skip
    assert told.detail["device not attested"].startswith("YELLOW")
    assert told.detail["too many devices"] == "right"
    steps = [event.title for event in service.events.events if event.trace == told.trace and "by TSP" in event.title]
    assert len(steps) == 1
    assert "CREATE by TSP, TOKEN_CREATED" in steps[0]


# -- velocity ----------------------------------------------------------------------------------------------------------


def test_one_card_on_many_devices(service: Service) -> None:
    card = service.card()
    made = [service.request(card, device=f"phone-{n}").decision for n in range(7)]
    assert made == [G] * 5 + [R] * 2
    assert "TOO_MANY_DEVICES" in service.request(card, device="phone-9").reasons
    assert service.request(card, device="phone-0").decision is G, "those that are there stay"


def test_many_cards_on_one_device(service: Service) -> None:
    made = [service.request(service.card(f"card-{n}", n)).decision for n in range(1, 11)]
    assert made == [G] * 8 + [R] * 2
    service.clock.advance(DAY_MS + 1)
    assert service.request(service.card("card-20", 20)).decision is G


def re_add(service: Service, card, times: int) -> list[Colour]:
    made = []
    for _ in range(times):
        asked = service.request(card)
        made.append(asked.decision)
        if asked.view:
            service.result("tsp.delete", asked.view.token, Actor.CARDHOLDER)
    return made


def test_deleted_and_added_again(service: Service) -> None:
    card = service.card()
    assert re_add(service, card, 5) == [G, G, G, G, R], "the first time, and three again within thirty days"
    service.clock.advance(31 * DAY_MS)
    assert re_add(service, card, 3) == [G, G, R], "five again within half a year"
    service.clock.advance(184 * DAY_MS)
    assert re_add(service, card, 1) == [G]


def test_failed_verification_asks_for_more_next_time(service: Service) -> None:
    card = service.card()

    def fail() -> Colour:
        made = service.request(card, colour=Y)
        if made.view:
            for _ in range(3):
                service.verify(made.view.token, "000000", IDVMethod.SMS)
        return made.decision

    assert [fail() for _ in range(5)] == [Y, Y, O, O, R]


def test_guessing_from_one_device(service: Service) -> None:
    for n in range(1, 4):
        made = service.request(service.card(f"card-{n}", n), colour=Y)
        for _ in range(3):
            service.verify(made.view.token, "000000")
    assert "DEVICE_GUESSING" in service.request(service.card("card-9", 9)).reasons


@pytest.mark.parametrize(
    ("reason", "colour", "mark"), [("DEVICE_LOST", Y, "DEVICE_REPORTED"), ("CLONE_SUSPECTED", O, "CLONE_SUSPECTED")]
)
def test_a_device_with_a_past(service: Service, reason, colour, mark) -> None:
    token = service.request(service.card()).view.token
    service.result("tsp.suspend", token, Actor.TOKEN_REQUESTOR, reason=reason)
    made = service.request(service.card("card-2", 2))
    assert (made.decision, mark in made.reasons) == (colour, True)
