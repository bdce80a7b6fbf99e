"""Phones that lie, phones that were copied: each is refused for its own reason, and whoever watches is told of the risk."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from shanfu.wallet import Reason, Refused
from tests.journeys.pockets import Loot, Street, add, only, said

CRYPTOGRAM = 0x9F26
FLIPPED = {CRYPTOGRAM: bytes(7) + b"\x01"}


@dataclass
class Scene:
    """A phone with ten fresh uses whose owner has kept its keys; `next` is the number that its next use would have."""

    street: Street
    loot: Loot
    wave: Callable[[], str]

    @property
    def next(self) -> int:
        return self.loot.terms.atc_first

    def tap(self, atc: int, **more) -> str:
        return said(self.street.wave(self.loot.card(atc, **more), amount="1.00"))


def exhausted(scene: Scene) -> str:
    """Ten honest uses, and an eleventh with the first one's key and the next number of the set that is left: none."""
    assert [scene.wave() for _ in range(10)] == ["approved"] * 10
    return scene.tap(scene.loot.terms.atc_last + 1)


def too_old(scene: Scene) -> str:
    scene.street.clock.advance(scene.loot.terms.expires_ms - scene.street.clock.now_ms() + 1)
    return scene.tap(scene.next)


def replayed(scene: Scene) -> str:
    assert scene.tap(scene.next) == "approved"
    return scene.tap(scene.next)


def too_late(scene: Scene) -> str:
    assert scene.tap(scene.next + 3) == "approved"
    return scene.tap(scene.next + 2)


def too_far(scene: Scene) -> str:
    return scene.tap(scene.next + 50)


def beyond_its_set(scene: Scene) -> str:
    return scene.tap(scene.loot.terms.atc_last + 1)


def flipped(scene: Scene) -> str:
    return scene.tap(scene.next, lie=FLIPPED)


def wrong_amount(scene: Scene) -> str:
    """The phone signs for one fen what the terminal asks a yuan for."""
    return scene.tap(scene.next, sign={0x9F02: bytes.fromhex("000000000001")})


def wrong_terminal(scene: Scene) -> str:
    """A cryptogram that was made elsewhere: over another unpredictable number."""
    return scene.tap(scene.next, sign={0x9F37: bytes(4)})


def nobodys_key(scene: Scene) -> str:
    return scene.tap(scene.next, index="9999999")


# fmt: off
LIES = [  # what the phone does, DE39, the token service's reason
  (exhausted,      "65", "KEY_EXHAUSTED"),
  (too_old,        "65", "KEY_EXHAUSTED"),
  (replayed,       "59", "ATC_OUT_OF_WINDOW"),
  (too_late,       "59", "ATC_OUT_OF_WINDOW"),
  (too_far,        "59", "ATC_OUT_OF_WINDOW"),
  (beyond_its_set, "59", "KEY_UNKNOWN"),
  (nobodys_key,    "59", "KEY_UNKNOWN"),
  (flipped,        "59", "CRYPTOGRAM_WRONG"),
  (wrong_amount,   "59", "CRYPTOGRAM_WRONG"),
  (wrong_terminal, "59", "CRYPTOGRAM_WRONG"),
]
# fmt: on


@pytest.mark.parametrize(("lie", "code", "reason"), LIES)
def test_a_modified_phone_is_refused(street: Street, *, lie: Callable[[Scene], str], code: str, reason: str) -> None:
    opening = street.available()
    with street.pocket() as holder:
        token = only(holder)
        scene = Scene(street, Loot(holder.phone, token), lambda: said(street.wave(holder.phone, amount="1.00")))
        assert (lie(scene), street.last_reason(token)) == (code, reason)
    assert any(event.reason == reason for event in street.told()), "the risk is told"
    street.judge(opening, forged=True)


def test_the_bank_never_hears_of_a_lie(street: Street) -> None:
    with street.pocket() as holder:
        scene = Scene(street, Loot(holder.phone, only(holder)), lambda: "")
        before = len(street.frames)
        assert flipped(scene) == "59"
    assert not any(one.target.startswith("issuer-") for one in street.frames[before:])


# -- copies ------------------------------------------------------------------------------------------------------------


def test_a_copied_folder_pays_nowhere(street: Street) -> None:
    """The second phone has a chip of its own: what lies in the copied storage is nothing to it."""
    opening = street.available()
    phones = street.world.folder / "phones"
    shutil.copyfile(phones / "phone.mem", phones / "second.mem")
    with street.pocket("second") as thief:
        assert thief.phone.trouble is Reason.FOREIGN_STORAGE
        assert not street.wave(thief.phone).approved
        assert thief.phone.shown[-1].reason is Reason.FOREIGN_STORAGE
        assert thief.do(thief.app.open()) == Refused(reason=Reason.FOREIGN_STORAGE)
    with street.pocket() as holder:
        assert said(street.wave(holder.phone)) == "approved", "its owner notices nothing"
    street.judge(opening)


def test_a_phone_that_was_rolled_back_pays_no_more_until_it_is_set_up_anew(street: Street) -> None:
    opening, storage = street.available(), street.world.folder / "phones" / "phone.mem"
    yesterday = storage.read_bytes()
    with street.pocket() as holder:
        for _ in range(3):
            assert said(street.wave(holder.phone)) == "approved"
    today = storage.read_bytes()
    for content in (yesterday, today):  # the right one again does not make it forget
        storage.write_bytes(content)
        with street.pocket() as holder:
            assert not street.wave(holder.phone).approved
            assert holder.phone.shown[-1].reason is Reason.ROLLED_BACK
            assert holder.do(holder.app.open()) == Refused(reason=Reason.ROLLED_BACK)
    with street.pocket() as holder:
        holder.phone.reset()
        add(holder, "debit")
        assert said(street.wave(holder.phone)) == "approved"
    street.judge(opening)


def test_a_copy_with_its_chip_is_found_out_by_its_taps(street: Street) -> None:
    """Storage and key store copied together pay with the same numbers: each number pays once, and the next refresh tells."""
    opening = street.available()
    for room in ("phones", "keystores"):
        folder = street.world.folder / room
        shutil.copyfile(folder / "phone.mem", folder / "second.mem")
    with street.pocket("second") as thief:
        assert said(street.wave(thief.phone, amount="3.00")) == "approved"
    with street.pocket() as holder:
        token = only(holder)
        assert said(street.wave(holder.phone, amount="2.00")) == "59"
        assert street.last_reason(token) == "ATC_OUT_OF_WINDOW"
        for _ in range(9):
            street.wave(holder.phone, amount="2.00")
        done = street.opened(holder)
        assert done.replenished == ()
        [(refused, why)] = done.refused
        assert refused == token
        assert why.problem is not None
        assert why.problem.reason == "CLONE_SUSPECTED"
        street.opened(holder)
        assert not street.wave(holder.phone).approved
    street.drain()
    assert street.case(token).token.reason == "CLONE_SUSPECTED"
    with street.pocket("second") as thief:
        assert said(street.wave(thief.phone, amount="3.00")) in {"59", "62"}
    street.judge(opening, forged=True)
