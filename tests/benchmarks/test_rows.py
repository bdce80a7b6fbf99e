"""Every benchmark runs and says its figures in the one form; how good they are is for `docs/performance.md`, not for a test."""

import json
import math
import sys
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import auth, codec, contact, crypto, measure, store, tap, token
from shanfu.cli import bench
from tests.postgres import binaries

NAMES = ["goal", "holds", "name", "note", "other", "ours", "ratio", "rule", "unit"]
RULES = {"", "ours at most", "ratio at least", "ratio at most"}
TINY_S = 0.02


def well_formed(rows: list[dict[str, Any]]) -> None:
    assert rows
    assert len({row["name"] for row in rows}) == len(rows)
    for row in json.loads(json.dumps(rows)):
        assert sorted(row) == NAMES
        assert row["rule"] in RULES
        assert (row["goal"] is None) == (row["rule"] == "")
        for figure in (row["ours"], row["other"]):
            assert figure is None or (math.isfinite(figure) and figure >= 0)
        judged = row["goal"] is not None and (row["ratio"] is not None or row["rule"] == "ours at most")
        assert row["holds"] in ({True, False} if judged else {None})
        if row["ours"] is not None and row["other"]:
            assert row["ratio"] == row["ours"] / row["other"]


@pytest.mark.parametrize("group", [codec, contact, crypto, tap], ids=["codec", "contact", "crypto", "tap"])
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # the peers' TripleDES
def test_a_group(group: ModuleType) -> None:
    well_formed(group.rows(TINY_S))


def test_token_serves_every_phone() -> None:
    well_formed(token.rows(TINY_S, rounds=1))


# fmt: off
CROWDS = [  # capacity of what evenly comes, calls for each served, the last is served
    (4000, 1.0, 300),
    (3334, 1.0, 300),
    (1667, None, 620),
]
# fmt: on


@pytest.mark.parametrize("case", CROWDS)
def test_a_crowd_that_is_put_off_comes_again_until_all_are_served(case: tuple[float, float | None, int]) -> None:
    capacity_per_s, calls, last_s = case
    fared = token.crowd(capacity_per_s)
    assert (calls is None and fared.calls > 2) or fared.calls == pytest.approx(calls)
    assert fared.last_s == pytest.approx(last_s, rel=0.02)
    assert fared.last_s * capacity_per_s >= token.CROWD - 1


def test_store() -> None:
    rows = store.rows(TINY_S)
    well_formed(rows)
    assert (rows[-1]["ours"] is None) == (not binaries())
    assert bool(rows[-1]["note"]) == (not binaries())


def test_auth_approves_every_payment_and_reconciles() -> None:
    rows = auth.rows(0.1, cards=500, rounds=1)
    well_formed(rows)
    judge = rows[-1]
    assert judge["name"].endswith("between journals and ledgers")
    assert judge["holds"] is True, judge["note"]


@pytest.mark.parametrize(
    ("group", "peer"), [(codec, "iso8583"), (codec, "ber_tlv.tlv"), (crypto, "pyemv.ac"), (crypto, "psec.mac")]
)
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_peer_that_is_missing_is_named(group: ModuleType, peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, peer, None)
    monkeypatch.delitem(sys.modules, "tests.iso8583.oracle", raising=False)
    rows = group.rows(TINY_S)
    well_formed(rows)
    missing = [row for row in rows if row["note"].endswith("is not installed")]
    assert missing
    assert all(row["other"] is None and row["holds"] is None for row in missing)


# fmt: off
VERDICTS = [  # ours, other, rule, goal, ratio, holds
    (10.0, 50.0, "ratio at most",  0.2,  0.2,  True),
    (11.0, 50.0, "ratio at most",  0.2,  0.22, False),
    (35.0, 50.0, "ratio at least", 0.7,  0.7,  True),
    (34.0, 50.0, "ratio at least", 0.7,  0.68, False),
    (2.0,  5.0,  "ours at most",   2.0,  0.4,  True),
    (2.1,  None, "ours at most",   2.0,  None, False),
    (0,    None, "ours at most",   0,    None, True),
    (1.0,  None, "ratio at most",  0.2,  None, None),
    (None, None, "ratio at least", 0.7,  None, None),
    (1.0,  4.0,  "",               None, 0.25, None),
]
# fmt: on


@pytest.mark.parametrize("case", VERDICTS)
def test_what_holds(case: tuple[Any, ...]) -> None:
    ours, other, rule, goal, ratio, holds = case
    row = measure.Row(name="", ours=ours, other=other, unit="", rule=rule, goal=goal).public()
    assert (row["ratio"], row["holds"]) == (ratio, holds)


def test_both_sides_are_measured_in_turns() -> None:
    order: list[str] = []

    def side(name: str) -> measure.Work:
        def work() -> int:
            if order[-1:] != [name]:
                order.append(name)
            return 1

        return work

    measure.time_us(side("ours"), side("other"), 0.05)
    assert order[:6] == ["ours", "other"] * 3


def test_the_command_prints_a_table_and_json() -> None:
    told = CliRunner().invoke(bench.command, ["codec", "--seconds", "0.02", "--json"])
    assert told.exit_code == 0, told.output
    well_formed(json.loads(told.stdout))
    told = CliRunner().invoke(bench.command, ["codec", "--seconds", "0.02"])
    assert told.exit_code == 0, told.output
    assert "ISO 8583 decode" in told.stdout
    assert "measuring codec" in told.stderr


def test_without_a_checkout_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    from shanfu.cli import main

    monkeypatch.setattr(bench, "__file__", str(tmp_path / "shanfu" / "cli" / "bench.py"))
    with pytest.raises(SystemExit) as ended:
        main(["bench", "codec"])
    assert ended.value.code == 2
