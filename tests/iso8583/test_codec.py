"""Both dialects: the way back, the two ways through a message, and what comes of damaged bytes."""

import time
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.errors import DecodeError, Fault, ProtocolError
from shanfu.iso8583 import INTERBANK, POS, Dialect, Message, decode_interbank, decode_pos, encode_interbank, encode_pos
from shanfu.iso8583.plan import compile_reader, compile_writer
from tests.budget import examples
from tests.iso8583 import oracle
from tests.iso8583.samples import CUPS_BODIES, CUPS_FRAMES, POS_FRAMES, PURCHASE, TOKEN_PURCHASE
from tests.iso8583.strategies import messages

DIALECTS = pytest.mark.parametrize("dialect", [POS, INTERBANK], ids=["pos", "interbank"])
BODIES = {POS.name: [f[13:] for f in POS_FRAMES.values()], INTERBANK.name: list(CUPS_BODIES.values())}
TURNS = settings(max_examples=examples(100, heavy=20_000), deadline=None)  # parsers under damage: the promised count
SOUND = settings(max_examples=examples(100, heavy=3_000), deadline=None)  # sound messages: each costs a whole round trip


def refusal(decode: Callable[..., object], *given: bytes, **named: int) -> DecodeError | None:
    """The DecodeError that a decoder raises, if it does; anything else is passed on and fails the test."""
    try:
        decode(*given, **named)
    except DecodeError as fault:
        return fault
    return None


def reader_for(dialect: Dialect, message: Message) -> Callable[[bytes], Message]:
    return compiled(dialect, tuple(sorted(message.fields)))


@cache
def compiled(dialect: Dialect, numbers: tuple[int, ...]) -> Callable[[bytes], Message]:
    start = dialect.mti_width + len(dialect.bitmap(list(numbers)))
    rows = [dialect.fields[n] for n in numbers]
    return compile_reader(rows, start=start, bcd_mti=dialect.bcd_mti, message=Message)


def writer_for(dialect: Dialect, message: Message) -> Callable[[Message], bytes]:
    numbers = sorted(message.fields)
    rows = [dialect.fields[n] for n in numbers]
    return compile_writer(rows, bitmap=dialect.bitmap(numbers), bcd_mti=dialect.bcd_mti)


def assert_two_ways_agree(dialect: Dialect, body: bytes, damaged: bytes) -> None:
    """The reader compiled for `body` gives for `damaged` what the careful way gives, or gives up."""
    start = dialect.mti_width
    if body[start : start + 16] != damaged[start : start + 16]:
        return  # another bitmap, another plan
    try:
        quick = reader_for(dialect, dialect._read(body, 0))(damaged)
    except (LookupError, ValueError):
        return
    careful = dialect._read(damaged, 0)
    assert quick == careful
    assert (careful.warnings, careful.kept) == ((), None)
    assert dialect._write(careful) == damaged


def assert_refused_or_comes_back(dialect: Dialect, body: bytes) -> None:
    try:
        message = dialect.decode(body)
    except DecodeError:
        return
    assert dialect.encode(message) == body


@DIALECTS
@SOUND
@given(data=st.data())
def test_any_valid_message_comes_back_and_the_plan_writes_and_reads_it_alike(dialect: Dialect, data: st.DataObject) -> None:
    message = data.draw(messages(dialect))
    body = dialect._write(message)
    assert dialect.decode(body) == message == dialect._read(body, 0)
    assert reader_for(dialect, message)(body) == message
    assert writer_for(dialect, message)(message) == body


@DIALECTS
@TURNS
@given(data=st.data())
def test_damage_is_read_alike_by_both_ways_and_raises_decode_error_only(dialect: Dialect, data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(BODIES[dialect.name]))
    damaged = bytearray(body)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert_two_ways_agree(dialect, body, bytes(damaged))
    assert_refused_or_comes_back(dialect, bytes(damaged))


@DIALECTS
def test_every_single_bit_flip_is_refused_or_comes_back(dialect: Dialect) -> None:
    body = BODIES[dialect.name][2]
    for bit in range(8 * len(body)):
        spoilt = bytearray(body)
        spoilt[bit >> 3] ^= 0x80 >> (bit & 7)
        assert_two_ways_agree(dialect, body, bytes(spoilt))
        assert_refused_or_comes_back(dialect, bytes(spoilt))


@pytest.mark.parametrize(("decode", "frame"), [(decode_pos, PURCHASE), (decode_interbank, TOKEN_PURCHASE)])
def test_every_truncation_of_a_frame_is_incomplete(decode: Callable[[bytes], object], frame: bytes) -> None:
    for end in range(len(frame)):
        with pytest.raises(DecodeError) as caught:
            decode(frame[:end])
        assert caught.value.fault is Fault.INCOMPLETE


@DIALECTS
def test_every_truncation_of_a_message_is_truncated(dialect: Dialect) -> None:
    for body in BODIES[dialect.name]:
        for end in range(len(body)):
            with pytest.raises(DecodeError) as caught:
                dialect.decode(body[:end], base=13)
            assert caught.value.fault is Fault.TRUNCATED
            assert 13 <= caught.value.offset <= 13 + end


@DIALECTS
@pytest.mark.parametrize("filling", [b"\x00", b"\xff", b"0", b"9"])
def test_all_bits_set_is_refused_quickly(dialect: Dialect, filling: bytes) -> None:
    body = dialect._write(Message("0200", {}))[: dialect.mti_width] + b"\xff" * 16 + filling * 9_000
    began = time.perf_counter()
    with pytest.raises(DecodeError):
        dialect.decode(body)
    assert time.perf_counter() - began < 0.01


@TURNS
@given(body=st.binary(max_size=300), base=st.integers(0, 50))
def test_noise_raises_decode_error_only(body: bytes, base: int) -> None:
    for dialect in (POS, INTERBANK):
        fault = refusal(dialect.decode, body, base=base)
        assert fault is None or base <= fault.offset <= base + len(body)


@SOUND
@given(data=st.data())
def test_no_error_shows_a_card_number(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([PURCHASE, TOKEN_PURCHASE])))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(13, len(frame) - 1))] = data.draw(st.integers(0, 255))
    for decode in (decode_pos, decode_interbank):
        fault = refusal(decode, bytes(frame))
        shown = f"{fault} {fault!r}".replace(" ", "")
        assert "0000000000" not in shown  # the middle of 6200 0000 0000 0005
        assert "30303030303030" not in shown


# -- the oracle ----------------------------------------------------------------------------------------------------


@DIALECTS
@SOUND
@given(data=st.data())
def test_another_author_reads_and_writes_the_same(dialect: Dialect, data: st.DataObject) -> None:
    message = data.draw(messages(dialect))
    spec = oracle.spec_of(dialect)
    body = dialect.encode(message)
    decoded = oracle.decode(body, spec)
    theirs = {int(n): v for n, v in decoded.items() if n.isdecimal() and n != "1"}
    assert theirs == {n: v if isinstance(v, str) else v.hex().upper() for n, v in message.fields.items()}
    written = {n: v for n, v in decoded.items() if n not in ("p", "1")}
    assert oracle.encode(written, spec) == body


# -- oddities that must survive ------------------------------------------------------------------------------------


def pos_body(*, bits: str, rest: str) -> bytes:
    return bytes.fromhex("0200" + bits + rest)


# fmt: off
ODDITIES = [
    (pos_body(bits="4000000000000000", rest="13" + "6200000000000F"), 2, "6200000000000"),       # filler F
    (pos_body(bits="4000000000000000", rest="00"), 2, ""),                                       # nothing in it
    (pos_body(bits="0000040000000000", rest="071F"), 22, "071"),                                 # filler F, fixed
    (pos_body(bits="0000020000000000", rest="F001"), 23, "001"),
    (pos_body(bits="0000000000000002", rest="0003" + "435580"), 63, "CU\ufffd"),                 # not GBK
]
# fmt: on


@pytest.mark.parametrize(("body", "number", "value"), ODDITIES)
def test_odd_bytes_come_back_as_they_were(body: bytes, number: int, value: str) -> None:
    message = POS.decode(body)
    assert message.fields[number] == value
    assert POS.encode(message) == body


def test_a_changed_value_drops_the_kept_bytes() -> None:
    message = POS.decode(pos_body(bits="4000000000000000", rest="13" + "6200000000000F"))
    message.fields[2] = "6200000000001"
    assert POS.encode(message).hex().endswith("1362000000000010")


def test_encrypted_track_needs_the_mark_in_de53() -> None:
    track, mark = "37" + "62000000000000051234ABCDEF567890AB567F"[:38], "2610000000000000"
    marked = pos_body(bits="0000000020000800", rest=track + mark)
    assert POS.encode(POS.decode(marked)) == marked
    with pytest.raises(DecodeError, match="DE35"):
        POS.decode(pos_body(bits="0000000020000800", rest=track + "2600000000000000"))


def test_interbank_lengths_over_the_published_maximum_are_read_with_a_warning() -> None:
    body = b"0210" + bytes.fromhex("8000000000000000") + bytes.fromhex("0000000000000020") + b"226" + b"x" * 226
    message = INTERBANK.decode(body)
    assert message.warnings == ("DE123: length 226, ans..100 has at most 100",)
    assert INTERBANK.encode(message) == body
    with pytest.raises(ProtocolError, match="DE123: 226 bytes"):
        INTERBANK.encode(Message("0210", dict(message.fields)))


def test_plans_are_compiled_when_a_bitmap_comes_again_and_their_number_is_bounded() -> None:
    dialect = Dialect("trial", tuple(POS.fields.values()), bcd_mti=True, wide=False)
    body = PURCHASE[13:]
    first = dialect.decode(body)
    assert not dialect._readers
    assert dialect.decode(body) == first == dialect.decode(body)
    assert list(dialect._readers) == [body[2:10]]
    for number in range(2, 64):
        for other in range(2, number):
            fields = {n: "0" * POS.fields[n].size for n in (number, other) if n in (3, 4, 11, 12, 13, 15, 25, 26, 53)}
            for _ in range(3):
                dialect.decode(dialect.encode(Message("0200", fields)))
    assert 1 < len(dialect._readers) <= 256


# -- what we refuse to write ---------------------------------------------------------------------------------------


# fmt: off
UNFIT = [
    ({4: "1999"},             "DE4: 4 digits, n12 has 12"),
    ({4: "0000000019990"},    "DE4: 13 digits, n12 has 12"),
    ({4: 1999},               "DE4: int given"),
    ({4: "00000000199x"},     "DE4: characters other than digits"),
    ({4: "０" * 12},          "DE4: characters other than digits"),
    ({2: "6" * 20},           "DE2: 20 digits, n..19 has at most 19"),
    ({10: "1"},               "DE10: the terminal dialect has no such field"),
    ({41: "123456789"},       "DE41: 9 bytes, an8 has 8"),
    ({41: b"12345678"},       "DE41: bytes given"),
    ({41: "1234567\n"},       "DE41: characters other than printable ASCII"),
    ({43: "😀"},              "DE43: characters that GBK does not have"),
    ({52: b"1234567"},        "DE52: 7 bytes, b8 has 8"),
    ({52: "12345678"},        "DE52: str given"),
    ({55: bytes(256)},        "DE55: 256 bytes, b..255 has at most 255"),
]
# fmt: on


@pytest.mark.parametrize(("fields", "said"), UNFIT)
@pytest.mark.parametrize("compiled", [False, True])
def test_values_that_do_not_fit_are_refused(fields: dict[int, str], said: str, compiled: bool) -> None:
    if compiled and 10 not in fields:
        good = Message("0200", {n: b"8bytes.." if n in (52, 55) else "0" * POS.fields[n].size for n in fields})
        for _ in range(3):
            POS.encode(good)
    with pytest.raises(ProtocolError, match=said.replace(".", r"\.")) as caught:
        POS.encode(Message("0200", fields))
    assert caught.value.by == "us"


def test_a_wrong_mti_is_refused() -> None:
    with pytest.raises(ProtocolError, match="MTI"):
        POS.encode(Message("200", {3: "000000"}))


def test_short_text_is_filled_and_a_message_shows_no_value() -> None:
    message = Message("0200", {2: "6200000000000005", 41: "1234"})
    assert POS.decode(POS.encode(message)).text(41) == "1234    "
    assert repr(message) == "Message(0200, DE 2 41)"


def test_typed_access_names_what_is_missing() -> None:
    message = Message("0200", {41: "12345678", 52: bytes(8)})
    assert (message.text(38, ""), message.binary(52)) == ("", bytes(8))
    for call, said in ((lambda: message.text(39), "DE39: absent"), (lambda: message.text(52), "DE52: bytes, not text")):
        with pytest.raises(DecodeError, match=said):
            call()
    assert message.copy(41, 42) == {41: "12345678"}


@pytest.mark.parametrize("name", CUPS_FRAMES)
def test_interbank_frames_come_back(name: str) -> None:
    assert encode_interbank(decode_interbank(CUPS_FRAMES[name])) == CUPS_FRAMES[name]


@pytest.mark.parametrize("name", POS_FRAMES)
def test_pos_frames_come_back(name: str) -> None:
    assert encode_pos(decode_pos(POS_FRAMES[name])) == POS_FRAMES[name]
