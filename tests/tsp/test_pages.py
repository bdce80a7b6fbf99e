"""The page on token payments says what the tables of the code say."""

import re
from pathlib import Path

from shanfu.tsp.checks import TOKEN_CHECKS
from shanfu.tsp.history import HistoryState
from shanfu.tsp.key_sets import KeySetState

PAGE = (Path(__file__).parents[2] / "docs" / "token-payments.md").read_text()


def test_the_checks() -> None:
    written = re.search(r"<!-- checks -->\n(.*?)\n<!-- /checks -->", PAGE, re.S)
    assert written
    rows = [
        f"| {row.number} | {row.asked} | {row.asked_zh} | {', '.join(f'{v.name} ({v.code})' for v in row.verdicts)} |"
        for row in TOKEN_CHECKS
    ]
    assert written.group(1).splitlines()[2:] == rows


def test_every_state_is_explained() -> None:
    for state in [*KeySetState, *HistoryState]:
        assert re.search(rf"\| ([A-Z]+, )?{state.value}\b.* \|", PAGE), state
