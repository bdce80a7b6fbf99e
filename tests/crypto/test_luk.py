"""Limited-use keys: the three schemes against pyemv's primitives, the published figures, what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyemv import ac, kd

from shanfu.crypto import (
    Algorithm,
    CardAlgorithm,
    Cipher,
    SessionKey,
    cryptogram_key,
    derive_key,
    luk,
    luk_blocks,
    msd_verification_value,
    odd_parity,
    session_key_pboc,
    udk_option_a,
)
from shanfu.errors import DecodeError, KeyUseError
from shanfu.tokens import KeyScheme, key_index_bytes
from tests.budget import examples

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")

few = settings(max_examples=examples(40, heavy=3_000), deadline=None)
keys = st.binary(min_size=16, max_size=16).filter(lambda key: odd_parity(key[:8]) != odd_parity(key[8:]))
indexes = st.text("0123456789", min_size=7, max_size=7)
atcs = st.integers(1, 0xFFFF)
UDK = bytes.fromhex("11223344006677881122334455007788")


def tdes(key: bytes) -> Cipher:
    return Cipher(Algorithm.TDES, key)


@given(keys, indexes, st.binary(min_size=1, max_size=60))
@few
def test_visa_luk_and_its_cryptogram_agree_with_pyemv(udk, index, data):
    blocks = b"".join(luk_blocks(index))
    key = derive_key(KeyScheme.VISA_LUK, tdes(udk), key_index_bytes(index))
    # pyemv has no such derivation, but its MAC of one block is that block enciphered: the halves come out one by one
    assert key == b"".join(ac.generate_ac(udk, blocks[at : at + 8], ac.PaddingType.VISA) for at in (0, 8))
    mac = SessionKey(CardAlgorithm.TDES, cryptogram_key(KeyScheme.VISA_LUK, key, 1)).cryptogram(data)
    assert mac == ac.generate_ac(key, data, ac.PaddingType.EMV)


@given(keys, atcs)
@few
def test_single_use_keys_agree_with_pyemv(udk, atc):
    key = derive_key(KeyScheme.SUK, tdes(udk), atc.to_bytes(2))
    assert odd_parity(key) == kd.derive_common_sk(udk, atc.to_bytes(2) + bytes(6))
    assert cryptogram_key(KeyScheme.SUK, key, atc) == key


@given(keys, indexes, atcs)
@few
def test_our_own_scheme_puts_the_limited_key_in_the_card_keys_place(udk, index, atc):
    key = derive_key(KeyScheme.SHANFU_1, tdes(udk), key_index_bytes(index))
    assert key == luk(tdes(udk), index)
    tap = cryptogram_key(KeyScheme.SHANFU_1, key, atc)
    assert tap == session_key_pboc(tdes(key), atc)
    assert tap == cryptogram_key(KeyScheme.SHANFU_1, key, atc, scratch=tdes(UDK))


def test_every_index_every_atc_every_scheme_another_key():
    udk = tdes(udk_option_a(tdes(UDK), "6250940000000019"))
    luks = {derive_key(KeyScheme.SHANFU_1, udk, key_index_bytes(f"50001{counter:02d}")) for counter in range(100)}
    suks = {derive_key(KeyScheme.SUK, udk, atc.to_bytes(2)) for atc in range(1, 101)}
    taps = {cryptogram_key(KeyScheme.SHANFU_1, min(luks), atc) for atc in range(1, 101)}
    assert len(luks | suks | taps) == 300


REFUSED = [
    (KeyScheme.SHANFU_1, ""), (KeyScheme.SHANFU_1, "050001"), (KeyScheme.SHANFU_1, "0500010000"),
    (KeyScheme.SHANFU_1, "25000100"),  # YYHHHHCC, as some tools take it
    (KeyScheme.VISA_LUK, "26643101"), (KeyScheme.VISA_LUK, "0500010A"), (KeyScheme.VISA_LUK, "0001"),
    (KeyScheme.SUK, ""), (KeyScheme.SUK, "05000100"), (KeyScheme.SUK, "01"),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "diversifier"), REFUSED)
def test_what_diversifies_nothing_is_refused(scheme, diversifier):
    with pytest.raises(DecodeError):
        derive_key(scheme, tdes(UDK), bytes.fromhex(diversifier))


@pytest.mark.parametrize("scheme", list(KeyScheme))
def test_an_sm4_key_is_refused(scheme):
    with pytest.raises(KeyUseError):
        derive_key(scheme, Cipher(Algorithm.SM4, UDK), b"\x00\x01")


def test_the_blocks_of_an_even_count_of_digits():  # the vendor's example with a year of two digits
    assert [block.hex() for block in luk_blocks("26643101")] == ["1266431018000000", "2266431018000000"]


@pytest.mark.parametrize("digits", ["x", "12345678901234", "١٢٣", " 1"])
def test_what_are_no_digits_is_refused(digits):
    with pytest.raises(DecodeError):
        luk_blocks(digits)


def test_a_magnetic_value_has_three_digits_for_every_counter():
    values = [msd_verification_value(tdes(UDK), atc, bytes(8)) for atc in range(500)]
    assert all(len(value) == 3 and value.isdecimal() for value in values)
    assert len(set(values)) > 300
    with pytest.raises(DecodeError):
        msd_verification_value(tdes(UDK), 1, bytes(7))
