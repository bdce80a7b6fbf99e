"""What must not be seen is not: no PAN and no token's number in books, events or refusals; and no message is too odd."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanfu.errors import ShanfuError
from shanfu.iso8583 import Value
from tests.budget import examples
from tests.postgres import postgres_server, postgres_url
from tests.tsp.payhouse import PayHouse
from tests.tsp.test_any_order import message_of, shared_house

__all__ = ["postgres_server", "postgres_url"]

PAN = b"6209010000000001"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PayHouse]:
    house = PayHouse(tmp_path)
    yield house
    house.store.close()


def test_neither_books_nor_events_hold_a_number(house: PayHouse) -> None:
    phone = house.token()
    bought = house.pay(phone)
    house.ask(house.outcome(bought))
    house.ask(house.follow_up("0220", bought))
    house.ask(house.follow_up("0420", bought))
    house.ask(house.purchase(phone, t9F26=bytes(8)))
    house.ask(house.purchase(phone, f35=f"{phone.number}=2901201123456789"))
    house.ask(house.purchase(phone, f41=None))
    house.refresh(phone)
    house.transactions(phone)
    house.store.close()
    written = b"".join(path.read_bytes() for path in house.folder.iterdir() if path.is_file())
    told = "".join(f"{event!r}{event.detail}" for event in house.events.events).encode()
    raw = b"".join(event.raw or b"" for event in house.events.events)
    for secret in (PAN, phone.number.encode()):
        assert secret not in written
        assert secret not in told
        assert secret not in raw


def test_the_values_of_a_request_show_no_number(house: PayHouse) -> None:
    from shanfu.iso8583 import decode_interbank
    from shanfu.tsp.interbank import read

    phone = house.token()
    request = read(decode_interbank(house.sealed(house.purchase(phone))), now_ms=house.clock.now_ms())
    assert phone.number not in repr(request)
    assert "2901" not in repr(request).replace(request.name, "")


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "tsp.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def test_a_day_on_both_databases(where: str, tmp_path: Path) -> None:
    house = PayHouse(tmp_path, where=where)
    phone = house.token()
    requests = [house.purchase(phone, 100 + place) for place in range(6)]
    answers = house.send(*map(house.sealed, requests))
    assert {answer.text(39) for answer in answers} == {"00"}
    house.send(*[house.sealed(house.outcome(request)) for request in requests[:4]])
    house.ask(house.follow_up("0420", requests[4]))
    assert house.pan_in(house.ask(house.follow_up("0220", requests[0])), phone) == PAN.decode()
    house.refresh(phone)
    house.restart()
    house.pay(phone)
    assert [one.amount for one in house.transactions(phone, limit=2).items] == [100, 104]  # the refund, and what was reversed
    assert (house.key_set(phone, 1).uses, house.key_set(phone, 1).spent, house.counter(phone).atc) == (6, 511, 11)
    house.store.close()


TEXTS = st.text("0123456789", max_size=19) | st.text(max_size=12)
FIELDS = st.dictionaries(
    st.sampled_from([2, 3, 4, 11, 14, 15, 18, 22, 25, 35, 37, 38, 39, 41, 42, 43, 49, 53, 60, 90]), TEXTS, max_size=4
)
CHIPS = st.binary(max_size=60) | st.none()


@settings(max_examples=examples(30, heavy=2000), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(["purchase", "balance", "void", "refund", "reversal", "outcome"]), odd=FIELDS, chip=CHIPS,
    gone=st.sets(st.sampled_from([2, 4, 22, 32, 37, 42, 49, 55, 90]), max_size=2),
)  # fmt: skip
def test_no_authentic_message_is_too_odd(kind: str, odd: dict[int, Value], chip: bytes | None, gone: set[int]) -> None:
    """With a right MAC, whatever the fields say: answered by name, never with a malfunction."""
    house = shared_house()
    phone = house.token(f"phone {len(house.phones)}")
    paid = house.pay(phone, 100)
    request = message_of(house, kind, paid, phone)
    request.fields |= odd
    if chip is not None:
        request.fields[55] = chip
    for number in gone:
        request.fields.pop(number, None)
    try:
        frame = house.sealed(request)
    except ShanfuError:
        return  # what the dialect cannot write, nobody can send
    for answer in house.send(frame, frame):
        assert answer.text(39) != "96"
    assert house.worker.tally.refused == 0
    assert house.key_set(phone, 1).uses <= 2
