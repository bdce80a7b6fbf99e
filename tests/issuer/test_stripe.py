"""Stripes: served for a chip that could not be read, with the bank's check value and the PIN, and never kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from shanfu.issuer import CardState, Policy, balance, card_state, set_status
from tests.issuer.bank import Bank


@pytest.fixture
def swiping(bank: Bank) -> Bank:
    bank.chip_keys()
    return bank


# fmt: off
SWIPES = [
    # what the message has                   amount     code  reason
    ({},                                     1234,      "00", "APPROVED"),
    ({"f22": "801", "f60": "0000060003"},    1234,      "00", "APPROVED"),           # marked in DE22, as others do
    ({"service": "620"},                     1234,      "00", "APPROVED"),
    ({"f60": "0000060003"},                  1234,      "45", "CHIP_REQUIRED"),      # swiped without trying the chip
    ({"f60": None},                          1234,      "45", "CHIP_REQUIRED"),
    ({"service": "120"},                     1234,      "57", "STRIPE_RETIRED"),
    ({"service": "520", "cvv": "000"},       1234,      "57", "STRIPE_RETIRED"),
    ({"cvv": "!"},                           1234,      "59", "CVV_WRONG"),
    ({"month": "3112"},                      1234,      "54", "EXPIRY_DIFFERS"),     # made by the bank, for another month
    ({"f14": "3112"},                        1234,      "54", "EXPIRY_DIFFERS"),
    ({"pin": None},                          1234,      "55", "PIN_REQUIRED"),
    ({"pin": None, "f22": "021"},            1234,      "55", "PIN_REQUIRED"),
    ({"pin": "654321"},                      1234,      "55", "PIN_WRONG"),
    ({"pin": "654321", "cvv": "!"},          1234,      "59", "CVV_WRONG"),          # nothing is learned about the PIN
    ({},                                     500_001,   "51", "FUNDS_INSUFFICIENT"),
    ({},                                     0,         "13", "AMOUNT_INVALID"),
    ({"f35": None},                          1234,      "30", "FORMAT"),
    ({"f35": "6209010000000008=30"},         1234,      "30", "FORMAT"),
]
# fmt: on


@pytest.mark.parametrize(("more", "minor", "code", "reason"), SWIPES)
def test_a_swipe(swiping: Bank, more: dict, minor: int, code: str, reason: str) -> None:
    bank, card = swiping, swiping.cards["debit"]
    if more.get("cvv") == "!":
        right = bank.swipe(card, minor).text(35)[-9:-6]
        more = more | {"cvv": f"{(int(right) + 1) % 1000:03d}"}
    answer = bank.ask(bank.swipe(card, minor, **more))
    assert (answer.text(39), bank.reason()) == (code, reason)
    assert 55 not in answer
    assert balance(bank.store, "lin/156").balance_minor == 500_000 - (minor if code == "00" else 0)
    view = card_state(bank.store, bank.hsm, card.pan)
    assert (view.atc, view.pin_tries_left) == (0, 2 if reason == "PIN_WRONG" else 3)


def test_the_policy_may_refuse_stripes(swiping: Bank) -> None:
    bank = swiping
    bank.restart(replace(bank.config, policy=replace(Policy.default(), fallback=False)))
    assert (bank.code(bank.swipe(bank.cards["debit"], 100)), bank.reason()) == ("45", "FALLBACK_REFUSED")


@pytest.mark.parametrize("place", [0, 3, 6])
def test_the_policy_says_where_the_check_value_stands(swiping: Bank, place: int) -> None:
    bank, card = swiping, swiping.cards["debit"]
    bank.restart(replace(bank.config, policy=replace(Policy.default(), cvv_place=3)))
    track = bank.swipe(card, 100).text(35)
    head, code = track[:-9], track[-9:-6]
    elsewhere = [f"{(int(code) + 1) % 1000:03d}"] * 2
    elsewhere.insert(place // 3, code)
    assert bank.code(bank.swipe(card, 100, f35=head + "".join(elsewhere))) == ("00" if place == 3 else "59")


def test_without_a_key_no_stripe_is_judged_right(bank: Bank) -> None:
    bank.cvk = bytes(16)
    assert (bank.code(bank.swipe(bank.cards["debit"], 100)), bank.reason()) == ("A7", "KEY_UNKNOWN")


def test_a_lost_card_is_lost_on_its_stripe_too(swiping: Bank) -> None:
    bank, card = swiping, swiping.cards["debit"]
    set_status(bank.store, bank.hsm, card.pan, CardState.LOST)
    assert bank.code(bank.swipe(card, 100)) == "41"


def test_a_swipe_can_be_voided_and_reversed_and_nothing_of_the_track_is_kept(swiping: Bank, tmp_path: Path) -> None:
    bank, card = swiping, swiping.cards["debit"]
    first, second = bank.swipe(card, 1000), bank.swipe(card, 2000)
    assert [bank.code(m) for m in (first, second, bank.void(first), bank.reversal(second))] == ["00"] * 4
    assert balance(bank.store, "lin/156").balance_minor == 500_000
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("issuer.db*"))
    assert first.text(35).encode() not in raw
    assert first.text(35)[17:].encode() not in raw
    assert all(first.text(35) not in str(event.detail) + event.raw.decode("latin-1") for event in bank.events.events)
