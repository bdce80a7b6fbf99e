"""Chip cards at the switch: offline approvals and script results carried on, what a token never does."""

import pytest

from shanfu.iso8583 import Message, Value, encode_interbank
from shanfu.network import close_day, dead_letters, forward_queue, journal_lines, positions, written_positions
from tests.network.mint import TOKEN, Mint
from tests.network.switch import HARBOUR, LANTERN, PAN_HARBOUR, PAN_OTHER, TODAY, Switch

ECHO = (2, 3, 4, 7, 11, 12, 13, 25, 32, 33, 37, 41, 42, 49, 60)


def lines(switch: Switch) -> list[tuple[str, str, str]]:
    return [(line.state, line.response_code, line.reason) for line in journal_lines(switch.store, TODAY)]


def carried(switch: Switch, ms: int = 100) -> list[Message]:
    switch.tick(ms)
    return switch.inbox(switch.issuer)


def owed(switch: Switch) -> dict[str, int]:
    return {position.institution: position.amount_minor for position in positions(switch.store, TODAY)}


# -- offline approvals -------------------------------------------------------------------------------------------------


def test_an_offline_approval_is_accepted_counted_and_carried_on(switch: Switch) -> None:
    approval = switch.offline(500, f2=PAN_HARBOUR)
    reply = switch.ask(switch.acquirer, approval)
    assert (reply.mti, reply.copy(*ECHO), reply.text(39)) == ("0230", approval.copy(*ECHO), "00")
    assert (reply.text(15), reply.text(100), switch.acquirer.right(reply)) == (TODAY[4:], HARBOUR, True)
    assert (lines(switch), owed(switch)) == ([("APPROVED", "00", "ACCEPTED")], {LANTERN: 500, HARBOUR: -500})
    switch.tick(100)
    [sent] = switch.inbox(switch.harbour)
    same = set(approval.fields) - {128}
    assert (sent.mti, sent.copy(*same), switch.harbour.right(sent)) == ("0220", approval.copy(*same), True)
    assert set(sent.fields) == same | {15, 100, 128}
    assert switch.ask(switch.acquirer, Message("0221", dict(approval.fields))).fields == reply.fields
    switch.send(switch.harbour, switch.harbour.answer(sent))
    assert (forward_queue(switch.store), dead_letters(switch.store)) == ([], [])
    assert lines(switch) == [("APPROVED", "00", "ACCEPTED")]


def test_it_comes_again_until_its_issuer_has_taken_it(switch: Switch) -> None:
    switch.ask(switch.acquirer, switch.offline())
    assert [message.mti for message in carried(switch)] == ["0220"]
    assert [message.mti for message in carried(switch, 30_000)] == ["0221"]
    switch.start()  # a new life of the network goes on where the books are
    switch.sign_on()
    assert [message.mti for message in carried(switch)] == ["0221"]


# fmt: off
VERDICTS = [
    # code   answers until it is over
    ("12",   1),  # the TC is wrong, or is none
    ("14",   1),  # no such card
    ("25",   1),
    ("94",   1),  # this TC was booked before
    ("96",   8),  # an issuer out of order is asked again first
    ("30",   8),
    ("ZZ",   8),  # nobody knows what it means
]
# fmt: on


@pytest.mark.parametrize(("code", "answers"), VERDICTS)
def test_what_its_issuer_does_not_book_is_a_dead_letter_and_no_money(switch: Switch, code: str, answers: int) -> None:
    switch.ask(switch.acquirer, switch.offline(500, f2=PAN_HARBOUR))
    switch.events.drain()
    came = 0
    for _ in range(400):
        switch.tick(10_000)
        for message in switch.inbox(switch.harbour):
            came += 1
            switch.send(switch.harbour, switch.harbour.answer(message, code))
    assert (came, lines(switch), owed(switch)) == (answers, [("DECLINED", code, "OFFLINE_REFUSED")], {})
    [letter] = dead_letters(switch.store)
    assert (letter.last_code, letter.amount_minor) == (code, 500)
    assert [event.title for event in switch.events.drain() if event.title.startswith("dead letter")]


def test_a_refusal_after_the_cut_off_adjusts_the_closed_day(switch: Switch) -> None:
    switch.ask(switch.acquirer, switch.offline(500, f2=PAN_HARBOUR))
    switch.tick(100)
    sent = switch.inbox(switch.harbour)[-1]
    close_day(switch.store, now_ms=switch.clock.now_ms())
    switch.tick(100)
    assert {p.institution: p.amount_minor for p in written_positions(switch.store, TODAY)} == {LANTERN: 500, HARBOUR: -500}
    switch.send(switch.harbour, switch.harbour.answer(sent, "12"))
    assert {p.amount_minor for p in written_positions(switch.store, TODAY)} <= {0}
    assert owed(switch) == {}


# fmt: off
ODD_APPROVALS = [
    # code  what is odd                          reason
    ("30",  {"f55": None},                       "FORMAT"),
    ("30",  {"f14": None},                       "FORMAT"),
    ("30",  {"f4": None},                        "FORMAT"),
    ("30",  {"f63": b"TK004\x01\x011x"},         "FORMAT"),
    ("15",  {"f2": "4000000000000002"},          "NO_ISSUER"),
    ("58",  {"f32": HARBOUR, "f33": HARBOUR},    "NOT_YOURS"),
    ("12",  {"f3": "310000"},                    "UNKNOWN_KIND"),
]
# fmt: on


@pytest.mark.parametrize(("code", "odd", "reason"), ODD_APPROVALS, ids=[f"{c}-{next(iter(o))}" for c, o, _ in ODD_APPROVALS])
def test_an_approval_that_makes_no_sense(switch: Switch, code: str, odd: dict[str, Value | None], reason: str) -> None:
    switch.reasons()
    assert switch.ask(switch.acquirer, switch.offline(**odd)).text(39) == code
    assert reason in switch.reasons()
    assert (owed(switch), forward_queue(switch.store)) == ({}, [])


def test_an_approval_without_a_right_mac(switch: Switch) -> None:
    frame = switch.acquirer.frame(switch.offline())
    frame.message.fields[128] = "00000000"
    switch.acquirer.got.clear()
    switch.turn((switch.acquirer, encode_interbank(frame)))
    assert (switch.inbox(switch.acquirer)[-1].text(39), lines(switch)) == ("A0", [])


def test_a_name_with_another_amount(switch: Switch) -> None:
    approval = switch.offline()
    switch.ask(switch.acquirer, approval)
    assert switch.ask(switch.acquirer, Message("0221", approval.fields | {4: "000000000501"})).text(39) == "94"


def test_an_offline_approval_is_never_reversed(switch: Switch) -> None:
    approval = switch.offline()
    switch.ask(switch.acquirer, approval)
    reversal = switch.reversal(approval)
    reversal.fields[90] = "0220" + reversal.text(90)[4:]
    assert switch.ask(switch.acquirer, reversal).text(39) == "12"
    assert lines(switch) == [("APPROVED", "00", "ACCEPTED")]
    assert [message.mti for message in carried(switch)] == ["0220"]


# -- script results ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["00", "51"])
def test_a_script_result_is_carried_on_and_moves_nothing(switch: Switch, code: str) -> None:
    paid, _ = switch.paid(switch.purchase(f22="051"), code)
    before = (lines(switch), owed(switch))
    result = switch.script_result(paid)
    reply = switch.ask(switch.acquirer, result)
    assert (reply.mti, reply.copy(*ECHO), reply.text(39)) == ("0630", result.copy(*ECHO), "00")
    assert switch.acquirer.right(reply)
    assert switch.ask(switch.acquirer, Message("0621", dict(result.fields))).fields == reply.fields
    [sent] = switch.inbox(switch.issuer)  # at once: the card's next payment must not come first
    assert carried(switch) == []
    assert set(sent.fields) == {2, 3, 4, 7, 11, 12, 13, 15, 18, 22, 23, 25, 32, 33, 37, 41, 42, 49, 55, 60, 90, 100, 128}
    assert (sent.mti, sent.binary(55), sent.text(90)) == ("0620", result.binary(55), result.text(90))
    assert switch.issuer.right(sent)
    assert [message.mti for message in carried(switch, 30_000)] == ["0621"]
    switch.send(switch.issuer, switch.issuer.answer(sent))
    assert (forward_queue(switch.store), dead_letters(switch.store)) == ([], [])
    assert (lines(switch), owed(switch)) == before


# fmt: off
ODD_RESULTS = [
    # code  what is odd                       reason
    ("25",  {"f90": "0200" + "9" * 6 + "0105160000" + f"000{LANTERN}" * 2}, "ORIGINAL_UNKNOWN"),
    ("25",  {"f2": PAN_OTHER},                "ORIGINAL_ANOTHER_CARDS"),
    ("64",  {"f4": "000000009999"},           "AMOUNT_DIFFERS"),
    ("30",  {"f55": None},                    "FORMAT"),
    ("30",  {"f90": None},                    "FORMAT"),
    ("58",  {"f32": HARBOUR},                 "NOT_YOURS"),
]
# fmt: on


@pytest.mark.parametrize(("code", "odd", "reason"), ODD_RESULTS, ids=[f"{c}-{next(iter(o))}" for c, o, _ in ODD_RESULTS])
def test_a_result_of_nothing_known(switch: Switch, code: str, odd: dict[str, Value | None], reason: str) -> None:
    paid, _ = switch.paid()
    switch.reasons()
    assert switch.ask(switch.acquirer, switch.script_result(paid, **odd)).text(39) == code
    assert reason in switch.reasons()
    assert (carried(switch), forward_queue(switch.store)) == ([], [])


def test_the_result_waits_for_an_issuer_that_is_away(switch: Switch) -> None:
    from shanfu.links import Kind

    paid, _ = switch.paid()
    switch.news(switch.issuer, Kind.DOWN)
    assert switch.ask(switch.acquirer, switch.script_result(paid)).text(39) == "00"
    assert carried(switch) == []
    switch.sign_on(switch.issuer)
    assert [message.mti for message in carried(switch)] == ["0620"]


def test_a_reversal_tells_which_script_ran(switch: Switch) -> None:
    paid, _ = switch.paid(switch.purchase(f22="051"))
    chip = bytes.fromhex("9F36020001DF31052000000001")
    switch.ask(switch.acquirer, switch.reversal(paid, "06", f55=chip))
    [sent] = carried(switch)
    assert (sent.mti, sent.text(39), sent.binary(55)) == ("0420", "06", chip)


# -- tokens ------------------------------------------------------------------------------------------------------------

# fmt: off
NEVER = [
    # what a phone cannot do                                                       code  reason
    ("inserted",        lambda m: m.purchase(pan=TOKEN, f22="051"),                "57", "TOKEN_INSERTED"),
    ("inserted, worn",  lambda m: m.purchase(pan=TOKEN, f22="952"),                "57", "TOKEN_INSERTED"),
    ("swiped",          lambda m: m.purchase(pan=TOKEN, f22="021", f55=None),      "57", "TOKEN_SWIPED"),
    ("swiped, as 80",   lambda m: m.purchase(pan=TOKEN, f22="801", f55=None),      "57", "TOKEN_SWIPED"),
    ("balance",         lambda m: m.balance(f2=TOKEN, f22="051"),                  "57", "TOKEN_INSERTED"),
    ("approves itself", lambda m: m.offline(f2=TOKEN),                             "57", "TOKEN_OFFLINE"),
    ("takes a script",  lambda m: m.script_result(m.bought()[0]),                  "12", "TOKEN_SCRIPT"),
]
# fmt: on


@pytest.mark.parametrize(("what", "make", "code", "reason"), NEVER, ids=[row[0] for row in NEVER])
def test_what_a_token_never_does(mint: Mint, what: str, make: object, code: str, reason: str) -> None:
    message = make(mint)  # type: ignore[operator]
    mint.tick(100)
    mint.inbox(mint.tsp)
    mint.inbox(mint.issuer)
    before = lines(mint)
    mint.reasons()
    assert mint.ask(mint.acquirer, message).text(39) == code, what
    assert reason in mint.reasons()
    mint.tick(100)
    assert (mint.inbox(mint.tsp), mint.inbox(mint.issuer), lines(mint)) == ([], [], before)
