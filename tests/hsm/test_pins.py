"""PINs: translated between keys and formats, compared with a PVV, one answer for what cannot be read."""

import pytest

from shanfu import crypto
from shanfu.crypto import PIN, Cipher
from shanfu.errors import DecodeError, KeyUseError
from shanfu.hsm import (
    KeyUsage,
    PINCheck,
    PINTranslation,
    PINVerdict,
    SoftHSM,
)
from tests.hsm.box import (
    CIPHER,
    IMK,
    ISO_0,
    ISO_1,
    ISO_3,
    KEY,
    LMKEY,
    NO_PAN,
    PAN,
    SM4,
    SM4_X98,
    TDES,
    known,
    pin_block,
    translation,
)


@pytest.mark.parametrize("form", [ISO_1, ISO_3])
def test_random_fill_is_random(hsm, form):
    job = translation(hsm, form, form)
    assert len(set(hsm.translate_pins([job] * 20))) == 20


@pytest.mark.parametrize(("source", "target"), [(ISO_0, ISO_1), (ISO_3, ISO_1), (ISO_0, NO_PAN), (SM4_X98, ISO_0)])
def test_forbidden_translations(hsm, source, target):
    with pytest.raises(KeyUseError):
        hsm.translate_pins([translation(hsm, source, target)])


def test_sm4_to_3des_by_policy_only():
    hsm = SoftHSM(LMKEY, pin_downgrade=True)
    (block,) = hsm.translate_pins([translation(hsm, SM4_X98, ISO_0)])
    assert block == pin_block(ISO_0, KEY[::-1])


def test_the_published_translation_to_sm4(hsm):  # crypto_pin vectors, pin-translate-iso0-to-sm4-001
    job = PINTranslation(
        block=bytes.fromhex("2B7072E4573C9820"),
        pan="5826718084287563624",
        from_key=known(hsm, KeyUsage.PIK, bytes.fromhex("893EB3B354A1D391D3CE68048F0294C8")),
        to_key=known(hsm, KeyUsage.PIK, bytes.fromhex("B9E09A2C24054D927531F7A23A86614D"), SM4),
        to_format=SM4_X98,
    )
    assert hsm.translate_pins([job]) == [bytes.fromhex("6DE915426D6AD179D4597246A71E8B25")]


UNREADABLE = [
    ("another PAN", {"pan": "6228480000000100005"}),
    ("a random block", {"block": bytes(8)}),
    ("a short block", {"block": bytes(7)}),
    ("no block", {"block": b""}),
    ("a long block", {"block": bytes(16)}),
    ("not a PAN", {"pan": "12"}),
]


@pytest.mark.parametrize("changes", [pytest.param(c, id=what) for what, c in UNREADABLE])
def test_what_cannot_be_read_has_one_answer(hsm, changes):
    good = translation(hsm, ISO_0, ISO_0)
    bad = translation(hsm, ISO_0, ISO_0, **changes)
    first, none, last = hsm.translate_pins([good, bad, good])
    assert (first, none) == (last, None)
    assert first is not None
    check = {"key": bad.from_key, "pvk": known(hsm, KeyUsage.PVK), "pvv": "0000", "block": bad.block, "pan": bad.pan}
    assert hsm.verify_pins([PINCheck(**check)]) == [PINVerdict.UNREADABLE]


@pytest.mark.parametrize(("pin", "verdict"), [("123456", PINVerdict.RIGHT), ("123556", PINVerdict.WRONG)])
@pytest.mark.parametrize("form", [ISO_0, ISO_3, SM4_X98, NO_PAN])
def test_a_pin_is_checked_against_its_pvv(hsm, pin, verdict, form):
    pik, pvk = known(hsm, KeyUsage.PIK, KEY, CIPHER.get(form, TDES)), known(hsm, KeyUsage.PVK, IMK)
    common = {"key": pik, "pvk": pvk, "pan": PAN, "format": form, "pvki": "1"}
    pvv = hsm.make_pvv(PINCheck(block=pin_block(form, KEY), pvv="", **common))
    assert pvv == crypto.visa_pvv(Cipher(crypto.Algorithm.TDES, IMK), PIN("123456"), pan=PAN, pvki=1)
    check = PINCheck(block=pin_block(form, KEY, pin), pvv=pvv, **common)
    assert hsm.verify_pins([check]) == [verdict]


def test_make_pvv_refuses_an_unreadable_block_and_a_strange_index(hsm):
    fields = {"key": known(hsm, KeyUsage.PIK), "pvk": known(hsm, KeyUsage.PVK), "pan": PAN, "pvv": ""}
    with pytest.raises(DecodeError):
        hsm.make_pvv(PINCheck(block=bytes(8), **fields))
    with pytest.raises(KeyUseError):
        hsm.make_pvv(PINCheck(block=pin_block(ISO_0, KEY), pvki="x", **fields))
