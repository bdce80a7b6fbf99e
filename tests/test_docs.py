"""Every command in README and docs runs, every transcript shown is what the program prints, every file named exists.

A fenced `sh` block holds commands, one a line; `# exit N` behind one says with which code it ends (0 unless said). Commands
that set up or never end are not run from here; each is named below with what runs it instead.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from shanfu.cli.main import group
from tests.journeys.test_demo import normalised

ROOT = Path(__file__).parent.parent
TOP = [ROOT / name for name in ("README.md", "README.zh-CN.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [*TOP, *sorted((ROOT / "docs").rglob("*.md"))]
NOT_FROM_HERE = {
    "./run": "tests/journeys/test_demo.py plays the demo",
    "./run test": "is what runs this",
    "./run test --heavy": "is what runs this in CI",
    "./run lint": "is run by CI",
    "./run up": "never ends; tests/journeys/test_processes.py starts it",
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXIT = re.compile(r"#\s*exit\s+(\d+)")
MENTIONED = re.compile(r"`(?:\./run|shanfu) ([a-z][^`]*)`")
TEST = re.compile(r"`(tests/[\w./-]+\.py)::(\w+)`")
PATH = re.compile(r"`((?:shanfu|tests|docs|benchmarks|locks)/[\w./-]*)`")


def commands() -> Iterator[tuple[str, str, int]]:
    for page in PAGES:
        for kind, text in BLOCK.findall(page.read_text()):
            for line in text.splitlines() if kind == "sh" else ():
                command, _, remark = line.partition("  #")
                if command.startswith("./run") and command.strip() not in NOT_FROM_HERE:
                    expected = EXIT.search("#" + remark)
                    yield page.name, command.strip(), int(expected.group(1)) if expected else 0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("docs") / "data"


@pytest.mark.parametrize(("page", "command", "code"), list(commands()))
def test_a_command_does_what_the_page_says(page: str, command: str, code: int, world: Path) -> None:
    arguments = shlex.split(command.removeprefix("./run"))
    environment = {**os.environ, "SHANFU_DATA": str(world), "LANG": "C.UTF-8", "NO_COLOR": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "shanfu.cli", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False, stdin=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip
    assert result.returncode == code, result.stdout + result.stderr


@pytest.mark.parametrize("page", PAGES, ids=[p.name for p in PAGES])
def test_files_that_a_page_names_exist(page: Path) -> None:
    for name in PATH.findall(page.read_text()):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=[p.name for p in PAGES])
def test_commands_that_a_page_mentions_exist(page: Path) -> None:
    for mentioned in MENTIONED.findall(page.read_text()):
        words = re.sub(r"[\[\]]", " ", mentioned).split()
        if f"./run {words[0]}" in NOT_FROM_HERE and words[0] not in group.list_commands(click.Context(group)):
            continue  # a word of `run` itself
        command: click.Command = group
        for word in words:
            if word.startswith("--"):
                assert word in {name for option in command.params for name in option.opts}, f"{page.name}: {mentioned}"
            elif isinstance(command, click.Group):
                found = [command.get_command(click.Context(command), name) for name in word.split("|")]
                assert all(found), f"{page.name}: {mentioned}"
                command = next(one for one in found if one)


@pytest.mark.parametrize("page", PAGES, ids=[p.name for p in PAGES])
def test_tests_that_a_page_names_exist(page: Path) -> None:
    for file, name in TEST.findall(page.read_text()):
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{page.name}: {file}::{name}"


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_is_short_and_has_the_two_commands(name: str) -> None:
    text = (ROOT / name).read_text()
    assert len(text.splitlines()) <= 120
    assert "./run\n" in text
    assert "./run test" in text


def test_both_readmes_run_the_same_commands() -> None:
    by_page: dict[str, list[str]] = {}
    for page, command, _ in commands():
        by_page.setdefault(page, []).append(command)
    assert by_page.get("README.md") == by_page.get("README.zh-CN.md")


def test_the_transcript_in_the_readme_is_the_golden_one() -> None:
    """A `text` block with the terminal in it shows the demo's first lines, with the bytes of some world."""
    golden = (ROOT / "tests" / "journeys" / "demo.golden").read_text()
    for name in ("README.md", "README.zh-CN.md"):
        shown = [text for kind, text in BLOCK.findall((ROOT / name).read_text()) if kind == "text" and "terminal" in text]
        assert shown, name
        assert normalised(shown[0]).strip() in golden
