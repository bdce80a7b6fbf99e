"""The issuer's orders: what each does, every failure's word, and what the next cryptogram tells of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shanfu.card import Card, CardKeys, personalise
from shanfu.card.live import LiveData
from shanfu.crypto import CardAlgorithm
from shanfu.emv import FCI, commands, parse_record
from shanfu.iso7816 import CommandAPDU, StatusWord, tlv
from shanfu.store import DictMemory
from tests.card.bench import CONTACT, CONTACTLESS, DEBIT, FailingMemory, PowerCut, ask, chip, tap
from tests.card.slot import AAC, ARQC, TC, Bank, Slot, insert

USED = replace(DEBIT, last_online_atc=1, lower_limit=99, total_limit_minor=10**8, offline_pin="1234", balance_minor=500)
SM4 = replace(USED, algorithm=CardAlgorithm.SM4)
VECTORS = [
    case
    for case in json.loads((Path(__file__).parent.parent / "vectors" / "emv_crypto_pboc.json").read_text())["cases"]
    if case["kind"] in {"script_mac", "script_pin_change"}
]


def online(profile: object = USED, **changes: object) -> tuple[DictMemory, Slot, Bank]:
    """A card whose issuer has been asked and has proved itself."""
    made = replace(profile, **changes)  # type: ignore[type-var]
    memory = chip(made)
    plastic = Card(memory)
    plastic.power_on(CONTACT)
    slot = insert(plastic, made)
    slot.generate(ARQC)
    bank = Bank(slot)
    assert bank.answers().ok
    return memory, slot, bank


def put(tag: int, value: str) -> Callable[[Bank], CommandAPDU]:
    return lambda bank: bank.order(commands.put_data(tag, bytes.fromhex(value), b""))


def bare(builder: Callable[[bytes], CommandAPDU]) -> Callable[[Bank], CommandAPDU]:
    return lambda bank: bank.order(builder(b""))


NEW_RECORD = bytes(tlv(0x70, tlv(0x9F74, b"ECC999")))

Order = Callable[[Bank], CommandAPDU]
ORDERS: dict[str, tuple[Order, Callable[[LiveData], object], object, object]] = {
    # name: the order; what to look at; before; after
    "balance":   (put(0x9F79, "000000012345"), lambda live: live.balance, bytes.fromhex("000000000500"),
                  bytes.fromhex("000000012345")),
    "limit":     (put(0x9F78, "000000009999"), lambda live: live.value(0x9F78), None, bytes.fromhex("000000009999")),
    "counter":   (put(0x9F58, "07"), lambda live: live.value(0x9F58), None, b"\x07"),
    "pin":       (lambda bank: bank.new_pin("654321"), lambda live: live.pin_block, bytes.fromhex("241234FFFFFFFFFF"),
                  bytes.fromhex("26654321FFFFFFFF")),
    "unblock":   (bare(commands.unblock_pin), lambda live: live.pin_tries, 0, 3),
    "block":     (bare(commands.application_block), lambda live: live.blocked, False, True),
    "record":    (lambda bank: bank.order(commands.update_record(4, 1, NEW_RECORD, b"")),
                  lambda live: live.groupings()[0x0401][-3:], b"001", b"999"),
}  # fmt: skip


@pytest.mark.parametrize("profile", [USED, SM4], ids=["3des", "sm4"])
@pytest.mark.parametrize("moment", [0x71, 0x72])
@pytest.mark.parametrize("name", ORDERS)
def test_an_order_is_carried_out(name: str, moment: int, profile: object) -> None:
    order, look, before, after = ORDERS[name]
    memory, slot, bank = online(profile, pin_tries=0 if name == "unblock" else 3)
    live = LiveData(memory, USED.aid)
    if moment == 0x72:
        slot.generate(TC)
    assert look(live) == before
    assert slot.ask(order(bank)).ok
    assert look(live) == after


def test_a_new_record_is_read_at_once_and_afterwards() -> None:
    memory, slot, bank = online()
    assert slot.ask(ORDERS["record"][0](bank)).ok
    again = Card(memory)
    again.power_on(CONTACTLESS)
    tap(again, USED)
    for card in (slot.card, again):
        assert parse_record(ask(card, commands.read_record(4, 1)).data).value(0x9F74) == b"ECC999"


@pytest.mark.parametrize(("command", "sw"), [
    # the order's bytes without MAC; {mac} is the right one, or what stands there instead
    ("04DA9F790A000000001000 bad",       "6988"),
    ("04DA9F7903000000",                 "6987"),  # too short to hold a MAC
    ("04DA9F7906000000001000",           "6700"),  # the MAC is not there, and what is there is short
    ("04DA9F7909 0000000010 mac",        "6700"),
    ("04DA9F790A00000000100A mac",       "6A80"),  # no digits
    ("04DA9F790A000000999999 mac",       "6A80"),  # over the balance's limit 9F77
    ("04DA9F360700010000 mac",           "6A88"),  # no order sets the counter
    ("04DA5F340500 mac",                 "6A88"),
    ("04DA9F720500 mac",                 "6A88"),  # this card has no such limit
    ("04DC010C0A7004AABBCCDD mac",       "6A80"),  # no record that a card could pay with
    ("04DC055C0A70049F740100 mac",       "6981"),  # the log is the card's own
    ("04DC09240A70049F740100 mac",       "6A83"),
    ("04DC01340A70049F740100 mac",       "6A82"),
    ("04DC01250A70049F740100 mac",       "6A86"),
    ("8424000304 mac",                   "6A86"),
    ("8424000104 mac",                   "6A86"),  # change with the old PIN is not done
    ("842400020C0011223344556677 mac",   "6700"),
    ("8424000214" + "00" * 16 + " mac",  "6A80"),  # no PIN in there
    ("841E010004 mac",                   "6A86"),
    ("841E000008AABBCCDD mac",           "6700"),
    ("8416000004 bad",                   "6988"),
    ("8418000004 bad",                   "6988"),
    ("0416000004 mac",                   "6E00"),
    ("8499000004 mac",                   "6D00"),
])  # fmt: skip
def test_every_failure_has_its_word(command: str, sw: str) -> None:
    memory, slot, bank = online()
    before = {name: memory.read(name) for name in memory.names() if not name.endswith("standing")}
    body, _, mac = command.replace(" mac", "|mac").replace(" bad", "|bad").replace(" ", "").partition("|")
    header, data = bytes.fromhex(body)[:5], bytes.fromhex(body)[5:]
    made = CommandAPDU(cla=header[0], ins=header[1], p1=header[2], p2=header[3], data=data)
    sent = bank.order(made) if mac else made
    raw = bytes(sent)[:-1] + bytes((bytes(sent)[-1] ^ (mac == "bad"),))
    assert f"{int.from_bytes(slot.card.answer(raw)):04X}" == sw
    assert {name: memory.read(name) for name in memory.names() if not name.endswith("standing")} == before
    known = sw not in {"6E00", "6D00"}
    assert slot.ask(put(0x9F58, "07")(bank)).sw == (0x6982 if known else 0x9000), "after one refusal the rest is refused"


@pytest.mark.parametrize(("proof", "sw"), [("right", 0x9000), ("none", 0x9000), ("wrong", 0x6985)])
def test_an_issuer_that_failed_commands_nothing(proof: str, sw: int) -> None:
    memory = chip(USED)
    plastic = Card(memory)
    plastic.power_on(CONTACT)
    slot = insert(plastic, USED)
    slot.generate(ARQC)
    bank = Bank(slot)
    if proof != "none":
        slot.ask(commands.external_authenticate(bank.proof() if proof == "right" else bytes(8) + b"00"))
    assert slot.ask(put(0x9F58, "07")(bank)).sw == sw


def test_yesterdays_order_is_worth_nothing() -> None:
    _, slot, bank = online()
    order = put(0x9F58, "07")(bank)
    assert slot.ask(order).ok
    slot.generate(TC)
    again = insert(slot.card, USED)
    again.generate(ARQC)
    assert Bank(again).answers().ok
    assert again.ask(order).sw == StatusWord.MAC_WRONG


@pytest.mark.parametrize(("orders", "second", "next_one"), [
    ([],                      "03600000", "03a00000"),
    (["counter"],             "03600010", "03a00010"),
    (["counter", "limit"],    "03600020", "03a00020"),
    (["counter", "bad"],      "03600010", "03a00018"),
])  # fmt: skip
def test_the_issuer_is_told_how_many_were_carried_out(orders: list[str], second: str, next_one: str) -> None:
    _, slot, bank = online()
    for name in orders:
        slot.ask("8416000004AABBCCDD" if name == "bad" else ORDERS[name][0](bank))
    slot.generate(TC)
    assert slot.iad.cvr.hex() == second
    again = insert(slot.card, USED)
    again.generate(ARQC)
    assert again.iad.cvr.hex() == next_one
    assert Bank(again).answers().ok
    again.generate(TC)
    third = insert(slot.card, USED)
    third.generate(ARQC)
    assert third.iad.cvr.hex() == "03a00000", "told once"


def test_the_new_pin_counts() -> None:
    _, slot, bank = online()
    assert slot.ask(bank.new_pin("654321")).ok
    again = insert(slot.card, USED)
    assert again.ask("0020008008241234FFFFFFFFFF").sw == 0x63C2
    assert again.ask("002000800826654321FFFFFFFF").ok


def test_a_blocked_application_declines_and_is_told_at_selection() -> None:
    memory, slot, bank = online()
    assert slot.ask(bare(commands.application_block)(bank)).ok
    slot.generate(TC)
    assert slot.kind == "AAC"
    for face in (CONTACT, CONTACTLESS):
        slot.card.power_on(face)
        selected = ask(slot.card, commands.select(USED.aid))
        assert (selected.sw, FCI.parse(selected.data).df_name) == (0x6283, USED.aid)
        assert ask(slot.card, commands.get_processing_options(bytes(9))).sw == 0x6985
    assert LiveData(memory, USED.aid).blocked


def test_unblocking_in_the_same_transaction() -> None:
    memory, slot, bank = online()
    assert slot.ask(bare(commands.application_block)(bank)).ok
    assert slot.ask(bare(commands.application_unblock)(bank)).ok
    slot.generate(TC)
    assert (slot.kind, slot.iad.cvr.hex()) == ("TC", "03600020")
    assert not LiveData(memory, USED.aid).blocked


@pytest.mark.parametrize(("damage", "words"), [(0, [0x9000, 0x6985]), (1, [0x6988, 0x6985])])
def test_unblocking_at_the_banks_counter(damage: int, words: list[int]) -> None:
    """A blocked application begins no transaction: the order is bound to its last ARQC, once."""
    memory, slot, bank = online()
    order = bare(commands.application_unblock)(bank)
    assert slot.ask(bare(commands.application_block)(bank)).ok
    slot.generate(AAC, T8A="3035")
    plastic = Card(memory)
    plastic.power_on(CONTACT)
    assert ask(plastic, commands.select(USED.aid)).sw == 0x6283
    sent = bytes(order)[:-1] + bytes((bytes(order)[-1] ^ damage,))
    assert [int.from_bytes(plastic.answer(sent)) for _ in range(2)] == words
    assert ask(plastic, commands.select(USED.aid)).sw == (0x6283 if damage else 0x9000)


def test_a_blocked_card_selects_nothing() -> None:
    memory, slot, bank = online()
    assert slot.ask(bare(commands.card_block)(bank)).ok
    assert slot.generate(TC).ok, "the transaction may still end"
    plastic = Card(memory)
    for face, directory in ((CONTACT, commands.select_pse()), (CONTACTLESS, commands.select_ppse())):
        plastic.power_on(face)
        for command in (directory, commands.select(USED.aid)):
            assert ask(plastic, command).sw == StatusWord.FUNCTION_NOT_SUPPORTED


@pytest.mark.parametrize("after", [False, True])
def test_an_order_is_done_and_counted_or_neither(after: bool) -> None:
    memory = chip(USED)
    plastic = Card(FailingMemory(memory, at=3, after=after, fault=PowerCut()))  # after the number and the ARQC
    plastic.power_on(CONTACT)
    slot = insert(plastic, USED)
    slot.generate(ARQC)
    with pytest.raises(PowerCut):
        slot.ask(put(0x9F79, "000000001000")(Bank(slot)))
    live = LiveData(memory, USED.aid)
    assert (live.balance == bytes.fromhex("000000001000"), live.standing.scripts) == (after, int(after))


@pytest.mark.parametrize("case", VECTORS, ids=[case["id"] for case in VECTORS])
def test_the_published_orders(case: dict[str, str]) -> None:
    """The card of the vectors, brought to their ATC and their ARQC, takes their bytes."""
    keys = CardKeys(ac=bytes.fromhex("11223344006677881122334455007788"), mac=bytes.fromhex("8B4F854F0831FBF2635A212E4DDDB92A"),
                    enc=bytes.fromhex("11220044556677881122330055667788"))  # fmt: skip
    memory = DictMemory()
    personalise(USED, keys, memory)
    atc = int(case["atc"], 16)
    memory.write({"A000000333010101/live/9F36": (atc - 1).to_bytes(2)})
    plastic = Card(memory)
    plastic.power_on(CONTACT)
    slot = insert(plastic, USED)
    slot.generate(ARQC)
    application = plastic._applications[0]
    application._chip.session.cryptogram = bytes.fromhex(case["arqc"])
    assert slot.ask(case["apdu"]).ok
