"""Every vector of cryptography also on the other engine: a machine without libcrypto computes the same bytes."""

import pytest

from shanfu.crypto import evp, libcrypto, rsa, sm2_curve
from tests import test_vectors
from tests.vector_kinds import KINDS

OWNED = {"tests.vector_kinds.crypto", "tests.vector_kinds.sm2"}
SLOW = {"sm4_ecb_iterated"}  # a million calls: the engine is shown by the others
CASES = [
    (file, case)
    for file, case in test_vectors.CASES
    if case["kind"] in KINDS and KINDS[case["kind"]].function.__module__ in OWNED and case["kind"] not in SLOW
]


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{file}:{case['id']}") for file, case in CASES])
def test_vector_without_libcrypto(monkeypatch, case):
    monkeypatch.setattr(evp, "available", lambda: False)
    monkeypatch.setattr(evp, "open_context", None)
    monkeypatch.setattr(sm2_curve, "_engine", lambda: None)
    test_vectors.check(KINDS[case["kind"]], case)


def test_the_vectors_are_there():
    assert len(CASES) > 200 or test_vectors.FOLDER != test_vectors.OWN


@pytest.mark.parametrize("engine", [rsa._library, sm2_curve._engine], ids=["rsa", "sm2"])
def test_pairs_do_without_the_library(monkeypatch, engine):
    assert engine() is not None  # otherwise nothing here tests the library's side
    monkeypatch.setattr(libcrypto, "LIBRARIES", ("libcrypto.so.none",))
    engine.cache_clear()
    try:
        assert engine() is None
    finally:
        engine.cache_clear()
