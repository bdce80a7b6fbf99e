"""The command line as a person at the keyboard meets it: words in, exit code and what is printed out."""

import json
from typing import Any

import pytest

from shanfu.cli.main import Exit, _run


class Keyboard:
    """Commands about one world."""

    def __init__(self, data: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.data, self._capsys = data, capsys

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run a command; its exit code, what it printed, what it complained of."""
        code = _run([*words, "--data", self.data])
        told = self._capsys.readouterr()
        return code, told.out, told.err

    def json(self, *words: str, code: int = Exit.DONE) -> Any:
        """Run a command for its one object."""
        ended, out, err = self.run(*words, "--json")
        assert ended == code, (words, out, err)
        return json.loads(out)
