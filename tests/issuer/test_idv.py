"""One-time codes and logins as proofs: guessed, late, replayed, of another enrolment."""

import re

import pytest

from shanfu.issuer import CardState, codes_for_caller, set_status, take_messages
from shanfu.messages import IDVMethod, Problem

from .bank import Bank
from .service import CUSTOMER, MINUTE_MS, MOBILE, Service

SMS, APP, CALL = IDVMethod.SMS, IDVMethod.BANK_APP, IDVMethod.CALL_CENTRE


@pytest.fixture
def service(bank: Bank) -> Service:
    service = Service(bank)
    service.customer()
    bank.card("mine", CUSTOMER)
    return service


@pytest.fixture
def card(service: Service) -> str:
    """The reference of a card with two enrolments, t1 and t2."""
    card = service.reference(service.bank.cards["mine"])
    service.judge(card)
    service.judge(card, "t2", device="phone-2")
    return card


def result(answer: object) -> str:
    return answer.code if isinstance(answer, Problem) else answer.assurance  # type: ignore[attr-defined]


def other(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


def test_a_code_by_text_message(service: Service, card: str) -> None:
    sent = service.send(card)
    assert (sent.hint, sent.tries_left) == ("138****0001", 3)
    assert sent.expires_ms == service.bank.clock.now_ms() + 5 * MINUTE_MS
    code = service.code()
    assert re.fullmatch(r"\d{6}", code)
    assert code in service.texts()[0].text
    assert code not in repr(service.texts())
    assert result(service.verify(card, code)) == "11"
    assert service.texts() == [], "a used code is erased"


def test_wrong_codes_lock_the_enrolment_and_no_other(service: Service, card: str) -> None:
    service.send(card)
    code = service.code()
    assert [result(service.verify(card, other(code))) for _ in range(3)] == ["code-wrong", "code-wrong", "code-locked"]
    assert result(service.verify(card, code)) == "code-locked"
    assert service.send(card).code == "code-locked", "nor does another code help"
    assert service.texts() == []
    service.send(card, "t2")
    assert result(service.verify(card, service.code(), "t2")) == "11"


def test_tries_are_counted_over_all_codes_and_ways(service: Service, card: str) -> None:
    service.send(card)
    service.verify(card, other(service.code()))
    assert service.send(card).tries_left == 2
    service.verify(card, "f" * 32, method=APP)
    assert result(service.verify(card, other(service.code()))) == "code-locked"


@pytest.mark.parametrize(
    ("wait_ms", "verdict"),
    [(0, "11"), (5 * MINUTE_MS - 1, "11"), (5 * MINUTE_MS, "code-expired"), (60 * MINUTE_MS, "code-expired")],
)
def test_a_code_lasts_five_minutes(service: Service, card: str, wait_ms: int, verdict: str) -> None:
    service.send(card)
    code = service.code()
    service.bank.clock.advance(wait_ms)
    assert result(service.verify(card, code)) == verdict


def test_a_code_is_for_one_enrolment(service: Service, card: str) -> None:
    service.send(card)
    mine = service.code()
    service.bank.clock.advance(1)
    service.send(card, "t2")
    if service.code() != mine:  # a chance of one in a million
        assert result(service.verify(card, mine, "t2")) == "code-wrong"
    assert result(service.verify(card, mine)) == "11"


def test_a_lost_answer_may_be_asked_for_again(service: Service, card: str) -> None:
    service.send(card)
    code = service.code()
    assert [result(service.verify(card, code)) for _ in range(3)] == ["11"] * 3
    assert result(service.verify(card, other(code))) == "code-wrong"


def test_a_new_code_makes_the_old_one_worthless(service: Service, card: str) -> None:
    service.send(card)
    first = service.code()
    service.bank.clock.advance(1)
    service.send(card)
    assert len(service.texts()) == 1
    if service.code() != first:
        assert result(service.verify(card, first)) == "code-wrong"
    assert result(service.verify(card, service.code())) == "11"


def test_five_codes_an_hour_for_a_card(service: Service, card: str) -> None:
    for place in range(5):
        assert not isinstance(service.send(card, f"t{place % 2 + 1}"), Problem)
    refused = service.send(card)
    assert (refused.code, refused.retry_after_s) == ("too-many", 3601)
    service.bank.clock.advance(60 * MINUTE_MS)
    assert not isinstance(service.send(card), Problem)


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ({"token": "t9"}, ("not-found", "")),
        ({"card": "f" * 32}, ("not-found", "")),
        ({"method": APP}, ("refused", "NO_CODE")),
    ],
)
def test_codes_that_are_not_sent(service: Service, card: str, odd: dict, told: tuple[str, str]) -> None:
    answer = service.send(**{"card": card} | odd)
    assert (answer.code, answer.reason) == told


@pytest.mark.parametrize("code", ["", "0", "000000" * 20, "〇一二三四五", "'; --"])
def test_odd_codes_are_wrong(service: Service, card: str, code: str) -> None:
    service.send(card)
    assert result(service.verify(card, code)) == "code-wrong"


def test_a_code_that_was_never_sent(service: Service, card: str) -> None:
    assert result(service.verify(card, "123456")) == "code-expired"


def test_a_lost_card_is_not_verified(service: Service, card: str) -> None:
    service.send(card)
    code = service.code()
    set_status(service.bank.store, service.bank.hsm, service.bank.cards["mine"].pan, CardState.LOST)
    assert service.verify(card, code).reason == "CARD_NOT_ACTIVE"
    assert service.send(card).reason == "CARD_NOT_ACTIVE"


def test_a_refused_request_is_not_verified(service: Service, card: str) -> None:
    service.judge(card, "t3", risk_score=99)
    assert service.send(card, "t3").code == "not-found"
    assert result(service.verify(card, service.login().assertion, "t3", APP)) == "not-found"


# -- the bank's app ----------------------------------------------------------------------------------------------------


def test_a_login_proves_its_customer_once(service: Service, card: str) -> None:
    assertion = service.login().assertion
    assert result(service.verify(card, assertion, method=APP)) == "11"
    assert result(service.verify(card, assertion, method=APP)) == "11", "its own enrolment may ask again"
    assert result(service.verify(card, assertion, "t2", APP)) == "code-wrong", "another may not"


def test_somebody_elses_login_proves_nothing(service: Service, card: str) -> None:
    service.customer("zhao", mobile="13800000005", password="other")
    assertion = service.login("zhao", "other").assertion
    assert result(service.verify(card, assertion, method=APP)) == "code-wrong"


@pytest.mark.parametrize(("wait_ms", "verdict"), [(10 * MINUTE_MS - 1, "11"), (10 * MINUTE_MS, "code-expired")])
def test_a_login_proves_for_ten_minutes(service: Service, card: str, wait_ms: int, verdict: str) -> None:
    assertion = service.login().assertion
    service.bank.clock.advance(wait_ms)
    assert result(service.verify(card, assertion, method=APP)) == verdict


def test_two_factors_together(service: Service, card: str) -> None:
    service.send(card)
    assert result(service.verify(card, service.code())) == "11"
    assert result(service.verify(card, service.login().assertion, method=APP)) == "12"


# -- the call centre, and texts ----------------------------------------------------------------------------------------


def test_the_call_centre_reads_its_code_to_whom_it_has_identified(service: Service, card: str) -> None:
    assert service.send(card, method=CALL).hint == "95500"
    assert service.texts() == [], "it is not sent by text"
    bank = service.bank
    [read] = codes_for_caller(bank.store, bank.hsm, "t1", now_ms=bank.clock.now_ms())
    assert result(service.verify(card, read.code, method=SMS)) == "code-expired", "it is no code of the other way"
    assert result(service.verify(card, read.code, method=CALL)) == "14"
    assert codes_for_caller(bank.store, bank.hsm, "t1", now_ms=bank.clock.now_ms()) == []


def test_a_taken_text_is_erased(service: Service, card: str) -> None:
    bank = service.bank
    service.send(card)
    code = service.code()
    [taken] = take_messages(bank.store, bank.hsm, MOBILE, now_ms=bank.clock.now_ms())
    assert taken.code == code
    assert service.texts() == []
    assert result(service.verify(card, code)) == "11"


def test_a_text_that_has_expired_is_erased_by_time(service: Service, card: str) -> None:
    service.send(card)
    service.login()
    service.tick(11 * MINUTE_MS)
    with service.bank.store.begin() as tx:
        from shanfu.issuer.codes import ASSERTIONS
        from shanfu.issuer.sms import SMS as TEXTS
        from shanfu.store import Statement

        [text] = TEXTS.open(tx).select(Statement(TEXTS.select()))
        assert (text.body, text.state) == (b"", "DONE")
        assert ASSERTIONS.open(tx).select(Statement(ASSERTIONS.select())) == []


def test_what_is_told_of_it(service: Service, card: str) -> None:
    service.send(card)
    code = service.code()
    service.verify(card, other(code))
    service.verify(card, code)
    told = [(event.title, event.reason) for event in service.bank.events.events if event.trace == "t1"]
    last4 = service.bank.cards["mine"].pan.last4
    assert told == [
        (f"card …{last4} for a phone: YELLOW, the issuer verifies every holder", "HOLDER_TO_BE_VERIFIED"),
        ("one-time code sent by text to 138****0001, for “Lin's phone”", ""),
        ("holder not verified by sms: the one-time code is wrong", "code-wrong"),
        ("holder verified by sms", ""),
    ]
    everything = repr(service.bank.events.events)
    assert code not in everything
    assert service.bank.cards["mine"].pan.digits not in everything
    assert MOBILE not in everything


def test_no_code_lies_in_the_books(service: Service, card: str) -> None:
    service.send(card)
    code = service.code().encode()
    service.bank.store.close()
    raw = b"".join(path.read_bytes() for path in service.bank.folder.glob("issuer.db*"))
    assert not re.search(rb"(?<![0-9a-f])" + code + rb"(?![0-9a-f])", raw)
