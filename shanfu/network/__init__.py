"""The network: the switch between acquirers and issuers, which says what the business date is and who owes whom.

In the world: members sign on to it and get their keys from it. It is asked by acquirers, over the interbank dialect, finds the
issuer by the card's BIN, moves the PIN to the issuer's key, asks him, and brings the answer back, or the way back when none
came. Of a token it first asks the token service which card it stands for. Reversals and refunds are its own from the moment it
has accepted them. It asks its HSM and its books, token services and issuers.

Files in reading order: host (batches in, answers out), requests (what arrived), transactions (a stretch of them worked),
token_leg (what is said of tokens), decide (the rules), record (what changes), reasons (the outcomes), prove (what the HSM is
asked), answers and outgoing (what is sent), accounts (what a token stands for), stretch (what is gathered on the way),
management (sign-on, keys), duties (what time asks); books, and one file per book: journal, forward (store-and-forward),
members (with key resets), routes, positions, state (the business date); config; events (what is told), admin (the desk). What
it shares with its members on the wire is `shanfu.hosts`.
"""

from shanfu.hosts import LOOKUP, SEAL, VAULT, JournalLine, State, install_key, mak_label, mmk_label, pik_label
from shanfu.network.admin import (
    Carriage,
    SwitchedLine,
    add_route,
    business_dates,
    close_day,
    current_day,
    dead_letters,
    enrol_member,
    forward_queue,
    journal_lines,
    list_members,
    positions,
    written_positions,
)
from shanfu.network.books import SCHEMA, NetworkBooks
from shanfu.network.config import NetworkConfig
from shanfu.network.forward import Carried
from shanfu.network.host import Network
from shanfu.network.members import MemberRow
from shanfu.network.positions import Position
from shanfu.network.reasons import Reason

__all__ = [
    "LOOKUP", "SCHEMA", "SEAL", "VAULT", "Carriage", "Carried", "JournalLine", "MemberRow", "Network", "NetworkBooks",
    "NetworkConfig", "Position", "Reason", "State", "SwitchedLine", "add_route", "business_dates", "close_day",
    "current_day", "dead_letters", "enrol_member", "forward_queue", "install_key", "journal_lines", "list_members",
    "mak_label", "mmk_label", "pik_label", "positions", "written_positions",
]  # fmt: skip
