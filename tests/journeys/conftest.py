"""One world, made once a session; each test gets a copy of its folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shanfu.clock import ManualClock
from shanfu.sandbox import open_or_build
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
