"""The books themselves: their format, the counter's work at the bank, and what reconciliation reads."""

from pathlib import Path

import pytest

from shanfu.errors import Conflict, NotFound
from shanfu.issuer import (
    SCHEMA,
    AccountOrder,
    CardOrder,
    IssuerConfig,
    account_names,
    balance,
    card_state,
    deposit,
    issue_cards,
    journal_lines,
    list_accounts,
    open_account,
    open_accounts,
    open_customer,
    postings_of,
    reset_pin,
    set_status,
    statement,
    trial_balance,
    unbalanced,
    unlock_pin,
)
from shanfu.issuer.accounts import ACCOUNTS, BY_ACCOUNT
from shanfu.store import differences
from tests.issuer.bank import BANK, CNY, HKD, TODAY, TOMORROW, Bank, CardState, number


def test_the_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    assert differences(f"sqlite:///{tmp_path / 'issuer.db'}", SCHEMA) == []


def test_statement_and_trial_balance(bank: Bank) -> None:
    payment = bank.purchase(bank.cards["debit"], 1234)
    bank.clock.advance(1)
    bank.ask(payment)
    bank.clock.advance(1)
    bank.ask(bank.refund(payment, f4="000000000034"))
    lines = statement(bank.store, "lin/156")
    assert [(line.kind, line.amount_minor, line.balance_minor) for line in lines] == [
        ("deposit", 500_000, 500_000),
        ("purchase", -1234, 498_766),
        ("refund", 34, 498_800),
    ]
    sums = {line.account: line.balance_minor for line in trial_balance(bank.store)}
    assert sums == {"cash/156": -500_000, "lin/156": 498_800, "settlement/156": 1200}


def test_the_counter(bank: Bank) -> None:
    now_ms = bank.clock.now_ms()
    with pytest.raises(Conflict):
        open_customer(bank.store, "lin", name="Lin Yue", now_ms=now_ms)
    with pytest.raises(Conflict):
        open_account(bank.store, customer="lin", currency=CNY, now_ms=now_ms)
    open_account(bank.store, customer="lin", currency=HKD, now_ms=now_ms)
    assert account_names(bank.store, "lin") == ["lin/156", "lin/344"]
    assert [account.account for account in list_accounts(bank.store)] == ["chen/156", "lin/156", "lin/344"]
    assert deposit(bank.store, "lin/344", 800, name="d1", now_ms=now_ms) == 800
    with pytest.raises(Conflict):
        deposit(bank.store, "lin/344", 800, name="d1", now_ms=now_ms)
    with pytest.raises(ValueError, match="positive"):
        deposit(bank.store, "lin/344", 0, name="d2", now_ms=now_ms)
    with pytest.raises(NotFound):
        balance(bank.store, "lin/840")
    assert balance(bank.store, "lin/344").balance_minor == 800
    assert unbalanced(bank.store) == []


def test_accounts_are_opened_all_or_none_and_paid_in_at_once(bank: Bank) -> None:
    orders = [AccountOrder(customer=f"c{place}", currency=CNY, paid_in_minor=100 * place) for place in range(3)]
    opened = open_accounts(bank.store, orders, now_ms=bank.clock.now_ms())
    assert [account.balance_minor for account in opened] == [0, 100, 200]
    assert unbalanced(bank.store) == []
    with pytest.raises(Conflict):
        open_accounts(bank.store, [AccountOrder(customer="c9", currency=CNY), orders[0]], now_ms=0)
    with pytest.raises(NotFound):
        balance(bank.store, "c9/156")


def test_cards_at_the_counter(bank: Bank) -> None:
    pan = bank.cards["debit"].pan
    bank.code(bank.purchase(bank.cards["debit"], 1, pin="111111"))
    view = card_state(bank.store, bank.hsm, pan)
    assert (view.masked, view.state, view.pin_tries_left, view.atc) == (str(pan), CardState.ACTIVE, 2, 1)
    unlock_pin(bank.store, bank.hsm, pan)
    assert card_state(bank.store, bank.hsm, pan).pin_tries_left == 3
    reset_pin(bank.store, bank.hsm, pan, pvv="0000")
    assert bank.code(bank.purchase(bank.cards["debit"], 1)) == "55"
    with pytest.raises(NotFound) as caught:
        set_status(bank.store, bank.hsm, number("620901999999999"), CardState.LOST)
    assert "620901999999999" not in str(caught.value)


def test_cards_are_issued_all_or_none(bank: Bank) -> None:
    fresh = number("620901888888888")
    orders = [CardOrder(pan=pan, group="lin", expiry="3012", pvv="1234") for pan in (fresh, bank.cards["debit"].pan)]
    with pytest.raises(Conflict):
        issue_cards(bank.store, bank.hsm, orders, now_ms=0)
    with pytest.raises(NotFound):
        card_state(bank.store, bank.hsm, fresh)
    assert "1234" not in repr(orders[0])
    assert fresh.digits not in repr(orders[0])


def test_a_thousand_cards_are_issued_at_once(bank: Bank) -> None:
    pans = [number(f"6209018{place:08d}") for place in range(1_000)]
    orders = [CardOrder(pan=pan, group="lin", expiry="3012", pvv="1234") for pan in pans]
    issue_cards(bank.store, bank.hsm, orders, now_ms=0)
    assert card_state(bank.store, bank.hsm, pans[-1]).state is CardState.ACTIVE


def test_journal_and_ledger_agree_line_by_line(bank: Bank) -> None:
    debit, credit = bank.cards["debit"], bank.cards["credit"]
    paid, held, voided, released, refused = (
        bank.purchase(debit, 100), bank.purchase(credit, 200), bank.purchase(debit, 300), bank.purchase(credit, 400),
        bank.purchase(debit, 900_000),
    )  # fmt: skip
    for message in (paid, held, voided, released, refused):
        bank.ask(message)
    reversed_payment = bank.purchase(debit, 500)
    later = bank.purchase(credit, 600)
    for message in (
        bank.void(voided), bank.void(released), bank.refund(paid, f4="000000000040"), reversed_payment,
        bank.reversal(reversed_payment), later, bank.void(later, day=TOMORROW), bank.reversal(bank.purchase(debit, 1)),
    ):  # fmt: skip
        assert bank.code(message) == "00"
    lines = postings_of(bank.store, TODAY)
    assert all(line.agrees for line in lines)
    assert [(line.expected_minor, line.held_minor) for line in lines] == [
        (100, 0), (0, 200), (300, 0), (0, 0), (0, 0), (-300, 0), (0, 0), (-40, 0), (0, 0), (600, 0), (0, 0),
    ]  # fmt: skip
    assert [line.expected_minor for line in postings_of(bank.store, TOMORROW)] == [-600]
    journal = journal_lines(bank.store, TODAY)
    assert [line.state for line in journal] == ["APPROVED"] * 4 + ["DECLINED"] + ["APPROVED"] * 3 + [
        "REVERSED",
        "APPROVED",
        "TOMBSTONE",
    ]
    first = journal[0]
    assert (first.name, first.rrn, first.currency, first.institution, first.issuer, first.mti, first.processing_code) == (
        f"{paid.text(7)}.{paid.text(11)}.99020000.99020000", paid.text(37), "156", "99020000", BANK, "0200", "000000",
    )  # fmt: skip
    assert (first.amount_minor, first.response_code, first.reason) == (100, "00", "APPROVED")
    bank.ask(bank.management("202", f15="0105"))
    bank.tick()
    after = postings_of(bank.store, TODAY)
    assert all(line.agrees for line in after)
    assert (after[1].expected_minor, after[1].held_minor) == (200, 0)


def test_a_spoilt_balance_is_seen(bank: Bank) -> None:
    with bank.store.begin() as tx:
        book = ACCOUNTS.open(tx)
        [account] = book.load(BY_ACCOUNT, [(0, "lin/156")])
        account.balance_minor += 1
        account.held_minor += 2
        book.save()
    assert unbalanced(bank.store) == ["lin/156: balance 500001, entries 500000", "lin/156: holds 2, journal 0"]


def test_buckets_keep_a_group_together(tmp_path: Path) -> None:
    bank = Bank(tmp_path, IssuerConfig(institution=BANK, buckets=16))
    names = [f"holder {place}" for place in range(8)]
    for place, name in enumerate(names):
        bank.customer(name, balance=1000, limit=1000 * (place % 2))
        bank.card(name, name)
    payments = [bank.purchase(bank.cards[name], 600) for name in names]
    assert [answer.text(39) for answer in bank.send(*[bank.sealed(payment) for payment in payments])] == ["00"] * 8
    void, reversal = bank.void(payments[0]), bank.reversal(payments[1])
    unknown = bank.purchase(bank.cards[names[0]], 1, f2="6209019999999996", f35=None)
    bank.restart()
    assert [bank.code(message) for message in (void, reversal, payments[2], unknown, unknown)] == ["00"] * 3 + ["14"] * 2
    bank.ask(bank.management("202", f15="0105"))
    bank.tick()
    accounts = list_accounts(bank.store)
    assert len({account.bucket for account in accounts}) > 3
    assert [account.held_minor for account in accounts] == [0] * 8
    assert [account.balance_minor for account in accounts] == [1000, 1000] + [400] * 6
    assert unbalanced(bank.store) == []
    bank.store.close()
