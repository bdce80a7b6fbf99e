"""PIN blocks: round trips, one answer for every fault, the translation rules, PVV, offsets and card codes."""

import psec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.crypto import (
    PIN,
    VARIANTS,
    Algorithm,
    Cipher,
    PinFormat,
    card_code,
    check_dec_table,
    cvv,
    dcvv,
    decimalise,
    decipher_pin,
    decode_block,
    encipher_pin,
    encode_block,
    ibm3624_natural,
    ibm3624_offset,
    ibm3624_pin,
    pan_field,
    translation_refusal,
    verify_digits,
    visa_pvv,
)
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from tests.budget import examples

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")

KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
PAN = "6228480000000000005"
few = settings(max_examples=examples(60, heavy=5_000), deadline=None)
pins = st.text("0123456789", min_size=4, max_size=12).map(PIN)
pans = st.text("0123456789", min_size=12, max_size=19)
fills = st.text("ABCDEF", min_size=16, max_size=16)
every_form = pytest.mark.parametrize("form", list(PinFormat))


def cipher_for(form: PinFormat, key: bytes = KEY) -> Cipher:
    return Cipher(form.cipher, key)


@every_form
@given(pin=pins, pan=pans, fill=fills)
@few
def test_round_trip_under_a_key(form, pin, pan, fill):
    cipher = cipher_for(form)
    block = encipher_pin(cipher, form, pin, pan=pan, fill=fill)
    assert len(block) == cipher.block_bytes
    assert decipher_pin(cipher, form, block, pan=pan) == pin


@given(pins, pans)
@few
def test_psec_reads_what_we_write(pin, pan):
    pan = pan.rjust(13, "4")
    assert encode_block(PinFormat.ISO0, pin, pan=pan) == psec.pinblock.encode_pinblock_iso_0(pin.digits, pan)
    block3 = encode_block(PinFormat.ISO3, pin, pan=pan, fill="ABCDEFABCDEFABCD")
    assert psec.pinblock.decode_pinblock_iso_3(block3, pan) == pin.digits
    assert decode_block(PinFormat.ISO3, psec.pinblock.encode_pinblock_iso_3(pin.digits, pan), pan=pan) == pin
    theirs = psec.pinblock.encipher_pinblock_iso_4(KEY, pin.digits, pan)
    assert decipher_pin(Cipher(Algorithm.AES, KEY), PinFormat.ISO4, theirs, pan=pan) == pin


# One clear block a line: what is wrong with it.
FAULTY = [
    ("another control nibble", PinFormat.ISO0, "1412345FFFFFFFFF"),
    ("length 0", PinFormat.ISO0, "00FFFFFFFFFFFFFF"),
    ("length 3", PinFormat.ISO0, "03123FFFFFFFFFFF"),
    ("length 13", PinFormat.ISO0, "0D1234567890123F"),
    ("length 15", PinFormat.ISO0, "0F12345678901234"),
    ("a letter among the digits", PinFormat.ISO0, "04123AFFFFFFFFFF"),
    ("a digit in the fill", PinFormat.ISO0, "041234FFFFFFFFF0"),
    ("a digit in the fill of 3", PinFormat.ISO3, "341234ABCDEF0BCD"),
    ("control of 0 in 3", PinFormat.ISO3, "041234ABCDEFABCD"),
    ("control of 0 in 1", PinFormat.ISO1, "041234ABCDEFABCD"),
    ("control of 2", PinFormat.X98_NO_PAN, "241234FFFFFFFFFF"),
    ("fill of SM4", PinFormat.SM4_X98, "041234FFFFFFFFFFFFFFFFFFFFFFFFF0"),
    ("SM4 length", PinFormat.SM4_NO_PAN, "0E1234FFFFFFFFFFFFFFFFFFFFFFFFFF"),
    ("8 bytes for SM4", PinFormat.SM4_X98, "041234FFFFFFFFFF"),
    ("16 bytes for 3DES", PinFormat.ISO0, "041234FFFFFFFFFFFFFFFFFFFFFFFFFF"),
    ("nothing", PinFormat.ISO0, ""),
]


@pytest.mark.parametrize(("form", "clear"), [pytest.param(f, c, id=what) for what, f, c in FAULTY])
def test_every_fault_of_a_block_has_the_same_answer(form, clear):
    block = bytearray.fromhex(clear)
    if form.needs_pan and len(block) >= 8:
        field = pan_field(PAN)
        block[-8:] = bytes(a ^ b for a, b in zip(block[-8:], field, strict=True))
    with pytest.raises(DecodeError) as first:
        decode_block(form, bytes(block), pan=PAN)
    with pytest.raises(DecodeError) as other:
        decipher_pin(cipher_for(form), form, bytes(cipher_for(form).block_bytes), pan=PAN)
    assert str(first.value) == str(other.value)
    assert vars(first.value) == vars(other.value)
    assert first.value.__cause__ is None


@given(st.binary(max_size=20))
@settings(max_examples=examples(60, heavy=20_000), deadline=None)
def test_any_bytes_are_a_pin_or_the_one_answer(block):
    cipher = Cipher(Algorithm.TDES, KEY)
    try:
        pin = decipher_pin(cipher, PinFormat.ISO0, block, pan=PAN)
    except DecodeError:
        return  # that all refusals are alike is the test above
    assert encipher_pin(cipher, PinFormat.ISO0, pin, pan=PAN) == block


@pytest.mark.parametrize("digits", ["", "123", "1234567890123", "12a4", "１２３４", "-123", "12 34"])
def test_a_pin_is_4_to_12_digits(digits):
    with pytest.raises(DecodeError) as caught:
        PIN(digits)
    assert not digits or digits not in str(caught.value)


@pytest.mark.parametrize("pan", ["", "1" * 11, "1" * 20, "62284800000O0000005"])
def test_a_pan_is_12_to_19_digits(pan):
    with pytest.raises(DecodeError):
        pan_field(pan)


def test_a_format_belongs_to_its_cipher():
    for form in PinFormat:
        other = Algorithm.AES if form.cipher is not Algorithm.AES else Algorithm.SM4
        with pytest.raises(KeyUseError):
            encipher_pin(Cipher(other, KEY), form, PIN("1234"), pan=PAN, fill="A" * 16)
        with pytest.raises(KeyUseError):
            decipher_pin(Cipher(other, KEY), form, bytes(16), pan=PAN)
    with pytest.raises(KeyUseError):
        encode_block(PinFormat.ISO4, PIN("1234"), pan=PAN)
    with pytest.raises(KeyUseError):
        decode_block(PinFormat.ISO4, bytes(16), pan=PAN)


@pytest.mark.parametrize(
    ("form", "fill"),
    [
        (PinFormat.ISO1, ""),
        (PinFormat.ISO1, "A" * 9),
        (PinFormat.ISO3, "0" * 16),
        (PinFormat.ISO3, "A" * 9),
        (PinFormat.ISO4, "A" * 15),
    ],
)
def test_missing_or_wrong_fill_is_refused(form, fill):
    with pytest.raises(DecodeError):
        encipher_pin(cipher_for(form), form, PIN("1234"), pan=PAN, fill=fill)


# from, to, same PAN, downgrade allowed: may it be?
TRANSLATIONS = [
    ("iso0", "iso0", True, False, "yes"),
    ("iso0", "iso3", True, False, "yes"),
    ("iso3", "iso0", True, False, "yes"),
    ("iso0", "iso3", False, False, "PAN would change"),
    ("iso0", "iso1", True, False, "binding"),
    ("iso3", "iso1", True, False, "binding"),
    ("iso0", "x98-no-pan", True, False, "binding"),
    ("iso1", "iso0", True, False, "yes"),
    ("iso1", "iso3", True, False, "yes"),
    ("x98-no-pan", "iso0", True, False, "yes"),
    ("iso0", "iso4", True, False, "yes"),
    ("iso0", "sm4-x98", True, False, "yes"),
    ("sm4-x98", "iso0", True, False, "downgrade"),
    ("sm4-x98", "iso0", True, True, "yes"),
    ("iso4", "iso0", True, False, "downgrade"),
    ("iso4", "sm4-x98", True, False, "yes"),
]


@pytest.mark.parametrize(("source", "target", "same_pan", "downgrade", "answer"), TRANSLATIONS)
def test_translation_rules(source, target, same_pan, downgrade, answer):
    refusal = translation_refusal(PinFormat(source), PinFormat(target), same_pan=same_pan, downgrade_allowed=downgrade)
    assert (refusal == "") if answer == "yes" else (answer in refusal)


@given(pins, pans.map(lambda pan: pan.rjust(13, "4")), st.integers(1, 6))
@few
def test_pvv_and_codes_agree_with_psec(pin, pan, pvki):
    assert visa_pvv(Cipher(Algorithm.TDES, KEY), pin, pan=pan, pvki=pvki) == psec.pin.generate_visa_pvv(
        KEY, str(pvki), pin.digits[:4], pan
    )
    theirs = psec.cvv.generate_cvv(KEY, pan, "2912", "201")  # psec does not scan a second time when digits are too few
    assert cvv(KEY, pan=pan, expiry="2912", service_code="201").startswith(theirs)


@given(pins, st.text("0123456789", min_size=16, max_size=16))
@few
def test_ibm3624_agrees_with_psec_and_comes_back(pin, pan):
    pvk, table = Cipher(Algorithm.TDES, KEY), "0123456789012345"
    natural = ibm3624_natural(pvk, validation_data=pan[2:14], table=table, length=len(pin.digits))
    offset = ibm3624_offset(natural, pin)
    assert offset == psec.pin.generate_ibm3624_offset(KEY, table, pin.digits, pan, 2, 12, "F")
    assert ibm3624_pin(natural, offset) == pin


@pytest.mark.parametrize("table", ["0" * 16, "0123456012345601", "0000001234567892", "012345678901234", "0123456789ABCDEF", ""])
def test_a_decimalisation_table_that_leaks_is_refused(table):
    with pytest.raises(DecodeError):
        check_dec_table(table)


def test_refusals_of_verification_values():
    pvk = Cipher(Algorithm.TDES, KEY)
    for wrong in ({"pan": "1" * 11, "pvki": 1}, {"pan": PAN, "pvki": 10}, {"pan": "x" * 16, "pvki": 1}):
        with pytest.raises(DecodeError):
            visa_pvv(pvk, PIN("1234"), **wrong)
    with pytest.raises(DecodeError):
        ibm3624_offset("123", PIN("1234"))
    for data, length in (("xyz1", 4), ("123", 4), ("1234", 13)):
        with pytest.raises(DecodeError):
            ibm3624_natural(pvk, validation_data=data, table="0123456789012345", length=length)
    for expiry, code in (("29", "201"), ("2912", "20"), ("29l2", "201")):
        with pytest.raises(DecodeError):
            cvv(KEY, pan=PAN, expiry=expiry, service_code=code)
    with pytest.raises(KeyUseError):
        cvv(KEY[:8], pan=PAN, expiry="2912", service_code="201")
    verify_digits("561", "561", what="CVN")
    with pytest.raises(IntegrityError):
        verify_digits("561", "562", what="CVN")


def test_the_second_scan_takes_letters_minus_ten():
    assert decimalise(bytes.fromhex("FFFFFFFFFFFFFF1A"), 4) == "1555"


def test_the_dynamic_code_moves_with_the_atc():
    codes = {dcvv(KEY, pan=PAN, expiry="2912", service_code="201", atc=atc) for atc in range(40)}
    assert len(codes) > 30
    assert dcvv(KEY, pan=PAN, expiry="2912", service_code="201", atc=7) == cvv(
        KEY, pan="0007" + PAN[4:], expiry="2912", service_code="201"
    )
    with pytest.raises(DecodeError):
        dcvv(KEY, pan=PAN, expiry="2912", service_code="201", atc=0x10000)


# kind of code: service code and expiry that are hashed when the track says 2912 and 201
CODES = [
    ("cvn", "201", "2912"),
    ("cvv", "201", "2912"),
    ("icvv", "999", "2912"),
    ("cvn2", "000", "1229"),
    ("cvv2", "000", "1229"),
]


@pytest.mark.parametrize(("variant", "service_code", "expiry"), CODES)
def test_the_kinds_of_card_code(variant, service_code, expiry):
    code = card_code(variant, KEY, pan=PAN, expiry_yymm="2912", service_code="201")
    assert code == psec.cvv.generate_cvv(KEY, PAN, expiry, service_code)


def test_every_kind_of_card_code_is_tried():
    assert {variant for variant, *_ in CODES} == set(VARIANTS)
