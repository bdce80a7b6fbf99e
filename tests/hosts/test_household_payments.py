"""Token payments in one process: the real network and the real token service as a household, one commit for each step."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shanfu.hosts import Household
from shanfu.iso8583 import parse_par
from shanfu.links import Worker
from shanfu.links.crash import CRASH_POINTS
from shanfu.network import SCHEMA as NETWORK_SCHEMA
from shanfu.network import Network, dead_letters, forward_queue
from shanfu.tsp import SCHEMA as TSP_SCHEMA
from tests.network.switch import NETWORK, PIN_DIGITS, Switch
from tests.network.test_token_leg_real import Pair
from tests.tsp.payhouse import PAR_OF_LIN, SERVICE

WIRE = (("network", SERVICE), ("tsp", NETWORK))


class Together(Pair):
    """The switch and the service over one store, nothing between them but the household."""

    def start(self) -> None:
        """A life of the process begins."""
        if not hasattr(self, "house"):  # the service's ceremony comes first
            return
        self.house.restart()
        self.host = Network(self.config, self.hsm, watch=True)
        house = Household("network", {"network": self.host, "tsp": self.house.host}, wires=[WIRE], owner=lambda _: "network")
        self.worker = Worker(house, self.store, self.clock, send=self._sent, events=self.events, crash_point=self._passing)

    def turn(self, *batch: Any) -> None:
        Switch.turn(self, *batch)
        assert not self.to_service

    def tick(self, ms: int = 0) -> None:
        Switch.tick(self, ms)
        assert not self.to_service


@pytest.fixture
def together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Together]:
    monkeypatch.setattr("tests.network.switch.SCHEMA", NETWORK_SCHEMA.beside(TSP_SCHEMA))
    town = Together.__new__(Together)
    monkeypatch.setattr("tests.tsp.payhouse.Store", SimpleNamespace(open=lambda *_, **__: town.store))
    town.__init__(tmp_path)
    town.start()
    town.sign_on()
    yield town
    town.store.close()


def commits(town: Together) -> int:
    return town.worker.tally.commits


def test_a_tap_with_a_pin_is_one_commit_to_the_issuer_and_one_back(together: Together) -> None:
    phone = together.house.token()
    request, before = together.tapped(phone, pin=True), commits(together)
    asked = together.forwarded(request)
    assert commits(together) - before == 1
    assert asked.text(2) == "6209010000000001"
    assert together.issuer.read_pin(asked).digits == PIN_DIGITS
    together.send(together.issuer, together.echo(asked))
    assert commits(together) - before == 2
    [reply] = together.inbox(together.acquirer)
    assert (reply.text(2), reply.text(39), parse_par(reply.binary(56))) == (phone.number, "00", PAR_OF_LIN)
    assert together.state(request) == ("APPROVED", "00")
    assert (forward_queue(together.store), dead_letters(together.store)) == ([], [])


def test_what_the_service_refuses_is_one_commit(together: Together) -> None:
    phone = together.house.token()
    request, before = together.tapped(phone, t9F26=bytes(8)), commits(together)
    [reply] = together.send(together.acquirer, request)
    assert commits(together) - before == 1
    assert reply.text(39) == "59"
    assert together.lines()[-1][2] == "CRYPTOGRAM_WRONG"


def test_a_silent_issuer_is_reversed_at_both(together: Together) -> None:
    phone = together.house.token()
    request = together.tapped(phone)
    together.forwarded(request)
    together.tick(31_000)
    [reply] = together.inbox(together.acquirer)
    assert reply.text(39) == "98"
    together.tick(1_000)  # what is kept for others goes out with the next one
    assert together.state(request)[0] == "REVERSED"


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_death_anywhere_leaves_both_books_in_step(together: Together, point: str) -> None:
    phone = together.house.token()
    request = together.tapped(phone)
    together.dies_at = point
    together.turn((together.acquirer, together.acquirer.seal(request)))
    assert not together.dies_at
    kept, told = together.lines(), together.state(request)
    assert bool(kept) == bool(told[0]) == (point in ("after-commit", "after-send"))
    together.tick(31_000)
    together.tick(1_000)
    if kept:
        assert together.state(request)[0] == "REVERSED"
    again = together.forwarded(together.tapped(phone, atc=2))
    together.send(together.issuer, together.echo(again))
    assert together.inbox(together.acquirer)[-1].text(39) == "00"
