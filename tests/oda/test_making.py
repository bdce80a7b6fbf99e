"""The issuing side and the card's: what cannot be made, records that carry a chain, the card's key in its groupings."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from shanfu.crypto import RSAPublicKey, SM2PrivateKey
from shanfu.emv import parse_record
from shanfu.errors import ConfigError, KeyUseError, ShanfuError
from shanfu.oda import (
    CHAIN_TAGS,
    CardData,
    PrivateKey,
    chain_records,
    icc_key_groupings,
    load_icc_key,
    make_icc_certificate,
    make_issuer_certificate,
    make_static_signature,
    recover_chain,
    sign_combined,
    sign_dynamic,
)
from shanfu.pan import PAN
from tests.oda.world import DIGITS, LAST_MONTH, TODAY, World, keys, laboratory_key, world

SHORT = laboratory_key()  # 96 bytes


def issuer(w: World, **changes: Any) -> Mapping[int, bytes]:
    given: dict[str, Any] = {"issuer_id": "622800", "expires": LAST_MONTH, "serial": b"\0\0\1", "sign": w.ca.sign}
    key = changes.pop("key", w.issuer.public)
    return make_issuer_certificate(key, w.authority, **given | changes)


def icc(w: World, **changes: Any) -> Mapping[int, bytes]:
    given: dict[str, Any] = {
        "pan": PAN(DIGITS),
        "expires": LAST_MONTH,
        "serial": b"\0\0\1",
        "static": b"",
        "sign": w.issuer.sign,
    }
    key = changes.pop("key", w.icc.public)
    return make_icc_certificate(key, w.issuer.public, **given | changes)


def combined(key: PrivateKey, cryptogram: bytes) -> bytes:
    return sign_combined(key, b"\1\2", decision=(0x40, cryptogram), unpredictable_number=bytes(4), transaction=b"")


@pytest.mark.parametrize(("make", "error", "says"), [
    (lambda w: issuer(w, issuer_id="62"),                       ConfigError,  "3 to 8 digits"),
    (lambda w: issuer(w, issuer_id="622800010"),                ConfigError,  "3 to 8 digits"),
    (lambda w: issuer(w, issuer_id="6228FF"),                   ConfigError,  "3 to 8 digits"),
    (lambda w: issuer(w, serial=b"\0\1"),                       ConfigError,  "serial number"),
    (lambda w: issuer(w, key=world("SM2").issuer.public),       ConfigError,  "under an SM2 key"),
    (lambda w: issuer(w, sign=SHORT.sign),                      ShanfuError,  "96"),
    (lambda w: issuer(w, sign=lambda block: block[:96]),        KeyUseError,  "a signature of 96 bytes"),
    (lambda w: issuer(w, sign=lambda block: block),             KeyUseError,  "another key"),
    (lambda w: icc(w, key=w.ca.public),                         ConfigError,  "under one of 128"),
    (lambda w: icc(w, serial=b""),                              ConfigError,  "serial number"),
    (lambda w: icc(world("SM2"), key=w.icc.public),             ConfigError,  "under an SM2 key"),
    (lambda w: icc(world("SM2"), sign=world("SM2").ca.sign),    KeyUseError,  "another key"),
    (lambda w: make_static_signature(w.issuer.public, static=b"", code=b"\1", sign=w.issuer.sign), ConfigError, "code"),
    (lambda w: sign_dynamic(w.icc, b"\1", b""),                 ConfigError,  "2 to 8"),
    (lambda w: sign_dynamic(w.icc, bytes(9), b""),              ConfigError,  "2 to 8"),
    (lambda w: combined(w.icc, bytes(7)),                       ConfigError,  "cryptogram"),
])  # fmt: skip
def test_what_cannot_be_made(make: Callable[[World], object], error: type[ShanfuError], says: str) -> None:
    with pytest.raises(error, match=says):
        make(world("RSA"))


# -- lengths of keys ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("issuer_key", "remainder_92", "remainder_9F48"), [
    (lambda: keys("RSA")[1],      20, 10),   # 128 bytes in the 108 of a 144-byte key, 96 in the 86 of it
    (lambda: keys("RSA")[0],      36, 0),    # 144 bytes: all of the card's 96 fit into 102
    (laboratory_key,              0,  42),   # 96 bytes fit; 54 of 96 fit
])  # fmt: skip
def test_remainders_of_every_size(issuer_key: Callable[[], PrivateKey], remainder_92: int, remainder_9F48: int) -> None:
    good, signer = world("RSA"), issuer_key()
    values = {0x5A: bytes.fromhex(DIGITS), **issuer(good, key=signer.public)}
    card = CardData(rid=good.card.rid, values=values, records=(), aip=b"")
    values |= make_icc_certificate(
        good.icc.public, signer.public, pan=PAN(DIGITS), expires=LAST_MONTH, serial=b"\0\0\1", static=b"", sign=signer.sign
    )
    assert (len(values.get(0x92, b"")), len(values.get(0x9F48, b""))) == (remainder_92, remainder_9F48)
    chain = recover_chain(card, good.trusted, today=TODAY)
    assert (chain.failure, chain.key) == (None, good.icc.public)


@pytest.mark.parametrize("digits", ["622800010001", "6228000100001117", "6228480402564890018"])
@pytest.mark.parametrize("issuer_id", ["622", "62284804", "622800"])
def test_pans_and_issuer_identifiers_of_every_length(digits: str, issuer_id: str) -> None:
    good = world("SM2")
    values = {0x5A: bytes.fromhex(digits + "F" * (len(digits) % 2))}
    card = CardData(rid=good.card.rid, values=values, records=(), aip=b"")
    values |= {**issuer(good, issuer_id=issuer_id), **icc(good, pan=PAN(digits))}
    chain = recover_chain(card, good.trusted, today=TODAY)
    assert (chain.key is not None) is digits.startswith(issuer_id)


# -- records -----------------------------------------------------------------------------------------------------------


def test_a_chain_in_records() -> None:
    """The records that personalisation takes hold every tag once, in order, and none is longer than 254 bytes."""
    good = world("RSA")
    values = {**good.card.values, 0x9F49: bytes.fromhex("9F3704")}
    packed = chain_records(values, sfi=2, first=1)
    assert list(packed) == [0x0201, 0x0202, 0x0203]
    found = [node for record in packed.values() for node in parse_record(record)]
    assert [node.tag for node in found] == [tag for tag in CHAIN_TAGS if tag in values]
    assert {node.tag: node.value for node in found} == {tag: values[tag] for tag in CHAIN_TAGS if tag in values}
    assert max(map(len, packed.values())) <= 254


@pytest.mark.parametrize(("tag", "size", "fits"), [(0x90, 248, True), (0x9F46, 247, True), (0x9F46, 248, False)])
def test_how_much_a_record_takes(tag: int, size: int, fits: bool) -> None:
    if not fits:
        with pytest.raises(ConfigError, match="do not fit into 254"):
            chain_records({tag: bytes(size)})
        return
    assert [len(record) for record in chain_records({tag: bytes(size)}).values()] == [254]


def test_no_chain_no_record() -> None:
    assert chain_records({0x5A: bytes(8)}) == {}


# -- the card's key ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [laboratory_key(), SM2PrivateKey.generate()], ids=["RSA", "SM2"])
@pytest.mark.parametrize("pad", [b"", b"\x80" + bytes(7)], ids=["plain", "padded"])
def test_a_key_in_groupings_there_and_back(key: PrivateKey, pad: bytes) -> None:
    groupings = {dgi: part + pad for dgi, part in icc_key_groupings(key).items()}
    loaded = load_icc_key({0x0101: b"", **groupings})
    assert loaded is not None
    assert loaded.public == key.public


def test_groupings_of_applets_that_exchange_the_factors() -> None:
    own = icc_key_groupings(SHORT)
    p, q = own[0x8205], own[0x8204]
    inverse = pow(int.from_bytes(p), -1, int.from_bytes(q)).to_bytes(48)
    for exchanged in (
        {0x8201: own[0x8201], 0x8202: own[0x8203], 0x8203: own[0x8202], 0x8204: p, 0x8205: q},
        {0x8201: inverse, 0x8202: own[0x8203], 0x8203: own[0x8202], 0x8204: p, 0x8205: q},
    ):
        loaded = load_icc_key(exchanged)
        assert loaded is not None
        assert isinstance(loaded.public, RSAPublicKey)
        assert loaded.public == SHORT.public


@pytest.mark.parametrize(("change", "says"), [
    (lambda g: {k: v for k, v in g.items() if k != 0x8203},     "8203 is missing"),
    (lambda g: g | {0x8203: bytes(48)},                         "do not belong together"),
    (lambda g: g | {0x8205: b""},                               "do not belong together"),
    (lambda g: g | {0x8205: g[0x8205][:-1]},                    "do not belong together"),
    (lambda g: {0x8100: bytes(32)},                             "SM2 key"),
    (lambda g: {0x8100: b"\1"},                                 "SM2 key"),
])  # fmt: skip
def test_groupings_that_are_no_key(change: Callable[[dict[int, bytes]], dict[int, bytes]], says: str) -> None:
    with pytest.raises(KeyUseError, match=says):
        load_icc_key(change(icc_key_groupings(SHORT)))


def test_a_card_without_a_key() -> None:
    assert load_icc_key({0x0101: b"\x70\x00", 0x8000: bytes(48)}) is None


def test_nothing_secret_is_shown() -> None:
    shown = repr((world("RSA").card, world("RSA").chain, world("RSA").icc, world("SM2").chain, world("SM2").icc))
    assert DIGITS not in shown
    assert DIGITS not in shown.encode().hex()
    for part in icc_key_groupings(SHORT).values():
        assert part.hex() not in shown.lower()
