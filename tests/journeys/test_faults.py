"""Everything that can happen to a message on each wire: the right code at the terminal, and one effect exactly."""

import pytest

from tests.journeys.judge import judge
from tests.journeys.test_outcomes import moves
from tests.journeys.town import Town
from tests.journeys.wires import harm, on

THERE = ("terminal>acquirer", "acquirer>network", "network>issuer")
BACK = ("issuer>network", "network>acquirer", "acquirer>terminal")

# fmt: off
#  what         where                code  why                  what the card holder has paid when all is over
PAYMENT_FAULTS = [
  ("silent",    "terminal>acquirer", "98", "no-answer",         0),
  ("silent",    "acquirer>network",  "98", "acquirer-declined", 0),
  ("silent",    "network>issuer",    "98", "acquirer-declined", 0),
  ("silent",    "issuer>network",    "98", "acquirer-declined", 0),
  ("silent",    "network>acquirer",  "98", "acquirer-declined", 0),
  ("silent",    "acquirer>terminal", "98", "no-answer",         0),
  ("late",      "terminal>acquirer", "98", "no-answer",         0),
  ("late",      "acquirer>network",  "98", "acquirer-declined", 0),
  ("late",      "network>issuer",    "98", "acquirer-declined", 0),
  ("late",      "issuer>network",    "98", "acquirer-declined", 0),
  ("late",      "network>acquirer",  "98", "acquirer-declined", 0),
  ("late",      "acquirer>terminal", "98", "no-answer",         0),
  ("duplicate", "terminal>acquirer", "00", "",                  1_234),
  ("duplicate", "acquirer>network",  "00", "",                  1_234),
  ("duplicate", "network>issuer",    "00", "",                  1_234),
  ("duplicate", "issuer>network",    "00", "",                  1_234),
  ("duplicate", "network>acquirer",  "00", "",                  1_234),
  ("duplicate", "acquirer>terminal", "00", "",                  1_234),
  ("malformed", "terminal>acquirer", "98", "no-answer",         0),  # the answer is 30, but it cannot say to what
  ("malformed", "acquirer>network",  "98", "acquirer-declined", 0),  # comes back rejected, and cannot say what it is
  ("malformed", "network>issuer",    "98", "acquirer-declined", 0),
  ("malformed", "issuer>network",    "98", "acquirer-declined", 0),
  ("malformed", "network>acquirer",  "98", "acquirer-declined", 0),
  ("malformed", "acquirer>terminal", "96", "unreadable-answer", 0),
  ("bad-mac",   "terminal>acquirer", "A0", "acquirer-declined", 0),
  ("bad-mac",   "acquirer>network",  "A0", "acquirer-declined", 0),
  ("bad-mac",   "network>issuer",    "A0", "acquirer-declined", 0),
  ("bad-mac",   "issuer>network",    "98", "acquirer-declined", 0),
  ("bad-mac",   "network>acquirer",  "98", "acquirer-declined", 0),
  ("bad-mac",   "acquirer>terminal", "A0", "bad-mac",           0),
]
# fmt: on


@pytest.mark.parametrize(("card", "merchant"), [("debit", "teahouse"), ("harbour", "teahouse")], ids=["on-us", "off-us"])
@pytest.mark.parametrize(("kind", "hop", "code", "why", "paid"), PAYMENT_FAULTS)
def test_a_payment_under_a_fault(town: Town, *, kind, hop, code, why, paid, card, merchant) -> None:
    opening = town.available()
    assert town.sign_in(merchant).approved
    ordered = harm(town, kind, on(hop, "0200" if hop in THERE else "0210"))
    receipt = town.tap(card, merchant)
    assert ordered.hits == 1
    assert (receipt.response_code, str(receipt.reason or "")) == (code, why)
    assert town.tap(card, merchant, amount="1.00").approved  # what is pending goes out before; nothing blocks
    town.drain()
    assert -sum(moves(town, opening).values()) == paid + 100
    judge(town, opening=opening)


# fmt: off
#  why it is reversed   what happens to the messages of the reversal
REVERSAL_FAULTS = [
  ("acquirer>terminal", "silent",    "terminal>acquirer", "0400"),
  ("acquirer>terminal", "silent",    "acquirer>terminal", "0410"),
  ("acquirer>terminal", "silent",    "acquirer>network",  "0420"),
  ("acquirer>terminal", "silent",    "network>acquirer",  "0430"),
  ("acquirer>terminal", "silent",    "network>issuer",    "0420"),
  ("acquirer>terminal", "silent",    "issuer>network",    "0430"),
  ("acquirer>terminal", "duplicate", "terminal>acquirer", "0400"),
  ("acquirer>terminal", "duplicate", "acquirer>terminal", "0410"),
  ("acquirer>terminal", "duplicate", "acquirer>network",  "0420"),
  ("acquirer>terminal", "duplicate", "network>acquirer",  "0430"),
  ("acquirer>terminal", "duplicate", "network>issuer",    "0420"),
  ("acquirer>terminal", "duplicate", "issuer>network",    "0430"),
  ("acquirer>terminal", "late",      "terminal>acquirer", "0400"),
  ("acquirer>terminal", "late",      "acquirer>terminal", "0410"),
  ("acquirer>terminal", "late",      "acquirer>network",  "0420"),
  ("acquirer>terminal", "late",      "network>acquirer",  "0430"),
  ("acquirer>terminal", "late",      "network>issuer",    "0420"),
  ("acquirer>terminal", "late",      "issuer>network",    "0430"),
  ("acquirer>terminal", "malformed", "terminal>acquirer", "0400"),
  ("acquirer>terminal", "malformed", "acquirer>terminal", "0410"),
  ("acquirer>terminal", "malformed", "acquirer>network",  "0420"),
  ("acquirer>terminal", "malformed", "network>acquirer",  "0430"),
  ("acquirer>terminal", "malformed", "network>issuer",    "0420"),
  ("acquirer>terminal", "malformed", "issuer>network",    "0430"),
  ("acquirer>terminal", "bad-mac",   "terminal>acquirer", "0400"),
  ("acquirer>terminal", "bad-mac",   "acquirer>terminal", "0410"),
  ("acquirer>terminal", "bad-mac",   "acquirer>network",  "0420"),
  ("acquirer>terminal", "bad-mac",   "network>acquirer",  "0430"),
  ("acquirer>terminal", "bad-mac",   "network>issuer",    "0420"),
  ("acquirer>terminal", "bad-mac",   "issuer>network",    "0430"),
  ("issuer>network",    "silent",    "network>issuer",    "0420"),
  ("issuer>network",    "duplicate", "network>issuer",    "0420"),
  ("issuer>network",    "late",      "network>issuer",    "0420"),
  ("issuer>network",    "silent",    "issuer>network",    "0430"),
  ("issuer>network",    "bad-mac",   "issuer>network",    "0430"),
  ("network>acquirer",  "silent",    "acquirer>network",  "0420"),
  ("network>acquirer",  "duplicate", "acquirer>network",  "0420"),
  ("network>acquirer",  "late",      "network>acquirer",  "0430"),
  ("network>acquirer",  "malformed", "acquirer>network",  "0420"),
]
# fmt: on


@pytest.mark.parametrize("title", ["purchase", "void"])
@pytest.mark.parametrize(("lost", "kind", "hop", "mti"), REVERSAL_FAULTS)
def test_a_reversal_under_a_fault(town: Town, *, lost, kind, hop, mti, title) -> None:
    opening = town.available()
    standing = town.tap("credit", amount="5.00")
    answer = harm(town, "silent", on(lost, "0210"))
    ordered = harm(town, kind, on(hop, mti))
    receipt = town.tap("credit", amount="7.00") if title == "purchase" else town.void(standing)
    assert (receipt.approved, answer.hits) == (False, 1)
    assert town.tap("debit", amount="1.00").approved
    town.net.advance(3_000)
    town.drain()
    assert ordered.hits == 1
    assert moves(town, opening) == {"lin-yue/156": -100, "chen-bo/156": -500}
    judge(town, opening=opening)


@pytest.mark.parametrize(("hop", "mti"), [
    ("terminal>acquirer", "0400"), ("acquirer>terminal", "0410"), ("acquirer>network", "0420"), ("network>acquirer", "0430"),
    ("network>issuer", "0420"), ("issuer>network", "0430"),
])  # fmt: skip
def test_reversal_lost_again_and_again_is_carried_on(town: Town, hop: str, mti: str) -> None:
    opening = town.available()
    harm(town, "silent", on("acquirer>terminal", "0210"))
    assert not town.tap(amount="7.00").approved
    ordered = harm(town, "silent", on(hop, mti, "0421"), times=4)
    receipt = town.tap(amount="1.00")  # whatever becomes of the reversal, payments go on
    assert receipt.approved
    for _ in range(6):
        town.net.advance(130_000)
    assert ordered.hits >= 2
    town.drain()
    assert moves(town, opening) == {"lin-yue/156": -100}
    judge(town, opening=opening)


@pytest.mark.parametrize("hop", THERE)
def test_a_reversal_overtakes_its_original(town: Town, hop: str) -> None:
    """The request is held up on its way until its reversal has passed: the original is refused when it comes."""
    opening = town.available()
    ordered = harm(town, "late", on(hop, "0200"), delay_ms=300_000)
    assert not town.tap(amount="7.00").approved
    assert town.tap(amount="1.00").approved
    assert ordered.hits == 1
    town.drain()
    town.net.advance(400_000)
    town.drain()
    assert moves(town, opening) == {"lin-yue/156": -100}
    judge(town, opening=opening)


# fmt: off
#  what         where               what the slip says     what went back in the end
REFUND_FAULTS = [
  ("silent",    "terminal>acquirer", True,  500),
  ("silent",    "acquirer>network",  True,  500),
  ("silent",    "network>acquirer",  True,  500),
  ("silent",    "acquirer>terminal", True,  500),
  ("silent",    "network>issuer",    True,  500),
  ("silent",    "issuer>network",    True,  500),
  ("duplicate", "terminal>acquirer", True,  500),
  ("duplicate", "acquirer>network",  True,  500),
  ("duplicate", "network>acquirer",  True,  500),
  ("duplicate", "acquirer>terminal", True,  500),
  ("duplicate", "network>issuer",    True,  500),
  ("duplicate", "issuer>network",    True,  500),
  ("late",      "terminal>acquirer", True,  500),
  ("late",      "acquirer>network",  True,  500),
  ("late",      "network>acquirer",  True,  500),
  ("late",      "acquirer>terminal", True,  500),
  ("late",      "network>issuer",    True,  500),
  ("malformed", "terminal>acquirer", True,  500),
  ("malformed", "acquirer>network",  True,  500),
  ("malformed", "network>acquirer",  True,  500),
  ("malformed", "acquirer>terminal", True,  500),
  ("bad-mac",   "terminal>acquirer", False, 0),
  ("bad-mac",   "acquirer>network",  False, 0),
  ("bad-mac",   "network>acquirer",  True,  500),
  ("bad-mac",   "acquirer>terminal", True,  500),
  ("bad-mac",   "network>issuer",    True,  500),
  ("bad-mac",   "issuer>network",    True,  500),
]
# fmt: on


@pytest.mark.parametrize(("kind", "hop", "approved", "back"), REFUND_FAULTS)
def test_a_refund_under_a_fault(town: Town, *, kind, hop, approved, back) -> None:
    opening = town.available()
    paid = town.tap(amount="20.00")
    ordered = harm(town, kind, on(hop, "0220" if hop in THERE else "0230"))
    assert town.refund(paid, "5.00").approved == approved
    town.net.advance(3_000)
    town.drain()
    assert ordered.hits == 1
    assert moves(town, opening) == {"lin-yue/156": back - 2_000}
    judge(town, opening=opening)


def test_a_refund_that_waits_in_the_acquirers_queue_is_answered_when_it_gets_through(town: Town) -> None:
    opening = town.available()
    paid = town.tap(amount="20.00")
    harm(town, "silent", on("acquirer>network", "0220"))
    assert town.refund(paid, "5.00").approved
    asked = [passage for passage in town.frames if on("terminal>acquirer", "0220")(passage)]
    assert len(asked) == 1  # nobody had to ask again
    town.drain()
    judge(town, opening=opening)


@pytest.mark.parametrize(("amount", "code", "paid"), [
    ("666.01", "98", 0), ("666.02", "98", 0), ("666.03", "00", 66_603), ("666.04", "98", 0), ("666.05", "98", 0),
    ("666.06", "00", 66_606),
])  # fmt: skip
def test_the_fault_card_orders_faults_by_amount(town: Town, amount: str, code: str, paid: int) -> None:
    opening = town.available()
    assert town.tap("faults", amount=amount).response_code == code
    assert town.tap("debit", amount=amount).response_code == "00"  # no other card does
    town.drain()
    assert moves(town, opening).get("fang-ke/156", 0) == -paid
    judge(town, opening=opening)
