"""RSA without padding: both engines agree, a published card's key works, false keys and disturbed results are refused."""

import hashlib
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa as others
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.crypto import RSAPrivateKey, RSAPublicKey, rsa
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from tests.budget import examples

few = settings(max_examples=examples(25, heavy=2_000), deadline=None)

# vectors emv_oda_unionpay_testcard, icc-private-key-001: a published test card, DGIs 8201 to 8205
P = "FC03512FED42394B442611AAC061B66523EC90FB6745D31297CA310E1F6833FFFFCC5ED34BF8AC3B52C7AA754FCF298B"
Q = "C8DE1801D80CDFCB0FC2FE4E6C7B1DCB99C9FBED69F4B9EA3EEAD4166BDE9CA582E587A870D7823EF64D73C320F5309F"
DP = "24E27767845A44F87728FB3CFA9B528ECB0B3CCD0EF871442F63307AD8ADEFAE704A0136FBCF91A5BD1FEC1AEF6B6AB1"
MODULUS = (
    "C5BD39EFF93AC495A771653D66341F660E8DF31237C0A28729661C45C9F4384CF26F687B69FB717C7595B4D26B533459"
    "BC1FC4367623654C29BAEF473FD085C191EC9626E579E2333322944AC7C31E850928FD8B098289DD917D3A288B7BDD55"
)
BLOCK = b"\x6a" + bytes(range(94)) + b"\xbc"


def crt(**changed: bytes) -> dict[str, bytes]:
    p, q = int(P, 16), int(Q, 16)
    dq = pow(65_537, -1, q - 1).to_bytes(48)
    parts = {
        "p": bytes.fromhex(P),
        "q": bytes.fromhex(Q),
        "dp": bytes.fromhex(DP),
        "dq": dq,
        "q_inv": pow(q, -1, p).to_bytes(48),
    }
    return parts | changed


@pytest.fixture(params=["libcrypto", "integers"])
def key(request, monkeypatch):
    if request.param == "integers":
        monkeypatch.setattr(rsa, "_library", lambda: None)
    made = RSAPrivateKey(**crt())
    assert (made._engine is None) == (request.param == "integers")
    return made


def test_a_published_cards_key(key):
    assert key.public == RSAPublicKey(bytes.fromhex(MODULUS), b"\x01\x00\x01")
    signature = key.sign(BLOCK.ljust(96, b"\xbb"))
    n, p, q = int(MODULUS, 16), int(P, 16), int(Q, 16)
    assert int.from_bytes(signature) == pow(int.from_bytes(BLOCK), pow(65_537, -1, (p - 1) * (q - 1)), n)
    assert key.public.recover(signature) == BLOCK
    assert key.crt == tuple(crt().values())


def test_it_is_kept_and_read_again(key):
    again = RSAPrivateKey.decode(key.encode())
    assert (again.public, again.encode(), again.sign(BLOCK)) == (key.public, key.encode(), key.sign(BLOCK))


@pytest.mark.parametrize("exponent", [b"\x03", b"\x01\x00\x01"])
def test_made_keys(exponent):
    made = RSAPrivateKey.generate(1152, exponent)
    block = b"\x6a".ljust(144, b"\xbc")
    assert (made.public.size, made.public.exponent, made.public.recover(made.sign(block))) == (144, exponent, block)


@pytest.mark.parametrize(
    "changed",
    [
        {"p": b"\x05"},
        {"q": bytes.fromhex(P)},
        {"dp": bytes.fromhex(DP)[:-1] + b"\xb3"},
        {"dq": b"\x03"},
        {"q_inv": b"\x01"},
        {"p": b"", "q": b""},
    ],
    ids=str,
)
def test_numbers_that_do_not_belong_together(changed):
    with pytest.raises(KeyUseError, match="do not belong together"):
        RSAPrivateKey(**crt(**changed))


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 100, -1])
def test_an_encoding_cut_short(cut):
    with pytest.raises(KeyUseError):
        RSAPrivateKey.decode(RSAPrivateKey(**crt()).encode()[:cut])


@pytest.mark.parametrize(
    ("modulus", "exponent"),
    [
        (MODULUS[:-2] + "54", "010001"),  # even
        ("00" + MODULUS, "03"),
        ("45" + MODULUS[2:], "03"),  # B2.1: the leftmost bit is one
        ("FF" * 63, "03"),
        ("FF" * 257, "03"),
        ("", "03"),
        (MODULUS, "02"),
        (MODULUS, "0003"),
        (MODULUS, ""),
    ],
)
def test_public_keys_that_are_none(modulus, exponent):
    with pytest.raises(DecodeError, match="RSA public key"):
        RSAPublicKey(bytes.fromhex(modulus), bytes.fromhex(exponent))


@pytest.mark.parametrize("number", [bytes(95), bytes(97), b"\xff" * 96, b""], ids=["short", "long", "great", "empty"])
def test_a_number_that_is_no_signature_or_block(key, number):
    with pytest.raises(DecodeError):
        key.public.recover(number)
    with pytest.raises(DecodeError):
        key.sign(number)


def test_a_disturbed_result_is_never_given_out(key, monkeypatch):
    # one wrong CRT half: gcd(result^e - block, n) would be a factor
    good = key.sign(BLOCK)
    p, q, dp, dq, q_inv = key._parts
    object.__setattr__(key, "_parts", (p, q, dp ^ 2, dq, q_inv))
    monkeypatch.setattr(key, "_engine", None)
    with pytest.raises(IntegrityError, match="disturbed"):
        key.sign(BLOCK)
    assert good


def test_it_shows_nothing(key):
    assert repr(key) == "RSAPrivateKey(768 bits)"
    assert repr(key.public) == "RSAPublicKey(768 bits, exponent 65537)"
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_sizes_we_do_not_make():
    for bits, exponent in ((512, b"\x03"), (2056, b"\x03"), (1025, b"\x03"), (1024, b"\x05")):
        with pytest.raises(KeyUseError):
            RSAPrivateKey.generate(bits, exponent)


def test_another_librarys_signature_opens():
    """PKCS #1 is padding around the same arithmetic: 00 01 FF … 00 and a digest come out of it."""
    key = others.generate_private_key(3, 1024)
    numbers = key.public_key().public_numbers()
    public = RSAPublicKey(numbers.n.to_bytes(128), b"\x03")
    block = public.recover(key.sign(b"data", padding.PKCS1v15(), SHA256()))
    assert block.startswith(b"\0\1" + b"\xff" * 74)
    assert block.endswith(hashlib.sha256(b"data").digest())


KEPT = RSAPrivateKey(**crt())


@few
@given(st.integers(0, int(MODULUS, 16) - 1))
def test_any_block_comes_back_and_both_engines_agree(number):
    block = number.to_bytes(96)
    signature = KEPT.sign(block)
    assert signature == KEPT._compute(number)
    assert KEPT.public.recover(signature) == block


@few
@given(st.integers(0, len(KEPT.encode()) - 1), st.integers(1, 255))
def test_a_changed_encoding_is_no_key(at, mask):
    der = bytearray(KEPT.encode())
    der[at] ^= mask
    with pytest.raises(KeyUseError):
        RSAPrivateKey.decode(bytes(der))


@few
@given(st.binary(max_size=300))
def test_bytes_that_are_no_key(data):
    with pytest.raises(KeyUseError):
        RSAPrivateKey.decode(data)
