"""The token service provider: it makes tokens of cards, keeps the vault, and says in each payment what a token is worth.

In the world: a member of the network that neither acquires nor issues. Token requestors (the key cloud, for the banks' apps)
ask it for tokens, key sets and the state of both; issuers tell it what happened to cards and tokens; the network asks it which
PAN a token stands for and whether the payment may go on. It asks issuers whether a card may become a token, and has them
verify their customers. Requestors and issuers are told of every change until they acknowledge it.

Files in reading order: host (batches in, answers out); the life of tokens: life_cycle (the table), changes (how it is applied),
vault (tokens, cards, PARs), requestors (who may ask), enrolments, diary; payments: payment (what the network asks), checks (the
table), resolve (the judgement), window, limits, record (what changes), history, key_sets, key_desk (what the key cloud asks);
books, tables, config.
"""

from shanfu.hosts import LOOKUP, SEAL, JournalLine, install_key
from shanfu.tsp.admin import (
    Paid,
    RangeOrder,
    RequestorOrder,
    TokenCase,
    add_token_range,
    delete_tokens,
    enrol_requestor,
    find_number,
    list_ranges,
    list_requestors,
    list_tokens,
    reconcile,
    reperso_tokens,
    resume_tokens,
    set_requestor,
    show,
    suspend_tokens,
)
from shanfu.tsp.books import SCHEMA, TSPBooks
from shanfu.tsp.changes import Cause, LifeCycle
from shanfu.tsp.checks import TOKEN_CHECKS, Check, Verdict
from shanfu.tsp.config import VAULT, TSPConfig, VelocityRules, imk_label, pan_label
from shanfu.tsp.decision import Decision, combine, narrowed
from shanfu.tsp.diary import Channel, DiaryRow
from shanfu.tsp.history import journal_lines
from shanfu.tsp.host import TSP
from shanfu.tsp.life_cycle import TRANSITIONS, Outcome, Result, Rule, Step, step
from shanfu.tsp.reconcile import Drift, DriftKind, compare, mend
from shanfu.tsp.requestors import RequestorState
from shanfu.tsp.tables import PREFIX

__all__ = [
    "LOOKUP",
    "PREFIX",
    "SCHEMA",
    "SEAL",
    "TOKEN_CHECKS",
    "TRANSITIONS",
    "TSP",
    "VAULT",
    "Cause",
    "Channel",
    "Check",
    "Decision",
    "DiaryRow",
    "Drift",
    "DriftKind",
    "JournalLine",
    "LifeCycle",
    "Outcome",
    "Paid",
    "RangeOrder",
    "RequestorOrder",
    "RequestorState",
    "Result",
    "Rule",
    "Step",
    "TSPBooks",
    "TSPConfig",
    "TokenCase",
    "VelocityRules",
    "Verdict",
    "add_token_range",
    "combine",
    "compare",
    "delete_tokens",
    "enrol_requestor",
    "find_number",
    "imk_label",
    "install_key",
    "journal_lines",
    "list_ranges",
    "list_requestors",
    "list_tokens",
    "mend",
    "narrowed",
    "pan_label",
    "reconcile",
    "reperso_tokens",
    "resume_tokens",
    "set_requestor",
    "show",
    "step",
    "suspend_tokens",
]
