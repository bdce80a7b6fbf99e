from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.world import Phone, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def phone(world: World) -> Phone:
    """A phone with a session, a customer and an active token."""
    return world.ready()
