"""A tap: the published trace answered again, the cryptogram verified as an issuer would, every choice of verification."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from shanfu.card import (
    PROFILES,
    Card,
    CardKeys,
    CardProfile,
    PBOCVersion,
    debit_2_0,
    debit_3_0,
    idd_mac,
    laboratory_card,
    personalise,
)
from shanfu.crypto import CardAlgorithm, Cipher, IssuerCryptograms, SessionKey, session_key_pboc
from shanfu.emv import AIP, CTQ, CVM, CVR, CardChecks, CryptogramType, IssuerApplicationData, Track2, commands, cryptogram_input
from shanfu.errors import IntegrityError
from shanfu.pan import PAN
from shanfu.store import DictMemory
from tests.card.bench import CONTACT, CONTACTLESS, DEBIT, MASTERS, NUMBER, TERMINAL, ask, card, gpo, keys_for, tap

TRACE = next(
    case
    for case in json.loads((Path(__file__).parent.parent / "vectors" / "emv_traces_unionpay.json").read_text())["cases"]
    if case["id"] == "trace-001"
)


def verify(profile: CardProfile, answer: dict[int, bytes], said: dict[int, str]) -> IssuerApplicationData:
    """Check an answer as the issuer does, from its master key."""
    issuer = IssuerCryptograms(profile.algorithm)
    imk = Cipher(profile.algorithm.cipher, MASTERS.ac)
    atc = int.from_bytes(answer[0x9F36])
    key = issuer.session_key(imk, pan=profile.pan.digits, psn=profile.psn, atc=atc)
    iad = IssuerApplicationData.parse(answer[0x9F10])
    values = {tag: bytes.fromhex(text) for tag, text in (TERMINAL | said).items()}
    issuer.verify(key, data=cryptogram_input(iad.cvn, values | answer), cryptogram=answer[0x9F26])
    return iad


@pytest.mark.parametrize("cvn", [0x01, 0x17])
@pytest.mark.parametrize("algorithm", CardAlgorithm)
@pytest.mark.parametrize("name", PROFILES)
def test_the_issuer_verifies_the_cryptogram_from_its_master_key(name: str, algorithm: CardAlgorithm, cvn: int) -> None:
    profile = replace(PROFILES[name](NUMBER, "LIN/YUE"), algorithm=algorithm, cvn=cvn, dki=0x07)
    amount = {0x9F02: "000000001234"}
    made = card(profile)
    for number in (1, 2):
        answer = tap(made, profile, T9F02=amount[0x9F02])
        iad = verify(profile, answer, amount)
        assert int.from_bytes(answer[0x9F36]) == number
        assert (iad.dki, iad.cvn, iad.algorithm, iad.cvr.hex()) == (0x07, cvn, algorithm, "03a00000")
    with pytest.raises(IntegrityError):
        verify(profile, answer, {0x9F02: "000000001235"})


@pytest.mark.parametrize("digits", [16, 17, 18, 19])
def test_longer_numbers_use_option_a_too(digits: int) -> None:
    profile = debit_2_0(PAN("6209010000000019991"[:digits]))
    verify(profile, tap(card(profile), profile), {})
    assert Track2.parse(tap(card(profile), profile)[0x57]).pan == profile.pan


def test_the_published_trace() -> None:
    """Everything but the cryptogram and the MAC of the balance, whose keys nobody knows, comes byte by byte."""
    profile = replace(
        debit_2_0(PAN("6299999999999999")), psn="00", expiry="2011", service_code="201", discretionary="0123456789",
        ctq=CTQ.parse(bytes(2)), balance_minor=38_787,
    )  # fmt: skip
    memory = DictMemory()
    personalise(profile, keys_for(profile), memory)
    memory.write({"A000000333010101/live/9F36": bytes.fromhex("0ADB")})
    plastic = Card(memory)
    plastic.power_on(CONTACTLESS)
    *selections, payment = TRACE["exchanges"]
    for exchange in selections:
        assert plastic.answer(bytes.fromhex(exchange["c"])).hex().upper() == exchange["r"]
    got, expected = plastic.answer(bytes.fromhex(payment["c"])), bytes.fromhex(payment["r"])
    cryptogram, mac = expected.index(bytes.fromhex("9F2608")) + 3, expected.index(bytes.fromhex("868FD1FC"))
    assert len(got) == len(expected)
    for at, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
        if at not in range(cryptogram, cryptogram + 8) and at not in range(mac, mac + 4):
            assert ours == theirs, f"byte {at}"
    answer = {0x9F26: got[cryptogram : cryptogram + 8], 0x9F36: b"\x0a\xdc", 0x82: b"\x7c\x00"}
    iad = got[got.index(bytes.fromhex("9F1013")) + 3 :][:19]
    verify(profile, answer | {0x9F10: iad}, {tag: TRACE["terminal"][f"{tag:X}"] for tag in TERMINAL if tag < 0xDF00})


def test_the_balance_is_vouched_for() -> None:
    profile = replace(debit_3_0(NUMBER), balance_minor=1_234_567_890)
    answer = tap(card(profile), profile)
    iad = IssuerApplicationData.parse(answer[0x9F10])
    udk = keys_for(profile).mac
    key = SessionKey(profile.algorithm, session_key_pboc(Cipher(profile.algorithm.cipher, udk), 1))
    assert iad.balance is not None
    assert (iad.balance.amount_minor, answer[0x9F5D].hex()) == (1_234_567_890, "001234567890")
    assert iad.idd is not None
    assert iad.balance.mac == iad.idd[-4:] == idd_mac(key, atc=1, idd=iad.idd[:-4])


def test_without_a_balance_there_is_no_issuer_defined_data() -> None:
    answer = tap(card(balance_minor=None))
    assert answer[0x9F10].hex() == "07010103a0000001"
    assert 0x9F5D not in answer


@pytest.mark.parametrize(("name", "tags"), [
    ("debit-2.0",  [0x82, 0x9F36, 0x57, 0x9F10, 0x9F26, 0x5F34, 0x9F6C, 0x9F5D]),
    ("debit-3.0",  [0x82, 0x9F36, 0x57, 0x9F10, 0x9F26, 0x5F34, 0x9F6C, 0x9F5D, 0x9F63]),
    ("credit-2.0", [0x82, 0x9F36, 0x57, 0x9F10, 0x9F26, 0x5F34, 0x9F6C, 0x9F5D]),
    ("credit-3.0", [0x82, 0x9F36, 0x57, 0x9F10, 0x9F26, 0x5F34, 0x9F6C, 0x9F5D, 0x9F63]),
])  # fmt: skip
def test_what_the_answer_carries(name: str, tags: list[int]) -> None:
    profile = PROFILES[name](NUMBER, "")
    assert list(tap(card(profile), profile)) == tags
    silent = replace(profile, checks=CardChecks.parse(bytes.fromhex("9800F000")))  # 9F68 b1b1 off: 9F5D stays inside
    assert list(tap(card(silent), silent)) == [tag for tag in tags if tag != 0x9F5D]


PIN, SIGN, BOTH = (CVM.ONLINE_PIN,), (CVM.SIGNATURE,), (CVM.ONLINE_PIN, CVM.SIGNATURE)


@pytest.mark.parametrize(("card_offers", "ttq", "kind", "ctq"), [
    # TTQ: qPBOC; b1 06 online PIN and signature, 04 PIN only, 02 signature only; b2 C0 demands a verification
    (BOTH, "26800000", "ARQC", "0000"),
    (BOTH, "26C00000", "ARQC", "8000"),
    (BOTH, "24C00000", "ARQC", "8000"),
    (BOTH, "22C00000", "ARQC", "4000"),
    (BOTH, "20C00000", "AAC",  "0000"),
    (BOTH, "26400000", "ARQC", "8000"),
    (PIN,  "26C00000", "ARQC", "8000"),
    (PIN,  "22C00000", "AAC",  "0000"),
    (SIGN, "26C00000", "ARQC", "4000"),
    (SIGN, "24C00000", "AAC",  "0000"),
    ((),   "26C00000", "AAC",  "0000"),
    ((),   "26800000", "ARQC", "0000"),
    (BOTH, "2E800000", "AAC",  "0000"),  # the terminal is offline only
    (BOTH, "2EC00000", "AAC",  "8000"),
    (BOTH, "2E000000", "AAC",  "0000"),
])  # fmt: skip
def test_verification_and_kind(card_offers: tuple[CVM, ...], ttq: str, kind: str, ctq: str) -> None:
    profile = replace(DEBIT, cvms=card_offers, ctq=CTQ.parse(bytes(2)))
    answer = tap(card(profile), T9F66=ttq)
    iad = verify(profile, answer, {})  # an AAC is a cryptogram too
    assert (iad.cryptogram_type.name, answer[0x9F6C].hex()) == (kind, ctq)
    assert 0x94 not in answer


def test_the_personalised_wishes_stay_in_ctq() -> None:
    profile = replace(DEBIT, ctq=CTQ.ONLINE_IF_ODA_FAILS | CTQ.NOT_AT_ATM)
    assert tap(card(profile), T9F66="26C00000")[0x9F6C].hex() == "a100"


@pytest.mark.parametrize(("changes", "said", "cvr"), [
    # without "online cryptogram required" the card looks at itself; a new card always has something to tell
    ({},                 {"T9F66": "26000000"}, "03a01000"),
    ({"pin_tries": 0},   {"T9F66": "26000000"}, "03a05000"),
    ({"pin_tries": 0},   {"T9F66": "2E000000"}, "03805000"),
    ({"pin_tries": 0},   {"T9F66": "26800000"}, "03a00000"),
    ({"pin_tries": 0, "checks": CardChecks.parse(bytes.fromhex("9100F000"))}, {"T9F66": "26000000"}, "03a01000"),
    ({},                 {"T9F66": "26000000", "T5F2A": "0344"}, "03a01000"),
    ({"checks": CardChecks.parse(bytes.fromhex("9940F000"))}, {"T9F66": "26000000", "T5F2A": "0344"}, "03801000"),
])  # fmt: skip
def test_cvr(changes: dict[str, object], said: dict[str, str], cvr: str) -> None:
    iad = IssuerApplicationData.parse(tap(card(**changes), **said)[0x9F10])
    assert iad.cvr.hex() == cvr
    assert CVR.parse(iad.cvr).first_gac is (CryptogramType.ARQC if cvr.startswith("03a0") else CryptogramType.AAC)


@pytest.mark.parametrize(("ttq", "full_in_aip", "template", "sw"), [
    ("26800000", False, 0x77, 0x9000),  # qPBOC
    ("66800000", False, 0x77, 0x9000),  # both, the card prefers qPBOC
    ("66800000", True,  0x80, 0x9000),  # both, the card prefers full PBOC
    ("46800000", False, 0x80, 0x9000),  # full PBOC only
    ("86800000", False, None, 0x6985),  # magnetic-stripe mode only
    ("00000000", True,  None, 0x6985),
])  # fmt: skip
def test_path(ttq: str, full_in_aip: bool, template: int | None, sw: int) -> None:
    profile = replace(DEBIT, aip=DEBIT.aip | AIP.FULL_PBOC if full_in_aip else DEBIT.aip)
    answer = gpo(card(profile), T9F66=ttq)
    assert (answer.data[0] if answer.data else None, answer.sw) == (template, sw)


def test_without_a_contact_side_there_is_no_full_pboc() -> None:
    profile = replace(DEBIT, interfaces=frozenset({CONTACTLESS}))
    assert gpo(card(profile), T9F66="46800000").sw == 0x6985
    assert gpo(card(profile), T9F66="26800000").ok


def test_contact_answers_where_to_read_on() -> None:
    made = card(interface=CONTACT)
    answer = tap(made, T9F7A="00")
    assert (answer[0x82].hex(), answer[0x94].hex()) == ("1c00", "0801010010010300"), "no key of its own, and it says so"
    for sfi, number in ((1, 1), (2, 1), (2, 2), (2, 3)):
        assert ask(made, commands.read_record(sfi, number)).data[0] == 0x70
    assert ask(made, commands.get_data(0x9F36)).data.hex() == "9f36020001"


def test_the_laboratory_card_pays_with_its_published_keys() -> None:
    profile = laboratory_card()
    memory = DictMemory()
    keys = CardKeys.parse(profile.published[0x8000])
    personalise(profile, keys, memory)
    plastic = Card(memory)
    plastic.power_on(CONTACTLESS)
    answer = tap(plastic, profile, T9F66="36C00000")
    key = SessionKey(CardAlgorithm.TDES, session_key_pboc(Cipher(CardAlgorithm.TDES.cipher, keys.ac), 1))
    values = {tag: bytes.fromhex(text) for tag, text in TERMINAL.items()}
    assert key.cryptogram(cryptogram_input(0x01, values | answer)) == answer[0x9F26]
    assert Track2.parse(answer[0x57]).expiry == "3012"
    assert answer[0x9F6C].hex() == "b000"  # 3000 as personalised, and online PIN
    assert answer[0x9F63].hex() == "11223344556677880000000000000000"
    assert profile.version is PBOCVersion.V3


def test_a_tap_is_quick() -> None:
    profile = debit_3_0(NUMBER)
    made, spans = card(profile), []
    for _ in range(60):
        start = time.perf_counter()
        tap(made, profile)
        spans.append(time.perf_counter() - start)
    assert sorted(spans)[30] < 0.002, "card and a terminal's parsing share a budget of 2 ms"
