"""Card keys and cryptograms against pyemv; the issuer's kept contexts; what is refused."""

import gmssl_pyx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyemv import ac, kd, sm

from shanfu.crypto import (
    PIN,
    Algorithm,
    CardAlgorithm,
    Cipher,
    IssuerCryptograms,
    SessionKey,
    encipher_script_data,
    odd_parity,
    option_b_block,
    pan_block,
    pboc_diversifier,
    pin_change_block,
    script_mac_input,
    session_key_emv_csk,
    session_key_pboc,
    udk_option_a,
    udk_option_b,
)
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from tests.budget import examples

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")

few = settings(max_examples=examples(60, heavy=5_000), deadline=None)
keys = st.binary(min_size=16, max_size=16).filter(lambda key: odd_parity(key[:8]) != odd_parity(key[8:]))
psns = st.text("0123456789", min_size=2, max_size=2)
data_of_a_tap = st.binary(min_size=1, max_size=60)
BOTH = pytest.mark.parametrize("algorithm", list(CardAlgorithm))


def pan_of(low: int, high: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=low, max_size=high)


@given(keys, pan_of(12, 19), psns)
@few
def test_option_a_agrees_with_pyemv_for_every_pan_length(imk, pan, psn):
    assert odd_parity(udk_option_a(Cipher(Algorithm.TDES, imk), pan, psn)) == kd.derive_icc_mk_a(imk, pan, psn)


@given(keys, pan_of(12, 19), psns)
@few
def test_option_b_agrees_with_pyemv(imk, pan, psn):
    assert odd_parity(udk_option_b(Cipher(Algorithm.TDES, imk), pan, psn)) == kd.derive_icc_mk_b(imk, pan, psn)


@given(keys, st.binary(min_size=8, max_size=8))
@few
def test_common_session_key_agrees_with_pyemv(udk, r):
    assert odd_parity(session_key_emv_csk(Cipher(Algorithm.TDES, udk), r)) == kd.derive_common_sk(udk, r)


@given(keys, data_of_a_tap, st.binary(min_size=2, max_size=2), st.binary(min_size=4, max_size=4), st.binary(max_size=8))
@few
def test_cryptograms_and_answers_agree_with_pyemv(key, data, arc, csu, proprietary):
    session = SessionKey(CardAlgorithm.TDES, key)
    arqc = session.cryptogram(data)
    assert arqc == ac.generate_ac(key, data, ac.PaddingType.EMV)
    assert session.arpc(arqc, arc) == ac.generate_arpc_1(key, arqc, arc)
    assert session.arpc_method_2(arqc, csu, proprietary) == ac.generate_arpc_2(key, arqc, csu, proprietary)
    assert session.script_mac(data) == sm.generate_command_mac(key, data, 4)


@given(keys, st.text("0123456789", min_size=4, max_size=12))
@few
def test_pin_change_block_agrees_with_pyemv(udk, pin):
    ours = pin_change_block(PIN(pin), udk[4:8])
    assert ours == sm.format_vis_pin_block(udk, pin)
    assert encipher_script_data(Cipher(Algorithm.TDES, udk), ours) == sm.encrypt_command_data(udk, ours, sm.EncryptionType.VISA)


@given(keys, data_of_a_tap, st.integers(0, 0xFFFF))
@few
def test_sm4_cryptogram_agrees_with_gmssl(imk, data, atc):
    """Both implementations of SM4 walk the same path from master key to cryptogram."""

    def ecb(key: bytes, block: bytes) -> bytes:
        return bytes(gmssl_pyx.sm4_cbc_padding_encrypt(key=key, iv=bytes(16), plaintext=block))[:16]

    y = pan_block("6228480000000000005", "01")
    udk = ecb(imk, y + bytes(b ^ 0xFF for b in y))
    key = ecb(udk, pboc_diversifier(atc))
    padded = data + b"\x80" + bytes(-(len(data) + 1) % 16)
    mac = bytes(gmssl_pyx.sm4_cbc_padding_encrypt(key=key, iv=bytes(16), plaintext=padded))[-32:-16]
    bank = IssuerCryptograms(CardAlgorithm.SM4)
    session = bank.session_key(Cipher(Algorithm.SM4, imk), pan="6228480000000000005", psn="01", atc=atc)
    assert session == key
    bank.verify(session, data=data, cryptogram=mac[:8])
    answer = bank.arpc(session, cryptogram=mac[:8], arc=b"00")
    assert answer == ecb(key, bytes(a ^ b for a, b in zip(mac[:8], b"00" + bytes(6), strict=True)) + bytes(8))[:8]


@BOTH
@given(st.lists(st.tuples(keys, pan_of(12, 19), psns, st.integers(0, 0xFFFF), data_of_a_tap), min_size=2, max_size=5))
@settings(max_examples=examples(20, heavy=500), deadline=None)
def test_kept_contexts_give_what_fresh_ones_give(algorithm, taps):
    bank = IssuerCryptograms(algorithm)
    for imk, pan, psn, atc, data in taps:
        master = Cipher(algorithm.cipher, imk)
        card = Cipher(algorithm.cipher, udk_option_a(master, pan, psn))
        fresh = SessionKey(algorithm, session_key_pboc(card, atc))
        arqc = fresh.cryptogram(data)
        session = bank.session_key(master, pan=pan, psn=psn, atc=atc)
        bank.verify(session, data=data, cryptogram=arqc)
        assert bank.arpc(session, cryptogram=arqc, arc=b"05") == fresh.arpc(arqc, b"05")


IMK, PAN, DATA = bytes.fromhex("F0C34A8124CEE0A91A0B034AA97D6EAC"), "6228480000000000005", bytes(range(37))


@BOTH
@pytest.mark.parametrize("change", ["pan", "psn", "atc", "data", "bit", "short", "empty", "imk"])
def test_a_false_cryptogram_is_refused(algorithm, change):
    bank, imk = IssuerCryptograms(algorithm), Cipher(algorithm.cipher, IMK)
    told = {"pan": PAN, "psn": "01", "atc": 7}
    arqc = SessionKey(algorithm, bank.session_key(imk, **told)).cryptogram(DATA)
    data = DATA[:-1] + b"\xff" if change == "data" else DATA
    told |= {"pan": {"pan": PAN[:-1] + "6"}, "psn": {"psn": "02"}, "atc": {"atc": 8}}.get(change, {})
    arqc = {"bit": bytes([arqc[0] ^ 1]) + arqc[1:], "short": arqc[:7], "empty": b""}.get(change, arqc)
    master = Cipher(algorithm.cipher, bytes(16)) if change == "imk" else imk
    with pytest.raises(IntegrityError):
        bank.verify(bank.session_key(master, **told), data=data, cryptogram=arqc)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: pan_block("62284800000000000O5", "01"),
        lambda: pan_block("6228480000000000005", "1"),
        lambda: pan_block("", ""),
        lambda: option_b_block("１２３４５６７８９０１２３４５６７", "00"),
        lambda: pboc_diversifier(0x10000),
        lambda: pboc_diversifier(-1),
        lambda: session_key_emv_csk(Cipher(Algorithm.TDES, IMK), bytes(7)),
        lambda: SessionKey(CardAlgorithm.TDES, IMK).arpc(bytes(7), b"00"),
        lambda: SessionKey(CardAlgorithm.TDES, IMK).arpc(bytes(8), b"000"),
        lambda: SessionKey(CardAlgorithm.TDES, IMK).arpc_method_2(bytes(8), bytes(3)),
        lambda: SessionKey(CardAlgorithm.TDES, IMK).arpc_method_2(bytes(8), bytes(4), bytes(9)),
        lambda: script_mac_input(bytes(4), atc=1, cryptogram=bytes(8), data=b""),
        lambda: encipher_script_data(Cipher(Algorithm.TDES, IMK), bytes(256)),
        lambda: pin_change_block(PIN("1234"), bytes(3)),
    ],
)
def test_inputs_of_a_wrong_shape_are_refused(wrong):
    with pytest.raises(DecodeError):
        wrong()


def test_a_session_key_has_16_bytes():
    for algorithm in CardAlgorithm:
        with pytest.raises(KeyUseError):
            SessionKey(algorithm, bytes(8))
