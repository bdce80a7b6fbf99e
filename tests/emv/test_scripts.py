"""The contact flow's pieces: directory, scripts and their results, 9F27 whole, an enciphered PIN's data."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.emv import (
    AFTER,
    BEFORE,
    FCI,
    CryptogramInformation,
    CryptogramReason,
    CryptogramType,
    DirectoryEntry,
    IssuerScript,
    ScriptOutcome,
    ScriptResult,
    directory_record,
    open_pin_data,
    parse_directory_record,
    parse_script_results,
    pin_data,
    pse_fci,
)
from shanfu.errors import DecodeError
from tests.budget import examples

UNBLOCK = bytes.fromhex("84240000049E31C6D3")
BLOCK = bytes.fromhex("841E00000411223344")


@pytest.mark.parametrize("script", [
    IssuerScript(template=BEFORE, commands=(UNBLOCK,), identifier=bytes.fromhex("00000001")),
    IssuerScript(template=AFTER, commands=(UNBLOCK, BLOCK)),
])  # fmt: skip
def test_a_script_there_and_back(script: IssuerScript) -> None:
    assert IssuerScript.parse(script.template, script.value) == script
    assert bytes(script)[0] == script.template
    assert len(bytes(script)) == len(script.value) + 2


@pytest.mark.parametrize("value", [
    "", "9F180400000001",                # no command
    "9F1803000001" "860984240000049E31C6D3",  # identifier of 3 bytes
    "8603842400", "8609842400",          # command of 3 bytes; cut
])  # fmt: skip
def test_a_broken_script(value: str) -> None:
    with pytest.raises(DecodeError):
        IssuerScript.parse(BEFORE, bytes.fromhex(value))


@settings(max_examples=examples(100, heavy=20_000), deadline=None)
@given(st.binary(max_size=40))
def test_noise_is_a_script_or_an_error(noise: bytes) -> None:
    readers: tuple[Callable[[bytes], object], ...] = (
        lambda raw: IssuerScript.parse(AFTER, raw), parse_script_results, CryptogramInformation.parse, open_pin_data,
        parse_directory_record,
    )  # fmt: skip
    for read in readers:
        with contextlib.suppress(DecodeError):
            read(noise)


@pytest.mark.parametrize(("raw", "outcome", "failed_at"), [
    ("2000000001", ScriptOutcome.DONE, 0),
    ("1200000001", ScriptOutcome.FAILED, 2),
    ("1F00000001", ScriptOutcome.FAILED, 15),
    ("0000000000", ScriptOutcome.NOT_PERFORMED, 0),
])  # fmt: skip
def test_script_results(raw: str, outcome: ScriptOutcome, failed_at: int) -> None:
    (result,) = parse_script_results(bytes.fromhex(raw))
    assert (result.outcome, result.failed_at, bytes(result).hex().upper()) == (outcome, failed_at, raw)
    assert parse_script_results(bytes(result) * 2) == (result, result)


def test_more_failures_than_a_digit_counts() -> None:
    assert bytes(ScriptResult(outcome=ScriptOutcome.FAILED, failed_at=20)).hex() == "1f00000000"


@pytest.mark.parametrize(("raw", "kind", "advice", "reason"), [
    ("80", CryptogramType.ARQC, False, CryptogramReason.NONE),
    ("0A", CryptogramType.AAC, True, CryptogramReason.PIN_TRIES_EXCEEDED),
    ("4B", CryptogramType.TC, True, CryptogramReason.ISSUER_AUTHENTICATION_FAILED),
    ("01", CryptogramType.AAC, False, CryptogramReason.SERVICE_NOT_ALLOWED),
])  # fmt: skip
def test_cryptogram_information(raw: str, kind: CryptogramType, advice: bool, reason: int) -> None:
    found = CryptogramInformation.parse(bytes.fromhex(raw))
    assert (found.kind, found.advice, found.reason, bytes(found).hex().upper()) == (kind, advice, reason, raw)


def test_the_contact_directory_there_and_back() -> None:
    entries = tuple(
        DirectoryEntry(aid=bytes.fromhex("A0000003330101") + bytes((n,)), label=b"PBOC", priority=n, preferred_name=b"P")
        for n in (1, 2)
    )
    assert parse_directory_record(directory_record(entries)) == entries
    assert FCI.parse(pse_fci(1)).directory_sfi == 1


def test_pin_data() -> None:
    block, challenge = bytes.fromhex("241234FFFFFFFFFF"), bytes(range(8))
    assert open_pin_data(pin_data(block, challenge, bytes(79))) == (block, challenge)
    for wrong in (b"\x7e" + block + challenge, b"\x7f" + block + challenge[1:]):
        with pytest.raises(DecodeError):
            open_pin_data(wrong)
    with pytest.raises(DecodeError):
        pin_data(block, challenge[1:])
