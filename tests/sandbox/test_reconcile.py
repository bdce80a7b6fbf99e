"""What reconciliation calls a difference: rows of (here, there, verdict)."""

from dataclasses import dataclass

import pytest

from shanfu.sandbox.reconcile import Verdict, match, net


@dataclass(frozen=True)
class L:
    state: str
    amount_minor: int = 1234
    business_date: str = "20261122"
    currency: str = "156"
    processing_code: str = "000000"
    to_upload: bool = False
    name: str = "1122150405.000017.99012900.99012900"


# fmt: off
ROWS = [
    (L("APPROVED"), L("APPROVED"),                                                    None),
    (L("DECLINED"), L("DECLINED"),                                                    None),
    (L("EXPIRED"),  L("REVERSED"),                                                    None),
    (L("DECLINED"), None,                                                             None),
    (None,          L("TOMBSTONE"),                                                   None),
    (L("APPROVED", processing_code="310000"), None,                                   None),
    (L("APPROVED"), None,                                                             Verdict.ONLY_HERE),
    (None,          L("APPROVED"),                                                    Verdict.ONLY_THERE),
    (L("APPROVED"), L("REVERSED"),                                                    Verdict.STATE_DIFFERS),
    (L("EXPIRED"),  L("APPROVED"),                                                    Verdict.STATE_DIFFERS),
    (L("APPROVED"), L("APPROVED", amount_minor=1),                                    Verdict.AMOUNT_DIFFERS),
    (L("APPROVED"), L("APPROVED", processing_code="200000"),                          Verdict.AMOUNT_DIFFERS),
    (L("APPROVED"), L("APPROVED", currency="344"),                                    Verdict.CURRENCY_DIFFERS),
    (L("APPROVED"), L("APPROVED", business_date="20261123"),                          Verdict.DATE_DIFFERS),
    (L("APPROVED", to_upload=True), None,                                             Verdict.TO_UPLOAD),
    (L("WAITING"),  L("APPROVED"),                                                    Verdict.OPEN),
]
# fmt: on


@pytest.mark.parametrize(("here", "there", "verdict"), ROWS)
def test_match(here: L | None, there: L | None, verdict: Verdict | None) -> None:
    finding = match("acquirer and network", [here] if here else [], [there] if there else [])
    assert [d.verdict for d in finding.differences] == ([verdict] if verdict else [])
    assert finding.matched == (0 if verdict else 1)


def test_net_leaves_zero_sums_out() -> None:
    lines = [("99010000", "156", 5), ("99010000", "156", -5), ("99010000", "344", 7)]
    assert net(lines) == {("99010000", "344"): 7}
