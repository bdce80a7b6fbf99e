"""Making cards: the image goes in whole, comes out as it was, and what could not pay is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from shanfu.card import (
    LABORATORY_IMAGE,
    PROFILES,
    Card,
    CardKeys,
    PBOCVersion,
    Product,
    from_dgis,
    laboratory_card,
    personalise,
    read_image,
)
from shanfu.card.build import build_image
from shanfu.card.image import CardImage
from shanfu.crypto import CardAlgorithm
from shanfu.emv import AIP, Track2, afl_bytes, parse_afl, parse_record, records
from shanfu.errors import ConfigError, Conflict, DecodeError, IntegrityError, KeyUseError, NotFound, StoreVersion
from shanfu.money import Currency
from shanfu.store import DictMemory
from tests.card.bench import CONTACT, CONTACTLESS, DEBIT, NUMBER, FailingMemory, PowerCut, chip, keys_for, memory_of

FILE = json.loads((Path(__file__).parent.parent / "vectors" / "emv_perso_testcard.json").read_text())


def test_the_laboratory_table_is_the_published_one() -> None:
    assert {f"{dgi:04X}": data.hex().upper() for dgi, data in LABORATORY_IMAGE.items()} == {
        case["dgi"]: case["data"] for case in FILE["cases"]
    }


@pytest.mark.parametrize("name", PROFILES)
def test_a_ready_profile_is_read_back_as_it_was_made(name: str) -> None:
    profile = PROFILES[name](NUMBER, "LIN/YUE")
    memory = chip(profile)
    loaded = read_image(memory, profile.aid)
    assert build_image(profile).items() <= loaded.items()
    again = from_dgis(loaded, product=profile.product, version=profile.version)
    fields = ("algorithm", "aid", "label", "pan", "psn", "expiry", "service_code", "discretionary", "currencies", "interfaces",
              "aip", "cvms", "ctq", "checks", "dki", "cvn", "pin_tries", "pin_try_limit")  # fmt: skip
    assert {field: getattr(again, field) for field in fields} == {field: getattr(profile, field) for field in fields}


@pytest.mark.parametrize("face", [CONTACT, CONTACTLESS])
@pytest.mark.parametrize("name", PROFILES)
def test_the_file_locator_names_whole_records(name: str, face: object) -> None:
    image = CardImage.read(read_image(chip(PROFILES[name](NUMBER, "LIN/YUE")), PROFILES[name](NUMBER, "").aid))
    listed = list(records(parse_afl(image.gpo[face].afl)))
    found = [parse_record(image.records[sfi, number]) for sfi, number, _ in listed]
    tags = [tag for record in found for tag in record.tags]
    assert {0x57, 0x5A, 0x5F24} <= set(tags), "EMV B3 7.2: mandatory objects"
    assert len(tags) == len(set(tags))
    assert 0x5F24 not in found[-1].tags
    assert afl_bytes(parse_afl(image.gpo[face].afl)) == image.gpo[face].afl


def test_expiry_is_the_last_day_of_its_month() -> None:
    image = CardImage.read(read_image(chip(replace(DEBIT, expiry="2802")), DEBIT.aid))
    assert parse_record(image.records[2, 1]).value(0x5F24) == bytes.fromhex("280229")
    assert Track2.parse(image.track2).expiry == "2802"


def test_two_currencies() -> None:
    profile = replace(DEBIT, currencies=(Currency.of("HKD"), Currency.of("CNY")), country="344")
    assert CardImage.read(read_image(chip(profile), DEBIT.aid)).currencies == (b"\x03\x44", b"\x01\x56")


def test_a_card_is_made_once() -> None:
    memory = chip()
    before = memory_of(memory)
    with pytest.raises(Conflict):
        personalise(DEBIT, keys_for(DEBIT), memory)
    assert memory_of(memory) == before


@pytest.mark.parametrize("after", [False, True])
def test_a_chip_is_blank_or_whole(after: bool) -> None:
    memory = DictMemory()
    with pytest.raises(PowerCut):
        personalise(DEBIT, keys_for(DEBIT), FailingMemory(memory, at=1, after=after, fault=PowerCut()))
    assert Card(memory).has_interface(CONTACTLESS) is after
    assert bool(memory.names()) is after


@pytest.mark.parametrize(("change", "words"), [
    ({0x9103: LABORATORY_IMAGE[0x9102]},                        "the PDOL does not ask for 95, 9A, 9C, 9F03, 9F37, 9F66"),
    ({0x9207: LABORATORY_IMAGE[0x9104]},                        "9F10 must name cryptogram 01, 17"),
    ({0x9207: LABORATORY_IMAGE[0x9207].replace(b"\x07\x01\x01\x03", b"\x07\x01\x43\x03")}, "9F10 must name cryptogram"),
    ({0x0101: bytes.fromhex("7000"), 0x0E01: bytes.fromhex("7000")}, "no record holds track 2"),
    ({0x9010: b"\x03"},                                         "DGI 9010"),
    ({0x0D01: LABORATORY_IMAGE[0x0D01][:-1]},                   "DGI 0D01"),
    ({0x9104: bytes.fromhex("82027C00")},                       "DGI 9104/94"),
])  # fmt: skip
def test_what_could_not_pay_is_not_made(change: dict[int, bytes], words: str) -> None:
    profile, memory = laboratory_card(), DictMemory()
    broken = replace(profile, published={**LABORATORY_IMAGE, **change})
    with pytest.raises(ConfigError, match=words):
        personalise(broken, CardKeys.parse(LABORATORY_IMAGE[0x8000]), memory)
    assert not memory.names()


@pytest.mark.parametrize(("change", "error", "words"), [
    ({0x9000: bytes(9)},                   IntegrityError, "check values differ"),
    ({0x8000: bytes(48)},                  IntegrityError, "check values differ"),
    ({0x8000: bytes(47)},                  DecodeError,    "DGI 8000: 47 bytes, must be 48"),
    ({0x9103: b"\x6f\x02"},                DecodeError,    "DGI 9103"),
    ({0x9102: None, 0x9103: None},         DecodeError,    "DGI 9102: is missing"),
    ({0x9207: bytes.fromhex("82037C0000")}, DecodeError,   "DGI 9207"),
])  # fmt: skip
def test_a_damaged_image_is_named(change: dict[int, bytes | None], error: type[Exception], words: str) -> None:
    image = {dgi: data for dgi, data in {**LABORATORY_IMAGE, **change}.items() if data is not None}
    with pytest.raises(error, match=words):
        from_dgis(image, product=Product.CREDIT, version=PBOCVersion.V3)


def test_the_laboratory_profile_tells_its_fields() -> None:
    profile = laboratory_card()
    assert (profile.pan.digits, profile.psn, profile.expiry, profile.service_code) == ("6228000100001117", "01", "3012", "201")
    assert (profile.algorithm, profile.pin_tries, profile.dki, profile.cvn) == (CardAlgorithm.TDES, 3, 1, 1)
    assert profile.aip == AIP.parse(b"\x7c\x00")


def test_keys_have_their_size_and_their_algorithm_s_check_values() -> None:
    with pytest.raises(KeyUseError):
        CardKeys(ac=bytes(16), mac=bytes(16), enc=bytes(8))
    keys = keys_for(DEBIT)
    assert keys.check_values(CardAlgorithm.TDES) != keys.check_values(CardAlgorithm.SM4)
    sm4 = replace(DEBIT, algorithm=CardAlgorithm.SM4)
    assert {0x8002, 0x9002, 0x9217, 0x9114} <= set(read_image(chip(sm4), DEBIT.aid))


def test_a_memory_of_another_time() -> None:
    memory = chip()
    memory.write({"A000000333010101/format": b"\x02"})
    with pytest.raises(StoreVersion):
        Card(memory)
    with pytest.raises(NotFound):
        read_image(memory, b"\xa0\x00\x00\x03\x33")


def test_a_blank_chip_has_no_way_in() -> None:
    blank = Card(DictMemory())
    assert blank.power_on(CONTACTLESS) == b""


@pytest.mark.parametrize("change", [
    {"offline_pin": "123"}, {"offline_pin": "12a4"}, {"lower_limit": 256}, {"last_online_atc": 0x10000},
    {"total_limit_minor": -1}, {"oda": {0x0201: b"\x70\x00", 0x8205: bytes(64)}},
])  # fmt: skip
def test_a_profile_that_no_object_can_hold(change: dict[str, object]) -> None:
    memory = DictMemory()
    with pytest.raises(ConfigError, match="card profile"):
        personalise(replace(DEBIT, **change), keys_for(DEBIT), memory)
    assert not memory.names()
