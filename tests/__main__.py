"""`./run test [--fast | --heavy] [PYTEST ARGS]` and `./run lint`: what people and CI call.

`--fast` leaves out what starts processes or plays whole stories; `--heavy` does the promised counts: fuzz inputs, kills and
seeds, in the files that have any (the others would do again what they do without it).
"""

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
    failed = [step for step in LINTERS if subprocess.run(step, check=False).returncode]
    return 1 if failed else 0


def test(arguments: list[str]) -> int:
    rest = [a for a in arguments if a not in ("--heavy", "--fast")]
    if "--heavy" in arguments:
        os.environ["SHANFU_HEAVY"] = "1"
    if "--fast" in arguments:
        rest += ["-m", "not slow"]
    # a file stays with one worker, so that a server is started once; in their order, so that the long ones do not come last
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *rest]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(lint() if sys.argv[1:] == ["--lint"] else test(sys.argv[1:]))
