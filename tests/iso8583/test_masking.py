"""What of a frame may be shown: length kept, secrets gone, ranges listed; the same for whoever looks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.iso8583 import (
    INTERBANK,
    POS,
    Dialect,
    InterbankFrame,
    InterbankHeader,
    Message,
    PosFrame,
    Value,
    decode_interbank,
    decode_pos,
    encode_interbank,
    encode_pos,
    explain,
    masked,
)
from tests.budget import examples
from tests.iso8583.samples import CUPS_FRAMES, POS_FRAMES

PAN = "6209010000000013"
HEADER = InterbankHeader(destination="00010000", source="99012900")
FRAMES = [(POS, frame) for frame in POS_FRAMES.values()] + [(INTERBANK, frame) for frame in CUPS_FRAMES.values()]


def framed(dialect: Dialect, fields: dict[int, Value]) -> bytes:
    message = Message("0200", fields)
    if dialect is POS:
        return encode_pos(PosFrame("6000030000", "613100310000", message))
    return encode_interbank(InterbankFrame(HEADER, message))


def hidden(dialect: Dialect, fields: dict[int, Value]) -> str:
    """What stands behind the bitmap, BCD as digits, overwritten bytes as stars."""
    shown, _ = masked(framed(dialect, fields), dialect)
    body = shown[23:] if dialect is POS else shown[62:]
    return body.hex().upper().replace("2A", "**") if dialect is POS else body.decode("latin-1")


# fmt: off
CASES = [
    (POS,       {2: PAN},                           "16620901******0013"),
    (INTERBANK, {2: PAN},                           "16620901******0013"),
    (POS,       {2: PAN + "345"},                   "19620901" + "*" * 10 + "3450"),
    (INTERBANK, {2: PAN + "345"},                   "19620901" + "*" * 9 + "3345"),
    (POS,       {2: "62090100"},                    "08" + "*" * 8),
    (INTERBANK, {2: "62090100"},                    "08" + "*" * 8),
    (POS,       {3: "000000", 14: "3012"},          "000000****"),
    (INTERBANK, {3: "000000", 14: "3012"},          "000000****"),
    (POS,       {52: bytes(8), 53: "26" + "0" * 14}, "*" * 16 + "26" + "0" * 14),
    (POS,       {55: bytes.fromhex("9F360200015A086209010000000013")}, "00159F360200015A08" + "*" * 16),
    (POS,       {55: bytes.fromhex("5F2403301231" "9F3602")}, "0009" + "*" * 18),
]
# fmt: on


@pytest.mark.parametrize(("dialect", "fields", "shown"), CASES)
def test_what_is_hidden(dialect: Dialect, fields: dict[int, Value], shown: str) -> None:
    assert hidden(dialect, fields) == shown


@pytest.mark.parametrize(("dialect", "frame"), FRAMES)
def test_real_frames_lose_only_what_is_listed(dialect: Dialect, frame: bytes) -> None:
    shown, ranges = masked(frame, dialect)
    message = (decode_pos if dialect is POS else decode_interbank)(frame).message
    rebuilt = bytearray(shown)
    for start, end in ranges:
        assert set(shown[start:end]) == {ord("*")}
        rebuilt[start:end] = frame[start:end]
    assert bytes(rebuilt) == frame
    secret = {number for number in message.fields if dialect.fields[number].secret}
    assert len(ranges) >= len(secret)
    told = explain(message, dialect)
    downloaded = {62} if message.text(60, "")[8:11] in ("370", "371", "372", "380", "381", "382") else set()
    assert all("***" in told[f"DE{number}"] for number in secret - downloaded)  # what is downloaded is no secret


@settings(max_examples=examples(200, heavy=20_000), deadline=None)
@given(st.sampled_from(FRAMES), st.data())
def test_what_cannot_be_read_is_not_shown(which: tuple[Dialect, bytes], data: st.DataObject) -> None:
    dialect, frame = which
    spoilt = bytearray(frame[: data.draw(st.integers(0, len(frame)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if spoilt:
            spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    shown, ranges = masked(bytes(spoilt), dialect)
    assert len(shown) == len(spoilt)
    assert all(0 <= start < end <= len(spoilt) for start, end in ranges)
    differing = {at for at, (one, other) in enumerate(zip(shown, spoilt, strict=True)) if one != other}
    assert differing <= {at for start, end in ranges for at in range(start, end)}
