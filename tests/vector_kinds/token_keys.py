"""Vector kinds of what a phone's keys are made of: limited-use and single-use keys, their index, and a token's names."""

from datetime import UTC, datetime

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
    udk_option_a,
)
from shanfu.errors import DecodeError
from shanfu.pan import PAN, luhn_digit
from shanfu.tokens import PAR, TRID, KeyScheme, key_index_bytes, key_index_now, key_index_text
from tests.vector_kinds.registry import Values, kind


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def up(data: bytes) -> str:
    return data.hex().upper()


def tdes(key: bytes | str) -> Cipher:
    return Cipher(Algorithm.TDES, raw(key) if isinstance(key, str) else key)


def visa_luk_mac(key: bytes, data: bytes) -> str:
    """The cryptogram of a phone that MACs directly under its limited-use key."""
    return up(SessionKey(CardAlgorithm.TDES, cryptogram_key(KeyScheme.VISA_LUK, key, 1)).cryptogram(data))


@kind("luk", "udk account_parameter_index imk token_pan psn", "left_block right_block luk")
def limited_use_key(v: Values) -> Values:
    digits = v["account_parameter_index"]
    if "imk" in v:
        assert up(odd_parity(udk_option_a(tdes(v["imk"]), v["token_pan"], v["psn"]))) == v["udk"]
    left, right = luk_blocks(digits)
    key = luk(tdes(v["udk"]), digits)
    if len(digits) == 7:  # the primitive takes any digits, the scheme an index
        assert derive_key(KeyScheme.VISA_LUK, tdes(v["udk"]), key_index_bytes(digits)) == key
    return {"left_block": up(left), "right_block": up(right), "luk": up(key)}


@kind("qvsdc_ac_with_luk", "luk terminal_data icc_data", "application_cryptogram")
def qvsdc_cryptogram(v: Values) -> Values:
    return {"application_cryptogram": visa_luk_mac(raw(v["luk"]), raw(v["terminal_data"] + v["icc_data"]))}


@kind("msd_verification_value", "luk atc device_type_block", "block value")
def magnetic_stripe_value(v: Values) -> Values:
    block = raw(v["device_type_block"])
    return {
        "block": up(raw(v["atc"]) + block[2:]),
        "value": msd_verification_value(tdes(v["luk"]), int(v["atc"], 16), block),
    }


@kind("account_parameter_index", "utc counter_in_hour", "index")
def index_of_an_hour(v: Values) -> Values:
    moment = datetime.fromisoformat(v["utc"])
    at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    index = key_index_now(round(at.timestamp() * 1000), v["counter_in_hour"])
    assert key_index_text(key_index_bytes(index)) == index
    return {"index": index}


@kind("visa_cvn43_luk", "udk yhhhhcc sample_mac_input", "luk sample_ac")
def visa_reference_luk(v: Values) -> Values:
    key = derive_key(KeyScheme.VISA_LUK, tdes(v["udk"]), key_index_bytes(v["yhhhhcc"]))
    return {"luk": up(key), "sample_ac": visa_luk_mac(key, raw(v["sample_mac_input"]))}


@kind(
    "emv_csk_per_atc",
    "imk token_pan psn atc",
    "card_master_key left_input right_input session_key_raw session_key_odd_parity",
)
def single_use_key(v: Values) -> Values:
    udk = odd_parity(udk_option_a(tdes(v["imk"]), v["token_pan"], v["psn"]))
    atc = raw(v["atc"])
    key = derive_key(KeyScheme.SUK, tdes(udk), atc)
    return {
        "card_master_key": up(udk),
        "left_input": up(atc + b"\xf0" + bytes(5)),
        "right_input": up(atc + b"\x0f" + bytes(5)),
        "session_key_raw": up(key),
        "session_key_odd_parity": up(odd_parity(key)),
    }


@kind("token_requestor_id", "value", "valid tsp_code requestor_part")
def requestor_id(v: Values) -> Values:
    try:
        trid = TRID(v["value"])
    except DecodeError:
        return {"valid": False, "tsp_code": None, "requestor_part": None}
    return {"valid": True, "tsp_code": trid.tsp_code, "requestor_part": trid.requestor}


@kind("payment_account_reference", "value", "valid bin_controller_id")
def account_reference(v: Values) -> Values:
    try:
        par = PAR(v["value"])
    except DecodeError:
        return {"valid": False, "bin_controller_id": None}
    return {"valid": True, "bin_controller_id": par.bin_controller}


@kind("token_luhn", "token payload", "valid check_digit")
def check_digit(v: Values) -> Values:
    payload = v.get("payload", v["token"][:-1])
    return {"valid": PAN(v["token"]).luhn_ok and v["token"][:-1] == payload, "check_digit": luhn_digit(payload)}
