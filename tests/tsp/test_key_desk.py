"""Key sets: their terms, repeats, bounds, grace, and the phone's log against what was authorised."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shanfu.messages import KeyPolicy, Problem, Reply, UseReport, decoded
from shanfu.messages.requestor import ConfirmKeys, IssueKeys, KeysIssued
from shanfu.messages.wallet import TransactionsAsked
from shanfu.tokens import KeyScheme
from shanfu.tsp import TSPConfig
from shanfu.tsp.key_sets import KeySetState, Seen, effective, suspicion
from tests.tsp.payhouse import OTHER_TRID, START_MS, PayHouse, Phone

HOUR_MS = 3_600_000


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PayHouse]:
    house = PayHouse(tmp_path)
    yield house
    house.store.close()


def refused(reply: Reply) -> tuple[str, str]:
    """The code and reason of a problem; ("", "") of an answer."""
    if reply.ok:
        return "", ""
    problem = decoded(reply.body, Problem, path="")
    return problem.code, problem.reason


def issued(reply: Reply) -> KeysIssued:
    assert reply.ok, bytes(reply.body)
    return decoded(reply.body, KeysIssued, path="")


# -- terms -------------------------------------------------------------------------------------------------------------


def test_terms_follow_the_policy(house: PayHouse) -> None:
    policy = KeyPolicy(scheme=KeyScheme.SUK, max_uses=7, ttl_s=60, max_amount=500)
    phone = house.token(policy=policy, keys=False)
    terms = issued(house.issue(phone, 1)).terms
    assert (terms.index, terms.sequence, terms.atc_first, terms.atc_last) == ("6010500", 1, 1, 7)
    assert (terms.max_uses, terms.max_amount, terms.issued_ms, terms.expires_ms) == (7, 500, START_MS, START_MS + 60_000)
    assert terms.scheme is KeyScheme.SUK


def test_the_number_comes_sealed_for_this_requestor(house: PayHouse) -> None:
    phone = house.token(keys=False)
    answer = issued(house.issue(phone, 1))
    context = b"token/" + phone.reference.encode()
    assert house.peer.unseal(house.pans, [(bytes.fromhex(answer.number), context)]) == [phone.number.encode()]
    assert (answer.psn, answer.dki) == ("00", 1)
    assert phone.number not in answer.number


def test_each_set_begins_above_the_one_before(house: PayHouse) -> None:
    phone = house.token()
    ranges = [(1, 10)]
    for _ in range(3):
        terms = house.refresh(phone)
        ranges.append((terms.atc_first, terms.atc_last))
    assert ranges == [(1, 10), (11, 20), (21, 30), (31, 40)]
    assert [house.key_set(phone, n).key_index for n in range(1, 5)] == ["6010500", "6010501", "6010502", "6010503"]
    house.clock.advance(HOUR_MS)
    assert house.refresh(phone).index == "6010600"


def test_a_weakly_attested_device_gets_less(house: PayHouse) -> None:
    phone = house.token(keys=False)
    terms = issued(house.issue(phone, 1, lowered=True)).terms
    assert (terms.max_uses, terms.atc_last, terms.max_amount) == (3, 3, 100_000)
    assert house.key_set(phone, 1).lowered == 1


def test_one_use_at_a_time_is_a_policy(house: PayHouse) -> None:
    """Fetching from the cloud at the tap: one use a set, so the hour's bound is the number of taps."""
    phone = house.token(policy=KeyPolicy(max_uses=1, fetch="at_tap"))
    house.pay(phone)
    house.refresh(phone)
    house.pay(phone)
    assert house.counter(phone).atc == 2


# -- repeats and bounds ------------------------------------------------------------------------------------------------


def test_the_last_sequence_again_gets_the_same_terms(house: PayHouse) -> None:
    phone = house.token(keys=False)
    first = issued(house.issue(phone, 1)).terms
    house.clock.advance(1000)
    assert issued(house.issue(phone, 1)).terms == first
    assert issued(house.issue(phone, 2)).terms.sequence == 2
    assert house.token_row(phone).atc_allotted == 20


Ask = Callable[[PayHouse, Phone], Reply]


def changed(**changes: object) -> Ask:
    def ask(house: PayHouse, phone: Phone) -> Reply:
        house.change(phone, **changes)
        return house.issue(phone, 2)

    return ask


def card_changed(**changes: object) -> Ask:
    def ask(house: PayHouse, phone: Phone) -> Reply:
        house.change_card(phone, **changes)
        return house.issue(phone, 2)

    return ask


def as_another(house: PayHouse, phone: Phone) -> Reply:
    body = IssueKeys(token=phone.reference, device=phone.device, sequence=2)
    return house.call("tsp.keys.issue", body, caller=f"requestor/{OTHER_TRID}")


# fmt: off
REFUSALS = {
    "a sequence ahead": (lambda h, p: h.issue(p, 3), ("wrong-state", "SEQUENCE")),
    "a sequence long ago": (lambda h, p: (h.refresh(p), h.issue(p, 1))[1], ("wrong-state", "SEQUENCE")),
    "sequence nought": (lambda h, p: h.issue(p, 0), ("wrong-state", "SEQUENCE")),
    "a counter too high": (lambda h, p: h.issue(p, 2, atc=11), ("format", "ATC")),
    "no counter at all": (lambda h, p: h.issue(p, 2, atc=2**70), ("format", "")),
    "another device": (lambda h, p: h.issue(p, 2, device="other"), ("forbidden", "DEVICE")),
    "another requestor": (as_another, ("not-found", "")),
    "no such token": (lambda h, p: h.issue(replace(p, reference="f" * 32), 2), ("not-found", "")),
    "suspended": (changed(state="SUSPENDED", suspended_by="ISSUER"), ("wrong-state", "SUSPENDED")),
    "and why": (changed(state="SUSPENDED", suspended_by="TSP", reason="DEVICE_LOST"), ("wrong-state", "DEVICE_LOST")),
    "waiting for ID&V": (changed(state="INACTIVE"), ("wrong-state", "INACTIVE")),
    "deleted": (changed(state="DEACTIVATED"), ("wrong-state", "DEACTIVATED")),
    "expired by the clock": (changed(expires_ms=START_MS), ("wrong-state", "EXPIRED")),
    "its card is stolen": (card_changed(state="stolen"), ("wrong-state", "CARD_NOT_ACTIVE")),
    "its card was replaced": (card_changed(generation=2), ("wrong-state", "CARD_NOT_ACTIVE")),
    "counters used up": (changed(atc_allotted=0xFFFF - 9), ("wrong-state", "ATC_EXHAUSTED")),
    "the last ten counters": (changed(atc_allotted=0xFFFF - 10), ("", "")),
}
# fmt: on


@pytest.mark.parametrize(("ask", "said"), REFUSALS.values(), ids=REFUSALS)
def test_who_gets_no_keys(house: PayHouse, ask: Ask, said: tuple[str, str]) -> None:
    phone = house.token()
    assert refused(ask(house, phone)) == said


def test_an_hour_has_a_bound(tmp_path: Path) -> None:
    house = PayHouse(tmp_path, TSPConfig(key_sets_per_hour=3))
    phone = house.token()
    house.clock.advance(1000)
    house.refresh(phone)
    house.refresh(phone)
    reply = house.issue(phone, 4)
    problem = decoded(reply.body, Problem, path="")
    assert (reply.status, problem.code, problem.retry_after_s) == (429, "too-many", 3600)
    house.clock.advance(HOUR_MS - 1000)
    house.refresh(phone)


def test_one_use_at_a_tap_has_a_bound_of_its_own(tmp_path: Path) -> None:
    house = PayHouse(tmp_path, TSPConfig(key_sets_per_hour=3))
    phone = house.token(policy=KeyPolicy(max_uses=1, fetch="at_tap"))
    for _ in range(29):
        house.pay(phone)
        house.refresh(phone)
    assert refused(house.issue(phone, 31)) == ("too-many", "")


def test_an_index_never_wraps(tmp_path: Path) -> None:
    house = PayHouse(tmp_path, TSPConfig(key_sets_per_hour=1000))
    phone = house.token(policy=KeyPolicy(max_uses=1))
    for _ in range(99):
        house.refresh(phone, confirm=False)
    assert house.key_set(phone, 100).key_index == "6010599"
    assert refused(house.issue(phone, 101)) == ("too-many", "")
    house.clock.advance(HOUR_MS)
    assert house.refresh(phone).index == "6010600"


# -- confirmation and grace --------------------------------------------------------------------------------------------


def states(house: PayHouse, phone: Phone, last: int) -> list[str]:
    return [effective(house.key_set(phone, n), house.clock.now_ms()).name for n in range(1, last + 1)]


def test_a_confirmed_set_puts_the_one_before_into_grace(house: PayHouse) -> None:
    phone = house.token(keys=False)
    house.refresh(phone, confirm=False)
    assert states(house, phone, 1) == ["ISSUED"]
    house.confirm(phone, 1)
    house.refresh(phone, confirm=False)
    assert states(house, phone, 2) == ["CURRENT", "ISSUED"]
    assert [house.confirm(phone, 2).ok for _ in range(2)] == [True, True]
    assert states(house, phone, 2) == ["GRACE", "CURRENT"]
    house.clock.advance(299_999)
    assert states(house, phone, 2) == ["GRACE", "CURRENT"]
    house.clock.advance(1)
    assert states(house, phone, 2) == ["RETIRED", "CURRENT"]


def test_a_late_confirmation_changes_nothing(house: PayHouse) -> None:
    phone = house.token()
    house.refresh(phone)
    house.clock.advance(300_000)
    assert house.confirm(phone, 1).ok
    assert states(house, phone, 2) == ["RETIRED", "CURRENT"]


def test_who_asks_for_the_next_has_stored_the_one_before(house: PayHouse) -> None:
    """So never more than two sets pay, however many confirmations are lost."""
    phone = house.token()
    for _ in range(3):
        house.refresh(phone, confirm=False)
    assert states(house, phone, 4) == ["GRACE", "GRACE", "CURRENT", "ISSUED"]
    house.clock.advance(300_000)
    assert states(house, phone, 4) == ["RETIRED", "RETIRED", "CURRENT", "ISSUED"]
    house.refresh(phone)
    assert house.key_set(phone, 1).state == KeySetState.RETIRED.value  # written down by the way


def test_confirming_what_was_never_issued(house: PayHouse) -> None:
    phone = house.token()
    assert refused(house.confirm(phone, 2)) == ("not-found", "")
    other = house.call(
        "tsp.keys.confirm", ConfirmKeys(token=phone.reference, sequence=1), caller=f"requestor/{OTHER_TRID}"
    )  # fmt: skip
    assert refused(other) == ("not-found", "")


# -- the phone's log ---------------------------------------------------------------------------------------------------

S, U = Seen, lambda atc, amount=0, un="": UseReport(atc=atc, index="6010500", at_ms=0, amount=amount, un=un)
# fmt: off
LOGS = {
    #                          authorised             the phone's log           stands at, covered: what is suspected
    "all known": ([S(1, 5, "aa")], [U(1, 5, "AA")], 1, 0, ""),
    "used, never seen": ([], [U(1), U(2)], 2, 0, ""),
    "seen, never used": ([S(1, 5, "")], [], 1, 0, "authorised ATC 1, which the phone has not used"),
    "another amount": ([S(1, 5, "")], [U(1, 6)], 1, 0, "authorised ATC 1 over another amount than the phone's"),
    "another terminal": ([S(1, 5, "aa")], [U(1, 5, "bb")], 1, 0, "authorised ATC 1 at another terminal than the phone's"),
    "an amount not logged": ([S(1, 5, "aa")], [U(1)], 1, 0, ""),
    "covered before": ([S(1, 5, "")], [U(2)], 2, 1, ""),
    "above the phone": ([S(9, 5, "")], [U(1)], 1, 0, ""),
}
# fmt: on


@pytest.mark.parametrize(("seen", "uses", "atc", "covered", "found"), LOGS.values(), ids=LOGS)
def test_suspicion(seen: list, uses: list, atc: int, covered: int, found: str) -> None:
    assert suspicion(seen, uses, atc=atc, covered=covered) == found


def test_a_copied_phone_suspends_the_token(house: PayHouse) -> None:
    phone = house.token()
    house.pay(phone)
    house.pay(phone)
    reply = house.issue(phone, 2, uses=[phone.uses[1]])  # a copy made the first
    assert refused(reply) == ("wrong-state", "CLONE_SUSPECTED")
    row = house.token_row(phone)
    assert (row.state, row.suspended_by, row.reason) == ("SUSPENDED", "TSP", "CLONE_SUSPECTED")
    assert house.risks() == ["CLONE_SUSPECTED"]
    assert house.said(house.purchase(phone)) == ("62", "TOKEN_NOT_ACTIVE")


def test_a_phone_whose_counter_ran_back_is_a_copy(house: PayHouse) -> None:
    phone = house.token()
    house.pay(phone)
    house.pay(phone)
    house.refresh(phone)
    assert refused(house.issue(phone, 3, atc=1, uses=[])) == ("wrong-state", "CLONE_SUSPECTED")


def test_a_use_above_the_phone_is_judged_next_time(house: PayHouse) -> None:
    phone = house.token()
    honest, atc = house.pay(phone), phone.atc
    assert honest
    log = list(phone.uses)
    house.pay(phone)  # a copy is ahead of the phone
    assert issued(house.issue(phone, 2, atc=atc, uses=log)).terms.sequence == 2
    later = [UseReport(atc=2, index="6010500", at_ms=0, amount=777)]
    assert refused(house.issue(phone, 3, atc=2, uses=later)) == ("wrong-state", "CLONE_SUSPECTED")


def test_a_lost_answer_does_not_make_a_clone(house: PayHouse) -> None:
    """The phone repeats its request with what it used meanwhile, then tells the rest."""
    phone = house.token()
    house.pay(phone)
    issued(house.issue(phone, 2))
    house.pay(phone)
    terms = issued(house.issue(phone, 2)).terms
    phone.uses.clear()
    phone.take(terms)
    house.pay(phone)
    assert issued(house.issue(phone, 3)).terms.sequence == 3
    assert house.token_row(phone).state == "ACTIVE"


def test_a_log_that_let_go_of_old_uses_accuses_nobody(tmp_path: Path) -> None:
    house = PayHouse(tmp_path, TSPConfig(payments_per_day=1000))
    phone = house.token(policy=KeyPolicy(max_uses=300))
    for _ in range(5):
        house.send(*[house.sealed(house.purchase(phone, 1)) for _ in range(52)])
    assert house.counter(phone).atc == 260
    assert issued(house.issue(phone, 2, uses=phone.uses[-256:])).terms.atc_first == 301


def test_reported_uses_that_never_came_are_told_not_punished(house: PayHouse) -> None:
    phone = house.token()
    house.purchase(phone)  # torn: the terminal never sent it
    assert issued(house.issue(phone, 2)).terms.sequence == 2
    assert "reported uses that have not been seen here: 1" in [event.title for event in house.events.events]


# -- payments as the holder sees them ----------------------------------------------------------------------------------


def test_transactions_newest_first_page_by_page(house: PayHouse) -> None:
    phone = house.token()
    bought = house.pay(phone, 1100)
    house.ask(house.outcome(bought))
    house.ask(house.outcome(house.pay(phone, 1200), "51"))
    house.ask(house.purchase(phone, 1300, t9F26=bytes(8)))
    house.ask(house.balance(phone))
    taken = house.pay(phone, 1400)
    house.ask(house.follow_up("0420", taken))
    house.pay(phone, 1500)  # its outcome is not known yet
    refund = house.follow_up("0220", bought, f4="000000000100")
    house.ask(refund)
    house.ask(house.outcome(refund))
    page = house.transactions(phone, limit=3)
    seen = [*page.items, *house.transactions(phone, limit=3, before=page.next).items]
    assert [(one.kind, one.result, one.amount, one.response_code, one.reason) for one in seen] == [
        ("REFUND", "APPROVED", 100, "00", "RESOLVED"),
        ("PURCHASE", "REVERSED", 1400, "00", "RESOLVED"),
        ("PURCHASE", "DECLINED", 1300, "59", "CRYPTOGRAM_WRONG"),
        ("PURCHASE", "DECLINED", 1200, "51", "INSUFFICIENT_FUNDS"),
        ("PURCHASE", "APPROVED", 1100, "00", "RESOLVED"),
    ]
    assert [one.merchant for one in seen] == ["TEAHOUSE"] * 5


def test_anothers_transactions_do_not_exist(house: PayHouse) -> None:
    phone = house.token()
    asked = TransactionsAsked(token=phone.reference)
    assert refused(house.call("tsp.transactions", asked, caller=f"requestor/{OTHER_TRID}")) == ("not-found", "")
    assert refused(house.call("tsp.transactions", asked, caller="issuer/99010000"))[0] == "forbidden"
    odd = TransactionsAsked(token=phone.reference, before="x")
    assert refused(house.call("tsp.transactions", odd))[0] == "format"
