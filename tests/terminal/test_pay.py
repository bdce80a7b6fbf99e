"""A payment from the wave to the receipt, step by step, and every way in which its answer can go wrong."""

import pytest

from shanfu.emv import CVM, decode_field55
from shanfu.iso7816 import parse_flat
from shanfu.iso8583 import PosFrame
from shanfu.money import Currency, Money
from shanfu.terminal import Outcome, Reason, State, TerminalConfig, unionpay_aids
from tests.terminal.shop import (
    PAN_DIGITS,
    Play,
    Shop,
    altered,
    bad_mac,
    closed,
    config,
    declines,
    garbage,
    lost,
    silent,
    without_mac,
)

SIGN_IN = ["keep state", "host 0800", "pad LoadKeys", "keep state"]
WAVE = ["card A4", "card A4", "card A8"]
REVERSAL = ["keep transaction", "pad MakeMAC", "host 0400", "pad CheckMAC", "keep transaction"]
REQUEST = ["pad MakeMAC", "keep transaction", "host 0200"]
ANSWER = ["pad CheckMAC", "keep transaction"]

NOT_ENROLLED = config(aids=unionpay_aids(enrolled=False))


def test_the_transaction_is_kept_before_it_is_asked() -> None:
    shop = Shop()
    receipt = shop.pay()
    assert shop.steps == SIGN_IN + WAVE + REQUEST + ANSWER
    assert (receipt.outcome, receipt.response_code, receipt.reason) == (Outcome.APPROVED, "00", None)
    shop.pay()
    assert shop.steps == WAVE + REQUEST + ANSWER


def test_the_request_carries_what_the_wire_asks() -> None:
    shop = Shop()
    receipt = shop.pay("12.34")
    request = shop.host.asked[-1]
    assert sorted(request.fields) == [2, 3, 4, 11, 14, 22, 23, 25, 35, 41, 42, 49, 53, 55, 60, 64]
    fixed = {3: "000000", 4: "000000001234", 11: "000002", 22: "072", 23: "001", 25: "00", 49: "156", 60: "22000007000600"}
    assert {number: request.fields[number] for number in fixed} == fixed
    tags = decode_field55(request.binary(55))
    assert " ".join(f"{tag:X}" for tag in tags) == (
        "9F26 9F27 9F10 9F37 9F36 95 9A 9C 9F02 5F2A 82 9F1A 9F03 9F33 9F34 9F35 9F1E 84 9F09 9F41"
    )
    assert (tags[0x9F27].hex(), tags[0x95].hex(), tags[0x9F34].hex()) == ("80", "0000000000", "3f0000")
    assert (receipt.stan, receipt.batch, receipt.rrn, receipt.auth_code) == ("000002", "000007", f"{2:012d}", "654321")
    assert (receipt.masked_pan, receipt.atc) == (f"620901******{PAN_DIGITS[-4:]}", "0001")


@pytest.mark.parametrize(
    ("settings", "amount", "cvm", "entry_mode", "cvm_results"),
    [
        (config(), "0.01", CVM.NONE, "072", "3f0000"),
        (config(), "1000.00", CVM.NONE, "072", "3f0000"),
        (config(), "1000.01", CVM.ONLINE_PIN, "071", "020300"),
        (NOT_ENROLLED, "12.34", CVM.ONLINE_PIN, "071", "020300"),
    ],
)
def test_who_asks_the_pin(settings: TerminalConfig, amount: str, cvm: CVM, entry_mode: str, cvm_results: str) -> None:
    shop = Shop(settings=settings)
    receipt = shop.pay(amount)
    request = shop.host.asked[-1]
    assert (receipt.cvm, receipt.entry_mode, request.text(22)) == (cvm, entry_mode, entry_mode)
    assert decode_field55(request.binary(55))[0x9F34].hex() == cvm_results
    assert shop.host.pins == (["123456"] if cvm is CVM.ONLINE_PIN else [])
    assert (26 in request, request.fields[53][0]) == ((True, "2") if cvm is CVM.ONLINE_PIN else (False, "0"))


@pytest.mark.parametrize(
    ("typed", "reason", "code"),
    [
        (["123456"], None, "00"),
        (["654321"], Reason.ACQUIRER_DECLINED, "55"),
        ([None], Reason.PIN_CANCELLED, ""),
        (["123", "1234567890123", "123456"], None, "00"),  # ISO 9564-1 8.1: typed again
        (["123"], Reason.PIN_CANCELLED, ""),
    ],
)
def test_pin_entry(typed: list[str | None], reason: Reason | None, code: str) -> None:
    shop = Shop(settings=NOT_ENROLLED, typed=typed)
    receipt = shop.pay()
    assert (receipt.reason, receipt.response_code) == (reason, code)
    cancelled = reason is Reason.PIN_CANCELLED
    assert bool(shop.terminal.journal.transactions) is not cancelled, "what was not sent is not to be reversed"


# what the acquirer does, reason, DE39 on the receipt, DE39 of the reversal that follows ("" none), the terminal signs in again
ANSWERS = [
    (declines("51"), Reason.ACQUIRER_DECLINED, "51", "", False),
    (declines("91"), Reason.ACQUIRER_DECLINED, "91", "", False),
    (declines("97"), Reason.ACQUIRER_DECLINED, "97", "", True),
    (declines("99"), Reason.ACQUIRER_DECLINED, "99", "", True),
    (declines("A0"), Reason.ACQUIRER_DECLINED, "A0", "", True),
    (declines("77"), Reason.ACQUIRER_DECLINED, "77", "", True),
    (declines("Z9"), Reason.ACQUIRER_DECLINED, "Z9", "", False),
    (silent, Reason.NO_ANSWER, "98", "98", False),
    (closed, Reason.NO_ANSWER, "98", "98", False),
    (lost, Reason.NO_ANSWER, "98", "98", False),
    (garbage, Reason.UNREADABLE_ANSWER, "96", "96", False),
    (bad_mac, Reason.BAD_MAC, "A0", "A0", True),
    (without_mac, Reason.BAD_MAC, "A0", "A0", True),
    (altered(de11="000001"), Reason.NO_ANSWER, "98", "98", False),  # a late answer to another request
    (altered(de41="10000009"), Reason.NO_ANSWER, "98", "98", False),
    (altered(de04="000000000001"), Reason.NO_ANSWER, "98", "98", False),
    (altered(de39="10"), Reason.ACQUIRER_DECLINED, "10", "06", False),  # a partial approval that nobody asked for
    (altered(de39="A2"), None, "A2", "", False),
]


@pytest.mark.parametrize(("play", "reason", "code", "reversal", "signs_in"), ANSWERS)
def test_answers(play: Play, reason: Reason | None, code: str, reversal: str, signs_in: bool) -> None:
    shop = Shop()
    shop.pay("5.00")
    shop.host.plays("0200", play)
    receipt = shop.pay("12.34")
    assert (receipt.reason, receipt.response_code, receipt.reversal_pending) == (reason, code, bool(reversal))
    assert receipt.approved is (reason is None)
    shop.pay("7.00")
    assert shop.steps == SIGN_IN * signs_in + REVERSAL * bool(reversal) + WAVE + REQUEST + ANSWER
    assert list(shop.host.reversed.values()) == ([reversal] if reversal else [])
    kept = {t.stan: t.state for t in shop.terminal.journal.transactions.values()}
    assert kept[receipt.stan] is (State.APPROVED if reason is None else State.REVERSED if reversal else State.DECLINED)
    shown = sum(t.amount_minor for t in shop.terminal.journal.transactions.values() if t.state is State.APPROVED)
    assert shop.host.booked_minor == shown, "terminal and host agree about the money"


def test_a_declined_answer_with_a_wrong_mac_does_not_count() -> None:
    shop = Shop()
    shop.host.plays("0200", lambda host, request: host.reply(request, "51", de64=b"00000000"))
    assert shop.pay().reason is Reason.BAD_MAC


def test_the_reversal_names_the_original_and_holds_no_secret() -> None:
    shop = Shop(settings=NOT_ENROLLED)
    shop.host.plays("0200", silent)
    lost_receipt = shop.pay()
    original = shop.host.asked[-1]
    shop.pay()
    reversal = next(message for message in shop.host.asked if message.mti == "0400")
    assert sorted(reversal.fields) == [2, 3, 4, 11, 14, 22, 23, 25, 39, 41, 42, 49, 55, 60, 64]
    assert all(reversal.fields[n] == original.fields[n] for n in (2, 3, 4, 11, 14, 22, 23, 25, 41, 42, 49, 60))
    assert [f"{tag:X}" for tag in parse_flat(reversal.binary(55))] == ["9F36", "95", "9F1E", "9F10"]
    assert lost_receipt.stan == reversal.text(11)


@pytest.mark.parametrize(
    ("plays", "sent", "state", "flagged"),
    [
        ([silent], 2, State.REVERSED, False),
        ([silent, silent], 3, State.REVERSED, False),
        ([silent, silent, silent], 3, State.EXPIRED, True),  # given up, and nobody is blocked
        ([declines("25")], 1, State.REVERSED, False),
        ([declines("12")], 1, State.REVERSED, False),
        ([declines("96")], 2, State.REVERSED, False),
        ([bad_mac], 2, State.REVERSED, False),
        ([declines("A0")], 2, State.REVERSED, False),  # signs in and sends it again
        ([altered(de11="999999")], 2, State.REVERSED, False),
        ([closed], 2, State.REVERSED, False),  # hangs up on this one only: the echo is answered
    ],
)
def test_a_reversal_is_sent_until_it_is_done(plays: list[Play], sent: int, state: State, flagged: bool) -> None:
    shop = Shop()
    shop.host.plays("0200", silent)
    stan = shop.pay().stan
    shop.host.plays("0400", *plays)
    assert shop.pay().approved
    assert sum(message.mti == "0400" for message in shop.host.asked) == sent
    kept = shop.terminal.journal.find(stan)
    assert kept is not None
    assert (kept.state, kept.needs_reconciliation) == (state, flagged)
    shop.pay()
    assert sum(message.mti == "0400" for message in shop.host.asked) == sent, "it goes out no more"
    assert shop.drive(shop.terminal.reverse_pending()).approved
    assert kept.sequence in shop.terminal.journal.transactions
    assert shop.terminal.journal.transactions[kept.sequence].state is State.REVERSED


def test_while_the_acquirer_is_away_no_reversal_is_used_up_and_no_payment_goes_out() -> None:
    shop = Shop()
    shop.host.plays("0200", lost)
    stan = shop.pay().stan
    for _ in range(5):
        shop.host.plays("0400", closed)
        shop.host.plays("0820", closed)
        assert shop.pay().reason is Reason.HOST_UNREACHABLE
    kept = shop.terminal.journal.find(stan)
    assert kept is not None
    assert (kept.state, kept.sends) == (State.EXPIRED, 0)
    assert shop.pay().approved
    assert shop.host.booked_minor == 1234


@pytest.mark.parametrize(
    ("play", "reason"),
    [
        (silent, Reason.HOST_UNREACHABLE),
        (declines("97"), Reason.NOT_SIGNED_IN),
        (garbage, Reason.UNREADABLE_ANSWER),
        (altered(de60="00"), Reason.NOT_SIGNED_IN),
        (altered(de62=bytes(40)), Reason.NOT_SIGNED_IN),  # check values that differ
        (altered(de62=bytes(39)), Reason.NOT_SIGNED_IN),
    ],
)
def test_without_a_sign_in_no_card_is_asked_for(play: Play, reason: Reason) -> None:
    shop = Shop()
    shop.host.plays("0800", play)
    receipt = shop.pay()
    assert (receipt.outcome, receipt.reason) == (Outcome.DECLINED, reason)
    assert not any(step.startswith("card") for step in shop.steps)
    assert shop.pay().approved


def test_the_answer_header_can_ask_for_a_sign_in() -> None:
    shop = Shop()

    shop.host.plays("0200", lambda host, request: host.approve(PosFrame(request.tpdu, "613103310000", request.message)))
    assert shop.pay().approved
    shop.pay()
    assert shop.steps[: len(SIGN_IN)] == SIGN_IN


def test_the_amounts_currency_travels_everywhere() -> None:
    shop = Shop()
    shop.reader.present(shop.card)
    shop.drive(shop.terminal.pay(Money.parse("8.00", Currency.of("HKD"))))
    request = shop.host.asked[-1]
    assert (request.fields[49], decode_field55(request.binary(55))[0x5F2A].hex()) == ("344", "0344")


def test_a_full_batch_asks_for_settlement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shanfu.terminal.journal.BATCH_LIMIT", 2)
    shop = Shop()
    assert [shop.pay().reason for _ in range(3)] == [None, None, Reason.BATCH_FULL]
    assert shop.drive(shop.terminal.settle()).approved
    shop.host.batch = 8
    assert shop.pay().approved
