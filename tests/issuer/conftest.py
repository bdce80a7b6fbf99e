from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.issuer.bank import Bank
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    """A bank with Lin Yue (debit, ¥5,000.00), Chen Bo (credit, limit ¥20,000.00) and a card for each."""
    bank = Bank(tmp_path)
    bank.customer("lin")
    bank.customer("chen", balance=0, limit=2_000_000)
    bank.card("debit", "lin")
    bank.card("credit", "chen")
    yield bank
    bank.store.close()
