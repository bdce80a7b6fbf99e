"""Links: signing on and off, key resets and what may go wrong with them, cut-off news, frames that are none."""

import random

import pytest

from shanfu.errors import ConfigError, DecodeError
from shanfu.iso8583 import Message, Value, decode_interbank, encode_interbank
from shanfu.links import Inbound, Kind
from shanfu.network import NetworkConfig, list_members
from tests.budget import examples
from tests.network.switch import HARBOUR, NETWORK, Switch, sealed


def ready(switch: Switch, station: str) -> bool:
    return next(bool(member.ready) for member in list_members(switch.store) if member.station == station)


def test_the_whole_sign_on(quiet: Switch) -> None:
    peer = quiet.issuer
    quiet.news(peer, Kind.UP)
    ask = quiet.management(peer, "001")
    answer, mak = quiet.send(peer, ask)
    assert answer.fields == {**ask.copy(7, 11, 33, 70), 39: "00"}
    assert (mak.text(33), mak.text(53), mak.text(70), 128 in mak) == (NETWORK, "2600000000000000", "101", True)
    [pik] = quiet.send(peer, peer.take_reset(mak))
    assert pik.text(53) == "1600000000000000"
    assert not ready(quiet, peer.station)
    assert quiet.send(peer, peer.take_reset(pik)) == []
    assert ready(quiet, peer.station)


# fmt: off
MANAGEMENT = [
    # what            DE70    odd                        code
    ("sign-on",       "001",  {},                        "00"),
    ("sign-off",      "002",  {},                        "00"),
    ("line test",     "301",  {},                        "00"),
    ("cut-off",       "201",  {},                        "12"),
    ("unknown",       "777",  {},                        "12"),
    ("another's",     "001",  {"f33": HARBOUR},          "58"),
]
# fmt: on


@pytest.mark.parametrize(("what", "code", "odd", "answered"), MANAGEMENT, ids=[row[0] for row in MANAGEMENT])
def test_management(switch: Switch, what: str, code: str, odd: dict[str, str], answered: str) -> None:
    request = switch.management(switch.acquirer, code, **odd)
    reply = switch.send(switch.acquirer, request)[0]
    assert reply.fields == {**request.copy(7, 11, 33, 70), 39: answered}


@pytest.mark.parametrize("missing", [7, 11, 33, 70])
def test_management_without_a_field_is_30(switch: Switch, missing: int) -> None:
    request = switch.management(switch.acquirer, "301")
    del request.fields[missing]
    assert switch.ask(switch.acquirer, request).text(39) == "30"


def test_a_stranger_is_no_member(switch: Switch) -> None:
    switch.acquirer.station = "12345678"
    switch.peers["12345678"] = switch.acquirer
    assert switch.ask(switch.acquirer, switch.management(switch.acquirer, "001")).text(39) == "58"
    assert switch.ask(switch.acquirer, switch.purchase()).text(39) == "91"


def test_a_reset_that_nobody_answers_comes_again_as_it_was(quiet: Switch) -> None:
    _, mak = quiet.send(quiet.issuer, quiet.management(quiet.issuer, "001"))
    quiet.tick(9_999)
    assert quiet.inbox(quiet.issuer) == []
    quiet.tick(1)
    [again] = quiet.inbox(quiet.issuer)
    assert again.fields == mak.fields
    quiet.news(quiet.issuer, Kind.DOWN)
    quiet.tick(60_000)
    assert quiet.inbox(quiet.issuer) == []


def test_a_refused_reset_comes_again(quiet: Switch) -> None:
    _, mak = quiet.send(quiet.issuer, quiet.management(quiet.issuer, "001"))
    refusal = Message("0810", {**mak.copy(7, 11, 33, 53, 70), 39: "A7"})
    assert quiet.send(quiet.issuer, refusal) == []
    quiet.tick(10_000)
    assert len(quiet.inbox(quiet.issuer)) == 1


def confirmation(switch: Switch, mak: Message, **odd: Value) -> Message:
    fields = {**mak.copy(7, 11, 33, 53, 70), 39: "00"} | {int(name[1:]): value for name, value in odd.items()}
    return Message("0810", fields)


def test_a_confirmation_must_be_under_the_new_key(switch: Switch) -> None:
    peer = switch.acquirer
    _, mak = switch.send(peer, switch.management(peer, "001"))
    assert switch.send(peer, confirmation(switch, mak)) == []  # still under the old MAK
    switch.tick(10_000)
    [again] = switch.inbox(peer)
    [pik] = switch.send(peer, peer.take_reset(again))
    assert pik.text(53)[0] == "1"


def test_a_confirmation_of_another_reset_is_dropped(switch: Switch) -> None:
    peer = switch.acquirer
    _, mak = switch.send(peer, switch.management(peer, "001"))
    reply = peer.take_reset(mak)
    reply.fields[11] = "999999"
    assert switch.send(peer, reply) == []


def test_old_and_new_keys_are_good_in_the_switch_over_window(switch: Switch) -> None:
    peer = switch.acquirer
    switch.sign_on(peer)
    old = peer.old_mak
    assert old

    def under_old() -> str:
        frame = sealed(peer.hsm, peer.frame(switch.purchase(pan="4000000000000002", f35=None)), old)
        peer.got.clear()
        switch.turn((peer, frame))
        return peer.got[-1].text(39)

    assert under_old() == "15"
    switch.clock.advance(299_000)
    assert under_old() == "15"
    switch.clock.advance(1_000)
    assert under_old() == "A0"
    assert switch.ask(peer, switch.purchase(pan="4000000000000002", f35=None)).text(39) == "15"


def test_a_new_key_that_is_not_yet_confirmed_is_good_too(switch: Switch) -> None:
    peer = switch.acquirer
    _, mak = switch.send(peer, switch.management(peer, "001"))
    peer.take_reset(mak)  # installed, but its confirmation is lost
    assert switch.forwarded(switch.purchase()).mti == "0200"


def test_signing_on_again_does_not_interrupt(switch: Switch) -> None:
    asked = switch.forwarded(switch.purchase(pin=True))
    _, mak = switch.send(switch.issuer, switch.management(switch.issuer, "001"))
    [pik] = switch.send(switch.issuer, switch.issuer.take_reset(mak))
    answered = switch.issuer.answer(asked)
    switch.acquirer.got.clear()
    switch.turn(
        (switch.issuer, switch.issuer.seal(switch.issuer.take_reset(pik))), (switch.issuer, switch.issuer.seal(answered))
    )
    assert [reply.text(39) for reply in switch.inbox(switch.acquirer)] == ["00"]


def test_a_reset_and_a_payment_under_its_key_in_one_batch(switch: Switch) -> None:
    peer = switch.acquirer
    _, mak = switch.send(peer, switch.management(peer, "001"))
    confirmed = peer.take_reset(mak)
    switch.issuer.got.clear()
    switch.turn((peer, peer.seal(confirmed)), (peer, peer.seal(switch.purchase())))
    assert [message.mti for message in switch.inbox(switch.issuer)] == ["0200"]


def test_after_a_restart_everybody_signs_on_anew(switch: Switch) -> None:
    switch.start()
    assert switch.ask(switch.acquirer, switch.purchase()).text(39) == "91"
    switch.sign_on(switch.acquirer)
    assert switch.ask(switch.acquirer, switch.purchase()).text(39) == "91"  # the issuer has not
    switch.sign_on(switch.issuer)
    assert switch.forwarded(switch.purchase()).mti == "0200"


# -- frames that are none ------------------------------------------------------------------------------------------------


def test_a_frame_that_does_not_parse_goes_back_rejected(switch: Switch) -> None:
    frame = bytearray(switch.acquirer.seal(switch.purchase()))
    frame[54] ^= 0x01  # the bitmap announces another field
    good = switch.acquirer.seal(switch.purchase(pan="4000000000000002", f35=None))
    switch.acquirer.frames.clear()
    switch.turn((switch.acquirer, bytes(frame)), (switch.acquirer, good))
    back, reply = switch.acquirer.frames
    assert back[:45] + back[50:] == bytes(frame[:45] + frame[50:])
    assert back[45:50] == b"00030"
    assert decode_interbank(reply).message.text(39) == "15"


@pytest.mark.parametrize("frame", [b"", b"0000", b"GET / HTTP/1.1\r\n\r\n", bytes(200)], ids=["empty", "idle", "web", "zeros"])
def test_noise_is_told_and_dropped(switch: Switch, frame: bytes) -> None:
    switch.acquirer.frames.clear()
    switch.turn((switch.acquirer, frame))
    assert switch.acquirer.frames == []
    assert "FORMAT" in switch.reasons()


def test_flipped_bits_never_spoil_a_turn(switch: Switch) -> None:
    asked = switch.forwarded(switch.purchase(pin=True))
    good = [
        (switch.acquirer, switch.acquirer.seal(message))
        for message in (switch.purchase(pin=True), switch.reversal(asked), switch.management(switch.acquirer, "301"))
    ] + [(switch.issuer, switch.issuer.seal(switch.issuer.answer(asked)))]
    chance = random.Random(20260105)
    for _ in range(examples(300, heavy=20_000)):
        peer, frame = chance.choice(good)
        spoilt = bytearray(frame)
        for _ in range(chance.choice((1, 1, 1, 3))):
            spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
        switch.turn((peer, bytes(spoilt[: chance.choice((len(spoilt), chance.randrange(len(spoilt))))])))
    assert switch.worker.tally.refused == 0


@pytest.mark.parametrize("mti", ["0100", "0120", "0240", "0400", "0500", "0620", "0630", "0800", "0820"])
def test_other_kinds_are_answered_12_or_dropped(switch: Switch, mti: str) -> None:
    message = switch.purchase()
    message.mti = mti
    switch.acquirer.got.clear()
    switch.turn((switch.acquirer, encode_interbank(switch.acquirer.frame(message))))
    codes = [reply.text(39) for reply in switch.inbox(switch.acquirer)]
    assert codes in ([], ["12"], ["30"], ["A0"])
    assert codes != [] or mti in ("0240", "0630")  # notifications and answers take none


@pytest.mark.parametrize("mti", [f"0{kind}{function}0" for kind in range(1, 9) for function in range(10)])
def test_a_kind_without_a_mac_spoils_no_batch_and_can_be_refused(switch: Switch, mti: str) -> None:
    odd = switch.purchase()
    odd.mti, odd.fields[128] = mti, "00000000"
    frame = encode_interbank(switch.acquirer.frame(odd))
    switch.turn((switch.acquirer, frame))
    assert switch.worker.tally.refused == 0
    for fault in (DecodeError("bad"), RuntimeError("broken")):
        turn = switch.host.refuse(Inbound(switch.acquirer.station, frame), fault, switch.clock.now_ms())
        assert [decode_interbank(out.frame).message.text(39) for out in turn.outbound] in ([], ["30"], ["96"])


def test_a_refusal_of_the_loop_is_96_and_authentic(switch: Switch) -> None:
    request = switch.purchase()
    frame = switch.acquirer.seal(request)
    switch.ask(switch.acquirer, switch.purchase(pan="4000000000000002", f35=None))
    turn = switch.host.refuse(Inbound(switch.acquirer.station, frame), RuntimeError("x"), switch.clock.now_ms())
    reply = decode_interbank(turn.outbound[0].frame).message
    assert (reply.text(39), switch.acquirer.right(reply)) == ("96", True)
    assert switch.host.refuse(Inbound(switch.acquirer.station, kind=Kind.UP), RuntimeError("x"), 0).outbound == []


# -- configuration -------------------------------------------------------------------------------------------------------

# fmt: off
WRONG = [
    ({"institution": "1"},                      "has 8 digits"),
    ({"timeout_ms": 20_000},                    "longer than the issuer's"),
    ({"issuer_timeout_ms": 30_000},             "longer than the issuer's"),
    ({"time_out_ms": 1},                        "did you mean 'timeout_ms'"),
    ({"cut_off": "24:00"},                      "a time like 23:00"),
    ({"cut_off": 23},                           "must be str"),
    ({"retry_ms": []},                          "pauses of 1 or more"),
    ({"retry_ms": [0]},                         "pauses of 1 or more"),
    ({"refusals_most": 0},                      "must be 1 or more"),
    ({"buckets": "1"},                          "must be int"),
]
# fmt: on


@pytest.mark.parametrize(("table", "words"), WRONG, ids=[next(iter(row[0])) for row in WRONG])
def test_settings_that_make_no_sense_are_refused(table: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        NetworkConfig.load(table)


def test_settings_are_read() -> None:
    config = NetworkConfig.load({"cut_off": "22:30", "retry_ms": [1, 2], "timeout_ms": 25_000})
    assert (config.cut_off_minute, [config.pause_ms(n) for n in (1, 2, 3)]) == (22 * 60 + 30, [1, 2, 2])
