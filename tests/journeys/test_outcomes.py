"""Every sandbox card at every kind of counter: what the slip says, and what the account has left."""

import pytest

from shanfu.terminal import Receipt
from tests.journeys.judge import judge
from tests.journeys.town import Town

# fmt: off
#  card            merchant    amount      PIN       end                    code  CVM           account         moved
PAYMENTS = [
  # with PIN over the PIN-free limit, without up to it, at enrolled merchants
  ("debit",        "teahouse", "1000.01",  "123456", "approved",            "00", "ONLINE_PIN", "lin-yue/156",  -100_001),
  ("debit",        "teahouse", "1000.00",  None,     "approved",            "00", "NONE",       "lin-yue/156",  -100_000),
  ("debit",        "teahouse", "0.01",     None,     "approved",            "00", "NONE",       "lin-yue/156",  -1),
  ("debit",        "market",   "1000.00",  None,     "approved",            "00", "NONE",       "lin-yue/156",  -100_000),
  ("debit",        "market",   "1000.01",  "123456", "approved",            "00", "ONLINE_PIN", "lin-yue/156",  -100_001),
  ("debit",        "bookshop", "12.34",    "123456", "approved",            "00", "ONLINE_PIN", "lin-yue/156",  -1_234),
  ("debit",        "bookshop", "0.01",     "123456", "approved",            "00", "ONLINE_PIN", "lin-yue/156",  -1),
  ("debit",        "bookshop", "12.34",    None,     "pin-cancelled",       "",   "",           "",             0),
  ("debit",        "bookshop", "12.34",    "654321", "acquirer-declined",   "55", "ONLINE_PIN", "",             0),
  ("debit",        "bookshop", "5000.00",  "123456", "approved",            "00", "ONLINE_PIN", "lin-yue/156",  -500_000),
  ("debit",        "bookshop", "5000.01",  "123456", "acquirer-declined",   "51", "ONLINE_PIN", "",             0),
  # the other products and ciphers
  ("debit-sm4",    "teahouse", "12.34",    None,     "approved",            "00", "NONE",       "lin-yue/156",  -1_234),
  ("debit-sm4",    "bookshop", "12.34",    "123456", "approved",            "00", "ONLINE_PIN", "lin-yue/156",  -1_234),
  ("credit",       "teahouse", "12.34",    None,     "approved",            "00", "NONE",       "chen-bo/156",  -1_234),
  ("credit",       "bookshop", "20000.00", "123456", "approved",            "00", "ONLINE_PIN", "chen-bo/156",  -2_000_000),
  ("credit",       "bookshop", "20000.01", "123456", "acquirer-declined",   "51", "ONLINE_PIN", "",             0),
  ("credit-sm4",   "market",   "1000.01",  "123456", "approved",            "00", "ONLINE_PIN", "chen-bo/156",  -100_001),
  ("lab",          "teahouse", "1.00",     None,     "approved",            "00", "NONE",       "lab/156",      -100),
  ("lab",          "bookshop", "1.00",     "123456", "approved",            "00", "ONLINE_PIN", "lab/156",      -100),
  ("faults",       "teahouse", "12.34",    None,     "approved",            "00", "NONE",       "fang-ke/156",  -1_234),
  ("faults",       "teahouse", "666.03",   None,     "approved",            "00", "NONE",       "fang-ke/156",  -66_603),
  # the other bank, the other currency: on us and off us
  ("harbour",      "market",   "12.34",    None,     "approved",            "00", "NONE",       "wong-mei/156", -1_234),
  ("harbour",      "teahouse", "12.34",    None,     "approved",            "00", "NONE",       "wong-mei/156", -1_234),
  ("harbour",      "bookshop", "12.34",    "123456", "approved",            "00", "ONLINE_PIN", "wong-mei/156", -1_234),
  ("harbour",      "ferry",    "12.34",    None,     "approved",            "00", "NONE",       "wong-mei/344", -1_234),
  ("harbour",      "ferry",    "1000.00",  None,     "approved",            "00", "NONE",       "wong-mei/344", -100_000),
  ("harbour",      "ferry",    "1000.01",  "123456", "approved",            "00", "ONLINE_PIN", "wong-mei/344", -100_001),
  ("harbour",      "ferry",    "8000.01",  "123456", "acquirer-declined",   "51", "ONLINE_PIN", "",             0),
  ("debit",        "ferry",    "12.34",    None,     "acquirer-declined",   "A1", "NONE",       "",             0),
  ("credit",       "ferry",    "12.34",    None,     "acquirer-declined",   "A1", "NONE",       "",             0),
  # cards prepared for refusals
  ("poor",         "teahouse", "1.00",     None,     "approved",            "00", "NONE",       "zhao-min/156", -100),
  ("poor",         "teahouse", "1.01",     None,     "acquirer-declined",   "51", "NONE",       "",             0),
  ("poor",         "bookshop", "1.01",     "123456", "acquirer-declined",   "51", "ONLINE_PIN", "",             0),
  ("expired",      "teahouse", "12.34",    None,     "acquirer-declined",   "54", "NONE",       "",             0),
  ("expired",      "bookshop", "12.34",    "123456", "acquirer-declined",   "54", "ONLINE_PIN", "",             0),
  ("lost",         "teahouse", "12.34",    None,     "acquirer-declined",   "41", "NONE",       "",             0),
  ("lost",         "market",   "12.34",    None,     "acquirer-declined",   "41", "NONE",       "",             0),
  ("locked",       "bookshop", "12.34",    "123456", "acquirer-declined",   "75", "ONLINE_PIN", "",             0),
  ("locked",       "teahouse", "12.34",    None,     "acquirer-declined",   "75", "NONE",       "",             0),
  # no wave
  ("contact-only", "teahouse", "12.34",    None,     "no-contactless-card", "",   "",           "",             0),
  ("debit",        "kiosk",    "12.34",    "123456", "no-reader",           "",   "",           "",             0),
  # limits of the issuer's policy
  ("credit",       "bookshop", "50000.01", "123456", "acquirer-declined",   "61", "ONLINE_PIN", "",             0),
]
# fmt: on


@pytest.mark.parametrize(
    ("card", "merchant", "amount", "pin", "end", "code", "cvm", "account", "moved"),
    PAYMENTS,
    ids=["-".join((row[0], row[1], row[2], row[3] or "no-pin")) for row in PAYMENTS],
)
def test_a_tap(town: Town, *, card, merchant, amount, pin, end, code, cvm, account, moved) -> None:
    opening = town.available()
    receipt = town.tap(card, merchant, amount=amount, pin=pin)
    assert said(receipt) == (end, code, cvm)
    assert moves(town, opening) == ({account: moved} if moved else {})
    judge(town, opening=opening)


def said(receipt: Receipt) -> tuple[str, str, str]:
    """How it ended (why, if not approved), DE39, CVM."""
    end = "approved" if receipt.approved else str(receipt.reason)
    return end, receipt.response_code, receipt.cvm.name if receipt.cvm else ""


def moves(town: Town, opening: dict[str, int]) -> dict[str, int]:
    """What the accounts have moved by."""
    return {name: now - opening[name] for name, now in town.available().items() if now != opening[name]}


def test_three_wrong_pins_lock_the_card(town: Town) -> None:
    opening = town.available()
    codes = [town.tap("debit", "bookshop", pin=pin).response_code for pin in ("111111", "222222", "333333", "123456")]
    assert codes == ["55", "55", "75", "75"]
    assert town.tap("debit", "teahouse").response_code == "75"  # and without PIN neither
    assert town.tap("debit-sm4", "bookshop").response_code == "00"  # each card counts for itself
    assert moves(town, opening) == {"lin-yue/156": -1_234}
    judge(town, opening=opening)


def test_a_right_pin_gives_the_tries_back(town: Town) -> None:
    pins = ["111111", "222222", "123456", "111111", "222222", "123456"]
    assert [town.tap("debit", "bookshop", pin=pin).response_code for pin in pins] == ["55", "55", "00", "55", "55", "00"]


@pytest.mark.parametrize(("card", "merchant", "available"), [
    ("debit",   "teahouse", "¥5000.00"),
    ("credit",  "teahouse", "¥20000.00"),
    ("harbour", "ferry",    "HK$8000.00"),
    ("harbour", "market",   "¥3000.00"),
    ("harbour", "bookshop", "¥3000.00"),
])  # fmt: skip
def test_a_balance_is_told_with_the_pin_and_moves_nothing(town: Town, card: str, merchant: str, available: str) -> None:
    opening = town.available()
    receipt = town.balance(card, merchant)
    assert said(receipt) == ("approved", "00", "ONLINE_PIN")
    assert [str(money) for money in receipt.balances] == [available]
    assert town.balance(card, merchant, pin="000000").response_code == "55"
    assert moves(town, opening) == {}
    judge(town, opening=opening)


def test_a_payment_is_void_once(town: Town) -> None:
    opening = town.available()
    paid = town.tap("debit")
    assert said(town.void(paid))[:2] == ("approved", "00")
    assert said(town.void(paid))[0] == "already-voided"
    assert moves(town, opening) == {}
    judge(town, opening=opening)


@pytest.mark.parametrize(("card", "merchant"), [
    ("debit", "teahouse"), ("credit", "teahouse"), ("harbour", "teahouse"), ("harbour", "ferry"), ("debit-sm4", "market"),
])  # fmt: skip
def test_money_goes_back_where_it_came_from(town: Town, card: str, merchant: str) -> None:
    opening = town.available()
    first, second = (town.tap(card, merchant, amount=amount) for amount in ("10.00", "20.00"))
    assert town.void(first, merchant).approved
    assert moves(town, opening).popitem()[1] == -2_000
    assert town.refund(second, "5.00", merchant).approved
    assert town.refund(second, "15.01", merchant).reason.slug == "amount-over-original"
    assert town.refund(second, "15.00", merchant).approved
    assert said(town.void(second, merchant))[0] == "already-voided"
    town.drain()
    assert moves(town, opening) == {}
    judge(town, opening=opening)


def test_a_day_of_two_banks_settles_and_closes(town: Town) -> None:
    opening = town.available()
    for card, merchant in (
        ("debit", "teahouse"),
        ("harbour", "teahouse"),
        ("credit", "bookshop"),
        ("harbour", "ferry"),
        ("debit", "market"),
    ):
        assert town.tap(card, merchant, amount="100.00").approved
    voided = town.tap("debit", "teahouse", amount="7.00")
    assert town.void(voided).approved
    assert town.refund(town.tap("credit", "teahouse", amount="50.00"), "20.00").approved
    town.drain()
    for merchant in ("teahouse", "bookshop", "ferry", "market"):
        receipt = town.settle(merchant)
        assert receipt.approved, (merchant, receipt.reason, receipt.totals)
    held = town.accounts()["chen-bo/156"]
    assert (held.balance_minor, held.held_minor) == (2_000, 15_000)  # the refund is posted, the payments wait for clearing
    town.close_day()
    town.drain()
    cleared = town.accounts()["chen-bo/156"]
    assert (cleared.balance_minor, cleared.held_minor) == (-13_000, 0)
    assert town.tap("debit", "teahouse").approved  # a new batch, a new business date
    judge(town, opening=opening)


def test_a_void_after_settlement_is_refused_and_a_refund_is_not(town: Town) -> None:
    opening = town.available()
    paid = town.tap("debit", amount="30.00")
    assert town.settle().approved
    assert said(town.void(paid))[0] == "nothing-to-undo"
    judge(town, opening=opening)


def test_a_torn_card_costs_nothing(town: Town) -> None:
    opening = town.available()
    for commands in range(1, 6):
        receipt = town.tap(tear_after=commands)
        assert not receipt.approved or commands > 3, receipt
    assert town.tap().approved
    town.drain()
    judge(town, opening=opening)
