"""DDA, CDA and fDDA between a card's key and a terminal: what proves the card, and what each tampering is called."""

from collections.abc import Callable

import pytest

from shanfu.emv import DOL, TVR, parse_dol
from shanfu.iso7816 import tlv
from shanfu.oda import (
    Authentication,
    PrivateKey,
    authenticate_combined,
    authenticate_dynamic,
    authenticate_fast,
    choose_ddol,
    sign_combined,
    sign_dynamic,
    sign_fast,
)
from tests.oda.world import Kind, put, reseal, world

KINDS: tuple[Kind, ...] = ("RSA", "SM2")
UN = bytes.fromhex("2B29EBE4")
NUMBER, ATC = bytes.fromhex("1122334455"), bytes.fromhex("0ADC")
OTHER = bytes.fromhex("2B29EBE5")
Edit = Callable[[bytearray], None]


def name_of(found: Authentication) -> str | None:
    return found.failure.name if found.failure else None


def altered(key: PrivateKey, signature: bytes, edit: Edit, *, outside: bytes = UN) -> bytes:
    return reseal(key, signature, outside, edit)


# -- DDA ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("wrapped", "name"), [
    (lambda s: tlv(0x80, s),                                    None),
    (lambda s: tlv(0x77, tlv(0x9F4B, s)),                       None),
    (lambda s: tlv(0x77, tlv(0x9F36, ATC), tlv(0x9F4B, s)),     None),
    (lambda s: tlv(0x77, tlv(0x9F36, ATC)),                     "DYNAMIC_SIGNATURE_MISSING"),
    (lambda s: tlv(0x80, b""),                                  "DYNAMIC_SIGNATURE_LENGTH"),
    (lambda s: tlv(0x80, s[:-1]),                               "DYNAMIC_SIGNATURE_LENGTH"),
    (lambda s: tlv(0x80, s[:-1] + bytes([s[-1] ^ 1])),          "DYNAMIC_SIGNATURE_TRAILER DYNAMIC_SIGNATURE_SIGNATURE"),
    (lambda s: tlv(0x70, s[:0]),                                "RESPONSE_MALFORMED"),
    (lambda s: bytes(tlv(0x80, s))[:-1],                        "RESPONSE_MALFORMED"),
    (lambda s: bytes(tlv(0x80, s)) * 2,                         "RESPONSE_MALFORMED"),
    (lambda s: b"",                                             "RESPONSE_MALFORMED"),
])  # fmt: skip
def test_dda_in_every_wrapping(kind: Kind, wrapped: Callable[[bytes], object], name: str | None) -> None:
    good = world(kind)
    response = bytes(wrapped(sign_dynamic(good.icc, NUMBER, UN)))  # type: ignore[call-overload]
    found = authenticate_dynamic(good.chain, response, terminal_data=UN)
    if name is None:
        assert (found.failure, found.proved, found.tvr) == (None, {0x9F4C: NUMBER}, TVR(0))  # type: ignore[arg-type]
    elif kind == "SM2" and name.endswith("_LENGTH") and len(response) > 2:
        assert name_of(found) == "DYNAMIC_SIGNATURE_SIGNATURE"  # its content is in clear: a byte less shifts the signature
    else:
        assert str(name_of(found)) in name.split()
        assert found.tvr in (TVR.DDA_FAILED, TVR.DDA_FAILED | TVR.ICC_DATA_MISSING)


@pytest.mark.parametrize(("kind", "edit", "name"), [
    ("RSA", put(-1, 0xBD),   "DYNAMIC_SIGNATURE_TRAILER"),
    ("RSA", put(0, 0x60),    "DYNAMIC_SIGNATURE_HEADER"),
    ("RSA", put(1, 0x03),    "DYNAMIC_SIGNATURE_FORMAT"),
    ("RSA", put(2, 0x02),    "DYNAMIC_SIGNATURE_HASH_ALGORITHM"),
    ("RSA", put(3, 0x00),    "DYNAMIC_SIGNATURE_DYNAMIC_DATA"),
    ("RSA", put(3, 0xFF),    "DYNAMIC_SIGNATURE_DYNAMIC_DATA"),
    ("RSA", put(4, 0x01),    "DYNAMIC_SIGNATURE_DYNAMIC_DATA"),
    ("RSA", put(4, 0x09),    "DYNAMIC_SIGNATURE_DYNAMIC_DATA"),
    ("RSA", put(4, 0x08),    "DYNAMIC_SIGNATURE_DYNAMIC_DATA"),   # more than the dynamic data hold
    ("SM2", put(0, 0x05),    "DYNAMIC_SIGNATURE_FORMAT"),
    ("SM2", put(1, 0x00),    "DYNAMIC_SIGNATURE_DYNAMIC_DATA"),
    ("SM2", put(1, 0x07),    "DYNAMIC_SIGNATURE_DYNAMIC_DATA"),
    ("SM2", put(2, 0x09),    "DYNAMIC_SIGNATURE_DYNAMIC_DATA"),
])  # fmt: skip
def test_dda_with_a_field_changed_and_signed_again(kind: Kind, edit: Edit, name: str) -> None:
    good = world(kind)
    forged = altered(good.icc, sign_dynamic(good.icc, NUMBER, UN), edit)
    found = authenticate_dynamic(good.chain, bytes(tlv(0x80, forged)), terminal_data=UN)
    assert (name_of(found), found.tvr, found.proved) == (name, TVR.DDA_FAILED, {})


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_is_good_for_one_unpredictable_number(kind: Kind) -> None:
    good = world(kind)
    replayed = bytes(tlv(0x80, sign_dynamic(good.icc, NUMBER, UN)))
    found = authenticate_dynamic(good.chain, replayed, terminal_data=OTHER)
    assert name_of(found) == {"RSA": "DYNAMIC_SIGNATURE_HASH", "SM2": "DYNAMIC_SIGNATURE_SIGNATURE"}[kind]


@pytest.mark.parametrize(("card", "default", "chosen"), [
    ({0x9F49: "9F3704"},         None,            "9F3704"),
    ({0x9F49: "9F37049F0206"},   "9F3704",        "9F37049F0206"),
    ({},                         "9F3704",        "9F3704"),
    ({},                         None,            "DDOL_NO_UNPREDICTABLE"),
    ({0x9F49: "9F0206"},         "9F3704",        "DDOL_NO_UNPREDICTABLE"),
    ({},                         "9F0206",        "DDOL_NO_UNPREDICTABLE"),
    ({0x9F49: ""},               "9F3704",        "DDOL_NO_UNPREDICTABLE"),
    ({0x9F49: "9F37"},           "9F3704",        "DDOL_MALFORMED"),
])  # fmt: skip
def test_the_order_form_of_dda(card: dict[int, str], default: str | None, chosen: str) -> None:
    values = {tag: bytes.fromhex(value) for tag, value in card.items()}
    found = choose_ddol(values, parse_dol(bytes.fromhex(default)) if default else None)
    assert (bytes(found).hex().upper() if isinstance(found, DOL) else found.name) == chosen


# -- CDA ---------------------------------------------------------------------------------------------------------------

SENT = bytes.fromhex("0000000100000156000000010000000000000000" + UN.hex())
TC, AC, IAD = 0x40, bytes.fromhex("1122334455667788"), bytes.fromhex("07010103900000010A01000000000000000000")


def answer(key: PrivateKey, **changes: bytes) -> tuple[bytes, ...]:
    """The objects of a good answer to GENERATE AC with CDA, or of one with a value changed after signing."""
    objects = (tlv(0x9F27, bytes([TC])), tlv(0x9F36, ATC), tlv(0x9F10, IAD))
    signed = sign_combined(
        key, NUMBER, decision=(TC, AC), unpredictable_number=UN, transaction=SENT + b"".join(map(bytes, objects))
    )
    values = {"t9F27": bytes([TC]), "t9F36": ATC, "t9F4B": signed, "t9F10": IAD} | changes
    return tuple(bytes(tlv(int(name[1:], 16), value)) for name, value in values.items())


Turn = Callable[[tuple[bytes, ...]], bytes]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("turn", "name", "missing"), [
    (lambda o: tlv(0x77, *o),                             None,                             0),
    (lambda o: tlv(0x77, o[2], o[0], o[1], o[3]),         None,                             0),   # in any place
    (lambda o: tlv(0x77, o[1], o[0], o[2], o[3]),         "DYNAMIC_SIGNATURE_TRANSACTION_DATA", 0),
    (lambda o: tlv(0x77, o[0], o[1], o[2]),               "DYNAMIC_SIGNATURE_TRANSACTION_DATA", 0),   # 9F10 taken away
    (lambda o: tlv(0x77, *o, tlv(0x9F6C, b"\0\0")),       "DYNAMIC_SIGNATURE_TRANSACTION_DATA", 0),
    (lambda o: tlv(0x77, o[0], o[1], o[3]),               "DYNAMIC_SIGNATURE_MISSING",      TVR.ICC_DATA_MISSING),
    (lambda o: tlv(0x77, *o[1:]),                         "RESPONSE_INCOMPLETE",            TVR.ICC_DATA_MISSING),
    (lambda o: tlv(0x77, o[0], *o[2:]),                   "RESPONSE_INCOMPLETE",            TVR.ICC_DATA_MISSING),
    (lambda o: tlv(0x77, *o, o[1]),                       "RESPONSE_MALFORMED",             0),
    (lambda o: tlv(0x80, bytes(29)),                      "RESPONSE_MALFORMED",             0),
    (lambda o: bytes(tlv(0x77, *o))[:-1],                 "RESPONSE_MALFORMED",             0),
    (lambda o: b"",                                       "RESPONSE_MALFORMED",             0),
])  # fmt: skip
def test_cda_in_every_wrapping(kind: Kind, turn: Turn, name: str | None, missing: int) -> None:
    good = world(kind)
    found = authenticate_combined(good.chain, bytes(turn(answer(good.icc))), sent=SENT, unpredictable_number=UN)
    assert name_of(found) == name
    assert found.tvr == (TVR.CDA_FAILED | missing if name else 0)
    assert found.proved == ({} if name else {0x9F4C: NUMBER, 0x9F27: bytes([TC]), 0x9F26: AC})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("changes", "sent", "name"), [
    ({"t9F27": b"\x80"},      SENT,               "DYNAMIC_SIGNATURE_OTHER_DECISION"),
    ({"t9F27": b"\x00"},      SENT,               "DYNAMIC_SIGNATURE_OTHER_DECISION"),
    ({"t9F27": b""},          SENT,               "DYNAMIC_SIGNATURE_OTHER_DECISION"),
    ({"t9F36": b"\x0A\xDD"},  SENT,               "DYNAMIC_SIGNATURE_TRANSACTION_DATA"),
    ({"t9F10": IAD[:-1]},     SENT,               "DYNAMIC_SIGNATURE_TRANSACTION_DATA"),
    ({},                      b"\x01" + SENT[1:], "DYNAMIC_SIGNATURE_TRANSACTION_DATA"),
    ({},                      SENT + b"\0",       "DYNAMIC_SIGNATURE_TRANSACTION_DATA"),
    ({"t9F4B": b""},          SENT,               "DYNAMIC_SIGNATURE_LENGTH"),
])  # fmt: skip
def test_cda_of_another_transaction(kind: Kind, changes: dict[str, bytes], sent: bytes, name: str) -> None:
    good = world(kind)
    response = bytes(tlv(0x77, *answer(good.icc, **changes)))
    found = authenticate_combined(good.chain, response, sent=sent, unpredictable_number=UN)
    assert (name_of(found), found.tvr, found.proved) == (name, TVR.CDA_FAILED, {})


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_of_dda_proves_no_decision(kind: Kind) -> None:
    good = world(kind)
    response = bytes(tlv(0x77, *answer(good.icc, t9F4B=sign_dynamic(good.icc, NUMBER, UN))))
    found = authenticate_combined(good.chain, response, sent=SENT, unpredictable_number=UN)
    assert name_of(found) == "DYNAMIC_SIGNATURE_DYNAMIC_DATA"


# -- fDDA --------------------------------------------------------------------------------------------------------------

RELATED = bytes.fromhex("01C1B626882000")
TAP = {0x9F36: ATC, 0x9F37: UN, 0x9F02: bytes.fromhex("000000010000"), 0x5F2A: b"\x01\x56", 0x9F6C: RELATED[5:]}
TAP_01 = TAP | {0x9F69: RELATED}
PBOC_2, PBOC_3 = {0x9F08: b"\x00\x20"}, {0x9F08: b"\x00\x30"}
FIRST, SECOND = (0, TAP), (1, TAP_01)
SIGNED = "DYNAMIC_SIGNATURE_"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("made", "shown", "offered", "name"), [
    (FIRST,  TAP,                                 True,  None),
    (FIRST,  TAP,                                 False, None),
    (FIRST,  TAP | PBOC_2,                        True,  None),
    (FIRST,  TAP | PBOC_3,                        False, None),
    (FIRST,  TAP | PBOC_3,                        True,  "CARD_RELATED_DATA_VERSION"),        # made to fall back
    (FIRST,  TAP | {0x9F02: b"\x99" * 6},         True,  None),                               # 00 does not hash it
    (SECOND, TAP_01,                              True,  None),
    (SECOND, TAP_01 | PBOC_3,                     True,  None),
    (SECOND, TAP_01,                              False, "CARD_RELATED_DATA_VERSION"),
    (SECOND, TAP_01 | {0x9F02: b"\x99" * 6},      True,  "wrong"),
    (SECOND, TAP_01 | {0x5F2A: b"\x08\x40"},      True,  "wrong"),
    (SECOND, TAP,                                 True,  "wrong"),                            # 9F69 taken away
    (SECOND, TAP_01 | {0x9F6C: b"\x00\x80"},      True,  "CARD_RELATED_DATA_OTHER_CTQ"),
    (SECOND, TAP_01 | {0x9F69: b"\x02" + RELATED[1:]}, True, "CARD_RELATED_DATA_VERSION"),
    (SECOND, TAP_01 | {0x9F69: b"\x01"},          True,  "CARD_RELATED_DATA_LENGTH"),
    (SECOND, TAP_01 | {0x9F69: b""},              True,  "CARD_RELATED_DATA_LENGTH"),
    (SECOND, TAP_01 | {0x9F36: b"\x0A\xDD"},      True,  SIGNED + "OTHER_ATC"),
    (FIRST,  {0x9F37: UN},                        True,  SIGNED + "OTHER_ATC"),
    (FIRST,  TAP | {0x9F37: OTHER},               True,  "wrong"),
])  # fmt: skip
def test_fdda(kind: Kind, made: tuple[int, dict[int, bytes]], shown: dict[int, bytes], offered: bool, name: str | None) -> None:
    good = world(kind)
    signature = sign_fast(good.icc, version=made[0], values=made[1])
    found = authenticate_fast(good.chain, signature, values=shown, version_01=offered)
    wrong = SIGNED + {"RSA": "HASH", "SM2": "SIGNATURE"}[kind]
    assert name_of(found) == (wrong if name == "wrong" else name)
    assert found.tvr == (TVR.DDA_FAILED if name else 0)
    assert found.proved == ({} if name else {0x9F4C: ATC})


def test_fdda_without_a_signature() -> None:
    found = authenticate_fast(world("RSA").chain, None, values=TAP, version_01=True)
    assert (name_of(found), found.tvr) == (SIGNED + "MISSING", TVR.DDA_FAILED | TVR.ICC_DATA_MISSING)


def test_every_method_fails_with_the_chain() -> None:
    broken = world("RSA").having(t9F46=None).chain
    found = [
        authenticate_dynamic(broken, b"", terminal_data=UN),
        authenticate_combined(broken, b"", sent=SENT, unpredictable_number=UN),
        authenticate_fast(broken, bytes(96), values=TAP, version_01=True),
    ]
    assert [name_of(one) for one in found] == ["ICC_CERTIFICATE_MISSING"] * 3
    assert [one.tvr & (TVR.DDA_FAILED | TVR.CDA_FAILED) for one in found] == [TVR.DDA_FAILED, TVR.CDA_FAILED, TVR.DDA_FAILED]
