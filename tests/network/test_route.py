"""Requests on their way to issuers and answers on their way back; each refusal a row."""

import pytest

from shanfu.iso8583 import Message, OriginalData, encode_interbank
from shanfu.links import Inbound, Kind
from shanfu.network import forward_queue, journal_lines
from tests.network.switch import (
    HARBOUR,
    LANTERN,
    NETWORK,
    PAN_HARBOUR,
    PAN_OTHER,
    PIN_DIGITS,
    TODAY,
    Switch,
)


def states(switch: Switch) -> list[tuple[str, str, str]]:
    return [(line.state, line.response_code, line.reason) for line in journal_lines(switch.store, TODAY)]


def test_a_purchase_all_the_way(switch: Switch) -> None:
    request = switch.purchase(pin=True)
    asked = switch.forwarded(request)
    assert asked.mti == "0200"
    assert switch.issuer.right(asked)
    assert (asked.text(15), asked.text(100)) == (TODAY[4:], LANTERN)
    same = set(request.fields) - {52, 128}
    assert asked.copy(*same) == request.copy(*same)
    assert switch.issuer.read_pin(asked).digits == PIN_DIGITS
    assert asked.binary(52) != request.binary(52)
    assert states(switch) == [("WAITING", "", "FORWARDED")]
    switch.send(switch.issuer, switch.issuer.answer(asked, f55=b"\x91\x02\x30\x30", f54="1002156C000000012345"))
    [reply] = switch.inbox(switch.acquirer)
    assert reply.mti == "0210"
    assert switch.acquirer.right(reply)
    echoed = (2, 3, 4, 7, 11, 12, 13, 25, 32, 33, 37, 41, 42, 49, 60)
    assert reply.copy(*echoed) == request.copy(*echoed)
    assert [reply.fields[number] for number in (15, 38, 39, 54, 55, 100)] == [
        TODAY[4:], "A1B2C3", "00", "1002156C000000012345", b"\x91\x02\x30\x30", LANTERN,
    ]  # fmt: skip
    assert states(switch) == [("APPROVED", "00", "ANSWERED")]


def test_a_purchase_of_another_banks_card(switch: Switch) -> None:
    asked = switch.forwarded(switch.purchase(pan=PAN_HARBOUR, pin=True), issuer=switch.harbour)
    assert asked.text(100) == HARBOUR
    assert switch.harbour.read_pin(asked).digits == PIN_DIGITS
    switch.send(switch.harbour, switch.harbour.answer(asked, "51"))
    [reply] = switch.inbox(switch.acquirer)
    assert (reply.text(39), 38 in reply) == ("51", False)
    assert states(switch) == [("DECLINED", "51", "ANSWERED")]


def test_balance_and_void_are_forwarded(switch: Switch) -> None:
    paid, _ = switch.paid()
    _, reply = switch.paid(switch.balance())
    assert reply.text(39) == "00"
    asked = switch.forwarded(switch.void(paid))
    assert (asked.text(3), asked.text(38), 90 in asked) == ("200000", "A1B2C3", True)


def test_odd_but_readable_fields_go_on_as_they_came(switch: Switch) -> None:
    request = switch.purchase()
    unsealed = switch.acquirer.seal(request)
    odd = unsealed.replace(b"TEAHOUSE SHANGHAI", b"TEAHOUSE \xff\xff\xff\xff\xff\xff\xff\xff")  # no GBK; DE43 is not in the MAC
    switch.issuer.frames.clear()
    switch.turn((switch.acquirer, odd))
    switch.tick(30_000)
    switch.tick(100)
    assert [b"TEAHOUSE \xff\xff" in frame for frame in switch.issuer.frames] == [True, True]  # the request, its reversal
    assert [reply.text(39) for reply in switch.inbox(switch.acquirer)] == ["98"]


# -- what is refused, and with what --------------------------------------------------------------------------------------

# fmt: off
REFUSED = [
    # code  reason               what is odd                                         row left
    ("91", "ISSUER_AWAY",        lambda s: s.send(s.issuer, s.management(s.issuer, "002")),     {}, True),
    ("15", "NO_ISSUER",          None,                    {"f2": "4000000000000002", "f35": None}, True),
    ("99", "PIN_UNREADABLE",     None,                    {"f52": bytes(8), "f53": "2600000000000000", "f22": "071"}, True),
    ("30", "FORMAT",             None,                                               {"f41": None}, False),
    ("30", "FORMAT",             None,                                               {"f4": None}, False),
    ("30", "FORMAT",             None,                                               {"f61": "0" * 20}, False),
    ("30", "FORMAT",             None,                                               {"f63": b"TK00501031x1"}, False),
    ("30", "FORMAT",             None,                    {"f52": bytes(8), "f53": "2400000000000000"}, False),
    ("30", "FORMAT",             None,                                               {"f11": None}, False),
    ("58", "NOT_YOURS",          None,                                               {"f33": NETWORK}, False),
    ("58", "NOT_YOURS",          None,                                               {"f32": HARBOUR}, False),
    ("12", "UNKNOWN_KIND",       None,                                               {"f3": "400000"}, False),
]
# fmt: on


@pytest.mark.parametrize("case", REFUSED, ids=[f"{row[0]}-{sorted(row[3])}" for row in REFUSED])
def test_refusals(switch: Switch, case) -> None:
    code, reason, before, odd, row = case
    if before:
        before(switch)
    switch.events.drain()
    reply = switch.ask(switch.acquirer, switch.purchase(**odd))
    assert (reply.mti, reply.text(39)) == ("0210", code)
    assert switch.acquirer.right(reply)
    assert reason in switch.reasons()
    assert states(switch) == ([("DECLINED", code, reason)] if row else [])
    assert switch.inbox(switch.issuer)[-1:] == [] or code == "91"


def test_nobody_is_asked_when_the_issuers_link_is_down(switch: Switch) -> None:
    switch.news(switch.issuer, Kind.DOWN)
    assert switch.ask(switch.acquirer, switch.purchase()).text(39) == "91"
    switch.news(switch.issuer, Kind.UP)
    assert switch.ask(switch.acquirer, switch.purchase()).text(39) == "91"  # the link stands, but nobody has signed on
    switch.sign_on(switch.issuer)
    assert switch.forwarded(switch.purchase()).mti == "0200"


def test_an_issuer_is_ready_only_when_both_keys_are_agreed(switch: Switch) -> None:
    switch.news(switch.issuer, Kind.DOWN)
    _, mak = switch.send(switch.issuer, switch.management(switch.issuer, "001"))
    assert switch.ask(switch.acquirer, switch.purchase()).text(39) == "91"
    switch.send(switch.issuer, switch.issuer.take_reset(mak))
    assert switch.ask(switch.acquirer, switch.purchase()).text(39) == "91"


def test_a_pin_from_a_link_that_has_no_pin_key_yet(quiet: Switch) -> None:
    quiet.sign_on(quiet.issuer)
    _, mak = quiet.send(quiet.acquirer, quiet.management(quiet.acquirer, "001"))
    quiet.send(quiet.acquirer, quiet.acquirer.take_reset(mak))  # the reset of the PIK is not answered yet
    odd = {"f52": bytes(8), "f53": "2600000000000000"}
    assert quiet.ask(quiet.acquirer, quiet.purchase(**odd)).text(39) == "A7"
    assert quiet.forwarded(quiet.purchase()).mti == "0200"


def test_an_issuer_may_not_acquire(switch: Switch) -> None:
    reply = switch.ask(switch.issuer, switch.purchase(by=switch.issuer))
    assert (reply.text(39), switch.reasons()[-1]) == ("58", "NOT_ACQUIRER")


def test_who_has_not_signed_on_gets_91(quiet: Switch) -> None:
    reply = quiet.ask(quiet.acquirer, quiet.purchase())
    assert (reply.text(39), 128 in reply) == ("91", False)


def test_who_has_signed_off_gets_91_under_his_key(switch: Switch) -> None:
    assert switch.ask(switch.acquirer, switch.management(switch.acquirer, "002")).text(39) == "00"
    reply = switch.ask(switch.acquirer, switch.purchase())
    assert (reply.text(39), switch.acquirer.right(reply)) == ("91", True)


@pytest.mark.parametrize("mac", ["00000000", "", "zzzz", "ＡＢ"], ids=["wrong", "empty", "short", "wide"])
def test_a_wrong_mac_is_refused_and_leaves_no_row(switch: Switch, mac: str) -> None:
    frame = switch.acquirer.frame(switch.purchase())
    if len(mac) == 8:
        frame.message.fields[128] = mac
    switch.turn((switch.acquirer, encode_interbank(frame)))
    reply = switch.inbox(switch.acquirer)[-1]
    assert (reply.text(39), switch.acquirer.right(reply)) == ("A0", True)
    assert states(switch) == []


def test_a_message_that_announces_sm4_is_not_authentic_under_3des(switch: Switch) -> None:
    reply = switch.ask(switch.acquirer, switch.purchase(f60="00000600030000000000" + "4"))
    assert reply.text(39) == "A0"


def test_a_request_that_waited_too_long_is_refused(switch: Switch) -> None:
    frame = switch.acquirer.seal(switch.purchase())
    late = Inbound(switch.acquirer.station, frame, arrived_ms=switch.clock.now_ms() - switch.config.timeout_ms - 1)
    switch.worker.turn([late])
    assert switch.inbox(switch.acquirer)[-1].text(39) == "96"


# -- repeats -------------------------------------------------------------------------------------------------------------


def test_a_repeat_while_waiting_is_dropped_and_afterwards_answered_alike(switch: Switch) -> None:
    request = switch.purchase()
    asked = switch.forwarded(request)
    assert switch.send(switch.acquirer, request) == []
    assert switch.inbox(switch.issuer) == []
    switch.send(switch.issuer, switch.issuer.answer(asked, f54="1002156C000000012345", f55=b"\x91\x02\x30\x30"))
    [first] = switch.inbox(switch.acquirer)
    again = switch.ask(switch.acquirer, request)
    assert again.fields == first.fields
    assert switch.inbox(switch.issuer) == []


def test_twice_in_one_batch_is_asked_once(switch: Switch) -> None:
    request = switch.purchase()
    switch.issuer.got.clear()
    assert switch.send(switch.acquirer, request, request) == []
    assert len(switch.inbox(switch.issuer)) == 1


@pytest.mark.parametrize(
    "odd", [{4: "000000009999"}, {2: PAN_OTHER, 35: f"{PAN_OTHER}=30122010000000000"}, {3: "310000"}, {49: "344"}]
)
def test_a_name_repeated_with_other_contents_is_94(switch: Switch, odd: dict[int, str]) -> None:
    request, _ = switch.paid()
    reply = switch.ask(switch.acquirer, Message("0200", request.fields | odd))
    assert reply.text(39) == "94"
    assert len(states(switch)) == 1


def test_a_refusal_is_repeated_too(switch: Switch) -> None:
    request = switch.purchase(pan="4000000000000002", f35=None)
    assert [switch.ask(switch.acquirer, request).text(39) for _ in range(2)] == ["15", "15"]
    assert len(states(switch)) == 1


# -- answers that are none -----------------------------------------------------------------------------------------------


def test_an_answer_without_a_right_mac_is_reversed_with_a0(switch: Switch) -> None:
    asked = switch.forwarded(switch.purchase())
    forged = switch.issuer.frame(switch.issuer.answer(asked))
    forged.message.fields[128] = "00000000"
    switch.turn((switch.issuer, encode_interbank(forged)))
    [reply] = switch.inbox(switch.acquirer)
    assert (reply.text(39), 38 in reply, switch.acquirer.right(reply)) == ("98", False, True)
    assert states(switch) == [("EXPIRED", "98", "ANSWER_MAC_WRONG")]
    switch.tick()
    [reversal] = switch.inbox(switch.issuer)
    assert (reversal.mti, reversal.text(39)) == ("0420", "A0")


# fmt: off
STRANGE = [
    ("late",           lambda s, m: s.tick(30_001),                             {}),
    ("another amount", None,                                                    {"f4": "000000009999"}),
    ("another card",   None,                                                    {"f2": PAN_OTHER}),
    ("another RRN",    None,                                                    {"f37": "000000000000"}),
    ("unknown name",   None,                                                    {"f11": "999999"}),
]
# fmt: on


@pytest.mark.parametrize(("what", "before", "odd"), STRANGE, ids=[row[0] for row in STRANGE])
def test_answers_that_fit_nothing_are_dropped_and_told(switch: Switch, what: str, before, odd) -> None:
    asked = switch.forwarded(switch.purchase())
    if before:
        before(switch, asked)
    state = states(switch)
    switch.inbox(switch.acquirer)
    switch.events.drain()
    switch.send(switch.issuer, switch.issuer.answer(asked, **odd))
    assert switch.inbox(switch.acquirer) == []
    assert states(switch) == state
    assert any("dropped 0210" in event.title for event in switch.events.events)


def test_another_member_cannot_answer_for_the_issuer(switch: Switch) -> None:
    asked = switch.forwarded(switch.purchase())
    assert switch.send(switch.harbour, switch.harbour.answer(asked)) == []
    assert switch.inbox(switch.acquirer) == []
    assert states(switch)[0][0] == "WAITING"


def test_a_request_sent_back_with_a_reject_code_has_failed(switch: Switch) -> None:
    switch.issuer.frames.clear()
    switch.forwarded(switch.purchase())
    frame = bytearray(switch.issuer.frames[-1])
    frame[45:50] = b"00030"
    switch.turn((switch.issuer, bytes(frame)))
    [reply] = switch.inbox(switch.acquirer)
    assert reply.text(39) == "96"
    assert states(switch) == [("DECLINED", "96", "ISSUER_REJECTED")]


def test_an_answer_cannot_be_given_twice(switch: Switch) -> None:
    asked = switch.forwarded(switch.purchase())
    switch.send(switch.issuer, switch.issuer.answer(asked, "51"), switch.issuer.answer(asked, "00"))
    assert [reply.text(39) for reply in switch.inbox(switch.acquirer)] == ["51"]


# -- no answer -----------------------------------------------------------------------------------------------------------


def test_silence_is_answered_98_and_reversed(switch: Switch) -> None:
    request = switch.purchase()
    switch.forwarded(request)
    switch.tick(29_999)
    assert switch.inbox(switch.acquirer) == []
    switch.tick(1)
    [reply] = switch.inbox(switch.acquirer)
    echoed = (2, 3, 4, 7, 11, 12, 13, 25, 32, 33, 37, 41, 42, 49, 60)
    assert reply.copy(*echoed) == request.copy(*echoed)
    assert (reply.text(39), switch.acquirer.right(reply)) == ("98", True)
    switch.tick(100)
    [reversal] = switch.inbox(switch.issuer)
    text = request.text
    original = OriginalData.of(mti="0200", stan=text(11), sent=text(7), acquirer=LANTERN, forwarder=LANTERN)
    assert (reversal.mti, reversal.text(39), reversal.text(90)) == ("0420", "98", original.encode())
    assert (reversal.text(32), reversal.text(33)) == (LANTERN, NETWORK)
    assert switch.issuer.right(reversal)
    assert {35, 52, 53, 55, 14, 26}.isdisjoint(reversal.fields)
    assert states(switch) == [("EXPIRED", "98", "ISSUER_SILENT")]
    assert switch.ask(switch.acquirer, request).text(39) == "98"
    switch.send(switch.issuer, switch.issuer.answer(reversal))
    assert states(switch) == [("REVERSED", "98", "ISSUER_SILENT")]
    assert forward_queue(switch.store) == []
    assert switch.ask(switch.acquirer, request).text(39) == "98"


def test_a_balance_inquiry_is_never_reversed(switch: Switch) -> None:
    switch.forwarded(switch.balance())
    switch.tick(30_000)
    assert [reply.text(39) for reply in switch.inbox(switch.acquirer)] == ["98"]
    assert switch.inbox(switch.issuer) == []
    assert forward_queue(switch.store) == []
