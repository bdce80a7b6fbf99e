"""Hosts die at every named point of every step, terminals lose power between any two: nothing is lost, nothing happens twice.

A host that starts again is a new one over its books: it remembers nothing else. These are deaths in one process, each exactly
where the row says; `test_processes.py` kills real processes.
"""

import pytest

from shanfu.links.crash import CRASH_POINTS
from shanfu.terminal import Receipt
from tests.journeys.judge import judge
from tests.journeys.town import Town, money
from tests.journeys.wires import harm, on

ACQUIRER, NETWORK, ISSUER = "acquirer-lantern", "network", "issuer-lantern"
# how often each host passes its points on the way there and back
PASSAGES = {ACQUIRER: (1, 2), NETWORK: (1, 2), ISSUER: (1,)}
DEATHS = [(host, point, nth) for host, counts in PASSAGES.items() for point in CRASH_POINTS for nth in counts]
DUE_DEATHS = [(host, f"due-{point}", 1) for host in (ACQUIRER, NETWORK) for point in CRASH_POINTS[1:]]


def paid(town: Town) -> Receipt:
    receipt = town.tap("credit", amount="20.00")
    assert receipt.approved
    return receipt


def purchase(town: Town) -> None:
    town.tap("credit", amount="7.00")


def void(town: Town) -> None:
    town.void(town.receipts[-1])


def refund(town: Town) -> None:
    town.refund(town.receipts[-1], "5.00")


def reversal(town: Town) -> None:
    """A payment whose answer never came, and the reversal before the next one."""
    town.tap("debit", amount="1.00")


STORIES = {"purchase": purchase, "void": void, "refund": refund, "reversal": reversal}


# back at once, or after the terminal's wire was seen to break, or after everybody's patience
@pytest.mark.parametrize(
    ("story", "down_ms"), [("purchase", 0), ("purchase", 70_000), ("void", 0), ("refund", 20_000), ("reversal", 20_000)]
)
@pytest.mark.parametrize(("host", "point", "nth"), DEATHS, ids=[f"{h}-{p}-{n}" for h, p, n in DEATHS])
def test_a_host_dies_at_a_point(town: Town, *, host: str, point: str, nth: int, story: str, down_ms: int) -> None:
    opening = town.available()
    paid(town)
    if story == "reversal":
        harm(town, "silent", on("acquirer>terminal", "0210"))
        town.tap("credit", amount="7.00")
    town.net.crash_at(host, point, nth=nth, down_ms=down_ms)
    STORIES[story](town)
    town.net.advance(3_000)
    assert town.net._seats[host].crash is None, "it did not die"
    town.drain()
    assert town.tap("credit", amount="3.00").approved
    judge(town, opening=opening)


@pytest.mark.parametrize("lost", ["acquirer>terminal", "network>acquirer", "issuer>network"])
@pytest.mark.parametrize(("host", "point", "nth"), DUE_DEATHS, ids=[f"{h}-{p}" for h, p, _ in DUE_DEATHS])
def test_a_host_dies_while_it_carries_a_reversal_on(town: Town, *, host: str, point: str, nth: int, lost: str) -> None:
    opening = town.available()
    paid(town)
    harm(town, "silent", on(lost, "0210"))
    town.net.crash_at(host, point, nth=nth, down_ms=1_000)
    assert not town.tap("credit", amount="7.00").approved
    assert town.tap("debit", amount="1.00").title == "purchase"
    town.net.advance(3_000)
    town.drain()
    judge(town, opening=opening)


@pytest.mark.parametrize("lost", [False, True], ids=["before-the-step", "before-its-reply"])
def test_a_terminal_loses_power_at_every_step_of_a_payment(town: Town, *, lost: bool) -> None:
    opening = town.available()
    assert town.tap().approved
    after, cuts = 1, 0
    while True:
        it = town.till()
        with town.world.card("debit") as held:
            it.reader.present(held)
            dialogue = it.terminal.pay(money("teahouse", "1.00"))
            if not town.cut("teahouse", dialogue, after=after, peers=it._peers, lost=lost):
                break
        after, cuts = after + 1, cuts + 1
        if after % 5 == 0:
            assert town.tap("debit-sm4", amount="0.10").approved  # what was cut off is reversed first
    assert cuts >= 8
    town.drain()
    judge(town, opening=opening)
