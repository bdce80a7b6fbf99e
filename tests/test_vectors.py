"""Runs every test vector: one test a case, dispatched on `kind` alone (tests/vectors/README.md).

`SHANFU_VECTORS=DIR` runs another folder of the same form. An unknown file, kind or field fails; a kind that later work
owns is listed as *not yet* with the title of that work, never silently dropped.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from shanfu.errors import ShanfuError
from tests.vector_kinds import KINDS, NOT_YET, VectorKind

OWN = Path(__file__).parent / "vectors"
FOLDER = Path(os.environ.get("SHANFU_VECTORS") or OWN)
NEVER_COMPARED = {"id", "kind", "name", "origin", "note", "verified", "verified_note", "expect_error", "error_field"}

Case = dict[str, Any]


def load(folder: Path) -> list[tuple[str, Case]]:
    files = sorted(folder.glob("*.json"))
    known = {path.name for path in OWN.glob("*.json")}
    unknown = [path.name for path in files if path.name not in known]
    assert not unknown, f"vector files without an owner: {unknown}"
    return [(path.stem, case) for path in files for case in json.loads(path.read_text())["cases"]]


CASES = load(FOLDER)


def check(kind: VectorKind, case: Case) -> None:
    stray = set(case) - NEVER_COMPARED - kind.fields
    assert not stray, f"fields that this kind does not have: {sorted(stray)}"
    inputs = {name: case[name] for name in kind.takes if case.get(name) is not None}
    if "expect_error" in case:
        with pytest.raises(ShanfuError) as caught:
            kind.run(inputs, case)
        assert kind.error_class(caught.value) == case["expect_error"], f"refused as {caught.value!r}"
        if "error_field" in case:
            assert f"DE{case['error_field']}" in str(caught.value)
        return
    got = kind.run(inputs, case)
    for name in kind.gives:
        if name in case and name not in kind.takes:
            assert name in got, f"{name} was not computed"
            assert got[name] == case[name], f"{name}: expected {case[name]!r}, got {got[name]!r}"


@pytest.mark.parametrize(("file", "case"), [pytest.param(f, c, id=f"{f}:{c['id']}") for f, c in CASES])
def test_vector(file: str, case: Case) -> None:
    if case["kind"] in NOT_YET:
        pytest.skip(f"not yet: {NOT_YET[case['kind']]}")
    assert case["kind"] in KINDS, f"unknown kind {case['kind']!r}"
    check(KINDS[case["kind"]], case)


def test_every_own_file_is_found_and_every_kind_has_an_owner() -> None:
    assert {case["kind"] for _, case in CASES} <= set(KINDS) | set(NOT_YET)
    assert not set(KINDS) & set(NOT_YET)
    if FOLDER == OWN:
        assert len(CASES) > 800
