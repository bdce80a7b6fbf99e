"""`./run test [--heavy] [PYTEST ARGS]` and `./run lint`: what CI calls, in the order in which a fault is cheapest to see."""

import os
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
LINTERS = (
    [BIN / "ruff", "check", "shanfu", "tests", "benchmarks"],
    [BIN / "ruff", "format", "--check", "shanfu", "tests", "benchmarks"],
    [BIN / "mypy"],
    [BIN / "lint-imports"],
)


def lint() -> int:
    failed = [step for step in LINTERS if subprocess.run(step, check=False).returncode]  # noqa: S603
    return 1 if failed else 0


def test(arguments: list[str]) -> int:
    heavy = "--heavy" in arguments
    rest = [a for a in arguments if a != "--heavy"]
    if heavy:
        os.environ["SHANFU_HEAVY"] = "1"
    # test files run apart so that a fixture with a server is started once
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", *rest]
    return subprocess.run(command, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(lint() if sys.argv[1:] == ["--lint"] else test(sys.argv[1:]))
