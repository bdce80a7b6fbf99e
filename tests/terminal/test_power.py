"""The plug is pulled before each single step of each dialogue: no money is lost, no trace number is used twice."""

import pytest

from shanfu.dialogue import Dialogue
from shanfu.errors import StoreVersion
from shanfu.store import DictMemory
from shanfu.terminal import Receipt, State, Terminal
from tests.terminal.shop import PowerCut, Shop, config, lost, yuan

LONGEST = 40  # more steps than any of the dialogues below has


def pay(shop: Shop) -> Dialogue[Receipt]:
    assert shop.card is not None
    shop.reader.present(shop.card)
    return shop.terminal.pay(yuan("1500.00"))


def pay_after_a_lost_answer(shop: Shop) -> Dialogue[Receipt]:
    shop.host.plays("0200", lost)
    shop.pay("3.00")
    return pay(shop)


def void(shop: Shop) -> Dialogue[Receipt]:
    return shop.terminal.void(shop.pay("20.00").stan)


def refund(shop: Shop) -> Dialogue[Receipt]:
    original = shop.terminal.journal.find(shop.pay("20.00").stan)
    assert original is not None
    return shop.terminal.refund(original, yuan("7.00"))


def refund_after_a_lost_answer(shop: Shop) -> Dialogue[Receipt]:
    shop.host.plays("0220", lost)
    return refund(shop)


def settle(shop: Shop) -> Dialogue[Receipt]:
    shop.pay("20.00")
    shop.pay("30.00")
    return shop.terminal.settle()


STORIES = [pay, pay_after_a_lost_answer, void, refund, refund_after_a_lost_answer, settle]


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("cut", range(LONGEST))
def test_a_power_cut_before_any_step(story, cut: int) -> None:
    shop = Shop()
    dialogue = story(shop)
    try:
        shop.drive(dialogue, cut_before=cut)
    except PowerCut:
        shop.restart()
    if story is settle:
        shop.host.batch = 8
    assert shop.pay("5.00").approved  # the host asserts that no name is used twice
    journal = shop.terminal.journal
    assert not journal.dues()
    assert all(t.state in (State.APPROVED, State.REVERSED) for t in journal.transactions.values())
    credit = {"purchase": 1, "void": -1, "refund": -1}
    here = sum(credit[t.kind] * t.amount_minor for t in journal.transactions.values() if t.state is State.APPROVED)
    assert here == shop.host.booked_minor


def test_the_stories_are_shorter_than_the_cuts() -> None:
    for story in STORIES:
        shop = Shop()
        shop.drive(story(shop))
        assert 5 <= len(shop.steps) < LONGEST


def test_the_reversal_goes_out_before_the_next_payment() -> None:
    shop = Shop()
    shop.pay()
    with pytest.raises(PowerCut):  # the request has left, the answer is not yet judged
        shop.drive(pay(shop), cut_before=7)
    shop.restart()
    assert shop.pay().approved
    assert [message.mti for message in shop.host.asked] == ["0800", "0200", "0200", "0400", "0200"]
    assert [message.text(11) for message in shop.host.asked] == ["000001", "000002", "000003", "000003", "000004"]
    assert [line.rrn for line in shop.terminal.lines()] == [f"{n:012d}" for n in (2, 4, 5)], (
        "the reversal's answer tells the RRN"
    )


def test_a_settlement_that_was_cut_off_drops_its_card_data_at_the_next_sign_in() -> None:
    shop = Shop()
    dialogue = settle(shop)
    with pytest.raises(PowerCut):
        shop.drive(dialogue, cut_before=4)  # closed, and nothing truncated yet
    shop.restart()
    assert shop.terminal.journal.state.closed_batch == "000007"
    shop.drive(shop.terminal.sign_in())
    assert {t.pan for t in shop.terminal.journal.transactions.values()} == {""}


def test_the_pin_pad_keeps_its_working_keys() -> None:
    shop = Shop()
    shop.pay()
    shop.restart()
    assert shop.pay("2000.00").approved
    assert sum(message.mti == "0800" for message in shop.host.asked) == 1


def test_records_of_a_newer_version_are_refused() -> None:
    memory = DictMemory({"state": b"\x03whatever"})
    with pytest.raises(StoreVersion, match="format 3, this version reads 2"):
        Terminal(config(), memory, clock=Shop().clock)
