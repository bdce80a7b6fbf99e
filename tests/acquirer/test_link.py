"""The link to the network: signing on, key resets, cut-off, line tests, and what comes that nobody asked for."""

import pytest

from shanfu.acquirer.books import SHELVES
from shanfu.hsm import SWITCH_OVER_MS
from shanfu.iso8583 import Message, decode_interbank, encode_interbank
from shanfu.store import Statement
from tests.acquirer.bank import NETWORK, Bank, key


def test_an_unanswered_sign_on_is_asked_again(bank: Bank) -> None:
    bank.link_up()
    assert bank.tick(9_999) == []
    [again] = bank.heard(bank.tick(1))
    assert (again.mti, again.text(70), again.text(33)) == ("0820", "001", "99012900")


def test_a_refused_sign_on_is_asked_again(bank: Bank) -> None:
    bank.link_down()
    bank.link_up()
    asked = bank.heard(bank.tick(10_000))[-1]
    refused = bank.network.frame(Message("0830", asked.copy(7, 11, 33, 70) | {39: "96"}))
    assert bank.turn((NETWORK, refused)) == []
    assert bank.ask(bank.till, bank.till.purchase()).text(39) == "91"
    assert len(bank.heard(bank.tick(10_000))) == 1


@pytest.mark.parametrize(("mti", "code", "answer"), [
    ("0820", "301", "00"), ("0820", "201", "00"), ("0820", "001", "00"), ("0820", "555", "12"),
])  # fmt: skip
def test_management_is_answered(bank: Bank, mti: str, code: str, answer: str) -> None:
    [out] = bank.turn((NETWORK, bank.network.management(mti, code)))
    reply = decode_interbank(out.frame).message
    assert (reply.mti, reply.text(39), reply.text(70)) == ("0830", answer, code)


def test_cut_off_is_noted_once(bank: Bank) -> None:
    for _ in range(2):
        [out] = bank.turn((NETWORK, bank.network.management("0820", "202", de15="0105")))
        assert decode_interbank(out.frame).message.text(39) == "00"
    [out] = bank.turn((NETWORK, bank.network.management("0820", "202")))
    assert decode_interbank(out.frame).message.text(39) == "30"
    with bank.store.begin() as tx:
        assert [row.business_date for row in SHELVES.days.open(tx).select(Statement(SHELVES.days.select()))] == ["20260105"]


def test_network_signs_off_and_on(bank: Bank) -> None:
    bank.turn((NETWORK, bank.network.management("0820", "002")))
    assert bank.ask(bank.till, bank.till.purchase()).text(39) == "91"
    bank.turn((NETWORK, bank.network.management("0820", "001")))
    assert bank.complete(bank.till, bank.till.purchase()).text(39) == "00"


def test_an_answer_under_the_key_before_the_reset_counts_for_a_while(bank: Bank) -> None:
    first, second = (bank.forwarded(bank.till, bank.till.purchase()) for _ in range(2))
    before = bank.network.mak
    bank.reset_keys()
    [back] = bank.turn((NETWORK, bank.network.answer(first, mak=before)))
    assert bank.answered(bank.till, back.frame).text(39) == "00"
    bank.clock.advance(SWITCH_OVER_MS)
    [back] = bank.turn((NETWORK, bank.network.answer(second, mak=before)))
    assert bank.answered(bank.till, back.frame).text(39) == "98"


def test_a_key_under_another_master_key_is_refused(bank: Bank) -> None:
    [out] = bank.turn((NETWORK, bank.network.key_reset("PIK", key(), under=key())))
    assert decode_interbank(out.frame).message.text(39) == "A7"
    bank.forwarded(bank.till, bank.till.purchase(pin="123456"))
    assert bank.network.pins == ["123456"]


def test_a_reset_sent_again_leaves_the_old_key_in_its_window(bank: Bank) -> None:
    waiting, before = bank.forwarded(bank.till, bank.till.purchase()), bank.network.mak
    reset = bank.network.key_reset("MAK", fresh := key())
    for _ in range(2):
        [out] = bank.turn((NETWORK, reset))
        assert decode_interbank(out.frame).message.text(39) == "00"
    bank.network.mak = fresh
    [back] = bank.turn((NETWORK, bank.network.answer(waiting, mak=before)))
    assert bank.answered(bank.till, back.frame).text(39) == "00"


@pytest.mark.parametrize("mti", [f"0{kind}{function}0" for kind in range(1, 9) for function in range(10)])
def test_a_kind_without_a_mac_spoils_no_batch(bank: Bank, mti: str) -> None:
    asked = bank.forwarded(bank.till, bank.till.purchase())
    odd = decode_interbank(bank.network.answer(asked))
    odd.message.mti = mti
    out = bank.turn((NETWORK, encode_interbank(odd)), (NETWORK, bank.network.answer(asked)))
    terminals = [bank.answered(bank.till, sent.frame) for sent in out if sent.station == bank.till.station]
    assert [reply.text(39) for reply in terminals] == ["00"]
    assert bank.worker.tally.refused == 0


def test_an_algorithm_that_the_key_does_not_have_is_no_authentication(bank: Bank) -> None:
    asked = bank.forwarded(bank.till, bank.till.purchase())
    [back] = bank.reply(asked, de60="0" * 20 + "4")
    assert bank.answered(bank.till, back.frame).text(39) == "98"
    assert bank.worker.tally.refused == 0


def test_answers_to_nothing_are_dropped(bank: Bank) -> None:
    asked = bank.forwarded(bank.till, bank.till.purchase())
    for odd in ({"de11": "999999"}, {"de41": "10000002"}):
        assert bank.turn((NETWORK, bank.network.answer(asked, **odd))) == []
    assert bank.turn((NETWORK, b"0003abc")) == []
    assert bank.turn((NETWORK, bank.network.frame(Message("0200", dict(asked.fields))))) == []
    assert len(bank.reply(asked)) == 1
    assert bank.reply(asked) == []  # twice
