"""`shanfu insert` and `shanfu swipe`, as a person at the keyboard meets them: exit codes, JSON, wrong input."""

import json
import shutil
from pathlib import Path

import pytest

from shanfu.cli.main import Exit, _run
from shanfu.sandbox import Settings, free_ports, open_or_build


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    open_or_build(folder, settings=Settings(**free_ports()))
    return folder


@pytest.fixture
def world(made: Path, tmp_path: Path) -> str:
    shutil.copytree(made, tmp_path / "data")
    return str(tmp_path / "data")


# fmt: off
PAYMENTS = [  # command and arguments, exit code, DE39
    (["insert", "--amount", "12.34", "--pin", "123456"],                      Exit.DONE,     "00"),
    (["insert", "--amount", "12.34", "--pin", "654321"],                      Exit.DECLINED, "55"),
    (["insert", "--amount", "1.01", "--pin", "123456", "--card", "poor"],     Exit.DECLINED, "51"),
    (["swipe", "--amount", "12.34", "--pin", "123456"],                       Exit.DECLINED, None),
    (["swipe", "--dead-chip", "--amount", "12.34", "--pin", "123456"],        Exit.DONE,     "00"),
]
# fmt: on


@pytest.mark.parametrize(("arguments", "code", "answer"), PAYMENTS, ids=[" ".join(row[0]) for row in PAYMENTS])
def test_a_payment_ends_as_its_exit_code_says(world: str, capsys, *, arguments, code, answer) -> None:
    assert _run([*arguments, "--data", world, "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["response_code"] == answer
    assert told["events"]


@pytest.mark.parametrize("command", ["insert", "swipe"])
def test_a_pin_of_letters_is_refused_in_words(world: str, capsys, command: str) -> None:
    assert _run([command, "--amount", "1.00", "--pin", "12ab", "--data", world]) == Exit.USAGE
    assert "a PIN has 4 to 12 digits" in capsys.readouterr().err
