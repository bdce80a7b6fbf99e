"""`shanfu bank`: which phone paid, cards reported, a policy tried on past traffic, from the keyboard."""

from pathlib import Path

import pytest

from shanfu import issuer
from shanfu.cli.main import Exit
from shanfu.sandbox import CARDS, Settings, free_ports, open_or_build
from tests.cli.keyboard import Keyboard

POLICY = Path(issuer.__file__).with_name("policy.toml").read_text()


@pytest.fixture
def keyboard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Keyboard:
    open_or_build(tmp_path / "data", settings=Settings(**free_ports()))
    capsys.readouterr()
    return Keyboard(str(tmp_path / "data"), capsys)


def test_which_phone_paid_and_what_a_loss_ends(keyboard: Keyboard) -> None:
    keyboard.json("wallet", "add")
    assert keyboard.json("tap", "--amount", "7")["outcome"] == "approved"
    assert keyboard.json("tap", "--with", "hce", "--amount", "5")["outcome"] == "approved"
    told = keyboard.json("bank", "payments", "debit")
    assert [phone["device_name"] for phone in told["phones"]] == ["Lin Yue's phone"]
    made = [(payment["amount_minor"], payment["device_name"], payment["state"]) for payment in told["payments"]]
    assert made == [(500, "Lin Yue's phone", "APPROVED"), (700, "", "APPROVED")]
    assert not [card.name for card in CARDS if card.pan in str(told)]

    assert keyboard.json("bank", "report", "debit", "lost") == {"card": "debit", "event": "lost"}
    [phone] = keyboard.json("bank", "payments", "debit")["phones"]
    assert (phone["state"], phone["suspended_by"]) == ("SUSPENDED", ["ISSUER"])
    assert keyboard.json("tap", "--amount", "7", code=Exit.DECLINED)["response_code"] == "41"
    assert keyboard.json("tap", "--with", "hce", "--amount", "5", code=Exit.DECLINED)["response_code"] == "62"
    assert keyboard.json("token", "reconcile") == []


def test_a_policy_is_tried_on_past_traffic(keyboard: Keyboard, tmp_path: Path) -> None:
    for amount in ("7", "900"):
        keyboard.json("tap", "--amount", amount)
    same, strict = tmp_path / "same.toml", tmp_path / "strict.toml"
    same.write_text(POLICY)
    lines = [line for line in POLICY.splitlines() if "per_transaction" in line]
    assert lines, "the policy has limits by transaction"
    strict.write_text(POLICY.replace('per_transaction = "50000.00"', 'per_transaction = "100.00"'))
    assert keyboard.json("bank", "dry-run", str(same)) == {
        "payments": 2, "refunds": 0, "requests": 0, "changed": [], "recoloured": [], "marked": {},
    }  # fmt: skip
    [change] = keyboard.json("bank", "dry-run", str(strict))["changed"]
    assert change["number"] == 1
    assert change["before"] != change["after"]


# fmt: off
WRONG = [  # what is typed, what the error must say
    (("bank", "payments", "gold"),                  "card 'gold': not in the sandbox"),
    (("bank", "report", "debit", "eaten"),          "'eaten' is not one of"),
    (("bank", "report", "debit", "found", "more"),  "unexpected extra argument"),
    (("bank", "dry-run", "none.toml"),              "none.toml"),
    (("bank", "dry-run", "none.toml", "--bank", "x"), "bank 'x': not in the sandbox"),
    (("bank", "script", "order", "debit", "put-data", "--value", "00"), "put-data needs --tag"),
    (("bank", "script", "order", "debit", "put-data", "--tag", "9F78"), "put-data needs --value"),
    (("bank", "script", "order", "debit", "pin-change"),                "pin-change needs --pin"),
    (("bank", "script", "order", "debit", "pin-unblock", "--pin", "1"), "pin-unblock takes no --pin"),
]
# fmt: on


@pytest.mark.parametrize(("words", "says"), WRONG)
def test_wrong_use_is_told(keyboard: Keyboard, words: tuple[str, ...], says: str) -> None:
    code, _, told = keyboard.run(*words)
    assert code == Exit.USAGE
    assert says in told
