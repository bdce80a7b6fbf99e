"""An authority, an issuer and a card with a real chain, RSA or SM2, and ways to forge each object under the right key."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

from shanfu.crypto import RSAPrivateKey, SM2PrivateKey
from shanfu.emv import UNIONPAY_RID
from shanfu.iso7816 import tlv
from shanfu.oda import (
    CAKey,
    CAKeys,
    CardData,
    Chain,
    PrivateKey,
    make_icc_certificate,
    make_issuer_certificate,
    make_static_signature,
    recover_chain,
    static_data,
)
from shanfu.oda.blocks import digest
from shanfu.pan import PAN

Kind = Literal["RSA", "SM2"]
DIGITS = "6228000100001117"
TODAY = date(2026, 11, 22)
LAST_MONTH = date(2030, 12, 1)
SERIAL, CARD_SERIAL = b"\0\0\1", b"\0\1\2"
CODE = b"\xda\xc0"
AIP = b"\x7d\x00"


@functools.cache
def laboratory_key() -> RSAPrivateKey:
    """The published card's own key: 768 bits, exponent 65537."""
    path = Path(__file__).parent.parent / "vectors" / "emv_oda_unionpay_testcard.json"
    numbers = next(case for case in json.loads(path.read_text())["cases"] if case["kind"] == "icc_private_key")
    p, q = int(numbers["p"], 16), int(numbers["q"], 16)
    dq, q_inv = (number.to_bytes(48) for number in (pow(int(numbers["e"], 16), -1, q - 1), pow(q, -1, p)))
    dp = bytes.fromhex(numbers["d_mod_p_1"])
    return RSAPrivateKey(p=p.to_bytes(48), q=q.to_bytes(48), dp=dp, dq=dq, q_inv=q_inv)


@functools.cache
def keys(kind: Kind) -> tuple[PrivateKey, PrivateKey, PrivateKey]:
    """Of authority, issuer and card."""
    if kind == "SM2":
        return SM2PrivateKey.generate(), SM2PrivateKey.generate(), SM2PrivateKey.generate()
    return RSAPrivateKey.generate(1152), RSAPrivateKey.generate(1024), laboratory_key()


@dataclass(frozen=True, kw_only=True)
class World:
    """Everybody's keys, and what the terminal has: the authority's key and the card's data."""

    ca: PrivateKey
    issuer: PrivateKey
    icc: PrivateKey
    authority: CAKey
    card: CardData

    @property
    def trusted(self) -> CAKeys:
        return CAKeys([self.authority], allow_test=True)

    @property
    def chain(self) -> Chain:
        return recover_chain(self.card, self.trusted, today=TODAY)

    def having(self, **values: bytes | None) -> "World":
        """The same with other values on the card, by tag (`t90=…`), None for none; and another 5A in its record too."""
        changed = dict(self.card.values)
        for name, value in values.items():
            tag = int(name[1:], 16)
            changed.pop(tag, None)
            if value is not None:
                changed[tag] = value
        return replace(self, card=replace(self.card, values=changed))

    def forged(self, tag: int, edit: Callable[[bytearray], None], *, hashed: bool = True) -> "World":
        """The same with a signed object changed *and signed again by its right owner*: only the changed field is wrong."""
        signer = self.ca if tag == 0x90 else self.issuer
        values = self.card.values
        rest = {0x90: (0x92, 0x9F32), 0x9F46: (0x9F48, 0x9F47), 0x93: ()}[tag]
        outside = b"".join(values.get(part, b"") for part in rest)
        if tag != 0x90:
            static = static_data(self.card)
            assert isinstance(static, bytes)
            outside += static
        return self.having(**{f"t{tag:X}": reseal(signer, values[tag], outside, edit, hashed)})


def reseal(signer: PrivateKey, signed: bytes, outside: bytes, edit: Callable[[bytearray], None], hashed: bool = True) -> bytes:
    """Open a signed object, change it, hash it again if wanted, sign it again. Places count from the block's 6A under RSA."""
    if isinstance(signer, SM2PrivateKey):
        content = bytearray(signed[:-64])
        edit(content)
        return bytes(content) + signer.sign(bytes(content) + outside)
    block = bytearray(signer.public.recover(signed))
    edit(block)
    if hashed:
        block[-21:-1] = digest(signer.public, bytes(block[1:-21]) + outside)
    return signer.sign(bytes(block))


@functools.cache
def world(kind: Kind) -> World:
    """A good one."""
    ca, issuer, icc = keys(kind)
    authority = CAKey(rid=UNIONPAY_RID, index=0x80, key=ca.public, expires=date(2031, 12, 31), test=True)
    record = bytes(tlv(0x70, tlv(0x5A, bytes.fromhex(DIGITS)), tlv(0x5F24, bytes.fromhex("301231"))))
    values = {0x5A: bytes.fromhex(DIGITS), 0x5F24: bytes.fromhex("301231"), 0x9F4A: b"\x82"}
    card = CardData(rid=UNIONPAY_RID, values=values, records=[(3, record)], aip=AIP)
    static = static_data(card)
    assert isinstance(static, bytes)
    values |= make_issuer_certificate(
        issuer.public, authority, issuer_id="622800", expires=LAST_MONTH, serial=SERIAL, sign=ca.sign
    )
    values |= make_icc_certificate(
        icc.public, issuer.public, pan=PAN(DIGITS), expires=LAST_MONTH, serial=CARD_SERIAL, static=static, sign=issuer.sign
    )
    values |= make_static_signature(issuer.public, static=static, code=CODE, sign=issuer.sign)
    return World(ca=ca, issuer=issuer, icc=icc, authority=authority, card=card)


def put(place: int, *values: int) -> Callable[[bytearray], None]:
    """An edit: these bytes at that place."""

    def edit(block: bytearray) -> None:
        block[place : place + len(values) or None] = bytes(values)

    return edit
