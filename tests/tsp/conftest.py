from collections.abc import Iterator

import pytest

from tests.postgres import postgres_server, postgres_url
from tests.tsp.service import Service

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.store.close()
