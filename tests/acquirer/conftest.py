"""A bank that is open: signed on to its network, its tills signed in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acquirer.bank import Bank


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    world = Bank(tmp_path).open()
    yield world
    world.store.close()
