"""The acquirer: the merchant's bank, which terminals speak to and which speaks for them to the network.

In the world: it enrols merchants, installs terminals and their keys, knows each payment under the terminal's name and under
the interbank one, settles batches. It is asked by terminals, each over its own connection in the terminal dialect; it asks
the network, over one link in the interbank dialect, and its HSM and books. It never learns what a PIN is. Administration
(merchants, terminals, lists) comes in through `admin`.

Files in reading order: host (batches in, answers and requests out), requests (what a terminal sent), stretch (transactions,
from proof to answer), decide (the rules), record (what changes), reasons (the outcomes), prove (what the HSM is asked),
interbank (what leaves for the network), answers (what goes back), outtray (sealing), day (sign-in, downloads, settlement),
management (what a sign-on sets going), deadlines (what time asks); books, and one file per book: journal, forward, batches,
merchants, terminals, downloads, numbers; config; events (what is told), admin (the back office), parameters (what it gives
terminals to download). What every member of the network has (its link, sign-on, keys, cut-off) is `shanfu.hosts`.
"""

from shanfu.acquirer.admin import (
    BatchView,
    MerchantOrder,
    TerminalLine,
    close_merchant,
    dead_letters,
    enrol_merchant,
    enrol_terminal,
    forward_queue,
    journal_lines,
    list_batches,
    list_merchants,
    list_terminals,
    revive,
)
from shanfu.acquirer.batches import Batch, BatchState
from shanfu.acquirer.books import SCHEMA, AcquirerBooks
from shanfu.acquirer.config import AcquirerConfig, tmk_label
from shanfu.acquirer.forward import Forward, ForwardKind, ForwardState
from shanfu.acquirer.host import Acquirer
from shanfu.acquirer.journal import PaymentKind
from shanfu.acquirer.merchants import Merchant
from shanfu.acquirer.parameters import (
    add_ca_key,
    assign_terminal,
    list_aids,
    list_ca_keys,
    remove_aid,
    remove_ca_key,
    set_aid,
)
from shanfu.acquirer.reasons import Reason
from shanfu.acquirer.terminals import Terminal
from shanfu.hosts import LOOKUP, SEAL, State, install_key, mak_label, pik_label

__all__ = [
    "LOOKUP", "SCHEMA", "SEAL", "Acquirer", "AcquirerBooks", "AcquirerConfig", "Batch", "BatchState", "BatchView", "Forward",
    "ForwardKind", "ForwardState", "Merchant", "MerchantOrder", "PaymentKind", "Reason", "State", "Terminal", "TerminalLine",
    "add_ca_key", "assign_terminal", "close_merchant", "dead_letters", "enrol_merchant", "enrol_terminal", "forward_queue",
    "install_key", "journal_lines", "list_aids", "list_batches", "list_ca_keys", "list_merchants", "list_terminals",
    "mak_label", "pik_label", "remove_aid", "remove_ca_key", "revive", "set_aid", "tmk_label",
]  # fmt: skip
