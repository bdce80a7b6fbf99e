"""The card's decision as a table: what the terminal says, what the card knows, what comes out and why."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.card import Request, Risk, Why, decide, offer_cvm
from shanfu.emv import CTQ, CVM, TTQ, CardChecks, CryptogramType
from tests.budget import examples

ASKS, FREE, OFFLINE = "26800000", "26000000", "2E000000"  # online cryptogram demanded; not; terminal offline only
CALM = Risk(  # a card that nothing speaks against, but for its missing offline key
    checks=CardChecks.parse(bytes.fromhex("9900F000")), ctq=CTQ.parse(bytes(2)), cvms=(CVM.ONLINE_PIN, CVM.SIGNATURE),
    currencies=(b"\x01\x56", b"\x03\x44"), pin_tries=3, new_card=False,
    single_limit=bytes.fromhex("000000100000"), balance=bytes.fromhex("000000050000"),
)  # fmt: skip
NO_CHECKS = CardChecks.parse(bytes(4))
STRICT = CardChecks.parse(bytes.fromhex("9940F000"))  # currency mismatch not allowed


@pytest.mark.parametrize(("ttq", "amount", "currency", "known", "outcome"), [
    (ASKS,    999_999, "0840", {"pin_tries": 0, "new_card": True}, "ARQC TERMINAL_ASKS"),
    (ASKS,    1,       "0840", {"checks": STRICT},                 "ARQC TERMINAL_ASKS"),
    (FREE,    1,       "0156", {},                                 "ARQC NO_OFFLINE_KEY"),
    (FREE,    50_000,  "0156", {},                                 "ARQC NO_OFFLINE_KEY"),
    (FREE,    50_001,  "0156", {},                                 "ARQC OVER_BALANCE"),
    (FREE,    100_000, "0156", {"balance": None},                  "ARQC NO_OFFLINE_KEY"),
    (FREE,    100_001, "0156", {"balance": None},                  "ARQC OVER_SINGLE_LIMIT"),
    (FREE,    100_001, "0156", {},                                 "ARQC OVER_SINGLE_LIMIT OVER_BALANCE"),
    (FREE,    100_001, "0156", {"checks": NO_CHECKS},              "ARQC NO_OFFLINE_KEY"),
    (FREE,    100_001, "0156", {"single_limit": None, "balance": None}, "ARQC NO_OFFLINE_KEY"),
    (FREE,    1,       "0344", {},                                 "ARQC NO_OFFLINE_KEY"),
    (FREE,    1,       "0840", {},                                 "ARQC OTHER_CURRENCY"),
    (FREE,    1,       "0840", {"checks": STRICT},                 "AAC OTHER_CURRENCY"),
    (FREE,    1,       "0156", {"pin_tries": 0},                   "ARQC PIN_LOCKED"),
    (FREE,    1,       "0156", {"pin_tries": 1},                   "ARQC NO_OFFLINE_KEY"),
    (FREE,    1,       "0156", {"pin_tries": 0, "checks": NO_CHECKS}, "ARQC NO_OFFLINE_KEY"),
    (FREE,    1,       "0156", {"new_card": True},                 "ARQC NEW_CARD"),
    (OFFLINE, 1,       "0156", {},                                 "AAC NO_OFFLINE_KEY OFFLINE_ONLY"),
    (OFFLINE, 1,       "0156", {"new_card": True},                 "AAC NEW_CARD OFFLINE_ONLY"),
    ("2E800000", 1,    "0156", {},                                 "AAC TERMINAL_ASKS OFFLINE_ONLY"),
    ("20C00000", 1,    "0156", {},                                 "AAC NO_COMMON_CVM"),
    ("20C00000", 1,    "0156", {"cvms": (CVM.CDCVM,)},             "ARQC TERMINAL_ASKS ON_DEVICE"),
    (FREE,    1,       "0156", {"cvms": (CVM.CDCVM,)},             "ARQC NO_OFFLINE_KEY ON_DEVICE"),
])  # fmt: skip
def test_decide(ttq: str, amount: int, currency: str, known: dict[str, object], outcome: str) -> None:
    asked = Request(ttq=TTQ.parse(bytes.fromhex(ttq)), amount=bytes.fromhex(f"{amount:012d}"), currency=bytes.fromhex(currency))
    verdict = decide(asked, replace(CALM, **known))
    assert [verdict.cryptogram.name, *(one.name for one in verdict.why)] == outcome.split()
    assert verdict.cvr.first_gac is verdict.cryptogram
    assert not verdict.cvr.second_gac_requested


def test_what_a_phone_tells_of_its_own_verification() -> None:
    asked = Request(ttq=TTQ.parse(bytes.fromhex("36C00080")), amount=bytes(6), currency=b"\x01\x56")
    verdict = decide(asked, replace(CALM, cvms=(CVM.CDCVM,)))
    assert (bytes(verdict.ctq).hex(), bytes(verdict.cvr).hex()) == ("0080", "03a40000")


@settings(max_examples=examples(200, heavy=8_000), deadline=None)
@given(st.binary(min_size=4, max_size=4), st.binary(min_size=6, max_size=6), st.booleans(), st.integers(0, 3))
def test_whatever_is_asked(ttq: bytes, amount: bytes, new_card: bool, pin_tries: int) -> None:
    """JR/T 0025.12: an answer is ARQC or AAC, byte 2 b4-b1, byte 3 b8 and b4-b1 and byte 4 of the CVR stay 0."""
    asked = Request(ttq=TTQ.parse(ttq), amount=amount, currency=b"\x01\x56")
    verdict = decide(asked, replace(CALM, new_card=new_card, pin_tries=pin_tries))
    assert verdict.cryptogram in (CryptogramType.ARQC, CryptogramType.AAC)
    assert int(verdict.cvr) & 0x000F8FFF == 0
    assert (verdict.cryptogram is CryptogramType.ARQC) == (
        TTQ.OFFLINE_ONLY not in asked.ttq and offer_cvm(asked.ttq, CALM.cvms) is not None
    )
    assert verdict.why != (Why.OFFLINE_ONLY,)
    wanted = {CVM.ONLINE_PIN: "8000", CVM.SIGNATURE: "4000", CVM.NONE: "0000", None: "0000"}
    assert bytes(verdict.ctq).hex() == wanted[offer_cvm(asked.ttq, CALM.cvms)]
