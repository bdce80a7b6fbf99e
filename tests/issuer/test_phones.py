"""Payments by phone: the PAN with the token's data beside it, the token service's verdict instead of the card's own chip."""

from dataclasses import replace

import pytest
from msgspec import structs

from shanfu.iso8583 import Message, TokenBlock, TokenVerdict
from shanfu.issuer import CardState, Policy, balance, set_status

from .bank import Bank, Plastic

TOKEN = TokenBlock(verified="1", token="6250940000000017", expiry="2901", assurance="11", scenario="01", trid="90100000001")
RIGHT, WRONG, UNCHECKED = (verdict.field() for verdict in (TokenVerdict.RIGHT, TokenVerdict.WRONG, TokenVerdict.NOT_CHECKED))


@pytest.fixture
def card(bank: Bank) -> Plastic:
    return bank.cards["debit"]


def paid(bank: Bank, card: Plastic, minor: int = 12_345, *, block: TokenBlock = TOKEN, **odd) -> Message:
    """A payment by phone as the network sends it: no track, no sequence number, the phone's own chip data."""
    fields = {"f35": None, "f23": None, "f61": RIGHT, "f63": block.field()} | odd
    phone = Plastic(card.pan, card.imk, expiry=card.expiry, atc=7_000)  # whose ATC and keys are none of the card's
    return bank.purchase(phone, minor, **fields)


ATTEMPTS = [
    # what is odd                                         | DE39, reason
    ({},                                                    "00", "APPROVED"),
    ({"pin": None},                                         "00", "APPROVED"),
    ({"pin": "654321"},                                     "55", "PIN_WRONG"),
    ({"f52": None},                                         "99", "PIN_MISSING"),
    ({"f55": None},                                         "00", "APPROVED"),         # for information only
    ({"f55": b"\x9f"},                                      "00", "APPROVED"),
    ({"f14": "2901"},                                       "00", "APPROVED"),         # may lag behind a renewal
    ({"f61": WRONG},                                        "59", "TOKEN_NOT_VERIFIED"),
    ({"f61": UNCHECKED},                                    "59", "TOKEN_NOT_VERIFIED"),
    ({"f61": None},                                         "59", "TOKEN_NOT_VERIFIED"),
    ({"block": structs.replace(TOKEN, verified="0")},               "59", "TOKEN_NOT_VERIFIED"),
    ({"block": structs.replace(TOKEN, verified="")},                "59", "TOKEN_NOT_VERIFIED"),
    ({"f61": None, "pin": "654321"},                        "59", "TOKEN_NOT_VERIFIED"),  # and no PIN is tried
    ({"f63": b"TK\x01"},                                    "30", "FORMAT"),
    ({"t95": bytes.fromhex("0400000000")},                  "05", "TVR_REFUSED"),
    ({"minor": 500_001},                                    "51", "FUNDS_INSUFFICIENT"),
    ({"minor": 5_000_001},                                  "61", "TRANSACTION_LIMIT"),
    ({"currency": "344"},                                   "A1", "NO_ACCOUNT"),
    ({"f2": "6209010000099994"},                            "14", "CARD_UNKNOWN"),
]  # fmt: skip


@pytest.mark.parametrize(("odd", "code", "reason"), ATTEMPTS)
def test_what_a_phone_may(bank: Bank, card: Plastic, odd: dict, code: str, reason: str) -> None:
    minor = odd.pop("minor", 12_345)
    answer = bank.ask(paid(bank, card, minor, **odd))
    assert (answer.text(39), bank.reason()) == (code, reason)
    assert 55 not in answer, "a phone gets no answer to its cryptogram"
    assert 35 not in answer
    if code != "30":
        assert answer.binary(63) == odd.get("block", TOKEN).field(), "the token's data comes back as it came"


@pytest.mark.parametrize(
    ("state", "by_default", "spared"),
    [
        (CardState.BLOCKED, "62", "00"),
        (CardState.LOST, "41", "00"),
        (CardState.STOLEN, "43", "43"),
        (CardState.CLOSED, "14", "14"),
        (CardState.INACTIVE, "21", "21"),
        (CardState.EXPIRED, "54", "54"),
    ],
)
def test_a_phone_stops_with_its_card(bank: Bank, card: Plastic, state: CardState, by_default: str, spared: str) -> None:
    set_status(bank.store, bank.hsm, card.pan, state)
    assert bank.code(paid(bank, card)) == by_default
    lenient = replace(Policy.default(), tokens=replace(Policy.default().tokens, pay_when_blocked=True))
    bank.restart(replace(bank.config, policy=lenient))
    assert bank.code(paid(bank, card)) == spared
    assert bank.code(bank.purchase(card, 100)) == by_default, "the card itself is never spared"


def test_a_card_is_not_let_off_by_a_verdict_alone(bank: Bank, card: Plastic) -> None:
    assert bank.code(bank.purchase(card, 100, f61=RIGHT)) == "00"
    assert bank.code(bank.purchase(card, 100, f61=RIGHT, t9F26=bytes(8))) == "59"
    assert bank.reason() == "ARQC_WRONG"


def test_a_phone_leaves_the_card_its_counter(bank: Bank, card: Plastic) -> None:
    assert bank.code(bank.purchase(card, 100)) == "00"
    assert bank.code(paid(bank, card)) == "00"
    assert bank.code(bank.purchase(card, 100)) == "00", "the phone's ATC of 7000 is not the card's"


def test_pin_tries_are_the_cards_own(bank: Bank, card: Plastic) -> None:
    for reason in ("PIN_WRONG", "PIN_WRONG", "PIN_TRIES_EXCEEDED"):
        bank.ask(paid(bank, card, pin="654321"))
        assert bank.reason() == reason
    assert bank.code(paid(bank, card)) == "75"
    assert bank.code(bank.purchase(card, 100)) == "75"


def test_the_money_moves_as_for_a_card_and_comes_back(bank: Bank, card: Plastic) -> None:
    def left() -> int:
        return balance(bank.store, "lin/156").balance_minor

    payment = paid(bank, card)
    assert bank.code(payment) == "00"
    assert left() == 500_000 - 12_345
    back = {"f61": UNCHECKED, "f63": TOKEN.field()}
    assert bank.code(bank.refund(payment, f4=f"{2_345:012d}", **back)) == "00"
    assert left() == 500_000 - 10_000
    other = paid(bank, card)
    bank.ask(other)
    assert bank.code(bank.void(other, **back)) == "00"
    third = paid(bank, card)
    bank.ask(third)
    assert bank.code(bank.reversal(third, **back)) == "00"
    assert left() == 500_000 - 10_000


def test_an_inquiry_by_phone(bank: Bank, card: Plastic) -> None:
    answer = bank.ask(paid(bank, card, 0, code="310000", f4=None))
    assert answer.text(39) == "00"
    assert "C" in answer.text(54)


def test_a_repeat_gets_the_same_answer(bank: Bank, card: Plastic) -> None:
    payment = paid(bank, card)
    first, second = bank.send(bank.sealed(payment), bank.sealed(payment))
    assert first.fields | {128: ""} == second.fields | {128: ""}
    assert balance(bank.store, "lin/156").balance_minor == 500_000 - 12_345


def test_cards_and_phones_in_one_batch(bank: Bank, card: Plastic) -> None:
    batch = [
        bank.purchase(card, 100),
        paid(bank, card),
        paid(bank, bank.cards["credit"]),
        bank.purchase(card, 100, pin="999999"),
    ]
    answers = bank.send(*(bank.sealed(message) for message in batch))
    assert [answer.text(39) for answer in answers] == ["00", "00", "00", "55"]


def test_nothing_of_the_token_is_told(bank: Bank, card: Plastic) -> None:
    bank.ask(paid(bank, card))
    told = "".join(repr(event) for event in bank.events.events if event.wire != "interbank")
    assert TOKEN.token not in told
    assert "••••0017 of 90100000001" in told
