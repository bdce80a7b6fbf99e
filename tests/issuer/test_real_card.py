"""The bank against our own card application: its orders are carried out, its answers believed, its certificates booked."""

from dataclasses import replace

import pytest

from shanfu.card import PROFILES, Card, CardKeys, CardProfile, personalise
from shanfu.card.live import LiveData
from shanfu.emv import AFTER, BEFORE, IssuerScript, Message55, commands, encode_field55
from shanfu.hsm import Algorithm
from shanfu.iso7816 import CommandAPDU
from shanfu.issuer import ScriptKind, ScriptOrder, ScriptState, cash_of, list_scripts, order_script, unbalanced
from shanfu.money import Money
from shanfu.store import DictMemory
from tests.card.authority import certified
from tests.card.bench import CONTACT, CONTACTLESS, TERMINAL
from tests.card.slot import ARQC, TC, Slot, insert
from tests.card.test_offline import ALONE, wave
from tests.issuer.bank import CNY, Bank, Plastic, chip_of
from tests.issuer.test_scripts import new_pin

K = ScriptKind
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
        lower_limit=99, total_limit_minor=10**8, offline_pin="1234",
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
