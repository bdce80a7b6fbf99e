"""Reversals and refunds: accepted by commit, answered at once, carried on until somebody has taken them."""

import pytest

from shanfu.iso8583 import Message, Value, encode_interbank
from shanfu.links import Kind
from shanfu.network import NetworkConfig, dead_letters, forward_queue, journal_lines
from shanfu.network.forward import FORWARDS
from shanfu.store import Statement
from tests.network.switch import HARBOUR, LANTERN, NETWORK, PAN_OTHER, TODAY, Switch


def states(switch: Switch) -> list[tuple[str, str]]:
    return [(line.state, line.response_code) for line in journal_lines(switch.store, TODAY)]


def carried(switch: Switch, ms: int = 100) -> list[Message]:
    switch.tick(ms)
    return switch.inbox(switch.issuer)


def test_a_reversal_of_an_approved_payment(switch: Switch) -> None:
    paid, _ = switch.paid()
    reversal = switch.reversal(paid)
    reply = switch.ask(switch.acquirer, reversal)
    echoed = (2, 3, 4, 7, 11, 12, 13, 25, 32, 33, 37, 41, 42, 49, 60)
    assert (reply.mti, reply.copy(*echoed)) == ("0430", reversal.copy(*echoed))
    assert [reply.text(number) for number in (15, 39, 100)] == [TODAY[4:], "00", LANTERN]
    assert switch.acquirer.right(reply)
    assert states(switch) == [("REVERSED", "00")]
    [sent] = carried(switch)
    assert (sent.mti, sent.text(90), sent.text(39)) == ("0420", reversal.text(90), "98")
    assert sent.copy(7, 11, 32, 33, 38) == reversal.copy(7, 11, 32, 33, 38)
    assert switch.issuer.right(sent)
    assert {35, 55}.isdisjoint(sent.fields)
    switch.send(switch.issuer, switch.issuer.answer(sent))
    assert (forward_queue(switch.store), carried(switch, 60_000)) == ([], [])


def test_a_reversal_while_the_issuer_is_asked(switch: Switch) -> None:
    request = switch.purchase()
    asked = switch.forwarded(request)
    assert switch.ask(switch.acquirer, switch.reversal(request)).text(39) == "00"
    assert states(switch) == [("EXPIRED", "98")]
    switch.send(switch.issuer, switch.issuer.answer(asked))
    assert switch.inbox(switch.acquirer) == []  # late: dropped
    switch.tick(30_000)
    assert switch.inbox(switch.acquirer) == []  # nobody waits for a time-out any more
    [sent] = switch.inbox(switch.issuer)
    assert sent.mti == "0420"
    switch.send(switch.issuer, switch.issuer.answer(sent))
    assert states(switch) == [("REVERSED", "98")]
    assert switch.ask(switch.acquirer, request).text(39) == "94"


def test_request_and_reversal_in_one_batch(switch: Switch) -> None:
    request = switch.purchase()
    switch.issuer.got.clear()
    [reply] = switch.send(switch.acquirer, request, switch.reversal(request))
    assert (reply.mti, reply.text(39)) == ("0430", "00")
    assert [message.mti for message in switch.inbox(switch.issuer)] == ["0200"]
    assert [message.mti for message in carried(switch)] == ["0420"]


def test_a_reversal_that_comes_first_leaves_a_tombstone(switch: Switch) -> None:
    request = switch.purchase()
    assert switch.ask(switch.acquirer, switch.reversal(request)).text(39) == "00"
    assert states(switch) == [("TOMBSTONE", "00")]
    assert switch.ask(switch.acquirer, request).text(39) == "94"
    [sent] = carried(switch)
    switch.send(switch.issuer, switch.issuer.answer(sent, "25"))
    assert forward_queue(switch.store) == []
    assert states(switch) == [("TOMBSTONE", "00")]


def test_a_reversal_of_a_card_of_nobody_is_remembered_and_goes_nowhere(switch: Switch) -> None:
    request = switch.purchase(pan="4000000000000002", f35=None)
    assert switch.ask(switch.acquirer, switch.reversal(request)).text(39) == "00"
    assert (carried(switch), forward_queue(switch.store)) == ([], [])
    assert switch.ask(switch.acquirer, request).text(39) == "94"


@pytest.mark.parametrize("code", ["51", "98"])
def test_a_reversal_of_what_was_not_approved_is_taken_and_not_sent(switch: Switch, code: str) -> None:
    paid, _ = switch.paid(code=code)
    assert switch.ask(switch.acquirer, switch.reversal(paid)).text(39) == "00"
    assert (carried(switch), states(switch)) == ([], [("DECLINED", code)])


@pytest.mark.parametrize("as_mti", ["0420", "0421"])
def test_a_repeated_reversal_gets_the_same_answer_and_has_one_effect(switch: Switch, as_mti: str) -> None:
    paid, _ = switch.paid()
    reversal = switch.reversal(paid)
    first = switch.ask(switch.acquirer, reversal)
    again = switch.ask(switch.acquirer, Message(as_mti, dict(reversal.fields)))
    assert (again.mti, again.fields) == ("0430", first.fields)
    assert len(carried(switch)) == 1
    other = switch.reversal(paid)  # another name, the same original
    assert switch.ask(switch.acquirer, other).text(39) == "00"
    assert [item.name for item in forward_queue(switch.store)] == [
        f"{reversal.text(7)}.{reversal.text(11)}.{LANTERN}.{LANTERN}"
    ]


# fmt: off
ODD_REVERSALS = [
    ("64", {"f4": "000000000001"}),
    ("25", {"f2": PAN_OTHER}),
    ("30", {"f90": None}),
    ("30", {"f39": None}),
    ("58", {"f32": "99020000"}),
]
# fmt: on


@pytest.mark.parametrize(("code", "odd"), ODD_REVERSALS, ids=[f"{code}-{next(iter(odd))}" for code, odd in ODD_REVERSALS])
def test_a_reversal_that_does_not_fit_is_refused(switch: Switch, code: str, odd: dict[str, Value | None]) -> None:
    paid, _ = switch.paid()
    assert switch.ask(switch.acquirer, switch.reversal(paid, **odd)).text(39) == code
    assert (states(switch), carried(switch)) == ([("APPROVED", "00")], [])


def test_nobody_reverses_for_another(switch: Switch) -> None:
    paid, _ = switch.paid()
    theirs = switch.reversal(paid, f32=HARBOUR, f33=HARBOUR)  # DE90 still names Lantern's payment
    assert switch.ask(switch.harbour, theirs).text(39) == "58"
    assert (states(switch), carried(switch)) == ([("APPROVED", "00")], [])


def test_a_reversal_without_a_right_mac_changes_nothing(switch: Switch) -> None:
    paid, _ = switch.paid()
    frame = switch.acquirer.frame(switch.reversal(paid))
    frame.message.fields[128] = "00000000"
    switch.turn((switch.acquirer, encode_interbank(frame)))
    assert switch.inbox(switch.acquirer)[-1].text(39) == "A0"
    assert states(switch) == [("APPROVED", "00")]


# -- refunds -------------------------------------------------------------------------------------------------------------


def test_a_refund_is_accepted_and_carried_on(switch: Switch) -> None:
    paid, _ = switch.paid()
    refund = switch.refund(paid)
    reply = switch.ask(switch.acquirer, refund)
    assert (reply.mti, reply.text(39), switch.acquirer.right(reply)) == ("0230", "00", True)
    assert states(switch) == [("APPROVED", "00"), ("APPROVED", "00")]
    assert switch.ask(switch.acquirer, Message("0221", dict(refund.fields))).fields == reply.fields
    [sent] = carried(switch)
    assert (sent.mti, sent.text(3), sent.text(90)) == ("0220", "200000", refund.text(90))
    switch.send(switch.issuer, switch.issuer.answer(sent))
    assert forward_queue(switch.store) == []


def test_a_refund_that_its_issuer_finally_refuses_is_a_dead_letter(switch: Switch) -> None:
    paid, _ = switch.paid()
    switch.ask(switch.acquirer, switch.refund(paid))
    [sent] = carried(switch)
    switch.send(switch.issuer, switch.issuer.answer(sent, "12"))
    assert [(letter.last_code, letter.refusals) for letter in dead_letters(switch.store)] == [("12", 0)]
    assert carried(switch, 60_000) == []


def test_a_refund_to_nobodys_card_is_refused(switch: Switch) -> None:
    refund = switch.refund(switch.purchase(pan="4000000000000002"))
    assert switch.ask(switch.acquirer, refund).text(39) == "15"
    assert states(switch) == [("DECLINED", "15")]


# -- carried on ----------------------------------------------------------------------------------------------------------


def test_an_item_comes_again_after_growing_pauses_marked_as_a_repeat(switch: Switch) -> None:
    paid, _ = switch.paid()
    switch.ask(switch.acquirer, switch.reversal(paid))
    came = []
    for _ in range(0, 1_000, 10):  # a thousand seconds
        came += [(switch.clock.now_ms() // 1000, message.mti) for message in carried(switch, 10_000)]
    first = came[0][0]
    assert [(at - first, mti) for at, mti in came] == [
        (0, "0420"), (30, "0421"), (90, "0421"), (210, "0421"), (450, "0421"), (930, "0421"),
    ]  # fmt: skip


def test_the_answer_to_a_repeat_ends_it_too(switch: Switch) -> None:
    paid, _ = switch.paid()
    switch.ask(switch.acquirer, switch.reversal(paid))
    carried(switch)
    [again] = carried(switch, 30_000)
    assert switch.issuer.right(again)
    switch.send(switch.issuer, switch.issuer.answer(again, "25"))
    assert forward_queue(switch.store) == []


def test_after_eight_refusals_it_is_a_dead_letter_and_others_pass(switch: Switch) -> None:
    paid, _ = switch.paid()
    other, _ = switch.paid(switch.purchase(pan=PAN_OTHER))
    switch.ask(switch.acquirer, switch.reversal(paid))
    switch.ask(switch.acquirer, switch.reversal(other))
    refusals = 0
    for step in range(400):
        for message in carried(switch, 10_000):
            poison = message.text(2) != PAN_OTHER
            assert poison or step == 0  # the other card's went through at once
            refusals += poison
            switch.send(switch.issuer, switch.issuer.answer(message, "96" if poison else "00"))
    assert refusals == 8
    [letter] = dead_letters(switch.store)
    assert (letter.refusals, letter.last_code, letter.target) == (8, "96", switch.issuer.station)
    assert forward_queue(switch.store) == []


def test_items_of_one_card_keep_their_order(switch: Switch) -> None:
    paid, _ = switch.paid()
    second, _ = switch.paid()
    other, _ = switch.paid(switch.purchase(pan=PAN_OTHER))
    first = switch.reversal(paid)
    for message in (first, switch.refund(second), switch.reversal(other)):
        switch.ask(switch.acquirer, message)
    sent = carried(switch)
    assert [(message.mti, message.text(2) == PAN_OTHER) for message in sent] == [("0420", False), ("0420", True)]
    assert carried(switch, 1_000) == []
    switch.send(switch.issuer, switch.issuer.answer(sent[0]))
    assert [message.mti for message in carried(switch)] == ["0220"]


def test_nothing_is_sent_while_the_member_is_away_and_all_of_it_at_sign_on(switch: Switch) -> None:
    paid, _ = switch.paid()
    switch.ask(switch.acquirer, switch.reversal(paid))
    assert len(carried(switch)) == 1
    switch.news(switch.issuer, Kind.DOWN)
    assert carried(switch, 3_600_000) == []
    switch.sign_on(switch.issuer)
    assert [message.mti for message in carried(switch)] == ["0421"]
    switch.sign_on(switch.issuer)
    assert [message.mti for message in carried(switch)] == ["0421"]  # at each sign-on, whatever its pause


def test_an_acknowledgement_must_be_authentic_and_the_targets(switch: Switch) -> None:
    paid, _ = switch.paid()
    switch.ask(switch.acquirer, switch.reversal(paid))
    [sent] = carried(switch)
    forged = switch.issuer.frame(switch.issuer.answer(sent))
    forged.message.fields[128] = "00000000"
    switch.turn((switch.issuer, encode_interbank(forged)))
    switch.send(switch.harbour, switch.harbour.answer(sent))
    assert len(forward_queue(switch.store)) == 1


def test_an_item_that_comes_back_rejected_was_refused(switch: Switch) -> None:
    paid, _ = switch.paid()
    switch.ask(switch.acquirer, switch.reversal(paid))
    carried(switch)
    back = bytearray(switch.issuer.frames[-1])
    back[45:50] = b"00030"
    switch.turn((switch.issuer, bytes(back)))
    [item] = forward_queue(switch.store)
    assert (item.refusals, item.last_code) == (1, "00030")


def test_a_tampered_item_is_a_dead_letter_and_spoils_no_other(switch: Switch) -> None:
    paid, _ = switch.paid()
    other, _ = switch.paid(switch.purchase(pan=PAN_OTHER))
    for message in (switch.reversal(paid), switch.reversal(other)):
        switch.ask(switch.acquirer, message)
    with switch.store.begin() as tx:
        book = FORWARDS.open(tx)
        rows = book.select(Statement(FORWARDS.select()))
        rows[0].kept = rows[0].kept[:-1] + bytes([rows[0].kept[-1] ^ 1])
        book.save()
    assert [message.text(2) for message in carried(switch)] == [PAN_OTHER]
    assert [letter.last_code for letter in dead_letters(switch.store)] == ["A7"]


def test_the_networks_reversal_and_the_acquirers_are_one_effect(switch: Switch) -> None:
    request = switch.purchase()
    switch.forwarded(request)
    switch.tick(30_000)
    assert switch.inbox(switch.acquirer)[0].text(39) == "98"
    assert switch.ask(switch.acquirer, switch.reversal(request)).text(39) == "00"
    sent = carried(switch)
    assert [(message.mti, message.text(33)) for message in sent] == [("0420", NETWORK)]


def test_a_short_schedule_may_be_set(tmp_path) -> None:
    switch = Switch(tmp_path, NetworkConfig(retry_ms=(1_000,), refusals_most=1))
    switch.sign_on()
    paid, _ = switch.paid()
    switch.ask(switch.acquirer, switch.reversal(paid))
    [sent] = carried(switch)
    switch.send(switch.issuer, switch.issuer.answer(sent, "96"))
    assert len(dead_letters(switch.store)) == 1
    switch.store.close()
