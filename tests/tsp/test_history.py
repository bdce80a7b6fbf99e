"""What follows a payment: outcomes, repeats, reversals, and what finds its account through the history long after."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shanfu.iso8583 import Message, Outcome, encode_outcomes
from shanfu.links import Inbound
from shanfu.messages import decoded, requestor
from shanfu.tsp import PREFIX, TSPConfig, install_key, journal_lines
from tests.hosts.alone import speak_in_bytes
from tests.tsp.payhouse import NETWORK, TRID, PayHouse, Phone, original_data, verdict

DAY_MS = 24 * 3_600_000


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PayHouse]:
    house = PayHouse(tmp_path)
    yield house
    house.store.close()


def state(house: PayHouse, request: Message) -> tuple[str, str, str]:
    row = house.history(request)
    assert row
    return row.state, row.response_code, row.reason


# -- outcomes ----------------------------------------------------------------------------------------------------------

# fmt: off
OUTCOMES = (
    #  the issuer's code   state       code  reason
    ("00",                 "APPROVED", "00", "RESOLVED"),
    ("51",                 "DECLINED", "51", "INSUFFICIENT_FUNDS"),
    ("55",                 "DECLINED", "55", "INCORRECT_PIN"),
)
# fmt: on


@pytest.mark.parametrize(("code", "then", "kept", "reason"), OUTCOMES)
def test_the_outcome_settles_a_payment(house: PayHouse, code: str, then: str, kept: str, reason: str) -> None:
    phone = house.token()
    request = house.pay(phone)
    assert house.said(house.outcome(request, code)) == ("00", "")
    assert state(house, request)[:2] == (then, kept)
    assert house.said(house.outcome(request, "00" if code != "00" else "51")) == ("00", "")  # a second one changes nothing
    assert state(house, request)[:2] == (then, kept)
    row = house.key_set(phone, 1)
    assert (row.uses, row.spent) == (1, 1000)  # also when the issuer declined: the phone has spent its use


def test_an_outcome_of_nothing_is_noted_and_told(house: PayHouse) -> None:
    phone = house.token()
    assert house.said(house.outcome(house.purchase(phone))) == ("00", "")
    assert [event.reason for event in house.events.events if event.reason] == ["ORIGINAL_UNKNOWN"]


@pytest.mark.parametrize("odd", [None, "", "OC", "OC" + 49 * "1", "XX" + 50 * "1", "OC" + 50 * "-"])
def test_outcomes_that_make_no_sense_are_refused_and_change_nothing(house: PayHouse, odd: str | None) -> None:
    request = house.pay(house.token())
    assert house.said(house.outcome(request, f59=odd)) == ("30", "FORMAT_ERROR")
    assert state(house, request)[0] == "RESOLVED"


def test_one_advice_tells_of_many_payments(house: PayHouse) -> None:
    phone = house.token()
    paid = [house.pay(phone) for _ in range(3)]
    ends = [Outcome(original_data(one), code, "") for one, code in zip(paid, ("00", "51", "00"), strict=True)]
    unknown = Outcome(original_data(house.purchase(phone)), "00", "")
    advice = house.outcome(paid[0], f59=encode_outcomes([*ends[:1], unknown, *ends[1:]]))
    assert [house.said(advice), house.said(advice)] == [("00", "")] * 2
    assert [state(house, one)[0] for one in paid] == ["APPROVED", "DECLINED", "APPROVED"]


def test_requestors_are_told_of_payments_when_they_wish(tmp_path: Path) -> None:
    house = PayHouse(tmp_path, TSPConfig(payment_notices=True))
    phone = house.token()
    bought = house.pay(phone)
    house.ask(house.outcome(bought))
    house.ask(house.outcome(bought))  # a repeat is no news
    house.ask(house.outcome(house.pay(phone), "51"))
    house.ask(house.follow_up("0420", bought))
    refund = house.follow_up("0220", house.pay(phone))
    house.ask(refund)  # an advice: the money was promised already
    house.ask(house.outcome(refund))  # and this is no news
    books = house.books()
    told = [decoded(row.body, requestor.Notice, path="") for row in books.desk.since(f"requestor/{TRID}", 0)]
    books.tx.rollback()
    assert [(one.number, one.event, one.reason) for one in told] == [
        (1, "PAYMENT", "PURCHASE_APPROVED"), (2, "PAYMENT", "PURCHASE_DECLINED"), (3, "PAYMENT", "PURCHASE_REVERSED"),
        (4, "PAYMENT", "REFUND_APPROVED"),
    ]  # fmt: skip
    assert {one.view.token for one in told} == {phone.reference}


# -- repeats -----------------------------------------------------------------------------------------------------------


def test_a_repeat_is_answered_as_before_and_counts_once(house: PayHouse) -> None:
    phone = house.token()
    request = house.pay(phone)
    for _ in range(3):
        assert house.pan_in(house.ask(request), phone) == "6209010000000001"
    house.ask(house.outcome(request))
    assert house.said(request) == ("00", "")
    row = house.key_set(phone, 1)
    assert (row.uses, row.spent, house.counter(phone).day_uses) == (1, 1000, 1)


def test_a_repeat_of_a_refusal_is_refused_alike(house: PayHouse) -> None:
    phone = house.token()
    request = house.purchase(phone, t9F26=bytes(8))
    assert [house.said(request) for _ in range(2)] == [("59", "CRYPTOGRAM_WRONG")] * 2
    assert house.risks() == ["CRYPTOGRAM_WRONG"]


def test_twice_in_one_batch_is_once(house: PayHouse) -> None:
    phone = house.token()
    frame = house.sealed(house.purchase(phone))
    assert [verdict(answer) for answer in house.send(frame, frame)] == [("00", "")] * 2
    assert house.key_set(phone, 1).uses == 1


def test_two_payments_of_one_batch_see_each_other(house: PayHouse) -> None:
    phone = house.token()
    first, second = house.purchase(phone), house.purchase(phone)
    again = house.purchase(phone, atc=2)
    answers = house.send(*map(house.sealed, (first, second, again)))
    assert [verdict(answer)[0] for answer in answers] == ["00", "00", "59"]
    assert house.explained(again)["atc"] == (False, "2 after 2, window 50: replayed")


def test_a_name_with_other_contents(house: PayHouse) -> None:
    phone = house.token()
    request = house.pay(phone)
    other = house.purchase(phone, 2000, f7=request.text(7), f11=request.text(11))
    assert house.said(other) == ("94", "DUPLICATE")


def test_within_one_process_nobody_needs_a_mac(tmp_path: Path) -> None:
    house = PayHouse(tmp_path, TSPConfig(inside=frozenset({NETWORK})))
    speak_in_bytes(house.worker.host)
    request = house.purchase(house.token())
    [answer] = house.send(house.sealed(request, spoil=True))
    assert (verdict(answer), 128 in answer) == (("00", ""), False)
    house.store.close()


def test_a_batch_of_all_kinds_is_worked_in_order(house: PayHouse) -> None:
    phone = house.token()
    request = house.purchase(phone)
    reversal = house.follow_up("0420", request)
    wrong = house.sealed(house.purchase(phone), spoil=True)
    frames = [house.sealed(request), house.sealed(house.outcome(request)), wrong, house.sealed(reversal), house.sealed(request)]
    assert [verdict(answer) for answer in house.send(*frames)] == [
        ("00", ""), ("00", ""), ("A0", "MAC_WRONG"), ("00", ""), ("94", "REVERSED_EARLIER"),
    ]  # fmt: skip
    assert state(house, request)[0] == "REVERSED"
    assert (house.key_set(phone, 1).uses, house.key_set(phone, 1).spent) == (1, 0)


# -- reversals ---------------------------------------------------------------------------------------------------------


def test_a_reversal_gives_the_amount_back_once_and_the_use_never(house: PayHouse) -> None:
    phone = house.token()
    request = house.pay(phone, 1500)
    house.pay(phone, 500)
    assert [house.said(house.follow_up("0420", request)) for _ in range(2)] == [("00", "")] * 2
    assert state(house, request)[0] == "REVERSED"
    row = house.key_set(phone, 1)
    assert (row.uses, row.spent, house.counter(phone).atc) == (2, 500, 2)


def test_a_reversal_that_comes_first_leaves_a_tombstone(house: PayHouse) -> None:
    phone = house.token()
    request = house.purchase(phone)
    assert [house.said(house.follow_up("0420", request)) for _ in range(2)] == [("00", "")] * 2
    assert house.said(request) == ("94", "REVERSED_EARLIER")
    assert house.key_set(phone, 1).uses == 0
    assert house.transactions(phone).items == ()


# fmt: off
REVERSALS = {
    "another token's":   (lambda h, p, r: h.follow_up("0420", r, f2=h.token("chen").number), ("25", "ORIGINAL_ANOTHER_CARDS")),
    "another amount":    (lambda h, p, r: h.follow_up("0420", r, f4="000000000999"),         ("64", "AMOUNT_DIFFERS")),
    "another currency":  (lambda h, p, r: h.follow_up("0420", r, f49="344"),                 ("64", "AMOUNT_DIFFERS")),
    "without its name":  (lambda h, p, r: h.follow_up("0420", r, f90=None),        ("30", "FORMAT_ERROR")),
    "late as it may be": (lambda h, p, r: h.follow_up("0420", r),                            ("00", "")),
    "sent again":        (lambda h, p, r: h.follow_up("0421", r),                            ("00", "")),
}
# fmt: on


@pytest.mark.parametrize(("make", "said"), REVERSALS.values(), ids=REVERSALS)
def test_reversals(house: PayHouse, make: Callable, said: tuple[str, str]) -> None:
    phone = house.token()
    request = house.pay(phone)
    reversal = make(house, phone, request)
    assert house.said(reversal, arrived_ms=house.clock.now_ms() - DAY_MS) == said
    assert (state(house, request)[0] == "REVERSED") is (said[0] == "00")


def test_the_reversal_of_a_refused_payment_changes_nothing(house: PayHouse) -> None:
    phone = house.token()
    request = house.purchase(phone, t9F26=bytes(8))
    house.ask(request)
    assert house.said(house.follow_up("0420", request)) == ("00", "")
    assert state(house, request)[0] == "REFUSED"
    assert house.key_set(phone, 1).spent == 0


# -- refunds, voids, completions: whatever became of the token ---------------------------------------------------------

Fate = Callable[[PayHouse, Phone], object]


def after(**changes: object) -> Fate:
    return lambda house, phone: house.change(phone, **changes)


# fmt: off
FATES = {
    "nothing happened":     (lambda h, p: None,                                             "6209010000000001"),
    "suspended":            (after(state="SUSPENDED", suspended_by="ISSUER"),               "6209010000000001"),
    "deleted":              (after(state="DEACTIVATED"),                                    "6209010000000001"),
    "expired":              (after(state="EXPIRED", expiry="2512"),                         "6209010000000001"),
    "its card was lost":    (lambda h, p: h.change_card(p, state="lost"),                   "6209010000000001"),
    "its card is closed":   (lambda h, p: h.change_card(p, state="closed"),                 "6209010000000001"),
    "its card has a new number": (lambda h, p: h.new_pan(p, "6209010000099999"),            "6209010000099999"),
    "17 months later":      (lambda h, p: h.clock.advance(517 * DAY_MS),                    "6209010000000001"),
}
# fmt: on


@pytest.mark.parametrize(("fate", "pan"), FATES.values(), ids=FATES)
@pytest.mark.parametrize("mti", ["0200", "0220"], ids=["void", "refund"])
def test_money_goes_to_the_account_as_it_is_now(house: PayHouse, fate: Fate, pan: str, mti: str) -> None:
    phone = house.token()
    request = house.pay(phone)
    house.ask(house.outcome(request))
    fate(house, phone)
    back = house.follow_up(mti, request, f4="000000000400")
    assert house.pan_in(house.ask(back), phone) == pan
    assert house.history(back).original == house.history(request).name  # type: ignore[union-attr]
    assert house.pan_in(house.ask(back), phone) == pan  # a repeat
    assert (house.key_set(phone, 1).uses, house.key_set(phone, 1).spent) == (1, 1000)


def test_a_completion_follows_its_original(house: PayHouse) -> None:
    phone = house.token()
    request = house.pay(phone)
    house.change(phone, state="DEACTIVATED")
    assert house.pan_in(house.ask(house.follow_up("0220", request, f3="000000")), phone) == "6209010000000001"


def by_reference(house: PayHouse, request: Message, sent: str) -> Message:
    """A refund that knows its original's DE37 and DE7, and another trace."""
    return house.follow_up("0220", request, f37=request.text(37), f90=f"0200999999{sent}".ljust(42, "0"))


# fmt: off
REFUNDS = {
    "of nothing": (lambda h, p, r: h.follow_up("0220", h.purchase(p)), ("25", "ORIGINAL_UNKNOWN")),
    "of another token's": (lambda h, p, r: h.follow_up("0220", r, f2=h.token("chen").number), ("25", "ORIGINAL_ANOTHER_CARDS")),
    "after 18 months": (lambda h, p, r: h.clock.advance(548 * DAY_MS) or h.follow_up("0220", r), ("12", "ORIGINAL_TOO_OLD")),
    "without an original": (lambda h, p, r: h.follow_up("0220", r, f90=None), ("30", "FORMAT_ERROR")),
    "an original of nothing": (lambda h, p, r: h.follow_up("0220", r, f90="0" * 42), ("25", "ORIGINAL_UNKNOWN")),
    "by DE37 and DE7": (lambda h, p, r: by_reference(h, r, r.text(7)), ("00", "")),
    "by DE37, another DE7": (lambda h, p, r: by_reference(h, r, "0101000000"), ("25", "ORIGINAL_UNKNOWN")),
}
# fmt: on


@pytest.mark.parametrize(("make", "said"), REFUNDS.values(), ids=REFUNDS)
def test_refunds(house: PayHouse, make: Callable, said: tuple[str, str]) -> None:
    phone = house.token()
    request = house.pay(phone)
    assert house.said(make(house, phone, request)) == said


def test_what_was_refused_here_is_not_refunded(house: PayHouse) -> None:
    phone = house.token()
    request = house.purchase(phone, t9F26=bytes(8))
    house.ask(request)
    assert house.said(house.follow_up("0220", request)) == ("25", "ORIGINAL_NOT_RESOLVED")


# -- what cannot be worked ---------------------------------------------------------------------------------------------


def test_late_requests_are_refused_and_late_advices_worked(house: PayHouse) -> None:
    phone = house.token()
    long_ago = house.clock.now_ms() - 8_001
    request = house.purchase(phone)
    assert house.said(request, arrived_ms=long_ago) == ("96", "BUSY")
    assert house.history(request) is None
    request = house.pay(phone)
    assert house.said(house.outcome(request), arrived_ms=long_ago) == ("00", "")


@pytest.mark.parametrize(("message", "code"), [("spoilt", "A0"), ("nameless", "30"), ("unknown", "12")])
def test_what_leaves_no_row(house: PayHouse, message: str, code: str) -> None:
    phone = house.token()
    request = house.purchase(phone, f3="630000") if message == "unknown" else house.purchase(phone)
    if message == "nameless":
        del request.fields[33]
    [answer] = house.send(house.sealed(request, spoil=message == "spoilt"))
    assert answer.text(39) == code
    assert message == "nameless" or house.history(request) is None
    assert house.key_set(phone, 1).uses == 0


def test_before_the_keys_are_agreed_nothing_is_believed(house: PayHouse) -> None:
    phone = house.token()
    request = house.purchase(phone)
    from tests.tsp.payhouse import Algorithm, KeyUsage, shared_key

    _, [other] = shared_key(KeyUsage.MAK, Algorithm.TDES, house.hsm)
    for _ in range(2):  # the key before the newest is still good for its window
        install_key(house.store, f"mak/{NETWORK}", other, now_ms=house.clock.now_ms(), prefix=PREFIX)
        house.clock.advance(301_000)
    house.sent.clear()
    house.worker.turn([Inbound(NETWORK, house.sealed(request))])
    assert b"A0" in house.sent[0]
    assert house.history(request) is None


def test_a_store_that_is_opened_again_remembers(tmp_path: Path) -> None:
    house = PayHouse(tmp_path)
    phone = house.token()
    request = house.pay(phone)
    house.restart()
    assert house.said(request) == ("00", "")
    again = house.purchase(phone)
    again.fields[55] = request.fields[55]
    assert house.said(again) == ("59", "ATC_OUT_OF_WINDOW")


# -- what reconciliation compares --------------------------------------------------------------------------------------


def test_the_lines_of_a_day(house: PayHouse) -> None:
    phone = house.token()
    payments = [house.pay(phone, 100 + place) for place in range(4)]
    house.ask(house.outcome(payments[0]))
    house.ask(house.outcome(payments[1], "51"))
    house.ask(house.follow_up("0420", payments[2]))
    refused = house.purchase(phone, 777, t9F26=bytes(8))
    house.ask(refused)
    lines = journal_lines(house.store, "20260105")
    assert [(line.amount_minor, line.state, line.response_code, line.issuer) for line in lines] == [
        (100, "APPROVED", "00", "99010000"),
        (101, "DECLINED", "51", "99010000"),
        (102, "REVERSED", "00", "99010000"),
        (103, "WAITING", "00", "99010000"),
        (777, "DECLINED", "59", "99010000"),
    ]
    assert lines[0].rrn == payments[0].text(37)
    assert journal_lines(house.store, "20260106") == []
