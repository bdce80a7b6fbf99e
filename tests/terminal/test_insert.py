"""Paying by insert with the real card and its real certificates: what goes out, what authentication finds, who ends it how."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.emv import CVM, TVR, commands, decode_field55, parse_script_results
from shanfu.iso7816 import StatusWord, parse_flat
from shanfu.terminal import Outcome, ReaderKind, Reason, State, UIMessage, print_receipt
from tests.budget import examples
from tests.terminal.chips import DEBIT, Bend, Bent, authority, genuine, issues, made, says, swapped
from tests.terminal.shop import (
    PIN_DIGITS,
    Play,
    PowerCut,
    Shop,
    altered,
    bad_mac,
    closed,
    config,
    declines,
    lost,
    silent,
    yuan,
)

R = Reason


def shop(*, bends: dict[str, Bend] | None = None, profile=None, **changes: object) -> Shop:
    card = made(profile or genuine())
    keys = {"ca_keys": (authority(),), **changes}
    return Shop(settings=config(**keys), card=Bent(card, bends) if bends else card)


def money_agrees(at: Shop) -> None:
    kept = at.terminal.journal.transactions.values()
    assert at.host.booked_minor == sum(t.amount_minor for t in kept if t.state is State.APPROVED)


def test_the_flow_reads_as_the_standards_does() -> None:
    at = shop()
    at.host.plays("0200", issues())
    receipt = at.insert()
    select, read, online = ["card A4", "card B2", "card B2", "card A4", "card A8"], ["card B2"] * 6, ["pad EnterPIN", "card AE"]
    ask, complete = ["pad MakeMAC", "keep transaction", "host 0200", "pad CheckMAC"], ["card 82", "card AE", "keep transaction"]
    assert at.steps[4:] == select + read + online + ask + complete
    assert (receipt.approved, receipt.cvm, receipt.interface, receipt.entry_mode) == (True, CVM.ONLINE_PIN, "contact", "051")
    request = at.host.asked[-1]
    assert sorted(request.fields) == [2, 3, 4, 11, 14, 22, 23, 25, 26, 35, 41, 42, 49, 52, 53, 55, 60, 64]
    assert (request.text(22), request.text(23), request.text(60)) == ("051", "001", "22000007000600")
    tags = decode_field55(request.binary(55))
    shown = {tag: tags[tag].hex() for tag in (0x82, 0x95, 0x9F27, 0x9F34, 0x84)}
    # versions differ (the card is of PBOC 2.0), online PIN entered, over the floor limit
    assert shown == {0x82: "3d00", 0x95: "0080048000", 0x9F27: "80", 0x9F34: "420300", 0x84: "a000000333010101"}


def tvr_of(at: Shop) -> TVR:
    return TVR.parse(decode_field55(at.host.asked[-1].binary(55))[0x95])


DDA_ONLY, SDA_ONLY = bytes.fromhex("E0F8C0"), bytes.fromhex("E0F880")
NO_ODA, CDA_BAD, DDA_BAD = TVR.ODA_NOT_PERFORMED, TVR.CDA_FAILED, TVR.DDA_FAILED
STALE = bytes.fromhex("807F") + bytes(range(1, 128)) + b"\x90\0"


@pytest.mark.parametrize(
    ("what", "changes", "bends", "bits"),
    [
        ("CDA", {}, {}, None),
        ("DDA", {"contact_capabilities": DDA_ONLY}, {}, None),
        ("the terminal can only SDA", {"contact_capabilities": SDA_ONLY}, {}, NO_ODA),
        ("no key of this name", {"ca_keys": ()}, {}, CDA_BAD),
        ("a key for tests", {"ca_keys": (authority(test=True),)}, {}, CDA_BAD),
        ("a key for tests at a test terminal", {"ca_keys": (authority(test=True),), "accept_test_keys": True}, {}, None),
        ("an expired key", {"ca_keys": (authority(expires=date(2026, 1, 1)),)}, {}, CDA_BAD),
        ("CDA: tampered static data", {}, {"B2011C": swapped("FF00", "FF80")}, CDA_BAD),
        ("DDA: tampered static data", {"contact_capabilities": DDA_ONLY}, {"B2011C": swapped("FF00", "FF80")}, DDA_BAD),
        ("DDA: the card will not", {"contact_capabilities": DDA_ONLY}, {"88": says("6985")}, DDA_BAD),
        ("DDA: an empty answer", {"contact_capabilities": DDA_ONLY}, {"88": says("9000")}, DDA_BAD),
        ("DDA: another transaction's answer", {"contact_capabilities": DDA_ONLY}, {"88": lambda reply: STALE}, DDA_BAD),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_authentication(what: str, changes: dict[str, object], bends: dict[str, Bend], bits: TVR | None) -> None:
    at = shop(bends=bends, **changes)
    at.host.plays("0200", issues())
    at.insert()
    found = tvr_of(at) & (NO_ODA | CDA_BAD | DDA_BAD | TVR.SDA_FAILED)
    assert found == (bits or 0), what


def test_a_card_without_keys_is_not_authenticated() -> None:
    at = shop(profile=DEBIT)
    at.insert()
    assert NO_ODA in tvr_of(at)


def test_a_wrong_signature_with_an_arqc_is_declined_and_the_card_told() -> None:
    def spoil(reply: bytes) -> bytes:
        return reply[:40] + bytes((reply[40] ^ 1,)) + reply[41:] if len(reply) > 100 else reply

    at = shop(bends={"AE": spoil})
    receipt = at.insert()
    assert (receipt.outcome, receipt.reason) == (Outcome.DECLINED, R.AUTHENTICATION)
    asked = [command[:8] for command in at.card.heard if command[2:4] == "AE"]
    assert asked == ["80AE9000", "80AE0000"], "an ARQC with CDA, then an AAC"
    assert [m.mti for m in at.host.asked] == ["0800"], "nothing was sent"


# what the issuer and the card do,                              outcome reason               reversal
COMPLETIONS = [
    (issues(),                    {},                           None,                        ""),
    (declines("51"),              {},                           R.ACQUIRER_DECLINED,         ""),
    (altered(de39="10"),          {},                           R.ACQUIRER_DECLINED,         "06"),
    (issues(proof=1),             {},                           R.CARD_DECLINED,             "06"),  # the card knows its issuer
    (issues(),                    {"AE0000": says("6985")},     None,                        ""),  # no AAC is asked for
    (issues(),                    {"AE5000": says("6985")},     R.APPLICATION_REFUSED,       "06"),
    (issues(),                    {"AE5000": says("9000")},     R.CARD_DATA,                 "06"),
    (issues(),                    {"AE5000": says("1234")},     R.CARD_DATA,                 "06"),
    (issues(),                    {"AE5000": says("800B00000100112233445566779000")}, R.CARD_DECLINED, "06"),
    (issues(),                    {"AE5000": says("800B80000100112233445566779000")}, R.CARD_DATA, "06"),
    (silent,                      {},                           R.NO_ANSWER,                 "98"),
    (closed,                      {},                           R.NO_ANSWER,                 "98"),
    (lost,                        {},                           R.NO_ANSWER,                 "98"),
    (bad_mac,                     {},                           R.BAD_MAC,                   "A0"),
]  # fmt: skip


@pytest.mark.parametrize(("play", "bends", "reason", "reversal"), COMPLETIONS)
def test_completion(play: Play, bends: dict[str, Bend], reason: Reason | None, reversal: str) -> None:
    at = shop(bends=bends)
    at.host.plays("0200", play)
    receipt = at.insert()
    assert (receipt.reason, receipt.reversal_pending, receipt.approved) == (reason, bool(reversal), reason is None)
    if isinstance(at.card, Bent):
        at.card.bends = {}
    assert at.insert("7.00").approved
    assert list(at.host.reversed.values()) == ([reversal] if reversal else [])
    money_agrees(at)


def test_the_reversal_after_a_refusal_names_the_script_results() -> None:
    at = shop(bends={"AE5000": says("6985")})
    at.host.plays("0200", issues(before=(commands.put_data(0x9F58, b"\x07", b""),)))
    assert at.insert().reversal_pending
    at.card.bends = {}
    at.insert()
    reversal = next(m for m in at.host.asked if m.mti == "0400")
    assert reversal.text(39) == "06"
    assert [f"{tag:X}" for tag in parse_flat(reversal.binary(55))] == ["9F36", "95", "9F1E", "9F10", "DF31"]
    assert [m.mti for m in at.host.asked] == ["0800", "0200", "0620", "0400", "0200"], "scripts are told first"


@pytest.mark.parametrize("tear", range(1, 19))
def test_a_card_pulled_at_any_command_leaves_money_and_counter_in_agreement(tear: int) -> None:
    at = shop()
    at.host.plays("0200", issues())
    receipt = at.insert(tear_after=tear)
    if tear < 13:
        assert (receipt.outcome, receipt.reason, receipt.ui) == (Outcome.TRY_AGAIN, R.CARD_REMOVED, UIMessage.INSERT_CARD)
    elif tear < 15:  # the host has approved, the card has not told its last word
        assert (receipt.reason, receipt.reversal_pending) == (R.CARD_REMOVED, True)
    else:
        assert receipt.approved
    again = at.insert("7.00")
    assert again.approved
    assert int(again.atc, 16) == (1 if tear < 5 else 2), "no counter is used twice"
    money_agrees(at)


@pytest.mark.parametrize("silent_after", [0, 1, 4, 5, 8, 11, 12, 13])
def test_a_chip_that_falls_silent(silent_after: int) -> None:
    at = shop()
    at.host.plays("0200", issues())
    receipt = at.insert(silent_after=silent_after)
    if silent_after < 11:
        expected = R.CHIP_SILENT if silent_after == 0 else R.CARD_SILENT
        assert (receipt.reason, receipt.ui) == (expected, UIMessage.USE_STRIPE)
    assert at.insert("7.00").approved
    money_agrees(at)


UNBLOCK, LIMIT = commands.unblock_pin(b""), commands.put_data(0x9F58, b"\x07", b"")
UNKNOWN_DATA = commands.put_data(0x9F99, b"\x07", b"")
DONE, FAILED = 2, 1
BOTH = TVR.SCRIPT_FAILED_BEFORE | TVR.SCRIPT_FAILED_AFTER


# before, after,                                 MAC  results (outcome, failed at),        bits of the TVR
SCRIPTS = [
    ((UNBLOCK,), (),                             0,   [(DONE, 0)],                         0),
    ((), (LIMIT,),                               0,   [(DONE, 0)],                         0),
    ((UNBLOCK,), (LIMIT,),                       0,   [(DONE, 0), (DONE, 0)],              0),
    ((UNBLOCK,), (LIMIT,),                       1,   [(FAILED, 1), (FAILED, 1)],          BOTH),
    ((), (LIMIT, UNKNOWN_DATA, UNBLOCK),         0,   [(FAILED, 2)],                       TVR.SCRIPT_FAILED_AFTER),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "mac", "results", "bits"), SCRIPTS)
def test_issuer_scripts(before, after, mac: int, results: list[tuple[int, int]], bits: TVR | int) -> None:
    at = shop(profile=genuine(offline_pin="1234"))
    at.typed = ["1234"]
    at.host.plays("0200", issues(before=before, after=after, mac=mac))
    assert at.insert().approved, "a script decides nothing about the payment"
    at.insert("7.00")
    assert [m.mti for m in at.host.asked] == ["0800", "0200", "0620", "0200"]
    notice, original = at.host.asked[2], at.host.asked[1]
    assert sorted(notice.fields) == [2, 3, 4, 11, 22, 23, 25, 37, 41, 42, 49, 55, 60, 61, 64]
    assert notice.text(61) == f"000007{original.text(11)}{at.terminal.journal.find(original.text(11)).date[4:]}"
    assert notice.text(11) != original.text(11)
    tags = parse_flat(notice.binary(55))
    told = parse_script_results(tags[0xDF31])
    assert [(int(result.outcome), result.failed_at) for result in told] == results
    assert {result.identifier for result in told} == {b"\0\0\0\x07"}
    assert TVR.parse(tags[0x95]) & BOTH == bits
    at.insert()
    assert [m.mti for m in at.host.asked].count("0620") == 1


@pytest.mark.parametrize(
    ("plays", "sent"),
    [
        ([], 1), ([declines("25")], 1), ([declines("12")], 1), ([silent], 2), ([declines("96")], 2), ([silent] * 3, 3),
        ([silent] * 9, 3),
    ],
)  # fmt: skip
def test_a_script_result_is_sent_three_times_at_most(plays: list[Play], sent: int) -> None:
    at = shop()
    at.host.plays("0200", issues(after=(LIMIT,)))
    at.host.plays("0620", *plays)
    at.insert()
    for _ in range(4):
        assert at.insert().approved
    assert [m.mti for m in at.host.asked].count("0620") == sent


def test_the_card_verifies_the_pin_and_the_request_carries_none() -> None:
    at = shop(profile=genuine(offline_pin="1234"))
    at.typed = ["9999", "1234"]
    receipt = at.insert()
    assert (receipt.approved, receipt.card_checked_pin, receipt.cvm, receipt.entry_mode) == (True, True, None, "052")
    assert 52 not in at.host.asked[-1]
    assert print_receipt(receipt, "zh").splitlines()[-1] == "已验密码"
    assert (receipt.cryptogram_kind, f"TC: {receipt.cryptogram}" in print_receipt(receipt)) == ("TC", True)
    assert at.steps.count("card 84") == 2, "enciphered, each time with a new challenge"
    shown = "".join(str(event) for event in at.heard.events)
    assert "241234" not in shown
    assert "1234FFFF" not in shown.upper()


def test_pin_tries_run_out() -> None:
    at = shop(profile=genuine(offline_pin="1234"))
    at.typed = ["9999", "9999", "9999", PIN_DIGITS]  # the last one is for the issuer: the list goes on
    at.insert()
    assert TVR.PIN_TRIES_EXCEEDED in tvr_of(at)


def test_cancelling_the_pin_ends_the_payment_before_any_cryptogram() -> None:
    at = shop()
    at.typed = [None]
    receipt = at.insert()
    assert (receipt.outcome, receipt.reason) == (Outcome.DECLINED, R.PIN_CANCELLED)
    assert not any(step == "card AE" for step in at.steps)


def test_a_terminal_without_a_slot() -> None:
    at = shop(readers=frozenset({ReaderKind.CONTACTLESS}))
    assert at.insert().reason is R.NO_READER


def test_an_offline_decline_by_the_terminals_rules() -> None:
    at = shop(bends={"B2011C": swapped("5F2403301231", "5F2403251231")}, exception_file=frozenset())
    limits = replace(at.settings.aids[0], tac_denial=bytes(TVR.EXPIRED))
    at.settings = replace(at.settings, aids=(limits,))
    at.restart()
    receipt = at.insert()
    assert (receipt.outcome, receipt.reason, receipt.stan) == (Outcome.DECLINED, R.EXPIRED_CARD, "")
    assert [m.mti for m in at.host.asked] == ["0800"]


OVERSIZED = [  # values that would not fit into field 55, or anywhere
    {
        "B2021C": lambda reply: (
            b"\x70\x81" + bytes((len(reply) - 4 + 103,)) + reply[2:-2] + b"\x9f\x63\x64" + bytes(100) + b"\x90\0"
        )
    },
    {"AE": lambda reply: b"\x80\x81\x8b\x80\0\1" + bytes(8) + b"\x07" + bytes(127) + b"\x90\0"},
    {"A4": lambda reply: b"\x6f\x6b\x84\x64" + bytes.fromhex("A0000003330101") + bytes(93) + b"\xa5\x03\x9f\x11\0\x90\0"},
]


@pytest.mark.parametrize("bends", OVERSIZED)
def test_oversized_answers_end_the_payment(bends: dict[str, Bend]) -> None:
    at = shop(bends=bends)
    assert at.insert().reason in (R.CARD_DATA, R.NO_APPLICATION)
    assert [m.mti for m in at.host.asked] == ["0800"]


STEPS = ["A4", "B2", "A8", "AE", "82", "88"]


@pytest.mark.parametrize("step", STEPS)
def test_every_status_word_at_every_step_ends_in_an_outcome(step: str) -> None:
    at = shop(bends={step: says("9000")}, contact_capabilities=DDA_ONLY)
    words = [word for word in StatusWord if word != StatusWord.OK] + [0x61FF, 0x6C00, 0x6C10, 0x63C2, 0x9F00, 0x1234]
    for word in words:
        at.card.bends = {step: says(f"{word:04X}")}
        at.host.plays("0200", issues())
        receipt = at.insert("1.00")
        assert receipt.outcome is not None, hex(word)
        at.host.script.clear()
    at.card.bends = {}
    assert at.insert("7.00").approved
    money_agrees(at)


@settings(max_examples=examples(40, heavy=1_200), deadline=None)
@given(st.sampled_from(STEPS), st.integers(0, 200), st.integers(0, 255), st.sampled_from(["flip", "cut", "grow", "double"]))
def test_whatever_a_card_answers_nothing_raises_and_money_agrees(step: str, place: int, value: int, damage: str) -> None:
    def spoil(reply: bytes) -> bytes:
        good = bytearray(reply)
        if damage == "flip" and good:
            good[place % len(good)] ^= value
        forms = {"flip": good, "cut": good[:place], "grow": good + bytes(value), "double": good[:-2] + good}
        return bytes(forms[damage])

    at = shop(bends={step: spoil})
    at.host.plays("0200", issues(after=(LIMIT,)))
    receipt = at.insert()
    assert receipt.approved or receipt.reason is not None
    at.card.bends = {}
    assert at.insert("7.00").approved
    money_agrees(at)


@pytest.mark.parametrize("cut", range(40))
def test_a_power_cut_before_any_step_of_an_insert(cut: int) -> None:
    at = shop()
    at.host.plays("0200", issues(before=(UNBLOCK,), after=(LIMIT,)))
    at.insert()  # leaves a script result behind, so that it too is cut off
    at.reader.present(at.card)
    at.host.plays("0200", issues(after=(LIMIT,)))
    try:
        at.drive(at.terminal.insert(yuan("20.00")), cut_before=cut)
    except PowerCut:
        at.restart()
    at.host.script.clear()
    assert at.insert("5.00").approved
    journal = at.terminal.journal
    assert not journal.dues()
    assert not journal.script_notices()
    money_agrees(at)


def test_the_longest_insert_is_shorter_than_the_cuts() -> None:
    at = shop()
    at.host.plays("0200", issues(after=(LIMIT,)))
    at.insert()
    at.host.plays("0200", issues(after=(LIMIT,)))
    at.insert()
    assert 20 < len(at.steps) < 40


def test_sm2_certificates_by_the_same_door() -> None:
    at = shop(profile=genuine(sm2=True, offline_pin="1234"), ca_keys=(authority(sm2=True),))
    at.typed = ["1234"]
    at.host.plays("0200", issues())
    receipt = at.insert()
    assert (receipt.approved, receipt.card_checked_pin) == (True, True), "its PIN was enciphered by SM2"
    assert not tvr_of(at) & (NO_ODA | CDA_BAD)
    other = shop(profile=genuine(sm2=True), ca_keys=(authority(),))
    other.insert()
    assert CDA_BAD in tvr_of(other), "an RSA key of that name opens no SM2 certificate"


@pytest.mark.parametrize("play", [silent, lost])
def test_a_host_that_does_not_answer_and_a_card_that_may_approve(play: Play) -> None:
    """Y3: what was asked is taken back, the card's own approval stands and is uploaded."""
    limits = replace(config().aids[0], floor=10_000, random_target_percent=99, tac_online=bytes(TVR.RANDOMLY_ONLINE))
    at = shop(aids=(limits,), profile=genuine(cvms=(CVM.NONE,)))
    at.host.plays("0200", play)
    receipt = at.insert("30.00")
    assert (receipt.approved, receipt.offline) == (True, True)
    kept = [(t.state, t.offline) for _, t in sorted(at.terminal.journal.transactions.items())]
    assert kept == [(State.EXPIRED, False), (State.APPROVED, True)]
    at.drive(at.terminal.reverse_pending())
    assert [m.mti for m in at.host.asked] == ["0800", "0200", "0400", "0320"]
    assert decode_field55(at.host.asked[-1].binary(55))[0x8A] == b"Y3"
    money_agrees(at)
