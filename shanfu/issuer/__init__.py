"""The issuer: the bank that gave out the card and keeps the account.

In the world: customers, their accounts, the ledger, the cards; it says yes or no to every payment of its cards. It is asked by
the network, over one link in the interbank dialect, and asks nobody but its HSM and its books. Administration (opening
accounts, issuing cards, reading the ledger) comes in through `admin`.

Files in reading order: host (batches in, answers out), requests (what arrived), decide (the rules), record (what changes),
reasons (the outcomes), prove (what the HSM is asked), answers, clearing (what time asks); books, and one file per book: cards,
accounts, customers, journal, ledger; config, policy (with `policy.toml`); events (what is told), admin (the bank's counter),
reconcile (what is compared in the end). Its link to the network, with sign-on, keys and cut-off, is `shanfu.hosts`.
"""

from shanfu.hosts import LOOKUP, SEAL, JournalLine, install_key
from shanfu.issuer.accounts import Account, AccountKind, AccountState, account_name
from shanfu.issuer.admin import (
    AccountOrder,
    CardOrder,
    CardView,
    account_names,
    balance,
    card_state,
    deposit,
    issue_card,
    issue_cards,
    list_accounts,
    open_account,
    open_accounts,
    open_customer,
    reset_pin,
    set_status,
    unlock_pin,
)
from shanfu.issuer.books import SCHEMA, IssuerBooks
from shanfu.issuer.cards import CardState, imk_label
from shanfu.issuer.config import IssuerConfig, pvk_label
from shanfu.issuer.host import Issuer
from shanfu.issuer.ledger import Chart, EntryKind, Line, TrialLine, statement, trial_balance
from shanfu.issuer.policy import Limits, Policy
from shanfu.issuer.reasons import Reason
from shanfu.issuer.reconcile import PostingLine, journal_lines, postings_of, unbalanced

__all__ = [
    "LOOKUP",
    "SCHEMA",
    "SEAL",
    "Account",
    "AccountKind",
    "AccountOrder",
    "AccountState",
    "CardOrder",
    "CardState",
    "CardView",
    "Chart",
    "EntryKind",
    "Issuer",
    "IssuerBooks",
    "IssuerConfig",
    "JournalLine",
    "Limits",
    "Line",
    "Policy",
    "PostingLine",
    "Reason",
    "TrialLine",
    "account_name",
    "account_names",
    "balance",
    "card_state",
    "deposit",
    "imk_label",
    "install_key",
    "issue_card",
    "issue_cards",
    "journal_lines",
    "list_accounts",
    "open_account",
    "open_accounts",
    "open_customer",
    "postings_of",
    "pvk_label",
    "reset_pin",
    "set_status",
    "statement",
    "trial_balance",
    "unbalanced",
    "unlock_pin",
]
