"""The same day at the bank on both databases, with the same rows in the end."""

from dataclasses import replace
from pathlib import Path

import pytest

from shanfu.issuer import (
    SCHEMA,
    CardReport,
    IssuerConfig,
    Policy,
    ScriptKind,
    ScriptOrder,
    ScriptState,
    balance,
    card_state,
    cash_of,
    dry_run,
    journal_lines,
    list_accounts,
    list_scripts,
    order_script,
    payments_of,
    postings_of,
    report_card,
    statement,
    take_messages,
    trial_balance,
    unbalanced,
)
from shanfu.messages import CardEvent, Colour
from shanfu.messages.issuing import CodeVerdict, TokenChanges
from shanfu.money import Money
from shanfu.store import differences
from tests.issuer.bank import BANK, CNY, TODAY, Bank
from tests.issuer.service import CUSTOMER, MINUTE_MS, MOBILE, Service
from tests.issuer.test_phones import paid


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


@pytest.mark.parametrize("buckets", [1, 4])
def test_chips_and_stripes(where: str, tmp_path: Path, buckets: int) -> None:
    bank = Bank(tmp_path, IssuerConfig(institution=BANK, buckets=buckets), where)
    bank.chip_keys()
    bank.customer("lin")
    card = bank.card("debit", "lin", cash=Money(10_000, CNY))
    asked = ScriptOrder(kind=ScriptKind.PUT_DATA, tag=0x9F58, value=b"\x05")
    order_script(bank.store, bank.hsm, card.pan, asked, now_ms=bank.clock.now_ms())
    offline, inserted = bank.offline(card, 300), bank.insert(card, 1000)
    told = [inserted, offline, bank.swipe(card, 200), bank.script_result(inserted, "2000000001"), offline]
    assert [bank.code(message) for message in told] == ["00"] * 5
    bank.restart()
    assert bank.code(offline) == "00"
    [order] = list_scripts(bank.store, bank.hsm, card.pan)
    assert order.state is ScriptState.DONE
    [cash] = cash_of(bank.store, bank.hsm, card.pan)
    assert balance(bank.store, cash.account, buckets=buckets).balance_minor == 10_000 - 300
    assert unbalanced(bank.store) == []
    assert all(line.agrees for line in postings_of(bank.store, TODAY))
    bank.store.close()


@pytest.mark.parametrize("buckets", [1, 4])
def test_a_card_goes_into_a_phone(where: str, tmp_path: Path, buckets: int) -> None:
    bank = Bank(tmp_path, IssuerConfig(institution=BANK, buckets=buckets), where)
    service = Service(bank)
    service.customer()
    plastic = bank.card("mine", CUSTOMER)
    [offer] = service.login().cards
    assert service.judge(offer.card).colour is Colour.YELLOW
    service.send(offer.card)
    assert service.verify(offer.card, service.code()) == CodeVerdict(assurance="11")
    service.notice(service.view(offer.card))
    assert len(take_messages(bank.store, bank.hsm, MOBILE, now_ms=bank.clock.now_ms())) == 1
    assert bank.code(paid(bank, plastic)) == "00"
    [line] = payments_of(bank.store, bank.hsm, plastic.pan)
    assert (line.amount_minor, line.device_name) == (12_345, "Lin's phone")
    lost = CardReport(event=CardEvent.LOST)
    report_card(bank.store, bank.hsm, plastic.pan, lost, config=bank.config, now_ms=bank.clock.now_ms())
    assert [op for op, _ in service.tick(reply=TokenChanges())] == ["tsp.card"]
    assert bank.code(paid(bank, plastic)) == "41"
    strict = replace(Policy.default(), tokens=replace(Policy.default().tokens, minimum="14", most_tokens=1))
    found = dry_run(bank.store, replace(strict, limits={}))
    assert (found.payments, found.changed, found.requests) == (2, {("APPROVED", "NO_ACCOUNT"): 1}, 1)
    service.tick(11 * MINUTE_MS)
    assert unbalanced(bank.store) == []
    bank.store.close()


def test_the_migrations_lead_to_the_tables_on_postgresql(postgres_url: str) -> None:
    assert differences(postgres_url.replace("postgresql://", "postgresql+psycopg://"), SCHEMA) == []
