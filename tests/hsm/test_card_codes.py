"""Card codes: the published ones, each kind its own, and everything changed is wrong and not an error."""

import json

import pytest

from shanfu.crypto import VARIANTS
from shanfu.errors import DecodeError
from shanfu.hsm import CardCode, CVVJob, KeyUsage
from tests.hsm.box import KEY, PAN, known
from tests.test_vectors import OWN

CASES = [c for c in json.loads((OWN / "crypto_cvv.json").read_text())["cases"] if c["service_code"] not in ("000", "999")]


def job(hsm, **changes):
    fields = {"key": known(hsm, KeyUsage.CVK), "pan": "4123456789012345", "expiry_yymm": "8701", "service_code": "101"}
    return CVVJob(**fields | changes)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_published_codes(hsm, case):
    key = known(hsm, KeyUsage.CVK, bytes.fromhex(case["cvk"]))
    asked = job(hsm, key=key, pan=case["pan"], expiry_yymm=case["expiry_as_used"], service_code=case["service_code"])
    assert hsm.make_cvv(asked) == case["cvv"]
    assert hsm.verify_cvvs([(asked, case["cvv"]), (asked, case["cvv"][::-1] + "0")]) == [True, False]


def test_a_code_serves_its_place_only(hsm):
    """Copied from the chip or the back of a card, a code is worth nothing on a stripe."""
    codes = {kind: hsm.make_cvv(job(hsm, pan=PAN, code=kind)) for kind in CardCode}
    assert len(set(codes.values())) == len(CardCode)
    right = [
        [hsm.verify_cvvs([(job(hsm, pan=PAN, code=kind), code)]) == [True] for code in codes.values()] for kind in CardCode
    ]
    assert right == [[one is other for one in CardCode] for other in CardCode]
    assert {kind.value for kind in CardCode} <= set(VARIANTS)


def test_the_service_code_counts_on_the_stripe_only(hsm):
    changed = [hsm.make_cvv(job(hsm, service_code="220", code=kind)) != hsm.make_cvv(job(hsm, code=kind)) for kind in CardCode]
    assert changed == [True, False, False]


@pytest.mark.parametrize(
    "changes",
    [{"pan": "4123456789012346"}, {"expiry_yymm": "8702"}, {"service_code": "102"}, {"pan": "412"}, {"pan": "x" * 16},
     {"expiry_yymm": ""}, {"expiry_yymm": "870"}, {"service_code": "1"}, {"service_code": "１０１"}],
    ids=str,
)  # fmt: skip
def test_changed_and_malformed_data_has_no_right_code(hsm, changes):
    good = job(hsm)
    assert hsm.verify_cvvs([(good, "561"), (job(hsm, **changes), "561"), (good, "561")]) == [True, False, True]


@pytest.mark.parametrize("digits", ["", "56", "5610", "５６１", "\ud800", "562"])
def test_wrong_digits(hsm, digits):
    assert hsm.verify_cvvs([(job(hsm), digits)]) == [False]


def test_no_code_is_made_of_malformed_data(hsm):
    with pytest.raises(DecodeError):
        hsm.make_cvv(job(hsm, pan="412"))


def test_another_key_gives_another_code(hsm):
    assert hsm.make_cvv(job(hsm, key=known(hsm, KeyUsage.CVK, KEY[::-1]))) != "561"
