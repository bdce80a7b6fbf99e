"""How hosts hear and speak: equipment that a host owns, and that knows nothing of payments.

A host (`host.py`) is asked to work batches inside one store transaction. Who asks it is the `Worker`: it begins, lets the
host work, commits, and only then sends. Frames reach the worker from TCP (`Hub`, `ServerLink`, `ClientLink`, `run_host`) or,
in one process and under a manual clock, from the loop link (`LoopNet`), where everything can be made to fail on purpose.
A terminal asks through `TerminalLink`, or through a `LoopTerminal`. What a frame is comes in from outside (`Framing`).

A terminal reaches cards that are not in its process through `PCSCCard` (a reader of this machine) or `RemoteCard` (TCP), and a
card of ours lies in somebody else's virtual reader as a `Plug`; `Recorded` writes down what is said.

Files in reading order: host (the third shape of code), turn (the loop of every host), crash (named places to die), framing,
hub (inbox, back-pressure, stations), connection, tcp (listening, calling), http (asking over HTTPS), run (a host as a
process), terminal, phone, faults, loop, tls, log; then cards: transmission (below the APDU), vpcd, apdu, pcsc, trace.
"""

from shanfu.links.apdu import CardDoor, RemoteCard
from shanfu.links.connection import ClientLink, ServerLink
from shanfu.links.crash import CrashPoint, crash_points
from shanfu.links.faults import FaultKind, FaultRule, Passage
from shanfu.links.framing import Framing, FramingFactory
from shanfu.links.host import Books, Host, Inbound, Kind, Outbound, Turn
from shanfu.links.http import Credentials, Door, HTTPLink, asking, certificate_name
from shanfu.links.hub import Hub, Limits, Peer
from shanfu.links.institution import InstitutionLink
from shanfu.links.log import configure, fault_text, redact
from shanfu.links.loop import LoopNet, LoopTerminal
from shanfu.links.pcsc import PCSCCard, list_readers
from shanfu.links.phone import PhoneLink
from shanfu.links.run import run_host
from shanfu.links.tcp import linked
from shanfu.links.terminal import Matches, TerminalLink, any_reply
from shanfu.links.tls import client_context, common_name, issue, make_ca, server_context, visitor_context
from shanfu.links.trace import Difference, Exchange, Recorded, Trace, TraceCard, card_numbers, is_test_card, replay
from shanfu.links.turn import Send, Tally, Worker
from shanfu.links.vpcd import VPCD_PORT, Plug, PoweredCard

# fmt: off
__all__ = [
    "VPCD_PORT", "Books", "CardDoor", "ClientLink", "CrashPoint", "Credentials", "Difference", "Door", "Exchange",
    "FaultKind", "FaultRule", "Framing", "FramingFactory", "HTTPLink", "Host", "Hub", "Inbound", "InstitutionLink", "Kind",
    "Limits", "LoopNet", "LoopTerminal", "Matches", "Outbound", "PCSCCard", "Passage", "Peer", "PhoneLink", "Plug",
    "PoweredCard", "Recorded", "RemoteCard", "Send", "ServerLink", "Tally", "TerminalLink", "Trace", "TraceCard", "Turn",
    "Worker", "any_reply", "asking", "card_numbers", "certificate_name", "client_context", "common_name", "configure",
    "crash_points", "fault_text", "is_test_card", "issue", "linked", "list_readers", "make_ca", "redact", "replay",
    "run_host", "server_context", "visitor_context",
]
# fmt: on
