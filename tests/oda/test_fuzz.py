"""Whatever a card sends: one bit wrong is a failure with a name, any bytes at all are an answer, and nothing raises."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.emv import TVR
from shanfu.iso7816 import tlv
from shanfu.oda import (
    Authentication,
    CardData,
    authenticate_combined,
    authenticate_dynamic,
    authenticate_fast,
    authenticate_static,
    choose_ddol,
    recover_chain,
    sign_dynamic,
)
from tests.budget import examples
from tests.oda.test_dynamic import SENT, TAP, UN, answer
from tests.oda.world import TODAY, Kind, world

KINDS = st.sampled_from(["RSA", "SM2"])
CHAIN = (0x8F, 0x90, 0x92, 0x9F32, 0x9F46, 0x9F48, 0x9F47, 0x9F4A, 0x5A)
ALL = (*CHAIN, 0x93)
ANY = st.dictionaries(st.sampled_from([*ALL, 0x9F49, 0x9F69, 0x9F36, 0x9F6C, 0x9F08]), st.binary(max_size=160))


def flipped(value: bytes, bit: int) -> bytes:
    return (int.from_bytes(value) ^ 1 << bit % (8 * len(value))).to_bytes(len(value))


def consistent(found: Authentication) -> None:
    assert found.ok is not bool(found.failure)
    assert bool(found.proved) is found.ok
    assert bool(found.tvr & (TVR.SDA_FAILED | TVR.DDA_FAILED | TVR.CDA_FAILED)) is not found.ok
    if found.failure:
        assert found.failure.explain()
        assert found.failure.explain("zh")


@settings(max_examples=examples(80, heavy=4_000), deadline=None)
@given(kind=KINDS, tag=st.sampled_from(ALL), bit=st.integers(0, 2_000))
def test_one_bit_of_the_chain(kind: Kind, tag: int, bit: int) -> None:
    good = world(kind)
    if tag not in good.card.values:
        return
    wrong = good.having(**{f"t{tag:X}": flipped(good.card.values[tag], bit)})
    static = authenticate_static(wrong.card, wrong.trusted, today=TODAY)
    consistent(static)
    assert static.ok or tag not in (0x9F46, 0x9F48, 0x9F47)
    assert not static.ok or tag in (0x9F46, 0x9F48, 0x9F47, 0x5A)  # SDA signs the PAN in its record, which is unchanged here
    assert (wrong.chain.failure is None) is (tag == 0x93)


@settings(max_examples=examples(40, heavy=2_000), deadline=None)
@given(kind=KINDS, bit=st.integers(0, 2_000))
def test_one_bit_of_a_record(kind: Kind, bit: int) -> None:
    good = world(kind)
    (sfi, record), *_ = good.card.records
    wrong = replace(good, card=replace(good.card, records=[(sfi, flipped(record, bit))]))
    assert wrong.chain.failure is not None
    consistent(authenticate_static(wrong.card, wrong.trusted, today=TODAY))


@settings(max_examples=examples(80, heavy=4_000), deadline=None)
@given(kind=KINDS, bit=st.integers(0, 4_000))
def test_one_bit_of_a_signature(kind: Kind, bit: int) -> None:
    good = world(kind)
    single = authenticate_dynamic(
        good.chain, bytes(tlv(0x80, flipped(sign_dynamic(good.icc, b"\1\2", UN), bit))), terminal_data=UN
    )
    response = flipped(bytes(tlv(0x77, *answer(good.icc))), bit)
    both = authenticate_combined(good.chain, response, sent=SENT, unpredictable_number=UN)
    for found in (single, both):
        consistent(found)
        assert not found.ok


@settings(max_examples=examples(60, heavy=4_000), deadline=None)
@given(kind=KINDS, values=ANY, records=st.lists(st.tuples(st.integers(1, 30), st.binary(max_size=40)), max_size=3),
       response=st.binary(max_size=120), whole=st.booleans())  # fmt: skip
def test_any_bytes(
    kind: Kind, values: dict[int, bytes], records: list[tuple[int, bytes]], response: bytes, whole: bool
) -> None:
    good = world(kind)
    card = CardData(rid=good.card.rid, values={**good.card.values, **values}, records=records, aip=b"\x7d\x00")
    consistent(authenticate_static(card, good.trusted, today=TODAY))
    chain = good.chain if whole else recover_chain(card, good.trusted, today=TODAY)
    consistent(authenticate_dynamic(chain, response, terminal_data=UN))
    consistent(authenticate_combined(chain, response, sent=SENT, unpredictable_number=UN))
    consistent(authenticate_fast(chain, response, values=TAP | values, version_01=whole))
    choose_ddol(values, None)
