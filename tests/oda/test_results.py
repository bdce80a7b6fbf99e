"""The tables of parts, reasons and methods: complete, in both languages, no two alike."""

from typing import Any

import pytest

from shanfu.emv import TVR
from shanfu.oda import Authentication, Failure, Method, Part, Reason


@pytest.mark.parametrize("table", [Part, Reason])
def test_every_row_has_words_of_its_own(table: Any) -> None:
    members = list(table)
    assert len(members) == len(table.__members__), "two rows with the same words would be one"
    assert len({member.zh for member in members}) == len(members)
    assert all(member.en and any("\u4e00" <= letter <= "\u9fff" for letter in member.zh) for member in members)


@pytest.mark.parametrize(("method", "reason", "bits"), [
    (Method.SDA,  Reason.HASH,    TVR.SDA_FAILED),
    (Method.DDA,  Reason.HASH,    TVR.DDA_FAILED),
    (Method.CDA,  Reason.HASH,    TVR.CDA_FAILED),
    (Method.FDDA, Reason.HASH,    TVR.DDA_FAILED),
    (Method.SDA,  Reason.MISSING, TVR.SDA_FAILED | TVR.ICC_DATA_MISSING),
    (Method.CDA,  Reason.MISSING, TVR.CDA_FAILED | TVR.ICC_DATA_MISSING),
])  # fmt: skip
def test_the_bits_of_a_failure(method: Method, reason: Reason, bits: TVR) -> None:
    found = Authentication(method=method, failure=Failure(Part.ICC_CERTIFICATE, reason))
    assert (found.ok, found.tvr) == (False, bits)


@pytest.mark.parametrize("method", list(Method))
def test_success_sets_no_bit(method: Method) -> None:
    assert int(Authentication(method=method).tvr) == 0
