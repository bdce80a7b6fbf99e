"""The contact flow: directory, both cryptograms as an issuer verifies them, what the card decides, the published traces."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.card import (
    LABORATORY_IMAGE,
    PROFILES,
    Card,
    CardKeys,
    CardProfile,
    PBOCVersion,
    Product,
    debit_2_0,
    debit_3_0,
    from_dgis,
    laboratory_card,
    personalise,
    read_image,
)
from shanfu.card.live import LiveData, Standing
from shanfu.crypto import CardAlgorithm, SessionKey
from shanfu.emv import ADA, CVR, FCI, PSE, commands, cryptogram_input, parse_afl, parse_directory_record, parse_dol
from shanfu.errors import IntegrityError
from shanfu.iso7816 import StatusWord
from shanfu.store import DictMemory
from tests.budget import examples
from tests.card.authority import certified
from tests.card.bench import CONTACT, CONTACTLESS, DEBIT, NUMBER, ask, card, chip, keys_for
from tests.card.slot import AAC, ARQC, TC, Bank, insert

USED = replace(DEBIT, last_online_atc=1, lower_limit=5, upper_limit=9, abroad_limit=1, total_limit_minor=5_000)
TRACES = {
    case["id"]: case
    for case in json.loads((Path(__file__).parent.parent / "vectors" / "emv_traces_unionpay.json").read_text())["cases"]
}


# -- the way in ------------------------------------------------------------------------------------------------------------


def test_the_directory_lists_what_the_contacts_reach() -> None:
    memory = chip()
    for aid, faces in (("A000000333010106", {CONTACT, CONTACTLESS}), ("A000000333010103", {CONTACTLESS})):
        second = replace(DEBIT, aid=bytes.fromhex(aid), interfaces=frozenset(faces))
        personalise(second, keys_for(second), memory)
    made = Card(memory)
    made.power_on(CONTACT)
    assert FCI.parse(ask(made, commands.select_pse()).data).directory_sfi == 1
    found = [parse_directory_record(ask(made, commands.read_record(1, number)).data)[0] for number in (1, 2)]
    shown = [(one.aid[-1], one.label, one.preferred_name) for one in found]
    assert shown == [(1, b"PBOC DEBIT", b"PBOC DEBIT"), (6, b"PBOC DEBIT", b"PBOC DEBIT")]


@pytest.mark.parametrize(("command", "sw"), [
    ("00B2030C00", "6A83"),
    ("00B2000C00", "6A83"),
    ("00B2011400", "6A82"),
    ("00B2010D00", "6A86"),
    ("00B2010C01AA00", "6700"),
    ("80A8000002830000", "6985"),
    ("00A404020E315041592E5359532E444446303100", "6A82"),  # there is one directory
])  # fmt: skip
def test_misuse_of_the_directory(command: str, sw: str) -> None:
    made = card(interface=CONTACT)
    assert ask(made, commands.select(PSE)).ok
    assert f"{ask(made, command).sw:04X}" == sw


def published(contact: str, *, options: str = "") -> Card:
    """A card whose contact side is that of a published trace."""
    image = read_image(chip(DEBIT), DEBIT.aid) | {0x9102: bytes.fromhex(contact)}
    if options:
        aip, afl = bytes.fromhex(options)[:2], bytes.fromhex(options)[2:]
        image |= {0x9104: b"\x82\x02" + aip + b"\x94" + bytes((len(afl),)) + afl}
    profile = from_dgis(image, product=Product.DEBIT, version=PBOCVersion.V2)
    memory = DictMemory()
    personalise(profile, CardKeys.parse(image[0x8000]), memory)
    made = Card(memory, directory_sfi=10)
    made.power_on(CONTACT)
    return made


TRACED_FCI = TRACES["trace-002"]["exchanges"][1]["r"][:-4]
NAMED_FCI = bytes(replace(FCI.parse(bytes.fromhex(TRACED_FCI)), preferred_name=b"PBOC DEBIT")).hex()


def test_the_published_directory() -> None:
    """Traces 2 and 4: selection and directory; T=0's 61xx and 6Cxx are the transport's."""
    made = published(NAMED_FCI)
    selected, record = TRACES["trace-004"]["exchanges"][1], TRACES["trace-002"]["exchanges"][0]
    assert made.answer(bytes.fromhex("00A404000E315041592E5359532E4444463031")).hex().upper() == selected["r"]
    assert made.answer(bytes.fromhex(record["c"])).hex().upper() == record["r"]
    assert made.answer(bytes.fromhex("00B20154" + "10"))[-2:].hex().upper() == "6C2A", "ask again with this Le, as in trace 4"
    exchange = TRACES["trace-002"]["exchanges"][1]
    assert published(TRACED_FCI).answer(bytes.fromhex(exchange["c"])).hex().upper() == exchange["r"]


def test_the_published_answer_to_gpo() -> None:
    (exchange,) = TRACES["trace-003"]["exchanges"]
    without_pdol = bytes(replace(FCI.parse(bytes.fromhex(TRACED_FCI)), pdol=None)).hex()
    made = published(without_pdol, options=exchange["r"][4:-4])
    ask(made, commands.select(DEBIT.aid))
    assert made.answer(bytes.fromhex(exchange["c"])).hex().upper() == exchange["r"]


# -- two cryptograms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", CardAlgorithm)
@pytest.mark.parametrize("name", PROFILES)
def test_a_payment_that_the_issuer_approves(name: str, algorithm: CardAlgorithm) -> None:
    profile = replace(PROFILES[name](NUMBER, "LIN/YUE"), algorithm=algorithm)
    memory = chip(profile)
    made = Card(memory)
    made.power_on(CONTACT)
    slot = insert(made, profile)
    assert slot.generate(ARQC).data[0] == 0x80
    assert (slot.kind, slot.iad.cvr.hex()) == ("ARQC", "03a03000"), "a new card, whose every payment asks the issuer"
    bank = Bank(slot)
    bank.verify()
    assert bank.answers().ok
    assert slot.generate(TC).ok
    assert (slot.kind, slot.iad.cvr.hex()) == ("TC", "03603000")
    bank.verify()
    live = LiveData(memory, profile.aid)
    assert (live.last_online_atc, live.standing.flags) == (1, 0), "no new card any more"
    second = insert(made, profile)
    second.generate(ARQC)
    assert second.iad.cvr.hex() == "03a02000"


def test_a_changed_amount_is_found_out() -> None:
    made = card(interface=CONTACT)
    slot = insert(made, DEBIT)
    slot.generate(ARQC)
    slot.said[0x9F02] = bytes.fromhex("000000001235")
    with pytest.raises(IntegrityError):
        Bank(slot).verify()


@pytest.mark.parametrize(("asked", "change", "said", "answer"), [
    # the terminal asks; the card grants that or less
    (AAC,  {},                              {},                          "AAC 03800000"),
    (ARQC, {},                              {},                          "ARQC 03a00000"),
    (TC,   {},                              {},                          "TC 03900000"),
    (TC,   {"last_online_atc": 0},          {},                          "ARQC 03a01000"),
    (TC,   {"last_online_atc": 0, "ada": ADA(0)}, {},                    "TC 03901000"),
    (TC,   {"last_online_atc": 0, "lower_limit": 4}, {},                 "ARQC 03a03000"),  # new, and the fifth in a row
    (TC,   {"lower_limit": 3},              {},                          "ARQC 03a02000"),
    (TC,   {"total_limit_minor": 1_233},    {},                          "ARQC 03a02000"),
    (TC,   {"total_limit_minor": 1_234},    {},                          "TC 03900000"),
    (TC,   {},                              {"T5F2A": "0344"},           "TC 03900000"),
    (TC,   {"abroad_limit": 0},             {"T5F2A": "0344"},           "ARQC 03a02000"),
    (TC,   {"pin_tries": 0},                {},                          "ARQC 03a04000"),
    (TC,   {"pin_tries": 0, "ada": ADA.PIN_LOCKED_DECLINE}, {},          "AAC 03804000"),
    (TC,   {"pin_tries": 0, "ada": ADA(0)}, {},                          "TC 03904000"),
    (TC,   {},                              {"T9F02": "0000000000AA"},   "ARQC 03a02000"),  # no amount at all
])  # fmt: skip
def test_the_first_answer(asked: object, change: dict[str, object], said: dict[str, str], answer: str) -> None:
    profile = replace(USED, **change)
    memory = chip(profile)
    memory.write({"A000000333010101/live/9F36": b"\x00\x04"})
    made = Card(memory)
    made.power_on(CONTACT)
    slot = insert(made, profile, **said)
    slot.generate(asked)
    assert f"{slot.kind} {slot.iad.cvr.hex()}" == answer
    Bank(slot).verify()


@pytest.mark.parametrize(("change", "proof", "arc", "asked", "answer"), [
    ({},                               "right",  "3030", TC,  "TC 03600000"),
    ({},                               "right",  "3035", AAC, "AAC 03200000"),
    ({},                               "right",  "3030", AAC, "AAC 03200000"),
    ({},                               "wrong",  "3030", TC,  "AAC 03280000"),
    ({"ada": ADA(0)},                  "wrong",  "3030", TC,  "TC 03680000"),
    ({},                               "none",   "3030", TC,  "TC 03600400"),
    ({"ada": ADA.NO_ISSUER_AUTH_DECLINE}, "none", "3030", TC, "AAC 03200400"),
    ({"issuer_proof_demanded": False}, "none",   "3030", TC,  "TC 03600000"),
    ({},                               "none",   "5933", TC,  "TC 03610000"),  # Y3: the line is dead
    ({},                               "none",   "5A33", AAC, "AAC 03210000"),
    ({"last_online_atc": 0, "upper_limit": 0, "ada": ADA(0)}, "none", "5933", TC, "AAC 03213000"),
    ({"last_online_atc": 0, "upper_limit": 99, "ada": ADA.NEW_CARD_DECLINE_OFFLINE}, "none", "5933", TC, "AAC 03211000"),
    ({},                               "right",  "3030", ARQC, "AAC 03200000"),  # a second ARQC is not to be had
])  # fmt: skip
def test_the_second_answer(change: dict[str, object], proof: str, arc: str, asked: object, answer: str) -> None:
    profile = replace(USED, **change)
    slot = insert(card(profile, interface=CONTACT), profile)
    slot.generate(ARQC)
    bank = Bank(slot)
    if proof == "right":
        assert bank.answers(bytes.fromhex(arc)).ok
    elif proof == "wrong":
        assert slot.ask(commands.external_authenticate(bytes(8) + b"00")).sw == StatusWord.STATE_CHANGED
    assert slot.generate(asked, T8A=arc).ok
    assert f"{slot.kind} {slot.iad.cvr.hex()}" == answer
    bank.verify()


def test_what_one_transaction_leaves_to_the_next() -> None:
    """CVR byte 3 of the next first cryptogram, after each way in which a transaction can end."""
    told = {}
    for ending in ("pulled", "wrong proof", "no proof", "no line", "proved"):
        made = card(USED, interface=CONTACT)
        slot = insert(made, USED)
        slot.generate(ARQC)
        if ending == "wrong proof":
            slot.ask(commands.external_authenticate(bytes(8) + b"00"))
        if ending == "proved":
            Bank(slot).answers()
        if ending != "pulled":
            slot.generate(TC, T8A="5933" if ending == "no line" else "3030")
        again = insert(made, USED)
        again.generate(TC)
        told[ending] = (again.kind, again.iad.cvr.hex())
    assert told == {
        "pulled": ("ARQC", "03a08000"), "wrong proof": ("ARQC", "03a00800"), "no proof": ("ARQC", "03a00400"),
        "no line": ("TC", "03900000"), "proved": ("TC", "03900000"),
    }  # fmt: skip


def test_offline_payments_are_counted_until_the_issuer_answers() -> None:
    memory = chip(USED)
    made, live = Card(memory), LiveData(memory, USED.aid)
    made.power_on(CONTACT)
    kinds = []
    for _ in range(5):
        slot = insert(made, USED)
        slot.generate(TC)
        kinds.append(slot.kind)
    assert kinds == ["TC", "TC", "TC", "TC", "ARQC"], "four times 12.34 yuan fit into 50"
    assert live.standing.offline_minor == 4 * 1_234
    Bank(slot).answers()
    slot.generate(TC)
    assert (live.standing.offline_minor, live.standing.flags, live.last_online_atc) == (0, 0, 5)


def test_a_failed_authentication_is_told_next_time() -> None:
    made = card(USED, interface=CONTACT)
    insert(made, USED, T95="4C00000000").generate(AAC)  # SDA, DDA and CDA failed
    slot = insert(made, USED)
    slot.generate(ARQC)
    assert slot.iad.cvr.hex() == "03a00104"


@pytest.mark.parametrize(("step", "command", "sw"), [
    ("gpo",    "80AEC0001D",             "6A86"),
    ("gpo",    "80AE80011D",             "6A86"),
    ("gpo",    "80AE81001D",             "6A86"),
    ("gpo",    "80AE90001D",             "6A86"),  # CDA, of a card that has no key
    ("gpo",    "80AE80001C",             "6700"),
    ("gpo",    "80AE80001E",             "6700"),
    ("gpo",    "80AE80001D le",          "6700"),  # an answer of 16 bytes: asked before anything is signed
    ("gpo",    "008800000401020304",     "6985"),
    ("gpo",    "008200000A" + "00" * 10, "6985"),  # nobody was asked
    ("gpo",    "841E000004AABBCCDD",     "6985"),
    ("gpo",    "80A8000002830000",       "6985"),
    ("gpo",    "0084000000",             "9000"),
    ("gpo",    "0084010000",             "6A86"),
    ("gpo",    "00840000010000",         "6700"),
    ("arqc",   "008200000900" + "00" * 8, "6700"),
    ("arqc",   "008201000A" + "00" * 10, "6A86"),
    ("arqc",   "008200000A" + "00" * 10, "6300"),
    ("arqc 6300", "008200000A" + "00" * 10, "6985"),  # one attempt
    ("arqc",   "0020008008241234FFFFFFFFFF", "6985"),  # the PIN's time is over
    ("arqc",   "008800000401020304",     "6985"),
    ("tc",     "80AE40001D",             "6985"),
    ("tc",     "841E000004AABBCCDD",     "6985"),  # no ARQC, no issuer
    ("arqc tc2", "80AE40001F",           "6985"),  # a third cryptogram
    ("arqc tc2", "008200000A" + "00" * 10, "6985"),
])  # fmt: skip
def test_misuse(step: str, command: str, sw: str) -> None:
    slot = insert(card(USED, interface=CONTACT), USED)
    for one in step.split():
        if one in ("arqc", "tc"):
            assert slot.generate(ARQC if one == "arqc" else TC).ok
        elif one == "tc2":
            assert slot.generate(TC).ok
        elif one == "6300":
            assert slot.ask("008200000A" + "00" * 10).sw == 0x6300
    if command.startswith("80AE"):
        head, _, le = command.partition(" ")
        command = head + "00" * int(head[8:], 16) + ("10" if le else "00")
    assert f"{slot.ask(command).sw:04X}" == sw


def test_full_pboc_over_the_antenna() -> None:
    """The same application, when both sides prefer it (JR/T 0025.12); its PIN stays in the slot."""
    profile = replace(USED, offline_pin="1234")
    made = card(profile)
    slot = insert(made, profile, T9F66="46000000")
    assert slot.ask("0020008008241234FFFFFFFFFF").sw == StatusWord.CONDITIONS_NOT_SATISFIED
    slot.generate(TC)
    assert slot.kind == "TC"


def test_the_laboratory_card_in_a_slot() -> None:
    profile, memory = laboratory_card(), DictMemory()
    keys = CardKeys.parse(LABORATORY_IMAGE[0x8000])
    personalise(profile, keys, memory)
    made = Card(memory)
    made.power_on(CONTACT)
    slot = insert(made, profile)
    assert slot.shown[0x82].hex() == "7c00"
    assert {0x8C, 0x8D, 0x8E, 0x90, 0x9F46, 0x5A} <= set(slot.shown)
    slot.generate(ARQC)
    key = SessionKey(CardAlgorithm.TDES, _session(keys.ac))
    assert key.cryptogram(cryptogram_input(0x01, {**slot.said, **slot.shown})) == slot.shown[0x9F26]


def _session(udk: bytes) -> bytes:
    from shanfu.crypto import Cipher, session_key_pboc

    return session_key_pboc(Cipher(CardAlgorithm.TDES.cipher, udk), 1)


# -- e-cash in a slot ------------------------------------------------------------------------------------------------------

RICH = replace(debit_3_0(NUMBER), balance_minor=2_000, single_limit_minor=1_500, last_online_atc=1)


@pytest.mark.parametrize(("said", "ecash"), [
    ({"T9F7A": "01"}, True),
    ({"T9F7A": "00"}, False),
    ({"T9F7A": "01", "T5F2A": "0344"}, False),
    ({"T9F7A": "01", "T9F02": "000000001500"}, True),
    ({"T9F7A": "01", "T9F02": "000000001501"}, False),
    ({"T9F7A": "01", "T9F02": "00000000000A"}, False),
])  # fmt: skip
def test_ecash_is_offered_where_it_covers_the_amount(said: dict[str, str], ecash: bool) -> None:
    slot = insert(card(RICH, interface=CONTACT), RICH, **said)
    assert (slot.shown.get(0x9F74) == b"ECC001") is ecash
    assert len(parse_afl(slot.shown[0x94])) == 2 + ecash


def test_ecash_is_debited_with_the_certificate() -> None:
    memory = chip(RICH)
    made, live = Card(memory), LiveData(memory, RICH.aid)
    made.power_on(CONTACT)
    slot = insert(made, RICH, T9F7A="01")
    assert live.balance == bytes.fromhex("000000002000"), "nothing is spent before the card has approved"
    slot.generate(TC)
    assert (slot.kind, live.balance) == ("TC", bytes.fromhex("000000000766"))
    assert slot.iad.balance is not None
    assert slot.iad.balance.amount_minor == 766
    assert live.standing == Standing(), "e-cash is limited by its balance alone"
    refused = insert(made, RICH, T9F7A="01")
    assert 0x9F74 not in refused.shown, "12.34 of 7.66: debit it is"


def test_declined_ecash_costs_nothing() -> None:
    memory = chip(RICH)
    made = Card(memory)
    made.power_on(CONTACT)
    for asked in (AAC, ARQC):
        insert(made, RICH, T9F7A="01").generate(asked)
    assert LiveData(memory, RICH.aid).balance == bytes.fromhex("000000002000")


# -- noise -----------------------------------------------------------------------------------------------------------------

HEADS = [bytes.fromhex(text) for text in (
    "00A4", "00200080", "00200088", "00820000", "00840000", "00880000", "00B2", "04DA9F79", "04DC", "80A80000", "80AE", "80CA",
    "84160000", "84180000", "841E0000", "8424",
)]  # fmt: skip
FULL = certified("1024", replace(USED, offline_pin="1234"))


@settings(max_examples=examples(60, heavy=3_000), deadline=None)
@given(
    st.sampled_from(["selected", "opened", "online", "ended", "completed"]),
    st.lists(st.builds(lambda head, body: head + body, st.sampled_from(HEADS), st.binary(max_size=40)), max_size=5),
)
def test_noise_in_a_slot_gets_a_status_word(stage: str, noise: list[bytes]) -> None:
    made = card(FULL, interface=CONTACT)
    slot = insert(made, FULL)
    if stage == "selected":
        ask(made, commands.select(FULL.aid))
    elif stage != "opened":
        slot.generate(AAC if stage == "ended" else ARQC)
        if stage == "completed":
            slot.generate(AAC)
    for command in noise:
        answer = made.answer(command)
        assert len(answer) >= 2
        assert 0x61 <= answer[-2] <= 0x6F or answer[-2:] == b"\x90\x00"
    assert ask(made, commands.select(FULL.aid)).ok


def test_order_forms_ask_for_what_is_signed() -> None:
    profile: CardProfile = debit_2_0(NUMBER)
    slot = insert(card(profile, interface=CONTACT), profile)
    assert 0x8A in parse_dol(slot.shown[0x8D])
    assert CVR.parse(bytes.fromhex("03a00000")).first_gac is ARQC
