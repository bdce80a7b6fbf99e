"""What would change under another policy: past traffic judged again."""

from dataclasses import replace
from pathlib import Path

import pytest

from shanfu.errors import ConfigError
from shanfu.issuer import Limits, Policy, TokenPolicy, dry_run
from shanfu.messages import Colour, IDVMethod, KeyPolicy, PhoneCVM
from shanfu.money import Currency
from shanfu.tokens import KeyScheme

from .bank import Bank, Plastic
from .service import CUSTOMER, Service
from .test_phones import paid

DEFAULT = Policy.default()
CNY = Currency.of("CNY").numeric


def limited(per_transaction: int = 5_000_000, per_day: int = 10_000_000, count: int = 50) -> Policy:
    limits = {CNY: Limits(per_transaction_minor=per_transaction, per_day_minor=per_day)}
    return replace(DEFAULT, limits=limits, payments_per_day=count)


@pytest.fixture
def card(bank: Bank) -> Plastic:
    """A card with ten payments of 100.00, one of them by phone, one voided, one reversed, one with a wrong PIN."""
    card = bank.cards["debit"]
    payments = [bank.purchase(card, 10_000) for _ in range(7)]
    payments += [paid(bank, card, 10_000), bank.purchase(card, 10_000), bank.purchase(card, 10_000, pin="999999")]
    for payment in payments:
        bank.ask(payment)
    bank.ask(bank.void(payments[1]))
    bank.ask(bank.reversal(payments[2]))
    return card


POLICIES = [
    # another policy                                | what changes
    (DEFAULT,                                         {}),
    (limited(),                                       {}),
    (limited(per_transaction=9_999),                  {("APPROVED", "TRANSACTION_LIMIT"): 9}),
    (limited(per_day=50_000),                         {("APPROVED", "DAY_LIMIT_EXCEEDED"): 2}),   # 7 of 9 stand
    (limited(count=6),                                {("APPROVED", "COUNT_EXCEEDED"): 1}),
    (replace(DEFAULT, limits={}),                     {("APPROVED", "NO_ACCOUNT"): 9}),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "changed"), POLICIES)
def test_payments_under_another_policy(bank: Bank, card: Plastic, policy: Policy, changed: dict) -> None:
    found = dry_run(bank.store, policy)
    assert (found.payments, found.changed) == (10, changed)
    assert bool(changed) == ("nothing would change" not in found.lines())


def test_what_a_limit_had_refused(bank: Bank) -> None:
    card = bank.cards["debit"]
    bank.restart(replace(bank.config, policy=limited(per_transaction=5_000)))
    assert bank.code(bank.purchase(card, 10_000)) == "61"
    found = dry_run(bank.store, DEFAULT)
    assert found.changed == {("TRANSACTION_LIMIT", "APPROVED"): 1}
    assert found.lines()[1] == "1 payments and refunds: TRANSACTION_LIMIT -> APPROVED"


def test_days_are_counted_apart(bank: Bank) -> None:
    card = bank.cards["debit"]
    for day in ("20260105", "20260106"):
        for _ in range(3):
            bank.ask(bank.purchase(card, 100, day=day))
    assert dry_run(bank.store, limited(count=2)).changed == {("APPROVED", "COUNT_EXCEEDED"): 2}
    assert dry_run(bank.store, limited(count=2), since="20260106").changed == {("APPROVED", "COUNT_EXCEEDED"): 1}
    assert dry_run(bank.store, limited(count=2), until="20260104").payments == 0


def test_refunds_under_another_policy(bank: Bank) -> None:
    payment = bank.purchase(bank.cards["debit"], 100)
    bank.ask(payment)
    bank.clock.advance(70 * 24 * 3_600_000)
    assert bank.code(bank.refund(payment, day="20260316")) == "00"
    found = dry_run(bank.store, replace(DEFAULT, refund_months=1))
    assert (found.refunds, found.changed) == (1, {("APPROVED", "ORIGINAL_TOO_OLD"): 1})


RULES = [
    ({},                                      {},                        {}),
    ({"minimum": "10"},                       {("YELLOW", "GREEN"): 1},  {}),
    ({"unattested": Colour.RED},              {("YELLOW", "RED"): 1},    {}),
    ({"refused_models": ("Pixel 8",)},        {("YELLOW", "RED"): 2},    {"DEVICE_NOT_ALLOWED": 3}),
    ({"products": {}},                        {("YELLOW", "RED"): 2},    {"PRODUCT_NOT_ALLOWED": 3}),
    ({"most_tokens": 2},                      {("YELLOW", "RED"): 1},    {"TOO_MANY_TOKENS": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "recoloured", "marked"), RULES)
def test_requests_for_tokens_under_other_rules(bank: Bank, rules: dict, recoloured: dict, marked: dict) -> None:
    service = Service(bank)
    service.customer()
    card = service.reference(bank.card("mine", CUSTOMER))
    service.judge(card, "t1", active_tokens=3)
    service.judge(card, "t2", attested=False)
    service.judge(card, "t3", customer="nobody")
    found = dry_run(bank.store, replace(DEFAULT, tokens=replace(DEFAULT.tokens, **rules)))
    assert (found.requests, found.recoloured, found.marked) == (3, recoloured, marked)


def test_only_a_policy_is_tried(bank: Bank, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("[tokens]\nminimun = '11'\n")
    with pytest.raises(ConfigError, match="minimum"):
        dry_run(bank.store, tmp_path / "p.toml")


# -- how the rules are written -----------------------------------------------------------------------------------------


def test_the_example() -> None:
    tokens = DEFAULT.tokens
    assert set(tokens.products) == {"debit", "credit"}
    assert tokens.products["debit"].keys == KeyPolicy()
    assert tokens.open_methods == (IDVMethod.SMS, IDVMethod.BANK_APP, IDVMethod.CALL_CENTRE)
    assert (tokens.minimum, tokens.most_tokens, tokens.unattested) == ("11", 5, Colour.YELLOW)


def test_keys_of_a_product() -> None:
    keys = {"scheme": "suk", "max_uses": 1, "fetch": "at_tap", "max_amount": "1,000.50".replace(",", ""), "phone_cvm": "cdcvm"}
    table = {"products": {"debit": {"label": "Debit", "keys": keys}}}
    read = TokenPolicy.of(table, where="tokens").products["debit"].keys
    assert (read.scheme, read.max_uses, read.fetch, read.max_amount) == (KeyScheme.SUK, 1, "at_tap", 100_050)
    assert read.phone_cvm is PhoneCVM.CDCVM


WRONG = [
    ({"minimun": "11"},                                                      "minimum"),
    ({"minimum": "12"},                                                      "10, 11, 14"),
    ({"methods": ["smss"]},                                                  "sms"),
    ({"methods": [7]},                                                       "words"),
    ({"unattested": "Yellow"},                                               "yellow"),
    ({"most_tokens": 0},                                                     "1 or more"),
    ({"cool_down_hours": -1},                                                "0 or more"),
    ({"code_minutes": "5"},                                                  "int"),
    ({"products": {"debit": 7}},                                             "no table"),
    ({"products": {"debit": {}}},                                            "label"),
    ({"products": {"debit": {"label": "D", "lable": ""}}},                   "label"),
    ({"products": {"debit": {"label": "D", "keys": {"max_use": 1}}}},        "max_uses"),
    ({"products": {"debit": {"label": "D", "keys": {"max_uses": 0}}}},       "1 or more"),
    ({"products": {"debit": {"label": "D", "keys": {"max_uses": "10"}}}},    "int"),
    ({"products": {"debit": {"label": "D", "keys": {"scheme": "luk"}}}},     "luk"),
    ({"products": {"debit": {"label": "D", "keys": {"fetch": "never"}}}},    "on_open"),
    ({"products": {"debit": {"label": "D", "keys": {"max_amount": "1.234"}}}}, "1.234"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "words"), WRONG)
def test_rules_that_make_no_sense(table: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TokenPolicy.of(table, where="policy [tokens]")
