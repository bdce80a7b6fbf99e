"""The service's link to the network: it signs on like every member, and gets a MAC key and no PIN key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shanfu.hsm import Algorithm, KeyUsage
from shanfu.iso8583 import InterbankFrame, InterbankHeader, Message, encode_interbank
from shanfu.links import Inbound, Kind
from tests.tsp.payhouse import NETWORK, SERVICE, PayHouse, shared_key


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PayHouse]:
    house = PayHouse(tmp_path)
    yield house
    house.store.close()


def link(house: PayHouse, kind: Kind) -> list[Message]:
    house.sent.clear()
    house.worker.turn([Inbound(NETWORK, kind=kind)])
    return [house.opened(frame) for frame in house.sent]


def plain(message: Message) -> bytes:
    return encode_interbank(InterbankFrame(InterbankHeader(destination=SERVICE, source=NETWORK), message))


def test_it_signs_on_until_it_is_answered(house: PayHouse) -> None:
    [ask] = link(house, Kind.UP)
    assert (ask.mti, ask.text(70), ask.text(33)) == ("0820", "001", SERVICE)
    house.clock.advance(10_000)
    house.sent.clear()
    house.worker.tick()
    [again] = [house.opened(frame) for frame in house.sent]
    assert again.text(70) == "001"
    house.send(plain(Message("0830", {7: again.text(7), 11: again.text(11), 33: SERVICE, 39: "00", 70: "001"})))
    house.clock.advance(10_000)
    house.sent.clear()
    house.worker.tick()
    assert not house.sent


def test_payments_go_on_under_a_new_mac_key(house: PayHouse) -> None:
    phone = house.token()
    before = house.sealed(house.purchase(phone))
    old = house.mak
    _, [house.mak] = shared_key(KeyUsage.MAK, Algorithm.TDES, house.peer)
    wrapped = house.peer.export_working_key(house.mak, house.mmk)
    control = "2600000000000000"
    reset = Message(
        "0800", {7: "0105160000", 11: "000900", 33: NETWORK, 48: b"NK" + wrapped.cryptogram, 53: control, 70: "101"}
    )
    after = house.purchase(phone)
    house.sent.clear()
    house.worker.turn([Inbound(NETWORK, frame) for frame in (before, house.sealed(reset), house.sealed(after))])
    new, house.mak = house.mak, old
    first = house.opened(house.sent[0])  # what came before the reset is answered under the old key
    house.mak = new
    second, third = [house.opened(frame) for frame in list(house.sent)[1:]]
    assert [message.text(39) for message in (first, second, third)] == ["00", "00", "00"]


def test_a_stranger_is_not_answered(house: PayHouse) -> None:
    phone = house.token()
    frame = house.sealed(house.purchase(phone))
    assert house.send(frame, station="99012900") == []
    assert house.key_set(phone, 1).uses == 0


def test_what_cannot_be_worked_is_refused_and_spoils_nobody(house: PayHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    phone, spoilt = house.token(), house.token("chen")
    good, bad = house.purchase(phone), house.purchase(spoilt)
    work = type(house.host._payments)._judge

    def judge(self, case, books, turn) -> None:
        if case.request.token == spoilt.number:
            raise ZeroDivisionError
        work(self, case, books, turn)

    monkeypatch.setattr(type(house.host._payments), "_judge", judge)
    answers = house.send(house.sealed(good), house.sealed(bad))
    assert sorted(answer.text(39) for answer in answers) == ["00", "96"]
    assert house.key_set(phone, 1).uses == 1
    assert house.key_set(spoilt, 1).uses == 0
