"""MACs against implementations of others, paddings, and refusals."""

import psec
import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.crypto import Algorithm, Cipher, RetailKey, cbc_mac, cmac, ecb_mac, pad, unpad2, verify_mac, x9_9, x9_19, xor_fold
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from tests.budget import examples

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # psec's TripleDES

KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
messages = st.binary(max_size=70)
few = settings(max_examples=examples(60, heavy=5_000), deadline=None)


@pytest.mark.parametrize(
    ("message", "method", "padded"),
    [
        (b"", 1, "0000000000000000"),
        (b"", 2, "8000000000000000"),
        (b"", 3, "0000000000000000"),
        (b"1234567", 1, "3132333435363700"),
        (b"1234567", 2, "3132333435363780"),
        (b"1234567", 3, "0000000000000038 3132333435363700"),
        (b"12345678", 1, "3132333435363738"),
        (b"12345678", 2, "3132333435363738 8000000000000000"),
        (b"12345678", 3, "0000000000000040 3132333435363738"),
    ],
)
def test_padding(message, method, padded):
    assert pad(message, method, 8) == bytes.fromhex(padded)


def test_there_is_no_fourth_padding():
    with pytest.raises(ValueError, match="not 4"):
        pad(b"", 4, 8)


@given(messages, st.sampled_from([8, 16]))
@few
def test_padding_2_comes_off_again(message, block):
    assert unpad2(pad(message, 2, block)) == message


@pytest.mark.parametrize("raw", [b"", bytes(8), b"\x81\x00", b"\x80\x01"])
def test_padding_2_that_is_not_there(raw):
    with pytest.raises(DecodeError):
        unpad2(raw)


@given(messages, st.sampled_from([1, 2, 3]))
@few
def test_retail_and_cbc_mac_agree_with_psec(message, padding):
    if padding == 3 and not message:
        return  # ISO 9797-1 6.3.4 adds the length block alone to an empty message; psec adds a second block
    assert RetailKey(KEY).mac(message, padding=padding) == psec.mac.generate_retail_mac(KEY[:8], KEY[8:], message, padding)
    assert cbc_mac(Cipher(Algorithm.TDES, KEY), message, padding=padding) == psec.mac.generate_cbc_mac(KEY, message, padding)


@given(messages)
@few
def test_x9_forms_are_what_they_are_called(message):
    assert x9_19(KEY, message) == psec.mac.generate_retail_mac(KEY[:8], KEY[8:], message, 1)
    assert x9_9(KEY, message) == x9_9(KEY[:8], message) == psec.mac.generate_cbc_mac(KEY[:8] * 3, message, 1)


ORACLES = {
    Algorithm.AES: (algorithms.AES, 32), Algorithm.SM4: (algorithms.SM4, 16), Algorithm.TDES: (TripleDES, 24),
}  # fmt: skip


@pytest.mark.parametrize("algorithm", ORACLES)
@given(message=messages, seed=st.binary(min_size=32, max_size=32))
@few
def test_cmac_agrees_with_cryptography(algorithm, message, seed):
    oracle, size = ORACLES[algorithm]
    other = CMAC(oracle(seed[:size]))
    other.update(message)
    assert cmac(Cipher(algorithm, seed[:size]), message) == other.finalize()


def test_a_retail_key_keeps_no_trace_of_the_last_one():
    key = RetailKey(bytes(range(16)))
    key.mac(b"x" * 40, padding=2)
    key.rekey(KEY)
    assert key.mac(b"x" * 40, padding=2) == RetailKey(KEY).mac(b"x" * 40, padding=2)
    assert key.encrypt(bytes(8)) == Cipher(Algorithm.TDES, KEY).encrypt(bytes(8))


@pytest.mark.parametrize("size", [0, 8, 15, 24, 32])
def test_a_retail_key_has_two_halves(size):
    with pytest.raises(KeyUseError):
        RetailKey(bytes(size))
    with pytest.raises(KeyUseError):
        RetailKey(KEY).rekey(bytes(size))


@pytest.mark.parametrize("algorithm", [Algorithm.TDES, Algorithm.SM4])
def test_the_ecb_mac_does_not_see_swapped_blocks(algorithm):
    """The known weakness of the terminal MAC, stated in the documents: any two blocks may change places."""
    cipher = Cipher(algorithm, KEY)
    one, two = b"A" * cipher.block_bytes, b"B" * cipher.block_bytes
    assert ecb_mac(cipher, one + two) == ecb_mac(cipher, two + one)
    assert ecb_mac(cipher, one + two) != ecb_mac(cipher, one + one)


@given(st.binary(max_size=400), st.sampled_from([8, 16]))
@few
def test_folding_is_the_xor_of_all_blocks(message, size):
    expected = bytearray(size)
    for at, byte in enumerate(message):
        expected[at % size] ^= byte
    assert xor_fold(message, size) == bytes(expected)


@pytest.mark.parametrize("given_mac", [b"E267B6E3", b"E267B6E", b"", b"e267b6e2", b"E267B6E2 "])
def test_a_wrong_mac_is_refused(given_mac):
    verify_mac(b"E267B6E2", b"E267B6E2")
    with pytest.raises(IntegrityError):
        verify_mac(b"E267B6E2", given_mac)
