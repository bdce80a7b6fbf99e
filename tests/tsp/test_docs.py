"""docs/tokens.md tells the life cycle as the code has it."""

from pathlib import Path

from shanfu.messages import LifeCycleEvent, TokenState
from shanfu.tsp import TRANSITIONS, Result, Rule
from shanfu.tsp.life_cycle import Set

PAGE = Path(__file__).parent.parent.parent / "docs" / "tokens.md"
STATES = [TokenState.REQUESTED, TokenState.INACTIVE, TokenState.ACTIVE, TokenState.SUSPENDED, TokenState.EXPIRED]
ENDS = [TokenState.DEACTIVATED, TokenState.DECLINED]


def cell(rule: Rule | None) -> str:
    if rule is None:
        return ""
    if rule.result is Result.ALREADY_DONE:
        return "no-op"
    effect = {Set.JOINED: "joins", Set.LEFT: "leaves; ACTIVE when empty", Set.DECIDES: "ACTIVE, or SUSPENDED by the set"}
    words = [f"→ {rule.to.value}" if rule.to else "", effect.get(rule.suspenders, "")]
    return ", ".join(word for word in words if word) or "done"


def table() -> str:
    heads = [state.value for state in (*STATES, ENDS[0])]
    lines = [f"| event | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for event in LifeCycleEvent:
        cells = [cell(TRANSITIONS.get((state, event))) for state in (*STATES, ENDS[0])]
        lines.append(f"| {event.value} | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_page_tells_the_table_that_the_code_has() -> None:
    told = PAGE.read_text().partition("<!-- states -->\n")[2].partition("\n<!-- /states -->")[0]
    assert told == table(), f"docs/tokens.md: write\n{table()}"


def test_the_last_state_does_nothing() -> None:
    assert not [event for state, event in TRANSITIONS if state is TokenState.DECLINED]


def test_the_page_is_no_book() -> None:
    assert len(PAGE.read_text().splitlines()) <= 120
