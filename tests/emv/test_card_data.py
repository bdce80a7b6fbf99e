"""Selection, track 2, issuer application data, answers, field 55: each as a card or a terminal wrote it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.emv import (
    FCI,
    FIELD55_TAGS,
    UNIONPAY_RID,
    DirectoryEntry,
    IssuerApplicationData,
    KeyIndexData,
    LogEntry,
    Message55,
    Track2,
    commands,
    cryptogram_input,
    decode_field55,
    default_kernel,
    encode_field55,
    matches,
    missing_tags,
    parse_cryptogram_response,
    parse_directory_record,
    parse_gpo_response,
    parse_ppse,
    parse_record,
    ppse_fci,
    product,
)
from shanfu.emv.cid import CryptogramType
from shanfu.errors import DecodeError, Fault
from tests.budget import examples

AID = bytes.fromhex("A000000333010101")
PPSE_ANSWER = bytes.fromhex(
    "6F30840E325041592E5359532E4444463031A51EBF0C1B61194F08A000000333010101500A50424F43204445424954870101"
)
ADF_ANSWER = bytes.fromhex(
    "6F598408A000000333010101A54D500A50424F432044454249548701019F38189F66049F02069F03069F1A0295055F2A029A039C019F3704"
    "5F2D027A689F1101019F120A50424F43204445424954BF0C0A9F4D020B0ADF4D020C0A"
)
GPO_ANSWER = bytes.fromhex(
    "774F82027C009F36020ADC57116299999999999999D201120101234567899F101307010103A00000010A010000038787868FD1FC9F2608AD03EE81"
    "1AFAD4845F3401009F6C0200009F5D06000000038787"
)
FIELD55 = bytes.fromhex(
    "9F2608AD03EE811AFAD4849F2701809F101307010103A00000010A010000038787868FD1FC9F37042B29EBE49F36020ADC950500000000009A03"
    "1706019C01009F02060000000000015F2A02015682027C009F1A0201569F03060000000000009F3303E0E9C89F34030000009F3501229F1E0846"
    "464646464646468408A0000003330101019F090200009F410400000005"
)
IAD = bytes.fromhex("07010103A00000010A010000038787868FD1FC")
TRACK2 = bytes.fromhex("6228000100001117D301220101234567899F")
READERS: list[Callable[[bytes], Any]] = [
    parse_ppse, FCI.parse, parse_gpo_response, parse_cryptogram_response, parse_record, parse_directory_record,
    Track2.parse, IssuerApplicationData.parse, decode_field55,
]  # fmt: skip


def test_real_answers_to_select_are_read_and_written_again() -> None:
    listed = parse_ppse(PPSE_ANSWER)
    assert listed == (DirectoryEntry(aid=AID, label=b"PBOC DEBIT", priority=1),)
    assert ppse_fci(listed) == PPSE_ANSWER
    adf = FCI.parse(ADF_ANSWER)
    assert (adf.df_name, adf.language, adf.code_table, adf.log_entry()) == (AID, b"zh", 1, LogEntry(11, 10))
    assert adf.pdol is not None
    assert adf.pdol.total_length == 33
    assert 0x9F66 in adf.pdol
    assert bytes(adf) == ADF_ANSWER


@pytest.mark.parametrize(
    ("case", "kernel_id", "kernel"),
    [
        ("none given: by RID", None, 7),
        ("empty: by RID", "", 7),
        ("zero: by RID", "00", 7),
        ("short", "07", 7),
        ("international, another", "03", 3),
        ("domestic without its extension", "87", None),
        ("domestic", "870156", 0x870156),
        ("domestic, short part RFU", "800156", None),
    ],
)
def test_the_kernel_of_a_directory_entry(case: str, kernel_id: str | None, kernel: int | None) -> None:
    entry = DirectoryEntry(aid=AID, kernel_id=None if kernel_id is None else bytes.fromhex(kernel_id))
    assert entry.kernel == kernel
    assert parse_ppse(ppse_fci([entry])) == (entry,)


def test_entries_without_a_usable_name_are_left_out() -> None:
    short, good = DirectoryEntry(aid=b"\xa0\x00"), DirectoryEntry(aid=AID, priority=0x82)
    assert parse_ppse(ppse_fci([short, good])) == (good,)
    assert (good.rank, DirectoryEntry(aid=AID).rank) == (2, 16)


def test_names_of_applications() -> None:
    assert product(AID + b"\x01\x02") == ("UnionPay debit", "银联借记")
    assert product(UNIONPAY_RID) is None
    assert (default_kernel(AID), default_kernel(b"\xa0\x00\x00\x09\x99")) == (7, None)
    assert matches(AID, AID[:7])
    assert not matches(AID, AID[:7], partial=False)
    assert not matches(AID[:7], AID)


def test_answers_to_gpo() -> None:
    found = parse_gpo_response(GPO_ANSWER)
    assert {0x82, 0x9F36, 0x57, 0x9F10, 0x9F26} <= set(found)
    track = Track2.parse(found[0x57])
    assert (str(track.pan), track.expiry, track.has_chip, bytes(track)) == ("629999******9999", "2011", True, found[0x57])
    assert parse_gpo_response(bytes.fromhex("80067C0008010100")) == {0x82: b"\x7c\0", 0x94: b"\x08\x01\x01\0"}


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (parse_gpo_response, "80027C00"),
        (parse_gpo_response, "80077C000801010001"),
        (parse_gpo_response, "70027C00"),
        (parse_gpo_response, "80067C00080101008000"),
        (parse_cryptogram_response, "800A8000019576389A2C9E75"),
        (parse_record, "70035001417003500142"),
        (parse_record, "6103500141"),
        (parse_ppse, "6F028400"),
        (FCI.parse, "6F0B8408A000000333010101"),
        (FCI.parse, "6F0C840141A50787020102500141"),
    ],
)
def test_answers_that_are_none(read: Callable[[bytes], Any], data: str) -> None:
    with pytest.raises(DecodeError):
        read(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("attempt", "text"),
    [
        ("no separator", "6228000100001117301220101234567"),
        ("PAN of 11", "62280001000=3012201"),
        ("PAN of 20", "62280001000011171111=3012201"),
        ("no service code", "6228000100001117=3012"),
        ("letters", "6228000100001117=3012201ABC"),
        ("other digits", "622800010000111٣=3012201"),
        ("two separators", "6228000100001117=3012201=1"),
        ("too long", "6228000100001117=3012201" + "0" * 14),
    ],
)
def test_tracks_that_are_none(attempt: str, text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Track2.from_text(text)
    assert "6228" not in str(caught.value)


def test_a_track_shows_its_masked_pan_only() -> None:
    track = Track2.parse(TRACK2)
    assert repr(track) == "Track2(pan=PAN(622800******1117))"
    assert Track2.from_text(track.text()) == track == Track2.from_text(track.text("D"))


@pytest.mark.parametrize(
    ("attempt", "data", "fault", "offset"),
    [
        ("cut inside the CVR", "07010103A000", Fault.TRUNCATED, 6),
        ("another length byte", "06010103A0000001", Fault.LENGTH, 0),
        ("another CVR length", "07010104A0000001", Fault.LENGTH, 3),
        ("issuer data cut", "07010103A00000010A01", Fault.TRUNCATED, 8),
        ("bytes after the issuer data", "07010103A00000010001", Fault.TRAILING, 8),
        ("too long", "07010103A0000001" + "18" + "00" * 24, Fault.LENGTH, 32),
    ],
)
def test_issuer_data_that_are_none(attempt: str, data: str, fault: Fault, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        IssuerApplicationData.parse(bytes.fromhex(data))
    assert (caught.value.fault, caught.value.offset, caught.value.path) == (fault, offset, "9F10")


def test_issuer_data_with_an_odd_balance() -> None:
    iad = IssuerApplicationData.parse(IAD.replace(b"\x87\x87", b"\x8a\x87"))
    with pytest.raises(DecodeError, match="not BCD"):
        _ = iad.balance
    assert IssuerApplicationData.parse(IAD[:8]).balance is None


PHONE = IssuerApplicationData(dki=1, cvn=1, cvr=bytes.fromhex("03900000"), idd=bytes(KeyIndexData("5000100")))


def test_a_phones_data_name_its_key_set():
    assert bytes(PHONE).hex().upper() == "070101039000000105A105000100"
    assert IssuerApplicationData.parse(bytes(PHONE)) == PHONE
    assert PHONE.key_index == "5000100"
    assert PHONE.balance is None


@pytest.mark.parametrize(
    "idd",
    [None, "", "A1", "A105000100FF", "A1050001", "A205000100", "A115000100", "A105000A00", "0105000100", "0D39990167"],
)  # fmt: skip
def test_other_data_name_no_key_set(idd):
    assert replace(PHONE, idd=None if idd is None else bytes.fromhex(idd)).key_index is None
    assert IssuerApplicationData.parse(IAD).key_index is None


@pytest.mark.parametrize(
    ("command", "raw"),
    [
        (commands.select_ppse(), "00A404000E325041592E5359532E444446303100"),
        (commands.select_pse(), "00A404000E315041592E5359532E444446303100"),
        (commands.select(AID, next_occurrence=True), "00A4040208A00000033301010100"),
        (commands.get_processing_options(), "80A8000002830000"),
        (commands.get_processing_options(bytes(128)), "80A8000083838180" + "00" * 128 + "00"),
        (commands.read_record(1, 2), "00B2020C00"),
        (commands.get_data(0x9F36), "80CA9F3600"),
        (commands.generate_ac(CryptogramType.ARQC, b"\1"), "80AE8000010100"),
        (commands.generate_ac(CryptogramType.TC, b"\1", cda=True), "80AE5000010100"),
        (commands.internal_authenticate(b"\1\2\3\4"), "00880000040102030400"),
        (commands.get_challenge(), "0084000000"),
        (commands.verify_pin(bytes.fromhex("241234FFFFFFFFFF")), "0020008008241234FFFFFFFFFF"),
        (commands.verify_pin(b"\1", enciphered=True), "002000880101"),
        (commands.get_response(0x17), "00C0000017"),
        (commands.put_data(0x9F79, bytes(6), b"\1\2\3\4"), "04DA9F790A00000000000001020304"),
        (commands.update_record(1, 2, b"\0", b"\1\2\3\4"), "04DC020C050001020304"),
        (commands.application_block(b"\1\2\3\4"), "841E00000401020304"),
        (commands.application_unblock(b"\1\2\3\4"), "841800000401020304"),
        (commands.card_block(b"\1\2\3\4"), "841600000401020304"),
        (commands.unblock_pin(b"\1\2\3\4"), "842400000401020304"),
        (commands.change_pin(b"\0", b"\1\2\3\4"), "84240002050001020304"),
    ],
)
def test_commands(command: Any, raw: str) -> None:
    assert bytes(command).hex().upper() == raw


def test_field_55_is_read_and_written_in_the_order_of_sending() -> None:
    tags = decode_field55(FIELD55)
    assert encode_field55(tags) == FIELD55
    assert encode_field55(tags, Message55.REVERSAL).hex().upper().startswith("9F36020ADC95050000000000" + "9F1E08")
    assert missing_tags(tags, Message55.OFFLINE_UPLOAD) == (0x8A,)
    assert missing_tags({}, Message55.REQUEST) == FIELD55_TAGS[Message55.REQUEST][0]


@pytest.mark.parametrize(
    ("attempt", "old", "new", "fault", "path"),
    [
        ("9F27 of two bytes", "9F270180", "9F27028000", Fault.LENGTH, "9F27"),
        ("ATC of one byte", "9F36020ADC", "9F36010A", Fault.LENGTH, "9F36"),
        ("date of two bytes", "9A03170601", "9A021706", Fault.LENGTH, "9A"),
        ("no 9F10", "9F1013" + IAD.hex().upper(), "", Fault.MISSING, "9F10"),
        ("empty 9F10", "9F1013" + IAD.hex().upper(), "9F1000", Fault.MISSING, "9F10"),
        ("9F10 with another inner length", "07010103A0000001" + "0A", "07010103A0000001" + "0B", Fault.TRUNCATED, "9F10"),
        ("an amount twice", "9F2608", "9F02060000000000019F2608", Fault.FORMAT, "9F02"),
    ],
)
def test_field_rules(attempt: str, old: str, new: str, fault: Fault, path: str) -> None:
    text = FIELD55.hex().upper()
    assert old in text
    with pytest.raises(DecodeError) as caught:
        decode_field55(bytes.fromhex(text.replace(old, new, 1)))
    assert (caught.value.fault, caught.value.path.strip("/")) == (fault, path)


def test_tags_without_a_rule_may_have_any_length() -> None:
    assert decode_field55(FIELD55 + bytes.fromhex("5F3400"))[0x5F34] == b""


def test_an_answer_needs_no_9f10() -> None:
    assert decode_field55(bytes.fromhex("9108" + "11" * 8), Message55.ANSWER) == {0x91: b"\x11" * 8}


def test_a_field_55_without_its_mandatory_tags_is_not_written() -> None:
    with pytest.raises(DecodeError, match="9F26: is missing"):
        encode_field55({})
    with pytest.raises(DecodeError, match="at most 255"):
        encode_field55({0x71: bytes.fromhex("8681FF") + bytes(255)}, Message55.ANSWER)


def test_what_a_card_macs() -> None:
    tags = decode_field55(FIELD55)
    whole = "000000000001000000000000015600000000000156170601002B29EBE47C000ADC03A00000"
    assert cryptogram_input(0x01, tags).hex().upper() == whole
    assert cryptogram_input(0x17, tags).hex().upper() == "0000000000012B29EBE40ADCA0"


@pytest.mark.parametrize(
    ("attempt", "cvn", "change", "fault"),
    [
        ("unknown version", 0x4A, {}, Fault.UNKNOWN),
        ("no unpredictable number", 0x01, {0x9F37: b""}, Fault.MISSING),
        ("a byte moved to the neighbour", 0x01, {0x9F02: bytes(5), 0x9F03: bytes(7)}, Fault.LENGTH),
        ("no 9F10", 0x17, {0x9F10: b""}, Fault.MISSING),
    ],
)
def test_nothing_is_macked_half(attempt: str, cvn: int, change: dict[int, bytes], fault: Fault) -> None:
    with pytest.raises(DecodeError) as caught:
        cryptogram_input(cvn, decode_field55(FIELD55) | change)
    assert caught.value.fault == fault


@settings(max_examples=examples(300, heavy=20_000), deadline=None)
@given(st.sampled_from([PPSE_ANSWER, ADF_ANSWER, GPO_ANSWER, FIELD55, IAD, TRACK2]), st.sampled_from(READERS), st.data())
def test_damaged_card_data_are_read_or_refused(data: bytes, read: Callable[[bytes], Any], draw: st.DataObject) -> None:
    place, bit = draw.draw(st.integers(0, len(data) - 1)), draw.draw(st.integers(0, 8))
    damaged = data[:place] if bit == 8 else data[:place] + bytes((data[place] ^ 1 << bit,)) + data[place + 1 :]
    try:
        read(damaged)
    except DecodeError as error:
        assert str(error)  # noqa: PT017  # nothing but DecodeError may come out; its text must not fail either


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (parse_ppse, PPSE_ANSWER), (FCI.parse, ADF_ANSWER), (parse_gpo_response, GPO_ANSWER),
        (IssuerApplicationData.parse, IAD),
    ],
)  # fmt: skip
def test_every_cut_is_refused(read: Callable[[bytes], Any], data: bytes) -> None:
    for cut in set(range(len(data))) - ({8} if data is IAD else set()):  # 9F10 may end after its algorithm byte
        with pytest.raises(DecodeError):
            read(data[:cut])
