"""The issuer: the bank that gave out the card and keeps the account.

In the world: customers, their accounts, the ledger, the cards; it says yes or no to every payment of its cards. It is asked by
the network, over one link in the interbank dialect, and by the token service in JSON calls; it tells that service what happens
to cards. Administration (opening accounts, issuing cards, reading the ledger) comes in through `admin`.

Files in reading order: host (batches in, answers out), requests (what arrived), decide (which rules, in which order), checks
and originals (the rules), record (what changes), reasons (the outcomes), prove (what the HSM is asked), answers, clearing (what
time asks); books, and one file per book: cards, accounts, customers, journal, ledger, certificates (offline approvals), scripts
(orders for cards; script_orders: how staff give them); cash (what lies on cards); config, policy (with `policy.toml`); events
(what is told), admin (the bank's counter), reconcile (what is compared in the end). Its link to the network, with sign-on, keys
and cut-off, is `shanfu.hosts`.

For cards in phones: counter (what the token service asks), eligibility (may this card become a token), idv (is this its
holder), token_policy, passwords; the books tokens, codes and sms; card_events (lost, stolen, replaced), phones (which of them
paid), inbox (who takes the texts), dry_run (what would change under another policy).
"""

from shanfu.hosts import LOOKUP, SEAL, JournalLine, install_key
from shanfu.issuer.accounts import Account, AccountKind, AccountState, account_name
from shanfu.issuer.admin import (
    AccountOrder,
    CardOrder,
    CardView,
    Contact,
    account_names,
    balance,
    card_state,
    cash_of,
    deposit,
    issue_card,
    issue_cards,
    list_accounts,
    open_account,
    open_accounts,
    open_customer,
    reset_pin,
    set_contact,
    set_status,
    unlock_pin,
)
from shanfu.issuer.books import SCHEMA, IssuerBooks
from shanfu.issuer.card_events import CardReport, delete_tokens, report_card, resume_tokens, suspend_tokens
from shanfu.issuer.cards import CardState, imk_label
from shanfu.issuer.config import CVK, DESK_PIK, IssuerConfig, pvk_label
from shanfu.issuer.dry_run import DryRun, dry_run
from shanfu.issuer.host import Issuer
from shanfu.issuer.inbox import codes_for_caller, messages_to, take_messages
from shanfu.issuer.ledger import Chart, EntryKind, Line, TrialLine, statement, trial_balance
from shanfu.issuer.phones import PaymentView, PhoneView, card_reference, list_tokens, payments_of, tokens_of
from shanfu.issuer.policy import Limits, Policy
from shanfu.issuer.reasons import Reason
from shanfu.issuer.reconcile import PostingLine, journal_lines, postings_of, unbalanced
from shanfu.issuer.script_orders import ScriptOrder, ScriptView, cancel_script, list_scripts, order_script
from shanfu.issuer.scripts import PUT_DATA, ChipState, ScriptKind, ScriptState
from shanfu.issuer.sms import Message, Messenger
from shanfu.issuer.token_policy import TokenPolicy, TokenProduct

__all__ = [
    "CVK",
    "DESK_PIK",
    "LOOKUP",
    "PUT_DATA",
    "SCHEMA",
    "SEAL",
    "Account",
    "AccountKind",
    "AccountOrder",
    "AccountState",
    "CardOrder",
    "CardReport",
    "CardState",
    "CardView",
    "Chart",
    "ChipState",
    "Contact",
    "DryRun",
    "EntryKind",
    "Issuer",
    "IssuerBooks",
    "IssuerConfig",
    "JournalLine",
    "Limits",
    "Line",
    "Message",
    "Messenger",
    "PaymentView",
    "PhoneView",
    "Policy",
    "PostingLine",
    "Reason",
    "ScriptKind",
    "ScriptOrder",
    "ScriptState",
    "ScriptView",
    "TokenPolicy",
    "TokenProduct",
    "TrialLine",
    "account_name",
    "account_names",
    "balance",
    "cancel_script",
    "card_reference",
    "card_state",
    "cash_of",
    "codes_for_caller",
    "delete_tokens",
    "deposit",
    "dry_run",
    "imk_label",
    "install_key",
    "issue_card",
    "issue_cards",
    "journal_lines",
    "list_accounts",
    "list_scripts",
    "list_tokens",
    "messages_to",
    "open_account",
    "open_accounts",
    "open_customer",
    "order_script",
    "payments_of",
    "postings_of",
    "pvk_label",
    "report_card",
    "reset_pin",
    "resume_tokens",
    "set_contact",
    "set_status",
    "statement",
    "suspend_tokens",
    "take_messages",
    "tokens_of",
    "trial_balance",
    "unbalanced",
    "unlock_pin",
]
