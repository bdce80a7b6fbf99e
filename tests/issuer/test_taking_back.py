"""Void, refund, reversal and clearing: where the money goes, and that it goes there once."""

import pytest

from shanfu.issuer import AccountState, Chart, balance, statement, trial_balance, unbalanced
from shanfu.issuer.accounts import ACCOUNTS, BY_ACCOUNT
from tests.issuer.bank import CNY, TODAY, TOMORROW, Bank

CARDS = pytest.mark.parametrize("name", ["debit", "credit"])
ACCOUNT = {"debit": "lin/156", "credit": "chen/156"}


def money(bank: Bank, name: str) -> tuple[int, int]:
    """What the cardholder has less than at the start, and what is held of the rest."""
    account = balance(bank.store, ACCOUNT[name])
    start = 500_000 if name == "debit" else 0
    assert unbalanced(bank.store) == []
    return start - account.balance_minor, account.held_minor


def close_day(bank: Bank, day: str = TODAY) -> None:
    assert bank.ask(bank.management("202", f15=day[4:])).text(39) == "00"
    bank.tick()


# -- void --------------------------------------------------------------------------------------------------------------


@CARDS
def test_void_gives_the_money_back_once(bank: Bank, name: str) -> None:
    payment = bank.purchase(bank.cards[name], 1000)
    bank.ask(payment)
    first = bank.void(payment)
    assert (bank.code(first), money(bank, name)) == ("00", (0, 0))
    assert bank.code(first) == "00"  # the same void again: its stored answer
    assert (bank.code(bank.void(payment)), bank.reason()) == ("12", "ALREADY_VOIDED")
    assert money(bank, name) == (0, 0)


# fmt: off
VOIDS = [
    # void has                        code  reason
    ({"f38": None},                   "00", "APPROVED"),
    ({"f38": "000000"},               "25", "ORIGINAL_UNKNOWN"),
    ({"f4": "000000000999"},          "64", "AMOUNT_DIFFERS"),
    ({"f4": "000000001001"},          "64", "AMOUNT_DIFFERS"),
    ({"f49": "344"},                  "64", "AMOUNT_DIFFERS"),
    ({"f4": "000000000000"},          "13", "AMOUNT_INVALID"),
    ({"f90": "0" * 42},               "25", "ORIGINAL_UNKNOWN"),
    ({"f90": None},                   "30", "FORMAT"),
    ({"f2": "6209019999999996"},      "14", "CARD_UNKNOWN"),
]
# fmt: on


@pytest.mark.parametrize(("more", "code", "reason"), VOIDS)
def test_voids_that_fit_or_not(bank: Bank, more: dict, code: str, reason: str) -> None:
    payment = bank.purchase(bank.cards["debit"], 1000)
    bank.ask(payment)
    assert (bank.code(bank.void(payment, **more)), bank.reason()) == (code, reason)
    assert money(bank, "debit") == ((0, 0) if code == "00" else (1000, 0))


def test_void_of_what_cannot_be_voided(bank: Bank) -> None:
    card, other = bank.cards["debit"], bank.cards["credit"]
    declined, inquiry, paid = bank.purchase(card, 600_000), bank.balance(card), bank.purchase(card, 100)
    for message in (declined, inquiry, paid):
        bank.ask(message)
    inquiry.fields[4] = paid.fields[4]
    assert (bank.code(bank.void(declined)), bank.reason()) == ("25", "ORIGINAL_NOT_APPROVED")
    assert (bank.code(bank.void(inquiry)), bank.reason()) == ("12", "ORIGINAL_NOT_PAYMENT")
    assert (bank.code(bank.void(paid, f2=other.pan.digits)), bank.reason()) == ("25", "ORIGINAL_ANOTHER_CARDS")
    void = bank.void(paid)
    bank.ask(void)
    assert (bank.code(bank.void(void)), bank.reason()) == ("12", "ORIGINAL_NOT_PAYMENT")
    reversed_payment = bank.purchase(card, 100)
    bank.ask(reversed_payment)
    bank.ask(bank.reversal(reversed_payment))
    assert (bank.code(bank.void(reversed_payment)), bank.reason()) == ("25", "ORIGINAL_NOT_APPROVED")
    refunded = bank.purchase(card, 100)
    bank.ask(refunded)
    bank.ask(bank.refund(refunded, f4="000000000001"))
    assert (bank.code(bank.void(refunded)), bank.reason()) == ("12", "ALREADY_REFUNDED")


def test_void_on_a_later_day_clears_the_hold_first(bank: Bank) -> None:
    payment = bank.purchase(bank.cards["credit"], 1000)
    bank.ask(payment)
    assert bank.code(bank.void(payment, day=TOMORROW)) == "00"
    lines = statement(bank.store, "chen/156")
    assert [(line.business_date, line.kind, line.amount_minor) for line in lines] == [
        (TODAY, "clearing", -1000),
        (TOMORROW, "void", 1000),
    ]
    assert money(bank, "credit") == (0, 0)


@CARDS
@pytest.mark.parametrize("day", [TODAY, TOMORROW])
def test_a_reversed_void_takes_the_money_again(bank: Bank, name: str, day: str) -> None:
    payment = bank.purchase(bank.cards[name], 1000)
    bank.ask(payment)
    void = bank.void(payment, day=day)
    bank.ask(void)
    assert bank.code(bank.reversal(void)) == "00"
    assert sum(money(bank, name)) == 1000
    assert bank.code(bank.reversal(void)) == "00"
    assert sum(money(bank, name)) == 1000
    assert bank.code(bank.void(payment)) == "00"
    assert money(bank, name) == (0, 0)


# -- refund ------------------------------------------------------------------------------------------------------------


@CARDS
def test_refunds_up_to_what_was_paid(bank: Bank, name: str) -> None:
    payment = bank.purchase(bank.cards[name], 1000)
    bank.ask(payment)
    part = bank.refund(payment, f4="000000000600")
    assert bank.code(part) == "00"
    part.mti = "0221"
    assert bank.code(part) == "00"  # a repeat of the advice
    assert (bank.code(bank.refund(payment, f4="000000000401")), bank.reason()) == ("64", "AMOUNT_DIFFERS")
    assert bank.code(bank.refund(payment, f4="000000000400")) == "00"
    assert (bank.code(bank.refund(payment, f4="000000000001")), bank.reason()) == ("64", "AMOUNT_DIFFERS")
    assert sum(money(bank, name)) == 0


# fmt: off
REFUNDS = [
    # months later  refund has                        code  reason
    (0,             {},                               "00", "APPROVED"),
    (17,            {},                               "00", "APPROVED"),
    (19,            {},                               "25", "ORIGINAL_TOO_OLD"),
    (0,             {"f90": "0200" + "9" * 38},       "25", "ORIGINAL_UNKNOWN"),
    (0,             {"f49": "344"},                   "64", "AMOUNT_DIFFERS"),
    (0,             {"f3": "010000"},                 "12", "UNKNOWN_KIND"),
]
# fmt: on


@pytest.mark.parametrize(("months", "more", "code", "reason"), REFUNDS)
def test_refunds_that_fit_or_not(bank: Bank, months: int, more: dict, code: str, reason: str) -> None:
    payment = bank.purchase(bank.cards["debit"], 1000)
    bank.ask(payment)
    bank.clock.advance(months * 30 * 86_400_000)
    answer = bank.ask(bank.refund(payment, **more))
    assert (answer.mti, answer.text(39), bank.reason()) == ("0230", code, reason)


def test_a_refund_is_not_reversed_and_a_refunded_payment_neither(bank: Bank) -> None:
    payment = bank.purchase(bank.cards["debit"], 1000)
    bank.ask(payment)
    refund = bank.refund(payment)
    bank.ask(refund)
    reversal = bank.reversal(refund)
    assert (bank.code(reversal), bank.reason()) == ("12", "ORIGINAL_NOT_PAYMENT")
    assert (bank.code(bank.reversal(payment)), bank.reason()) == ("12", "ALREADY_REFUNDED")
    assert money(bank, "debit") == (0, 0)


def test_money_for_a_closed_account_goes_to_suspense(bank: Bank) -> None:
    payment = bank.purchase(bank.cards["debit"], 1000)
    bank.ask(payment)
    with bank.store.begin() as tx:
        book = ACCOUNTS.open(tx)
        [account] = book.load(BY_ACCOUNT, [(0, "lin/156")])
        account.state = AccountState.CLOSED.value
        book.save()
    assert (bank.code(bank.purchase(bank.cards["debit"], 1)), bank.reason()) == ("A3", "ACCOUNT_CLOSED")
    assert bank.code(bank.refund(payment)) == "00"
    sums = {line.account: line.balance_minor for line in trial_balance(bank.store)}
    assert sums[f"{Chart.SUSPENSE.value}/{CNY.numeric}"] == 1000
    assert money(bank, "debit") == (1000, 0)


# -- reversal ----------------------------------------------------------------------------------------------------------


@CARDS
@pytest.mark.parametrize("cleared", [False, True])
def test_reversal_has_one_effect(bank: Bank, name: str, cleared: bool) -> None:
    payment = bank.purchase(bank.cards[name], 1000)
    bank.ask(payment)
    if cleared:
        close_day(bank)
    reversal = bank.reversal(payment)
    answer = bank.ask(reversal)
    assert (answer.mti, answer.text(39), bank.reason()) == ("0430", "00", "REVERSED")
    assert sorted(answer.fields) == [2, 3, 4, 7, 11, 12, 13, 15, 25, 32, 33, 37, 39, 41, 42, 49, 60, 100, 128]
    reversal.mti = "0421"
    assert (bank.code(reversal), bank.reason()) == ("00", "ALREADY_REVERSED")
    assert (bank.code(bank.reversal(payment)), bank.reason()) == ("00", "ALREADY_REVERSED")
    assert money(bank, name) == (0, 0)
    close_day(bank)
    assert money(bank, name) == (0, 0)
    assert (bank.code(payment), bank.reason()) == ("94", "REVERSED_EARLIER")  # the original again, after its reversal


def test_reversal_before_its_original_leaves_a_tombstone(bank: Bank) -> None:
    payment = bank.purchase(bank.cards["debit"], 1000)
    assert (bank.code(bank.reversal(payment)), bank.reason()) == ("00", "TOMBSTONE_KEPT")
    assert (bank.code(bank.reversal(payment)), bank.reason()) == ("00", "ALREADY_REVERSED")
    assert (bank.code(payment), bank.reason()) == ("94", "REVERSED_EARLIER")
    assert money(bank, "debit") == (0, 0)


def test_reversal_of_a_refusal_and_of_an_inquiry_moves_nothing(bank: Bank) -> None:
    declined, inquiry = bank.purchase(bank.cards["debit"], 600_000), bank.balance(bank.cards["debit"])
    bank.ask(declined)
    bank.ask(inquiry)
    assert bank.code(bank.reversal(declined)) == "00"
    assert bank.code(bank.reversal(inquiry, f4="000000000000")) == "00"
    assert money(bank, "debit") == (0, 0)


# fmt: off
REVERSALS = [
    # reversal has                  code  reason
    ({"f4": "000000000999"},        "64", "AMOUNT_DIFFERS"),
    ({"f49": "344"},                "64", "AMOUNT_DIFFERS"),
    ({"f90": None},                 "30", "FORMAT"),
    ({"f39": None},                 "30", "FORMAT"),
]
# fmt: on


@pytest.mark.parametrize(("more", "code", "reason"), REVERSALS)
def test_reversals_that_do_not_fit(bank: Bank, more: dict, code: str, reason: str) -> None:
    payment = bank.purchase(bank.cards["debit"], 1000)
    bank.ask(payment)
    assert (bank.code(bank.reversal(payment, **more)), bank.reason()) == (code, reason)
    assert money(bank, "debit") == (1000, 0)


def test_reversal_of_a_voided_payment_is_over_without_effect(bank: Bank) -> None:
    payment = bank.purchase(bank.cards["debit"], 1000)
    bank.ask(payment)
    bank.ask(bank.void(payment))
    assert (bank.code(bank.reversal(payment)), bank.reason()) == ("12", "ALREADY_VOIDED")
    assert money(bank, "debit") == (0, 0)


def test_reversal_for_a_card_that_is_not_ours_finds_its_refusal(bank: Bank) -> None:
    payment = bank.purchase(bank.cards["debit"], 1000, f2="6209019999999996", f35=None)
    assert bank.code(payment) == "14"
    assert (bank.code(bank.reversal(payment)), bank.reason()) == ("00", "REVERSED")


# -- clearing ----------------------------------------------------------------------------------------------------------


def test_a_closed_day_turns_its_holds_into_postings(bank: Bank) -> None:
    card = bank.cards["credit"]
    first, second = bank.purchase(card, 1000), bank.purchase(card, 30, day=TOMORROW)
    bank.ask(first)
    bank.ask(second)
    assert money(bank, "credit") == (0, 1030)
    close_day(bank)
    assert money(bank, "credit") == (1000, 30)
    close_day(bank)  # told twice
    assert money(bank, "credit") == (1000, 30)
    late = bank.purchase(card, 200)  # was under way when the day closed
    bank.ask(late)
    assert money(bank, "credit") == (1000, 230)
    bank.tick()
    assert money(bank, "credit") == (1200, 30)
    close_day(bank, TOMORROW)
    assert money(bank, "credit") == (1230, 0)
    assert bank.code(bank.void(first)) == "00"
    assert money(bank, "credit") == (230, 0)


def test_a_hold_without_clearing_lapses(bank: Bank) -> None:
    payment = bank.purchase(bank.cards["credit"], 1000)
    bank.ask(payment)
    bank.tick(30 * 86_400_000)
    assert money(bank, "credit") == (0, 1000)
    bank.tick(86_400_000)
    assert money(bank, "credit") == (0, 0)
    void = bank.void(payment)
    assert bank.code(void) == "00"
    assert bank.code(bank.reversal(void)) == "00"
    assert money(bank, "credit") == (0, 0)
    assert bank.code(bank.reversal(payment)) == "00"
    assert money(bank, "credit") == (0, 0)


def test_clearing_takes_a_bounded_number_of_rows(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    from shanfu.issuer.clearing import ROWS_PER_TURN

    for turn in range(6):
        bank.send(*[bank.sealed(bank.purchase(bank.cards["credit"], 1, day=f"202601{turn + 10:02d}")) for _ in range(45)])
    assert ROWS_PER_TURN < 6 * 45
    bank.ask(bank.management("202", f15="0115"))
    bank.tick()
    assert money(bank, "credit") == (ROWS_PER_TURN, 270 - ROWS_PER_TURN)
    bank.tick()
    assert money(bank, "credit") == (270, 0)
