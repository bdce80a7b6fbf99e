"""The same day at the bank on both databases, with the same rows in the end."""

from pathlib import Path

import pytest

from shanfu.issuer import (
    SCHEMA,
    IssuerConfig,
    card_state,
    journal_lines,
    list_accounts,
    postings_of,
    statement,
    trial_balance,
    unbalanced,
)
from shanfu.store import differences
from tests.issuer.bank import BANK, TODAY, Bank


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "issuer.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.mark.parametrize("buckets", [1, 4])
def test_a_day_at_the_bank(where: str, tmp_path: Path, buckets: int) -> None:
    bank = Bank(tmp_path, IssuerConfig(institution=BANK, buckets=buckets), where)
    bank.customer("lin")
    bank.customer("chen", balance=0, limit=2_000_000)
    debit, credit = bank.card("debit", "lin"), bank.card("credit", "chen")
    payments = [bank.purchase(card, 1000 + place) for place in range(4) for card in (debit, credit)]
    wrong = bank.purchase(debit, 1, pin="111111")
    assert {answer.text(39) for answer in bank.send(*[bank.sealed(payment) for payment in payments])} == {"00"}
    follow = [wrong, bank.void(payments[0]), bank.reversal(payments[1]), bank.refund(payments[2]), bank.purchase(credit, 9)]
    assert [bank.code(message) for message in follow] == ["55", "00", "00", "00", "00"]
    bank.restart()
    assert bank.code(payments[3]) == "00"
    bank.ask(bank.management("202", f15=TODAY[4:]))
    bank.tick()
    assert unbalanced(bank.store) == []
    assert all(line.agrees for line in postings_of(bank.store, TODAY))
    balances = {account.account: (account.balance_minor, account.held_minor) for account in list_accounts(bank.store)}
    assert balances == {"lin/156": (500_000 - 1002 - 1003, 0), "chen/156": (-1001 - 1002 - 1003 - 9, 0)}
    assert sum(line.balance_minor for line in trial_balance(bank.store)) == 0
    assert len(journal_lines(bank.store, TODAY)) == 12
    assert len(statement(bank.store, "lin/156")) == 7
    assert card_state(bank.store, bank.hsm, debit.pan).pin_tries_left == 2
    bank.store.close()


def test_the_migrations_lead_to_the_tables_on_postgresql(postgres_url: str) -> None:
    assert differences(postgres_url.replace("postgresql://", "postgresql+psycopg://"), SCHEMA) == []
