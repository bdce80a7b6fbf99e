"""`shanfu token`: what the token service's books say, and what an issuer's staff does, from the keyboard."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from shanfu.cli.main import Exit, _run
from shanfu.sandbox import CARDS, Settings, free_ports, open_or_build
from tests.cli.keyboard import Keyboard

TAP = ("tap", "--with", "hce", "--amount", "1.00")


@pytest.fixture(scope="module", params=[True, False], ids=["household", "apart"])
def made(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    open_or_build(folder, settings=Settings(household=request.param, **free_ports()))
    assert _run(["wallet", "add", "--data", str(folder)]) == Exit.DONE
    return folder


@pytest.fixture
def keyboard(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Keyboard:
    shutil.copytree(made, tmp_path / "data")
    capsys.readouterr()
    return Keyboard(str(tmp_path / "data"), capsys)


def only(keyboard: Keyboard) -> dict[str, Any]:
    [token] = keyboard.json("token", "list")
    return dict(token)


def test_a_payment_is_shown_with_every_check(keyboard: Keyboard) -> None:
    assert keyboard.json(*TAP)["outcome"] == "approved"
    token = only(keyboard)
    assert (token["state"], token["suspended_by"], token["keys"]["uses_left"]) == ("ACTIVE", [], 9)
    assert token["par"].startswith("SF01")
    shown = keyboard.json("token", "show", token["token"])
    [paid] = shown["payments"]
    assert (paid["result"], paid["response_code"], paid["amount_minor"]) == ("APPROVED", "00", 100)
    assert [step["passed"] for step in paid["checks"]] == [True] * 12
    assert keyboard.json("token", "show", token["token_last4"])["token"] == token["token"]
    events = [row["event"] for row in keyboard.json("token", "events", token["token"])]
    assert (events[0], "ACTIVATE" in events) == ("CREATE", True)


def test_no_output_names_a_pan_or_a_token(keyboard: Keyboard) -> None:
    keyboard.json(*TAP)
    token = only(keyboard)["token"]
    printed = "".join(
        "".join(keyboard.run(*words)[1:])
        for words in (("token", "list"), ("token", "show", token), ("token", "events", token), ("wallet", "list"))
    )
    assert token in printed
    assert not [card.name for card in CARDS if card.pan in printed]
    assert "62509" not in printed


def test_an_issuer_suspends_resumes_and_deletes(keyboard: Keyboard) -> None:
    token = only(keyboard)["token"]
    assert keyboard.json("token", "suspend", token, "--reason", "SUSPECTED_FRAUD")["suspended_by"] == ["ISSUER"]
    assert keyboard.json(*TAP, code=Exit.DECLINED)["response_code"] == "62"
    keyboard.json("wallet", "open")
    assert keyboard.json(*TAP, code=Exit.DECLINED)["phone"]["reason"] == "SUSPENDED_ISSUER"
    assert keyboard.json("token", "suspend", token)["result"].startswith("ALREADY")
    assert keyboard.json("token", "resume", token)["state"] == "ACTIVE"
    keyboard.json("wallet", "open")
    assert keyboard.json(*TAP)["outcome"] == "approved"
    assert keyboard.json("token", "delete", token)["state"] == "DEACTIVATED"
    keyboard.json("token", "resume", token, code=Exit.DECLINED)
    keyboard.json(*TAP, code=Exit.DECLINED)
    assert keyboard.json("token", "reconcile") == []
    assert keyboard.run("reconcile")[0] == Exit.DONE


def test_a_token_that_is_not_there(keyboard: Keyboard) -> None:
    for words in (("show", "nobody"), ("events", "0000"), ("suspend", "nobody")):
        code, out, err = keyboard.run("token", *words)
        assert (code, out, "token list" in err) == (Exit.USAGE, "", True)
