"""The two databases, under one fixture."""

import pytest

from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request, tmp_path):
    """Where a fresh store of either kind is to be made."""
    return str(tmp_path / "books.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")
