"""Every reason for which a payment or an inquiry is refused, one line per attempt."""

import pytest

from shanfu.crypto import Algorithm as Block
from shanfu.crypto import CardAlgorithm, Cipher, udk_option_a
from shanfu.hsm import Algorithm, KeyUsage
from shanfu.iso8583 import Family, ResponseCode
from shanfu.issuer import CardState, Policy, Reason, account_name, balance, card_state, imk_label, install_key, set_status
from shanfu.issuer.decide import CHAINS
from shanfu.money import Currency
from tests.issuer.bank import PIN_DIGITS, Bank, chip_of

ARQC_WANTED = "03A00000"


def iad(*, dki: int = 1, cvn: int = 1, cvr: str = ARQC_WANTED, algorithm: int = 1) -> bytes:
    return bytes((7, dki, cvn)) + bytes.fromhex(cvr) + bytes((algorithm,))


# fmt: off
ATTEMPTS = [
    # what the message has                        amount     code  reason
    ({},                                          1234,      "00", "APPROVED"),
    ({"pin": None},                               1234,      "00", "APPROVED"),
    ({"f35": None},                               1234,      "00", "APPROVED"),
    ({"t9F10": iad(cvn=0x17)},                    1234,      "00", "APPROVED"),
    ({"f22": "051"},                              1234,      "00", "APPROVED"),
    ({},                                          500_000,   "00", "APPROVED"),
    ({},                                          500_001,   "51", "FUNDS_INSUFFICIENT"),
    ({},                                          5_000_001, "61", "TRANSACTION_LIMIT"),
    ({},                                          0,         "13", "AMOUNT_INVALID"),
    ({"pin": "654321"},                           1234,      "55", "PIN_WRONG"),
    ({"f52": None},                               1234,      "99", "PIN_MISSING"),
    ({"f52": bytes(8)},                           1234,      "99", "PIN_UNREADABLE"),
    ({"f53": "9600000000000000"},                 1234,      "30", "FORMAT"),
    ({"f53": "1600000000000000"},                 1234,      "99", "PIN_UNREADABLE"),
    ({"f53": "2400000000000000"},                 1234,      "30", "FORMAT"),
    ({"f63": b"SM016" + bytes(16), "f53": "2400000000000000"}, 1234, "99", "PIN_UNREADABLE"),
    ({"f2": "6209019999999996"},                  1234,      "30", "FORMAT"),           # track 2 is another card's
    ({"f2": "6209019999999996", "f35": None},     1234,      "14", "CARD_UNKNOWN"),
    ({"f14": "3111"},                             1234,      "54", "EXPIRY_DIFFERS"),
    ({"f22": "021"},                              1234,      "45", "CHIP_REQUIRED"),
    ({"f22": "012", "pin": None},                 1234,      "45", "CHIP_REQUIRED"),
    ({"f55": None},                               1234,      "30", "FORMAT"),
    ({"f55": b"\x9f"},                            1234,      "30", "FORMAT"),
    ({"f55": b"\x9f\x36\x02\x00\x01"},            1234,      "30", "FORMAT"),
    ({"t9F10": iad(cvn=0x17), "t9F26": bytes(8)}, 1234,      "59", "ARQC_WRONG"),
    ({"t9F26": bytes(8)},                         1234,      "59", "ARQC_WRONG"),
    ({"t9F10": iad(dki=2)},                       1234,      "A7", "KEY_UNKNOWN"),
    ({"t9F10": iad(algorithm=4)},                 1234,      "59", "ALGORITHM_NOT_ALLOWED"),
    ({"t9F10": iad(algorithm=9)},                 1234,      "59", "ALGORITHM_NOT_ALLOWED"),
    ({"f4": "000000009999"},                      1234,      "59", "CHIP_DATA_DIFFERS"),
    ({"f49": "344"},                              1234,      "59", "CHIP_DATA_DIFFERS"),
    ({"t9F10": iad(cvr="03800000")},              1234,      "05", "CARD_DECLINED"),
    ({"t9F10": iad(cvr="03210000")},              1234,      "05", "CARD_DECLINED"),    # in the end: it could not ask us
    ({"t9F10": iad(cvr="03610000")},              1234,      "05", "CARD_DECLINED"),    # approved then (Y3): for an upload
    ({"t9F10": iad(cvr="03A00200")},              1234,      "05", "CVR_REFUSED"),      # blocked because of PIN tries
    ({"t95": bytes.fromhex("0800000000")},        1234,      "05", "TVR_REFUSED"),      # DDA failed
    ({"t95": bytes.fromhex("0000040000")},        1234,      "00", "APPROVED"),         # online PIN entered
    ({"currency": "344"},                         1234,      "A1", "NO_ACCOUNT"),
    ({"currency": "999"},                         1234,      "A1", "NO_ACCOUNT"),
    ({"code": "190000"},                          1234,      "12", "UNKNOWN_KIND"),
    ({"f37": None},                               1234,      "30", "FORMAT"),
    ({"f15": "1345"},                             1234,      "30", "FORMAT"),
    ({"f42": None},                               1234,      "30", "FORMAT"),
]  # fmt: skip
# fmt: on


@pytest.mark.parametrize(("more", "minor", "code", "reason"), ATTEMPTS)
def test_purchase(bank: Bank, more: dict, minor: int, code: str, reason: str) -> None:
    before = balance(bank.store, "lin/156").balance_minor
    answer = bank.ask(bank.purchase(bank.cards["debit"], minor, **more))
    assert (answer.text(39), bank.reason()) == (code, reason)
    assert (38 in answer) == (code == "00")
    assert balance(bank.store, "lin/156").balance_minor == before - (minor if code == "00" else 0)


@pytest.mark.parametrize(
    ("state", "code", "reason"),
    [
        (CardState.ACTIVE, "00", "APPROVED"),
        (CardState.BLOCKED, "62", "CARD_BLOCKED"),
        (CardState.CLOSED, "14", "CARD_CLOSED"),
        (CardState.EXPIRED, "54", "CARD_EXPIRED"),
        (CardState.INACTIVE, "21", "CARD_INACTIVE"),
        (CardState.LOST, "41", "CARD_LOST"),
        (CardState.STOLEN, "43", "CARD_STOLEN"),
    ],
)
def test_card_states(bank: Bank, state: CardState, code: str, reason: str) -> None:
    card = bank.cards["debit"]
    set_status(bank.store, bank.hsm, card.pan, state)
    assert (bank.code(bank.purchase(card, 100)), bank.reason()) == (code, reason)
    assert card_state(bank.store, bank.hsm, card.pan).state is state


def test_a_card_is_good_to_the_end_of_its_month(bank: Bank) -> None:
    past = bank.card("past", "lin", expiry="2512")
    past.expiry = "2512"
    this = bank.card("this", "lin", expiry="2601")
    this.expiry = "2601"
    assert (bank.code(bank.purchase(past, 100)), bank.reason()) == ("54", "CARD_EXPIRED")
    assert bank.code(bank.purchase(this, 100)) == "00"


def test_sm4_card(bank: Bank) -> None:
    card = bank.card("sm4", "lin", algorithm=Algorithm.SM4)
    answer = bank.ask(bank.purchase(card, 100))
    assert answer.text(39) == "00"
    assert chip_of(answer)[0x91][:8] == card.session.arpc(card.arqc, b"00")
    assert card.session.algorithm is CardAlgorithm.SM4


def test_a_laboratory_card_whose_master_key_nobody_has(bank: Bank) -> None:
    card = bank.card("lab", "lin", imk_family="lab")
    udk = udk_option_a(Cipher(Block.TDES, card.imk), card.pan.digits, card.psn)
    zeros = bytes(16)
    block = bank.hsm.form(KeyUsage.UDK_AC, Algorithm.TDES, [udk, zeros])
    assert bank.code(bank.purchase(card, 100)) == "A7"
    install_key(bank.store, imk_label("lab", Algorithm.TDES, 1), block, now_ms=bank.clock.now_ms())
    assert bank.code(bank.purchase(card, 100)) == "00"


# -- the transaction counter -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("atc", "code", "reason"),
    [
        (6, "00", "APPROVED"),
        (5, "59", "ATC_REPLAYED"),
        (4, "59", "ATC_REPLAYED"),
        (1005, "00", "APPROVED"),
        (1006, "59", "ATC_BEYOND_WINDOW"),
    ],
)
def test_atc_after_5(bank: Bank, atc: int, code: str, reason: str) -> None:
    card = bank.cards["debit"]
    card.atc = 4
    assert bank.code(bank.purchase(card, 100)) == "00"
    card.atc = atc - 1
    assert (bank.code(bank.purchase(card, 100)), bank.reason()) == (code, reason)
    assert card_state(bank.store, bank.hsm, card.pan).atc == (atc if code == "00" else 5)


@pytest.mark.parametrize(
    ("more", "moves"),
    [
        ({"t9F26": bytes(8)}, False),
        ({"pin": "654321"}, True),
        ({"currency": "344"}, True),
        ({"t95": bytes.fromhex("0800000000")}, True),
    ],
)
def test_the_atc_moves_only_after_a_right_cryptogram(bank: Bank, more: dict, moves: bool) -> None:
    card = bank.cards["debit"]
    answer = bank.ask(bank.purchase(card, 100, **more))
    assert answer.text(39) != "00"
    assert card_state(bank.store, bank.hsm, card.pan).atc == int(moves)
    assert (55 in answer) == moves


@pytest.mark.parametrize(("minor", "code"), [(1234, "00"), (500_001, "51")])
def test_whoever_proved_himself_gets_an_arpc(bank: Bank, minor: int, code: str) -> None:
    card = bank.cards["debit"]
    answer = bank.ask(bank.purchase(card, minor))
    chip = chip_of(answer)
    assert chip[0x9F36] == (1).to_bytes(2)
    assert chip[0x91] == card.session.arpc(card.arqc, code.encode()) + code.encode()


# -- the PIN -----------------------------------------------------------------------------------------------------------


def test_three_wrong_pins_lock_and_a_right_one_resets(bank: Bank) -> None:
    card = bank.cards["debit"]

    def attempt(pin: str | None) -> tuple[str, str, int]:
        code = bank.code(bank.purchase(card, 100, pin=pin))
        return code, bank.reason(), card_state(bank.store, bank.hsm, card.pan).pin_tries_left

    assert attempt("111111") == ("55", "PIN_WRONG", 2)
    assert attempt(None) == ("00", "APPROVED", 2)
    assert attempt("222222") == ("55", "PIN_WRONG", 1)
    assert attempt(PIN_DIGITS) == ("00", "APPROVED", 3)
    assert [attempt("111111")[0] for _ in range(2)] == ["55", "55"]
    assert attempt("111111") == ("75", "PIN_TRIES_EXCEEDED", 0)
    assert attempt(PIN_DIGITS) == ("75", "PIN_LOCKED", 0)
    assert attempt(None) == ("75", "PIN_LOCKED", 0)


def test_a_policy_may_let_a_locked_card_pay_without_pin(bank: Bank) -> None:
    policy = Policy.of({"limits": {"CNY": {"per_transaction": "10", "per_day": "10"}}, "pin": {"locked_refuses_all": False}})
    bank.restart(type(bank.config)(institution=bank.config.institution, policy=policy))
    card = bank.card("locked", "lin", pin_tries=0)
    assert bank.code(bank.purchase(card, 100)) == "75"
    assert bank.code(bank.purchase(card, 100, pin=None)) == "00"


def test_no_cryptogram_no_word_about_the_pin(bank: Bank) -> None:
    card = bank.cards["debit"]
    for _ in range(5):
        assert bank.code(bank.purchase(card, 100, pin="111111", t9F26=bytes(8))) == "59"
    assert card_state(bank.store, bank.hsm, card.pan).pin_tries_left == 3


# -- limits ------------------------------------------------------------------------------------------------------------


def test_limits_of_the_day(bank: Bank) -> None:
    limits = {"CNY": {"per_transaction": "50.00", "per_day": "100.00"}}
    policy = Policy.of({"limits": limits, "velocity": {"payments_per_day": 4}})
    bank.restart(type(bank.config)(institution=bank.config.institution, policy=policy))
    card = bank.cards["debit"]

    def pay(minor: int, day: str = "20260105") -> tuple[str, str]:
        return bank.code(bank.purchase(card, minor, day=day)), bank.reason()

    assert pay(5001) == ("61", "TRANSACTION_LIMIT")
    assert pay(5000) == ("00", "APPROVED")
    assert pay(5000) == ("00", "APPROVED")
    assert pay(1) == ("61", "DAY_LIMIT_EXCEEDED")
    assert pay(5000, "20260106") == ("00", "APPROVED")
    for _ in range(3):
        assert pay(1, "20260106") == ("00", "APPROVED")
    assert pay(1, "20260106") == ("65", "COUNT_EXCEEDED")
    assert pay(1, "20260105") == ("65", "COUNT_EXCEEDED")  # a late one of yesterday counts with today


def test_a_reversed_payment_does_not_count(bank: Bank) -> None:
    policy = Policy.of({"limits": {"CNY": {"per_transaction": "50", "per_day": "50"}}, "velocity": {"payments_per_day": 1}})
    bank.restart(type(bank.config)(institution=bank.config.institution, policy=policy))
    payment = bank.purchase(bank.cards["debit"], 5000)
    assert bank.code(payment) == "00"
    assert bank.code(bank.reversal(payment)) == "00"
    assert bank.code(bank.purchase(bank.cards["debit"], 5000)) == "00"


def test_credit_holds_what_it_approves(bank: Bank) -> None:
    assert bank.code(bank.purchase(bank.cards["credit"], 1_500_000)) == "00"
    account = balance(bank.store, "chen/156")
    assert (account.balance_minor, account.held_minor, account.available_minor) == (0, 1_500_000, 500_000)
    assert bank.code(bank.purchase(bank.cards["credit"], 500_001)) == "51"
    assert bank.code(bank.purchase(bank.cards["credit"], 500_000)) == "00"


def test_a_card_pays_from_the_account_of_the_currency(bank: Bank) -> None:
    bank.account("lin", balance=80_000, currency=Currency.of("HKD"))
    assert bank.code(bank.purchase(bank.cards["debit"], 80_000, currency="344")) == "00"
    assert bank.code(bank.purchase(bank.cards["debit"], 1, currency="344")) == "51"
    assert balance(bank.store, account_name("lin", "344")).balance_minor == 0
    assert balance(bank.store, account_name("lin", "156")).balance_minor == 500_000


# -- balance inquiry ---------------------------------------------------------------------------------------------------


def test_balance_inquiry(bank: Bank) -> None:
    bank.ask(bank.purchase(bank.cards["credit"], 1_500_000))
    assert bank.ask(bank.balance(bank.cards["debit"])).text(54) == "2001156C0000005000002002156C000000500000"
    assert bank.ask(bank.balance(bank.cards["credit"])).text(54) == "3001156C0000000000003002156C000000500000"
    refused = bank.ask(bank.balance(bank.cards["debit"], pin="654321"))
    assert (refused.text(39), 54 in refused) == ("55", False)


def test_the_answer_has_the_fields_of_the_wires_page(bank: Bank) -> None:
    answer = bank.ask(bank.purchase(bank.cards["debit"], 100))
    assert sorted(answer.fields) == [2, 3, 4, 7, 11, 12, 13, 15, 25, 32, 33, 37, 38, 39, 41, 42, 49, 55, 60, 100, 128]
    inquiry = bank.ask(bank.balance(bank.cards["debit"]))
    assert sorted(inquiry.fields) == [2, 3, 7, 11, 12, 13, 15, 25, 32, 33, 37, 38, 39, 41, 42, 49, 54, 55, 60, 100, 128]


def test_every_decision_tells_every_check(bank: Bank) -> None:
    bank.ask(bank.purchase(bank.cards["debit"], 100, pin="654321"))
    [event] = [event for event in bank.events.events if event.reason == "PIN_WRONG"]
    told = list(event.detail.values())
    assert event.title == "refused 55 wrong PIN: purchase ¥1.00"
    assert event.detail["pin"] == "PIN_WRONG: wrong PIN (wrong, 3 tries were left)"
    assert event.detail["funds"] == "not reached"
    purchase_checks = next(chain for kind, chain in CHAINS.items() if kind.value == "purchase").checks
    assert len(told) == len(purchase_checks) + 1


def test_reasons_speak_two_languages_and_their_codes_are_of_the_trade() -> None:
    for reason in Reason:
        assert reason.en
        assert any("\u4e00" <= character <= "\u9fff" for character in reason.zh), reason
        assert ResponseCode(reason.code).family is not Family.OTHER
        assert ResponseCode(reason.code).approved == reason.approved
