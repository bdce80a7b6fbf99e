"""Frames out of a stream: any splitting, foreign protocols, limits; and the two headers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.errors import DecodeError, Fault, ProtocolError
from shanfu.iso8583 import (
    FrameDecoder,
    InterbankFrame,
    InterbankFrames,
    InterbankHeader,
    Message,
    PosFrame,
    PosFrames,
    PosHeader,
    decode_interbank,
    decode_pos,
    encode_interbank,
    encode_pos,
    mab_of,
    prepare_interbank,
    prepare_pos,
)
from tests.budget import examples
from tests.iso8583.samples import CUPS_FRAMES, POS_FRAMES, PURCHASE, TOKEN_PURCHASE

STREAMS = [(PosFrames, list(POS_FRAMES.values())), (InterbankFrames, list(CUPS_FRAMES.values()))]


@pytest.mark.parametrize(("kind", "frames"), STREAMS)
@settings(max_examples=examples(60, heavy=20_000), deadline=None)
@given(data=st.data())
def test_any_splitting_gives_the_same_frames(kind: type[FrameDecoder], frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    decoder, got = kind(), []
    for first, last in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += decoder.feed(stream[first:last])
    assert got == frames
    assert decoder.consumed == len(stream)
    decoder.close()


@pytest.mark.parametrize(("kind", "frames"), STREAMS)
def test_byte_by_byte(kind: type[FrameDecoder], frames: list[bytes]) -> None:
    decoder = kind()
    assert [frame for byte in b"".join(frames) for frame in decoder.feed(bytes([byte]))] == frames


def test_idle_frames_are_counted_and_swallowed() -> None:
    decoder = InterbankFrames()
    assert decoder.feed(b"0000" + TOKEN_PURCHASE + b"00000") == [TOKEN_PURCHASE]
    assert decoder.idle_count == 2


# fmt: off
FOREIGN = [
    (PosFrames,       b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",      "an HTTP request came instead of a frame"),
    (PosFrames,       b"POST /unp/webtrans HTTP/1.1\r\n",        "an HTTP request came instead of a frame"),
    (PosFrames,       bytes.fromhex("160301020001000200"),       "a TLS ClientHello came instead of a frame"),
    (PosFrames,       b"SSH-2.0-OpenSSH_9.6\r\n",                "an SSH greeting came instead of a frame"),
    (PosFrames,       b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",       "an HTTP/2 preface came instead of a frame"),
    (PosFrames,       b"0095.",                                  "the length says 12336 bytes, a frame has 21 to 4096"),
    (PosFrames,       bytes(4),                                  "the length is 0000, two bytes other than zero wanted"),
    (PosFrames,       b"\x00\x14" + bytes(20),                   "the length says 20 bytes, a frame has 21 to 4096"),
    (InterbankFrames, b"GET / HTTP/1.1\r\n",                     "an HTTP request came instead of a frame"),
    (InterbankFrames, bytes.fromhex("160301020001000200"),       "a TLS ClientHello came instead of a frame"),
    (InterbankFrames, PURCHASE,                                  "the length is 01146000, four ASCII digits wanted"),
    (InterbankFrames, b"0057" + bytes(57),                       "the length says 57 bytes, a frame has 58 to 9999"),
]
# fmt: on


@pytest.mark.parametrize(("kind", "stream", "said"), FOREIGN)
def test_what_is_not_a_frame_is_named(kind: type[FrameDecoder], stream: bytes, said: str) -> None:
    decoder = kind()
    for _ in range(2):  # and the decoder stays refused
        with pytest.raises(DecodeError, match=said):
            decoder.feed(stream)
    with pytest.raises(DecodeError, match=said):
        decoder.close()


def test_frames_before_a_fault_are_handed_out_first() -> None:
    decoder = PosFrames()
    assert decoder.feed(PURCHASE + b"GET / HTTP/1.1") == [PURCHASE]
    with pytest.raises(DecodeError) as caught:
        decoder.feed(b"")
    assert caught.value.offset == len(PURCHASE)


def test_a_stream_that_ends_inside_a_frame() -> None:
    decoder = PosFrames()
    assert decoder.feed(PURCHASE + PURCHASE[:100]) == [PURCHASE]
    with pytest.raises(DecodeError, match="100 bytes of a frame") as caught:
        decoder.close()
    assert (caught.value.fault, caught.value.offset) == (Fault.INCOMPLETE, len(PURCHASE))


# -- headers -------------------------------------------------------------------------------------------------------


def test_an_answer_to_a_terminal_exchanges_the_addresses_and_may_ask_for_action() -> None:
    request = PosFrame("6000030001", "603100311003", Message("0800"))
    answer = request.answer(Message("0810", {39: "00"}), requirement=3)
    assert (answer.tpdu, answer.header) == ("6000010003", "603103311003")
    header = PosHeader.parse(answer.header)
    assert (header.processing_requirement, str(header)) == (3, answer.header)
    assert decode_pos(encode_pos(answer)) == answer


def test_sealing_a_terminal_message() -> None:
    frame = decode_pos(PURCHASE)
    unsealed = prepare_pos(frame)
    assert unsealed.mab == mab_of(PURCHASE)
    assert unsealed.seal(PURCHASE[-8:]) == PURCHASE
    del frame.message.fields[64]
    assert prepare_pos(frame).seal(PURCHASE[-8:]) == PURCHASE
    with pytest.raises(ProtocolError, match="MAC: 4 bytes"):
        unsealed.seal(bytes(4))


def test_sealing_an_interbank_message() -> None:
    frame = decode_interbank(TOKEN_PURCHASE)
    unsealed = prepare_interbank(frame)
    assert unsealed.mab.startswith(b"0200 166200000000000005 000000 000000001999 0108101530 000403 5411 00 08")
    sealed = decode_interbank(unsealed.seal(b"0D612014"))
    assert sealed.message.fields == {**frame.message.fields, 128: "0D612014"}


def test_an_interbank_answer_goes_back() -> None:
    header = InterbankHeader(destination="01020000", source="48120000")
    turned = InterbankFrame(header, Message("0200")).answer(Message("0210")).header
    assert (turned.destination, turned.source, turned.rejected) == ("48120000", "01020000", False)
    assert InterbankHeader(destination="1", source="2", reject_code="00015").rejected


def swap(frame: bytes, at: int, new: bytes) -> bytes:
    return frame[:at] + new + frame[at + len(new) :]


SIGN_ON = CUPS_FRAMES["sign-on-0820-001"]
# fmt: off
BAD_INTERBANK = [
    (swap(SIGN_ON, 0, b"009x"),          Fault.FORMAT,     "frame: the length is not four ASCII digits"),
    (SIGN_ON + b"x",                     Fault.TRAILING,   "frame: 1 bytes too many"),
    (SIGN_ON[:-1],                       Fault.INCOMPLETE, "frame: 98 bytes"),
    (swap(SIGN_ON, 4, b"\x29"),          Fault.LENGTH,     "header/1: header of 46 bytes says 41"),
    (swap(SIGN_ON, 6, b"0096"),          Fault.LENGTH,     "header/3: the header counts 96 bytes, the frame 95"),
    (swap(SIGN_ON, 6, b"00x5"),          Fault.FORMAT,     "header/3: total length is not ASCII digits"),
    (swap(SIGN_ON, 10, b"\x00"),         Fault.FORMAT,     "header/4: not printable ASCII at byte 10"),
    (swap(SIGN_ON, 45, b"\xff"),         Fault.FORMAT,     "header/10: not printable ASCII at byte 45"),
    (b"0010" + SIGN_ON[4:14],            Fault.TRUNCATED,  "header: the frame ends inside the header"),
    (swap(SIGN_ON, 50, b"08x0"),         Fault.FORMAT,     "MTI: 30387830, not four digits at byte 50"),
]
BAD_POS = [
    (swap(PURCHASE, 2, b"\x61"),         Fault.FORMAT,     "TPDU: begins with 61, a TPDU begins with 60 at byte 2"),
    (b"\x00\x05" + PURCHASE[2:7],        Fault.TRUNCATED,  "header: the frame ends inside TPDU or header"),
    (swap(PURCHASE, 13, b"\x0a"),        Fault.FORMAT,     "MTI: 0A00, not four digits at byte 13"),
    (b"\x00\x10" + PURCHASE[2:18],       Fault.TRUNCATED,  "DE1: the message ends inside the bitmap at byte 15"),
    (b"",                                Fault.INCOMPLETE, "frame: 0 bytes"),
]
# fmt: on


@pytest.mark.parametrize(("frame", "fault", "said"), BAD_INTERBANK)
def test_bad_interbank_frames(frame: bytes, fault: Fault, said: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_interbank(frame)
    assert caught.value.fault is fault
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(("frame", "fault", "said"), BAD_POS)
def test_bad_terminal_frames(frame: bytes, fault: Fault, said: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_pos(frame)
    assert caught.value.fault is fault
    assert str(caught.value).startswith(said)


def test_headers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ProtocolError, match="header"):
        encode_interbank(InterbankFrame(InterbankHeader(destination="123456789012", source="1"), Message("0820")))
    with pytest.raises(ProtocolError, match="11 wanted"):
        encode_pos(PosFrame("6000", "603100311003", Message("0800")))
