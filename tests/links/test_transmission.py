"""Below the APDU: answers to reset, and T=0 from both sides, byte by byte."""

import json
from pathlib import Path

import pytest

from shanfu.links.transmission import RESET_ANSWERS, T0Card, ask_t0, begins_with_t0, interface_of

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "emv_traces_unionpay.json").read_text())["cases"]
T0_TRACE = next(case for case in VECTORS if case["interface"] == "contact T=0")["exchanges"]

# fmt: off
ATRS = [  # answer to reset, interface, begins with T=0
    (RESET_ANSWERS["contactless"].hex(), "contactless", False),
    (RESET_ANSWERS["contact"].hex(),     "contact",     True),
    ("3B8E80018031806649425052000000000000000057"[:38], "contactless", False),  # historical bytes behind 80 01
    ("3BE600008131FE455348414E46551E",   "contact",     False),  # T=1 by TD1
    ("3B00",                             "contact",     True),
    ("3B80",                             "contact",     True),   # announces TD1 and ends
    ("",                                 "contact",     True),
]
SELECT, RECORD, PLAIN = "00A4040007A0000003330101", "00B2015400", "0084000000"
READER = [  # command, what goes to the card and comes back (T=0), answer above
    (SELECT + "00", [(SELECT, "6103"), ("00C0000003", "0102039000")],                         "0102039000"),
    (SELECT + "00", [(SELECT, "6283"), ("00C0000000", "6C02"), ("00C0000002", "AABB9000")],   "AABB6283"),
    (SELECT + "00", [(SELECT, "6283"), ("00C0000000", "6F00")],                               "6283"),
    (SELECT + "00", [(SELECT, "6A82")],                                                       "6A82"),
    (SELECT + "00", [(SELECT, "6102"), ("00C0000002", "01026101"), ("00C0000001", "039000")], "0102039000"),
    (RECORD,        [(RECORD, "6C02"), ("00B2015402", "70009000")],                           "70009000"),
    (RECORD,        [(RECORD, "6A83")],                                                       "6A83"),
    (PLAIN,         [(PLAIN, "6C08"), ("0084000008", "11223344556677889000")],                "11223344556677889000"),
    ("0020008008241234FFFFFFFFFF", [("0020008008241234FFFFFFFFFF", "63C2")],                  "63C2"),
    ("00",          [("00", "6700")],                                                         "6700"),
    (SELECT + "00", [(SELECT, "")],                                                           ""),
]
CARD = [  # answers of the card above T=0 by command, then what a reader says and hears
    ({SELECT: "0102039000"},       [(SELECT, "6103"), ("00C0000003", "0102039000"), ("00C0000003", "6985")]),
    ({SELECT + "00": "0102039000"}, [(SELECT + "00", "6103"), ("00C0000001", "016102"), ("00C0000005", "6C02"),
                                    ("00C0000002", "02039000")]),
    ({SELECT: "0102036283"},       [(SELECT, "6283"), ("00C0000003", "0102039000")]),
    ({SELECT: "6A82"},             [(SELECT, "6A82"), ("00C0000003", "6985")]),
    ({RECORD: "70009000", "00B2015402": "70009000"}, [(RECORD, "6C02"), ("00B2015402", "70009000")]),
    ({PLAIN: "11229000"},          [(PLAIN, "6C02"), ("0084000002", "11229000")]),  # the same number, drawn once
    ({SELECT: "0102039000", PLAIN: "6985"}, [(SELECT, "6103"), (PLAIN, "6985"), ("00C0000003", "6985")]),
    ({RECORD: "AA" * 256 + "9000"}, [(RECORD, "AA" * 256 + "9000")]),
    ({SELECT: "AA" * 256 + "9000"}, [(SELECT, "6100"), ("00C0000000", "AA" * 256 + "9000")]),
]
# fmt: on


@pytest.mark.parametrize(("atr", "interface", "t0"), ATRS)
def test_reset_answers(atr: str, interface: str, t0: bool) -> None:
    raw = bytes.fromhex(atr)
    assert (interface_of(raw), begins_with_t0(raw)) == (interface, t0)


class Script:
    """A card that answers what is written, and only when it is asked what is written."""

    def __init__(self, exchanges: list[tuple[str, str]]) -> None:
        self.left = list(exchanges)

    def __call__(self, command: bytes) -> bytes:
        expected, answer = self.left.pop(0)
        assert command.hex().upper() == expected.upper()
        return bytes.fromhex(answer)


@pytest.mark.parametrize(("command", "exchanges", "answer"), READER)
def test_the_readers_half(command: str, exchanges: list[tuple[str, str]], answer: str) -> None:
    script = Script(exchanges)
    assert ask_t0(script, bytes.fromhex(command)).hex().upper() == answer
    assert not script.left


@pytest.mark.parametrize(("answers", "exchanges"), CARD)
def test_the_cards_half(answers: dict[str, str], exchanges: list[tuple[str, str]]) -> None:
    asked: list[str] = []

    def above(command: bytes) -> bytes:
        asked.append(command.hex().upper())
        return bytes.fromhex(answers[asked[-1]])

    card = T0Card(above)
    for command, answer in exchanges:
        assert card.answer(bytes.fromhex(command)).hex().upper() == answer, command
    assert len(asked) == len(set(asked))  # nothing is carried out twice


def test_both_halves_make_whole_commands() -> None:
    body = bytes(range(256))
    for size in (0, 1, 255, 256):
        for status in ("9000", "6283"):
            card = T0Card(lambda _, size=size, status=status: body[:size] + bytes.fromhex(status))
            assert ask_t0(card.answer, bytes.fromhex(SELECT + "00")) == body[:size] + bytes.fromhex(status)


def test_losing_power_forgets_what_waited() -> None:
    card = T0Card(lambda _: b"\1\2\x90\0")
    assert card.answer(bytes.fromhex(SELECT)) == b"\x61\x02"
    card.reset()
    assert card.answer(bytes.fromhex("00C0000002")) == b"\x69\x85"


def test_the_published_trace_from_both_sides() -> None:
    wire = [(x["c"], x["r"]) for x in T0_TRACE]
    select, record = wire[0][0] + "00", wire[2][0]
    script = Script(wire)
    told = {select: ask_t0(script, bytes.fromhex(select)), record: ask_t0(script, bytes.fromhex(record))}
    assert not script.left
    assert told[select].hex().upper() == wire[1][1]
    assert told[record].hex().upper() == wire[3][1]
    whole = {wire[0][0]: told[select], record: told[record]}
    card = T0Card(lambda command: whole[command.hex().upper()])
    for command, answer in wire:
        assert card.answer(bytes.fromhex(command)).hex().upper() == answer
