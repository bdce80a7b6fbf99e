from collections.abc import Iterator

import pytest

from tests.tsp.service import Service


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.store.close()
