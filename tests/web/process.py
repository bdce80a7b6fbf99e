"""A household with an HTTPS door as a process of its own: the folder of certificates, the books, the port."""

import sys
from pathlib import Path

from shanfu.clock import SystemClock
from shanfu.links import configure, run_host, server_context
from shanfu.store import Store
from shanfu.web import WebConfig, web_door
from tests.hosts.counter import ROOMS
from tests.web.doors import CLIENTS, WIDE, house


def main() -> None:
    folder, books, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    config = WebConfig(
        hosts=("tsp", "cloud"), port=port, tls=server_context(folder, "tsp-90100000", strangers=True), clients=CLIENTS,
        institution=WIDE, address=WIDE,
    )  # fmt: skip
    configure()
    schema = ROOMS["tsp"].schema.beside(ROOMS["cloud"].schema)
    with Store.open(books, schema=schema, name="house") as store:
        run_host(
            house(), store, [], clock=SystemClock(), doors=[web_door(config)], ready=lambda ports: print(*ports, flush=True)
        )


if __name__ == "__main__":
    main()
