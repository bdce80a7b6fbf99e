"""Chip cards at the acquirer: insert and fallback swipe, offline approvals, script results, reversals that tell of them."""

from collections.abc import Callable

import pytest

from shanfu.acquirer import ForwardState, close_merchant, dead_letters, forward_queue, journal_lines, list_batches
from shanfu.iso8583 import Message, OriginalData, Totals, Value, decode_pos
from tests.acquirer.bank import ANSWER_CHIP, CHIP, ISSUER, PAN, PAN_2, PIN_DIGITS, SCRIPTS, TC, TEAHOUSE, Bank

DAY = "20260105"
SCRIPTED = bytes.fromhex("910A010203040506070830307210860E84DA9F790A000000001000123456789F36020001")


def lines(bank: Bank) -> list[tuple[str, str, str]]:
    return [(line.state, line.response_code, line.reason) for line in journal_lines(bank.store, DAY)]


def totals(bank: Bank) -> Totals:
    return next(view.totals for view in list_batches(bank.store) if view.batch.terminal == bank.till.terminal)


def pay(bank: Bank, code: str = "00", **odd: Value | None) -> tuple[Message, Message, Message]:
    """A payment by insert: the terminal's request, what the network heard, the terminal's answer."""
    frame = bank.till.purchase(1234, **({"de22": "052"} | odd))
    request = bank.till.sent[-1]
    answer = bank.complete(bank.till, frame, code)
    return request, bank.network.seen[-1], answer


def noted(bank: Bank, frame: bytes) -> tuple[Message, list[Message]]:
    """Send a script result: its answer, and what the network hears at once."""
    out = bank.turn((bank.till.station, frame))
    [back] = [each for each in out if each.station == bank.till.station]
    return bank.answered(bank.till, back.frame), bank.heard(out)


def named(message: Message) -> str:
    text = message.text
    return OriginalData.of(mti="0200", stan=text(11), sent=text(7), acquirer=text(32), forwarder=text(33)).encode()


# -- insert and swipe --------------------------------------------------------------------------------------------------


def test_an_inserted_card_gets_its_scripts(bank: Bank) -> None:
    frame = bank.till.purchase(pin=PIN_DIGITS, de22="051")
    asked = bank.forwarded(bank.till, frame)
    assert (asked.text(22), asked.binary(55), asked.text(60)[5:7]) == ("051", CHIP, "60")
    [back] = bank.reply(asked, de55=SCRIPTED)
    assert bank.answered(bank.till, back.frame).binary(55) == SCRIPTED


@pytest.mark.parametrize(("pin", "mode"), [(PIN_DIGITS, "021"), (None, "022")])
def test_a_fallback_swipe_goes_on_marked_as_one(bank: Bank, pin: str | None, mode: str) -> None:
    asked = bank.forwarded(bank.till, bank.till.swipe(pin=pin))
    assert {23, 55}.isdisjoint(asked.fields)
    assert (asked.text(22), asked.text(35), asked.text(60)[6:7]) == (mode, f"{PAN}=30122011234567899", "2")
    assert bank.network.pins == ([PIN_DIGITS] if pin else [])
    [back] = bank.reply(asked)
    assert bank.answered(bank.till, back.frame).text(39) == "00"
    assert totals(bank) == Totals(1234, 1, 0, 0)


def test_a_swipe_in_others_words(bank: Bank) -> None:
    bank.forwarded(bank.till, bank.till.swipe(de22="801", de60=f"22{bank.till.batch}000600"))


# -- offline approvals -------------------------------------------------------------------------------------------------


def test_an_upload_counts_at_once_and_is_told_to_its_issuer(bank: Bank) -> None:
    frame = bank.till.offline(500)
    sent = bank.till.sent[-1]
    answer = bank.ask(bank.till, frame)
    assert set(answer.fields) == {3, 4, 11, 12, 13, 15, 25, 32, 37, 39, 41, 42, 49, 60, 64}
    assert (answer.mti, answer.text(39), answer.text(11)) == ("0330", "00", sent.text(11))
    assert (lines(bank), totals(bank)) == ([("APPROVED", "00", "APPROVED_OFFLINE")], Totals(500, 1, 0, 0))
    [told] = bank.heard(bank.tick(100))
    assert set(told.fields) == {2, 3, 4, 7, 11, 12, 13, 14, 18, 22, 23, 25, 32, 33, 37, 41, 42, 43, 49, 55, 60, 128}
    assert (told.mti, told.text(2), told.text(14), told.binary(55)) == ("0220", PAN, "3012", TC)
    assert (told.text(37), bank.network.wrong_macs) == (answer.text(37), 0)
    bank.clock.advance(5_000)
    assert bank.ask(bank.till, frame).fields == answer.fields  # and nothing more goes out
    assert bank.tick(100) == []
    assert bank.reply(told, de15="0106") == []
    assert (forward_queue(bank.store), dead_letters(bank.store)) == ([], [])
    [line] = journal_lines(bank.store, "20260106")  # the network's day counts
    assert (line.name, line.issuer, line.state) == (f"{told.text(7)}.{told.text(11)}.99012900.99012900", ISSUER, "APPROVED")


def test_an_upload_needs_no_network_and_survives_everything(bank: Bank) -> None:
    bank.link_down()
    assert bank.ask(bank.till, bank.till.offline()).text(39) == "00"
    assert bank.tick(60_000) == []
    bank.restart()
    bank.sign_on()
    assert [message.mti for message in bank.heard(bank.tick(100))] == ["0220"]
    [again] = bank.heard(bank.tick(30_000))
    assert (again.mti, again.binary(55)) == ("0221", TC)


def test_what_is_kept_longer_than_its_card_is_a_dead_letter_and_stops_nobody(bank: Bank) -> None:
    bank.link_down()
    bank.ask(bank.till, bank.till.offline())
    bank.tick(32 * 86_400_000)
    bank.sign_on()
    bank.sign_in(bank.till)
    assert bank.tick(100) == []
    assert [item.kind for item in dead_letters(bank.store)] == ["offline approval"]
    bank.ask(bank.till, bank.till.offline())
    assert [message.mti for message in bank.heard(bank.tick(100))] == ["0220"]


def test_an_upload_is_settled_with_its_batch(bank: Bank) -> None:
    pay(bank)
    bank.ask(bank.till, bank.till.offline(500))
    answer = bank.ask(bank.till, bank.till.settlement(Totals(1734, 2, 0, 0)))
    assert answer.text(48)[30] == "1"


# fmt: off
VERDICTS = [
    # code  answers until it is over  state of the item
    ("00",  1,                        ForwardState.DONE),
    ("12",  1,                        ForwardState.DEAD),
    ("57",  1,                        ForwardState.DEAD),  # a token's
    ("94",  1,                        ForwardState.DEAD),
    ("96",  8,                        ForwardState.DEAD),  # asked again, since that may pass
    ("Z9",  8,                        ForwardState.DEAD),
]
# fmt: on


@pytest.mark.parametrize(("code", "answers", "state"), VERDICTS)
def test_what_the_network_says_to_an_upload(bank: Bank, code: str, answers: int, state: ForwardState) -> None:
    bank.ask(bank.till, bank.till.offline())
    came = 0
    for _ in range(40):
        for message in bank.heard(bank.tick(1_920_000)):
            came += 1
            bank.reply(message, code)
    assert (came, forward_queue(bank.store)) == (answers, [])
    assert [item.state for item in dead_letters(bank.store)] == ([ForwardState.DEAD] if state is ForwardState.DEAD else [])
    assert totals(bank) == Totals(500, 1, 0, 0)  # the merchant has given the goods


Make = Callable[[Bank], bytes]


def signed_off(bank: Bank) -> bytes:
    bank.ask(bank.till, bank.till.sign_off())
    return bank.till.offline()


def closed(bank: Bank) -> bytes:
    close_merchant(bank.store, TEAHOUSE)
    return bank.till.offline()


def altered(bank: Bank) -> bytes:
    frame = bank.till.offline(500)
    place = frame.index(bytes.fromhex("000000000500"))
    return frame[:place] + bytes.fromhex("000000009500") + frame[place + 6 :]


# fmt: off
ODD_UPLOADS: list[tuple[str, Make, str]] = [
    # what is wrong                                                                  code
    ("unknown terminal",   lambda b: b.till.offline(de41="19999999"),                "97"),
    ("signed off",         signed_off,                                               "97"),
    ("closed merchant",    closed,                                                   "03"),
    ("wrong MAC",          altered,                                                  "A0"),
    ("no MAC",             lambda b: b.till.frame("0320", dict(b.till.sent_fields(b.till.offline())), mac=False), "30"),
    ("another batch",      lambda b: b.till.offline(de60="36000099000600"),          "77"),
    ("dollars",            lambda b: b.till.offline(de49="840"),                     "A1"),
    ("no expiry",          lambda b: b.till.offline(de14=None),                      "30"),
    ("no chip data",       lambda b: b.till.offline(de55=None),                      "30"),
    ("chip data cut",      lambda b: b.till.offline(de55=TC[:-1]),                   "30"),
    ("an ARQC",            lambda b: b.till.offline(de55=TC.replace(b"\x9f\x27\x01\x40", b"\x9f\x27\x01\x80")), "30"),
    ("an AAC",             lambda b: b.till.offline(de55=TC.replace(b"\x9f\x27\x01\x40", b"\x9f\x27\x01\x00")), "30"),
    ("approved online",    lambda b: b.till.offline(de55=TC[:-2] + b"00"),           "30"),
    ("no cryptogram",      lambda b: b.till.offline(de55=TC[11:]),                   "30"),
    ("a PIN block",        lambda b: b.till.offline(de52=bytes(8)),                  "30"),
]
# fmt: on


@pytest.mark.parametrize(("make", "code"), [row[1:] for row in ODD_UPLOADS], ids=[row[0] for row in ODD_UPLOADS])
def test_an_upload_that_is_refused_may_come_again(bank: Bank, make: Make, code: str) -> None:
    answer = bank.ask(bank.till, make(bank))
    assert (answer.mti, answer.text(39), 64 in answer) == ("0330", code, False)
    assert (lines(bank), bank.tick(100)) == ([], [])


def test_what_was_put_right_is_taken(bank: Bank) -> None:
    bank.ask(bank.till, bank.till.sign_off())
    frame = bank.till.offline()
    sent = {number: value for number, value in bank.till.sent[-1].fields.items() if number != 64}
    assert bank.ask(bank.till, frame).text(39) == "97"
    bank.sign_in(bank.till)
    assert bank.ask(bank.till, bank.till.frame("0320", dict(sent))).text(39) == "00"


@pytest.mark.parametrize("odd", [{"de4": "000000000501"}, {"de2": PAN_2}])
def test_an_uploads_name_with_other_contents(bank: Bank, odd: dict[str, Value]) -> None:
    bank.ask(bank.till, bank.till.offline())
    stan = bank.till.sent[-1].text(11)
    assert bank.ask(bank.till, bank.till.offline(de11=stan, **odd)).text(39) == "94"
    assert totals(bank) == Totals(500, 1, 0, 0)


def test_an_upload_is_never_taken_back(bank: Bank) -> None:
    bank.ask(bank.till, bank.till.offline())
    request = bank.till.sent[-1]
    assert bank.ask(bank.till, bank.till.reversal(request)).text(39) == "12"
    assert lines(bank) == [("APPROVED", "00", "APPROVED_OFFLINE")]


# -- script results ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["00", "51"])
def test_a_script_result_is_carried_on_and_moves_nothing(bank: Bank, code: str) -> None:
    request, heard, paid = pay(bank, code)
    before = (lines(bank), totals(bank))
    frame = bank.till.script_result(request, paid)
    answer, [told] = noted(bank, frame)
    assert set(answer.fields) == {3, 4, 11, 12, 13, 25, 32, 37, 39, 41, 42, 49, 60, 64}
    assert (answer.mti, answer.text(39), answer.text(37)) == ("0630", "00", paid.text(37))
    bank.clock.advance(5_000)
    assert bank.ask(bank.till, frame).fields == answer.fields
    assert bank.tick(100) == []
    assert set(told.fields) == {2, 3, 4, 7, 11, 12, 13, 18, 22, 23, 25, 32, 33, 37, 41, 42, 49, 55, 60, 90, 128}
    assert (told.mti, told.text(2), told.text(22), told.binary(55), told.text(90)) == (
        "0620",
        PAN,
        "052",
        SCRIPTS,
        named(heard),
    )
    assert (told.text(7), told.text(11)) != (heard.text(7), heard.text(11))
    assert bank.network.wrong_macs == 0
    [again] = bank.heard(bank.tick(30_000))
    assert again.mti == "0621"
    assert bank.reply(again) == []
    assert (forward_queue(bank.store), dead_letters(bank.store)) == ([], [])
    assert (lines(bank), totals(bank)) == before


def test_the_result_of_a_payment_that_expired_does_not_undo_it_twice(bank: Bank) -> None:
    frame = bank.till.purchase(de22="052")
    request = bank.till.sent[-1]
    bank.forwarded(bank.till, frame)
    [back] = bank.tick(45_000)
    late = bank.answered(bank.till, back.frame)
    _, [result] = noted(bank, bank.till.script_result(request, late))
    bank.reply(result)
    assert lines(bank) == [("EXPIRED", "98", "NO_ANSWER")]  # its reversal is still under way


# fmt: off
ODD_RESULTS: list[tuple[str, dict[str, Value | None], str]] = [
    # what is wrong               odd                                       code
    ("original unknown",          {"de61": "0000019999990105"},             "25"),
    ("other reference",           {"de37": "600500009999"},                 "25"),
    ("other card",                {"de2": PAN_2},                           "25"),
    ("other amount",              {"de4": "000000009999"},                  "64"),
    ("no results",                {"de55": CHIP},                           "30"),
    ("chip data cut",             {"de55": SCRIPTS[:-1]},                   "30"),
    ("no original",               {"de61": None},                           "30"),
    ("original cut",              {"de61": "000001"},                       "30"),
    ("unknown terminal",          {"de41": "19999999"},                     "97"),
]
# fmt: on


@pytest.mark.parametrize(("odd", "code"), [row[1:] for row in ODD_RESULTS], ids=[row[0] for row in ODD_RESULTS])
def test_a_result_of_nothing_known(bank: Bank, odd: dict[str, Value | None], code: str) -> None:
    request, _, paid = pay(bank)
    before = lines(bank)
    answer = bank.ask(bank.till, bank.till.script_result(request, paid, **odd))
    assert (answer.mti, answer.text(39), 64 in answer) == ("0630", code, False)
    assert (bank.tick(100), lines(bank)) == ([], before)


def test_a_terminal_whose_day_began_earlier_is_understood(bank: Bank) -> None:
    request, _, paid = pay(bank)
    assert noted(bank, bank.till.script_result(request, paid, de61=f"000001{request.text(11)}0106"))[0].text(39) == "00"


def test_a_result_with_a_wrong_mac(bank: Bank) -> None:
    request, _, paid = pay(bank)
    frame = bank.till.script_result(request, paid)
    assert bank.ask(bank.till, frame[:-1] + bytes([frame[-1] ^ 1])).text(39) == "A0"
    assert bank.tick(100) == []


def test_a_results_name_with_other_contents(bank: Bank) -> None:
    request, _, paid = pay(bank)
    other, _, other_paid = pay(bank)
    assert len(noted(bank, bank.till.script_result(request, paid))[1]) == 1
    stan = bank.till.sent[-1].text(11)
    for frame in (
        bank.till.script_result(other, other_paid, de11=stan),
        bank.till.script_result(request, paid, de11=stan, de4="000000000001"),
        bank.till.script_result(request, paid, de11=request.text(11)),  # a payment has this name
    ):
        assert bank.ask(bank.till, frame).text(39) == "94"
    assert bank.tick(100) == []


def test_a_result_of_what_never_left(bank: Bank) -> None:
    bank.link_down()
    frame = bank.till.purchase(de22="052")
    request = bank.till.sent[-1]
    refused = bank.ask(bank.till, frame)
    assert refused.text(39) == "91"
    assert bank.ask(bank.till, bank.till.script_result(request, refused)).text(39) == "25"


def test_payment_result_and_upload_in_one_batch(bank: Bank) -> None:
    request, _, paid = pay(bank)
    frame = bank.till.script_result(request, paid)
    out = bank.turn(*((bank.till.station, each) for each in (frame, bank.till.offline(), frame, bank.till.purchase())))
    back = [each for each in out if each.station == bank.till.station]
    assert [decode_pos(each.frame).message.text(39) for each in back] == ["00"] * 3
    assert [message.mti for message in bank.heard(out)] == ["0620", "0200"]  # the issuer hears of the script first
    assert [message.mti for message in bank.heard(bank.tick(100))] == ["0220"]


def test_a_result_waits_for_a_network_that_is_away(bank: Bank) -> None:
    request, _, paid = pay(bank)
    bank.link_down()
    assert bank.ask(bank.till, bank.till.script_result(request, paid)).text(39) == "00"
    bank.sign_on()
    assert [message.mti for message in bank.heard(bank.tick(100))] == ["0620"]


# -- reversals ---------------------------------------------------------------------------------------------------------

# fmt: off
REVERSED = [
    # chip data of the reversal                     what the issuer gets of it
    (CHIP + bytes.fromhex("DF31052000000001"),      CHIP + bytes.fromhex("DF31052000000001")),
    (CHIP,                                          None),
    (CHIP[:-1],                                     None),  # it cannot be read, and the reversal is good all the same
    (None,                                          None),
]
# fmt: on


@pytest.mark.parametrize(("chip", "told"), REVERSED)
def test_a_reversal_tells_which_script_ran(bank: Bank, chip: bytes | None, told: bytes | None) -> None:
    request, _, _ = pay(bank)
    assert bank.ask(bank.till, bank.till.reversal(request, "06", de55=chip)).text(39) == "00"
    [reversal] = bank.heard(bank.tick(100))
    assert (reversal.mti, reversal.text(39), reversal.fields.get(55)) == ("0420", "06", told)


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_nothing_of_the_card_lies_open(bank: Bank) -> None:
    inside = TC + bytes.fromhex("5A0A" + f"{PAN:F<20}")  # a terminal that says too much
    request, _, paid = pay(bank)
    bank.ask(bank.till, bank.till.offline(de55=inside))
    noted(bank, bank.till.script_result(request, paid))
    bank.tick(100)
    bank.store.close()
    secrets = [PAN.encode(), bytes.fromhex(f"{PAN:F<20}"), TC, SCRIPTS]
    for path in bank.folder.iterdir():
        assert not [secret for secret in secrets if secret in path.read_bytes()], path
    for event in bank.events.drain():
        assert not [secret for secret in secrets[:2] if secret in event.raw]
        assert PAN not in repr(event)


def test_the_answer_of_a_payment_is_as_before(bank: Bank) -> None:
    assert pay(bank)[2].binary(55) == ANSWER_CHIP
