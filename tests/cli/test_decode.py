"""`shanfu decode` as a person uses it: what is shown, what is masked, what is said of bad input."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from shanfu.cli.main import Exit, _run, group

VECTORS = Path(__file__).parent.parent / "vectors"
POS_FRAME = next(
    case["frame"]
    for case in json.loads((VECTORS / "iso8583_pos_messages.json").read_text())["cases"]
    if case["id"] == "purchase-contactless-online-pin"
)
PAN = "6200000000000005"
PPSE = "6F30840E325041592E5359532E4444463031A51EBF0C1B61194F08A000000333010101500A50424F43204445424954870101"
GPO = "80A8000023832136800000000000000001000000000000015600000000000156170601002B29EBE400"
TRACK2 = "57116200000000000005D3012201000000000F"

# fmt: off
SHOWN = [  # arguments, what must be seen, what must not
    (["tlv", PPSE],                          ["A000000333010101", "Application Identifier"], []),
    (["tlv", "--lang", "zh", "95058000000000"], ["未进行脱机数据认证"],                      []),
    (["tlv", TRACK2],                        ["620000******0005"],                           [PAN]),
    (["tlv", "--unmask", TRACK2],            [PAN],                                          []),
    (["apdu", GPO],                          ["GET PROCESSING OPTIONS"],                     []),
    (["apdu", "0020008008241234FFFFFFFFFF"], ["VERIFY", "****************"],                 ["241234"]),
    (["apdu", "--response", "6A82"],         ["6A82", "not found"],                          []),
    (["8583", POS_FRAME],                    ["0200", "620000******0005", "Application Cryptogram"], [PAN, "D1EEF419D0AE2609"]),
    (["8583", "--unmask", POS_FRAME],        [PAN],                                          []),
    (["8583", "--lang", "zh", POS_FRAME],    ["应用密文"],                                   [PAN]),
]
REFUSED = [  # arguments, exit code, what is said
    (["decode", "tlv", "9F10"],              Exit.DECLINED, "no length"),
    (["decode", "tlv", "9F1"],               Exit.USAGE,    "3 digits"),
    (["decode", "tlv", "XY"],                Exit.USAGE,    "'X' at character 1"),
    (["decode", "8583", POS_FRAME[:-2]],     Exit.DECLINED, "length announces more"),
    (["decode", "8583", "--dialect", "interbank", POS_FRAME], Exit.DECLINED, "ASCII digits"),
    (["decode", "apdu", "00"],               Exit.DECLINED, "APDU"),
    (["decod", "tlv", "00"],                 Exit.USAGE,    "No such command"),
]
# fmt: on


@pytest.mark.parametrize(("arguments", "seen", "hidden"), SHOWN, ids=[" ".join(row[0])[:40] for row in SHOWN])
def test_what_is_shown(arguments: list[str], seen: list[str], hidden: list[str]) -> None:
    result = CliRunner().invoke(group, ["decode", *arguments])
    assert result.exit_code == 0, result.output
    for text in seen:
        assert text in result.output
    for text in hidden:
        assert text not in result.output


@pytest.mark.parametrize(("arguments", "code", "words"), REFUSED, ids=[" ".join(row[0])[:40] for row in REFUSED])
def test_what_is_said_of_bad_input(arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(arguments) == code
    told = capsys.readouterr().err
    assert words in told
    assert PAN not in told


def test_json_is_one_list_and_nothing_else() -> None:
    result = CliRunner().invoke(group, ["decode", "tlv", "--json", PPSE])
    lines = json.loads(result.output)
    assert [line["path"] for line in lines][:4] == ["6F", "84", "A5", "BF0C"]


def test_hex_comes_from_a_pipe_too() -> None:
    result = CliRunner().invoke(group, ["decode", "tlv"], input="95 05 00:00:00 00 00\n")
    assert result.exit_code == 0
    assert "0000000000" in result.output
