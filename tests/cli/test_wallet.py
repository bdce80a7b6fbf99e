"""`shanfu wallet` and `tap --with hce`: a card is added, pays, runs dry, wakes, is frozen and deleted from the keyboard."""

import json
import shutil
from pathlib import Path

import pytest

from shanfu.cli.main import Exit, _run
from shanfu.sandbox import Settings, free_ports, open_or_build
from tests.cli.keyboard import Keyboard

TAP = ("tap", "--with", "hce", "--amount", "1.00")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    open_or_build(folder, settings=Settings(**free_ports()))
    assert _run(["wallet", "add", "--data", str(folder)]) == Exit.DONE
    return folder


@pytest.fixture
def keyboard(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Keyboard:
    shutil.copytree(made, tmp_path / "data")
    capsys.readouterr()
    return Keyboard(str(tmp_path / "data"), capsys)


def test_a_card_is_added_with_the_code_from_the_inbox_and_can_pay(keyboard: Keyboard) -> None:
    added = keyboard.json("wallet", "add", "--phone", "chen-phone")
    assert (added["decision"], added["state"], added["ready"], added["keys"]["uses_left"]) == ("GREEN", "ACTIVE", True, 10)
    paid = keyboard.json(*TAP, "--phone", "chen-phone")
    assert (paid["outcome"], paid["device"], paid["pan"][-4:]) == ("approved", "chen-phone", added["token_last4"])
    listed = keyboard.json("wallet", "list", "--phone", "chen-phone")
    assert [card["keys"]["uses_left"] for card in listed["cards"]] == [9]
    [line] = keyboard.json("wallet", "transactions", "--phone", "chen-phone")["items"]
    assert (line["kind"], line["amount"], line["result"]) == ("PURCHASE", 100, "APPROVED")


def test_ten_taps_and_the_eleventh(keyboard: Keyboard) -> None:
    taps = keyboard.json(*TAP, "--offline", "--times", "11", code=Exit.DECLINED)["taps"]
    assert [tap["outcome"] for tap in taps[:10]] == ["approved"] * 10
    assert [tap["phone"]["uses_left"] for tap in taps[:10]] == list(range(9, -1, -1))
    last = taps[10]
    assert (last["outcome"], last["response_code"], last["phone"]["reason"]) == ("end-application", None, "COUNT_EXHAUSTED")
    assert "open the app" in last["phone"]["words"]
    assert not [event for event in last["events"] if event["wire"] in ("pos", "interbank")], "nothing goes online"

    assert keyboard.json("wallet", "list")["online"] is False
    offline = keyboard.json("wallet", "open", code=Exit.UNREACHABLE)
    assert (offline["outcome"], offline["reason"]) == ("refused", "OFFLINE")
    assert keyboard.json("wallet", "online")["online"] is True
    assert keyboard.json(*TAP, code=Exit.DECLINED)["phone"]["reason"] == "COUNT_EXHAUSTED"
    assert len(keyboard.json("wallet", "open")["replenished"]) == 1
    assert keyboard.json(*TAP)["outcome"] == "approved"
    assert keyboard.run("reconcile")[0] == Exit.DONE


def test_one_tap_is_one_object_and_a_card_has_no_phone(keyboard: Keyboard) -> None:
    one = keyboard.json(*TAP)
    assert "taps" not in one
    assert one["phone"]["uses_left"] == 9
    two = keyboard.json("tap", "--amount", "1.00", "--times", "2")["taps"]
    assert [tap["device"] for tap in two] == ["debit", "debit"]
    assert all("phone" not in tap or tap["phone"] is None for tap in two)


@pytest.mark.parametrize(("amount", "pin", "outcome", "code", "cvm"), [
    ("1000.00", None,     "approved", "00", "none"),
    ("1000.01", "123456", "approved", "00", "online_pin"),
    ("1000.01", "654321", "declined", "55", "online_pin"),
    ("5000.01", "123456", "declined", "51", "online_pin"),
])  # fmt: skip
def test_the_pos_asks_for_the_cards_pin(
    keyboard: Keyboard, *, amount: str, pin: str | None, outcome: str, code: str, cvm: str
) -> None:
    typed = ("--pin", pin) if pin else ()
    exit_code = Exit.DONE if outcome == "approved" else Exit.DECLINED
    told = keyboard.json("tap", "--with", "hce", "--amount", amount, *typed, code=exit_code)
    assert (told["outcome"], told["response_code"], told["cvm"]) == (outcome, code, cvm)


def test_frozen_and_lifted_and_deleted(keyboard: Keyboard) -> None:
    assert keyboard.json("wallet", "freeze")["reason"] in ("FROZEN", "SUSPENDED_WALLET")
    assert keyboard.json(*TAP, code=Exit.DECLINED)["phone"]["reason"] == "FROZEN"
    assert keyboard.json("wallet", "unfreeze")["ready"] is True
    assert keyboard.json(*TAP)["outcome"] == "approved"
    assert keyboard.json("wallet", "delete")["state"] == "DEACTIVATED"
    assert keyboard.json("wallet", "list")["cards"] == []
    code, _, err = keyboard.run(*TAP)
    assert (code, "wallet add" in err) == (Exit.USAGE, True)


def test_a_freeze_holds_without_a_network_and_the_bank_hears_of_it_later(keyboard: Keyboard) -> None:
    keyboard.json("wallet", "offline")
    code, out, err = keyboard.run("wallet", "freeze")
    assert (code, "you froze this card" in out, "the bank is told" in err) == (Exit.DONE, True, True)
    assert keyboard.json("wallet", "unfreeze", code=Exit.UNREACHABLE)["reason"] == "OFFLINE"  # that is for the bank to allow
    assert keyboard.json("wallet", "online")["online"] is True
    assert keyboard.json("wallet", "freeze")["bank_knows"] is True
    assert keyboard.json("wallet", "unfreeze")["ready"] is True


def test_switches_stay_as_they_were_set(keyboard: Keyboard) -> None:
    for word, name, value in (
        ("offline", "online", False),
        ("online", "online", True),
        ("lock", "screen", "locked"),
        ("unlock", "screen", "unlocked"),
    ):
        assert keyboard.json("wallet", word)[name] == value
        assert keyboard.json("wallet", "list")[name] == value


# fmt: off
REFUSED = [  # what is typed, exit code, what is said
    (["wallet", "add", "--phone", "second", "--code", "000000"], Exit.DECLINED, "the one-time code is wrong (2 tries left)"),
    (["wallet", "add", "--phone", "no-nfc"],                     Exit.DECLINED, "NFC"),
    (["wallet", "add", "--phone", "old"],                        Exit.DECLINED, "4.4"),
    (["wallet", "add", "--phone", "nokia"],                      Exit.USAGE,    "there are phone"),
    (["wallet", "add", "--app", "harbour"],                      Exit.USAGE,    "which has lantern"),
    (["wallet", "add", "--card", "harbour"],                     Exit.USAGE,    "offers"),
    (["wallet", "add", "--card", "gold"],                        Exit.USAGE,    "there are debit"),
    (["wallet", "freeze", "--card", "0000"],                     Exit.USAGE,    "last digits"),
    (["wallet", "freeze", "--phone", "second"],                  Exit.USAGE,    "wallet add"),
    (["wallet", "open", "--phone", "second"],                    Exit.DECLINED, "not set up"),
    (["wallet", "thaw"],                                         Exit.USAGE,    "No such command"),
    (["tap", "--with", "hce", "--amount", "1", "--phone", "second"], Exit.USAGE, "wallet add --phone second"),
    (["tap", "--amount", "1", "--offline"],                      Exit.USAGE,    "--with hce"),
    (["tap", "--amount", "1", "--with", "ring"],                 Exit.USAGE,    "ring"),
    (["tap", "--amount", "1", "--times", "0"],                   Exit.USAGE,    "times"),
]
# fmt: on


@pytest.mark.parametrize(("words", "code", "said"), REFUSED, ids=[" ".join(row[0]) for row in REFUSED])
def test_wrong_use_is_told_clearly(keyboard: Keyboard, words: list[str], code: int, said: str) -> None:
    ended, out, err = keyboard.run(*words, "--lang", "en") if words[1] != "thaw" else keyboard.run(*words)
    assert (ended, out) == (code, "")
    assert said in err
    assert len(err.strip().splitlines()) <= 4
    assert "Traceback" not in err


def test_a_refusal_of_the_bank_keeps_its_own_code(keyboard: Keyboard) -> None:
    refused = keyboard.json("wallet", "add", "--phone", "second", "--code", "000000", code=Exit.DECLINED)
    assert (refused["outcome"], refused["reason"], refused["code"]) == ("refused", "REFUSED", "code-wrong")
    assert keyboard.json("wallet", "add", "--phone", "no-nfc", code=Exit.DECLINED)["code"] == "nfc-missing"


def test_words_in_both_languages(keyboard: Keyboard) -> None:
    en, zh = (keyboard.run("wallet", "list", "--lang", lang)[1] for lang in ("en", "zh"))
    assert "10 of 10 uses" in en
    assert "剩余 10/10 次" in zh
    last4 = json.loads(keyboard.run("wallet", "list", "--json")[1])["cards"][0]["token_last4"]
    assert last4 in en
    assert last4 in zh
