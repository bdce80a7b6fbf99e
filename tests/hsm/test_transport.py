"""Keys on their way: working keys under a KEK, blocks under a shared KBPK, cards' keys to personalisation."""

import pytest

from shanfu import crypto
from shanfu.crypto import BlockKey, Cipher
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from shanfu.hsm import (
    LMK,
    KeyBlock,
    KeyUsage,
    SoftHSM,
    WorkingKey,
)
from shanfu.hsm.rules import KEY_RULES
from tests.hsm.box import (
    AES,
    IMK,
    KEY,
    PAN,
    SM4,
    TDES,
    known,
)


def test_working_keys_of_the_published_sign_in(hsm):  # iso8583_working_keys vectors, the 40-byte layout
    tmk = known(hsm, KeyUsage.KEK, bytes.fromhex("CA5D92598DCA48CE8A4C76361A9269E9"))
    pik = WorkingKey(cryptogram=bytes.fromhex("6701EAD6A9AD51E51AA406E2C27FCFA9"), check=bytes.fromhex("8D0A74B8"))
    mak = WorkingKey(cryptogram=bytes.fromhex("B651F9E9BACE9AE1"), check=bytes.fromhex("AB7153CA"))
    taken = hsm.import_working_key(pik, tmk, KeyUsage.PIK, TDES)
    assert hsm.check_value(taken, 4) == pik.check
    assert hsm.check_value(hsm.import_working_key(mak, tmk, KeyUsage.MAK, TDES), 4) == mak.check
    with pytest.raises(KeyUseError):
        hsm.import_working_key(mak, tmk, KeyUsage.PIK, TDES)  # single DES never protects a PIN


@pytest.mark.parametrize(("algorithm", "kek"), [(TDES, TDES), (TDES, SM4), (TDES, AES), (SM4, SM4), (SM4, AES)])
@pytest.mark.parametrize("usage", [KeyUsage.PIK, KeyUsage.MAK])
@pytest.mark.parametrize("length", [3, 4, 8])
def test_working_keys_travel_between_two_hsms(hsm, algorithm, kek, usage, length):
    other, shared = SoftHSM(LMK.generate()), [bytes([7] * 32), bytes(range(32))]
    size = 32 if kek is AES else 16
    here, there = (box.form(KeyUsage.KEK, kek, [part[:size] for part in shared]) for box in (hsm, other))
    key = hsm.generate(usage, algorithm)
    sent = hsm.export_working_key(key, here, length)
    taken = other.import_working_key(sent, there, usage, algorithm)
    assert other.check_value(taken, 8) == hsm.check_value(key, 8)
    assert len(sent.check) == length
    with pytest.raises(KeyUseError):
        other.export_working_key(taken, there)  # what came from a peer does not go on
    for wrong in (
        WorkingKey(cryptogram=sent.cryptogram, check=bytes(length)),
        WorkingKey(cryptogram=bytes(16), check=sent.check),
    ):
        with pytest.raises(IntegrityError):
            other.import_working_key(wrong, there, usage, algorithm)
    no_check = WorkingKey(cryptogram=sent.cryptogram, check=b"")
    assert other.check_value(other.import_working_key(no_check, there, usage, algorithm)) == hsm.check_value(key)


@pytest.mark.parametrize("size", [0, 7, 15, 17, 32])
def test_working_keys_of_a_wrong_length_are_refused(hsm, size):
    kek = known(hsm, KeyUsage.KEK)
    with pytest.raises((DecodeError, KeyUseError)):
        hsm.import_working_key(WorkingKey(cryptogram=bytes(size), check=b""), kek, KeyUsage.PIK, TDES)


def test_no_key_travels_under_a_weaker_one(hsm):
    kek, sm4 = known(hsm, KeyUsage.KEK), hsm.generate(KeyUsage.PIK, SM4)
    with pytest.raises(KeyUseError, match="weaker"):
        hsm.export_working_key(sm4, kek)
    with pytest.raises(KeyUseError, match="weaker"):
        hsm.import_working_key(WorkingKey(cryptogram=KEY, check=b""), kek, KeyUsage.PIK, SM4)
    with pytest.raises(KeyUseError, match="no working key"):
        hsm.import_working_key(WorkingKey(cryptogram=KEY, check=b""), kek, KeyUsage.KEK, TDES)


def shared_kbpk(hsm: SoftHSM, other: SoftHSM) -> tuple[KeyBlock, KeyBlock]:
    parts = [bytes(range(32)), b"\x77" * 32]
    return hsm.form(KeyUsage.KBPK, AES, parts), other.form(KeyUsage.KBPK, AES, parts)


def test_blocks_travel_between_two_hsms(hsm):
    other = SoftHSM(LMK.generate())
    here, there = shared_kbpk(hsm, other)
    for usage in (KeyUsage.KEK, KeyUsage.PIK, KeyUsage.MAK):
        for algorithm in KEY_RULES[usage].algorithms:
            key = hsm.generate(usage, algorithm)
            block = hsm.export_block(key, here)
            taken = other.import_block(block, there)
            assert other.check_value(taken, 8) == hsm.check_value(key, 8)
            assert taken[5:9] == key[5:9]
            with pytest.raises(KeyUseError):
                other.export_block(taken, there)
            for at in (0, 3, 6, 8, 11, 20, len(block) - 1):
                with pytest.raises((DecodeError, IntegrityError)):
                    other.import_block(block[:at] + ("1" if block[at] != "1" else "2") + block[at + 1 :], there)


@pytest.mark.parametrize("usage", [u for u, rule in KEY_RULES.items() if rule.exportability == "N"])
def test_keys_that_never_leave(hsm, usage):
    kbpk = hsm.generate(KeyUsage.KBPK, AES)
    for algorithm in KEY_RULES[usage].algorithms:
        with pytest.raises(KeyUseError, match="not exportable"):
            hsm.export_block(hsm.generate(usage, algorithm), kbpk)


@pytest.mark.parametrize(
    ("header", "size"),
    [(("P0", "T", "E"), 16), (("B0", "T", "X"), 16), (("E0", "A", "X"), 16), (("P0", "D", "B"), 8), (("P0", "T", "B"), 8)],
)
def test_foreign_blocks_of_another_make_are_refused(hsm, header, size):
    """A peer may seal what it likes under the shared key; only usages, modes and lengths that we work with come in."""
    kbpk = hsm.form(KeyUsage.KBPK, AES, [bytes(32), b"\x77" * 32])
    usage, algorithm, mode = header
    text = crypto.KeyHeader(usage=usage, algorithm=algorithm, mode=mode)
    key = bytes(range(size))
    block = BlockKey(b"\x77" * 32).wrap(text, key, pad=bytes(crypto.pad_bytes(text, key)))
    with pytest.raises(KeyUseError):
        hsm.import_block(block, kbpk)


@pytest.mark.parametrize("algorithm", [TDES, SM4])
def test_card_keys_leave_under_the_personalisation_key_only(hsm, algorithm):
    kbpk = hsm.form(KeyUsage.KBPK, AES, [bytes(32), b"\x77" * 32])
    imk = Cipher(getattr(crypto.Algorithm, algorithm.name), IMK)
    expected = crypto.udk_option_a(imk, PAN, "01")
    headers = {}
    for usage in (KeyUsage.IMK_AC, KeyUsage.IMK_MAC, KeyUsage.IMK_ENC):
        block = hsm.derive_card_key(known(hsm, usage, IMK, algorithm), kbpk, pan=PAN, psn="01")
        header, key = BlockKey(b"\x77" * 32).unwrap(block)
        assert (key, header.exportability, header.algorithm) == (expected, "N", algorithm.value)
        headers[usage] = header.usage, header.mode
    assert len(set(headers.values())) == 3  # a card's MAC key can never pass for its AC key
    assert headers[KeyUsage.IMK_AC] == KeyUsage.UDK_AC.value
