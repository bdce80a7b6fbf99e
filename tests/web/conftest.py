"""Certificates are made once."""

from pathlib import Path

import pytest

from tests.web.doors import certificates


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates(tmp_path_factory.mktemp("tls"))
