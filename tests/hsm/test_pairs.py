"""Certified pairs: a chain made in HSMs convinces a terminal, a card's private half travels under one key, nothing shows."""

from datetime import date

import pytest

from shanfu.crypto import BlockKey, KeyHeader, RSAPrivateKey, RSAPublicKey, SM2PrivateKey, pad_bytes
from shanfu.errors import ConfigError, DecodeError, IntegrityError, KeyUseError
from shanfu.hsm import LMK, KeyBlock, KeyUsage, SoftHSM
from shanfu.hsm.bench import Bench
from shanfu.iso7816 import tlv
from shanfu.oda import (
    CAKey,
    CAKeys,
    CardData,
    authenticate_dynamic,
    authenticate_static,
    recover_chain,
    sign_dynamic,
    static_data,
)
from tests.hsm.box import AES, EXPIRES, LMKEY, PAN, RID, RSA, SERIAL, SM2, TDES, card_job, issuer_job, pair_job

TODAY = date(2026, 11, 22)
KBPK = b"\x77" * 32
BITS = {KeyUsage.CA_PAIR: 1408, KeyUsage.ISSUER_PAIR: 1152}


def pair(hsm: SoftHSM, usage: KeyUsage, algorithm) -> KeyBlock:
    return hsm.generate_pair(usage, algorithm, bits=BITS[usage])


def perso_key(hsm: SoftHSM) -> KeyBlock:
    return hsm.form(KeyUsage.KBPK, AES, [bytes(32), KBPK])


def opened(block: str):
    """What the personalisation bureau does with a card's private half."""
    header, key = BlockKey(KBPK).unwrap(block)
    assert (header.usage, header.mode, header.exportability) == ("S2", "T", "N")
    return RSAPrivateKey.decode(key) if header.algorithm == "R" else SM2PrivateKey(key)


def shown_card(values, record: bytes) -> CardData:
    return CardData(rid=RID, values=values | {0x5A: bytes.fromhex(PAN + "F")}, records=[(1, record)], aip=b"\x7c\x00")


@pytest.mark.parametrize("algorithm", [RSA, SM2])
def test_a_terminal_believes_the_chain(algorithm):
    """Payment system, bank and bureau each have their own HSM or key; the terminal knows the authority's key alone."""
    system, bank = SoftHSM(LMK.generate()), SoftHSM(LMKEY)
    ca, issuer = pair(system, KeyUsage.CA_PAIR, algorithm), pair(bank, KeyUsage.ISSUER_PAIR, algorithm)
    authority = CAKey(rid=RID, index=0x80, key=system.public_part(ca))
    certificate = system.certify_issuer(issuer_job(system, ca, authority=authority, issuer=bank.public_part(issuer)))

    record = bytes(tlv(0x70, bytes(tlv(0x5A, bytes.fromhex(PAN + "F")))))
    static = static_data(CardData(rid=RID, values={0x9F4A: b"\x82"}, records=[(1, record)], aip=b"\x7c\x00"))
    signature = bank.sign_static(issuer, static=static, code=b"\xda\xc0")
    made = bank.make_card_pair(pair_job(issuer, perso_key(bank), static=static))

    card = shown_card({0x9F4A: b"\x82"} | certificate | signature | dict(made.values), record)
    keys = CAKeys([authority])
    assert authenticate_static(card, keys, today=TODAY).proved == {0x9F45: b"\xda\xc0"}
    answer = bytes(tlv(0x80, sign_dynamic(opened(made.block), b"\x01\x02\x03", b"\x12\x34\x56\x78")))
    chain = recover_chain(card, keys, today=TODAY)
    assert authenticate_dynamic(chain, answer, terminal_data=b"\x12\x34\x56\x78").proved == {0x9F4C: b"\x01\x02\x03"}
    assert not authenticate_dynamic(chain, answer, terminal_data=b"\x12\x34\x56\x79").ok


def test_a_pair_made_elsewhere_is_certified_alike(hsm):
    issuer, own = pair(hsm, KeyUsage.ISSUER_PAIR, SM2), SM2PrivateKey.generate()
    values = hsm.certify_card(card_job(hsm, issuer, icc=own.public, static=b"static"))
    content, signature = values[0x9F46][:-64], values[0x9F46][-64:]
    assert own.public.point in content
    hsm.public_part(issuer).verify(content + b"static", signature)


def test_every_pair_is_another(hsm):
    issuer, kbpk = pair(hsm, KeyUsage.ISSUER_PAIR, SM2), perso_key(hsm)
    assert len({opened(hsm.make_card_pair(pair_job(issuer, kbpk)).block).secret for _ in range(3)}) == 3


@pytest.mark.parametrize("algorithm", [RSA, SM2])
def test_pairs_are_kept_and_only_their_public_half_shows(hsm, algorithm):
    block = hsm.generate_pair(KeyUsage.CA_PAIR, algorithm, bits=1024, exponent=b"\x01\x00\x01")
    again = SoftHSM(LMKEY)
    assert again.public_part(block) == hsm.public_part(block)
    assert again.check_value(block, 8) == hsm.check_value(block, 8)
    if algorithm is RSA:
        assert hsm.public_part(block) == RSAPublicKey(hsm.public_part(block).modulus, b"\x01\x00\x01")
    key = Bench(LMKEY).any_use(block)
    parts = key.pair.crt if algorithm is RSA else (key.pair.secret,)
    made = hsm.make_card_pair(pair_job(pair(hsm, KeyUsage.ISSUER_PAIR, SM2), perso_key(hsm)))
    shown = f"{key!r} {key.pair!r} {block} {hsm!r} {made!r}"
    assert not any(part.hex().upper() in shown.upper() for part in parts)
    with pytest.raises(KeyUseError, match="not exportable"):
        hsm.export_block(block, perso_key(hsm))
    with pytest.raises(IntegrityError):
        SoftHSM(LMK.generate()).public_part(block)


def test_a_cards_private_half_comes_into_no_hsm(hsm):
    """The block is for the card: an HSM that holds the personalisation key does not take it as a pair of its own."""
    kbpk = perso_key(hsm)
    made = hsm.make_card_pair(pair_job(pair(hsm, KeyUsage.ISSUER_PAIR, SM2), kbpk))
    with pytest.raises(KeyUseError, match="none that this HSM works with"):
        hsm.import_block(made.block, kbpk)


def test_the_authority_must_be_the_pair(hsm):
    ca, other = (pair(hsm, KeyUsage.CA_PAIR, SM2) for _ in range(2))
    authority = CAKey(rid=RID, index=0x80, key=hsm.public_part(other))
    with pytest.raises(KeyUseError):
        hsm.certify_issuer(issuer_job(hsm, ca, authority=authority))


UNFIT = [  # what is asked, error
    ({"serial": b"\0"}, ConfigError),
    ({"pan": "622848000000000000x"}, DecodeError),
    ({"bits": 2048}, ConfigError),  # longer than the issuer's
    ({"bits": 512}, KeyUseError),
    ({"exponent": b"\x05"}, KeyUseError),
]


@pytest.fixture(scope="module")
def rsa_issuer() -> KeyBlock:
    return SoftHSM(LMKEY).generate_pair(KeyUsage.ISSUER_PAIR, RSA, bits=1024)


@pytest.mark.parametrize(("changes", "error"), UNFIT, ids=str)
def test_what_does_not_fit(hsm, rsa_issuer, changes, error):
    with pytest.raises(error):
        hsm.make_card_pair(pair_job(rsa_issuer, perso_key(hsm), **changes))


def test_an_rsa_key_is_not_certified_under_sm2(hsm, rsa_issuer):
    with pytest.raises(ConfigError):
        hsm.certify_card(card_job(hsm, pair(hsm, KeyUsage.ISSUER_PAIR, SM2), icc=hsm.public_part(rsa_issuer)))


@pytest.mark.parametrize(("usage", "algorithm"), [(KeyUsage.SIGN, RSA), (KeyUsage.CA_PAIR, TDES), (KeyUsage.MAK, SM2)])
def test_usages_that_have_no_such_pair(hsm, usage, algorithm):
    with pytest.raises(KeyUseError):
        hsm.generate_pair(usage, algorithm)


@pytest.mark.parametrize("key", [b"\x30\x03\x02\x01\x00", b"\x30\x82", bytes(700)], ids=["one number", "cut", "zeros"])
def test_a_block_that_holds_no_rsa_key_is_refused(hsm, key):
    header = KeyHeader(usage="S1", algorithm="R", mode="S")
    block = BlockKey(KBPK).wrap(header, key, pad=bytes(pad_bytes(header, key)))
    with pytest.raises(KeyUseError, match="RSAPrivateKey"):
        hsm.import_block(block, perso_key(hsm))


def test_dates_and_serials_reach_the_certificate(hsm):
    values = hsm.certify_card(card_job(hsm, pair(hsm, KeyUsage.ISSUER_PAIR, SM2)))
    assert values[0x9F46][1:16] == bytes.fromhex(PAN.ljust(20, "F")) + bytes.fromhex(f"{EXPIRES:%m%y}") + SERIAL
