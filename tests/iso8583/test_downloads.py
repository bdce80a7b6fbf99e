"""DE62 of downloads: a published key byte for byte, records there and back, everything that can be wrong with them."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.errors import DecodeError, ProtocolError
from shanfu.iso8583 import (
    POS,
    USES,
    AIDRecord,
    CAKeyName,
    CAKeyRecord,
    Message,
    describe,
    encode_aid,
    encode_aid_name,
    encode_ca_key,
    encode_ca_key_list,
    encode_ca_key_name,
    encode_query,
    parse_aid,
    parse_aid_list,
    parse_aid_name,
    parse_ca_key,
    parse_ca_key_list,
    parse_ca_key_name,
    parse_query,
    use_of,
)
from tests.budget import examples

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "emv_capk_unionpay.json").read_text())["cases"]
PUBLISHED = {case["id"]: case for case in CASES if "pos_download_tlv_example" in case}
RID = bytes.fromhex("A000000333")
AID = AIDRecord(
    aid=RID + b"\x01\x01\x01",
    tac_default=bytes.fromhex("D84000A800"),
    tac_online=bytes.fromhex("D84004F800"),
    tac_denial=bytes.fromhex("0010000000"),
    selection=0,
    version=b"\x00\x30",
    floor_minor=0,
    threshold_minor=500,
    max_percent=99,
    target_percent=5,
    ddol=bytes.fromhex("9F3704"),
    online_pin=1,
    cash_limit_minor=100_000,
    contactless_floor_minor=0,
    contactless_limit_minor=100_000_001,
    cvm_limit_minor=100_001,
)
AID_TLV = (
    "9F0608A000000333010101DF0101009F08020030DF1105D84000A800DF1205D84004F800DF130500100000009F1B0400000000DF1504000001F4"
    "DF160199DF170105DF14039F3704DF1801019F7B06000000100000DF1906000000000000DF2006000100000001DF2106000000100001"
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_key(name: str) -> None:
    case = PUBLISHED[name]
    raw = bytes.fromhex(case["pos_download_tlv_example"])
    key = parse_ca_key(b"1" + raw)
    assert key is not None
    assert (key.rid, key.index, key.expires) == (RID, int(case["index"], 16), "20301231")
    assert (key.modulus.hex().upper(), key.exponent.hex(), key.checksum.hex().upper()) == (
        case["modulus"],
        case["exponent"],
        case["sha1_checksum"],
    )
    assert encode_ca_key(key) == b"1" + raw


def test_the_parameters_of_an_application() -> None:
    assert encode_aid(AID).hex().upper() == "31" + AID_TLV
    assert parse_aid(bytes.fromhex("31" + AID_TLV)) == AID
    few = AIDRecord(aid=RID, tac_default=bytes(5), tac_online=bytes(5), tac_denial=bytes(5))
    assert parse_aid(encode_aid(few)) == few  # what was not told is not told


def test_an_sm2_key_has_a_point_and_no_exponent() -> None:
    key = CAKeyRecord(
        rid=RID, index=0x18, expires="20301231", modulus=bytes(range(64)), exponent=b"", checksum=bytes(32), hash_algorithm=4,
        key_algorithm=4,
    )  # fmt: skip
    assert parse_ca_key(encode_ca_key(key)) == key


def test_nothing_of_this_name() -> None:
    assert (encode_ca_key(None), encode_aid(None), encode_ca_key_list([])) == (b"0", b"0", b"0")
    assert (parse_ca_key(b"0"), parse_aid(b"0"), parse_ca_key_list(b"0"), parse_aid_list(b"0")) == (
        None, None, ([], False), ([], False),
    )  # fmt: skip


def test_a_list_longer_than_the_field_is_asked_for_again() -> None:
    names = [CAKeyName(rid=RID, index=index, expires="20301231") for index in range(30)]
    got: list[CAKeyName] = []
    sizes, more = [], True
    while more:
        part, more = parse_ca_key_list(encode_ca_key_list(names[parse_query(encode_query(len(got))) :]))
        sizes.append(len(part))
        got += part
    assert (got, sizes) == (names, [22, 8])
    assert len(encode_ca_key_list(names)) <= 512
    assert parse_ca_key_list(b"3" + encode_ca_key_list(names[:1])[1:])[1] is True


def test_names() -> None:
    asked = CAKeyName(rid=RID, index=8)
    assert parse_ca_key_name(encode_ca_key_name(asked)) == asked
    assert parse_aid_name(encode_aid_name(AID.aid)) == AID.aid
    assert parse_ca_key_list(bytes.fromhex("319F0605A0000003339F220180DF050420301231"))[0][0].expires == "20301231"  # BCD


KEY = PUBLISHED["capk-rsa-08"]["pos_download_tlv_example"]
DATED = "9F0605A0000003339F220108DF05083230333031323331"
LIMIT = "DF2006000100000001"
# fmt: off
MALFORMED = [
    # what                       read by              DE62                                          path
    ("nothing",                  parse_query,         "",                                           "DE62"),
    ("one digit only",           parse_query,         "31",                                         "DE62"),
    ("status not 1",             parse_query,         "303030",                                     "DE62"),
    ("letters",                  parse_query,         "314142",                                     "DE62"),
    ("no digit",                 parse_ca_key_list,   "9F0605A000000333",                           "DE62"),
    ("empty",                    parse_ca_key_list,   "",                                           "DE62"),
    ("empty",                    parse_aid,           "",                                           "DE62"),
    ("index before its RID",     parse_ca_key_list,   "319F2201089F0605A000000333",                 "DE62"),
    ("RID without index",        parse_ca_key_list,   "319F0605A000000333",                         "DE62/9F22"),
    ("RID of four bytes",        parse_ca_key_name,   "9F0604A00000039F220108",                     "DE62/9F06"),
    ("breaks off in a value",    parse_ca_key_name,   "9F0605A00000",                               "DE62"),
    ("a tag twice",              parse_ca_key_name,   "9F0605A0000003339F2201089F220109",           "DE62"),
    ("expiry in letters",        parse_ca_key,        "31" + KEY.replace("3230333031323331", "4132303330313233"), "DE62/DF05"),
    ("expiry of five digits",    parse_ca_key_list,   "319F0605A0000003339F220108DF05053230333031", "DE62/DF05"),
    ("a key cut short",          parse_ca_key,        "31" + KEY[:-2],                              "DE62"),
    ("no modulus",               parse_ca_key,        "31" + DATED + "DF060101DF070101", "DE62/DF02"),
    ("no denial codes",          parse_aid,           "31" + AID_TLV.replace("DF13050010000000", ""), "DE62/DF13"),
    ("limit of five bytes",      parse_aid,           "31" + AID_TLV.replace(LIMIT, "DF20050001000000"), "DE62/DF20"),
    ("limit in hexadecimal",     parse_aid,           "31" + AID_TLV.replace(LIMIT, "DF200600010000000A"), "DE62/DF20"),
]
# fmt: on


@pytest.mark.parametrize(("what", "read", "raw", "path"), MALFORMED, ids=[f"{m[1].__name__}-{m[0]}" for m in MALFORMED])
def test_malformed(what: str, read: object, raw: str, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(bytes.fromhex(raw))  # type: ignore[operator]
    assert str(caught.value).startswith(f"{path}:") or str(caught.value).startswith(f"{path}/"), what


UNFIT = [
    {"aid": b""},
    {"aid": bytes(17)},
    {"tac_denial": bytes(4)},
    {"max_percent": 100},
    {"floor_minor": -1},
    {"cash_limit_minor": 10**12},
]


@pytest.mark.parametrize("odd", UNFIT, ids=str)
def test_what_does_not_fit_is_not_written(odd: dict[str, object]) -> None:
    from dataclasses import replace

    with pytest.raises(ProtocolError, match="DE62/"):
        encode_aid(replace(AID, **odd))  # type: ignore[arg-type]


@settings(max_examples=examples(60, heavy=20_000), deadline=None)
@given(st.binary(max_size=60), st.integers(0, 120))
def test_anything_else_is_a_decode_error(noise: bytes, at: int) -> None:
    good = bytes.fromhex("31" + AID_TLV)
    raw, told = good[:at] + noise + good[at + len(noise) :], []
    for read in (parse_aid, parse_ca_key, parse_ca_key_list, parse_aid_list, parse_query, parse_aid_name, parse_ca_key_name):
        for given_ in (noise, raw, raw[:at]):
            try:
                read(given_)
            except DecodeError as fault:
                told.append(str(fault))
    assert all("DE62" in words for words in told)


def test_downloads_are_uses_without_mac_and_shown_openly() -> None:
    told = {use.management: (use.name, use.mti, use.mac) for use in USES if use.management[:2] in ("37", "38")}
    assert told == {
        "370": ("CA key", "0800", False), "371": ("CA keys end", "0800", False), "372": ("CA keys list", "0820", False),
        "380": ("chip parameters", "0800", False), "381": ("chip parameters end", "0800", False),
        "382": ("chip parameters list", "0820", False),
    }  # fmt: skip
    message = Message("0810", {60: "00000001370", 62: bytes.fromhex("31" + KEY)})
    rows = {row.path: row.value for row in describe(message, POS)}
    assert (rows["DE62"], rows["DE62/9F22"], rows["DE62/DF04"]) == ("1", "08", "03")
    keys = {row.path: row.value for row in describe(Message("0810", {60: "00000001003", 62: bytes(40)}), POS)}
    assert keys["DE62"] == "*** (40)"  # a sign-in's are keys
    assert describe(Message("0810", {60: "00000001370", 62: b"1\x9f"}), POS)[-1].path == "DE62"


def test_uses_of_chip_messages() -> None:
    assert [
        use.name if (use := use_of(Message(mti, {3: "000000", 25: "00", 60: kind}))) else None
        for mti, kind in (("0320", "36000001000600"), ("0620", "00000001951600"), ("0200", "22000001000520"))
    ] == ["chip offline 0320", "script result", "purchase"]
    shown = describe(Message("0200", {60: "22000001000520"}), POS)[-1]
    assert shown.value == "22000001000520, fallback: chip cannot be read"
