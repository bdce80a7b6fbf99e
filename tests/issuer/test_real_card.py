"""The bank against our own card application: its orders are carried out, its answers believed, its certificates booked."""

from dataclasses import replace

import pytest

from shanfu.card import PROFILES, Card, CardKeys, CardProfile, personalise
from shanfu.card.live import LiveData
from shanfu.emv import AFTER, BEFORE, IssuerScript, Message55, commands, encode_field55
from shanfu.hsm import Algorithm
from shanfu.iso7816 import CommandAPDU
from shanfu.issuer import ScriptKind, ScriptOrder, ScriptState, balance, cash_of, list_scripts, order_script, unbalanced
from shanfu.money import Money
from shanfu.store import DictMemory
from tests.card.authority import certified
from tests.card.bench import CONTACT, CONTACTLESS, TERMINAL
from tests.card.slot import AAC, ARQC, TC, Slot, insert
from tests.card.test_offline import ALONE, wave
from tests.issuer.bank import CNY, Bank, Plastic, chip_of
from tests.issuer.test_scripts import new_pin

K = ScriptKind
Y3, Z3 = "5933", "5A33"
LOADED = 5_000
EDITIONS = {"debit-2.0": Algorithm.TDES, "debit-3.0": Algorithm.SM4}


def issued(bank: Bank, edition: str) -> tuple[Plastic, CardProfile, DictMemory]:
    """A card that bank and bureau have made together: with e-cash, an offline PIN and certificates."""
    algorithm = EDITIONS[edition]
    bank.chip_keys()
    plastic = bank.card("chip", "lin", algorithm=algorithm, cash=Money(LOADED, CNY))
    profile = PROFILES[edition](plastic.pan, "LIN/YUE")
    profile = certified(
        "1024", profile, expiry=plastic.expiry, balance_minor=LOADED, single_limit_minor=2_000, last_online_atc=1,
        lower_limit=99, upper_limit=99, total_limit_minor=10**8, offline_pin="1234",
    )  # fmt: skip
    masters = CardKeys(
        ac=bank.imk["debit", algorithm], mac=bank.script_keys["mac", algorithm], enc=bank.script_keys["enc", algorithm]
    )
    memory = DictMemory()
    personalise(profile, CardKeys.derive(masters, profile.algorithm, pan=profile.pan, psn=profile.psn), memory)
    return plastic, profile, memory


def field55(slot: Slot, message: Message55 = Message55.REQUEST) -> bytes:
    told = slot.said | slot.shown
    return encode_field55({0x9F33: bytes.fromhex("E0E1C8"), 0x8A: b"Y1"} | told, message)


# fmt: off
ORDERS = [
    # order                                                    what is looked at afterwards
    (ScriptOrder(kind=K.APPLICATION_BLOCK),                    lambda live: live.blocked,          True),
    (ScriptOrder(kind=K.PIN_UNBLOCK),                          lambda live: live.pin_tries,        3),
    (ScriptOrder(kind=K.PUT_DATA, tag=0x9F58, value=b"\x07"),  lambda live: live.value(0x9F58),    b"\x07"),
    (ScriptOrder(kind=K.PIN_CHANGE),                           lambda live: live.pin_block.hex(),  "26778899ffffffff"),
]
# fmt: on


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize(("asked", "look", "expected"), ORDERS, ids=[order.kind.value for order, _, _ in ORDERS])
def test_the_card_does_what_the_bank_orders(bank: Bank, edition: str, *, asked: ScriptOrder, look, expected: object) -> None:
    plastic, profile, memory = issued(bank, edition)
    if asked.kind is K.PIN_CHANGE:
        asked = replace(asked, pin_block=new_pin(bank, plastic, "778899"))
    order_script(bank.store, bank.hsm, plastic.pan, asked, now_ms=bank.clock.now_ms())
    card = Card(memory)
    assert card.power_on(CONTACT)
    slot = insert(card, profile)
    slot.generate(ARQC)
    payment = bank.insert(plastic, 1234, f55=field55(slot))
    answer = bank.ask(payment)
    assert (answer.text(39), bank.reason()) == ("00", "APPROVED")
    chip = chip_of(answer)
    assert slot.ask(commands.external_authenticate(chip[0x91])).ok
    run(slot, chip, BEFORE)
    slot.generate(TC)
    assert slot.kind == "TC"
    run(slot, chip, AFTER)
    assert look(LiveData(memory, profile.aid)) == expected
    assert bank.code(bank.script_result(payment, "2000000001")) == "00"
    assert [view.state for view in list_scripts(bank.store, bank.hsm, plastic.pan)] == [ScriptState.DONE]


def run(slot: Slot, chip: dict[int, bytes], template: int) -> None:
    if template in chip:
        for command in IssuerScript.parse(template, chip[template]).commands:
            assert slot.ask(CommandAPDU.parse(command)).ok


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_bank_books_what_the_card_approved(bank: Bank, edition: str) -> None:
    plastic, profile, memory = issued(bank, edition)
    advices = []
    for _ in range(2):
        card = Card(memory)
        assert card.power_on(CONTACTLESS)
        slot = wave(card, profile, **ALONE)
        slot.shown |= {0x9F27: b"\x40"}
        slot.said = {tag: bytes.fromhex(text) for tag, text in TERMINAL.items()}
        slot.said |= {int(tag[1:], 16): bytes.fromhex(text) for tag, text in ALONE.items()}
        advices.append(bank.offline(plastic, 1234, f55=field55(slot, Message55.OFFLINE_UPLOAD)))
    assert [(bank.code(advice), bank.reason()) for advice in reversed(advices)] == [("00", "APPROVED")] * 2
    [cash] = cash_of(bank.store, bank.hsm, plastic.pan)
    assert cash.balance_minor == int(LiveData(memory, profile.aid).balance.hex()) == LOADED - 2 * 1234
    assert unbalanced(bank.store) == []


# fmt: off
IN_THE_SLOT = [
    # 9F7A   what is asked for, in order      code  reason      e-cash   account
    ("00",   [(TC, {})],                      "00", "APPROVED", 0,       -1_234),  # at once
    ("00",   [(ARQC, {}), (TC, {"t8A": Y3})], "00", "APPROVED", 0,       -1_234),  # the issuer could not be reached
    ("01",   [(TC, {})],                      "00", "APPROVED", -1_234,  0),       # e-cash was offered, and the card has it
    ("00",   [(ARQC, {}), (AAC, {"t8A": Z3})], "12", "NOT_A_TC", 0,      0),
    ("00",   [(ARQC, {})],                    "12", "NOT_A_TC", 0,       0),
]
# fmt: on


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize(("cash", "asked", "code", "reason", "e_cash", "account"), IN_THE_SLOT)
def test_the_bank_books_what_the_card_approved_in_the_slot(
    bank: Bank, edition: str, *, cash: str, asked: list, code: str, reason: str, e_cash: int, account: int
) -> None:
    plastic, profile, memory = issued(bank, edition)
    start = balance(bank.store, "lin/156").balance_minor
    card = Card(memory)
    assert card.power_on(CONTACT)
    slot = insert(card, profile, t9F7A=cash)
    for kind, said in asked:
        slot.generate(kind, **said)
        assert slot.kind == kind.name
    slot.shown = {0x8A: slot.said[0x8A], **slot.shown}
    advice = bank.offline(plastic, 1234, f22="052", f55=field55(slot, Message55.OFFLINE_UPLOAD))
    assert (bank.code(advice), bank.reason()) == (code, reason)
    [on_card] = cash_of(bank.store, bank.hsm, plastic.pan)
    assert (on_card.balance_minor - LOADED, balance(bank.store, "lin/156").balance_minor - start) == (e_cash, account)
    assert on_card.balance_minor == int(LiveData(memory, profile.aid).balance.hex())
    assert unbalanced(bank.store) == []
