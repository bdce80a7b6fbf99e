"""What the card makes of what it knows, where a whole transaction hardly gets to."""

from dataclasses import replace

import pytest

from shanfu.card import Finding, IssuerProof, Knowledge, decide_first, decide_second
from shanfu.card.live import Standing
from shanfu.emv import ADA, CVR, CryptogramType

CALM = Knowledge(
    ada=ADA(0), standing=Standing(), blocked=False, pin_tries=3, atc=5, last_online_atc=4, amount_minor=100, home=True,
    ecash=False, balance_minor=100, lower=None, upper=None, abroad=None, total=None, upper_total=None,
)  # fmt: skip
ECASH = replace(CALM, ecash=True)
AAC, TC, ARQC = CryptogramType.AAC, CryptogramType.TC, CryptogramType.ARQC


@pytest.mark.parametrize(("known", "outcome"), [
    (CALM,                                     "TC"),
    (replace(CALM, lower=0),                   "ARQC TOO_MANY"),
    (replace(CALM, lower=1),                   "TC"),
    (replace(CALM, total=99),                  "ARQC TOO_MUCH"),
    (replace(CALM, total=99, home=False),      "TC"),  # counted apart
    (replace(CALM, abroad=0, home=False),      "ARQC TOO_MANY_ABROAD"),
    (replace(CALM, blocked=True),              "AAC BLOCKED"),
    (replace(CALM, standing=Standing(flags=CVR.LAST_SCRIPT_FAILED)), "TC SCRIPT_FAILED"),
    (replace(CALM, ada=ADA.SCRIPT_FAILED_ONLINE, standing=Standing(flags=CVR.LAST_SCRIPT_FAILED)), "ARQC SCRIPT_FAILED"),
    (replace(CALM, ada=ADA.PIN_LOCKED_DECLINE, pin_tries=0, lower=0), "AAC PIN_LOCKED TOO_MANY"),  # the lowest answer wins
    (ECASH,                                    "TC"),
    (replace(ECASH, amount_minor=101),         "ARQC NO_ECASH_LEFT"),
    (replace(ECASH, lower=0, last_online_atc=0), "TC"),  # the balance alone limits e-cash
    (replace(ECASH, blocked=True),             "AAC BLOCKED"),
])  # fmt: skip
def test_first(known: Knowledge, outcome: str) -> None:
    decision = decide_first(TC, known)
    assert " ".join((decision.kind.name, *(one.name for one in decision.why))) == outcome
    assert decide_first(AAC, known).kind is AAC, "never more than was asked for"
    assert decide_first(ARQC, known).kind in (ARQC, AAC)


@pytest.mark.parametrize(("known", "unable", "issuer", "outcome"), [
    (CALM,                              True,  IssuerProof.NONE,   "TC"),
    (ECASH,                             True,  IssuerProof.NONE,   "AAC NO_ECASH_LEFT"),  # it had been approved at once
    (replace(CALM, upper=0),            True,  IssuerProof.NONE,   "AAC TOO_MANY"),
    (replace(CALM, upper_total=99),     True,  IssuerProof.NONE,   "AAC TOO_MUCH"),
    (replace(CALM, ada=ADA.PIN_LOCKED_DECLINE_OFFLINE, pin_tries=0), True, IssuerProof.NONE, "AAC PIN_LOCKED"),
    (replace(CALM, upper=0),            False, IssuerProof.PASSED, "TC"),
    (ECASH,                             False, IssuerProof.PASSED, "TC"),
    (CALM,                              False, IssuerProof.NONE,   "TC ISSUER_SILENT"),
    (CALM,                              False, IssuerProof.FAILED, "TC ISSUER_FAILED"),
    (replace(CALM, blocked=True),       False, IssuerProof.PASSED, "AAC BLOCKED"),
])  # fmt: skip
def test_second(known: Knowledge, unable: bool, issuer: IssuerProof, outcome: str) -> None:
    decision = decide_second(TC, known, unable=unable, issuer=issuer, mandatory=True)
    assert " ".join((decision.kind.name, *(one.name for one in decision.why))) == outcome
    assert (CVR.UNABLE_TO_GO_ONLINE in decision.flags) is unable
    for asked in (AAC, ARQC):
        assert decide_second(asked, known, unable=unable, issuer=issuer, mandatory=True).kind is AAC


def test_every_finding_has_its_words() -> None:
    assert len({one.value for one in Finding}) == len(Finding)
