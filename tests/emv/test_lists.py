"""DOL, AFL, CVM list and results."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.emv import (
    CVM,
    CVM_RESULTS,
    DOL,
    TAGS,
    AFLEntry,
    CVMList,
    CVMResults,
    afl_bytes,
    explain_cvm_results,
    parse_afl,
    parse_dol,
    records,
)
from shanfu.errors import DecodeError, Fault
from shanfu.iso7816 import tag_bytes
from tests.budget import examples

entries = st.lists(st.tuples(st.sampled_from(sorted(TAGS)), st.integers(0, 12)), max_size=20)


@pytest.mark.parametrize(
    ("rule", "tag", "value", "length", "filled"),
    [
        ("n is padded on the left", "9F02", "0123", 4, "00000123"),
        ("n is cut on the left", "9F02", "000000012345", 2, "2345"),
        ("cn is padded with FF on the right", "5A", "6228", 4, "6228FFFF"),
        ("an is padded with zeros on the right", "9F4E", "5348", 4, "53480000"),
        ("b is cut on the right", "9F37", "01020304", 2, "0102"),
        ("absent is zeros", "9F37", "", 3, "000000"),
        ("a template is zeros", "70", "5A0162", 3, "000000"),
        ("an unknown tag counts as b", "DF7E", "01", 2, "0100"),
        ("length nothing", "9F02", "01", 0, ""),
    ],
)
def test_filling(rule: str, tag: str, value: str, length: int, filled: str) -> None:
    number = int(tag, 16)
    assert DOL(((number, length),)).fill({number: bytes.fromhex(value)}).hex().upper() == filled


@pytest.mark.parametrize(
    ("attempt", "data", "fault"),
    [
        ("half a tag", "9F", Fault.TRUNCATED),
        ("tag without end", "9FFFFFFF01", Fault.TRUNCATED),
        ("no length", "9F37049F02", Fault.TRUNCATED),
        ("tag nothing", "0001", Fault.TRUNCATED),
        ("asks for more than a command holds", "9F02FF", Fault.LIMIT),
    ],
)
def test_lists_that_are_none(attempt: str, data: str, fault: Fault) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_dol(bytes.fromhex(data))
    assert caught.value.fault == fault


@settings(max_examples=examples(200, heavy=20_000), deadline=None)
@given(entries, st.binary(max_size=9))
def test_the_card_cuts_what_the_terminal_joined(pairs: list[tuple[int, int]], value: bytes) -> None:
    dol = parse_dol(b"".join(tag_bytes(tag) + bytes((length,)) for tag, length in pairs))
    assert dol.entries == tuple(pairs)
    filled = dol.fill({tag: value for tag, _ in pairs})
    assert len(filled) == dol.total_length
    assert all(len(dol.split(filled)[tag]) in {n for t, n in pairs if t == tag} for tag, _ in pairs)
    with pytest.raises(DecodeError):
        dol.split(filled + b"\0")


@settings(max_examples=examples(200, heavy=20_000), deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_a_list_or_refused(data: bytes) -> None:
    for read in (parse_dol, parse_afl, CVMList.parse, CVMResults.parse):
        try:
            found = read(data)  # type: ignore[operator]
        except DecodeError:
            continue
        assert (afl_bytes(found) if isinstance(found, tuple) else bytes(found)) == data


@pytest.mark.parametrize(
    ("attempt", "data"),
    [
        ("nothing", ""),
        ("five bytes", "0801010000"),
        ("SFI 0", "00010100"),
        ("SFI 31", "F8010100"),
        ("low bits of the file byte", "09010100"),
        ("record 0", "08000100"),
        ("backwards", "08030200"),
        ("more to authenticate than there is", "08010203"),
    ],
)
def test_locators_that_are_none(attempt: str, data: str) -> None:
    with pytest.raises(DecodeError):
        parse_afl(bytes.fromhex(data))


def test_records_come_in_order_with_their_part_in_authentication() -> None:
    afl = parse_afl(bytes.fromhex("08020200100105001801020120010100"))
    assert afl[2] == AFLEntry(sfi=3, first=1, last=2, oda=1)
    assert list(records(afl))[-3:] == [(3, 1, True), (3, 2, False), (4, 1, False)]


@pytest.mark.parametrize("data", ["", "00" * 8, "00" * 11, "00" * 254])
def test_verification_lists_that_are_none(data: str) -> None:
    with pytest.raises(DecodeError):
        CVMList.parse(bytes.fromhex(data))


def test_rules_in_words() -> None:
    rules = CVMList.parse(bytes.fromhex("000000640000000042031E032005")).rules
    assert [rule.explain() for rule in rules] == [
        "terminal supports the method: enciphered PIN verified online; if it fails, next rule",
        "terminal supports the method: signature; if it fails, verification fails",
        "purchase with cashback: identity document shown; if it fails, verification fails",
    ]
    assert rules[0].explain("zh") == "终端支持这个CVM：联机加密PIN验证，失败则应用后续规则"


@pytest.mark.parametrize(
    ("cvm", "raw", "said"),
    [
        (CVM.NONE, "3F0000", "no verification performed; always; unknown"),
        (CVM.ONLINE_PIN, "020300", "enciphered PIN verified online; terminal supports the method; unknown"),
        (CVM.SIGNATURE, "1E0300", "signature; terminal supports the method; unknown"),
        (CVM.CDCVM, "010002", "plain PIN verified by the card; always; successful"),
    ],
)
def test_results_of_a_contactless_verification(cvm: CVM, raw: str, said: str) -> None:
    assert CVM_RESULTS[cvm].hex().upper() == raw
    assert explain_cvm_results(CVM_RESULTS[cvm]) == said
    assert explain_cvm_results(CVM_RESULTS[cvm], "zh").count("；") == 2
