"""The service dies at each point of its turn; what was asked is asked again, and has one effect."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shanfu.links import Inbound
from shanfu.links.crash import CRASH_POINTS
from tests.tsp.payhouse import NETWORK, PayHouse, Phone


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PayHouse]:
    house = PayHouse(tmp_path)
    yield house
    house.store.close()


Work = Callable[[PayHouse, Phone], Callable[[], object]]


def purchase(house: PayHouse, phone: Phone) -> Callable[[], object]:
    frame = house.sealed(house.purchase(phone, 700))
    return lambda: house.worker.turn([Inbound(NETWORK, frame)])


def outcome(house: PayHouse, phone: Phone) -> Callable[[], object]:
    frame = house.sealed(house.outcome(house.pay(phone, 700)))
    return lambda: house.worker.turn([Inbound(NETWORK, frame)])


def reversal(house: PayHouse, phone: Phone) -> Callable[[], object]:
    frame = house.sealed(house.follow_up("0420", house.pay(phone, 700)))
    return lambda: house.worker.turn([Inbound(NETWORK, frame)])


def issue(house: PayHouse, phone: Phone) -> Callable[[], object]:
    return lambda: house.issue(phone, 2)


def confirm(house: PayHouse, phone: Phone) -> Callable[[], object]:
    house.refresh(phone, confirm=False)
    return lambda: house.confirm(phone, 2)


# fmt: off
WORK = {
    #             what is asked   uses, spent, highest ATC seen, key sets, ATCs allotted
    "purchase":  (purchase,       (1, 700, 1, 1, 10)),
    "outcome":   (outcome,        (1, 700, 1, 1, 10)),
    "reversal":  (reversal,       (1, 0,   1, 1, 10)),
    "key set":   (issue,          (0, 0,   0, 2, 20)),
    "confirmed": (confirm,        (0, 0,   0, 2, 20)),
}
# fmt: on


@pytest.mark.parametrize("point", CRASH_POINTS)
@pytest.mark.parametrize(("make", "effect"), WORK.values(), ids=WORK)
def test_one_effect(house: PayHouse, make: Work, effect: tuple[int, ...], point: str) -> None:
    phone = house.token()
    work = make(house, phone)
    house.dying(point, work)
    for _ in range(2):  # nobody was answered, or nobody heard it
        work()
    keys, counter = house.key_set(phone, 1), house.counter(phone)
    found = (keys.uses, keys.spent, counter.atc, counter.sequence, house.token_row(phone).atc_allotted)
    assert found == effect
    assert house.worker.tally.refused == 0
