"""One world, made once a session; each test gets a copy of its folder."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from shanfu.clock import ManualClock
from shanfu.sandbox import open_or_build
from tests.journeys.pockets import ARRANGEMENTS, HOUSEHOLD, Street, make, street_in
from tests.journeys.town import NOON_MS, Town
from tests.postgres import postgres_server

__all__ = ["postgres_server"]


@pytest.fixture(scope="session")
def made_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "world"
    open_or_build(folder, clock=ManualClock(NOON_MS - 3_600_000))
    return folder


@pytest.fixture
def folder(made_world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_world, tmp_path / "world"))


@pytest.fixture
def town(folder: Path) -> Iterator[Town]:
    with Town.open(folder) as town:
        yield town


@pytest.fixture(scope="session")
def made_streets(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Worlds in which Lin Yue's phone can pay, one for each arrangement of hosts, made when first asked for."""
    return cache(lambda arrangement: make(tmp_path_factory.mktemp("streets") / arrangement, arrangement))


@pytest.fixture(params=ARRANGEMENTS)
def arrangement(request: pytest.FixtureRequest) -> str:
    """Whether token service and key cloud live with the network or apart."""
    return str(request.param)


@pytest.fixture
def street(made_streets: Callable[[str], Path], arrangement: str, tmp_path: Path) -> Iterator[Street]:
    """A street in either arrangement."""
    with street_in(made_streets(arrangement), tmp_path / "world") as street:
        yield street


@pytest.fixture
def home(made_streets: Callable[[str], Path], tmp_path: Path) -> Iterator[Street]:
    """A street in which the household keeps house: for what does not depend on who lives where."""
    with street_in(made_streets(HOUSEHOLD), tmp_path / "world") as street:
        yield street
