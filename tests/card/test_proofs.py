"""The card proves itself: DDA, CDA, enciphered PIN; the PIN's tries; under RSA and SM2."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from shanfu.card import LABORATORY_IMAGE, Card, CardKeys, CardProfile, laboratory_card, personalise
from shanfu.card.live import LiveData
from shanfu.crypto import PIN, RSAPrivateKey, RSAPublicKey, x98_field
from shanfu.emv import ADA, CVR, UNIONPAY_RID, CVMList, commands, pin_data
from shanfu.errors import ConfigError, StoreGone
from shanfu.iso7816 import StatusWord, tries_left
from shanfu.oda import CAKey, CAKeys, authenticate_combined, authenticate_dynamic, icc_key_groupings, recover_chain
from shanfu.store import DictMemory
from tests.card.authority import TODAY, certified, keys, recovered, shown
from tests.card.bench import CONTACT, DEBIT, FailingMemory, PowerCut, ask, card, chip
from tests.card.slot import AAC, ARQC, TC, Bank, insert

KINDS = ["1024", "1152", "sm2"]
PUBLISHED = json.loads((Path(__file__).parent.parent / "vectors" / "emv_capk_unionpay.json").read_text())["cases"]
USED = replace(DEBIT, last_online_atc=1, lower_limit=99, total_limit_minor=10**8, offline_pin="1234")
UN = bytes.fromhex("A0A1A2A3")


# -- dynamic authentication ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_dda(kind: str) -> None:
    profile = certified(kind, USED)
    slot = insert(card(profile, interface=CONTACT), profile)
    assert slot.shown[0x82].hex() == "3d00", "DDA, verification, risk, issuer authentication, CDA"
    answer = slot.ask(commands.internal_authenticate(UN))
    chain = recovered(kind, slot)
    assert authenticate_dynamic(chain, answer.data, terminal_data=UN).ok
    assert not authenticate_dynamic(chain, answer.data, terminal_data=bytes(4)).ok
    assert slot.ask(commands.internal_authenticate(UN[:3])).sw == StatusWord.WRONG_LENGTH
    assert slot.ask("008801000401020304").sw == StatusWord.WRONG_P1P2


@pytest.mark.parametrize("kind", KINDS)
def test_cda_first_and_second(kind: str) -> None:
    profile = certified(kind, USED)
    slot = insert(card(profile, interface=CONTACT), profile)
    for asked in (ARQC, TC):
        answer = slot.generate(asked, cda=True)
        assert answer.data[0] == 0x77
        proof = authenticate_combined(recovered(kind, slot), answer.data, sent=slot.sent, unpredictable_number=UN)
        assert proof.ok, proof
        assert slot.shown.get(0x9F26) == b"", "the cryptogram travels inside the signature"
        slot.shown[0x9F26] = proof.proved[0x9F26]
        if asked is ARQC:
            bank = Bank(slot)
            assert bank.answers().ok
        bank.verify()
    assert slot.kind == "TC"


def test_a_decline_is_not_signed() -> None:
    profile = certified("1024", USED)
    slot = insert(card(profile, interface=CONTACT), profile)
    assert slot.generate(AAC, cda=True).data[0] == 0x80


def test_the_laboratory_card_proves_itself() -> None:
    """With its published key and certificates, to who has laboratory key 80."""
    profile, memory = laboratory_card(), DictMemory()
    personalise(profile, CardKeys.parse(LABORATORY_IMAGE[0x8000]), memory)
    made = Card(memory)
    made.power_on(CONTACT)
    slot = insert(made, profile)
    found = next(case for case in PUBLISHED if case["kind"] == "capk_rsa" and case["index"] == "80")
    key = RSAPublicKey(bytes.fromhex(found["modulus"]), bytes.fromhex(found["exponent"]))
    keyring = CAKeys([CAKey(rid=UNIONPAY_RID, index=0x80, key=key, test=True)], allow_test=True)
    answer = slot.ask(commands.internal_authenticate(UN))
    assert authenticate_dynamic(recover_chain(shown(slot), keyring, today=TODAY), answer.data, terminal_data=UN).ok


@pytest.mark.parametrize(("groupings", "words"), [
    ({0x8205: bytes(64)}, "DGI 82xx"),
    ({0x8205: None}, "8205 is missing"),
])  # fmt: skip
def test_a_damaged_key_is_named(groupings: dict[int, bytes | None], words: str) -> None:
    profile = certified("1024")
    broken = {dgi: data for dgi, data in {**(profile.oda or {}), **groupings}.items() if data is not None}
    with pytest.raises(ConfigError, match=words):
        chip(replace(profile, oda=broken))


def test_a_key_too_long_for_cda_is_not_made() -> None:
    profile = certified("1024")
    longer = icc_key_groupings(RSAPrivateKey.generate(1664))
    with pytest.raises(ConfigError, match="CDA takes keys of at most 205 bytes"):
        chip(replace(profile, oda={**(profile.oda or {}), **longer}))


# -- the PIN ---------------------------------------------------------------------------------------------------------------

RIGHT, WRONG = x98_field(PIN("1234"), 8, control="2"), x98_field(PIN("4321"), 8, control="2")


@pytest.mark.parametrize(("blocks", "words"), [
    ([RIGHT],                             ["9000"]),
    ([WRONG, WRONG, RIGHT],               ["63C2", "63C1", "9000"]),
    ([WRONG, RIGHT, WRONG],               ["63C2", "9000", "63C2"]),
    ([WRONG, WRONG, WRONG, RIGHT],        ["63C2", "63C1", "63C0", "6983"]),
    ([RIGHT[:7]],                         ["6700"]),
    ([b"\x04" + RIGHT[1:]],               ["6A80"]),  # another format
    ([bytes.fromhex("23123FFFFFFFFFFF")], ["6A80"]),  # three digits
    ([bytes.fromhex("24123AFFFFFFFFFF")], ["6A80"]),
    ([bytes.fromhex("241234FFFFFFFFF0")], ["6A80"]),
])  # fmt: skip
def test_plain(blocks: list[bytes], words: list[str]) -> None:
    slot = insert(card(USED, interface=CONTACT), USED)
    assert [f"{slot.ask(commands.verify_pin(block)).sw:04X}" for block in blocks] == words


@pytest.mark.parametrize(("blocks", "change", "cvr"), [
    ([RIGHT],               {}, "03940000"),
    ([WRONG, RIGHT],        {}, "03940000"),
    ([WRONG],               {}, "03960000"),
    ([WRONG, WRONG, WRONG], {}, "03a64000"),
    ([WRONG, WRONG, WRONG], {"ada": ADA.PIN_LOCKED_BLOCK}, "03864200"),
])  # fmt: skip
def test_what_the_issuer_hears_of_it(blocks: list[bytes], change: dict[str, object], cvr: str) -> None:
    profile = replace(USED, **change)
    slot = insert(card(profile, interface=CONTACT), profile)
    for block in blocks:
        slot.ask(commands.verify_pin(block))
    slot.generate(TC)
    assert slot.iad.cvr.hex() == cvr


def test_too_many_wrong_ones_block_the_application_if_its_issuer_wants_so() -> None:
    profile = replace(USED, ada=ADA.PIN_LOCKED_BLOCK)
    made = card(profile, interface=CONTACT)
    slot = insert(made, profile)
    for _ in range(3):
        slot.ask(commands.verify_pin(WRONG))
    assert ask(made, commands.select(profile.aid)).sw == StatusWord.BLOCKED_FILE


@pytest.mark.parametrize("kind", KINDS)
def test_enciphered(kind: str) -> None:
    profile = certified(kind, USED)
    slot = insert(card(profile, interface=CONTACT), profile)
    key = recovered(kind, slot).key
    assert key is not None

    def sealed(block: bytes, challenge: bytes) -> bytes:
        if kind == "sm2":
            return key.encrypt(pin_data(block, challenge))  # type: ignore[union-attr]
        filled = pin_data(block, challenge, os.urandom(key.size - 17))  # type: ignore[union-attr]
        return key.recover(filled)  # type: ignore[union-attr]  # the public operation

    def challenge() -> bytes:
        return slot.ask(commands.get_challenge()).data

    def verify(data: bytes) -> str:
        return f"{slot.ask(commands.verify_pin(data, enciphered=True)).sw:04X}"

    first = challenge()
    right = sealed(RIGHT, first)
    assert verify(right) == "9000"
    assert verify(right) == "6985", "a challenge is good for one command"
    second = challenge()
    assert (second == first, verify(right)) == (False, "63C2"), "yesterday's exchange costs a try"
    assert verify(sealed(WRONG, challenge())) == "63C1"
    third = challenge()
    slot.ask(commands.get_data(0x9F17))
    assert verify(sealed(RIGHT, third)) == "6985", "and for the very next one"
    challenge()
    assert verify(bytes(len(right))) == "63C0", "what is no PIN costs a try too"
    challenge()
    assert verify(right[:-1]) == "6983"


@pytest.mark.parametrize(("profile", "command", "sw"), [
    (USED, "0020018008241234FFFFFFFFFF", "6A86"),
    (USED, "0020008108241234FFFFFFFFFF", "6A86"),
    (USED, "0020008808241234FFFFFFFFFF", "6A86"),  # no key to decipher with
    (replace(USED, offline_pin=None), "0020008008241234FFFFFFFFFF", "6984"),
    (replace(USED, pin_tries=0), "0020008008241234FFFFFFFFFF", "6983"),
])  # fmt: skip
def test_misuse_of_verify(profile: CardProfile, command: str, sw: str) -> None:
    assert f"{insert(card(profile, interface=CONTACT), profile).ask(command).sw:04X}" == sw


def test_a_pin_block_of_the_wrong_length_for_the_key() -> None:
    profile = certified("1024", USED)
    slot = insert(card(profile, interface=CONTACT), profile)
    slot.ask(commands.get_challenge())
    assert slot.ask(commands.verify_pin(bytes(127), enciphered=True)).sw == StatusWord.WRONG_LENGTH


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [2, 3])
def test_pulling_the_card_wins_no_guess(at: int, after: bool) -> None:
    """Writes: 1 the transaction number, 2 the try, 3 (right PIN only) the tries given back."""
    memory = chip(USED)
    made = Card(FailingMemory(memory, at=at, after=after, fault=PowerCut()))
    made.power_on(CONTACT)
    slot = insert(made, USED)
    with pytest.raises(PowerCut):
        slot.ask(commands.verify_pin(RIGHT))
    assert LiveData(memory, USED.aid).pin_tries == (3 if (at, after) in {(2, False), (3, True)} else 2)


def test_a_failing_memory_compares_nothing() -> None:
    memory = chip(USED)
    made = Card(FailingMemory(memory, at=2, after=False, fault=StoreGone("disk full")))
    made.power_on(CONTACT)
    assert insert(made, USED).ask(commands.verify_pin(RIGHT)).sw == StatusWord.MEMORY_FAILURE


def test_the_card_says_how_it_verifies() -> None:
    for profile, methods in ((USED, [1, 2, 30, 31]), (certified("1024", USED), [4, 1, 2, 30, 31]), (DEBIT, [2, 30, 31])):
        slot = insert(card(profile, interface=CONTACT), profile)
        assert [rule.method for rule in CVMList.parse(slot.shown[0x8E]).rules] == methods
    assert tries_left(slot.ask(commands.verify_pin(RIGHT)).sw) is None
    assert CVR.OFFLINE_PIN_DONE not in CVR.parse(bytes.fromhex("03800000"))
    assert keys("1024")[2].public.size == 128
