"""Scripts: what staff order reaches the inserted card under its own keys, and what the card made of it comes back."""

import pytest

from shanfu.crypto import (
    PIN,
    CardAlgorithm,
    Cipher,
    PinFormat,
    SessionKey,
    encipher_pin,
    pin_change_block,
    script_mac_input,
    session_key_pboc,
    udk_option_a,
)
from shanfu.crypto import Algorithm as Block
from shanfu.emv import AFTER, BEFORE, IssuerScript
from shanfu.errors import ConfigError, Conflict, NotFound
from shanfu.hsm import Algorithm
from shanfu.iso8583 import Message
from shanfu.issuer import (
    CardState,
    ChipState,
    ScriptKind,
    ScriptOrder,
    ScriptState,
    ScriptView,
    cancel_script,
    card_state,
    journal_lines,
    list_scripts,
    order_script,
    set_status,
    unbalanced,
)
from shanfu.issuer.scripts import SCRIPTS
from shanfu.pan import PAN
from shanfu.store import Statement
from tests.issuer.bank import TODAY, Bank, Plastic, chip_of

K, S = ScriptKind, ScriptState
DONE, FAILED_AT_1, NOT_RUN = "2000000001", "1100000001", "0000000001"


@pytest.fixture
def card(bank: Bank) -> Plastic:
    bank.chip_keys()
    return bank.cards["debit"]


def order(bank: Bank, card: Plastic, kind: ScriptKind = K.PIN_UNBLOCK, **more) -> ScriptView:
    return order_script(bank.store, bank.hsm, card.pan, ScriptOrder(kind=kind, **more), now_ms=bank.clock.now_ms())


def new_pin(bank: Bank, card: Plastic, digits: str) -> bytes:
    return encipher_pin(Cipher(Block.TDES, bank.desk_pik), PinFormat.ISO0, PIN(digits), pan=card.pan.digits)


def states(bank: Bank, card: Plastic) -> list[ScriptState]:
    return [view.state for view in list_scripts(bank.store, bank.hsm, card.pan)]


def scripts_in(answer: Message) -> list[IssuerScript]:
    chip = chip_of(answer) if 55 in answer else {}
    return [IssuerScript.parse(tag, chip[tag]) for tag in (BEFORE, AFTER) if tag in chip]


class CardKeys:
    """What the card computes for the payment it has just made."""

    def __init__(self, bank: Bank, card: Plastic) -> None:
        sm4 = card.algorithm is Algorithm.SM4
        self.block, self.card = Block.SM4 if sm4 else Block.TDES, card
        self.algorithm = CardAlgorithm.SM4 if sm4 else CardAlgorithm.TDES
        self.udk_ac = udk_option_a(Cipher(self.block, card.imk), card.pan.digits, card.psn)
        udks = [udk_option_a(self._master(bank, use), card.pan.digits, card.psn) for use in ("mac", "enc")]
        self.mac, self.enc = (session_key_pboc(Cipher(self.block, udk), card.atc) for udk in udks)

    def _master(self, bank: Bank, use: str) -> Cipher:
        return Cipher(self.block, bank.script_keys[use, self.card.algorithm])

    def accepts(self, command: bytes) -> bytes:
        """Check the MAC of a command as the card does and return its data."""
        header, data, mac = command[:5], command[5:-4], command[-4:]
        assert header[4] == len(data) + 4
        covered = script_mac_input(header, atc=self.card.atc, cryptogram=self.card.arqc, data=data)
        assert SessionKey(self.algorithm, self.mac).script_mac(covered) == mac
        return data

    def deciphered(self, data: bytes) -> bytes:
        plain = Cipher(self.block, self.enc).decrypt(data)
        assert plain[1 + plain[0]] == 0x80
        return plain[1 : 1 + plain[0]]


# fmt: off
KINDS = [
    # order                                                          template  header
    (K.APPLICATION_BLOCK,   {},                                      AFTER,    "841E0000"),
    (K.APPLICATION_UNBLOCK, {},                                      AFTER,    "84180000"),
    (K.CARD_BLOCK,          {},                                      AFTER,    "84160000"),
    (K.PIN_UNBLOCK,         {},                                      BEFORE,   "84240000"),
    (K.PUT_DATA,            {"tag": 0x9F58, "value": b"\x05"},       BEFORE,   "04DA9F58"),
    (K.PUT_DATA,            {"tag": 0x9F78, "value": bytes(5) + b"\x99"}, BEFORE, "04DA9F78"),
]
# fmt: on


@pytest.mark.parametrize("algorithm", [Algorithm.TDES, Algorithm.SM4])
@pytest.mark.parametrize(("kind", "more", "template", "header"), KINDS)
def test_an_order_reaches_its_card(
    bank: Bank, card: Plastic, *, kind: ScriptKind, more: dict, template: int, header: str, algorithm: Algorithm
) -> None:  # fmt: skip
    card = bank.card("sm4", "lin", algorithm=algorithm) if algorithm is Algorithm.SM4 else card
    assert order(bank, card, kind, by="Wu", **more).state is S.WAITING
    answer = bank.ask(bank.insert(card, 100))
    assert answer.text(39) == "00"
    [script] = scripts_in(answer)
    [command] = script.commands
    assert (script.template, script.identifier, command[:4].hex().upper()) == (template, b"\0\0\0\1", header)
    assert CardKeys(bank, card).accepts(command) == more.get("value", b"")
    chip = chip_of(answer)
    assert chip[0x91][:8] == card.session.arpc(card.arqc, b"00")
    assert len(answer.binary(55)) <= 128
    [view] = list_scripts(bank.store, bank.hsm, card.pan)
    assert (view.state, view.times, view.by) == (S.SENT, 1, "Wu")
    assert (view.tag, view.value) == (more.get("tag", 0), more.get("value", b""))


@pytest.mark.parametrize("algorithm", [Algorithm.TDES, Algorithm.SM4])
def test_a_new_pin_goes_enciphered_and_is_the_banks_too_once_the_card_has_it(bank: Bank, algorithm: Algorithm) -> None:
    bank.chip_keys()
    card = bank.card("mine", "lin", algorithm=algorithm)
    order(bank, card, K.PIN_CHANGE, pin_block=new_pin(bank, card, "778899"))
    payment = bank.insert(card, 100)
    [script] = scripts_in(bank.ask(payment))
    keys = CardKeys(bank, card)
    assert script.commands[0][:4].hex() == "84240002"
    assert keys.deciphered(keys.accepts(script.commands[0])) == pin_change_block(PIN("778899"), keys.udk_ac[4:8])
    assert bank.code(bank.insert(card, 100)) == "00", "the old PIN until the card says so"
    assert bank.code(bank.script_result(payment, DONE)) == "00"
    assert bank.code(bank.insert(card, 100)) == "55"
    assert bank.code(bank.insert(card, 100, pin="778899")) == "00"
    with bank.store.begin() as tx:
        [row] = SCRIPTS.open(tx).select(Statement(SCRIPTS.select()))
    assert (row.pin_block, row.pvv) == (b"", "")


# fmt: off
RESULTS = [
    # DF31                              code  reason             state       sent with the next payment
    (DONE,                              "00", "SCRIPT_TOLD",     S.DONE,     False),
    (FAILED_AT_1,                       "00", "SCRIPT_TOLD",     S.FAILED,   False),
    (NOT_RUN,                           "00", "SCRIPT_TOLD",     S.WAITING,  True),
    ("2000000002",                      "25", "SCRIPT_UNKNOWN",  S.SENT,     True),      # no such order
    (DONE + "2000000002",               "25", "SCRIPT_UNKNOWN",  S.SENT,     True),
    ("",                                "30", "FORMAT",          S.SENT,     True),
    ("20000001",                        "30", "FORMAT",          S.SENT,     True),      # cut
    ("3000000001",                      "30", "FORMAT",          S.SENT,     True),      # no such outcome
]
# fmt: on


@pytest.mark.parametrize(("results", "code", "reason", "state", "again"), RESULTS)
def test_a_result(
    bank: Bank, card: Plastic, *, results: str, code: str, reason: str, state: ScriptState, again: bool
) -> None:  # fmt: skip
    order(bank, card)
    payment = bank.insert(card, 100)
    assert len(scripts_in(bank.ask(payment))) == 1
    told = bank.script_result(payment, results)
    answer = bank.ask(told)
    assert (answer.mti, answer.text(39), bank.reason()) == ("0630", code, reason)
    assert bank.code(told) == code, "the same again"
    assert states(bank, card) == [state]
    assert [line.mti for line in journal_lines(bank.store, TODAY)] == ["0200"], "it moves no money"
    assert len(scripts_in(bank.ask(bank.insert(card, 100)))) == again
    assert unbalanced(bank.store) == []


# fmt: off
STRANGE = [
    # what the message has                     code  reason
    ({"f90": "0" * 42},                        "25", "ORIGINAL_UNKNOWN"),
    ({"f90": None},                            "30", "FORMAT"),
    ({"f55": None},                            "30", "FORMAT"),
    ({"f55": b"\x9f"},                         "30", "FORMAT"),
    ({"f2": "6209019999999996"},               "14", "CARD_UNKNOWN"),
    ({"f7": None},                             "30", ""),
]
# fmt: on


@pytest.mark.parametrize(("more", "code", "reason"), STRANGE)
def test_strange_results_change_nothing(bank: Bank, card: Plastic, more: dict, code: str, reason: str) -> None:
    order(bank, card)
    payment = bank.insert(card, 100)
    bank.ask(payment)
    assert bank.code(bank.script_result(payment, DONE, **more)) == code
    assert not reason or bank.reason() == reason
    assert bank.code(bank.script_result(payment, DONE), spoil=True) == "A0"
    assert states(bank, card) == [S.SENT]


def test_another_cards_payment_brings_no_result(bank: Bank, card: Plastic) -> None:
    order(bank, card)
    mine, other = bank.insert(card, 100), bank.insert(bank.cards["credit"], 100)
    bank.ask(mine)
    bank.ask(other)
    told = bank.script_result(other, DONE, f2=card.pan.digits)
    assert (bank.code(told), bank.reason()) == ("25", "ORIGINAL_ANOTHER_CARDS")
    assert states(bank, card) == [S.SENT]


def test_without_a_result_it_is_sent_again_under_the_next_counter(bank: Bank, card: Plastic) -> None:
    order(bank, card, K.PUT_DATA, tag=0x9F58, value=b"\x05")
    commands = []
    for _ in range(2):
        payment = bank.insert(card, 100)
        [script] = scripts_in(bank.ask(payment))
        CardKeys(bank, card).accepts(script.commands[0])
        commands.append(script.commands[0])
    assert commands[0] != commands[1]
    assert bank.code(bank.script_result(payment, DONE)) == "00"
    assert bank.code(bank.script_result(payment, FAILED_AT_1)) == "00"
    assert states(bank, card) == [S.DONE], "what has ended stays"


def test_one_order_a_payment_the_oldest_first(bank: Bank, card: Plastic) -> None:
    order(bank, card, K.PUT_DATA, tag=0x9F58, value=b"\x05")
    order(bank, card, K.PIN_UNBLOCK)
    heads = []
    for number in (1, 2):
        payment = bank.insert(card, 100)
        [script] = scripts_in(bank.ask(payment))
        heads.append(script.commands[0][:4].hex())
        assert bank.code(bank.script_result(payment, f"20{number:08x}")) == "00"
    assert heads == ["04da9f58", "84240000"]
    assert scripts_in(bank.ask(bank.insert(card, 100))) == []


# fmt: off
WAYS = [
    # how the card paid                      answer  with the script
    ({"f22": "051"},                          "00",  True),
    ({"f22": "951"},                          "00",  True),
    ({"f22": "071"},                          "00",  False),    # waved: it is gone before the answer comes
    ({"f22": "051", "pin": "654321"},         "55",  True),     # refused, but by a card that has proved itself
    ({"f22": "051", "t9F26": bytes(8)},       "59",  False),
    ({"f22": "051", "f14": "3112"},           "54",  False),
]
# fmt: on


@pytest.mark.parametrize(("more", "code", "given"), WAYS)
def test_who_gets_a_script(bank: Bank, card: Plastic, more: dict, code: str, given: bool) -> None:
    order(bank, card)
    answer = bank.ask(bank.insert(card, 100, **more))
    assert (answer.text(39), len(scripts_in(answer))) == (code, given)
    assert states(bank, card) == [S.SENT if given else S.WAITING]


@pytest.mark.parametrize("state", [CardState.LOST, CardState.STOLEN, CardState.BLOCKED])
def test_a_card_that_was_reported_is_told_to_block_itself(bank: Bank, card: Plastic, state: CardState) -> None:
    order(bank, card, K.CARD_BLOCK)
    set_status(bank.store, bank.hsm, card.pan, state)
    payment = bank.insert(card, 100)
    answer = bank.ask(payment)
    assert answer.text(39) != "00"
    [script] = scripts_in(answer)
    CardKeys(bank, card).accepts(script.commands[0])
    assert bank.code(bank.script_result(payment, DONE)) == "00"
    assert card_state(bank.store, bank.hsm, card.pan).chip is ChipState.CARD_BLOCKED


@pytest.mark.parametrize(
    ("kinds", "chip"),
    [
        ([K.APPLICATION_BLOCK], ChipState.APPLICATION_BLOCKED),
        ([K.APPLICATION_BLOCK, K.APPLICATION_UNBLOCK], ChipState.OPEN),
        ([K.PIN_UNBLOCK], ChipState.OPEN),
        ([K.CARD_BLOCK, K.APPLICATION_UNBLOCK], ChipState.CARD_BLOCKED),
    ],
)
def test_how_the_chip_stands(bank: Bank, card: Plastic, kinds: list[ScriptKind], chip: ChipState) -> None:
    for number, kind in enumerate(kinds, 1):
        order(bank, card, kind)
        payment = bank.insert(card, 100)
        bank.ask(payment)
        bank.clock.advance(1)
        bank.ask(bank.script_result(payment, f"20{number:08x}"))
    assert card_state(bank.store, bank.hsm, card.pan).chip == chip


def test_a_reversal_brings_a_result_too(bank: Bank, card: Plastic) -> None:
    order(bank, card)
    payment = bank.insert(card, 100)
    bank.ask(payment)
    chip = bytes.fromhex("9F3602") + card.atc.to_bytes(2) + bytes.fromhex("DF3105" + DONE)
    assert bank.code(bank.reversal(payment, f55=chip, f22="051")) == "00"
    assert states(bank, card) == [S.DONE]
    assert bank.code(bank.script_result(payment, DONE)) == "00"


def test_a_repeat_of_the_payment_goes_without_the_script(bank: Bank, card: Plastic) -> None:
    order(bank, card)
    payment = bank.insert(card, 100)
    first, again = bank.send(bank.sealed(payment), bank.sealed(payment))
    assert (len(scripts_in(first)), len(scripts_in(again))) == (1, 0)
    assert chip_of(first)[0x91] == chip_of(again)[0x91]


def test_two_payments_of_a_card_in_one_batch(bank: Bank, card: Plastic) -> None:
    order(bank, card)
    answers = bank.send(*[bank.sealed(bank.insert(card, 100)) for _ in range(2)])
    assert [len(scripts_in(answer)) for answer in answers] == [1, 1]
    [view] = list_scripts(bank.store, bank.hsm, card.pan)
    assert (view.state, view.times) == (S.SENT, 2)


def test_without_keys_for_scripts_an_order_waits_and_the_payment_goes_on(bank: Bank) -> None:
    card = bank.cards["debit"]
    order(bank, card)
    answer = bank.ask(bank.insert(card, 100))
    assert (answer.text(39), scripts_in(answer)) == ("00", [])
    assert any("a key for scripts is missing" in event.title for event in bank.events.events)
    assert states(bank, card) == [S.WAITING]


# -- the desk ----------------------------------------------------------------------------------------------------------

# fmt: off
ORDERS = [
    (K.PUT_DATA,    {"tag": 0x9F79, "value": bytes(6)}, "PUT DATA sets"),        # that would be loading e-cash
    (K.PUT_DATA,    {"tag": 0x9F58, "value": bytes(2)}, "it has 1"),
    (K.PUT_DATA,    {},                                 "PUT DATA sets"),
    (K.PIN_UNBLOCK, {"value": b"\x01"},                 "no tag and no value"),
    (K.PIN_UNBLOCK, {"pin_block": bytes(8)},            "takes no PIN block"),
    (K.PIN_CHANGE,  {},                                 "needs PIN block"),
    (K.PIN_CHANGE,  {"pin_block": bytes(8)},            "cannot be read"),
    (K.CARD_BLOCK,  {"by": "W" * 65},                   "at most 64"),
]
# fmt: on


@pytest.mark.parametrize(("kind", "more", "words"), ORDERS)
def test_orders_that_make_no_sense(bank: Bank, card: Plastic, kind: ScriptKind, more: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        order(bank, card, kind, **more)
    assert states(bank, card) == []


def test_a_card_has_eight_orders_at_most_and_staff_withdraw_them(bank: Bank, card: Plastic) -> None:
    for _ in range(8):
        order(bank, card)
    with pytest.raises(Conflict, match="wait for it already"):
        order(bank, card)
    now = {"now_ms": bank.clock.now_ms()}
    assert cancel_script(bank.store, bank.hsm, card.pan, 1, **now).state is S.CANCELLED
    with pytest.raises(Conflict, match="withdrawn already"):
        cancel_script(bank.store, bank.hsm, card.pan, 1, **now)
    with pytest.raises(NotFound):
        cancel_script(bank.store, bank.hsm, card.pan, 99, **now)
    with pytest.raises(NotFound):
        order_script(bank.store, bank.hsm, PAN("6209019999999996"), ScriptOrder(kind=K.CARD_BLOCK), **now)
    assert order(bank, card).number == 9
    [script] = scripts_in(bank.ask(bank.insert(card, 100)))
    assert script.identifier == b"\0\0\0\2"


def test_the_words_of_every_kind_and_state() -> None:
    for row in (*ChipState, *ScriptKind, *ScriptState):
        assert row.en
        assert any("\u4e00" <= letter <= "\u9fff" for letter in row.zh)
