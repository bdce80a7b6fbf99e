"""`python -m benchmarks.serve`: a host as `shanfu serve` runs it, whose grouping of commits can be switched while it runs.

SIGUSR1 makes each message commit alone, SIGUSR2 lets all that has arrived share a commit again. So both ways are measured in
turns on the same process and the same books. Arguments: `issuer FOLDER INSTITUTION`, `world FOLDER NAME`, or `phones FOLDER`.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from shanfu.clock import SystemClock
from shanfu.hsm import SoftHSM, load_lmk
from shanfu.iso8583 import InterbankFrames
from shanfu.issuer import SCHEMA, Issuer, IssuerConfig
from shanfu.links import Limits, ServerLink, configure, run_host
from shanfu.store import Store

NETWORK = "00010000"


def switchable(limits: Limits) -> Limits:
    """Let the two signals change these limits; nobody else may, hence the way around `frozen`."""
    usual = limits.group_frames
    signal.signal(signal.SIGUSR1, lambda *_: object.__setattr__(limits, "group_frames", 1))
    signal.signal(signal.SIGUSR2, lambda *_: object.__setattr__(limits, "group_frames", usual))
    return limits


def ready(ports: list[int]) -> None:
    """Say where it listens."""
    print(json.dumps({"ports": ports, "pid": os.getpid()}), flush=True)


def issuer_alone(folder: Path, institution: str) -> None:
    """Run an issuer over the books in a folder."""
    host = Issuer(IssuerConfig(institution=institution, network=NETWORK), SoftHSM(load_lmk(folder / "lmk")))
    link = ServerLink(host="127.0.0.1", port=0, framing=InterbankFrames, identify=lambda _: NETWORK, idle_frame=b"0000")
    with Store.open(folder / "books.db", schema=SCHEMA, name="issuer") as store:
        run_host(host, store, [link], clock=SystemClock(), limits=switchable(Limits()), ready=ready)


def of_world(folder: Path, name: str) -> None:
    """Run a host of a sandbox's world."""
    from shanfu.sandbox import HOSTS, World
    from shanfu.sandbox.serve import is_interbank_reversal, is_pos_reversal, limits_of, links_of

    world = World.open(folder)
    kind = HOSTS[name].kind
    limits, urgent = switchable(limits_of(world, name)), is_pos_reversal if kind == "acquirer" else is_interbank_reversal
    with world.store(name) as store:
        run_host(world.host(name), store, links_of(world, name), clock=world.clock, limits=limits, urgent=urgent, ready=ready)


def for_phones(folder: Path) -> None:
    """Run a world's household of network, token service and key cloud behind its HTTPS door, without links."""
    from shanfu.links import server_context
    from shanfu.sandbox import HOSTS, World
    from shanfu.web import Rate, WebConfig, web_door

    world = World.open(folder)
    tls = server_context(folder / "ca", HOSTS["network"].id, strangers=True)
    wide = Rate(per_s=1e9, burst=1e9)  # all phones of a load come from one address
    door = web_door(WebConfig(hosts=("tsp", "cloud"), port=0, tls=tls, address=wide))
    with world.store("network") as store:
        host = world.host("network")
        run_host(host, store, [], clock=world.clock, limits=switchable(Limits()), ready=ready, doors=[door])


if __name__ == "__main__":
    configure(level="error")
    tasks: dict[str, Callable[..., None]] = {"issuer": issuer_alone, "world": of_world, "phones": for_phones}
    tasks[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
