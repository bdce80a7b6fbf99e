"""Check values, components, key blocks of version D, and that nothing here shows a key."""

import json
from pathlib import Path

import psec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.crypto import (
    PIN,
    TR31_ALGORITHMS,
    Algorithm,
    BlockKey,
    CardAlgorithm,
    Cipher,
    IssuerCryptograms,
    KeyHeader,
    Place,
    RetailKey,
    SessionKey,
    combine,
    kcv,
    odd_parity,
    pad_bytes,
    verify_kcv,
)
from shanfu.errors import DecodeError, IntegrityError, KeyUseError, ShanfuError
from tests.budget import examples

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")

KBPK = bytes.fromhex("88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6")
KEY = bytes.fromhex("3F419E1CB7079442AA37474C2EFBF8B8")
HEADER = KeyHeader(usage="P0", algorithm="T", mode="B")
few = settings(max_examples=examples(40, heavy=3_000), deadline=None)
CASES = json.loads((Path(__file__).parents[1] / "vectors" / "crypto_keyblock.json").read_text())["cases"]
VERSION_D = [case for case in CASES if case.get("key_block", "")[:1] == "D"]
UNWRAP = [case for case in VERSION_D if case["kind"] == "tr31_unwrap"]
WRAP = [case for case in VERSION_D if case["kind"] == "tr31_wrap"]


def test_there_are_published_blocks():
    assert sum("expect_error" not in case for case in UNWRAP) >= 3
    assert sum("expect_error" in case for case in UNWRAP) >= 2
    assert WRAP


@pytest.mark.parametrize("case", UNWRAP, ids=lambda case: case["id"])
def test_published_version_d_blocks(case):
    kbpk = BlockKey(bytes.fromhex(case["kbpk"]))
    if "expect_error" in case:
        with pytest.raises({"length": DecodeError, "mac": IntegrityError}[case["expect_error"]]) as caught:
            kbpk.unwrap(case["key_block"])
        assert getattr(caught.value, "fault", "mac") == case["expect_error"]
        return
    header, key = kbpk.unwrap(case["key_block"])
    assert key.hex().upper() == case["key"]
    if "kcv" in case:
        place = Place.CMAC5 if header.algorithm == "A" else Place.LEGACY
        assert kcv(Cipher(header.cipher, key), place).hex().upper().startswith(case["kcv"])


@pytest.mark.parametrize("case", WRAP, ids=lambda case: case["id"])
def test_blocks_come_out_as_published(case):
    text = case["header"]
    header = KeyHeader(usage=text[5:7], algorithm=text[7], mode=text[8], key_version=text[9:11], exportability=text[11])
    block = BlockKey(bytes.fromhex(case["kbpk"])).wrap(header, bytes.fromhex(case["key"]), pad=bytes.fromhex(case["pad"]))
    assert block == case["key_block"]


labels = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300)
options = st.lists(st.tuples(st.sampled_from(["LB", "KC", "TS", "10"]), labels), max_size=3, unique_by=lambda o: o[0]).map(
    tuple
)


@given(st.sampled_from(sorted(TR31_ALGORITHMS)), st.sampled_from([8, 16, 24, 32]), options, st.sampled_from([16, 24, 32]))
@few
def test_a_block_comes_back(letter, size, optional, kbpk_size):
    header = KeyHeader(usage="M3", algorithm=letter, mode="C", exportability="E", key_version="01", optional=optional)
    key = bytes(range(size))
    kbpk = BlockKey(KBPK[:kbpk_size])
    block = kbpk.wrap(header, key, pad=bytes(pad_bytes(header, key)))
    assert kbpk.unwrap(block) == (header, key)
    assert [header.option(name) for name, _ in optional] == [text for _, text in optional]
    assert header.option("ZZ") == ""


@given(st.sampled_from([16, 24, 32]), st.sampled_from([16, 24]), st.text("ABC0", max_size=40))
@few
def test_psec_opens_ours_and_we_open_psecs(kbpk_size, size, label):
    kbpk, key = KBPK[:kbpk_size], bytes(range(size))
    header = KeyHeader(usage="K0", algorithm="T", mode="B", exportability="S", optional=(("LB", label),))
    ours = BlockKey(kbpk).wrap(header, key, pad=bytes(pad_bytes(header, key)))
    theirs, opened = psec.tr31.unwrap(kbpk, ours)
    assert (opened, theirs.key_usage, theirs.mode_of_use, theirs.exportability) == (key, "K0", "B", "S")
    assert theirs.blocks["LB"] == label
    other = psec.tr31.Header("D", "P0", "T", "E", "00", "N")
    other.blocks["LB"] = label
    assert BlockKey(kbpk).unwrap(psec.tr31.wrap(kbpk, other, key)) == (
        KeyHeader(usage="P0", algorithm="T", mode="E", optional=(("LB", label),)), key,
    )  # fmt: skip


def test_a_block_hides_the_length_of_its_key():
    kbpk = BlockKey(KBPK)
    lengths = {len(kbpk.wrap(HEADER, bytes(size), pad=bytes(pad_bytes(HEADER, bytes(size))))) for size in (8, 16, 24)}
    assert len(lengths) == 1


BLOCK = BlockKey(KBPK).wrap(KeyHeader(usage="P0", algorithm="T", mode="B", optional=(("LB", "zpk"),)), KEY, pad=bytes(14))


@pytest.mark.parametrize("at", range(len(BLOCK)))
def test_no_character_of_a_block_can_be_changed(at):
    for other in "0F" if BLOCK[at] not in "0F" else "1X":
        with pytest.raises((DecodeError, IntegrityError)):
            BlockKey(KBPK).unwrap(BLOCK[:at] + other + BLOCK[at + 1 :])


@pytest.mark.parametrize("size", [0, 1, 4, 5, 15, 16, 40, 79, 80, 96, len(BLOCK) - 1, len(BLOCK) - 32])
def test_no_truncation_passes(size):
    with pytest.raises(DecodeError):
        BlockKey(KBPK).unwrap(BLOCK[:size])


@given(st.text(st.characters(max_codepoint=0x3000), max_size=200) | st.text("0123456789ABCDEF", min_size=96, max_size=107))
@settings(max_examples=examples(60, heavy=20_000), deadline=None)
def test_any_text_is_refused_in_order(text):
    with pytest.raises(ShanfuError):
        BlockKey(KBPK).unwrap("D" + text)


def test_a_header_that_claims_blocks_without_end():
    for count in ("99", "01", "xx", "-1", " 1", "1_"):
        with pytest.raises(DecodeError):
            BlockKey(KBPK).unwrap("D0112P0TB00N" + count + "00" + "0" * 96)


def test_another_protection_key_opens_nothing():
    with pytest.raises(IntegrityError):
        BlockKey(KBPK[:16]).unwrap(BLOCK)


@pytest.mark.parametrize(
    "change",
    [{"usage": "P"}, {"mode": "?"}, {"mode": "A"}, {"exportability": "Y"}, {"key_version": "0"}, {"usage": "P!"},
     {"optional": (("PB", "0000"),)}, {"optional": (("L", "x"),)}, {"optional": (("LB", "\n"),)}],
)  # fmt: skip
def test_a_header_outside_its_tables_is_refused(change):
    fields = {"usage": "P0", "algorithm": "T", "mode": "B"} | change
    with pytest.raises(DecodeError):
        BlockKey(KBPK).wrap(KeyHeader(**fields), KEY, pad=bytes(14))


def test_an_unknown_algorithm_and_a_ragged_pad_are_refused():
    with pytest.raises(KeyUseError):
        BlockKey(KBPK).wrap(KeyHeader(usage="P0", algorithm="S", mode="B"), KEY, pad=bytes(14))
    with pytest.raises(DecodeError):
        BlockKey(KBPK).wrap(HEADER, KEY, pad=bytes(13))
    with pytest.raises(DecodeError):
        BlockKey(KBPK).wrap(HEADER, bytes(6000), pad=bytes(14))


@given(st.binary(min_size=1, max_size=32))
@few
def test_odd_parity_is_odd_and_keeps_seven_bits(key):
    adjusted = odd_parity(key)
    assert all(byte.bit_count() % 2 for byte in adjusted)
    assert all((a ^ b) in (0, 1) for a, b in zip(key, adjusted, strict=True))


def test_check_values_by_place():
    aes = Cipher(Algorithm.AES, KEY)
    assert kcv(aes, Place.GLOBALPLATFORM) == aes.encrypt(b"\x01" * 16)[:3]
    assert kcv(aes, Place.CMAC5)[:3] == kcv(aes, Place.CMAC3) != kcv(aes, Place.LEGACY)
    verify_kcv(aes, kcv(aes, Place.CMAC5), place=Place.CMAC5)
    for wrong in (b"", bytes(3), kcv(aes, Place.CMAC5)[:4]):
        with pytest.raises(IntegrityError):
            verify_kcv(aes, wrong, place=Place.CMAC5)


def test_components_are_two_or_more_of_one_length():
    with pytest.raises(DecodeError):
        combine([KEY])
    with pytest.raises(DecodeError):
        combine([KEY, KEY[:8]])


def test_nothing_shows_a_key_or_a_pin():
    holders = [
        Cipher(Algorithm.TDES, KEY), Cipher(Algorithm.SM4, KEY), RetailKey(KEY), SessionKey(CardAlgorithm.TDES, KEY),
        SessionKey(CardAlgorithm.SM4, KEY), IssuerCryptograms(CardAlgorithm.TDES), BlockKey(KEY), PIN("735192"),
    ]  # fmt: skip
    shown = " ".join(f"{holder!r} {holder} {holder!s:>80}" for holder in holders)
    for secret in (KEY.hex(), KEY.hex().upper(), repr(KEY), "735192", KEY.hex()[:8]):
        assert secret not in shown
