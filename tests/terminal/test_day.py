"""The rest of a cashier's day: void, refund, balance, sign-in, echo, settlement, swipe, and the slip."""

from dataclasses import replace

import pytest

from shanfu.events import trace_id
from shanfu.iso8583 import SettlementTotals
from shanfu.money import Currency, Money
from shanfu.pan import PAN
from shanfu.terminal import Kind, Outcome, ReaderKind, Reason, State, UIMessage, print_receipt
from shanfu.terminal.host import with_year
from tests.terminal.shop import (
    PAN_DIGITS,
    Play,
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


def states(shop: Shop) -> list[tuple[Kind, State]]:
    return [(t.kind, t.state) for _, t in sorted(shop.terminal.journal.transactions.items())]


def test_void() -> None:
    shop = Shop()
    paid = shop.pay("20.00")
    receipt = shop.drive(shop.terminal.void(paid.stan))
    assert shop.steps == ["pad MakeMAC", "keep transaction", "host 0200", "pad CheckMAC", "keep transaction"]
    request = shop.host.asked[-1]
    assert sorted(request.fields) == [2, 3, 4, 11, 22, 25, 37, 38, 41, 42, 49, 60, 61, 64]
    fixed = {3: "200000", 22: "012", 37: paid.rrn, 38: "654321", 60: "23000007000600", 61: f"000007{paid.stan}"}
    assert {number: request.fields[number] for number in fixed} == fixed
    assert (receipt.approved, shop.host.booked_minor) == (True, 0)
    assert shop.drive(shop.terminal.void(paid.stan)).reason is Reason.ALREADY_VOIDED


@pytest.mark.parametrize(
    ("play", "reason", "booked"),
    [
        (lost, Reason.NO_ANSWER, 2000),
        (bad_mac, Reason.BAD_MAC, 2000),
        (declines("25"), Reason.ACQUIRER_DECLINED, 2000),
    ],
)
def test_a_void_without_a_valid_answer_is_reversed(play: Play, reason: Reason, booked: int) -> None:
    shop = Shop()
    paid = shop.pay("20.00")
    shop.host.plays("0200", play)
    assert shop.drive(shop.terminal.void(paid.stan)).reason is reason
    assert shop.drive(shop.terminal.reverse_pending()).approved
    assert shop.host.booked_minor == booked
    assert shop.drive(shop.terminal.void(paid.stan)).approved, "what was reversed can be tried again"


@pytest.mark.parametrize("stan", ["000009", "000001"])
def test_there_is_nothing_to_void(stan: str) -> None:
    shop = Shop()
    shop.host.plays("0200", declines("51"))
    shop.pay()
    assert shop.drive(shop.terminal.void(stan)).reason is Reason.NOTHING_TO_UNDO
    assert shop.drive(shop.terminal.void("000002")).reason is Reason.NOTHING_TO_UNDO, "a declined payment moved nothing"


def test_refunds_never_exceed_the_payment() -> None:
    shop = Shop()
    stan = shop.pay("20.00").stan
    original = shop.terminal.journal.find(stan)
    assert original is not None
    amounts = ["15.00", "5.01", "5.00", "0.01", "0"]
    reasons = [shop.drive(shop.terminal.refund(original, yuan(text))).reason for text in amounts]
    over = Reason.AMOUNT_OVER_ORIGINAL
    assert reasons == [None, over, None, over, over]
    assert shop.host.booked_minor == 0
    assert shop.drive(shop.terminal.refund(original, Money(1, Currency.of("HKD")))).reason is over
    assert shop.drive(shop.terminal.void(stan)).reason is Reason.ALREADY_VOIDED
    request = shop.host.asked[-1]
    assert (request.mti, sorted(request.fields)) == ("0220", [2, 3, 4, 11, 22, 25, 37, 41, 42, 49, 60, 61, 63, 64])
    assert request.fields[61] == f"000007{stan}{original.date[4:]}"


@pytest.mark.parametrize(
    ("plays", "sent", "state", "flagged"),
    [
        ([silent], 2, State.APPROVED, False),
        ([silent, bad_mac], 3, State.APPROVED, False),
        ([silent, silent, silent], 3, State.EXPIRED, True),
        ([declines("58")], 1, State.DECLINED, False),
    ],
)
def test_a_refund_is_sent_again_under_its_name_and_never_reversed(
    plays: list[Play], sent: int, state: State, flagged: bool
) -> None:
    shop = Shop()
    original = shop.terminal.journal.find(shop.pay("20.00").stan)
    assert original is not None
    shop.host.plays("0220", *plays)
    shop.drive(shop.terminal.refund(original, yuan("20.00")))
    refunds = [message for message in shop.host.asked if message.mti == "0220"]
    assert (len(refunds), len({message.text(11) for message in refunds})) == (sent, 1)
    kept = list(shop.terminal.journal.transactions.values())[-1]
    assert (kept.state, kept.needs_reconciliation) == (state, flagged)
    assert shop.pay().approved
    assert not shop.host.reversed


def test_balance_asks_the_pin_and_leaves_no_transaction() -> None:
    shop = Shop()
    shop.reader.present(shop.card)
    receipt = shop.drive(shop.terminal.balance())
    request = shop.host.asked[-1]
    assert sorted(request.fields) == [2, 3, 11, 14, 22, 23, 25, 26, 35, 41, 42, 49, 52, 53, 55, 60, 64]
    assert (request.fields[3], request.fields[60]) == ("310000", "01000007000600")
    assert (receipt.balances, receipt.stan, shop.terminal.journal.transactions) == ((yuan("5000.00"),), request.fields[11], {})
    assert "BALANCE: ¥5000.00" in print_receipt(receipt)
    shop.host.plays("0200", silent)
    shop.reader.present(shop.card)
    assert shop.drive(shop.terminal.balance()).reason is Reason.NO_ANSWER
    assert shop.pay().approved
    assert not shop.host.reversed
    assert len({message.text(11) for message in shop.host.asked}) == len(shop.host.asked), "no trace number twice"


def test_sign_in_sign_off_and_echo() -> None:
    shop = Shop()
    assert shop.drive(shop.terminal.sign_in()).approved
    request = shop.host.asked[-1]
    assert sorted(request.fields) == [11, 41, 42, 60, 62, 63]
    assert (request.fields[60], request.fields[62]) == ("00000000003", b"Sequence No0810000001")
    assert shop.drive(shop.terminal.echo()).approved
    assert (sorted(shop.host.asked[-1].fields), shop.host.asked[-1].fields[60]) == ([41, 42, 60], "00000007301")
    assert shop.drive(shop.terminal.sign_off()).approved
    assert (sorted(shop.host.asked[-1].fields), shop.host.asked[-1].fields[60]) == ([11, 41, 42, 60], "00000007002")
    assert not shop.terminal.journal.state.signed_in
    shop.host.plays("0820", closed)
    assert shop.drive(shop.terminal.echo()).reason is Reason.NO_ANSWER


def test_settlement_compares_the_batch_and_closes_it() -> None:
    shop = Shop()
    for amount in ("10.00", "20.00", "30.00"):
        paid = shop.pay(amount)
    shop.drive(shop.terminal.void(paid.stan))
    shop.host.plays("0200", lost)
    shop.pay("40.00")  # its reversal goes out before the settlement
    receipt = shop.drive(shop.terminal.settle())
    request = shop.host.asked[-1]
    assert (sorted(request.fields), request.fields[60]) == ([11, 41, 42, 48, 49, 60, 63], "00000007201")
    assert SettlementTotals.parse(request.text(48)).domestic == (6000, 3, 3000, 1)
    assert (receipt.approved, receipt.batch, receipt.totals) == (True, "000007", (6000, 3, 3000, 1))
    journal = shop.terminal.journal
    assert {(t.pan, t.closed) for t in journal.transactions.values()} == {("", True)}
    assert [line.state for line in shop.terminal.lines()] == [State.APPROVED] * 4 + [State.REVERSED]
    shop.host.batch = 8
    assert shop.pay().batch == "000008"
    shop.clock.advance(40 * 86_400_000)
    shop.drive(shop.terminal.settle())
    assert {t.batch for t in journal.transactions.values()} == {"000008"}, "closed and older than it is kept"


@pytest.mark.parametrize(
    ("plays", "reason"),
    [
        ([altered(de48="0" * 30 + "2" + "0" * 31)], Reason.BATCH_DIFFERS),
        ([altered(de48="0" * 30 + "3" + "0" * 31)], Reason.BATCH_DIFFERS),
        ([altered(de48="12")], Reason.BATCH_DIFFERS),
        ([silent, silent, silent], Reason.NO_ANSWER),
        ([closed], Reason.NO_ANSWER),
        ([declines("96")], Reason.ACQUIRER_DECLINED),
    ],
)
def test_a_settlement_that_does_not_balance_leaves_the_batch_open(plays: list[Play], reason: Reason) -> None:
    shop = Shop()
    shop.pay()
    shop.host.plays("0500", *plays)
    assert shop.drive(shop.terminal.settle()).reason is reason
    assert (shop.terminal.journal.state.closed_batch, shop.terminal.journal.state.signed_in) == ("", True)
    assert shop.drive(shop.terminal.settle()).approved
    assert shop.terminal.journal.state.closed_batch == "000007"


def test_a_lost_settlement_is_asked_for_again_under_its_trace_number() -> None:
    shop = Shop()
    shop.pay()
    shop.host.plays("0500", silent, silent, silent)
    shop.drive(shop.terminal.settle())
    shop.restart()
    assert shop.drive(shop.terminal.settle()).approved
    assert len({m.text(11) for m in shop.host.asked if m.mti == "0500"}) == 1
    shop.host.batch = 8
    assert shop.pay().approved
    assert shop.drive(shop.terminal.settle()).approved
    assert len({m.text(11) for m in shop.host.asked if m.mti == "0500"}) == 2


def test_a_closed_batch_is_refunded_with_the_card_in_hand() -> None:
    shop = Shop()
    stan = shop.pay("20.00").stan
    shop.drive(shop.terminal.settle())
    original = shop.terminal.journal.find(stan, batch="000007")
    assert original is not None
    shop.host.batch = 8
    refund = shop.terminal.refund
    assert shop.drive(refund(original, yuan("20.00"))).reason is Reason.NOTHING_TO_UNDO
    assert shop.drive(refund(original, yuan("20.00"), card=PAN("6228480000000005"))).reason is Reason.NOTHING_TO_UNDO
    assert shop.drive(refund(original, yuan("20.00"), card=PAN(PAN_DIGITS))).approved
    assert shop.host.asked[-1].fields[2] == PAN_DIGITS


def test_a_sign_in_that_opens_another_batch_closes_the_last_one() -> None:
    shop = Shop()
    shop.pay()
    shop.host.batch = 8
    shop.drive(shop.terminal.sign_in())
    assert [(t.closed, t.pan) for t in shop.terminal.journal.transactions.values()] == [(True, "")]


def test_the_journal_lines_are_what_reconciliation_needs() -> None:
    shop = Shop()
    receipt = shop.pay("12.34")
    (line,) = shop.terminal.lines()
    assert line.name == f"990290058120001.10000001.000007.{receipt.stan}"
    assert (line.rrn, line.kind, line.amount_minor, line.currency, line.state) == (
        receipt.rrn, Kind.PURCHASE, 1234, "156", State.APPROVED,
    )  # fmt: skip
    assert line.business_date == receipt.date[:4] + "1123"  # DE15, with its year


@pytest.mark.parametrize(
    ("today", "month_day", "expected"),
    [
        ("20261122", "1123", "20261123"),
        ("20261231", "0101", "20270101"),
        ("20270101", "1231", "20261231"),
        ("20260301", "", "20260301"),
    ],
)
def test_the_settlement_date_gets_its_year(today: str, month_day: str, expected: str) -> None:
    assert with_year(month_day, today) == expected


INSERT, CHIP = Outcome.TRY_ANOTHER_INTERFACE, Reason.CHIP_CARD
POLICY, UI = Reason.STRIPE_NOT_ACCEPTED, UIMessage


@pytest.mark.parametrize(
    ("track", "readers", "outcome", "reason", "ui"),
    [
        (";6209010000000011=30122200000000000?", "all", INSERT, CHIP, UI.OTHER_INTERFACE),
        ("6209010000000011=3012601", "contact", INSERT, CHIP, UI.INSERT_CARD),
        ("6209010000000011=3012101", "all", Outcome.DECLINED, POLICY, UI.DECLINED),
        ("6209010000000011D3012501", "all", Outcome.DECLINED, POLICY, UI.DECLINED),
        ("rubbish", "all", Outcome.END_APPLICATION, Reason.CARD_DATA, UI.TRY_ANOTHER_CARD),
        ("6209010000000011=3012201", "none", INSERT, Reason.NO_READER, UI.INSERT_CARD),
    ],
)
def test_swipe(track: str, readers: str, outcome: Outcome, reason: Reason, ui: UIMessage) -> None:
    kinds = {
        "all": frozenset(ReaderKind), "contact": frozenset({ReaderKind.CONTACT, ReaderKind.STRIPE}), "none": frozenset(),
    }  # fmt: skip
    shop = Shop(settings=config(readers=kinds[readers]))
    receipt = shop.drive(shop.terminal.swipe(track, yuan("1.00")))
    assert not shop.host.asked
    assert (receipt.outcome, receipt.reason, receipt.ui, receipt.interface) == (outcome, reason, ui, "stripe")


def test_the_slip_in_both_languages() -> None:
    shop = Shop()
    receipt = shop.pay("12.34")
    english, chinese = print_receipt(receipt), print_receipt(receipt, "zh")
    masked = f"620901******{PAN_DIGITS[-4:]}"
    for line in ("APPROVED", "MERCHANT: Teahouse", f"CARD: {masked} /07", "AMOUNT: ¥12.34", "PIN-FREE AND SIGNATURE-FREE"):
        assert line in english
    for line in ("交易成功", "商户: Teahouse", f"卡号: {masked} /07", "金额: ¥12.34", "免密免签"):
        assert line in chinese
    declined = replace(receipt, outcome=Outcome.DECLINED, reason=Reason.ACQUIRER_DECLINED, response_code="51")
    assert print_receipt(declined).startswith("DECLINED: insufficient funds (51)\n")
    assert print_receipt(declined, "zh").startswith("交易失败: 余额不足 (51)\n")
    shop.host.plays("0200", lost)
    unknown = shop.pay()
    assert print_receipt(unknown).startswith("DECLINED: no answer from the acquirer (98)\n")
    assert print_receipt(unknown, "zh").endswith("将自动冲正，不会扣款")


def test_the_receipt_and_the_events_share_the_trace_that_the_acquirer_computes() -> None:
    shop = Shop()
    receipt = shop.pay()
    expected = trace_id(
        merchant="990290058120001", terminal="10000001", batch=receipt.batch, stan=receipt.stan, date=receipt.date
    )
    assert receipt.trace_id == expected
    wires = [event for event in shop.heard.events if event.wire == "apdu" or event.title.endswith("purchase")]
    assert len(wires) == 8
    assert {event.trace for event in wires} == {expected}


def test_a_settlement_tries_once_more_what_had_been_given_up() -> None:
    shop = Shop()
    shop.host.plays("0200", lost)
    stan = shop.pay("20.00").stan
    shop.host.plays("0400", silent, silent, silent)
    shop.pay("5.00")
    assert shop.terminal.journal.find(stan).needs_reconciliation
    assert shop.drive(shop.terminal.settle()).totals == (500, 1, 0, 0)
    assert list(shop.host.reversed.values()) == ["98"]
    assert [line.needs_reconciliation for line in shop.terminal.lines()] == [False, False]


def test_a_payment_of_an_earlier_batch_is_refunded_and_not_voided() -> None:
    shop = Shop()
    paid = shop.pay("20.00")
    shop.host.plays("0200", declines("97"))
    shop.pay()
    shop.host.batch = 8  # the sign-in that follows opens another batch
    assert shop.drive(shop.terminal.void(paid.stan)).reason is Reason.NOTHING_TO_UNDO
    original = shop.terminal.journal.find(paid.stan, batch="000007")
    assert original is not None
    assert shop.drive(shop.terminal.refund(original, yuan("20.00"))).approved
    assert shop.host.booked_minor == 0


def test_a_sign_in_drops_no_card_data_of_an_open_batch() -> None:
    shop = Shop()
    shop.pay()
    shop.drive(shop.terminal.settle())
    shop.host.batch = 8
    stan = shop.pay().stan
    shop.drive(shop.terminal.sign_in())
    assert [bool(t.pan) for t in shop.terminal.journal.transactions.values()] == [False, True]
    assert shop.drive(shop.terminal.void(stan)).approved
