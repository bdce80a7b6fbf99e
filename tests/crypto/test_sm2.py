"""SM2 on both engines: they agree point by point, and everything changed is refused (known answers: vectors crypto_sm)."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.crypto import SM2PrivateKey, SM2PublicKey, exchange_key, sm2, sm2_curve, sm2_kdf
from shanfu.crypto.sm2_curve import GENERATOR, ORDER, PRIME, add, encode_point, multiply, multiply_sum
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from tests.budget import examples

few = settings(max_examples=examples(25, heavy=2_000), deadline=None)

KEY = SM2PrivateKey(bytes.fromhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8"))
MINUS_G = (GENERATOR[0], PRIME - GENERATOR[1])


@pytest.fixture(params=["libcrypto", "integers"])
def engine(request, monkeypatch):
    assert sm2_curve._engine() is not None  # otherwise both rows test the same
    if request.param == "integers":
        monkeypatch.setattr(sm2_curve, "_engine", lambda: None)
    return request.param


@pytest.mark.parametrize("number", [1, 2, 3, ORDER - 1, 0x123456789ABCDEF << 190])
def test_the_engines_agree(number, monkeypatch):
    system = [multiply(number), multiply(number, KEY.public._point), multiply_sum(number, 5, KEY.public._point)]
    monkeypatch.setattr(sm2_curve, "_engine", lambda: None)
    assert system == [multiply(number), multiply(number, KEY.public._point), multiply_sum(number, 5, KEY.public._point)]


def test_the_group(engine):
    assert multiply(ORDER) is None  # infinity
    assert multiply(ORDER - 1) == MINUS_G
    assert multiply_sum(1, 1, MINUS_G) is None
    assert multiply_sum(1, 1, GENERATOR) == multiply(2) == add(GENERATOR, GENERATOR)
    assert add(GENERATOR, MINUS_G) is None


SIGNATURE = KEY.sign(b"message", b"user")
R, S = SIGNATURE[:32], SIGNATURE[32:]
# fmt: off
WRONG = {  # what the verifier is given: key, message, user, signature
    "another message":   (KEY.public,                        b"messagE", b"user", SIGNATURE),
    "another user":      (KEY.public,                        b"message", b"usex", SIGNATURE),
    "another key":       (SM2PrivateKey.generate().public,   b"message", b"user", SIGNATURE),
    "halves exchanged":  (KEY.public,                        b"message", b"user", S + R),
    "one bit":           (KEY.public,                        b"message", b"user", SIGNATURE[:-1] + bytes([SIGNATURE[-1] ^ 1])),
    "r is zero":         (KEY.public,                        b"message", b"user", bytes(32) + S),
    "s is zero":         (KEY.public,                        b"message", b"user", R + bytes(32)),
    "r + s is n":        (KEY.public,                        b"message", b"user", R + (ORDER - int.from_bytes(R)).to_bytes(32)),
    "r beyond n":        (KEY.public,                        b"message", b"user", b"\xff" * 32 + S),
    "s beyond n":        (KEY.public,                        b"message", b"user", R + b"\xff" * 32),
    "short":             (KEY.public,                        b"message", b"user", SIGNATURE[:-1]),
    "long":              (KEY.public,                        b"message", b"user", SIGNATURE + b"\0"),
    "none":              (KEY.public,                        b"message", b"user", b""),
}
# fmt: on


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_signature(what, engine):
    key, message, user, signature = WRONG[what]
    with pytest.raises(IntegrityError, match="SM2 signature"):
        key.verify(message, signature, user)
    KEY.public.verify(b"message", SIGNATURE, b"user")


@pytest.mark.parametrize("at", [0, 1, 40, 66, 97, 99, -1])
def test_a_changed_ciphertext(at, engine):
    sealed = bytearray(KEY.public.encrypt(b"four"))
    assert KEY.decrypt(bytes(sealed)) == b"four"
    sealed[at] ^= 1
    with pytest.raises(IntegrityError, match="SM2 ciphertext"):
        KEY.decrypt(bytes(sealed))


@pytest.mark.parametrize("size", [0, 1, 65, 97])
def test_a_ciphertext_cut_short(size):
    with pytest.raises(IntegrityError):
        KEY.decrypt(KEY.public.encrypt(b"four")[:size])


def test_nothing_is_not_encrypted():
    with pytest.raises(DecodeError):
        KEY.public.encrypt(b"")


@pytest.mark.parametrize(
    "point",
    [
        b"",
        bytes(64),
        b"\x04" + KEY.public.point,
        KEY.public.point[:-1],
        KEY.public.point[:-1] + bytes([KEY.public.point[-1] ^ 1]),
        (GENERATOR[0] + PRIME).to_bytes(33)[-32:] + KEY.public.point[32:],
        PRIME.to_bytes(32) + bytes(32),
    ],
)
def test_points_that_are_none(point):
    with pytest.raises(DecodeError, match="SM2 point"):
        SM2PublicKey(point)


def test_libcrypto_would_refuse_such_a_point_too():
    with pytest.raises(DecodeError):
        multiply(5, (1, 1))


@pytest.mark.parametrize("number", [0, ORDER - 1, ORDER, (1 << 256) - 1])
def test_numbers_that_are_no_key(number):
    with pytest.raises(KeyUseError):
        SM2PrivateKey(number.to_bytes(32))


@pytest.mark.parametrize("nonce", [0, ORDER])
def test_numbers_that_are_no_nonce(nonce):
    for use in (KEY.sign, KEY.public.encrypt):
        with pytest.raises(KeyUseError, match="nonce"):
            use(b"m", nonce=nonce.to_bytes(32))


def test_random_numbers_are_fresh():
    assert KEY.sign(b"m") != KEY.sign(b"m")
    assert KEY.public.encrypt(b"m") != KEY.public.encrypt(b"m")


def test_an_exchange_needs_the_right_parties(engine):
    a, ra, b, rb = (SM2PrivateKey((7 * n).to_bytes(32)) for n in (1, 2, 3, 4))
    ours = exchange_key((a, ra), (b.public, rb.public), initiator=True, length=40)
    assert ours == exchange_key((b, rb), (a.public, ra.public), initiator=False, length=40)
    others = [
        exchange_key((b, rb), (a.public, ra.public), initiator=True, length=40),
        exchange_key((b, ra), (a.public, ra.public), initiator=False, length=40),
        exchange_key((b, rb), (a.public, ra.public), initiator=False, length=40, user_ids=(b"a", b"b")),
    ]
    assert ours not in others
    assert len(set(others)) == 3


def test_it_is_kept_and_shows_nothing():
    assert SM2PrivateKey(KEY.secret).public == KEY.public
    assert repr(KEY) == "SM2PrivateKey()"
    assert repr(KEY.public) == "SM2PublicKey(09F9DF31…)"
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


def test_kdf_counts_from_one_and_cuts():
    assert sm2_kdf(b"z", 40)[:32] == sm2.sm3(b"z\0\0\0\1")
    assert sm2_kdf(b"z", 40)[32:] == sm2.sm3(b"z\0\0\0\2")[:8]


def test_points_as_bytes():
    assert encode_point(GENERATOR) == SM2PrivateKey((1).to_bytes(32)).public.point


@few
@given(st.integers(1, ORDER - 2), st.binary(min_size=1, max_size=100), st.binary(max_size=30))
def test_any_key_signs_and_opens(number, message, user):
    key = SM2PrivateKey(number.to_bytes(32))
    key.public.verify(message, key.sign(message, user), user)
    assert key.decrypt(key.public.encrypt(message)) == message


@few
@given(st.binary(max_size=200))
def test_strangers_bytes_raise_one_error(data):
    with pytest.raises(IntegrityError):
        KEY.decrypt(data)
    with pytest.raises(IntegrityError):
        KEY.decrypt(b"\x04" + data, c3_last=True)
    with pytest.raises(IntegrityError):
        KEY.public.verify(b"m", data[:64])
