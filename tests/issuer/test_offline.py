"""Offline approvals: what a card has granted by itself is booked once, where it was spent, when its TC is right."""

from dataclasses import replace

import pytest

from shanfu.errors import Conflict, NotFound
from shanfu.hsm import Algorithm
from shanfu.issuer import (
    CardState,
    account_name,
    balance,
    card_state,
    cash_of,
    journal_lines,
    postings_of,
    set_status,
    statement,
    trial_balance,
    unbalanced,
)
from shanfu.money import Currency, Money
from tests.issuer.bank import CNY, TODAY, Bank, Plastic, issuer_data

LOADED = 10_000


@pytest.fixture
def card(bank: Bank) -> Plastic:
    """A card on which ¥100.00 lie."""
    return bank.card("cash", "lin", cash=Money(LOADED, CNY))


def left(bank: Bank, card: Plastic) -> int:
    """What lies on the card, by the books, which agree."""
    assert unbalanced(bank.store) == []
    assert sum(line.balance_minor for line in trial_balance(bank.store)) == 0
    assert all(line.agrees for line in postings_of(bank.store, TODAY))
    [account] = cash_of(bank.store, bank.hsm, card.pan)
    return account.balance_minor


def iad(cvr: str, *, cvn: int = 1, algorithm: int = 1, dki: int = 1) -> bytes:
    return bytes((7, dki, cvn)) + bytes.fromhex(cvr) + bytes((algorithm,))


# fmt: off
ADVICES = [
    # what the message has                             amount   code  reason
    ({},                                               1234,    "00", "APPROVED"),
    ({"t9F10": iad("03900000", cvn=0x17)},             1234,    "00", "APPROVED"),
    ({"f22": "051", "t9F74": b"ECC001"},               1234,    "00", "APPROVED"),           # e-cash in the slot
    ({"f14": "3112"},                                  1234,    "00", "APPROVED"),           # spent is spent
    ({},                                               LOADED,  "00", "APPROVED"),
    ({},                                               LOADED + 1, "00", "CASH_OVERDRAWN"),
    ({"t9F26": bytes(8)},                              1234,    "12", "TC_WRONG"),
    ({"f23": "002"},                                   1234,    "12", "TC_WRONG"),           # of another chip
    ({"t9F27": b"\x80"},                               1234,    "12", "NOT_A_TC"),
    ({"t9F27": b"\x00"},                               1234,    "12", "NOT_A_TC"),
    ({"t9F10": iad("03A00000")},                       1234,    "12", "NOT_A_TC"),           # the card asked for us
    ({"t9F10": iad("03800000")},                       1234,    "12", "NOT_A_TC"),           # it declined
    ({"t9F10": iad("03600000")},                       1234,    "12", "NOT_A_TC"),           # closes an online payment
    ({"t9F10": iad("03210000")},                       1234,    "12", "NOT_A_TC"),           # unable to go online: declined
    ({"t9F10": iad("03900000", dki=2)},                1234,    "A7", "KEY_UNKNOWN"),
    ({"t9F10": iad("03900000", algorithm=4)},          1234,    "59", "ALGORITHM_NOT_ALLOWED"),
    ({"f4": "000000000001"},                           1234,    "59", "CHIP_DATA_DIFFERS"),
    ({"f49": "344"},                                   1234,    "59", "CHIP_DATA_DIFFERS"),
    ({"currency": "344"},                              1234,    "12", "NO_CASH_ACCOUNT"),
    ({},                                               0,       "13", "AMOUNT_INVALID"),
    ({"f2": "6209019999999996"},                       1234,    "14", "CARD_UNKNOWN"),
    ({"f55": None},                                    1234,    "30", "FORMAT"),
    ({"f55": b"\x9f"},                                 1234,    "30", "FORMAT"),
    ({"f37": None},                                    1234,    "30", "FORMAT"),
]
# fmt: on


@pytest.mark.parametrize(("more", "minor", "code", "reason"), ADVICES)
def test_an_advice(bank: Bank, card: Plastic, *, more: dict, minor: int, code: str, reason: str) -> None:
    answer = bank.ask(bank.offline(card, minor, **more))
    assert (answer.mti, answer.text(39), bank.reason()) == ("0230", code, reason)
    assert not {38, 55} & answer.fields.keys()
    assert left(bank, card) == LOADED - (minor if code == "00" else 0)
    assert balance(bank.store, "lin/156").balance_minor == 500_000 - LOADED
    assert card_state(bank.store, bank.hsm, card.pan).atc == 0
    [line] = journal_lines(bank.store, TODAY)
    assert (line.mti, line.state, line.reason) == ("0220", "APPROVED" if code == "00" else "DECLINED", reason)


def test_sm4_card(bank: Bank) -> None:
    card = bank.card("sm4", "lin", algorithm=Algorithm.SM4, cash=Money(LOADED, CNY))
    assert bank.code(bank.offline(card, 100)) == "00"
    assert bank.code(bank.offline(card, 100, t9F10=issuer_data(card, "03900000", cvn=0x17))) == "00"
    assert left(bank, card) == LOADED - 200


def test_each_certificate_is_booked_once_in_whatever_order(bank: Bank, card: Plastic) -> None:
    first, online, third, unsent = (
        bank.offline(card, 100), bank.purchase(card, 1000), bank.offline(card, 300), bank.offline(card, 7),
    )  # fmt: skip
    assert bank.code(online) == "00"
    assert [bank.code(third), bank.code(first)] == ["00", "00"], "a lower counter than the last online one is honest"
    assert [bank.code(third), bank.code(first)] == ["00", "00"], "the same advice again: its stored answer"
    assert left(bank, card) == LOADED - 400
    again = bank.offline(card, 100)
    again.fields[55] = first.fields[55]  # the same certificate under another name
    assert (bank.code(again), bank.reason()) == ("94", "TC_SEEN")
    assert (bank.code(bank.offline(card, 5, f11=first.text(11), f7=first.text(7))), bank.reason()) == ("94", "DUPLICATE")
    fresh = bank.offline(card, 7)
    fresh.fields[55] = unsent.fields[55]
    answers = bank.send(*[bank.sealed(message) for message in (unsent, fresh, unsent)])
    assert [answer.text(39) for answer in answers] == ["00", "94", "00"], "in one batch too"
    assert left(bank, card) == LOADED - 407
    assert card_state(bank.store, bank.hsm, card.pan).atc == 2


def test_a_wrong_certificate_spends_nothing(bank: Bank, card: Plastic) -> None:
    right = bank.offline(card, 100)
    card.atc -= 1
    assert bank.code(bank.offline(card, 100, t9F26=bytes(8))) == "12"
    assert bank.code(right) == "00"


@pytest.mark.parametrize("state", [state for state in CardState if state is not CardState.ACTIVE])
def test_what_was_spent_counts_whatever_has_become_of_the_card(bank: Bank, card: Plastic, state: CardState) -> None:
    spent = bank.offline(card, 100)
    set_status(bank.store, bank.hsm, card.pan, state)
    assert bank.code(spent) == "00"
    assert left(bank, card) == LOADED - 100


def test_the_card_may_have_spent_more_than_the_books_say_was_loaded(bank: Bank, card: Plastic) -> None:
    assert bank.code(bank.offline(card, LOADED)) == "00"
    assert (bank.code(bank.offline(card, 1)), bank.reason()) == ("00", "CASH_OVERDRAWN")
    assert left(bank, card) == -1


def test_it_is_refunded_but_neither_voided_nor_reversed(bank: Bank, card: Plastic) -> None:
    spent = bank.offline(card, 1000)
    bank.ask(spent)
    assert (bank.code(bank.void(spent)), bank.reason()) == ("12", "ORIGINAL_NOT_PAYMENT")
    assert (bank.code(bank.reversal(spent)), bank.reason()) == ("12", "ORIGINAL_NOT_PAYMENT")
    assert bank.code(bank.refund(spent, f4="000000000400")) == "00"
    assert left(bank, card) == LOADED - 1000, "the card knows nothing of a refund"
    assert balance(bank.store, "lin/156").balance_minor == 500_000 - LOADED + 400
    assert (bank.code(bank.refund(spent, f4="000000000601")), bank.reason()) == ("64", "AMOUNT_DIFFERS")


def test_a_card_that_has_paid_alone_and_is_asked_about_all_the_same_pays_once_from_its_e_cash(
    bank: Bank, card: Plastic
) -> None:
    before = balance(bank.store, "lin/156").balance_minor
    asked = bank.purchase(card, 1000, t9F27=b"\x40", t9F10=issuer_data(card, "03900000"), f22="072")
    answer = bank.ask(asked)
    assert (answer.mti, answer.text(39), len(answer.text(38))) == ("0210", "00", 6)
    assert (left(bank, card), balance(bank.store, "lin/156").balance_minor) == (LOADED - 1000, before)
    assert card_state(bank.store, bank.hsm, card.pan).atc == 0, "its counter for online payments stands where it stood"
    for again in (bank.purchase(card, 1000, f22="072", f55=asked.binary(55)), bank.offline(card, 1000, f55=asked.binary(55))):
        assert (bank.code(again), bank.reason()) == ("94", "TC_SEEN"), "neither asked nor uploaded"
    assert bank.code(bank.reversal(asked)) == "00"
    assert (left(bank, card), balance(bank.store, "lin/156").balance_minor) == (LOADED, before), "as if it had been refused"
    assert (bank.code(bank.reversal(asked)), left(bank, card)) == ("00", LOADED)


def test_what_was_asked_with_a_tc_is_voided_to_the_account_behind_the_card(bank: Bank, card: Plastic) -> None:
    before = balance(bank.store, "lin/156")
    asked = bank.purchase(card, 1000, t9F27=b"\x40", t9F10=issuer_data(card, "03900000"), f22="072")
    online = bank.purchase(card, 200)
    void = bank.void(asked)
    assert [bank.code(message) for message in (asked, online, void)] == ["00"] * 3
    after = balance(bank.store, "lin/156")
    assert (left(bank, card), after.balance_minor) == (LOADED - 1000, before.balance_minor + 800)
    assert (after.day_minor, after.day_count) == (200, 1), "no day has counted the e-cash"
    assert bank.code(bank.reversal(void)) == "00"
    after = balance(bank.store, "lin/156")
    assert (left(bank, card), after.balance_minor, after.day_minor) == (LOADED - 1000, before.balance_minor - 200, 200)


def test_in_the_slot_a_tc_is_no_question(bank: Bank, card: Plastic) -> None:
    asked = bank.purchase(card, 1000, t9F27=b"\x40", t9F10=issuer_data(card, "03900000"), f22="051")
    assert (bank.code(asked), left(bank, card)) == ("05", LOADED)


def test_a_certificate_of_the_chip_before_a_renewal(bank: Bank, card: Plastic) -> None:
    renewed = replace(card, psn="02", atc=0)
    assert bank.code(bank.offline(renewed, 100, f23="002")) == "00"
    assert bank.code(bank.offline(card, 100)) == "00", "its counter is another chip's"
    assert left(bank, card) == LOADED - 200


# -- not with e-cash ---------------------------------------------------------------------------------------------------

AT_ONCE, UNREACHED, UNREACHED_PIN = "03900000", "03610000", "03650000"  # first TC; ARQC, then TC: unable to go online (Y3)
# fmt: off
ORDINARY = [
    # card     CVR            what else                        amount   code  reason
    ("debit",  AT_ONCE,       {"f22": "051"},                  1234,    "00", "APPROVED"),
    ("debit",  UNREACHED,     {"f22": "051"},                  1234,    "00", "APPROVED"),
    ("debit",  UNREACHED_PIN, {"f22": "052"},                  1234,    "00", "APPROVED"),           # the card checked its PIN
    ("debit",  UNREACHED,     {"f22": "071"},                  1234,    "00", "APPROVED"),           # full PBOC by wave
    ("debit",  "0361800F",    {"f22": "051"},                  1234,    "00", "APPROVED"),
    ("debit",  UNREACHED,     {"f22": "051"},                  500_001, "00", "ACCOUNT_OVERDRAWN"),  # spent is spent
    ("debit",  UNREACHED,     {"f22": "051", "t9F26": bytes(8)}, 1234,  "12", "TC_WRONG"),
    ("debit",  UNREACHED,     {"f22": "051", "t9F27": b"\x80"}, 1234,   "12", "NOT_A_TC"),
    ("debit",  "03E10000",    {"f22": "051"},                  1234,    "12", "NOT_A_TC"),
    ("debit",  "03600000",    {"f22": "051"},                  1234,    "12", "NOT_A_TC"),           # the end of an online one
    ("debit",  UNREACHED,     {"f22": "051", "currency": "344"}, 1234,  "A1", "NO_ACCOUNT"),
    ("debit",  AT_ONCE,       {"f22": "072"},                  1234,    "12", "NO_CASH_ACCOUNT"),    # a wave: e-cash
    ("debit",  AT_ONCE,       {"f22": "051", "t9F74": b"ECC001"}, 1234, "12", "NO_CASH_ACCOUNT"),
    ("cash",   AT_ONCE,       {"f22": "051"},                  1234,    "00", "APPROVED"),
    ("cash",   UNREACHED,     {"f22": "051"},                  1234,    "00", "APPROVED"),
    ("cash",   UNREACHED,     {"f22": "051", "t9F74": b"ECC001"}, 1234, "00", "APPROVED"),           # Y3 never is e-cash
    ("credit", UNREACHED,     {"f22": "051"},                  1234,    "00", "APPROVED"),
]
# fmt: on


@pytest.mark.parametrize(("name", "cvr", "more", "minor", "code", "reason"), ORDINARY)
def test_what_is_no_e_cash_is_the_accounts_behind_the_card(
    bank: Bank, card: Plastic, *, name: str, cvr: str, more: dict, minor: int, code: str, reason: str
) -> None:
    plastic, account = bank.cards[name], "chen/156" if name == "credit" else "lin/156"
    before = balance(bank.store, account).available_minor
    answer = bank.ask(bank.offline(plastic, minor, **{"t9F10": issuer_data(plastic, cvr)} | more))
    assert (answer.mti, answer.text(39), bank.reason()) == ("0230", code, reason)
    assert left(bank, card) == LOADED, "nothing was taken off any e-cash"
    assert before - balance(bank.store, account).available_minor == (minor if code == "00" else 0)
    assert card_state(bank.store, bank.hsm, plastic.pan).atc == 0


def test_a_request_that_got_no_answer_and_the_cards_own_approval_of_it_are_two_payments(bank: Bank) -> None:
    card, start = bank.cards["debit"], balance(bank.store, "lin/156").balance_minor
    asked = bank.insert(card, 1000)
    card.atc -= 1  # both of its cryptograms have one counter
    own = bank.offline(card, 1000, f22="051", t9F10=issuer_data(card, UNREACHED))
    assert [bank.code(message) for message in (asked, own, own, bank.reversal(asked))] == ["00"] * 4
    assert start - balance(bank.store, "lin/156").balance_minor == 1000
    renamed = bank.offline(card, 1000, f22="051", f55=own.binary(55))
    assert (bank.code(renamed), bank.reason()) == ("94", "TC_SEEN")
    assert unbalanced(bank.store) == []


def test_a_credit_cards_own_approval_is_held_and_refunded_as_any_payment(bank: Bank) -> None:
    card = bank.cards["credit"]
    own = bank.offline(card, 1000, f22="051", t9F10=issuer_data(card, UNREACHED))
    assert bank.code(own) == "00"
    held = balance(bank.store, "chen/156")
    assert (held.balance_minor, held.held_minor, held.day_minor, held.day_count) == (0, 1000, 1000, 1)
    assert (bank.code(bank.reversal(own)), bank.reason()) == ("12", "ORIGINAL_NOT_PAYMENT")
    assert bank.code(bank.refund(own, f4="000000000400")) == "00"
    assert balance(bank.store, "chen/156").available_minor == 2_000_000 - 600


# -- issuing -----------------------------------------------------------------------------------------------------------


def test_the_starting_balance_is_paid_by_the_customers_account(bank: Bank, card: Plastic) -> None:
    [account] = cash_of(bank.store, bank.hsm, card.pan)
    assert (account.kind, account.currency, account.balance_minor) == ("e-cash", "156", LOADED)
    assert balance(bank.store, account.account).account == account.account
    [line] = statement(bank.store, account.account)
    assert (line.kind, line.amount_minor) == ("load", LOADED)
    assert {(entry.kind, entry.amount_minor) for entry in statement(bank.store, "lin/156")} == {
        ("deposit", 500_000),
        ("load", -LOADED),
    }
    assert cash_of(bank.store, bank.hsm, bank.cards["debit"].pan) == []


@pytest.mark.parametrize(
    ("cash", "fault"),
    [(Money(500_001, CNY), Conflict), (Money(1, Currency.of("HKD")), NotFound)],
)
def test_a_card_is_not_issued_with_money_that_is_not_there(bank: Bank, cash: Money, fault: type[Exception]) -> None:
    with pytest.raises(fault):
        bank.card("poor", "lin", cash=cash, digits="620901000009999")
    assert balance(bank.store, "lin/156").balance_minor == 500_000
    assert bank.card("poor", "lin", digits="620901000009999", cash=Money(0, CNY))


def test_other_payments_never_touch_the_e_cash(bank: Bank, card: Plastic) -> None:
    assert bank.code(bank.purchase(card, 1000)) == "00"
    assert left(bank, card) == LOADED
    assert balance(bank.store, account_name("lin", "156")).balance_minor == 500_000 - LOADED - 1000
