"""Both engines give the same bytes; a Cipher re-keys, refuses ragged data and foreign keys, and tells nothing."""

import copy
import hashlib
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.crypto import Algorithm, Cipher, cmac, evp, gcm_open, gcm_seal, hmac_sm3, libcrypto, pyca, sm3, xor
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from tests.budget import examples

KEYS = [(Algorithm.TDES, 8), (Algorithm.TDES, 16), (Algorithm.TDES, 24), (Algorithm.AES, 16), (Algorithm.AES, 24),
        (Algorithm.AES, 32), (Algorithm.SM4, 16)]  # fmt: skip
each_key = pytest.mark.parametrize(("algorithm", "size"), KEYS)
BOTH = pytest.mark.parametrize("engine", [evp.open_context, pyca.open_context], ids=["libcrypto", "cryptography"])


def key_of(size: int, seed: int = 1) -> bytes:
    return hashlib.sha256(bytes([seed])).digest()[:size]


def test_this_machine_has_libcrypto():
    assert evp.available()  # otherwise the tests below compare one engine with itself


@each_key
@settings(max_examples=examples(30, heavy=2_000), deadline=None)
@given(st.data())
def test_engines_agree(algorithm, size, data):
    key = data.draw(st.binary(min_size=size, max_size=size).filter(distinct_halves))
    ours, other = (Cipher(algorithm, key, engine=e) for e in (evp.open_context, pyca.open_context))
    blocks = data.draw(st.binary(min_size=1, max_size=6)) * 16
    iv = data.draw(st.binary(min_size=ours.block_bytes, max_size=ours.block_bytes))
    assert ours.encrypt(blocks) == other.encrypt(blocks)
    assert ours.decrypt(blocks) == other.decrypt(blocks)
    assert ours.encrypt_cbc(blocks, iv) == other.encrypt_cbc(blocks, iv)
    assert ours.decrypt_cbc(blocks, iv) == other.decrypt_cbc(blocks, iv)
    assert ours.decrypt(ours.encrypt(blocks)) == ours.decrypt_cbc(ours.encrypt_cbc(blocks)) == blocks


def distinct_halves(key: bytes) -> bool:
    return len(set(key)) > 4  # keeps out the weak keys that a library may refuse


@each_key
@BOTH
def test_rekeying_forgets_the_old_key(algorithm, size, engine):
    cipher, data = Cipher(algorithm, key_of(size), engine=engine), bytes(range(48))
    for operation in (Cipher.encrypt, Cipher.decrypt, Cipher.encrypt_cbc, Cipher.decrypt_cbc):
        operation(cipher, data)
    cipher.rekey(key_of(size, seed=2))
    fresh = Cipher(algorithm, key_of(size, seed=2), engine=engine)
    for operation in (Cipher.encrypt, Cipher.decrypt, Cipher.encrypt_cbc, Cipher.decrypt_cbc):
        assert operation(cipher, data) == operation(fresh, data)


@BOTH
@pytest.mark.parametrize("size", [1008, 1024, 1040, 4096, 10_000 * 16])
def test_long_data_is_one_chain(engine, size):
    cipher = Cipher(Algorithm.AES, key_of(16), engine=engine)
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert cipher.encrypt_cbc(data) == Cipher(Algorithm.AES, key_of(16), engine=pyca.open_context).encrypt_cbc(data)
    assert cipher.decrypt(cipher.encrypt(data)) == data


def test_a_des_key_of_another_length_never_reaches_libcrypto():
    with pytest.raises(RuntimeError):
        evp.open_context("DES", "CBC", bytes(7), True)


def test_single_des_is_tdes_with_equal_halves():
    key = bytes.fromhex("0123456789ABCDEF")
    assert Cipher(Algorithm.TDES, key).encrypt(b"Now is t").hex().upper() == "3FA40E8A984D4815"  # FIPS 81, B1
    assert Cipher(Algorithm.TDES, key * 3).encrypt(bytes(8)) == Cipher(Algorithm.TDES, key).encrypt(bytes(8))


@pytest.mark.parametrize(
    ("algorithm", "size"),
    [
        (Algorithm.TDES, 0),
        (Algorithm.TDES, 7),
        (Algorithm.TDES, 32),
        (Algorithm.AES, 8),
        (Algorithm.AES, 20),
        (Algorithm.SM4, 32),
    ],
)
def test_key_of_a_wrong_length_is_refused(algorithm, size):
    with pytest.raises(KeyUseError, match=f"{size} bytes"):
        Cipher(algorithm, bytes(size))


def test_a_kept_cipher_takes_keys_of_its_own_length_only():
    with pytest.raises(KeyUseError):
        Cipher(Algorithm.AES, bytes(16)).rekey(bytes(32))
    with pytest.raises(KeyUseError):
        Cipher(Algorithm.TDES, bytes(16)).rekey(bytes(24))


@pytest.mark.parametrize("operation", [Cipher.encrypt, Cipher.decrypt, Cipher.encrypt_cbc, Cipher.decrypt_cbc])
@pytest.mark.parametrize("size", [0, 1, 7, 9, 15, 17])
def test_ragged_data_is_refused(operation, size):
    with pytest.raises(DecodeError):
        operation(Cipher(Algorithm.SM4, key_of(16)), bytes(size))


def test_ragged_iv_and_xor_are_refused():
    with pytest.raises(DecodeError):
        Cipher(Algorithm.TDES, key_of(16)).encrypt_cbc(bytes(8), bytes(7))
    with pytest.raises(DecodeError):
        xor(bytes(2), bytes(3))


@pytest.mark.parametrize("spread", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_cipher_is_never_copied(spread):
    with pytest.raises(TypeError):
        spread(Cipher(Algorithm.AES, key_of(16)))


def test_without_libcrypto_the_package_still_answers(monkeypatch):
    monkeypatch.setattr(evp, "available", lambda: False)
    cipher = Cipher(Algorithm.AES, bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C"))
    assert cmac(cipher, b"").hex() == "bb1d6929e95937287fa37d129b756746"  # NIST SP 800-38B D.1
    assert type(cipher._ecb_out) is pyca.PycaContext


def test_a_missing_library_is_no_error(monkeypatch):
    monkeypatch.setattr(libcrypto, "LIBRARIES", ("libcrypto.so.none",))
    evp._library.cache_clear()
    try:
        assert not evp.available()
        with pytest.raises(RuntimeError):
            evp.open_context("AES", "ECB", bytes(16), True)
    finally:
        evp._library.cache_clear()


@pytest.mark.parametrize("algorithm", [Algorithm.AES, Algorithm.SM4])
@pytest.mark.parametrize("change", ["sealed", "tag", "aad", "nonce", "key", "short"])
def test_gcm_opens_only_what_was_sealed(algorithm, change):
    key, nonce, aad = key_of(16), bytes(12), b"context"
    sealed = gcm_seal(algorithm, key, nonce=nonce, data=b"a key set", aad=aad)
    assert gcm_open(algorithm, key, nonce=nonce, sealed=sealed, aad=aad) == b"a key set"
    flipped = bytes([sealed[0] ^ 1]) + sealed[1:]
    sealed = {"sealed": flipped, "tag": sealed[:-1] + bytes([sealed[-1] ^ 1]), "short": sealed[:15]}.get(change, sealed)
    nonce = b"\x01" * 12 if change == "nonce" else nonce
    key = key_of(16, seed=3) if change == "key" else key
    with pytest.raises(IntegrityError):
        gcm_open(algorithm, key, nonce=nonce, sealed=sealed, aad=b"contexT" if change == "aad" else aad)


def test_gcm_under_3des_is_refused():
    with pytest.raises(KeyUseError):
        gcm_seal(Algorithm.TDES, bytes(16), nonce=bytes(12), data=b"")


@given(st.binary(min_size=1, max_size=200), st.binary(min_size=1, max_size=80))
@settings(max_examples=examples(30, heavy=1_000), deadline=None)
def test_sm3_and_sm4_agree_with_gmssl(message, key):
    import gmssl_pyx

    assert sm3(message) == bytes(gmssl_pyx.sm3_hash(message))
    assert hmac_sm3(key, message) == bytes(gmssl_pyx.sm3_hmac(key, message))
    sm4_key = key_of(16, seed=len(message))
    padded = message + bytes([16 - len(message) % 16]) * (16 - len(message) % 16)  # the binding always adds PKCS#7
    assert Cipher(Algorithm.SM4, sm4_key).encrypt_cbc(padded) == bytes(
        gmssl_pyx.sm4_cbc_padding_encrypt(key=sm4_key, iv=bytes(16), plaintext=message)
    )
