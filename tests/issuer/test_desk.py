"""What the token service asks the bank: who a customer is, whether a card may become a token, what became of tokens."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shanfu.issuer import CardState, Contact, Policy, TokenPolicy, set_contact, set_status
from shanfu.links import Inbound
from shanfu.messages import (
    Call,
    Colour,
    Empty,
    IDVMethod,
    KeyPolicy,
    Problem,
    Reply,
    TokenState,
    encoded,
    pack,
    requestor,
    wallet,
)
from shanfu.messages.issuing import CardJudged

from .bank import Bank, Plastic
from .service import CUSTOMER, MINUTE_MS, MOBILE, PASSWORD, TRID, TSP, Service

HOUR_MS = 60 * MINUTE_MS


@pytest.fixture
def service(bank: Bank) -> Service:
    service = Service(bank)
    service.customer()
    service.customer("zhao", mobile="13800000005", password="other")
    bank.card("mine", CUSTOMER)
    return service


@pytest.fixture
def card(service: Service) -> str:
    return service.reference(service.bank.cards["mine"])


def with_tokens(service: Service, **rules: Any) -> None:
    """Restart the bank with other rules for cards in phones."""
    policy = Policy.default()
    service.bank.restart(replace(service.bank.config, policy=replace(policy, tokens=replace(policy.tokens, **rules))))


# -- logging in --------------------------------------------------------------------------------------------------------


def test_a_customer_logs_in_and_sees_his_cards(service: Service, card: str) -> None:
    seen = service.login()
    assert (seen.customer, seen.name, len(seen.assertion)) == (CUSTOMER, CUSTOMER, 32)
    [offer] = seen.cards
    assert (offer.card, offer.last4, offer.product) == (card, service.bank.cards["mine"].pan.last4, "Debit card")
    assert offer.terms


@pytest.mark.parametrize(
    ("user", "password"),
    [(CUSTOMER, ""), (CUSTOMER, "Open Sesame"), (CUSTOMER, PASSWORD + "x"), ("nobody", PASSWORD), ("", ""),
     ("zhao", PASSWORD), (CUSTOMER, PASSWORD * 20), ("lin", PASSWORD), ("\U0001f600" * 300, PASSWORD)],
)  # fmt: skip
def test_wrong_user_or_password(service: Service, user: str, password: str) -> None:
    assert service.login(user, password).code == "login-wrong"


def test_passwords_are_guessed_five_times_and_then_not_for_a_while(service: Service) -> None:
    for _ in range(5):
        assert service.login(password="guess").code == "login-wrong"
    locked = service.login()
    assert (locked.code, locked.reason, locked.retry_after_s) == ("too-many", "LOGIN_LOCKED", 901)
    service.bank.clock.advance(15 * MINUTE_MS)
    assert isinstance(service.login(), wallet.LoggedIn)
    assert service.login(password="guess").code == "login-wrong", "and the count begins again"


def test_a_crowd_at_the_login_does_not_hold_up_payments(service: Service) -> None:
    body = encoded(wallet.Login(user=CUSTOMER, password=PASSWORD))
    calls = [Call(id=f"x{n}", op="issuer.login", caller=TSP, body=body) for n in range(5)]
    service._ops |= {call.id: call.op for call in calls}
    answers = service.frames(*(Inbound(TSP, pack(call)) for call in calls))
    assert [answer.code if isinstance(answer, Problem) else "in" for answer in answers.values()] == ["in"] * 2 + ["busy"] * 3


@pytest.mark.parametrize("state", [state for state in CardState if state is not CardState.ACTIVE])
def test_a_card_that_may_not_be_added_is_not_offered(service: Service, state: CardState) -> None:
    set_status(service.bank.store, service.bank.hsm, service.bank.cards["mine"].pan, state)
    assert service.login().cards == ()


def test_what_the_books_keep_of_people(service: Service, tmp_path: Path) -> None:
    told = service.login()
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("issuer.db*"))
    for secret in (MOBILE, PASSWORD, told.assertion):
        assert secret.encode() not in raw


# -- may it become a token ---------------------------------------------------------------------------------------------

JUDGED = [
    # what is odd                                        | colour,   reasons besides HOLDER_TO_BE_VERIFIED
    ({},                                                  "YELLOW", ""),
    ({"wallet_colour": Colour.YELLOW},                    "YELLOW", "WALLET_CAUTIOUS"),
    ({"wallet_colour": Colour.ORANGE},                    "ORANGE", "WALLET_DISTRUSTS"),
    ({"wallet_colour": Colour.RED},                       "RED",    "WALLET_REFUSES"),
    ({"attested": False},                                 "YELLOW", "DEVICE_NOT_VOUCHED"),
    ({"active_tokens": 4},                                "YELLOW", ""),
    ({"active_tokens": 5},                                "RED",    "TOO_MANY_TOKENS"),
    ({"risk_score": 69},                                  "YELLOW", ""),
    ({"risk_score": 70},                                  "ORANGE", "RISK_ELEVATED"),
    ({"risk_score": 90},                                  "RED",    "RISK_HIGH"),
    ({"customer": "zhao"},                                "RED",    "CARD_UNKNOWN"),
    ({"customer": "nobody"},                              "RED",    "CARD_UNKNOWN"),
    ({"card": "f" * 32},                                  "RED",    "CARD_UNKNOWN"),
    ({"card": ""},                                        "RED",    "CARD_UNKNOWN"),
]  # fmt: skip


@pytest.mark.parametrize(("odd", "colour", "reason"), JUDGED)
def test_the_colour_of_a_request(service: Service, card: str, odd: dict, colour: str, reason: str) -> None:
    judged = service.judge(**{"card": card} | odd)
    assert (judged.colour.value, " ".join(r for r in judged.reasons if r != "HOLDER_TO_BE_VERIFIED")) == (colour, reason)
    assert bool(judged.pan) == (colour != "RED")


POLICIES = [
    # rules                                               | colour,  ways of ID&V
    ({},                                                  "YELLOW", "sms bank-app call-centre"),
    ({"minimum": "10"},                                   "GREEN",  "sms bank-app call-centre"),
    ({"minimum": "14"},                                   "YELLOW", "call-centre"),
    ({"methods": (IDVMethod.SMS,)},                       "YELLOW", "sms"),
    ({"call_centre": ""},                                 "YELLOW", "sms bank-app"),
    ({"requestors": (TRID,)},                             "YELLOW", "sms bank-app call-centre"),
    ({"requestors": ("90100000002",)},                    "RED",    ""),
    ({"refused_models": ("Pixel 8",)},                    "RED",    ""),
    ({"refused_storages": ("04",)},                       "RED",    ""),
    ({"products": {}},                                    "RED",    ""),
    ({"most_tokens": 1},                                  "YELLOW", "sms bank-app call-centre"),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "colour", "ways"), POLICIES)
def test_the_policy_decides(service: Service, card: str, rules: dict, colour: str, ways: str) -> None:
    with_tokens(service, **rules)
    judged = service.judge(card)
    assert (judged.colour.value, " ".join(option.method.value for option in judged.options)) == (colour, ways)


@pytest.mark.parametrize(
    ("unattested", "minimum", "colour"),
    [
        (Colour.GREEN, "10", "GREEN"),
        (Colour.YELLOW, "10", "YELLOW"),
        (Colour.ORANGE, "10", "ORANGE"),
        (Colour.RED, "11", "RED"),
    ],
)
def test_a_device_that_nobody_vouches_for(service: Service, card: str, unattested: Colour, minimum: str, colour: str) -> None:
    with_tokens(service, unattested=unattested, minimum=minimum)
    assert service.judge(card, attested=False).colour.value == colour


@pytest.mark.parametrize(
    ("state", "reason"),
    [(CardState.LOST, "CARD_LOST"), (CardState.STOLEN, "CARD_LOST"), (CardState.BLOCKED, "CARD_BLOCKED"),
     (CardState.INACTIVE, "CARD_BLOCKED"), (CardState.CLOSED, "CARD_CLOSED"), (CardState.EXPIRED, "CARD_EXPIRED")],
)  # fmt: skip
def test_a_card_that_is_not_active(service: Service, card: str, state: CardState, reason: str) -> None:
    set_status(service.bank.store, service.bank.hsm, service.bank.cards["mine"].pan, state)
    judged = service.judge(card)
    assert (judged.colour, judged.reasons[0], judged.pan) == (Colour.RED, reason, "")


def test_what_the_service_learns_of_a_card(service: Service, card: str) -> None:
    judged = service.judge(card)
    [pan] = service.bank.peer.unseal(service.key, [(bytes.fromhex(judged.pan), f"pan/{card}".encode())])
    plastic = service.bank.cards["mine"]
    assert pan.decode() == plastic.pan.digits
    assert (judged.pan_last4, judged.expiry, judged.psn) == (plastic.pan.last4, plastic.expiry, plastic.psn)
    assert (judged.account_group, judged.currency, judged.credit) == (CUSTOMER, "156", False)
    assert judged.policy == KeyPolicy()
    assert [option.hint for option in judged.options] == ["138****0001", "", "95500"]
    assert plastic.pan.digits not in repr(judged)


def test_a_number_that_is_new_is_not_asked_for_codes(service: Service, card: str) -> None:
    bank = service.bank
    bank.clock.advance(1)
    set_contact(bank.store, bank.hsm, CUSTOMER, contact=Contact(mobile="13911112222"), now_ms=bank.clock.now_ms())
    assert IDVMethod.SMS not in {option.method for option in service.judge(card).options}
    assert service.send(card).reason == "NO_CHANNEL"
    bank.clock.advance(24 * HOUR_MS)
    assert service.judge(card, "t2").options[0].hint == "139****2222"


def test_one_card_on_many_devices(service: Service, card: str) -> None:
    for place in range(5):
        assert service.judge(card, f"t{place}", device=f"phone-{place}").colour is Colour.YELLOW
        service.notice(service.view(card, f"t{place}", device=f"phone-{place}"))
    assert service.judge(card, "t9", device="phone-9").reasons[0] == "TOO_MANY_TOKENS"
    assert service.judge(card, "t8", device="phone-3").colour is Colour.YELLOW, "there already: the service gives it back"
    service.notice(service.view(card, "t0", version=2, device="phone-0", state=TokenState.DEACTIVATED))
    assert service.judge(card, "t10", device="phone-9").colour is Colour.YELLOW


# -- notices -----------------------------------------------------------------------------------------------------------


def states(service: Service) -> dict[str, tuple[str, int]]:
    from shanfu.issuer import tokens_of

    phones = tokens_of(service.bank.store, service.bank.hsm, service.bank.cards["mine"].pan)
    return {phone.token: (phone.state, phone.version) for phone in phones}


def test_the_newest_version_counts_in_whatever_order(service: Service, card: str) -> None:
    views = [service.view(card, version=n, state=state) for n, state in enumerate(
        (TokenState.INACTIVE, TokenState.ACTIVE, TokenState.SUSPENDED), 1)]  # fmt: skip
    for number in (3, 1, 2, 3, 1):
        assert service.notice(views[number - 1], number=number) == Empty()
        assert states(service)["t1"] == ("SUSPENDED", 3)


def test_what_was_missed_is_asked_for_once_and_worked_page_by_page(service: Service, card: str) -> None:
    service.notice(service.view(card), number=1)
    service.notice(service.view(card, version=5), number=5)
    service.notice(service.view(card, version=6), number=6)
    assert service.told == [("tsp.issuer.since", requestor.Since(since=1, limit=99))]
    notices = tuple(service.noticed(service.view(card, f"t{n}"), number=n) for n in (2, 3))
    page = requestor.SinceAnswer(notices=notices, number=3, more=True)
    service.frames(Inbound(TSP, pack(Reply(id=service.last_call.id, body=encoded(page)))))
    assert service.told[1:] == [("tsp.issuer.since", requestor.Since(since=3, limit=99))]
    rest = tuple(service.noticed(service.view(card, version=n), number=n) for n in (4, 5, 6))
    page = requestor.SinceAnswer(notices=rest, number=6)
    service.frames(Inbound(TSP, pack(Reply(id=service.last_call.id, body=encoded(page)))))
    service.notice(service.view(card, version=7), number=7)
    assert len(service.told) == 2, "nothing is missing"
    assert states(service) == {"t1": ("ACTIVE", 7), "t2": ("ACTIVE", 1), "t3": ("ACTIVE", 1)}


def test_a_question_that_nobody_answers_is_asked_again(service: Service, card: str) -> None:
    service.notice(service.view(card, version=2), number=2)
    service.tick(31_000)
    service.notice(service.view(card, version=4), number=4)
    assert [op for op, _ in service.told] == ["tsp.issuer.since"] * 2


def test_the_holder_hears_of_a_new_phone_on_his_old_channel(service: Service, card: str) -> None:
    service.judge(card, device_name="Mallory's phone")
    service.notice(service.view(card))
    assert "Mallory's phone" in service.texts()[0].text
    service.notice(service.view(card, version=2, state=TokenState.SUSPENDED))
    service.notice(service.view(card, version=3))
    assert len(service.texts()) == 1, "a resumed token is no news"


# -- who may ask -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "station", "code"),
    [
        ("tsp/90100000", "tsp/90100000", ""),
        ("tsp/90100000", "http/1", ""),
        ("tsp/90100000", "cloud", "forbidden"),
        ("tsp/90100000", "", "forbidden"),
        ("requestor/90100000001", "requestor/90100000001", "forbidden"),
        ("issuer/99010000", "issuer/99010000", "forbidden"),
        ("device/1", "http/1", "forbidden"),
    ],
)
def test_only_the_token_service_is_served(service: Service, card: str, caller: str, station: str, code: str) -> None:
    body = wallet.Login(user=CUSTOMER, password=PASSWORD)
    answer = service.ask("issuer.login", body, caller=caller, station=station or "00010000x")
    assert (answer.code if isinstance(answer, Problem) else "") == code


def test_another_token_service_tells_us_nothing(service: Service, card: str) -> None:
    other = "tsp/90200000"
    body = service.noticed(service.view(card), number=1)
    assert service.ask("issuer.notice", body, caller=other).code == "forbidden"
    assert states(service) == {}


def test_a_repeated_question_gets_the_same_answer(service: Service, card: str) -> None:
    from shanfu.messages.issuing import SendCode

    service.judge(card)
    body = SendCode(token="t1", card=card, method=IDVMethod.SMS)
    first, second = (service.ask("issuer.code.send", body, key="k1") for _ in range(2))
    assert first == second
    assert len(service.texts()) == 1


@pytest.mark.parametrize("frame", [b"\x00", b"\x00\x00\x00\x02{}", b"\x00\x00\x00\x05{}", b"\x00\x00\x00\x04null", b"\x01"])
def test_strange_frames_change_nothing(service: Service, frame: bytes) -> None:
    assert service.frames(Inbound(TSP, frame)) == {}


def test_payments_and_calls_in_one_batch(service: Service, card: str) -> None:
    bank = service.bank
    plastic: Plastic = bank.cards["mine"]
    call = Call(id="j", op="issuer.login", caller=TSP, body=encoded(wallet.Login(user=CUSTOMER, password=PASSWORD)))
    bank.sent.clear()
    payments = [bank.sealed(bank.purchase(plastic, 100)) for _ in range(2)]
    bank.worker.turn([Inbound("00010000", payments[0]), Inbound(TSP, pack(call)), Inbound("00010000", payments[1])])
    assert sorted(frame[:1] for frame in bank.sent) == [b"\x00", b"0", b"0"]
    assert [bank.opened(frame).text(39) for frame in bank.sent if frame[:1] == b"0"] == ["00", "00"]


def test_the_default_rules_offer_nothing(service: Service) -> None:
    assert TokenPolicy().products == {}
    assert isinstance(service.judge(""), CardJudged)
