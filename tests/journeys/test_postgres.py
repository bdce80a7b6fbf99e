"""The same journeys with every host's books on PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shanfu.clock import ManualClock
from shanfu.sandbox import PROCESSES, Settings, open_or_build
from tests.journeys.judge import judge
from tests.journeys.test_outcomes import moves, said
from tests.journeys.town import NOON_MS, Town
from tests.journeys.wires import harm, on
from tests.postgres import Server


@pytest.fixture
def town(postgres_server: Server, tmp_path: Path) -> Iterator[Town]:
    with town_on(postgres_server, tmp_path / "world") as town:
        yield town


@contextmanager
def town_on(server: Server, folder: Path) -> Iterator[Town]:
    stores = {name: server.create() for name in PROCESSES}
    open_or_build(folder, settings=Settings(stores=stores), clock=ManualClock(NOON_MS - 3_600_000))
    with Town.open(folder) as town:
        yield town


@pytest.fixture
def own_server(postgres_server: Server) -> Iterator[Server]:
    """A server that may be stopped: it holds little, so its recovery is short."""
    server = Server(postgres_server.bin, ("-c recovery_init_sync_method=syncfs",))
    yield server
    server.remove()


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


def test_the_database_goes_away_and_comes_back(own_server: Server, tmp_path: Path) -> None:
    """Nobody is answered while the books are away; afterwards everybody agrees."""
    with town_on(own_server, tmp_path / "world") as town:
        opening = town.available()
        assert town.tap(amount="1.00").approved
        own_server.stop()
        try:
            receipt = town.tap(amount="7.00")
        finally:
            own_server.start()
        assert not receipt.approved
        town.net.advance(60_000)
        town.drain()
        assert town.tap(amount="2.00").approved
        assert moves(town, opening) == {"lin-yue/156": -300}
        judge(town, opening=opening)
