"""Making phones known, opening sessions, and everything that is turned away at the gate."""

import pytest
from msgspec import Raw, structs

from shanfu.cloud import CloudConfig, block_device, list_devices, unblock_device
from shanfu.crypto import P256Key
from shanfu.errors import ConfigError
from shanfu.links import Inbound
from shanfu.messages import Call, Problem, Reply, decoded, encoded, pack, wallet
from tests.cloud.service import TRID
from tests.cloud.world import HARBOUR, MINUTE_MS, Phone, World, answer_of, said, send_all

SM2_POINT = (  # the generator of SM2's curve (GB/T 32918.5)
    "0432c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"
    "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"
)


# fmt: off
INFOS = [  # what the phone says of itself            what it hears
    ({},                                              "Enrolled"),
    ({"os_version": "4.4"},                           "Enrolled"),
    ({"os_version": "4.4.2"},                         "Enrolled"),
    ({"os_version": "10"},                            "Enrolled"),
    ({"app": HARBOUR},                                "Enrolled"),
    ({"nfc": False},                                  "nfc-missing NFC_MISSING"),
    ({"os_version": "4.3"},                           "os-too-old OS_TOO_OLD"),
    ({"os_version": "4"},                             "os-too-old OS_TOO_OLD"),
    ({"os_version": "new"},                           "os-too-old OS_TOO_OLD"),
    ({"os": "ios"},                                   "os-too-old OS_TOO_OLD"),
    ({"app": "example.nobody"},                       "refused APP_UNKNOWN"),
    ({"nfc": False, "os_version": "2.3"},             "nfc-missing NFC_MISSING"),
]
# fmt: on


@pytest.mark.parametrize(("info", "heard"), INFOS)
def test_which_phones_may_enrol(world: World, info: dict[str, object], heard: str) -> None:
    assert said(world.phone(**info).enrol()) == heard
    assert len(list_devices(world.store)) == (heard == "Enrolled")


# fmt: off
KEYS = [  # the key it brings                        what it hears
    ("",                                              "format KEY_NOT_POINT"),
    ("zz",                                            "format KEY_NOT_POINT"),
    ("04" + "11" * 64,                                "format KEY_NOT_POINT"),
    ("02" + "11" * 32,                                "format KEY_NOT_POINT"),
    (SM2_POINT,                                       "refused SM2_NOT_TAKEN"),
]
# fmt: on


@pytest.mark.parametrize("which", ["sign_key", "wrap_key"])
@pytest.mark.parametrize(("key", "heard"), KEYS)
def test_which_keys_may_be_brought(world: World, which: str, key: str, heard: str) -> None:
    phone = world.phone()
    assert said(phone.enrol(phone.enrolment(**{which: key}))) == heard


def test_enrolling_again_is_the_same_device(world: World) -> None:
    phone = world.phone()
    first = phone.enrol()
    assert phone.enrol() == first
    again = structs.replace(phone.enrolment(), info=structs.replace(phone.info, os_version="15"))
    assert phone.enrol(again) == first
    assert [line.os_version for line in list_devices(world.store)] == ["15"]
    assert list_devices(world.store)[0].trid == TRID
    other = structs.replace(again, wrap_key=P256Key.generate().point.hex())
    assert said(phone.enrol(other)) == "conflict KEYS_DIFFER"


# fmt: off
ATTESTED = [  # by whom             rule       what it hears                             limits
    ("the attester",               "lower",   "Enrolled",                                0),
    ("nobody",                     "lower",   "Enrolled",                                1),
    ("somebody",                   "lower",   "Enrolled",                                1),
    ("unknown format",             "lower",   "Enrolled",                                1),
    ("the attester",               "require", "Enrolled",                                0),
    ("nobody",                     "require", "attestation-refused ATTESTATION_ABSENT",  0),
    ("somebody",                   "require", "attestation-refused ATTESTATION_WRONG",   0),
    ("another's",                  "require", "attestation-refused ATTESTATION_WRONG",   0),
    ("unknown format",             "require", "attestation-refused ATTESTATION_UNKNOWN", 0),
]
# fmt: on


@pytest.mark.parametrize(("by", "rule", "heard", "lowered"), ATTESTED)
def test_attestation_costs_limits_or_the_enrolment(tmp_path, by: str, rule: str, heard: str, lowered: int) -> None:
    attester = P256Key.generate()
    world = World(tmp_path, CloudConfig(attestation=rule, attestation_key=attester.point.hex()))
    phone = world.phone()
    if by == "another's":
        asked = phone.enrolment(attestation=world.phone().enrolment(attester).attestation)
    elif by == "unknown format":
        asked = phone.enrolment(attestation=wallet.Attestation(format="moon", statement="00"))
    else:
        asked = phone.enrolment({"the attester": attester, "somebody": P256Key.generate()}.get(by))
    answer = phone.enrol(asked)
    assert said(answer) == heard
    if isinstance(answer, wallet.Enrolled):
        assert len(answer.lowered) == lowered
        phone.open()
        phone.login()
        phone.add()
        phone.replenish()
        assert world.asked("tsp.keys.issue")[0].lowered is bool(lowered)
        request = world.asked("tsp.request")[0]
        assert (request.attested, request.storage) == ((True, "04") if not lowered else (False, "01"))
        assert request.colour.value == ("ORANGE" if by == "somebody" else "GREEN")
    world.close()


def test_requiring_attestation_needs_somebody_who_vouches() -> None:
    with pytest.raises(ConfigError, match="attestation_key"):
        CloudConfig.load({"attestation": "require"})


# -- the gate ----------------------------------------------------------------------------------------------------------


# fmt: off
STANDING_ALONE = [  # what is wrong with a call outside a session   what it hears
    ({"time_ms": -6 * MINUTE_MS},                                   "stale CLOCK_WRONG"),
    ({"time_ms": 6 * MINUTE_MS},                                    "stale CLOCK_WRONG"),
    ({"time_ms": -4 * MINUTE_MS},                                   ""),
    ({"time_ms": 4 * MINUTE_MS},                                    ""),
    ({"nonce": ""},                                                 "stale NONCE_USED"),
    ({"nonce": "abc"},                                              "stale NONCE_USED"),
    ({"nonce": "short"},                                            "format NAMES_MALFORMED"),
    ({"nonce": "0" * 65},                                           "format NAMES_MALFORMED"),
]
# fmt: on


@pytest.mark.parametrize("op", ["devices.enrol", "sessions.open"])
@pytest.mark.parametrize(("wrong", "heard"), STANDING_ALONE)
def test_a_call_outside_a_session_is_fresh(world: World, op: str, wrong: dict, heard: str) -> None:
    phone = world.phone()
    given = {name: value + world.clock.now_ms() if name == "time_ms" else value for name, value in wrong.items()}
    if op == "devices.enrol":
        assert said(phone.enrol(**given)) == (heard or "Enrolled")
    else:
        phone.enrol()
        assert said(phone.open(**given)) == (heard or "SessionOpened")


def test_a_nonce_passes_once(world: World) -> None:
    phone = world.phone()
    call = phone.fresh("devices.enrol", phone.enrolment())
    first, second = phone.send(call), phone.send(call)
    assert (first.ok, said(answer_of(call.op, second))) == (True, "stale NONCE_USED")
    assert [said(answer_of(call.op, reply)) for reply in phone.send_all([phone.fresh("devices.enrol", phone.enrolment())] * 2)]
    world.settle(11 * MINUTE_MS)
    assert said(answer_of(call.op, phone.send(call))) == "stale CLOCK_WRONG"  # the nonce is forgotten, the time is not


def test_an_enrolment_is_signed_by_the_key_it_brings(world: World) -> None:
    phone = world.phone()
    call = phone.fresh("devices.enrol", phone.enrolment(), by=P256Key.generate())
    assert said(answer_of(call.op, phone.send(call))) == "signature-wrong SIGNATURE_WRONG"
    assert list_devices(world.store) == []


# fmt: off
IN_SESSION = [  # what is changed after signing, or before       what it hears
    ("another signer",                                           "signature-wrong SIGNATURE_WRONG"),
    ("no signature",                                             "signature-wrong SIGNATURE_WRONG"),
    ("the signature in capitals",                                "signature-wrong SIGNATURE_WRONG"),
    ("another counter",                                          "signature-wrong SIGNATURE_WRONG"),
    ("another key",                                              "signature-wrong SIGNATURE_WRONG"),
    ("another operation",                                        "signature-wrong SIGNATURE_WRONG"),
    ("another body",                                             "signature-wrong SIGNATURE_WRONG"),
    ("the same counter",                                         "stale COUNTER_USED"),
    ("an older counter",                                         "stale COUNTER_USED"),
    ("a counter beyond all",                                     "stale COUNTER_USED"),
    ("a key with a control character",                           "format NAMES_MALFORMED"),
    ("a device with a control character",                        "format NAMES_MALFORMED"),
    ("a session with a control character",                       "format NAMES_MALFORMED"),
    ("a nonce with a control character",                         "format NAMES_MALFORMED"),
    ("no device",                                                "format CALL_UNSIGNED"),
    ("unknown device",                                           "device-unknown DEVICE_UNKNOWN"),
    ("unknown session",                                          "session-gone SESSION_OVER"),
    ("no session",                                               "session-gone SESSION_OVER"),
    ("sealed for another call",                                  "format BODY_UNREADABLE"),
    ("body in the clear",                                        "format BODY_UNREADABLE"),
    ("body of no sense",                                         "format BODY_UNREADABLE"),
    ("empty sealed body",                                        "format BODY_UNREADABLE"),
]
# fmt: on


def spoilt(phone: Phone, how: str):
    """A call of a session with one thing wrong."""
    asked = wallet.NewsAsked()
    call = phone.call("news.take", asked)
    device = call.device
    resigned = {
        "the same counter": lambda: structs.replace(call, device=structs.replace(device, counter=phone.counter - 1)),
        "an older counter": lambda: structs.replace(call, device=structs.replace(device, counter=-5)),
        "a counter beyond all": lambda: structs.replace(call, device=structs.replace(device, counter=2**53)),
        "a key with a control character": lambda: structs.replace(call, key="a\1"),
        "a device with a control character": lambda: structs.replace(call, device=structs.replace(device, device="a\1")),
        "a session with a control character": lambda: structs.replace(call, device=structs.replace(device, session="a\1")),
        "a nonce with a control character": lambda: structs.replace(call, device=structs.replace(device, nonce="a\1")),
        "unknown device": lambda: structs.replace(call, device=structs.replace(device, device="0" * 32)),
        "unknown session": lambda: structs.replace(call, device=structs.replace(device, session="0" * 32)),
        "no session": lambda: structs.replace(call, device=structs.replace(device, session="")),
        "sealed for another call": lambda: structs.replace(call, body=phone.call("transactions.list", asked).body),
        "body in the clear": lambda: structs.replace(call, body=encoded(asked)),
        "body of no sense": lambda: structs.replace(call, body=encoded(wallet.Sealed(sealed="zz"))),
        "empty sealed body": lambda: structs.replace(call, body=encoded(wallet.Sealed(sealed=""))),
    }
    unsigned = {
        "another signer": lambda: phone.signed(call, P256Key.generate()),
        "no signature": lambda: structs.replace(call, device=structs.replace(device, signature="")),
        "the signature in capitals": lambda: structs.replace(
            call, device=structs.replace(device, signature=device.signature.upper())
        ),
        "another counter": lambda: structs.replace(call, device=structs.replace(device, counter=99)),
        "another key": lambda: structs.replace(call, key="other"),
        "another operation": lambda: structs.replace(call, op="transactions.list"),
        "another body": lambda: structs.replace(call, body=encoded(wallet.Sealed(sealed="00" * 40))),
        "no device": lambda: structs.replace(call, device=None),
    }
    return phone.signed(resigned[how](), phone.sign) if how in resigned else unsigned[how]()


@pytest.mark.parametrize(("how", "heard"), IN_SESSION)
def test_what_is_turned_away_in_a_session(world: World, phone: Phone, how: str, heard: str) -> None:
    phone.news()
    before, counter = len(world.service.asked), phone.counter
    call = spoilt(phone, how)
    reply = phone.send(call)
    assert said(answer_of(call.op, reply)) == heard
    assert len(world.service.asked) == before
    events = [event for event in world.told.events if event.title.startswith("turned")]
    assert events[-1].reason == heard.rsplit(maxsplit=1)[-1]
    phone.counter = counter
    assert phone.news().tokens  # nothing was changed, not even the counter


def test_one_wrong_call_spoils_no_other(world: World) -> None:
    """Four phones in one turn: a wrong signature, a wrong body, an old counter; the fourth is served."""
    good, *others = [world.phone() for _ in range(4)]
    for phone in (good, *others):
        phone.enrol()
        phone.open()
        phone.news()
    calls = [(good, good.call("news.take", wallet.NewsAsked()))]
    calls += [
        (phone, spoilt(phone, how))
        for phone, how in zip(others, ["no signature", "sealed for another call", "the same counter"], strict=True)
    ]
    replies = send_all(calls)
    assert [reply.status for reply in replies] == [200, 401, 400, 401]


def test_a_counter_passes_once_in_one_turn(phone: Phone) -> None:
    call = phone.call("news.take", wallet.NewsAsked())
    other = structs.replace(call, id="other")
    first, second = phone.send_all([call, other])
    assert (first.status, said(answer_of(call.op, second))) == (200, "stale COUNTER_USED")


def test_a_session_ends(world: World, phone: Phone) -> None:
    world.clock.advance(15 * MINUTE_MS)
    assert said(phone.ask("news.take", wallet.NewsAsked())) == "session-gone SESSION_OVER"
    phone.open()
    old_key, old_session, old_counter = phone.key, phone.session, phone.counter
    phone.open()
    phone.key, phone.session, phone.counter = old_key, old_session, old_counter
    assert said(phone.ask("news.take", wallet.NewsAsked())) == "session-gone SESSION_OVER"  # another took its place


def test_a_session_is_its_devices(world: World, phone: Phone) -> None:
    other = world.phone()
    other.enrol()
    other.key, other.session = phone.key, phone.session
    other.counter = phone.counter
    assert said(other.ask("news.take", wallet.NewsAsked())) == "session-gone SESSION_OVER"


def test_opening_a_session_needs_a_known_device_and_a_point(world: World) -> None:
    phone = world.phone()
    assert said(phone.open(device="abcd")) == "device-unknown DEVICE_UNKNOWN"
    phone.enrol()
    asked = wallet.OpenSession(device=phone.device, ephemeral="04" + "00" * 64)
    assert said(answer_of("sessions.open", phone.send(phone.fresh("sessions.open", asked)))) == "format KEY_NOT_POINT"
    asked = wallet.OpenSession(device="0" * 32, ephemeral=P256Key.generate().point.hex())
    heard = said(answer_of("sessions.open", phone.send(phone.fresh("sessions.open", asked))))
    assert heard == "device-unknown DEVICE_UNKNOWN"


def test_a_blocked_phone_is_not_served(world: World, phone: Phone) -> None:
    block_device(world.store, phone.device)
    assert said(phone.ask("news.take", wallet.NewsAsked())) == "forbidden DEVICE_BLOCKED"
    assert said(phone.open()) == said(phone.enrol()) == "forbidden DEVICE_BLOCKED"
    unblock_device(world.store, phone.device)
    assert said(phone.open()) == "SessionOpened"


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"0010ABCDEFGHIJ", id="interbank"),
        pytest.param(pack(Reply(id="ask/cloud/1")), id="a reply to nothing"),
        pytest.param((3).to_bytes(4) + b"[1]", id="no object"),
        pytest.param(
            (60).to_bytes(4) + b'{"id":"1","op":"news.take","device":{"counter":"x","bogus":1}}'[:60], id="bad device"
        ),
        pytest.param((26).to_bytes(4) + b'{"id":"1","op":"tsp.login"}'[:26], id="cut"),
    ],
)
def test_strange_frames_change_nothing(world: World, frame: bytes) -> None:
    world.net.worker("cloud").turn([Inbound("http/9", frame)])
    assert world.net.worker("cloud").tally.refused == 0
    assert list_devices(world.store) == []


# fmt: off
STRANGERS = [  # operation            caller on the wire         what it hears
    ("notices.take",                  "tsp/90100000",            "forbidden"),
    ("notices.take",                  "",                        "forbidden"),
    ("tsp.login",                     "requestor/90100000001",   "unknown-operation"),
    ("moon.walk",                     "",                        "unknown-operation"),
    ("news.take",                     "device/someone",          "format CALL_UNSIGNED"),
    ("devices.enrol",                 "device/someone",          "format CALL_UNSIGNED"),
]
# fmt: on


@pytest.mark.parametrize(("op", "caller", "heard"), STRANGERS)
def test_strangers_may_ask_nothing(world: World, op: str, caller: str, heard: str) -> None:
    phone = world.phone()
    reply = phone.send(Call(id="1", op=op, caller=caller, body=Raw(b"{}")))
    assert said(decoded(reply.body, Problem, path=op)) == heard


def test_device_words_have_a_bounded_length(world: World) -> None:
    phone = world.phone(name="x\1" * 10_000, model="y\1" * 10_000)
    phone.enrol()
    assert list_devices(world.store)[0].model == "y" * 64
