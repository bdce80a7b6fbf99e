"""Real processes, killed while people pay: SIGKILL at named points and at any moment, of any host, again and again."""

import random
import time
from collections import Counter
from itertools import groupby
from operator import itemgetter

import pytest

from shanfu.links.crash import CRASH_POINTS
from shanfu.sandbox import PROCESSES, Fleet
from tests.budget import HEAVY, examples
from tests.journeys.city import opening_of, prepared, running, settle_accounts, shopping

ALL_NAMED = [(host, point) for host in PROCESSES for point in CRASH_POINTS if "harbour" not in host]
# fmt: off
SOME_NAMED = [
  ("acquirer-lantern", "after-commit"),
  ("issuer-lantern",   "after-commit"),
  ("network",          "before-commit"),
  ("network",          "after-send"),
]
# fmt: on
NAMED = ALL_NAMED if HEAVY else SOME_NAMED
RANDOM_KILLS = examples(4, heavy=36)
A_DAY_ENDS_EVERY = 7  # kills: an account may make fifty payments a day
PATIENCE_S = 30


@pytest.mark.parametrize("tls", [True, False] if HEAVY else [True], ids=lambda tls: "tls" if tls else "plain")
def test_hosts_are_killed_while_people_pay(folder, tls: bool, record_property) -> None:
    world, dice, killed = prepared(folder, tls=tls), random.Random(11), 0
    opening = opening_of(world)
    with running(world) as fleet:
        with shopping(world, seed=5) as shoppers:
            for host, points in groupby(NAMED, key=itemgetter(0)):
                fleet.kill(host)
                for _, point in points:
                    die_at(fleet, host, f"{point}:{dice.randrange(1, 6)}")
                    killed += 1
                fleet.start([host])
            days = 0
            while killed < len(NAMED) + RANDOM_KILLS:
                time.sleep(dice.random() * 0.6)
                hosts = dice.sample(PROCESSES, min(dice.choice((1, 1, 2, 3)), len(NAMED) + RANDOM_KILLS - killed))
                for host in hosts:
                    fleet.kill(host)
                time.sleep(dice.choice((0, 0, 0.3, 2.5)))
                fleet.start(hosts)
                killed += len(hosts)
                if (killed - len(NAMED)) // A_DAY_ENDS_EVERY > days:
                    fleet.close_day()
                    days += 1
            fleet.wait_signed_on()
            time.sleep(1)
        assert fleet.fallen() == []
    receipts = [receipt for shopper in shoppers for receipt in shopper.receipts]
    settle_accounts(world, receipts, opening=opening)
    approved = sum(receipt.approved for receipt in receipts)
    ends = Counter(str(receipt.reason or "approved") + receipt.response_code for receipt in receipts)
    record_property("kills", killed)
    print(f"{killed} kills, {len(receipts)} receipts, seed 11: {dict(ends.most_common())}")
    assert killed == len(NAMED) + RANDOM_KILLS
    assert approved > killed


def die_at(fleet: Fleet, host: str, point: str) -> None:
    """Start this host so that it kills itself at the point, and wait until it has."""
    fleet.start([host], environment={"SHANFU_CRASH_AT": f"{host}:{point}"})
    until = time.monotonic() + PATIENCE_S
    while host not in fleet.fallen():
        assert time.monotonic() < until, f"{host} never came to {point}"
        time.sleep(0.02)
    fleet.forget(host)
