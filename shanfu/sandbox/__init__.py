"""The sandbox: the only place that knows everybody. It makes a world, keeps it in a folder, and lets things happen in it.

In the world: the laboratory bench on which banks, shops and people stand side by side. It is asked by the doors (command line,
tests); it asks every party, each through its own door.

Files in reading order: `people.py` (who lives here), `settings.py`, `world.py` (a folder and what is in it), `ceremony.py` and
`build.py` (how it is made), `apis.py` (who asks whom over HTTPS), `till.py` (a card or a phone at a terminal), `phones.py` and
`holder.py` (who holds a phone), `desk.py` (a bank's staff), `serve.py` and `processes.py` (hosts as processes), `faults.py`,
`story.py` (what is seen), `journals.py` and `reconcile.py` (the judge), `demo.py` (the story that `./run` plays).
"""

from shanfu.sandbox.build import build, open_or_build
from shanfu.sandbox.demo import Act, free_ports, play
from shanfu.sandbox.desk import cancel_card_script, change_token, order_card_script, reconcile_tokens, report_card
from shanfu.sandbox.faults import FAULT_AMOUNTS, FaultyIssuer
from shanfu.sandbox.holder import Holder, a_holder, hold, inbox
from shanfu.sandbox.journals import business_dates, reconcile_world, require_dates
from shanfu.sandbox.people import (
    BINS,
    CARDS,
    MERCHANTS,
    PHONES,
    PIN,
    TOKEN_BINS,
    bank_of_card,
    card_named,
    merchant_named,
    phone_named,
)
from shanfu.sandbox.processes import EventEnds, EventFile, Fleet, read_events, ready_line
from shanfu.sandbox.reconcile import Difference, Finding, Report, Verdict, match
from shanfu.sandbox.serve import serve
from shanfu.sandbox.settings import Settings, Timeouts
from shanfu.sandbox.story import one_story
from shanfu.sandbox.till import (
    Feeds,
    LocalWorld,
    RemoteWorld,
    Till,
    a_world,
    acquirer_of,
    local_till,
    local_world,
    open_net,
    provoke,
    remote_world,
    running,
    tcp_till,
)  # fmt: skip
from shanfu.sandbox.world import HOSTS, PROCESSES, World

__all__ = [
    "BINS", "CARDS", "FAULT_AMOUNTS", "HOSTS", "MERCHANTS", "PHONES", "PIN", "PROCESSES", "TOKEN_BINS", "Act", "Difference",
    "EventEnds", "EventFile", "FaultyIssuer", "Feeds", "Finding", "Fleet", "Holder", "LocalWorld", "RemoteWorld", "Report",
    "Settings", "Till", "Timeouts", "Verdict", "World", "a_holder", "a_world", "acquirer_of", "bank_of_card", "build",
    "business_dates", "cancel_card_script", "card_named", "change_token", "free_ports", "hold", "inbox", "local_till",
    "local_world", "match", "merchant_named", "one_story", "open_net", "open_or_build", "order_card_script", "phone_named",
    "play", "provoke", "read_events", "ready_line", "reconcile_tokens", "reconcile_world", "remote_world", "report_card",
    "require_dates", "running", "serve", "tcp_till",
]  # fmt: skip
