"""Damaged calls: whatever is changed on the way is refused or dropped, and nothing in the books is."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shanfu.links import Inbound
from shanfu.messages import Reply, pack, unpack, wallet
from tests.budget import examples
from tests.cloud.world import Phone, World
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    world = World(tmp_path_factory.mktemp("bad"))
    phone = world.ready()
    phone.replenish()
    yield phone
    world.close()


def picture(phone: Phone) -> list[Any]:
    """Everything in the books that a call of a phone may change."""
    with phone.world.store.begin() as tx:
        books = phone.world.cloud.books(tx, now_ms=0)
        session = books.session(phone.session)
        rows = [books.device(phone.device), *books.tokens_of(phone.device), *books.key_sets_of(phone.token)]
        return [*map(repr, rows), session and session.customer, len(books.pushes_of(phone.device))]


@settings(max_examples=examples(150, heavy=20_000), deadline=None)
@given(seed=st.integers(0, 2**32), flips=st.integers(1, 3), delete=st.booleans())
def test_a_damaged_call_changes_nothing(standing: Phone, seed: int, flips: int, delete: bool) -> None:
    dice, phone = random.Random(seed), standing
    frame = bytearray(pack(phone.call("tokens.delete", wallet.ChangeToken(token=phone.token))))
    sound = bytes(frame[4:])
    signed = frame.index(b'"op"')  # what stands before is the call's name, which anybody may choose
    for _ in range(flips):
        place = dice.randrange(signed, len(frame))
        if delete:
            del frame[place]
        else:
            frame[place] ^= 1 << dice.randrange(8)
    assume(frame[4:] != sound)  # two flips may undo one another
    frame[:4] = (len(frame) - 4).to_bytes(4)
    before, asked = picture(phone), len(phone.world.service.asked)
    phone.frames.clear()
    phone.world.net.worker("cloud").turn([Inbound("http/1", bytes(frame))])
    phone.world.net.pump()
    assert len(phone.world.service.asked) == asked
    assert picture(phone) == before


def test_a_day_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    """The same phone, the same cloud, the other database."""
    world = World(tmp_path, url=postgres_url)
    phone = world.ready()
    first = phone.replenish()
    assert phone.replenish(key="k") == first == phone.replenish(key="k")
    phone.confirm()
    world.service.tell(phone.token, "PAYMENT")
    world.settle()
    assert phone.news().pushes
    for text in ("a\1", "\1"):
        call = phone.call("news.take", wallet.NewsAsked(), key=text)
        assert unpack(pack(phone.send(call)), Reply).status == 400
    world.close()
