"""The same journeys with every host's books on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shanfu.clock import ManualClock
from shanfu.sandbox import HOSTS, Settings, open_or_build
from tests.journeys.judge import judge
from tests.journeys.test_outcomes import moves, said
from tests.journeys.town import NOON_MS, Town
from tests.journeys.wires import harm, on
from tests.postgres import Server


@pytest.fixture
def town(postgres_server: Server, tmp_path: Path) -> Iterator[Town]:
    stores = {name: postgres_server.create() for name in HOSTS}
    open_or_build(tmp_path / "world", settings=Settings(stores=stores), clock=ManualClock(NOON_MS - 3_600_000))
    with Town.open(tmp_path / "world") as town:
        yield town


# fmt: off
TAPS = [
  ("debit",      "teahouse", "12.34",   None,     "approved",          "00", "NONE"),
  ("debit",      "bookshop", "12.34",   "123456", "approved",          "00", "ONLINE_PIN"),
  ("debit-sm4",  "market",   "1000.01", "123456", "approved",          "00", "ONLINE_PIN"),
  ("credit",     "teahouse", "99.00",   None,     "approved",          "00", "NONE"),
  ("harbour",    "ferry",    "20.00",   None,     "approved",          "00", "NONE"),
  ("harbour",    "bookshop", "20.00",   "123456", "approved",          "00", "ONLINE_PIN"),
  ("harbour",    "bookshop", "20.00",   "000000", "acquirer-declined", "55", "ONLINE_PIN"),
  ("debit",      "ferry",    "1.00",    None,     "acquirer-declined", "A1", "NONE"),
  ("poor",       "teahouse", "2.00",    None,     "acquirer-declined", "51", "NONE"),
  ("expired",    "teahouse", "2.00",    None,     "acquirer-declined", "54", "NONE"),
  ("lost",       "teahouse", "2.00",    None,     "acquirer-declined", "41", "NONE"),
  ("locked",     "teahouse", "2.00",    None,     "acquirer-declined", "75", "NONE"),
]
# fmt: on


def test_a_day(town: Town) -> None:
    opening = town.available()
    for card, merchant, amount, pin, *expected in TAPS:
        assert said(town.tap(card, merchant, amount=amount, pin=pin)) == tuple(expected), (card, merchant)
    first = town.receipts[0]
    assert town.void(first).approved
    assert town.refund(town.receipts[3], "9.00").approved
    town.drain()
    for merchant in ("teahouse", "bookshop", "ferry", "market"):
        assert town.settle(merchant).approved, merchant
    town.close_day()
    town.drain()
    assert town.accounts()["chen-bo/156"].balance_minor == -9_000
    assert moves(town, opening) == {
        "chen-bo/156": -9_000, "lin-yue/156": -101_235, "wong-mei/156": -2_000, "wong-mei/344": -2_000,
    }  # fmt: skip
    judge(town, opening=opening)


@pytest.mark.parametrize(
    "hop", ["terminal>acquirer", "acquirer>network", "network>issuer", "issuer>network", "acquirer>terminal"]
)
def test_a_message_is_lost(town: Town, hop: str) -> None:
    opening = town.available()
    assert town.sign_in().approved
    harm(town, "silent", on(hop, "0200", "0210"))
    assert town.tap(amount="7.00").response_code == "98"
    assert town.tap(amount="1.00").approved
    town.drain()
    assert moves(town, opening) == {"lin-yue/156": -100}
    judge(town, opening=opening)


@pytest.mark.parametrize("point", ["after-handle", "before-commit", "after-commit", "after-send"])
def test_every_host_dies_once(town: Town, point: str) -> None:
    opening = town.available()
    for host in ("acquirer-lantern", "network", "issuer-lantern"):
        town.net.crash_at(host, point)
        town.tap(amount="7.00")
        town.tap(amount="1.00")
    town.drain()
    judge(town, opening=opening)


def test_the_database_goes_away_and_comes_back(town: Town, postgres_server: Server) -> None:
    """Nobody is answered while the books are away; afterwards everybody agrees."""
    opening = town.available()
    assert town.tap(amount="1.00").approved
    postgres_server.stop()
    try:
        receipt = town.tap(amount="7.00")
    finally:
        postgres_server.start()
    assert not receipt.approved
    town.net.advance(60_000)
    town.drain()
    assert town.tap(amount="2.00").approved
    assert moves(town, opening) == {"lin-yue/156": -300}
    judge(town, opening=opening)
