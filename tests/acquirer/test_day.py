"""The terminal's day: sign-in, batches, echo, sign-off, settlement; MAC algorithms and the switch-over of keys."""

import pytest

from shanfu.acquirer import BatchState, list_batches, list_terminals
from shanfu.crypto import left4_text, x9_9, x9_19
from shanfu.hsm import SWITCH_OVER_MS, MACAlgorithm
from shanfu.iso8583 import SettlementTotals, Totals
from tests.acquirer.bank import NETWORK, PIN_DIGITS, TEAHOUSE, Bank


def test_the_open_batch_is_given_again(bank: Bank) -> None:
    assert bank.till.batch == "000001"
    bank.sign_in(bank.till)
    assert bank.till.batch == "000001"
    bank.settle(bank.till)
    assert bank.till.batch == "000002"


def test_echo(bank: Bank) -> None:
    answer = bank.ask(bank.till, bank.till.echo())
    assert (answer.mti, set(answer.fields)) == ("0830", {12, 13, 39, 41, 42, 60})


def test_sign_off(bank: Bank) -> None:
    answer = bank.ask(bank.till, bank.till.sign_off())
    assert set(answer.fields) == {11, 12, 13, 32, 37, 39, 41, 42, 60}
    assert [t.signed_in for t in list_terminals(bank.store)] == [0, 1]


REFUSED = [
    # what is odd about the sign-in             code
    ({"de41": "19999999"},                      "97"),
    ({"de42": "990290059420002"},               "03"),
    ({"de60": "00000000001"},                   "12"),  # single DES
    ({"de60": "00000000004"},                   "12"),  # a track key as well
    ({"de60": "00"},                            "30"),
    ({"de42": None},                            "30"),
]  # fmt: skip


@pytest.mark.parametrize(("odd", "code"), REFUSED)
def test_refused_sign_in(bank: Bank, odd: dict[str, str | None], code: str) -> None:
    answer = bank.ask(bank.till, bank.till.sign_in(**odd))
    assert (answer.text(39), 62 in answer) == (code, False)
    assert bank.complete(bank.till, bank.till.purchase()).text(39) == "00"  # the old keys still serve


def test_keys_of_the_sign_in_before_serve_for_a_while(bank: Bank) -> None:
    frame, late = bank.till.purchase(pin=PIN_DIGITS), bank.till.purchase()
    bank.sign_in(bank.till)
    bank.clock.advance(SWITCH_OVER_MS - 1)
    bank.forwarded(bank.till, frame)
    assert bank.network.pins == [PIN_DIGITS]
    bank.clock.advance(1)
    assert bank.ask(bank.till, late).text(39) == "A0"


def test_answer_under_the_key_now_in_force(bank: Bank) -> None:
    asked = bank.forwarded(bank.till, bank.till.purchase())
    bank.sign_in(bank.till)
    [back] = bank.reply(asked)
    assert bank.till.right(back.frame)


def test_sign_in_and_purchase_in_one_batch(bank: Bank) -> None:
    before = bank.till.purchase()
    sign_in = bank.till.sign_in()
    out = bank.turn((bank.till.station, before), (bank.till.station, sign_in), (bank.till.station, bank.till.echo()))
    assert [each.station for each in out] == [NETWORK, bank.till.station, bank.till.station]
    bank.till.take_keys(bank.answered(bank.till, out[1].frame))
    bank.forwarded(bank.till, bank.till.purchase())


ALGORITHMS = [
    (MACAlgorithm.X9_9, lambda mak, mab: left4_text(x9_9(mak[:8], mab))),
    (MACAlgorithm.X9_19, lambda mak, mab: left4_text(x9_19(mak, mab))),
]


@pytest.mark.parametrize(("algorithm", "mac_of"), ALGORITHMS, ids=["x9.9", "x9.19"])
def test_mac_algorithm_of_the_terminal(bank: Bank, algorithm: MACAlgorithm, mac_of: object) -> None:
    till = bank.install("10000007", TEAHOUSE, algorithm)
    till.mac_of = mac_of  # type: ignore[assignment]
    bank.sign_in(till)
    assert bank.complete(till, till.purchase()).text(39) == "00"


# -- settlement --------------------------------------------------------------------------------------------------------


def digit(answer_48: str) -> tuple[int, int]:
    parsed = SettlementTotals.parse(answer_48)
    return parsed.domestic_verdict, parsed.foreign_verdict


def test_settlement_balances_and_closes(bank: Bank) -> None:
    frame = bank.till.purchase(1000)
    original = bank.till.sent[-1]
    paid = bank.complete(bank.till, frame)
    bank.complete(bank.till, bank.till.purchase(500))
    bank.complete(bank.till, bank.till.purchase(7), "51")
    bank.complete(bank.till, bank.till.void(original, paid))
    settlement = bank.till.settlement(Totals(1500, 2, 1000, 1))
    answer = bank.ask(bank.till, settlement)
    assert set(answer.fields) == {11, 12, 13, 15, 32, 37, 39, 41, 42, 48, 60}
    assert (answer.text(39), digit(answer.text(48))) == ("00", (1, 1))
    assert bank.ask(bank.till, settlement).fields == answer.fields  # again, though the sign-in has ended
    assert bank.ask(bank.till, bank.till.settlement(Totals())).text(39) == "97"
    assert bank.ask(bank.till, bank.till.purchase()).text(39) == "97"
    [view] = [v for v in list_batches(bank.store) if v.batch.terminal == bank.till.terminal]
    assert (view.batch.state, view.totals, view.waiting) == (BatchState.SETTLED, Totals(1500, 2, 1000, 1), 0)


@pytest.mark.parametrize(
    "claimed",
    [Totals(), Totals(1234, 2, 0, 0), Totals(1235, 1, 0, 0), Totals(1234, 1, 5, 1)],
    ids=str,
)
def test_differing_totals_leave_the_batch_open(bank: Bank, claimed: Totals) -> None:
    bank.complete(bank.till, bank.till.purchase(1234))
    answer = bank.ask(bank.till, bank.till.settlement(claimed))
    assert (answer.text(39), digit(answer.text(48))) == ("00", (2, 1))
    bank.sign_in(bank.till)
    assert bank.till.batch == "000001"
    assert digit(bank.ask(bank.till, bank.till.settlement(Totals(1234, 1, 0, 0))).text(48)) == (1, 1)


def test_foreign_totals_are_never_ours(bank: Bank) -> None:
    text = SettlementTotals(foreign=Totals(1, 1, 0, 0)).encode()
    assert digit(bank.ask(bank.till, bank.till.settlement(Totals(), de48=text)).text(48)) == (1, 2)
    assert bank.complete(bank.till, bank.till.purchase()).text(39) == "00"


def test_a_waiting_payment_holds_the_settlement_up(bank: Bank) -> None:
    asked = bank.forwarded(bank.till, bank.till.purchase(1234))
    assert digit(bank.ask(bank.till, bank.till.settlement(Totals())).text(48)) == (3, 1)
    bank.reply(asked)
    assert digit(bank.ask(bank.till, bank.till.settlement(Totals(1234, 1, 0, 0))).text(48)) == (1, 1)


def test_an_answer_in_the_same_batch_counts(bank: Bank) -> None:
    asked = bank.forwarded(bank.till, bank.till.purchase(1234))
    settlement = bank.till.settlement(Totals(1234, 1, 0, 0))
    out = bank.turn((NETWORK, bank.network.answer(asked)), (bank.till.station, settlement))
    assert digit(bank.answered(bank.till, out[1].frame).text(48)) == (1, 1)


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        ({"de48": "1" * 20}, "30"),
        ({"de60": "00000009201"}, "77"),
        ({"de60": "00000001207"}, "12"),
        ({"de41": "19999999"}, "97"),
    ],
)
def test_refused_settlement(bank: Bank, odd: dict[str, str], code: str) -> None:
    assert bank.ask(bank.till, bank.till.settlement(Totals(), **odd)).text(39) == code
