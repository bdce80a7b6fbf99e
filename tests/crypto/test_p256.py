"""Keys of devices: published answers, the library used independently, what is refused, and that nothing is shown."""

import copy
import hashlib
import hmac
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.crypto import (
    POINT_BYTES,
    SIGNATURE_BYTES,
    P256Key,
    agreed_session,
    hkdf,
    session_context,
    session_secret,
    unwrap_secret,
    valid_point,
    verify_signature,
    wrap_secret,
)
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from tests.budget import examples

few = settings(max_examples=examples(25, heavy=1_000), deadline=None)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
secrets = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32))

# RFC 5903 8.1: both secret numbers, both points, the agreed x
ALICE, BOB = (
    bytes.fromhex("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433"),
    bytes.fromhex("C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53"),
)
ALICE_POINT = bytes.fromhex(
    "04DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C37725811805271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3"
)
AGREED = bytes.fromhex("D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE")

# RFC 6979 A.2.5, P-256 with SHA-256, message "sample"
SIGNER = P256Key(bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721"))
SIGNATURE = bytes.fromhex(
    "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
)


def test_the_published_agreement():
    alice, bob = P256Key(ALICE), P256Key(BOB)
    assert alice.point == ALICE_POINT
    assert alice.agree(bob.point) == bob.agree(alice.point) == AGREED


def test_the_published_signature():
    verify_signature(SIGNER.point, b"sample", SIGNATURE)
    assert SIGNER.point.hex().upper().startswith("0460FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6")


def test_the_published_derivation():  # RFC 5869 A.3: neither salt nor info
    assert hkdf(b"\x0b" * 22, info=b"", length=42).hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )


def plain_hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 by HMAC alone, one block of output."""
    return hmac.digest(hmac.digest(bytes(32), secret, "sha256"), info + b"\x01", "sha256")


def plain_agree(secret: bytes, point: bytes) -> bytes:
    key = ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())
    return key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))


@given(secrets, st.binary(max_size=80))
@few
def test_another_maker_verifies_our_signature_and_we_his(secret, data):
    key = P256Key(secret)
    signature = key.sign(data)
    assert len(signature) == SIGNATURE_BYTES
    der = utils.encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    theirs = ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())
    theirs.public_key().verify(der, hashlib.sha256(data).digest(), ec.ECDSA(utils.Prehashed(SHA256())))
    r, s = utils.decode_dss_signature(theirs.sign(data, ec.ECDSA(SHA256())))
    verify_signature(key.point, data, r.to_bytes(32) + s.to_bytes(32))


@given(secrets, st.binary(max_size=200), st.binary(max_size=40))
@few
def test_another_maker_unwraps_what_we_wrap_and_we_what_he_wraps(secret, plain, context):
    key = P256Key(secret)
    wrapped = wrap_secret(key.point, plain, context=context)
    point, nonce, sealed = wrapped[:65], wrapped[65:77], wrapped[77:]
    kek = plain_hkdf(plain_agree(secret, point), b"shanfu-wrap-1" + point + key.point)
    assert AESGCM(kek).decrypt(nonce, sealed, context) == plain
    ephemeral = P256Key.generate()
    kek = plain_hkdf(plain_agree(ephemeral.secret, key.point), b"shanfu-wrap-1" + ephemeral.point + key.point)
    theirs = ephemeral.point + bytes(12) + AESGCM(kek).encrypt(bytes(12), plain, context)
    assert unwrap_secret(key, theirs, context=context) == plain


@given(secrets, secrets, st.text("0123456789abcdef", min_size=1, max_size=32))
@few
def test_both_ends_have_one_session_and_another_device_another(phone_secret, host_secret, device):
    phone, host = P256Key(phone_secret), P256Key(host_secret)
    context = session_context(device, phone=phone.point, host=host.point)
    ours = session_secret(phone, host.point, context=context)
    assert ours == session_secret(host, phone.point, context=context)
    info = b"shanfu-session-1" + device.encode() + b"/" + phone.point + host.point
    assert ours == plain_hkdf(plain_agree(phone_secret, host.point), info)
    other = session_context(device + "x", phone=phone.point, host=host.point)
    assert session_secret(phone, host.point, context=other) != ours
    sealed = agreed_session(phone, host.point, context=context).seal(bytes(12), b"body", aad=b"1")
    assert AESGCM(ours).decrypt(bytes(12), sealed, b"1") == b"body"


WRAPPED = wrap_secret(SIGNER.point, b"sixteen byte key", context=b"keys/1")


@pytest.mark.parametrize("at", range(len(WRAPPED)))
def test_a_flipped_bit_of_a_wrapped_secret_fails(at):
    changed = WRAPPED[:at] + bytes([WRAPPED[at] ^ 1 << at % 8]) + WRAPPED[at + 1 :]
    with pytest.raises(IntegrityError):
        unwrap_secret(SIGNER, changed, context=b"keys/1")


@pytest.mark.parametrize("size", [0, 1, 64, 65, 77, 92, len(WRAPPED) - 1])
def test_a_cut_wrapped_secret_fails(size):
    with pytest.raises(IntegrityError):
        unwrap_secret(SIGNER, WRAPPED[:size], context=b"keys/1")


def test_a_wrapped_secret_opens_for_its_device_in_its_context_only():
    assert unwrap_secret(SIGNER, WRAPPED, context=b"keys/1") == b"sixteen byte key"
    with pytest.raises(IntegrityError):
        unwrap_secret(SIGNER, WRAPPED, context=b"keys/2")
    with pytest.raises(IntegrityError):
        unwrap_secret(P256Key(ALICE), WRAPPED, context=b"keys/1")
    assert wrap_secret(SIGNER.point, b"sixteen byte key", context=b"keys/1")[:77] != WRAPPED[:77]


FALSE_SIGNATURES = [
    ("other data", SIGNER.point, b"Sample", SIGNATURE),
    ("another key", ALICE_POINT, b"sample", SIGNATURE),
    ("r and s exchanged", SIGNER.point, b"sample", SIGNATURE[32:] + SIGNATURE[:32]),
    ("cut", SIGNER.point, b"sample", SIGNATURE[:-1]),
    ("longer", SIGNER.point, b"sample", SIGNATURE + b"\x00"),
    ("none", SIGNER.point, b"sample", b""),
    ("zeros", SIGNER.point, b"sample", bytes(64)),
    ("r of the order", SIGNER.point, b"sample", ORDER.to_bytes(32) + SIGNATURE[32:]),
    ("all ones", SIGNER.point, b"sample", b"\xff" * 64),
]


@pytest.mark.parametrize("row", [pytest.param(row[1:], id=row[0]) for row in FALSE_SIGNATURES])
def test_false_signatures(row):
    point, data, signature = row
    with pytest.raises(IntegrityError):
        verify_signature(point, data, signature)


G_X = ALICE_POINT[1:33]
NO_POINTS = [
    ("empty", b""),
    ("infinity", b"\x00"),
    ("infinity, long", bytes(65)),
    ("compressed", (b"\x03" if ALICE_POINT[-1] & 1 else b"\x02") + G_X),
    ("hybrid", (b"\x07" if ALICE_POINT[-1] & 1 else b"\x06") + ALICE_POINT[1:]),
    ("off the curve", ALICE_POINT[:-1] + bytes([ALICE_POINT[-1] ^ 1])),
    ("beyond the field", b"\x04" + b"\xff" * 64),
    ("cut", ALICE_POINT[:-1]),
    ("longer", ALICE_POINT + b"\x00"),
]


@pytest.mark.parametrize("point", [pytest.param(point, id=what) for what, point in NO_POINTS])
def test_what_is_no_point_is_refused(point):
    assert not valid_point(point)
    for use in (
        lambda: SIGNER.agree(point),
        lambda: wrap_secret(point, b"", context=b""),
        lambda: verify_signature(point, b"sample", SIGNATURE),
    ):
        with pytest.raises(DecodeError):
            use()
    if len(point) == POINT_BYTES:
        with pytest.raises(IntegrityError):
            unwrap_secret(SIGNER, point + WRAPPED[65:], context=b"keys/1")


def test_a_point_is_one():
    assert valid_point(ALICE_POINT)


@pytest.mark.parametrize("secret", [b"", bytes(32), bytes(31), b"\x01" * 33, ORDER.to_bytes(32), b"\xff" * 32])
def test_what_is_no_secret_number_is_refused(secret):
    with pytest.raises(KeyUseError):
        P256Key(secret)


def test_generated_keys_differ_and_show_nothing():
    one, two = P256Key.generate(), P256Key.generate()
    assert one.secret != two.secret
    assert repr(one) == "P256Key()"
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            act(one)
