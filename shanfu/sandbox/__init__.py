"""The sandbox: the only place that knows everybody. It makes a world, keeps it in a folder, and lets things happen in it.

In the world: the laboratory bench on which banks, shops and people stand side by side. It is asked by the doors (command line,
tests); it asks every party, each through its own door.

Files in reading order: `people.py` (who lives here), `settings.py`, `world.py` (a folder and what is in it), `ceremony.py` and
`build.py` (how it is made), `till.py` (a card at a terminal), `serve.py` and `processes.py` (hosts as processes), `faults.py`,
`story.py` (what is seen), `journals.py` and `reconcile.py` (the judge), `demo.py` (the story that
`./run` plays).
"""

from shanfu.sandbox.build import build, open_or_build
from shanfu.sandbox.demo import Act, free_ports, play
from shanfu.sandbox.faults import FAULT_AMOUNTS, FaultyIssuer
from shanfu.sandbox.journals import business_dates, reconcile_world, require_dates
from shanfu.sandbox.people import CARDS, MERCHANTS, PIN, card_named, merchant_named
from shanfu.sandbox.processes import EventEnds, EventFile, Fleet, read_events, ready_line
from shanfu.sandbox.reconcile import Difference, Finding, Report, Verdict, match
from shanfu.sandbox.serve import serve
from shanfu.sandbox.settings import Settings, Timeouts
from shanfu.sandbox.story import one_story
from shanfu.sandbox.till import Till, acquirer_of, local_till, open_net, running, tcp_till
from shanfu.sandbox.world import HOSTS, PROCESSES, World

__all__ = [
    "CARDS", "FAULT_AMOUNTS", "HOSTS", "MERCHANTS", "PIN", "PROCESSES", "Act", "Difference", "EventEnds", "EventFile",
    "FaultyIssuer", "Finding", "Fleet", "Report", "Settings", "Till", "Timeouts", "Verdict", "World", "acquirer_of",
    "build", "business_dates", "card_named", "free_ports", "local_till", "match", "merchant_named", "one_story", "open_net",
    "open_or_build", "play", "read_events", "ready_line", "reconcile_world", "require_dates", "running", "serve",
    "tcp_till",
]  # fmt: skip
