"""Acquirer, merchant, terminal and phone never hold the PAN of a card that pays by phone: in files, on wires, in events.

A day with everything that can happen to a phone; then all that these parties keep, sent, heard or told is searched for the
number as text, packed, in hexadecimal and in base64. What is sealed is opened first, by whoever's it is.
"""

from pathlib import Path

import msgspec
import pytest

from shanfu.crypto import SealKey
from shanfu.sandbox import PIN, card_named
from shanfu.store import FileMemory
from shanfu.terminal import print_receipt
from shanfu.wallet import session
from shanfu.wallet.state import profile_record
from tests.journeys.marks import Mark, search, seen
from tests.journeys.pockets import Street, add, only, said

MARKS = [Mark("the PAN", card_named("debit").pan)]
BLIND = ("acquirer-", "terminal", "http")  # who must not see it


class Watched:
    """A session's key that remembers all that passes it in the clear."""

    def __init__(self, key: SealKey, told: list[bytes]) -> None:
        self._key, self._told = key, told

    def seal(self, nonce: bytes, data: bytes, *, aad: bytes) -> bytes:
        self._told.append(data)
        return self._key.seal(nonce, data, aad=aad)

    def open(self, nonce: bytes, sealed: bytes, *, aad: bytes) -> bytes:
        self._told.append(self._key.open(nonce, sealed, aad=aad))
        return self._told[-1]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All that phones say and hear inside their sessions."""
    told: list[bytes] = []
    agreed = session.agreed_session
    monkeypatch.setattr(session, "agreed_session", lambda *keys, context: Watched(agreed(*keys, context=context), told))
    return told


def a_day(street: Street) -> list[str]:
    """Enrol, pay in every way, be refused in some, undo, refresh, freeze, delete; return what was printed and shown."""
    with street.pocket("second") as other:
        add(other, "debit")
        assert said(street.wave(other.phone, "market", amount="4.00")) == "approved"
        other.do(other.app.delete(only(other)))
    with street.pocket() as holder:
        phone = holder.phone
        paid = street.wave(phone, amount="10.00")
        again = street.wave(phone, "bookshop", amount="2000.00", pin=PIN)
        assert (said(paid), said(again)) == ("approved", "approved")
        assert said(street.wave(phone, "bookshop", amount="1.00", pin="654321")) == "55"
        assert said(street.wave(phone, amount="4999.00", pin=PIN)) == "51"
        assert said(street.void(paid)) == "approved"
        assert said(street.refund(again, "1.00", "bookshop")) == "approved"
        street.opened(holder)
        holder.do(holder.app.transactions(only(holder)))
        holder.do(holder.app.freeze(only(holder)))
        street.wave(phone)
        street.settle()
        shown = [repr(notice) for notice in phone.shown] + [repr(card) for card in holder.all_cards()]
    printed = [print_receipt(receipt, lang) + repr(receipt) for receipt in street.receipts for lang in ("en", "zh")]
    street.close_day()
    street.drain()
    return printed + shown


def test_the_blind_never_see_the_pan(street: Street, opened: list[bytes]) -> None:
    opening = street.available()
    printed = a_day(street)
    frames = [one for one in street.frames if one.source.startswith(BLIND) or one.target.startswith(BLIND)]
    assert len(frames) > 40
    assert [what for one in frames for what in seen(one.frame, MARKS, also={})] == []
    assert len(opened) > 20, "sessions were watched"
    assert [what for plain in opened for what in seen(plain, MARKS, also={})] == []
    assert seen("\n".join(printed).encode(), MARKS, also={}) == []
    events = [f"{event!r} {event.raw.hex()}".encode() + event.raw for event in street.told()]
    assert len(events) > 100
    assert [what for told in events for what in seen(told, MARKS, also={})] == [], "nobody tells it, not even who knows it"
    street.judge(opening)
    assert kept(street) == []


def kept(street: Street) -> list[str]:
    """Where the number lies in what the blind keep, opened, and in what anybody at all keeps, as it lies there."""
    world, found = street.world, search(street.world.folder, MARKS, also={})
    for room in ("terminals", "phones", "keystores"):
        for file in sorted((world.folder / room).glob("*.mem")):
            found += [f"{room}/{what}" for what in in_memory(file, street)]
    with street.pocket() as holder:
        state, read = holder.phone.handset.state(), holder.phone.handset.storage.read
        records = [msgspec.json.encode(state)]
        records += [read(profile_record(name), held.profile_at) for name, held in state.tokens.items() if held.profile_at]
        assert any(b"625094" in record for record in records), "the token's number is there"
        found += [what for record in records for what in seen(record, MARKS, also={})]
    return found


def in_memory(file: Path, street: Street) -> list[str]:
    with FileMemory(file, street.world.sealer) as memory:
        return [
            f"{file.name} {name}: {what}" for name in memory.names() for what in seen(memory.read(name) or b"", MARKS, also={})
        ]
