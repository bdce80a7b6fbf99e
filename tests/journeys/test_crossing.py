"""Two payments under way at once, and their messages cross: each gets its own answer."""

from contextlib import ExitStack

import pytest

from shanfu.sandbox import PIN
from tests.journeys.judge import judge
from tests.journeys.test_outcomes import moves
from tests.journeys.town import Town, money
from tests.journeys.wires import harm, on
from tests.simulation.counter import Counter


def begin(town: Town, merchant: str, card: str, amount: str) -> Counter:
    counter, at_end = Counter(town, merchant, lambda _: PIN), ExitStack()
    held = at_end.enter_context(town.world.card(card))
    counter.till.reader.present(held)
    counter.begin(counter.till.terminal.pay(money(merchant, amount)), at_end)
    return counter


def let_pass(town: Town, *counters: Counter, seconds: int) -> None:
    for _ in range(seconds):
        town.net.advance(1_000)
        for counter in counters:
            counter.poll()


@pytest.mark.parametrize(("kind", "hop", "mti"), [
    ("reordered", "acquirer>network",  "0200"),
    ("reordered", "network>issuer",    "0200"),
    ("reordered", "issuer>network",    "0210"),
    ("reordered", "network>acquirer",  "0210"),
    ("late",      "issuer>network",    "0210"),
    ("late",      "network>acquirer",  "0210"),
    ("duplicate", "issuer>network",    "0210"),
    ("duplicate", "network>acquirer",  "0210"),
])  # fmt: skip
@pytest.mark.parametrize("other", ["debit-sm4", "credit"], ids=["one-account", "two-accounts"])
def test_two_payments_cross(town: Town, *, kind: str, hop: str, mti: str, other: str) -> None:
    opening = town.available()
    for merchant in ("teahouse", "bookshop"):
        assert town.sign_in(merchant).approved
    town.close_tills()
    ordered = harm(town, kind, on(hop, mti), delay_ms=5_000)
    first = begin(town, "teahouse", "debit", "7.00")
    second = begin(town, "bookshop", other, "9.00")
    let_pass(town, first, second, seconds=20)
    assert (first.busy, second.busy, ordered.hits) == (False, False, 1)
    paid = {receipt.amount.plain: receipt for receipt in town.receipts if receipt.amount}
    assert {amount: receipt.approved for amount, receipt in paid.items()} == {"7.00": True, "9.00": True}
    assert paid["7.00"].rrn != paid["9.00"].rrn
    assert -sum(moves(town, opening).values()) == 1_600
    for counter in (first, second):
        counter.cut_power()
    town.drain()
    judge(town, opening=opening)
