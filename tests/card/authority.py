"""A certification authority, an issuer and cards with keys of their own, made once a run."""

import functools
from dataclasses import replace
from datetime import date

from shanfu.card import CardProfile, static_data
from shanfu.crypto import RSAPrivateKey, SM2PrivateKey
from shanfu.emv import UNIONPAY_RID
from shanfu.oda import (
    Authentication,
    CAKey,
    CAKeys,
    CardData,
    Chain,
    PrivateKey,
    authenticate_fast,
    chain_records,
    icc_key_groupings,
    make_icc_certificate,
    make_issuer_certificate,
    recover_chain,
)
from shanfu.pan import PAN
from tests.card.bench import DEBIT
from tests.card.slot import Slot

TODAY, EXPIRES = date(2026, 11, 22), date(2030, 12, 31)


@functools.cache
def keys(kind: str) -> tuple[PrivateKey, PrivateKey, PrivateKey]:
    """Authority, issuer and card: "sm2", or the card's bits under 1,408-bit ones."""
    if kind == "sm2":
        return SM2PrivateKey.generate(), SM2PrivateKey.generate(), SM2PrivateKey.generate()
    return RSAPrivateKey.generate(1408), RSAPrivateKey.generate(1408), RSAPrivateKey.generate(int(kind))


def authority(kind: str) -> CAKey:
    return CAKey(rid=UNIONPAY_RID, index=0x57, key=keys(kind)[0].public, expires=EXPIRES, test=True)


def certified(kind: str, profile: CardProfile = DEBIT, **changes: object) -> CardProfile:
    """Give a profile a key and the certificates for it."""
    made = replace(profile, **changes)
    ca, issuer, icc = keys(kind)
    chain = make_issuer_certificate(
        issuer.public, authority(kind), issuer_id="620901", expires=EXPIRES, serial=b"\0\0\1", sign=ca.sign
    )
    chain |= make_icc_certificate(
        icc.public, issuer.public, pan=PAN(made.pan.digits), expires=EXPIRES, serial=b"\0\0\2", static=static_data(made),
        sign=issuer.sign,
    )  # fmt: skip
    chain |= {0x9F49: bytes.fromhex("9F3704"), 0x9F4A: b"\x82"}
    return replace(made, oda=chain_records(chain) | icc_key_groupings(icc))


def shown(slot: Slot) -> CardData:
    """Return what an insertion or a tap has read, as terminals hand it on."""
    return CardData(rid=slot.profile.aid[:5], values=slot.shown, records=slot.marked, aip=slot.shown[0x82])


def recovered(kind: str, slot: Slot) -> Chain:
    """Recover the card's key as a terminal does."""
    return recover_chain(shown(slot), CAKeys([authority(kind)], allow_test=True), today=TODAY)


def fast(kind: str, slot: Slot, *, version_01: bool) -> Authentication:
    """Verify the signature over a contactless approval."""
    values = {**slot.said, **slot.shown}
    return authenticate_fast(recovered(kind, slot), slot.shown.get(0x9F4B), values=values, version_01=version_01)
