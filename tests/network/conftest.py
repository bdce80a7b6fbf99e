from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network.mint import Mint
from tests.network.switch import Switch
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Switch]:
    """A switch whose members have all signed on."""
    switch = Switch(tmp_path)
    switch.sign_on()
    yield switch
    switch.store.close()


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Switch]:
    """A switch to which nobody has signed on yet."""
    switch = Switch(tmp_path)
    yield switch
    switch.store.close()


@pytest.fixture
def mint(tmp_path: Path) -> Iterator[Mint]:
    """A switch with a token service; everybody has signed on."""
    mint = Mint(tmp_path)
    mint.sign_on()
    yield mint
    mint.store.close()
