import time
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.errors import DecodeError, Fault
from shanfu.iso7816 import LIMITS, TLV, parse, parse_flat, tag_bytes, tlv
from tests.budget import examples

TRUNCATED, LIMIT, FORMAT, MISSING = Fault.TRUNCATED, Fault.LIMIT, Fault.FORMAT, Fault.MISSING

ADF = bytes.fromhex(
    "6F598408A000000333010101A54D500A50424F432044454249548701019F38189F66049F02069F03069F1A0295055F2A029A039C019F3704"
    "5F2D027A689F1101019F120A50424F43204445424954BF0C0A9F4D020B0ADF4D020C0A"
)
FIELD55 = bytes.fromhex(
    "9F2608AD03EE811AFAD4849F2701809F101307010103A00000010A010000038787868FD1FC9F37042B29EBE49F36020ADC950500000000009A03"
    "1706019C01009F02060000000000015F2A02015682027C009F1A0201569F03060000000000009F3303E0E9C89F34030000009F3501229F1E0846"
    "464646464646468408A0000003330101019F090200009F410400000005"
)

primitive_tags = st.sampled_from([0x57, 0x5A, 0x82, 0x9F26, 0x9F02, 0xDF69, 0xDF8101, 0xDFFF8101])
constructed_tags = st.sampled_from([0x61, 0x6F, 0xA5, 0xBF0C, 0xBF8101])
values = st.one_of(st.binary(max_size=20), st.sampled_from([bytes(127), bytes(128), bytes(256)]))  # each length form
leaves = st.builds(tlv, primitive_tags, values)
trees = st.recursive(
    leaves,
    lambda inner: st.builds(lambda tag, kids: tlv(tag, *kids), constructed_tags, st.lists(inner, max_size=3)),
    max_leaves=6,
)


T = TypeVar("T")


def outcome(read: Callable[[bytes], T], data: bytes) -> T | DecodeError:
    try:
        return read(data)
    except DecodeError as error:
        return error


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = b"\xe1\x82" + len(data).to_bytes(2) + data
    return data


@pytest.mark.parametrize(
    ("attempt", "data", "fault", "path", "offset"),
    [
        ("tag without its second byte", "9F", TRUNCATED, "", 0),
        ("tag without end", "9FFFFFFF01", LIMIT, "", 0),
        ("no length", "5F2D", TRUNCATED, "5F2D", 2),
        ("length without its bytes", "9F1081", TRUNCATED, "9F10", 3),
        ("length longer than what is left", "5A036228", TRUNCATED, "5A", 2),
        ("indefinite length", "6F800000", FORMAT, "6F", 1),
        ("five length bytes", "5085000000000141", LIMIT, "50", 1),
        ("length of four gigabytes", "5084FFFFFFFF00", TRUNCATED, "50", 6),
        ("child longer than its parent", "61064F08A0000003", TRUNCATED, "61/4F", 4),
        ("child that would fit into the sibling after its parent", "6103500341870101", TRUNCATED, "61/50", 4),
        ("template longer than its template", "6F046103500100", TRUNCATED, "6F/61", 4),
        ("fault far inside", "6F07A505BF0C028105", TRUNCATED, "6F/A5/BF0C/81", 9),
        ("second object broken", "8701019F38", TRUNCATED, "9F38", 5),
    ],
)
def test_refusals(attempt: str, data: str, fault: Fault, path: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        parse(bytes.fromhex(data))
    assert (caught.value.fault, caught.value.path, caught.value.offset) == (fault, path, offset)


@pytest.mark.parametrize(
    ("what", "data", "tags"),
    [
        ("nothing", "", ()),
        ("filler alone", "000000", ()),
        ("filler before, between, after", "0050014100008701010000", (0x50, 0x87)),
        ("lengths longer than needed", "508200014187810101", (0x50, 0x87)),
        ("repeated tags in order", "500141500142500143", (0x50, 0x50, 0x50)),
        ("empty value", "9F0900", (0x9F09,)),
        ("four-byte tag", "DFFF81010155", (0xDFFF8101,)),
        ("empty template", "A500", (0xA5,)),
    ],
)
def test_accepted(what: str, data: str, tags: tuple[int, ...]) -> None:
    raw = bytes.fromhex(data)
    objects = parse(raw)
    assert objects.tags == tags
    assert bytes(objects) == raw


def test_lookups_reach_into_templates() -> None:
    fci = parse(ADF)
    assert fci.find(0x9F4D) is not None
    assert fci.first(0x9F4D) is None
    assert fci.require(0x6F, 0xA5, 0xBF0C, 0xDF4D).value.hex() == "0c0a"
    assert [node.tag for node in fci.walk()][:4] == [0x6F, 0x84, 0xA5, 0x50]
    aid = fci.require(0x6F, 0x84)
    assert ADF[aid.value_offset :].startswith(aid.value)
    with pytest.raises(DecodeError) as caught:
        fci.require(0x6F, 0xA5, 0x9F5D, spec="JR/T 0025.12")
    assert (caught.value.fault, caught.value.path, caught.value.spec) == (MISSING, "6F/A5/9F5D", "JR/T 0025.12")


def test_repeated_tags_are_all_found_and_a_flat_reading_refuses_them() -> None:
    scripts = bytes.fromhex("7203860101 9F3602000172038601 02".replace(" ", ""))
    assert [node.value.hex() for node in parse(scripts).all(0x72)] == ["860101", "860102"]
    with pytest.raises(DecodeError, match="72: occurs twice at byte 10"):
        parse_flat(scripts)


def test_equality_is_that_of_the_bytes() -> None:
    short, long = parse(bytes.fromhex("500141"))[0], parse(bytes.fromhex("50810141"))[0]
    assert short.value == long.value
    assert short != long
    assert short == tlv(0x50, b"A")


def test_nothing_shows_values() -> None:
    assert repr(parse(bytes.fromhex("70 0A 5A 08 6228000100001117"))) == "TLVList([TLV(70, [TLV(5A, 8 bytes)])])"


@pytest.mark.parametrize("tag", [0, -1, 0x9F, 0x5F, 0x5000, 0x9F81, 0x9F0101, 0x9FFFFFFF01, 0xDF81810101])
def test_numbers_that_are_no_tags(tag: int) -> None:
    with pytest.raises(ValueError, match="no tag"):
        tag_bytes(tag)


@pytest.mark.parametrize(
    ("attack", "data", "fault"),
    [
        ("nested 1,000 deep", nested(1_000), LIMIT),
        ("templates that all claim the rest", b"\xe1\x82\xff\x00" * 1_000, TRUNCATED),
        ("too long", bytes(LIMITS.size + 1), LIMIT),
    ],
)
def test_attacks_are_answered_quickly(attack: str, data: bytes, fault: Fault) -> None:
    begun = time.perf_counter()
    with pytest.raises(DecodeError) as caught:
        parse(data)
    assert caught.value.fault == fault
    assert time.perf_counter() - begun < 0.010


@settings(max_examples=examples(300, heavy=6_000), deadline=None)
@given(st.lists(trees, max_size=5), st.integers(0, 3))
def test_what_is_written_is_read_and_written_again(nodes: list[TLV], filler: int) -> None:
    data = bytes(filler).join(map(bytes, nodes))
    objects = parse(data)
    assert list(objects) == nodes
    assert bytes(objects) == data


@settings(max_examples=examples(300, heavy=20_000), deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    objects = outcome(parse, data)
    if isinstance(objects, DecodeError):
        assert 0 <= objects.offset <= len(data)
        assert isinstance(outcome(parse_flat, data), DecodeError | dict)
        return
    assert bytes(objects) == data
    if len(set(objects.tags)) == len(objects):
        assert parse_flat(data) == {node.tag: node.value for node in objects}


@settings(max_examples=examples(300, heavy=20_000), deadline=None)
@given(trees, st.data())
def test_every_cut_is_refused(node: TLV, draw: st.DataObject) -> None:
    whole = bytes(node)
    cut = draw.draw(st.integers(1, len(whole) - 1))
    for read in (parse, parse_flat):
        with pytest.raises(DecodeError):
            read(whole[:cut])


@settings(max_examples=examples(300, heavy=20_000), deadline=None)
@given(st.sampled_from([ADF, FIELD55]), st.data())
def test_a_flipped_bit_is_read_or_refused(data: bytes, draw: st.DataObject) -> None:
    place = draw.draw(st.integers(0, 8 * len(data) - 1))
    flipped = bytearray(data)
    flipped[place // 8] ^= 1 << place % 8
    objects = outcome(parse, bytes(flipped))
    assert isinstance(objects, DecodeError) or bytes(objects) == flipped
    assert isinstance(outcome(parse_flat, bytes(flipped)), DecodeError | dict)
