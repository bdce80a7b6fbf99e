"""Traces: written, masked, read again, played to either side; and whatever bytes a file holds."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.card import Interface
from shanfu.errors import ConfigError, DecodeError, LinkClosed, ProtocolError
from shanfu.links import Exchange, Recorded, Trace, TraceCard, is_test_card, replay
from shanfu.links.trace import card_numbers
from shanfu.terminal import Reader, mask_apdu
from tests.budget import examples
from tests.links.chip import Chip
from tests.terminal.shop import PAN_DIGITS, Shop, card

SELECT, VERIFY = bytes.fromhex("00A40400051122334455"), bytes.fromhex("0020008008241234FFFFFFFFFF")
PUBLISHED = json.loads((Path(__file__).parents[1] / "vectors" / "emv_traces_unionpay.json").read_text())["cases"]


def a_tap() -> Trace:
    """A payment by one of our cards, heard at the reader."""
    heard = Recorded(card())
    shop = Shop(card=heard)  # type: ignore[arg-type]
    assert shop.pay("12.34").approved
    return heard.trace()


def test_a_tap_is_heard_and_reads_back() -> None:
    trace = a_tap()
    assert trace.interface == "contactless"
    assert [exchange.command[1] for exchange in trace.exchanges] == [0xA4, 0xA4, 0xA8]
    again = Trace.parse(str(trace))
    assert [(x.command, x.answer) for x in again.exchanges] == [(x.command, x.answer) for x in trace.exchanges]
    assert (again.interface, again.reset_answer) == (trace.interface, trace.reset_answer)
    assert trace.numbers() == [PAN_DIGITS]


def test_a_masked_trace_shows_no_number_and_still_compares() -> None:
    trace = a_tap()
    text = str(trace.masked(mask_apdu))
    assert PAN_DIGITS not in text
    assert f"{PAN_DIGITS[:6]}******{PAN_DIGITS[-4:]}D" in text
    masked = Trace.parse(text)
    assert replay(masked, TraceCard(trace)) is None
    with pytest.raises(ConfigError, match="exchange 3, answer: is masked"):
        TraceCard(masked)


def test_a_pin_is_masked_and_then_cannot_be_sent() -> None:
    masked = Trace("contact", b"", (Exchange(VERIFY, b"\x90\0"),)).masked(mask_apdu)
    assert "1234" not in str(masked)
    with pytest.raises(ConfigError, match="exchange 1, command: is masked"):
        replay(masked, Chip())


# fmt: off
TEST_CARDS = [  # the answers of a trace, whether it may be kept in clear when 620901 is a test BIN
    (["5A0862090100000000139000"],                                True),
    (["57116209010000000013D3012220000000000F9000"],               True),
    (["5A0862260100000000139000"],                                False),
    (["5A0862090100000000139000", "5A0862260100000000139000"],    False),
    (["9F360200019000"],                                          False),  # no number: nobody knows whose card it is
    (["57046209D1FF9000"],                                        False),
    (["9F6B060000001000009000", "5A0862090100000000139000"],      True),   # the limit of UnionPay, no track
    ([],                                                          False),
]
# fmt: on


@pytest.mark.parametrize(("answers", "clear"), TEST_CARDS)
def test_whose_card_it_is(answers: list[str], clear: bool) -> None:
    trace = Trace("contactless", b"", tuple(Exchange(SELECT, bytes.fromhex(raw)) for raw in answers))
    assert is_test_card(trace, ["620901"]) is clear


def test_what_never_came_is_written_down() -> None:
    heard = Recorded(Chip(torn_after=1))
    heard.power_on("contactless")
    heard.answer(SELECT)
    with pytest.raises(LinkClosed):
        heard.answer(SELECT)
    assert [x.answer for x in Trace.parse(str(heard.trace())).exchanges] == [b"\x11\x22\x33\x44\x55\x90\0", None]


def changed(trace: Trace, number: int, message: str, offset: int) -> Trace:
    """The trace with one byte of one message changed."""
    exchanges = list(trace.exchanges)
    command, answer = bytearray(exchanges[number - 1].command), bytearray(exchanges[number - 1].answer or b"")
    (command if message == "command" else answer)[offset] ^= 1
    exchanges[number - 1] = Exchange(bytes(command), bytes(answer))
    return Trace(trace.interface, trace.reset_answer, tuple(exchanges))


def test_the_published_traces_play_on_either_side() -> None:
    for case in PUBLISHED:
        exchanges = tuple(Exchange(bytes.fromhex(x["c"]), bytes.fromhex(x["r"])) for x in case["exchanges"])
        trace = Trace(str(case["interface"]).split(maxsplit=1)[0], b"", exchanges)
        assert replay(trace, TraceCard(trace)) is None
        last = len(exchanges)
        found = replay(changed(trace, last, "answer", 0), TraceCard(trace))
        assert str(found).startswith(f"exchange {last}, answer: byte 0 is ")
        with pytest.raises(ProtocolError, match=rf"terminal: exchange {last}, command: byte 3 is "):
            replay(changed(trace, last, "command", 3), TraceCard(trace))


def test_a_fresh_card_of_the_same_issuer_differs_where_it_counts() -> None:
    trace, other = a_tap(), card()
    assert replay(trace, other) is None  # same keys, same counter, same words: the same cryptogram
    found = replay(trace, other)  # its counter has moved
    assert found is not None
    assert (found.exchange, found.message) == (3, "answer")


ENDINGS = [  # trace of SELECTs, card, what differs
    (2, Chip(torn_after=1), "exchange 2, answer: none came, 7 bytes are recorded"),
    (3, Chip(), None),
]


@pytest.mark.parametrize(("count", "chip", "words"), ENDINGS)
def test_endings(count: int, chip: Chip, words: str | None) -> None:
    trace = Trace("contactless", b"", tuple(Exchange(SELECT, b"\x11\x22\x33\x44\x55\x90\0") for _ in range(count)))
    found = replay(trace, chip)
    assert (None if found is None else str(found)) == words
    assert chip.powered is None


def test_a_recorded_card_at_a_terminal() -> None:
    trace = a_tap()
    recorded = TraceCard(trace)
    assert recorded.power_on(Interface.CONTACT) == b""
    reader = Reader()
    reader.present(recorded)
    for exchange in trace.exchanges:
        assert reader.ask(exchange.command) == exchange.answer
    with pytest.raises(LinkClosed, match="ends after 3 exchanges"):
        reader.ask(SELECT)
    with pytest.raises(LinkClosed, match="taken away in exchange 1"):
        TraceCard(Trace("contactless", b"", (Exchange(SELECT, None),))).answer(SELECT)


# fmt: off
BAD = [  # text, the fault
    ("",                                              "trace line 1: does not begin with"),
    ("# shanfu trace 2\n",                            "trace line 1: does not begin with"),
    ("# shanfu trace 1\n00A4\n",                      "trace line 2: 1 words"),
    ("# shanfu trace 1\n00A4 9000 1 2\n",             "trace line 2: 4 words"),
    ("# shanfu trace 1\n# hello\n00A 9000\n",         "trace line 3/command: is not hexadecimal"),
    ("# shanfu trace 1\n00A4 9*00\n",                 "trace line 2/answer: is not hexadecimal"),
    ("# shanfu trace 1\n00A4 9000 soon\n",            "trace line 2/time: is not a number"),
    ("# shanfu trace 1\n# atr 3\n",                   "trace atr: is not hexadecimal"),
]
# fmt: on


@pytest.mark.parametrize(("text", "words"), BAD)
def test_bad_files(text: str, words: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Trace.parse(text)
    assert str(caught.value).startswith(words)


@settings(max_examples=examples(50, heavy=5_000))
@given(st.text(alphabet="# shanfu trce1\n0A9*-\t.é", max_size=60))
def test_any_text_is_a_trace_or_a_decode_error(text: str) -> None:
    try:
        trace = Trace.parse("# shanfu trace 1\n" + text)
    except DecodeError:
        return
    assert Trace.parse(str(trace)) == Trace.parse(str(Trace.parse(str(trace))))


@settings(max_examples=examples(50, heavy=5_000))
@given(st.binary(max_size=60))
def test_any_answer_shows_numbers_or_none(answer: bytes) -> None:
    assert all(isinstance(number, str) for number in card_numbers(answer))
