from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.errors import DecodeError, Fault
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord
from tests.budget import examples

octets = st.integers(0, 255)
commands = st.builds(
    CommandAPDU,
    cla=octets, ins=octets, p1=octets, p2=octets,
    data=st.one_of(st.binary(max_size=300), st.sampled_from([bytes(255), bytes(256), bytes(65_535)])),
    le=st.none() | st.integers(1, 65_536),
    extended=st.booleans(),
)  # fmt: skip


@pytest.mark.parametrize(
    ("case", "raw", "data", "le", "extended"),
    [
        ("1", "00840000", 0, None, False),
        ("2 short", "0084000008", 0, 8, False),
        ("2 short, all there is", "0084000000", 0, 256, False),
        ("3 short", "008200000A" + "11" * 10, 10, None, False),
        ("4 short", "80A8000002830000", 2, 256, False),
        ("2 extended", "00B0000000" + "0100", 0, 256, True),
        ("2 extended, all there is", "00B00000000000", 0, 65_536, True),
        ("3 extended", "00D60000" + "000002" + "AABB", 2, None, True),
        ("4 extended", "00D60000" + "000002" + "AABB" + "0001", 2, 1, True),
        ("4 extended, all there is", "00D60000" + "000002" + "AABB" + "0000", 2, 65_536, True),
    ],
)
def test_seven_forms(case: str, raw: str, data: int, le: int | None, extended: bool) -> None:
    apdu = CommandAPDU.parse(bytes.fromhex(raw))
    assert (len(apdu.data), apdu.le, apdu.extended) == (data, le, extended)
    assert bytes(apdu).hex().upper() == raw


@pytest.mark.parametrize(
    ("attempt", "raw", "fault", "path"),
    [
        ("no header", "00A404", Fault.TRUNCATED, "APDU"),
        ("data cut short", "00A4040008A0000003", Fault.TRUNCATED, "APDU/Lc"),
        ("two bytes too many", "00A4040001A00000", Fault.LENGTH, "APDU/Lc"),
        ("Lc of nothing with data", "00A404000011", Fault.LENGTH, "APDU/Lc"),
        ("extended data cut short", "00D60000000003AABB", Fault.TRUNCATED, "APDU/Lc"),
        ("half an extended Le", "00D60000000002AABB00", Fault.LENGTH, "APDU/Lc"),
        ("extended length of nothing", "00D60000000000AABB", Fault.LENGTH, "APDU/Lc"),
    ],
)
def test_commands_that_are_none(attempt: str, raw: str, fault: Fault, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        CommandAPDU.parse(bytes.fromhex(raw))
    assert (caught.value.fault, caught.value.path) == (fault, path)


@pytest.mark.parametrize(
    "fields",
    [{"cla": 256}, {"ins": -1}, {"p1": 256}, {"p2": -1}, {"le": 0}, {"le": 65_537}, {"data": bytes(65_536)}],
)
def test_commands_that_cannot_be_built(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="byte"):
        CommandAPDU(**({"cla": 0, "ins": 0} | fields))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("00200080082412345FFFFFFFFF", "CommandAPDU(00 20 00 80, data=<8 bytes>)"),
        ("0420008008241234567FFFFFFF", "CommandAPDU(04 20 00 80, data=<8 bytes>)"),
        ("80E200000411223344", "CommandAPDU(80 E2 00 00, data=<4 bytes>)"),
        ("00A4040005A000000333", "CommandAPDU(00 A4 04 00, data=A000000333)"),
        ("00B2010C00", "CommandAPDU(00 B2 01 0C, le=256)"),
    ],
)
def test_secrets_are_not_shown(raw: str, shown: str) -> None:
    assert repr(CommandAPDU.parse(bytes.fromhex(raw))) == shown


def test_the_right_le_is_asked_for_again() -> None:
    assert bytes(CommandAPDU(cla=0, ins=0xB2, p1=1, p2=0x54, le=256).with_le(0x2A)).hex() == "00b201542a"


@pytest.mark.parametrize("raw", ["", "90", "0000", "6000", "8000", "A000", "5A086228480000000000"])
def test_answers_that_are_none(raw: str) -> None:
    with pytest.raises(DecodeError):
        ResponseAPDU.parse(bytes.fromhex(raw))


def test_answers_hide_their_data() -> None:
    answer = ResponseAPDU.parse(bytes.fromhex("5A0862280001000011179000"))
    assert (answer.ok, answer.status, repr(answer)) == (True, StatusWord.OK, "ResponseAPDU(10 bytes, 9000)")
    assert ResponseAPDU(sw=StatusWord.WRONG_LENGTH) == ResponseAPDU.parse(bytes.fromhex("6700"))
    assert ResponseAPDU.parse(bytes.fromhex("9F0C")).status == 0x9F0C


@settings(max_examples=examples(200, heavy=20_000), deadline=None)
@given(commands)
def test_commands_are_read_as_written(apdu: CommandAPDU) -> None:
    assert CommandAPDU.parse(bytes(apdu)) == apdu


@settings(max_examples=examples(200, heavy=20_000), deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_command_or_refused(raw: bytes) -> None:
    try:
        apdu = CommandAPDU.parse(raw)
    except DecodeError:
        return
    assert bytes(apdu) == raw
