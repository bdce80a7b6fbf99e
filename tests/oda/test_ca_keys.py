"""Keys of authorities: downloads both ways, what is refused, which are for tests."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from shanfu.emv import UNIONPAY_RID
from shanfu.errors import DecodeError, IntegrityError, ShanfuError
from shanfu.iso7816 import parse, tlv
from shanfu.iso8583 import encode_ca_key, parse_ca_key
from shanfu.oda import CAKey, CAKeys, Failure, Part, Reason
from tests.oda.world import TODAY, Kind, world

KINDS: tuple[Kind, ...] = ("RSA", "SM2")


def read(told: bytes) -> CAKey:
    record = parse_ca_key(told)
    assert record is not None
    return CAKey.of_record(record)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("expires", [date(2031, 12, 31), None])
@pytest.mark.parametrize(("index", "test"), [(0x80, True), (0x57, True), (0x0B, True), (0x04, False), (0x81, False)])
def test_a_download_there_and_back(kind: Kind, expires: date | None, index: int, test: bool) -> None:
    key = CAKey(rid=UNIONPAY_RID, index=index, key=world(kind).authority.key, expires=expires, test=test)
    assert read(encode_ca_key(key.record)) == key
    assert len(key.checksum) == {"RSA": 20, "SM2": 32}[kind]
    assert key.name == f"A000000333/{index:02X}"


def having(tag: int, value: str | None) -> Callable[[bytes], bytes]:
    def change(download: bytes) -> bytes:
        values = {node.tag: node.value for node in parse(download)}
        values.pop(tag)
        values |= {} if value is None else {tag: bytes.fromhex(value)}
        return b"".join(bytes(tlv(one, content)) for one, content in values.items())

    return change


@pytest.mark.parametrize(("kind", "change", "error"), [
    ("RSA", having(0x9F22, "81"),             IntegrityError),   # another index
    ("RSA", having(0x9F06, "A000000003"),     IntegrityError),
    ("RSA", having(0xDF04, "010001"),         IntegrityError),
    ("RSA", having(0xDF03, "00" * 20),        IntegrityError),
    ("RSA", having(0xDF03, "00" * 32),        IntegrityError),
    ("RSA", having(0xDF02, "C1" * 144),       IntegrityError),
    ("RSA", having(0xDF02, "C2" * 144),       DecodeError),      # an even modulus
    ("RSA", having(0xDF02, "C1" * 63),        DecodeError),
    ("RSA", having(0xDF02, None),             DecodeError),
    ("RSA", having(0xDF03, None),             DecodeError),
    ("RSA", having(0xDF04, "04"),             DecodeError),
    ("RSA", having(0xDF04, None),             DecodeError),
    ("RSA", having(0xDF05, "3230333131333331"), DecodeError),    # month 13
    ("RSA", having(0xDF05, "FF"),             DecodeError),
    ("RSA", having(0xDF07, "05"),             DecodeError),
    ("RSA", having(0xDF07, "04"),             DecodeError),      # 144 bytes are no point
    ("RSA", having(0x9F22, "0180"),           DecodeError),
    ("RSA", having(0x9F06, "A0000003"),       DecodeError),
    ("SM2", having(0x9F22, "81"),             IntegrityError),
    ("SM2", having(0xDF02, "01" * 64),        DecodeError),      # no point of the curve
    ("SM2", having(0xDF07, "01"),             DecodeError),
    ("RSA", lambda download: download[:-1],   DecodeError),
    ("RSA", lambda download: b"",             DecodeError),
])  # fmt: skip
def test_what_is_no_key(kind: Kind, change: Callable[[bytes], bytes], error: type[ShanfuError]) -> None:
    told = encode_ca_key(world(kind).authority.record)
    with pytest.raises(error) as caught:
        read(told[:1] + change(told[1:]))
    assert type(caught.value) is error


def test_the_newest_of_a_name_counts() -> None:
    old = world("RSA").authority
    keys = CAKeys([old], allow_test=True)
    keys.add(new := replace(old, expires=date(2040, 1, 1)))
    assert (len(keys), list(keys), keys.find(old.rid, old.index, today=date(2039, 1, 1))) == (1, [new], new)


def test_a_test_key_is_none_in_production() -> None:
    key = world("RSA").authority
    found = CAKeys([key]).find(key.rid, key.index, today=TODAY)
    assert isinstance(found, Failure)
    assert (found.explain(), found.explain("zh")) == ("certification authority key is for tests only", "CA公钥仅供测试")


@pytest.mark.parametrize(("kind", "usable"), [("RSA", True), ("SM2", False)])
def test_a_terminal_without_sm_algorithms_uses_no_key_for_them(kind: Kind, usable: bool) -> None:
    key = world(kind).authority
    found = CAKeys([key], allow_test=True, sm=False).find(key.rid, key.index, today=TODAY)
    assert found == (key if usable else Failure(Part.CA_KEY, Reason.KEY_ALGORITHM))


@pytest.mark.parametrize(("rid", "index"), [(b"", 1), (UNIONPAY_RID + b"\1", 1), (UNIONPAY_RID, 256), (UNIONPAY_RID, -1)])
def test_what_names_no_key(rid: bytes, index: int) -> None:
    with pytest.raises(DecodeError):
        CAKey(rid=rid, index=index, key=world("SM2").authority.key)
