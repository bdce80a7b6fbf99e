"""What acquirer, network and issuer have in common on the interbank wire, so that each of them holds only what is its own.

It is no party: nobody speaks to it, and it has no life of its own. A host that is a member of the network (acquirer, issuer)
stands on all of it; the network on all but the member's side. Standing on links, hsm, store and iso8583, it knows no card, no
account and no merchant.

Reading order:
    keys          labels, installing a key, trying the newest first
    macs          proving and making the MACs of interbank messages
    wire          names, dates, answers to management, frames sent back
    config        what a member is told
    links         its link, its closed days, its keys: the books of a member
    management    the member's side of network management
    journal       the states and lines in which the three journals agree
    reasons       what all reasons have
    events        what is told of the wire and of decisions
    desk          the counter for calls of the JSON wire: repeats, questions in turn, notices (desk_books: its tables)
    household     several hosts as one, over one store
"""

from shanfu.hosts.config import MemberConfig, check_institution, check_positive
from shanfu.hosts.desk import Answer, Desk, Handler, OnReply, Visit
from shanfu.hosts.desk_books import DeskBooks, DeskShelves, Origin
from shanfu.hosts.events import interbank_event, money_text, told_checks
from shanfu.hosts.household import Household, HouseholdBooks, by_operation
from shanfu.hosts.journal import BY_NAME, JournalLine, Lines, State, overdue
from shanfu.hosts.keys import LOOKUP, SEAL, VAULT, install_key, mak_label, mmk_label, pik_label, try_keys
from shanfu.hosts.links import ClosedDay, LinkRow, LinkState, MemberBooks, MemberShelves
from shanfu.hosts.macs import MACTrial, interbank_algorithm, interbank_trial, right_macs, seal_interbank
from shanfu.hosts.management import MemberManagement
from shanfu.hosts.reasons import HostReason
from shanfu.hosts.wire import (
    business_date,
    institution,
    management_answer,
    name_of,
    opened,
    original_data,
    original_name,
    rejected,
    sent_at,
    written,
)

__all__ = [
    "BY_NAME",
    "LOOKUP",
    "SEAL",
    "VAULT",
    "Answer",
    "ClosedDay",
    "Desk",
    "DeskBooks",
    "DeskShelves",
    "Handler",
    "HostReason",
    "Household",
    "HouseholdBooks",
    "JournalLine",
    "Lines",
    "LinkRow",
    "LinkState",
    "MACTrial",
    "MemberBooks",
    "MemberConfig",
    "MemberManagement",
    "MemberShelves",
    "OnReply",
    "Origin",
    "State",
    "Visit",
    "business_date",
    "by_operation",
    "check_institution",
    "check_positive",
    "install_key",
    "institution",
    "interbank_algorithm",
    "interbank_event",
    "interbank_trial",
    "mak_label",
    "management_answer",
    "mmk_label",
    "money_text",
    "name_of",
    "opened",
    "original_data",
    "original_name",
    "overdue",
    "pik_label",
    "rejected",
    "right_macs",
    "seal_interbank",
    "sent_at",
    "told_checks",
    "try_keys",
    "written",
]  # fmt: skip
