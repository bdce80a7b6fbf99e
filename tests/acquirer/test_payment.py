"""A payment end to end: terminal, acquirer, network and back, field by field as the wires page lists them."""

import pytest

from shanfu.acquirer import State, journal_lines
from shanfu.acquirer.journal import JOURNAL
from shanfu.iso8583 import AnswerParties, encode_par
from shanfu.store import Statement
from tests.acquirer.bank import ANSWER_CHIP, CHIP, ISSUER, PIN_DIGITS, Bank


def state(bank: Bank, stan: str) -> str:
    [line] = [line for line in journal_lines(bank.store, "20260105") if line.terminal_name.endswith(stan)]
    return line.state


def test_sign_in_gives_keys_and_a_batch(bank: Bank) -> None:
    answer = bank.sign_in(bank.till)
    assert set(answer.fields) == {11, 12, 13, 32, 37, 39, 41, 42, 60, 62}
    assert (answer.text(32), answer.text(60), len(answer.binary(62))) == ("99012900", "00000001003", 40)


def test_purchase_with_a_pin(bank: Bank) -> None:
    asked = bank.forwarded(bank.till, bank.till.purchase(1234, pin=PIN_DIGITS))
    assert set(asked.fields) == {
        2, 3, 4, 7, 11, 12, 13, 14, 18, 22, 23, 25, 26, 32, 33, 35, 37, 41, 42, 43, 49, 52, 53, 55, 60, 128,
    }  # fmt: skip
    assert (bank.network.wrong_macs, bank.network.pins) == (0, [PIN_DIGITS])
    assert asked.text(7) == "0105160000"
    assert (asked.text(32), asked.text(33)) == ("99012900", "99012900")
    assert (asked.text(12), asked.text(13), asked.text(18)) == ("160000", "0105", "5812")
    assert (asked.text(22), asked.text(23), asked.text(53)) == ("071", "001", "2600000000000000")
    assert asked.text(43) == "万福茶楼" + " " * 32
    assert asked.text(60)[:10] == "0000060003"
    assert asked.text(35)[16] == "="
    assert asked.text(37)[:4] == "6005"
    assert asked.binary(55) == CHIP
    [back] = bank.reply(asked)
    answer = bank.answered(bank.till, back.frame)
    assert set(answer.fields) == {3, 4, 11, 12, 13, 15, 25, 32, 37, 38, 39, 41, 42, 44, 49, 55, 60, 64}
    assert (answer.text(39), answer.text(38), answer.text(37), answer.text(15)) == ("00", "654321", asked.text(37), "0105")
    assert AnswerParties.parse(answer.text(44)) == AnswerParties(issuer=ISSUER, acquirer="99012900")
    assert answer.binary(55) == ANSWER_CHIP
    assert state(bank, answer.text(11)) == State.APPROVED


def test_a_decline_has_no_mac(bank: Bank) -> None:
    answer = bank.complete(bank.till, bank.till.purchase(), "51", de55=None)
    assert (answer.text(39), 64 in answer, 38 in answer) == ("51", False, False)
    assert state(bank, answer.text(11)) == State.DECLINED


def test_balance_tells_what_is_available(bank: Bank) -> None:
    asked = bank.forwarded(bank.till, bank.till.balance())
    assert (4 in asked, asked.text(3)) == (False, "310000")
    [back] = bank.reply(asked)
    answer = bank.answered(bank.till, back.frame)
    assert answer.text(54) == "2002156C000000450000"
    assert 4 not in answer


@pytest.mark.parametrize(
    ("de56", "kept"), [(encode_par("SF01" + "7" * 25), "SF01" + "7" * 25), (b"PR002xy", ""), (b"XX001x", ""), (None, "")]
)
def test_the_account_reference_of_a_token_is_kept_and_troubles_nobody(bank: Bank, de56: bytes | None, kept: str) -> None:
    answer = bank.complete(bank.till, bank.till.purchase(1234), de56=de56)
    assert (answer.text(39), 56 in answer) == ("00", False)
    with bank.store.begin() as tx:
        assert [row.par for row in JOURNAL.open(tx).select(Statement(JOURNAL.select()))] == [kept]
