"""CA keys and application parameters from the acquirer: asked for, checked, kept, and what they may not do."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from shanfu.errors import LinkTimeout
from shanfu.iso8583 import (
    AIDRecord,
    Message,
    PosFrame,
    encode_aid,
    encode_aid_list,
    encode_ca_key,
    encode_ca_key_list,
    encode_pos,
    parse_aid_name,
    parse_ca_key_name,
    response_mti,
)
from shanfu.terminal import Reason
from tests.terminal.chips import authority
from tests.terminal.shop import Acquirer, Shop, config, silent

KEYS = [authority(index) for index in (0xF1, 0xF2)]
DEBIT = bytes.fromhex("A0000003330101")
OTHER = bytes.fromhex("A000000333010106")
RECORDS = [
    AIDRecord(
        aid=DEBIT, tac_default=b"\1" * 5, tac_online=b"\2" * 5, tac_denial=b"\3" * 5, selection=0, version=b"\x00\x30",
        floor_minor=30_000, threshold_minor=5_000, max_percent=80, target_percent=20, ddol=bytes.fromhex("9F3704"),
        online_pin=0,
        cash_limit_minor=100_000, contactless_floor_minor=20_000, contactless_limit_minor=500_000, cvm_limit_minor=100_001,
    ),
    AIDRecord(aid=OTHER, tac_default=bytes(5), tac_online=bytes(5), tac_denial=bytes(5), selection=1),
]  # fmt: skip


def hand_out(
    host: Acquirer, request: PosFrame, *, spoil: Callable[[bytes], bytes] = bytes, requirement: int | None = None
) -> bytes:
    """Answer as an acquirer that has KEYS and RECORDS; `spoil` alters DE62 of each answer about one of them."""
    message = request.message
    code, asked = message.text(60, "")[8:11], message.fields.get(62, b"")
    assert isinstance(asked, bytes)
    fields = message.copy(11, 41, 42, 60) | {39: "00"}
    if code == "372":
        fields[62] = encode_ca_key_list([key.record.name for key in KEYS])
    elif code == "382":
        fields[62] = encode_aid_list([record.aid for record in RECORDS])
    elif code == "370":
        name = parse_ca_key_name(asked)
        fields[62] = spoil(encode_ca_key(next(k.record for k in KEYS if k.index == name.index)))
    elif code == "380":
        fields[62] = spoil(encode_aid(next(record for record in RECORDS if record.aid == parse_aid_name(asked))))
    elif code == "003":
        fields |= {60: f"00{host.batch:06d}003", 62: host.working_keys()}
    return encode_pos(request.answer(Message(response_mti(message.mti), fields), requirement=requirement))


def shop(spoil: Callable[[bytes], bytes] = bytes, **settings: object) -> Shop:
    at = Shop(settings=config(**settings))
    for mti in ("0800", "0820"):
        at.host.plays(mti, *[lambda host, request: hand_out(host, request, spoil=spoil)] * 12)
    return at


def codes(at: Shop) -> list[str]:
    return [message.text(60)[8:11] for message in at.host.asked if message.mti in ("0800", "0820")]


def test_everything_is_fetched_kept_and_shown() -> None:
    at = shop(offline_ceiling=25_000)
    assert at.drive(at.terminal.download()).approved
    assert codes(at) == ["372", "370", "370", "371", "382", "380", "380", "381"]
    for _ in range(2):
        shown = at.terminal.parameters()
        assert [key.name for key in shown.ca_keys] == ["A000000333/F1", "A000000333/F2"]
        debit, other = shown.aids
        assert (debit.aid, debit.tac_default, debit.tac_online, debit.tac_denial) == (DEBIT, b"\1" * 5, b"\2" * 5, b"\3" * 5)
        assert (debit.random_threshold, debit.random_max_percent, debit.random_target_percent) == (5_000, 80, 20)
        assert (debit.transaction_limit, debit.cvm_limit, debit.cash_limit, debit.online_pin) == (
            500_000,
            100_001,
            100_000,
            False,
        )
        assert (debit.contactless_floor, debit.floor) == (20_000, 25_000), "a floor never goes over the ceiling"
        assert (other.aid, other.exact, other.cvm_limit) == (OTHER, True, 0)
        at.restart()


def test_a_download_alone_lets_nobody_approve_offline() -> None:
    at = shop()
    at.drive(at.terminal.download())
    assert {(limits.contactless_floor, limits.floor) for limits in at.terminal.parameters().aids} == {(0, 0)}


def flip(at: int) -> Callable[[bytes], bytes]:
    return lambda raw: raw[:at] + bytes((raw[at] ^ 1,)) + raw[len(raw[:at]) + 1 :]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (flip(60), Reason.CA_KEY_CHECKSUM),  # in the modulus
        (flip(-1), Reason.CA_KEY_CHECKSUM),
        (flip(13), Reason.CA_KEY_UNREADABLE),
        (lambda raw: raw[:-3], Reason.CA_KEY_UNREADABLE),
        (lambda raw: b"", Reason.CA_KEY_UNREADABLE),
        (lambda raw: b"0", Reason.CA_KEY_UNREADABLE),
        (lambda raw: encode_ca_key(authority(0xEE).record), Reason.CA_KEY_UNREADABLE),  # another than the one asked for
    ],
)
def test_a_bad_key_is_refused_by_name(spoil: Callable[[bytes], bytes], reason: Reason) -> None:
    at = shop(spoil)
    receipt = at.drive(at.terminal.download())
    assert (receipt.approved, receipt.reason) == (False, reason)
    assert at.terminal.parameters().ca_keys == ()
    assert codes(at) == ["372", "370", "370"], "the acquirer is not told that all have come"
    refused = [event for event in at.heard.events if event.title == "CA key refused"]
    assert [event.detail["key"] for event in refused] == ["A000000333/F1", "A000000333/F2"]


@pytest.mark.parametrize(("digit", "fetched"), [(4, ["372", "370", "370", "371"]), (5, ["382", "380", "380", "381"]), (0, [])])
def test_the_sign_in_says_what_is_new(digit: int, fetched: list[str]) -> None:
    at = shop()
    at.host.script.clear()
    at.host.plays("0800", lambda host, request: hand_out(host, request, requirement=digit))
    for mti in ("0800", "0820"):
        at.host.plays(mti, *[hand_out] * 12)
    assert at.pay().approved
    assert codes(at) == ["003", *fetched]
    assert at.pay().approved
    assert codes(at) == ["003", *fetched], "once"


def test_what_was_downloaded_already_is_not_wanted_any_more() -> None:
    at = shop()
    at.host.script.clear()
    at.host.plays("0800", lambda host, request: hand_out(host, request, requirement=4))
    for mti in ("0800", "0820"):
        at.host.plays(mti, *[hand_out] * 12)
    at.drive(at.terminal.sign_in())
    at.drive(at.terminal.download())
    before = codes(at)
    assert at.pay().approved
    assert codes(at) == before


def test_a_download_that_fails_stands_in_nobodys_way() -> None:
    at = shop()
    at.host.script.clear()
    at.host.plays("0800", lambda host, request: hand_out(host, request, requirement=4))
    at.host.plays("0820", silent)
    assert at.pay().approved


def test_the_list_replaces_what_came_before_and_keeps_what_was_installed() -> None:
    installed = replace(authority(0x02), expires=date(2029, 1, 1))
    at = shop(ca_keys=(installed,))
    at.drive(at.terminal.download())
    kept, KEYS[:] = list(KEYS), KEYS[:1]
    try:
        at.drive(at.terminal.download())
    finally:
        KEYS[:] = kept
    assert [key.index for key in at.terminal.parameters().ca_keys] == [0x02, 0xF1]
    at.restart()
    assert [key.index for key in at.terminal.parameters().ca_keys] == [0x02, 0xF1]


def test_a_list_without_end_is_not_believed() -> None:
    at = Shop()
    asked = 0

    def more(host: Acquirer, request: PosFrame) -> bytes:
        nonlocal asked
        asked += 1
        if asked > 50:
            raise LinkTimeout("still asking")
        fields = request.message.copy(41, 42, 60) | {39: "00", 62: b"2" + encode_ca_key_list([KEYS[0].record.name])[1:]}
        return encode_pos(request.answer(Message("0830", fields)))

    at.host.plays("0820", *[more] * 60)
    assert not at.drive(at.terminal.download()).approved
    assert asked <= 50
