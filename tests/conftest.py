"""What holds for every test: names that are the same in every process, which tests are slow, and the counts of a heavy run.

A heavy run prints how many inputs were fuzzed, hosts killed and seeds played, and fails when a whole run did fewer than
promised: a count that was thinned is a broken promise, not a faster test. Tests tell theirs with `record_property("kills", n)`;
hypothesis tells its own.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.budget import HEAVY, PROMISED

SLOW = ("tests/journeys/", "tests/simulation/", "tests/readers/", "tests/test_docs.py", "tests/cli/test_bank.py",
        "tests/cli/test_card.py", "tests/cli/test_insert.py", "tests/cli/test_tap.py", "tests/cli/test_token.py",
        "tests/cli/test_wallet.py", "tests/links/test_process.py", "tests/store/", "tests/benchmarks/",
        "tests/wallet/test_kill.py", "tests/wallet/test_with_cloud.py", "test_databases.py", "test_any_order.py",
        "test_bad_bytes.py", "test_deaths.py", "test_crashes.py", "tests/web/", "tests/links/test_http.py",
        "tests/links/test_tcp.py", "tests/issuer/test_link.py", "tests/network/test_link.py",
        "tests/acquirer/test_link.py")  # fmt: skip
PASSING = re.compile(r"(\d+) passing.*?(\d+) invalid")


def pytest_make_parametrize_id(val: Any) -> str | None:
    """Name a function by its name; by its address, the workers would collect different tests."""
    return str(val.__name__).strip("<>") if callable(val) and hasattr(val, "__name__") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what `./run test --fast` leaves out: what starts processes, dies, listens at ports or plays stories.

    A whole heavy run leaves out the files that have no counts: they do the same in tier 1, which `.ci/run` runs before it.
    """
    for item in items:
        if any(part in item.nodeid for part in SLOW):
            item.add_marker(pytest.mark.slow)
    if HEAVY and whole(config):
        counted = {path: "tests.budget" in path.read_text() for path in {item.path for item in items}}
        config.hook.pytest_deselected(items=[item for item in items if not counted[item.path]])
        items[:] = [item for item in items if counted[item.path]]


def whole(config: pytest.Config) -> bool:
    """Whether everything was asked for, not some file or test."""
    named = any("::" in a or a.startswith("tests/") for a in config.args)
    return not config.invocation_params.args or not named


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """Let a test's report carry how many examples hypothesis ran."""
    report = yield
    if call.when == "call" and (told := getattr(item, "hypothesis_statistics", "")):
        examples = sum(int(passing) + int(invalid) for passing, invalid in PASSING.findall(told))
        report.user_properties.append(("fuzz inputs", examples))
    return report


COUNTS: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up, in the process that runs the workers."""
    if report.when == "call":
        for name, value in report.user_properties:
            COUNTS[name] += int(value)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the counts."""
    told = " · ".join(f"{COUNTS[name]:,} {name}" for name in sorted(COUNTS))
    terminalreporter.write_line(f"counts: {told or 'none'}{' (heavy)' if HEAVY else ''}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a whole heavy run that did less than promised."""
    if HEAVY and whole(session.config) and not hasattr(session.config, "workerinput"):
        short = {name: (COUNTS[name], least) for name, least in PROMISED.items() if COUNTS[name] < least}
        if short:
            print(f"\nheavy counts fall short of what is promised: {short}")
            session.exitstatus = 1
