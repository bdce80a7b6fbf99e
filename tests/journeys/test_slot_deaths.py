"""Hosts die and terminals lose power during an insert and while a card's own approval is handed in: nothing is lost or doubled.

As in `test_crashes.py`, in one process, each death exactly where its row says. What the card has approved and the slip says
stays a payment, once, whoever dies; what nobody was told of is taken back.
"""

from collections.abc import Callable

import pytest

from shanfu.links.crash import CRASH_POINTS
from tests.budget import HEAVY
from tests.journeys.judge import judge
from tests.journeys.test_outcomes import said
from tests.journeys.test_unreached import UNREACHED, ready
from tests.journeys.town import Town, money
from tests.journeys.wires import harm, on

ACQUIRER, NETWORK, ISSUER = "acquirer-lantern", "network", "issuer-lantern"
POINTS = CRASH_POINTS if HEAVY else ("before-commit", "after-commit")
ASKED = {ACQUIRER: (1, 2), NETWORK: (1, 2), ISSUER: (1,)}  # how often a host passes its points, there and back
DEATHS = [(host, point, nth) for host, counts in ASKED.items() for point in POINTS for nth in counts]
DUE_DEATHS = [(host, f"due-{point}") for host in (ACQUIRER, NETWORK) for point in POINTS if point != "before-handle"]


@pytest.mark.parametrize("down_ms", [0, 70_000])  # back at once, or after everybody's patience
@pytest.mark.parametrize(("host", "point", "nth"), DEATHS, ids=[f"{h}-{p}-{n}" for h, p, n in DEATHS])
def test_a_host_dies_during_an_insert(town: Town, *, host: str, point: str, nth: int, down_ms: int) -> None:
    opening = town.available()
    assert town.insert("credit", amount="20.00").approved
    town.net.crash_at(host, point, nth=nth, down_ms=down_ms)
    town.insert("credit", amount="7.00")
    town.net.advance(3_000)
    assert town.net._seats[host].crash is None, "it did not die"
    town.drain()
    assert town.insert("credit", amount="3.00").approved
    judge(town, opening=opening)


# the terminal gives up before the host is back, and the card approves what nobody could be asked about (Y3)
LONG_AWAY = [(ACQUIRER, "before-commit", 1), (ACQUIRER, "after-commit", 1), (ACQUIRER, "before-commit", 2)]


@pytest.mark.parametrize(("host", "point", "nth"), LONG_AWAY, ids=[f"{h}-{p}-{n}" for h, p, n in LONG_AWAY])
def test_a_host_dies_and_the_card_decides(town: Town, *, host: str, point: str, nth: int) -> None:
    first = town.available()
    ready(town, UNREACHED)
    town.net.crash_at(host, point, nth=nth, down_ms=90_000)
    assert said(town.insert("cash", "metro", amount="20.00"))[0] == "approved"
    assert town.net._seats[host].crash is None, "it did not die"
    assert town.receipts[-1].offline
    town.drain()
    assert town.insert("cash", "metro", amount="3.00").response_code == "00"
    judge(town, opening=first)


# -- handing in --------------------------------------------------------------------------------------------------------


def paid_alone(town: Town) -> dict[str, int]:
    """Have a card pay alone at the metro, once it has its keys; return what the accounts had before."""
    opening = town.available()
    assert town.sign_in("metro").approved
    assert town.do("metro", lambda it: it.terminal.download()).approved
    assert town.tap("cash", "metro", amount="3.00", pin=None).offline
    return opening


def hand_in(town: Town) -> None:
    town.do("metro", lambda it: it.terminal.reverse_pending())


UPLOAD_DEATHS = [(host, point, 1) for host in ASKED for point in POINTS]


@pytest.mark.parametrize(("host", "point", "nth"), UPLOAD_DEATHS, ids=[f"{h}-{p}" for h, p, _ in UPLOAD_DEATHS])
def test_a_host_dies_while_an_approval_is_handed_in(town: Town, *, host: str, point: str, nth: int) -> None:
    opening = paid_alone(town)
    town.net.crash_at(host, point, nth=nth, down_ms=1_000)
    hand_in(town)
    town.net.advance(5_000)
    assert town.net._seats[host].crash is None, "it did not die"
    town.drain()
    assert town.settle("metro").approved
    judge(town, opening=opening)


@pytest.mark.parametrize("lost", ["acquirer>terminal 0330", "network>acquirer 0230", "issuer>network 0230"])
@pytest.mark.parametrize(("host", "point"), DUE_DEATHS, ids=[f"{h}-{p}" for h, p in DUE_DEATHS])
def test_a_host_dies_while_it_carries_an_approval_on(town: Town, *, host: str, point: str, lost: str) -> None:
    opening = paid_alone(town)
    held = harm(town, "silent", on(*lost.split()))
    town.net.crash_at(host, point, down_ms=1_000)
    hand_in(town)
    town.net.advance(40_000)  # past the first pause of store-and-forward
    assert held.hits == 1
    town.drain()
    assert town.settle("metro").approved
    judge(town, opening=opening)


# -- terminals ---------------------------------------------------------------------------------------------------------


def an_insert(town: Town):
    it = town.till("metro")
    town.typed = ["123456"]
    it.insert(town.stack.enter_context(town.world.card("cash")))
    return it, it.terminal.insert(money("metro", "1.00"))


def a_handing_in(town: Town):
    town.tap("cash", "metro", amount="1.00", pin=None)
    it = town.till("metro")
    return it, it.terminal.reverse_pending()


@pytest.mark.parametrize("lost", [False, True], ids=["before-the-step", "before-its-reply"])
@pytest.mark.parametrize(("begin", "steps"), [(an_insert, 25), (a_handing_in, 4)])
def test_a_terminal_loses_power_at_every_step(town: Town, *, begin: Callable, steps: int, lost: bool) -> None:
    opening = paid_alone(town)
    after = 1
    while True:
        it, dialogue = begin(town)
        if not town.cut("metro", dialogue, after=after, peers=it._peers, lost=lost):
            break
        after += 1
    assert after > steps
    town.close_tills()  # the card is taken out
    town.drain()
    assert town.insert("cash", "metro", amount="2.00").approved
    assert town.settle("metro").approved
    judge(town, opening=opening)
