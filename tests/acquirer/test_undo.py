"""Voids, refunds and reversals: what travels, what comes back, what the journal holds afterwards."""

import pytest

from shanfu.acquirer import dead_letters, forward_queue, journal_lines, list_batches
from shanfu.iso8583 import Message, OriginalData, Totals
from tests.acquirer.bank import NETWORK, PAN, PAN_2, Bank

DAY = "20260105"


def pay(bank: Bank, amount_minor: int = 1234) -> tuple[Message, Message, Message]:
    """Return the terminal's request, what the network heard, the terminal's answer."""
    frame = bank.till.purchase(amount_minor)
    request = bank.till.sent[-1]
    answer = bank.complete(bank.till, frame)
    return request, bank.network.seen[-1], answer


def states(bank: Bank) -> list[tuple[str, str, str]]:
    return [(line.processing_code, line.state, line.response_code) for line in journal_lines(bank.store, DAY)]


def totals(bank: Bank) -> Totals:
    return next(view.totals for view in list_batches(bank.store) if view.batch.terminal == bank.till.terminal)


def named(message: Message) -> str:
    text = message.text
    return OriginalData.of(mti=message.mti, stan=text(11), sent=text(7), acquirer=text(32), forwarder=text(33)).encode()


# -- voids and refunds -------------------------------------------------------------------------------------------------


def test_void_names_its_original(bank: Bank) -> None:
    request, heard, paid = pay(bank)
    void = bank.forwarded(bank.till, bank.till.void(request, paid))
    assert set(void.fields) == {2, 3, 4, 7, 11, 12, 13, 18, 22, 25, 32, 33, 37, 38, 41, 42, 43, 49, 60, 90, 128}
    assert (void.mti, void.text(3), void.text(22), void.text(38), void.text(90)) == (
        "0200",
        "200000",
        "012",
        "654321",
        named(heard),
    )
    assert void.text(37) != heard.text(37)
    [back] = bank.reply(void)
    assert bank.answered(bank.till, back.frame).text(37) == void.text(37)
    assert totals(bank) == Totals(1234, 1, 1234, 1)


def test_a_declined_void_leaves_the_payment_free(bank: Bank) -> None:
    request, _, paid = pay(bank)
    assert bank.complete(bank.till, bank.till.void(request, paid), "12").text(39) == "12"
    assert bank.complete(bank.till, bank.till.void(request, paid)).text(39) == "00"


def test_two_voids_under_way_at_once(bank: Bank) -> None:
    request, _, paid = pay(bank)
    out = bank.turn(*((bank.till.station, bank.till.void(request, paid)) for _ in range(2)))
    assert [each.station for each in out] == [NETWORK, bank.till.station]
    assert bank.answered(bank.till, out[1].frame).text(39) == "12"


def test_refunds_add_up_to_the_payment(bank: Bank) -> None:
    request, heard, paid = pay(bank)
    refund = bank.forwarded(bank.till, bank.till.refund(request, paid, 1000))
    assert (refund.mti, refund.text(4), refund.text(90)) == ("0220", "000000001000", named(heard))
    [back] = bank.reply(refund)
    answer = bank.answered(bank.till, back.frame)
    assert (answer.mti, answer.text(39), 64 in answer) == ("0230", "00", True)
    assert bank.complete(bank.till, bank.till.refund(request, paid, 234)).text(39) == "00"
    assert bank.ask(bank.till, bank.till.refund(request, paid, 1)).text(39) == "64"
    assert totals(bank) == Totals(1234, 1, 1234, 2)


def test_refund_from_an_earlier_batch(bank: Bank) -> None:
    request, _, paid = pay(bank)
    bank.settle(bank.till)
    assert bank.complete(bank.till, bank.till.refund(request, paid, 1234)).text(39) == "00"


def test_a_declined_refund_gives_its_room_back(bank: Bank) -> None:
    request, _, paid = pay(bank)
    assert bank.complete(bank.till, bank.till.refund(request, paid, 1234), "57").text(39) == "57"
    assert bank.complete(bank.till, bank.till.refund(request, paid, 1234)).text(39) == "00"


def test_a_silent_refund_is_carried_on_and_never_reversed(bank: Bank) -> None:
    request, _, paid = pay(bank)
    frame = bank.till.refund(request, paid, 1234)
    first = bank.forwarded(bank.till, frame)
    assert bank.tick(45_000) == []  # its terminal hears nothing: 98 would say that it had come to nothing
    [again] = bank.heard(bank.tick(100))
    assert again.mti == "0221"
    assert {n: v for n, v in again.fields.items() if n != 128} == {n: v for n, v in first.fields.items() if n != 128}
    assert bank.turn((bank.till.station, frame)) == []
    [back] = bank.reply(again)  # whoever asks just now is answered
    [repeated] = bank.turn((bank.till.station, frame))
    assert [bank.answered(bank.till, answer.frame).text(39) for answer in (back, repeated)] == ["00", "00"]
    assert states(bank)[-1] == ("200000", "APPROVED", "00")
    assert forward_queue(bank.store) == []


def test_a_refund_with_a_forged_answer_waits_on(bank: Bank) -> None:
    request, _, paid = pay(bank)
    asked = bank.forwarded(bank.till, bank.till.refund(request, paid, 1234))
    assert bank.turn((NETWORK, bank.network.answer(asked, mak=bytes(range(16))))) == []
    [back] = bank.reply(asked)
    assert bank.answered(bank.till, back.frame).text(39) == "00"


# -- reversals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["98", "96", "A0", "06"])
def test_reversal_of_an_approved_payment(bank: Bank, reason: str) -> None:
    request, heard, paid = pay(bank)
    frame = bank.till.reversal(request, reason)
    answer = bank.ask(bank.till, frame)
    assert set(answer.fields) == {3, 4, 11, 12, 13, 32, 37, 39, 41, 42, 49, 60, 64}
    assert (answer.mti, answer.text(39), answer.text(37)) == ("0410", "00", paid.text(37))
    assert states(bank) == [("000000", "REVERSED", "00")]
    [carried] = bank.heard(bank.tick(100))
    assert set(carried.fields) == {
        2, 3, 4, 7, 11, 12, 13, 18, 22, 23, 25, 32, 33, 37, 38, 39, 41, 42, 43, 49, 60, 90, 128,
    }  # fmt: skip
    assert (carried.mti, carried.text(2), carried.text(39), carried.text(90)) == ("0420", PAN, reason, named(heard))
    assert (carried.text(7), carried.text(11)) != (heard.text(7), heard.text(11))
    bank.clock.advance(5_000)
    again = bank.ask(bank.till, frame)
    assert again.fields == answer.fields
    assert bank.reply(carried) == []
    assert forward_queue(bank.store) == []
    assert totals(bank) == Totals()


def test_a_reversal_overtakes_the_answer(bank: Bank) -> None:
    frame = bank.till.purchase()
    request = bank.till.sent[-1]
    asked = bank.forwarded(bank.till, frame)
    assert bank.ask(bank.till, bank.till.reversal(request)).text(39) == "00"
    assert states(bank) == [("000000", "EXPIRED", "94")]
    bank.events.drain()
    assert bank.reply(asked) == []
    assert any("it is late, EXPIRED" in event.title for event in bank.events.drain())
    assert bank.ask(bank.till, frame).text(39) == "94"
    [carried] = bank.heard(bank.tick(100))
    assert bank.reply(carried) == []
    assert states(bank) == [("000000", "REVERSED", "94")]
    assert bank.ask(bank.till, frame).text(39) == "94"


def test_a_reversal_comes_before_its_original(bank: Bank) -> None:
    frame = bank.till.purchase()
    reversal = bank.till.reversal(bank.till.sent[-1])
    first = bank.ask(bank.till, reversal)
    assert first.text(39) == "00"
    assert bank.ask(bank.till, reversal).fields == first.fields
    assert bank.ask(bank.till, frame).text(39) == "94"
    assert states(bank) == [("000000", "TOMBSTONE", "94")]
    assert bank.tick(60_000) == []


def test_original_and_reversal_in_one_batch(bank: Bank) -> None:
    frame = bank.till.purchase()
    reversal = bank.till.reversal(bank.till.sent[-1])
    out = bank.turn((bank.till.station, frame), (bank.till.station, reversal))
    assert [each.station for each in out] == [NETWORK, bank.till.station]
    assert [message.mti for message in bank.heard(bank.tick(100))] == ["0420"]


def test_a_reversed_payment_is_not_approved_again(bank: Bank) -> None:
    frame = bank.till.purchase()
    request = bank.till.sent[-1]
    assert bank.complete(bank.till, frame).text(39) == "00"
    assert bank.ask(bank.till, bank.till.reversal(request)).text(39) == "00"
    assert bank.ask(bank.till, frame).text(39) == "94"


def test_reversal_of_a_decline_is_only_acknowledged(bank: Bank) -> None:
    frame = bank.till.purchase()
    request = bank.till.sent[-1]
    bank.complete(bank.till, frame, "51")
    assert bank.ask(bank.till, bank.till.reversal(request)).text(39) == "00"
    assert bank.tick(60_000) == []
    assert bank.ask(bank.till, frame).text(39) == "51"


def test_a_reversed_void_gives_the_payment_back(bank: Bank) -> None:
    request, _, paid = pay(bank)
    frame = bank.till.void(request, paid)
    void = bank.till.sent[-1]
    bank.complete(bank.till, frame)
    assert bank.ask(bank.till, bank.till.reversal(void)).text(39) == "00"
    assert totals(bank) == Totals(1234, 1, 0, 0)
    assert bank.complete(bank.till, bank.till.void(request, paid)).text(39) == "00"


REFUSED_REVERSALS = [
    # what differs                         answer
    ({"de4": "000000009999"},              "64"),
    ({"de49": "344"},                      "64"),
    ({"de2": PAN_2},                       "25"),
    ({"de39": None},                       "30"),
    ({"de41": "19999999"},                 "97"),
    ({"de42": "990290059420002"},          "03"),
]  # fmt: skip


@pytest.mark.parametrize(("odd", "code"), REFUSED_REVERSALS)
def test_refused_reversal_changes_nothing(bank: Bank, odd: dict[str, str | None], code: str) -> None:
    request, _, _ = pay(bank)
    assert bank.ask(bank.till, bank.till.reversal(request, **odd)).text(39) == code
    assert states(bank) == [("000000", "APPROVED", "00")]
    assert bank.tick(60_000) == []


def test_a_reversal_with_a_wrong_mac(bank: Bank) -> None:
    request, _, _ = pay(bank)
    frame = bank.till.reversal(request)
    assert bank.ask(bank.till, frame[:-1] + b"!").text(39) == "A0"
    assert states(bank) == [("000000", "APPROVED", "00")]


@pytest.mark.parametrize("kind", ["balance", "refund"])
def test_what_cannot_be_reversed(bank: Bank, kind: str) -> None:
    request, _, paid = pay(bank)
    frame = bank.till.balance() if kind == "balance" else bank.till.refund(request, paid, 100)
    asked = bank.till.sent[-1]
    bank.complete(bank.till, frame)
    amount = asked.text(4, "0" * 12)
    assert bank.ask(bank.till, bank.till.reversal(asked, de4=amount)).text(39) == "12"


def test_a_voided_payment_is_not_reversed_too(bank: Bank) -> None:
    request, _, paid = pay(bank)
    bank.complete(bank.till, bank.till.void(request, paid))
    assert bank.ask(bank.till, bank.till.reversal(request)).text(39) == "12"


# -- waiting in vain ---------------------------------------------------------------------------------------------------


def test_no_answer_in_time(bank: Bank) -> None:
    frame = bank.till.purchase()
    asked = bank.forwarded(bank.till, frame)
    assert bank.tick(44_999) == []
    [back] = bank.tick(1)
    answer = bank.answered(bank.till, back.frame)
    assert (answer.text(39), 64 in answer) == ("98", False)
    [carried] = bank.heard(bank.tick(100))
    assert (carried.text(39), carried.text(90)) == ("98", named(asked))
    assert bank.reply(asked) == []
    assert bank.ask(bank.till, frame).fields == answer.fields
    assert bank.reply(carried, "25") == []
    assert states(bank) == [("000000", "REVERSED", "98")]
    assert bank.ask(bank.till, frame).fields == answer.fields


def test_an_expired_void_gives_the_payment_back(bank: Bank) -> None:
    request, _, paid = pay(bank)
    bank.forwarded(bank.till, bank.till.void(request, paid))
    bank.tick(45_000)
    assert bank.complete(bank.till, bank.till.void(request, paid)).text(39) == "00"


UNTRUSTED = [
    # what is wrong with the answer         reason of the reversal
    ({"mak": bytes(range(16))},             "A0"),
    ({"mak": bytes(range(16)), "code": "51"}, "A0"),
    ({"de4": "000000000001"},               "96"),
]  # fmt: skip


@pytest.mark.parametrize(("odd", "reason"), UNTRUSTED)
def test_an_answer_that_does_not_count(bank: Bank, odd: dict[str, object], reason: str) -> None:
    asked = bank.forwarded(bank.till, bank.till.purchase())
    [back] = bank.turn((NETWORK, bank.network.answer(asked, **odd)))  # type: ignore[arg-type]
    assert bank.answered(bank.till, back.frame).text(39) == "98"
    assert states(bank) == [("000000", "EXPIRED", "98")]
    [carried] = bank.heard(bank.tick(100))
    assert carried.text(39) == reason


# -- store-and-forward -------------------------------------------------------------------------------------------------


def queued_reversal(bank: Bank) -> Message:
    request, _, _ = pay(bank)
    bank.ask(bank.till, bank.till.reversal(request))
    [carried] = bank.heard(bank.tick(100))
    return carried


def test_a_silent_network_is_asked_again_and_again(bank: Bank) -> None:
    first = queued_reversal(bank)
    for pause_s in (30, 60, 120, 240, 480, 960, 1920, 1920):
        assert bank.tick(pause_s * 1000 - 1) == []
        [again] = bank.heard(bank.tick(1))
        assert again.mti == "0421"
        assert all(again.fields[n] == first.fields[n] for n in (7, 11, 37, 90))
    assert dead_letters(bank.store) == []
    assert bank.reply(again) == []
    assert forward_queue(bank.store) == []
    assert bank.tick(4_000_000) == []


def test_eight_refusals_make_a_dead_letter(bank: Bank) -> None:
    carried = queued_reversal(bank)
    for refusals in range(8):
        assert bank.reply(carried, "96") == []
        assert [item.refusals for item in forward_queue(bank.store)] == ([refusals + 1] if refusals < 7 else [])
        if refusals < 7:
            [carried] = bank.heard(bank.tick(2_000_000))
    [dead] = dead_letters(bank.store)
    assert (dead.response_code, dead.state) == ("96", "DEAD")
    assert bank.tick(4_000_000) == []
    assert bank.complete(bank.till, bank.till.purchase()).text(39) == "00"  # it blocks nobody


def test_an_acknowledgement_with_a_wrong_mac_is_none(bank: Bank) -> None:
    carried = queued_reversal(bank)
    assert bank.turn((NETWORK, bank.network.answer(carried, mak=bytes(range(16))))) == []
    assert len(forward_queue(bank.store)) == 1


def test_nothing_is_sent_while_signed_off_and_everything_at_sign_on(bank: Bank) -> None:
    request, _, _ = pay(bank)
    bank.link_down()
    assert bank.ask(bank.till, bank.till.reversal(request)).text(39) == "00"
    assert bank.tick(100_000) == []
    bank.sign_on()
    [carried] = bank.heard(bank.tick(100))
    assert carried.mti == "0420"
    bank.link_down()
    bank.sign_on()
    [again] = bank.heard(bank.tick(100))
    assert again.mti == "0421"
