"""Key sets: issued once, repeated identically, opened by one phone only, and never asked for too often."""

import pytest
from msgspec import structs

from shanfu.cloud import list_key_sets
from shanfu.crypto import P256Key, unwrap_secret
from shanfu.errors import IntegrityError
from shanfu.messages import Actor, Empty, ProblemCode, TokenState, UseReport, decoded, problem, wallet
from shanfu.tokens import KeyScheme
from tests.cloud.service import NUMBERS, USES
from tests.cloud.world import HOUR_MS, Phone, World, expected_keys, said


@pytest.mark.parametrize("scheme", list(KeyScheme))
def test_a_set_holds_the_keys_of_its_scheme(world: World, phone: Phone, scheme: KeyScheme) -> None:
    world.service.scheme = scheme
    got = phone.replenish()
    assert isinstance(got, wallet.KeySet)
    assert got.terms == world.service.sets[phone.token, 1]
    assert phone.keys(got) == expected_keys(phone.token, got.terms)
    assert len(phone.keys(got)) == 16 * (USES if scheme is KeyScheme.SUK else 1)


def test_nobody_else_opens_a_set(phone: Phone) -> None:
    got = phone.replenish()
    for key, context in (
        (P256Key.generate(), f"keys/{got.token}/{got.terms.index}/1"),
        (phone.wrap, f"keys/{got.token}/{got.terms.index}/2"),
    ):
        with pytest.raises(IntegrityError):
            unwrap_secret(key, bytes.fromhex(got.wrapped), context=context.encode())


def test_the_same_number_gets_the_same_bytes(world: World, phone: Phone) -> None:
    first = phone.replenish()
    assert phone.replenish() == first
    phone.open()
    assert phone.replenish(key="again") == first
    assert phone.replenish(key="again") == first
    assert len(world.asked("tsp.keys.issue")) == 1


def test_two_phones_never_share_a_set(world: World, phone: Phone) -> None:
    other = world.phone()
    other.enrol()
    other.open()
    assert said(other.replenish(token=phone.token)) == "not-found TOKEN_UNKNOWN"
    assert said(other.ask("keys.confirm", wallet.ConfirmKeys(token=phone.token, sequence=1))) == "not-found TOKEN_UNKNOWN"
    assert world.asked("tsp.keys.issue") == []


def test_asking_twice_at_once_gives_one_set(world: World, phone: Phone) -> None:
    """Both calls are under way before the service has answered either."""
    asked = wallet.ReplenishKeys(token=phone.token, sequence=1)
    calls = [phone.call("keys.replenish", asked) for _ in range(2)]
    first, second = (phone.opened(call, reply) for call, reply in zip(calls, phone.send_all(calls), strict=True))
    assert first == second
    assert phone.keys(first) == expected_keys(phone.token, first.terms)
    assert len(list_key_sets(world.store, phone.token)) == 1


def test_confirming_tells_the_service_and_lets_older_sets_go(world: World, phone: Phone) -> None:
    phone.replenish(1)
    assert phone.confirm(1) == Empty()
    phone.replenish(2)
    assert phone.replenish(1).terms.sequence == 1  # until the second is confirmed
    assert phone.confirm(2) == Empty()
    assert phone.confirm(2) == Empty()
    assert world.service.confirmed == [(phone.token, 1), (phone.token, 2)]
    assert [line.terms.sequence for line in list_key_sets(world.store, phone.token)] == [2]
    assert said(phone.replenish(1)) == "wrong-state KEY_SET_SUPERSEDED"
    assert said(phone.confirm(7)) == "not-found KEY_SET_UNKNOWN"


# fmt: off
REFUSED_SERVICE = [  # what the service says                                              what the phone hears
    (lambda caller, asked: problem(ProblemCode.WRONG_STATE, reason="ATC_USED_UP"),         "wrong-state ATC_USED_UP"),
    (lambda caller, asked: problem(ProblemCode.TOO_MANY, reason="KEY_SETS", retry_after_s=9), "too-many KEY_SETS"),
    (lambda caller, asked: problem(ProblemCode.UNKNOWN_OPERATION),                         "unknown-operation"),
    (lambda caller, asked: None,                                                           "unavailable"),
    (lambda caller, asked: Empty(),                                                        "unavailable"),
]
# fmt: on


@pytest.mark.parametrize(("say", "heard"), REFUSED_SERVICE)
def test_what_the_service_refuses_is_passed_on(world: World, phone: Phone, say: object, heard: str) -> None:
    world.service.say["tsp.keys.issue"] = say  # type: ignore[assignment]
    assert said(phone.replenish()) == heard
    del world.service.say["tsp.keys.issue"]
    assert said(phone.replenish()) == "KeySet"


@pytest.mark.parametrize("part", ["token", "sequence", "span", "number", "other number", "master key"])
def test_an_answer_that_makes_no_sense_derives_nothing(world: World, phone: Phone, part: str) -> None:
    sound = world.service.keys_issue

    def say(caller: str, asked: object) -> object:
        issued = sound(caller, asked)  # type: ignore[arg-type]
        change = {
            "token": {"token": "f" * 32},
            "sequence": {"terms": structs.replace(issued.terms, sequence=2)},
            "span": {"terms": structs.replace(issued.terms, atc_last=0)},
            "number": {"number": "00" * 44},
            "other number": {"number": world.service.hsm.seal(world.service.numbers_key, [(b"1", b"token/x")])[0].hex()},
            "master key": {"dki": 2},
        }[part]
        return structs.replace(issued, **change)

    world.service.say["tsp.keys.issue"] = say  # type: ignore[assignment]
    reason = "MASTER_KEY_MISSING" if part == "master key" else "SERVICE_NONSENSE"
    assert said(phone.replenish()) == f"unavailable {reason}"
    assert list_key_sets(world.store, phone.token) == []


def test_sets_of_an_hour_are_bounded(world: World, phone: Phone) -> None:
    most = world.config.keys_per_hour
    for sequence in range(1, most + 1):
        assert said(phone.replenish(sequence)) == "KeySet"
    refused = phone.replenish(most + 1)
    assert (said(refused), 0 < refused.retry_after_s <= 3600) == ("too-many KEYS_TOO_OFTEN", True)
    assert said(phone.replenish(most)) == "KeySet"  # a repeat costs nothing
    world.clock.advance(HOUR_MS)
    phone.open()
    assert said(phone.replenish(most + 1)) == "KeySet"


def test_only_an_active_token_gets_keys(world: World, phone: Phone) -> None:
    kept = phone.replenish()
    world.service.tell(
        phone.token, "SUSPEND", reason="CARD_LOST_CALL", state=TokenState.SUSPENDED, suspended_by=(Actor.ISSUER,),
    )  # fmt: skip
    world.settle()
    refused = phone.replenish(2)
    assert said(refused) == "wrong-state SUSPENDED"
    assert "ISSUER" in refused.detail
    assert said(phone.replenish(1)) == "wrong-state SUSPENDED"  # not even those that were issued
    world.service.tell(phone.token, "RESUME", state=TokenState.ACTIVE, suspended_by=())
    world.settle()
    assert phone.replenish(1) == kept


# fmt: off
SENSELESS = [
    {"sequence": 0},
    {"sequence": -1},
    {"sequence": 2**62},
    {"atc": -1},
    {"atc": 65_536},
    {"uses": tuple(UseReport(atc=n, index="6000101", at_ms=0) for n in range(300))},
    {"uses": (UseReport(atc=65_536, index="6000101", at_ms=0),)},
    {"uses": (UseReport(atc=1, index="6000101", at_ms=0, amount=-1),)},
    {"uses": (UseReport(atc=1, index="6000101", at_ms=0, amount=10**12),)},
]
# fmt: on


@pytest.mark.parametrize("change", SENSELESS)
def test_senseless_numbers_are_refused(world: World, phone: Phone, change: dict) -> None:
    asked = structs.replace(wallet.ReplenishKeys(token=phone.token, sequence=1), **change)
    assert said(phone.ask("keys.replenish", asked)) == "format REPORT_MALFORMED"
    assert world.asked("tsp.keys.issue") == []


def test_a_profile_is_wrapped_for_its_phone(phone: Phone) -> None:
    got = phone.ask("tokens.profile", wallet.ProfileAsked(token=phone.token))
    plain = unwrap_secret(phone.wrap, bytes.fromhex(got.wrapped), context=f"profile/{phone.token}".encode())
    profile = decoded(plain, wallet.TokenProfile, path="profile")
    assert (profile.number, profile.psn, profile.phone_cvm, profile.dki) == (NUMBERS[1], "00", "online_pin", 1)


def test_no_number_and_no_key_lies_in_the_books(world: World, phone: Phone) -> None:
    """The token's number and the keys are nowhere in the clear: not in the database, not in what is told."""
    key_set = phone.replenish()
    phone.ask("tokens.profile", wallet.ProfileAsked(token=phone.token))
    secrets = [NUMBERS[1].encode(), phone.keys(key_set), phone.keys(key_set).hex().encode(), b"246810", b"open sesame"]
    files = b"".join(path.read_bytes() for path in world.path.iterdir() if path.is_file())
    told = repr(world.told.events).encode()
    assert [secret for secret in secrets if secret in files + told] == []
