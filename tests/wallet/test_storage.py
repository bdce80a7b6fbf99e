"""Storage that cannot be copied, cut or rolled back: what a phone keeps, through kills at every instant."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.card import Interface
from shanfu.errors import IntegrityError, NotFound, StoreGone, StoreVersion
from shanfu.store import DictMemory, FileMemory, Sealer
from shanfu.tokens import KeyScheme
from shanfu.wallet import DeviceKeyStore, Reason, Refused, Storage, Tampered
from tests.budget import examples
from tests.wallet.bench import APP, Bench, Dead, bench, dying, replace_bench


def reopened(one: Bench, storage: DictMemory | None = None, keystore: DictMemory | None = None) -> Bench:
    """A phone over copies of these memories, with the same cloud."""
    return replace_bench(one, (storage or one.storage).copy(), (keystore or one.keystore).copy())


def use(one: Bench) -> None:
    assert one.tap() == "OK"


# -- the two files -----------------------------------------------------------------------------------------------------


def test_a_copied_folder_without_its_key_store_is_worth_nothing() -> None:
    one = bench().enrolled()
    thief = reopened(one, keystore=DictMemory())
    assert thief.phone.trouble is Reason.FOREIGN_STORAGE
    assert (thief.tap(), thief.sentence) == ("PPSE 6A82", "FOREIGN_STORAGE")
    assert thief.phone.do(thief.phone.app(APP).open()) == Refused(reason=Reason.FOREIGN_STORAGE)
    use(one)


def test_nor_with_another_phones_key_store() -> None:
    one, other = bench().enrolled(), bench().enrolled()
    thief = reopened(one, keystore=other.keystore)
    assert thief.phone.trouble is Reason.FOREIGN_STORAGE


def test_yesterdays_folder_is_refused_for_good() -> None:
    one = bench().enrolled()
    yesterday = one.storage.copy()
    use(one)
    today = one.storage.copy()
    back = replace_bench(one, yesterday, one.keystore)
    assert back.phone.trouble is Reason.ROLLED_BACK
    assert (back.tap(), back.sentence) == ("PPSE 6A82", "ROLLED_BACK")
    right = replace_bench(one, today, one.keystore)
    assert right.phone.trouble is Reason.ROLLED_BACK, "the right folder does not make it forget"


def test_a_folder_that_was_emptied_is_rolled_back_too() -> None:
    one = bench().enrolled()
    assert replace_bench(one, DictMemory(), one.keystore).phone.trouble is Reason.ROLLED_BACK


def test_a_roll_back_while_the_phone_runs() -> None:
    one = bench().enrolled()
    old = one.storage.copy()
    use(one)
    one.storage.write({name: old.read(name) for name in old.names()})
    assert one.tap() == "PPSE 6A82"
    assert one.sentence == "ROLLED_BACK"


def test_one_record_of_yesterday_is_damage() -> None:
    """Single-use keys: putting the keys of before back would give a wiped key again."""
    one = bench(scheme=KeyScheme.SUK).enrolled()
    name = f"keys/{one.token}"
    old = one.storage.read(name)
    use(one)
    one.storage.write({name: old})
    assert (one.tap(), one.sentence) == ("6985", "DAMAGED")
    assert (one.tap(), one.sentence) == ("6985", "DAMAGED")
    one.phone.do(one.phone.app(APP).open())
    assert one.tap() == "OK", "another key set mends it"
    assert one.held().sequence == 2


def test_a_damaged_profile_is_fetched_anew() -> None:
    one = bench().enrolled()
    one.storage.write({f"profile/{one.token}": b"\x01" * 40})
    one.restart()
    assert (one.tap(), one.sentence) == ("PPSE 6A82", "DAMAGED")
    one.phone.do(one.phone.app(APP).open())
    assert one.tap() == "OK"


def test_set_up_anew_it_pays_again_with_another_token() -> None:
    one = bench().enrolled()
    yesterday = one.storage.copy()
    use(one)
    back = replace_bench(one, yesterday, one.keystore)
    assert back.phone.trouble is not None
    back.phone.reset()
    assert (back.phone.trouble, back.storage.names()) == (None, [])
    assert back.tap() == "PPSE 6A82"
    back.enrolled()
    assert back.tap() == "OK"
    assert len(back.cloud.tokens) == 2
    assert len(back.cloud.devices) == 2


@pytest.mark.parametrize("kill", range(1, 5))
@pytest.mark.parametrize("after", [False, True])
def test_a_reset_that_was_cut_off_is_reset_again(kill: int, after: bool) -> None:
    one = bench().enrolled()
    mortal, _ = dying(one, at=kill, after=after)
    with suppress(Dead):
        mortal.phone.reset()
        mortal.phone.unlock()
    again = replace_bench(one, one.storage, one.keystore)
    if again.phone.trouble is not None:
        again.phone.reset()
    assert again.enrolled().tap() == "OK"


@pytest.mark.parametrize("name", ["state", "keys/", "profile/"])
@settings(max_examples=examples(25, heavy=2_000), deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(name: str, place: float, bit: int) -> None:
    one = FLIP
    memory, keystore = one.storage.copy(), one.keystore.copy()
    full = next(known for known in memory.names() if known.startswith(name))
    raw = bytearray(memory.read(full) or b"")
    raw[int(place * len(raw))] ^= 1 << bit
    memory.write({full: bytes(raw)})
    broken = replace_bench(one, memory, keystore)
    try:
        assert broken.tap() in ("PPSE 6A82", "6985")
    except StoreVersion:
        assert name == "state"
        assert int(place * len(raw)) == 0


FLIP = bench().enrolled()


def test_a_newer_wallets_storage_is_refused() -> None:
    one = bench().enrolled()
    raw = one.storage.read("state") or b""
    one.storage.write({"state": b"\x02" + raw[1:]})
    with pytest.raises(StoreVersion):
        one.phone.handset.state()


def test_nothing_readable_lies_in_the_folder() -> None:
    one = bench(scheme=KeyScheme.SUK).enrolled()
    use(one)
    token, raw = one.cloud.tokens[one.token], b"".join(one.storage.read(name) or b"" for name in one.storage.names())
    terms = token.sets[1].terms
    keys = one.cloud.keys(token, terms)
    for secret in (token.number.encode(), bytes.fromhex(token.number), keys[:16], keys[16:32], token.view.par.encode(), b"lin"):
        assert secret not in raw


def test_a_single_use_key_is_wiped_when_it_is_taken_and_the_last_key_altogether() -> None:
    one = bench(scheme=KeyScheme.SUK, max_uses=3).enrolled()
    name, token = f"keys/{one.token}", one.cloud.tokens[one.token]
    keys = one.cloud.keys(token, token.sets[1].terms)
    storage = one.phone.handset.storage
    for used in (1, 2):
        use(one)
        assert storage.read(name, one.held().keys_at) == bytes(16 * used) + keys[16 * used :]
    use(one)
    assert one.storage.read(name) is None


def test_two_writes_a_tap() -> None:
    one = bench().enrolled()
    mortal, fuse = dying(one, at=10**9, after=False)
    mortal.tap()
    before = fuse.writes
    mortal.tap()
    assert fuse.writes - before == 2


def test_files_on_a_disk(tmp_path: Path) -> None:
    one, sealer = bench(), Sealer(bytes(32))
    for _ in range(3):
        with FileMemory(tmp_path / "phone.mem", sealer) as memory, FileMemory(tmp_path / "phone.keys", sealer) as keys:
            one.storage, one.keystore = memory, keys  # type: ignore[assignment]
            one.restart()
            if not one.cloud.tokens:
                one.enrolled()
            use(one)
    assert one.cloud.tokens[one.token].seen == {1, 2, 3}


def test_a_failing_storage_is_6581_and_no_cryptogram() -> None:
    class Full(DictMemory):
        full = False

        def write(self, records: Any) -> None:
            if self.full:
                raise StoreGone("disk full")
            super().write(records)

    one = bench()
    one.storage = memory = Full()
    one.restart()
    one.enrolled()
    memory.full = True
    assert one.tap() == "6581"
    memory.full = False
    assert one.tap() == "OK"


# -- the key store -----------------------------------------------------------------------------------------------------


def test_the_key_store() -> None:
    memory = DictMemory()
    keys = DeviceKeyStore(memory)
    assert (keys.fresh, keys.counter, keys.condemned) == (True, 0, "")
    with pytest.raises(NotFound):
        keys.seal(b"x", b"y")
    keys.renew()
    sealed = keys.seal(b"plain", b"bound")
    again = DeviceKeyStore(memory)
    assert again.open(sealed, b"bound") == b"plain"
    with pytest.raises(IntegrityError):
        again.open(sealed, b"other")
    keys.raise_counter(5)
    with pytest.raises(ValueError, match="no step forward"):
        again.raise_counter(5)
    assert keys.points("a") == again.points("a") != keys.points("b")
    keys.renew()
    with pytest.raises(IntegrityError):
        DeviceKeyStore(memory).open(sealed, b"bound")
    assert memory.names() == ["counter", "storage-key"]
    assert repr(keys) == "DeviceKeyStore(counter=0)"


@settings(max_examples=examples(60, heavy=3_000), deadline=None)
@given(st.lists(st.sampled_from(["change", "reopen", "kill before", "kill between", "old"]), max_size=12))
def test_a_state_is_never_older_than_what_was_told(walk: list[str]) -> None:
    """Changes that returned are there after any kill; an old copy is always noticed."""
    memory, keystore = DictMemory(), DictMemory()
    storage, told, copies = Storage(memory, DeviceKeyStore(keystore)), 0, list[DictMemory]()
    for step in walk:
        if step == "reopen":
            storage = Storage(memory, DeviceKeyStore(keystore))
        elif step == "old" and copies:
            with pytest.raises(Tampered):
                Storage(copies[0].copy(), DeviceKeyStore(keystore.copy())).state()
        elif step == "change":
            copies.append(memory.copy())
            storage.change(lambda now, _: (now.switch(front=str(told + 1)), {}))  # noqa: B023
            told += 1
        elif step.startswith("kill"):
            one = Bench(bench().cloud, bench().clock, memory, keystore)
            mortal, _ = dying(one, at=1 if step == "kill before" else 2, after=False)
            with suppress(Dead):
                Storage(mortal.storage, DeviceKeyStore(mortal.keystore)).change(
                    lambda now, _: (now.switch(front=str(told + 1)), {})  # noqa: B023
                )
            storage = Storage(memory, DeviceKeyStore(keystore))
            told = int(storage.state().switches.front or "0")
        found = int(storage.state().switches.front or "0")
        assert found == told


# -- kills -------------------------------------------------------------------------------------------------------------


def answered(one: Bench, story: list[str]) -> None:
    """Play a story; the judge of the cloud refuses a number or a key set that is used too often."""
    for step in story:
        if step == "tap":
            word = one.tap()
            assert word in ("OK", "6985", "PPSE 6A82"), word
        elif step == "open":
            one.phone.do(one.phone.app(APP).open())
        else:
            one.phone.do(one.phone.app(APP).refresh(force=True))


STORY = ["tap", "tap", "open", "tap", "refresh", "tap", "tap", "tap"]


@pytest.mark.parametrize("scheme", [KeyScheme.SHANFU_1, KeyScheme.SUK])
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_write_it_never_reuses_a_number_nor_overspends(
    scheme: KeyScheme, after: bool, record_property: Any
) -> None:
    at, kills = 0, 0
    while True:
        at += 1
        one = bench(scheme=scheme, max_uses=3, replenish_below=1).enrolled()
        mortal, fuse = dying(one, at=at, after=after)
        try:
            answered(mortal, STORY)
        except Dead:
            kills += 1
        alive = replace_bench(one, one.storage, one.keystore)
        assert alive.phone.trouble is None
        answered(alive, STORY)
        token = one.cloud.tokens[one.token]
        for kept in token.sets.values():
            assert token.uses[kept.terms.index] <= kept.terms.max_uses
        assert alive.held().atc >= max(token.seen)
        if not fuse.dead:
            break
    record_property("kills", kills)
    assert kills > 15


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_write_of_an_enrolment(after: bool) -> None:
    at = 0
    while True:
        at += 1
        one = bench()
        one.cloud.green = True
        mortal, fuse = dying(one, at=at, after=after)
        with suppress(Dead):
            mortal.enrolled()
        alive = replace_bench(one, one.storage, one.keystore)
        assert alive.phone.trouble is None
        app = alive.phone.app(APP)
        if APP not in alive.phone.handset.state().apps:
            alive.enrolled()
        if not one.cloud.tokens:
            alive.enrolled()
        alive.phone.do(app.open())
        assert alive.tap() == "OK", at
        assert len(one.cloud.devices) <= 2, "the name may be lost with the answer, never more than once"
        if not fuse.dead:
            break
    assert at > 10


# -- repr --------------------------------------------------------------------------------------------------------------


def test_nothing_shows_a_number_or_a_key() -> None:
    one = bench().enrolled()
    one.phone.tap_target.power_on(Interface.CONTACTLESS)
    phone = one.phone
    shown = " ".join(map(repr, (phone, phone.handset.storage, phone.handset.keystore, phone.tap_target, phone.app(APP))))
    shown += repr(phone.handset.sessions) + repr(phone.shown) + repr(phone.app(APP).cards()) + repr(one.held())
    token = one.cloud.tokens[one.token]
    assert token.number not in shown
    assert one.cloud.keys(token, token.sets[1].terms).hex() not in shown.lower()
