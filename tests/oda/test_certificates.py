"""Every field of every certificate, wrong by itself and signed by its right owner: the failure's name, SDA's and DDA's bits."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from shanfu.emv import TVR
from shanfu.iso7816 import tlv
from shanfu.oda import CAKeys, Revocation, authenticate_dynamic, authenticate_static, recover_chain
from tests.oda.world import CARD_SERIAL, SERIAL, TODAY, Kind, World, put, world

MISSING = TVR.ICC_DATA_MISSING
Change = Callable[[World], World]


def issuer(place: int, *values: int, hashed: bool = True) -> Change:
    return lambda w: w.forged(0x90, put(place, *values), hashed=hashed)


def icc(place: int, *values: int, hashed: bool = True) -> Change:
    return lambda w: w.forged(0x9F46, put(place, *values), hashed=hashed)


def having(**values: bytes | None) -> Change:
    return lambda w: w.having(**values)


def resigned(tag: int, **values: bytes | None) -> Change:
    return lambda w: w.having(**values).forged(tag, put(0, 0x6A))


def cut(tag: int, by: int = 1) -> Change:
    return lambda w: w.having(**{f"t{tag:X}": w.card.values[tag][:-by]})


def longer(tag: int) -> Change:
    return lambda w: w.having(**{f"t{tag:X}": w.card.values[tag] + b"\x01"})


def records(*found: tuple[int, bytes]) -> Change:
    return lambda w: replace(w, card=replace(w.card, records=found))


def signed_by_the_card(w: World) -> World:
    return w.having(t9F46=w.icc.sign(b"\x6a" + bytes(94) + b"\xbc"))


PAN_RECORD = bytes.fromhex("701B5A0862280001000011175F24033012315F25039507019F08020030")
TOO_LONG = [(3, bytes(tlv(0x70, bytes.fromhex("5F2081F0") + bytes(240)))) for _ in range(9)]
GREATER = b"\xff" * 144

# fmt: off
RSA = (  # what is done to a good card             the failure                        TVR beside the method's bit
    (having(t8F=None),                             "CA_KEY_MISSING",                  MISSING),
    (having(t8F=b""),                              "CA_KEY_LENGTH",                   0),
    (having(t8F=b"\x79"),                          "CA_KEY_UNKNOWN",                  0),
    (having(t5A=None),                             "PAN_MISSING",                     MISSING),
    (having(t90=None),                             "ISSUER_CERTIFICATE_MISSING",      MISSING),
    (having(t90=b""),                              "ISSUER_CERTIFICATE_LENGTH",       0),
    (cut(0x90),                                    "ISSUER_CERTIFICATE_LENGTH",       0),
    (longer(0x90),                                 "ISSUER_CERTIFICATE_LENGTH",       0),
    (having(t90=GREATER),                          "ISSUER_CERTIFICATE_UNREADABLE",   0),
    (issuer(-1, 0xBD),                             "ISSUER_CERTIFICATE_TRAILER",      0),
    (issuer(0, 0x6B),                              "ISSUER_CERTIFICATE_HEADER",       0),
    (issuer(1, 0x03),                              "ISSUER_CERTIFICATE_FORMAT",       0),
    (issuer(2, 0x62, 0x28, 0x01, 0xFF),            "ISSUER_CERTIFICATE_OTHER_CARD",   0),
    (issuer(2, 0x62, 0xFF, 0xFF, 0xFF),            "ISSUER_CERTIFICATE_OTHER_CARD",   0),   # two digits are too few
    (issuer(2, 0xFF, 0xFF, 0xFF, 0xFF),            "ISSUER_CERTIFICATE_OTHER_CARD",   0),
    (issuer(6, 0x13, 0x30),                        "ISSUER_CERTIFICATE_DATE",         0),
    (issuer(6, 0x0A, 0x30),                        "ISSUER_CERTIFICATE_DATE",         0),
    (issuer(6, 0x10, 0x26),                        "ISSUER_CERTIFICATE_EXPIRED",      0),
    (issuer(6, 0x12, 0x99),                        "ISSUER_CERTIFICATE_EXPIRED",      0),   # 1999
    (issuer(11, 0x07),                             "ISSUER_CERTIFICATE_HASH_ALGORITHM", 0),
    (issuer(12, 0x02),                             "ISSUER_CERTIFICATE_KEY_ALGORITHM", 0),
    (issuer(13, 145),                              "ISSUER_CERTIFICATE_KEY_SIZE",     0),
    (issuer(13, 127),                              "ISSUER_REMAINDER_LENGTH",         0),
    (issuer(13, 129),                              "ISSUER_REMAINDER_LENGTH",         0),
    (issuer(14, 2),                                "ISSUER_EXPONENT_LENGTH",          0),
    (issuer(15, 0x00),                             "ISSUER_CERTIFICATE_KEY",          0),   # modulus begins with a zero
    (issuer(-5, 0x00, hashed=False),               "ISSUER_CERTIFICATE_HASH",         0),
    (having(t92=None),                             "ISSUER_CERTIFICATE_HASH",         0),
    (cut(0x92),                                    "ISSUER_CERTIFICATE_HASH",         0),
    (having(t9F32=None),                           "ISSUER_EXPONENT_MISSING",         MISSING),
    (having(t9F32=b"\x05"),                        "ISSUER_CERTIFICATE_HASH",         0),
    (resigned(0x90, t92=None),                     "ISSUER_REMAINDER_MISSING",        MISSING),
    (resigned(0x90, t9F32=b"\x05"),                "ISSUER_EXPONENT_VALUE",        0),
    (having(t9F4A=b"\x95"),                        "TAG_LIST_OTHER_TAGS",               0),
    (having(t9F4A=b"\x82\x5A"),                    "TAG_LIST_OTHER_TAGS",               0),
    (having(t9F4A=b""),                            "TAG_LIST_OTHER_TAGS",               0),
    (records((3, PAN_RECORD[2:])),                 "RECORD_NOT_A_TEMPLATE",           0),
    (records((3, PAN_RECORD[:-1])),                "RECORD_NOT_A_TEMPLATE",           0),
    (records((3, PAN_RECORD * 2)),                 "RECORD_NOT_A_TEMPLATE",           0),
    (records((3, b"")),                            "RECORD_NOT_A_TEMPLATE",           0),
    (records(*TOO_LONG),                           "RECORD_TOO_LONG",                 0),
)
RSA_CARD = (
    (having(t9F46=None),                           "ICC_CERTIFICATE_MISSING",         MISSING),
    (having(t9F47=None),                           "ICC_EXPONENT_MISSING",            MISSING),
    (cut(0x9F46),                                  "ICC_CERTIFICATE_LENGTH",          0),
    (longer(0x9F46),                               "ICC_CERTIFICATE_LENGTH",          0),
    (signed_by_the_card,                           "ICC_CERTIFICATE_LENGTH",          0),   # a key of another size
    (having(t9F46=GREATER[:128]),                  "ICC_CERTIFICATE_UNREADABLE",      0),
    (icc(-1, 0xBB),                                "ICC_CERTIFICATE_TRAILER",         0),
    (icc(0, 0x69),                                 "ICC_CERTIFICATE_HEADER",          0),
    (icc(1, 0x02),                                 "ICC_CERTIFICATE_FORMAT",          0),
    (icc(9, 0x18),                                 "ICC_CERTIFICATE_OTHER_CARD",      0),   # last digits of the PAN
    (icc(2, *[0xFF] * 10),                         "ICC_CERTIFICATE_OTHER_CARD",      0),
    (icc(12, 0x00, 0x30),                          "ICC_CERTIFICATE_DATE",            0),
    (icc(12, 0x10, 0x26),                          "ICC_CERTIFICATE_EXPIRED",         0),
    (icc(17, 0x02),                                "ICC_CERTIFICATE_HASH_ALGORITHM",  0),
    (icc(18, 0x04),                                "ICC_CERTIFICATE_KEY_ALGORITHM",   0),
    (icc(19, 129),                                 "ICC_CERTIFICATE_KEY_SIZE",        0),
    (icc(19, 97),                                  "ICC_REMAINDER_LENGTH",            0),
    (icc(20, 1),                                   "ICC_EXPONENT_LENGTH",             0),
    (icc(21, 0x01),                                "ICC_CERTIFICATE_KEY",             0),
    (icc(-2, 0x00, hashed=False),                  "ICC_CERTIFICATE_HASH",            0),
    (having(t9F48=None),                           "ICC_CERTIFICATE_HASH",            0),
    (resigned(0x9F46, t9F48=None),                 "ICC_REMAINDER_MISSING",           MISSING),
    (resigned(0x9F46, t9F47=b"\x01\x00\x00"),      "ICC_EXPONENT_VALUE",           0),
    (having(t5A=bytes.fromhex("6228000100001125")), "ICC_CERTIFICATE_OTHER_CARD",     0),
    (having(t9F4A=None),                           "ICC_CERTIFICATE_HASH",            0),   # the AIP was signed too
    (records((3, PAN_RECORD)),                     "ICC_CERTIFICATE_HASH",            0),
    (records(),                                    "ICC_CERTIFICATE_HASH",            0),
)
SM2 = (
    (having(t8F=None),                             "CA_KEY_MISSING",                  MISSING),
    (having(t90=None),                             "ISSUER_CERTIFICATE_MISSING",      MISSING),
    (having(t90=b""),                              "ISSUER_CERTIFICATE_LENGTH",       0),
    (cut(0x90),                                    "ISSUER_CERTIFICATE_LENGTH",       0),
    (longer(0x90),                                 "ISSUER_CERTIFICATE_LENGTH",       0),
    (issuer(0, 0x02),                              "ISSUER_CERTIFICATE_FORMAT",       0),
    (having(t90=b"\x12" + b"\xff" * 141),          "ISSUER_CERTIFICATE_SIGNATURE",    0),
    (issuer(1, 0x63),                              "ISSUER_CERTIFICATE_OTHER_CARD",   0),
    (issuer(5, 0x99, 0x99),                        "ISSUER_CERTIFICATE_DATE",         0),
    (issuer(5, 0x10, 0x26),                        "ISSUER_CERTIFICATE_EXPIRED",      0),
    (issuer(10, 0x01),                             "ISSUER_CERTIFICATE_KEY_ALGORITHM", 0),
    (issuer(12, 0x12),                             "ISSUER_CERTIFICATE_KEY_ALGORITHM", 0),
    (issuer(13, 0x41),                             "ISSUER_CERTIFICATE_KEY_ALGORITHM", 0),
    (issuer(14, *[0] * 64),                        "ISSUER_CERTIFICATE_KEY",          0),   # no point of the curve
)
SM2_CARD = (
    (having(t9F46=None),                           "ICC_CERTIFICATE_MISSING",         MISSING),
    (cut(0x9F46),                                  "ICC_CERTIFICATE_LENGTH",          0),
    (icc(0, 0x15),                                 "ICC_CERTIFICATE_FORMAT",          0),
    (icc(8, 0x18),                                 "ICC_CERTIFICATE_OTHER_CARD",      0),
    (icc(11, 0x13, 0x30),                          "ICC_CERTIFICATE_DATE",            0),
    (icc(11, 0x10, 0x26),                          "ICC_CERTIFICATE_EXPIRED",         0),
    (icc(16, 0x05),                                "ICC_CERTIFICATE_KEY_ALGORITHM",   0),
    (icc(20, *[1] * 64),                           "ICC_CERTIFICATE_KEY",             0),
    (records((3, PAN_RECORD)),                     "ICC_CERTIFICATE_SIGNATURE",       0),
)
SIGNED_STATIC = (
    ("RSA", having(t93=None),                      "STATIC_SIGNATURE_MISSING",        MISSING),
    ("RSA", cut(0x93),                             "STATIC_SIGNATURE_LENGTH",         0),
    ("RSA", lambda w: w.forged(0x93, put(-1, 0)),  "STATIC_SIGNATURE_TRAILER",        0),
    ("RSA", lambda w: w.forged(0x93, put(0, 0)),   "STATIC_SIGNATURE_HEADER",         0),
    ("RSA", lambda w: w.forged(0x93, put(1, 5)),   "STATIC_SIGNATURE_FORMAT",         0),
    ("RSA", lambda w: w.forged(0x93, put(2, 2)),   "STATIC_SIGNATURE_HASH_ALGORITHM", 0),
    ("RSA", records((3, PAN_RECORD)),              "STATIC_SIGNATURE_HASH",           0),
    ("SM2", cut(0x93),                             "STATIC_SIGNATURE_LENGTH",         0),
    ("SM2", lambda w: w.forged(0x93, put(0, 3)),   "STATIC_SIGNATURE_FORMAT",         0),
    ("SM2", records((3, PAN_RECORD)),              "STATIC_SIGNATURE_SIGNATURE",      0),
)
# fmt: on

ISSUERS = [("RSA", *row) for row in RSA] + [("SM2", *row) for row in SM2]
CARDS = [("RSA", *row) for row in RSA_CARD] + [("SM2", *row) for row in SM2_CARD]


def named(value: object) -> str:
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(("kind", "change", "name", "also"), [*ISSUERS, *CARDS], ids=named)
def test_no_card_key_from_a_wrong_chain(kind: Kind, change: Change, name: str, also: int) -> None:
    chain = change(world(kind)).chain
    assert chain.key is None
    assert chain.failure is not None
    assert chain.failure.name == name
    found = authenticate_dynamic(chain, b"\x80\x00", terminal_data=b"")
    assert (found.failure, found.tvr) == (chain.failure, TVR.DDA_FAILED | also)


@pytest.mark.parametrize(("kind", "change", "name", "also"), [*ISSUERS, *SIGNED_STATIC], ids=named)
def test_sda_of_a_wrong_card(kind: Kind, change: Change, name: str, also: int) -> None:
    wrong = change(world(kind))
    found = authenticate_static(wrong.card, wrong.trusted, today=TODAY)
    assert (found.failure and found.failure.name, found.tvr, found.proved) == (name, TVR.SDA_FAILED | also, {})


@pytest.mark.parametrize(("trust", "today", "name"), [
    (lambda w: CAKeys(),                                                 TODAY,              "CA_KEY_UNKNOWN"),
    (lambda w: CAKeys([w.authority]),                                    TODAY,              "CA_KEY_FOR_TESTS"),
    (lambda w: CAKeys([replace(w.authority, index=0x81)]),               TODAY,              "CA_KEY_UNKNOWN"),
    (lambda w: CAKeys([replace(w.authority, rid=b"VISA!")]),             TODAY,              "CA_KEY_UNKNOWN"),
    (lambda w: CAKeys([replace(w.authority, test=False)]),               TODAY,              None),
    (lambda w: w.trusted,                                                date(2030, 12, 31), None),
    (lambda w: w.trusted,                                                date(2031, 1, 1),   "ISSUER_CERTIFICATE_EXPIRED"),
    (lambda w: w.trusted,                                                date(2032, 1, 1),   "CA_KEY_EXPIRED"),
    (lambda w: revoking(w, Revocation(w.card.rid, 0x80, SERIAL)),        TODAY,              "ISSUER_CERTIFICATE_REVOKED"),
    (lambda w: revoking(w, Revocation(w.card.rid, 0x80, CARD_SERIAL)),   TODAY,              None),
    (lambda w: revoking(w, Revocation(w.card.rid, 0x81, SERIAL)),        TODAY,              None),
])  # fmt: skip
def test_whom_the_terminal_trusts(trust: Callable[[World], CAKeys], today: date, name: str | None) -> None:
    for kind in ("RSA", "SM2"):
        good = world(kind)
        chain = recover_chain(good.card, trust(good), today=today)
        assert (chain.failure.name if chain.failure else None) == name


def revoking(good: World, revocation: Revocation) -> CAKeys:
    trusted = good.trusted
    trusted.revoke(revocation)
    return trusted


@pytest.mark.parametrize("kind", ["RSA", "SM2"])
def test_a_good_card(kind: Kind) -> None:
    good = world(kind)
    assert good.chain.key == good.icc.public
    found = authenticate_static(good.card, good.trusted, today=TODAY)
    assert (found.ok, found.tvr, found.proved) == (True, TVR(0), {0x9F45: b"\xda\xc0"})  # type: ignore[arg-type]
