"""`python -m benchmarks.serve`: a host as `shanfu serve` runs it, whose grouping of commits can be switched while it runs.

SIGUSR1 makes each message commit alone, SIGUSR2 lets all that has arrived share a commit again. So both ways are measured in
turns on the same process and the same books. Which host is said in the first argument: the folder of an issuer made by
`auth`, or with `--world` a world and the name of its host.
"""

import json
import os
import signal
import sys
from pathlib import Path

from shanfu.clock import SystemClock
from shanfu.hsm import SoftHSM, load_lmk
from shanfu.issuer import SCHEMA, Issuer, IssuerConfig
from shanfu.iso8583 import InterbankFrames
from shanfu.links import Limits, ServerLink, configure, run_host
from shanfu.store import Store

NETWORK = "00010000"


def switchable() -> Limits:
    """Return limits that the two signals change; nobody else may, hence the way around `frozen`."""
    limits = Limits()
    usual = limits.group_frames
    signal.signal(signal.SIGUSR1, lambda *_: object.__setattr__(limits, "group_frames", 1))
    signal.signal(signal.SIGUSR2, lambda *_: object.__setattr__(limits, "group_frames", usual))
    return limits


def ready(ports: list[int]) -> None:
    """Say where it listens."""
    print(json.dumps({"ports": ports, "pid": os.getpid()}), flush=True)


def issuer(folder: Path, institution: str) -> None:
    """Run an issuer alone over its books."""
    host = Issuer(IssuerConfig(institution=institution, network=NETWORK), SoftHSM(load_lmk(folder / "lmk")))
    link = ServerLink(host="127.0.0.1", port=0, framing=InterbankFrames, identify=lambda _: NETWORK, idle_frame=b"0000")
    with Store.open(folder / "books.db", schema=SCHEMA, name="issuer") as store:
        run_host(host, store, [link], clock=SystemClock(), limits=switchable(), ready=ready)


if __name__ == "__main__":
    configure()
    issuer(Path(sys.argv[1]), sys.argv[2])
