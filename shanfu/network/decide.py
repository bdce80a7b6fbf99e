"""What the network decides: pure functions over facts, in the order in which the trade asks.

First whether the message may be listened to at all (is the sender signed on, is it authentic, does it speak for itself), then
whether it was answered before, then whether it makes sense, and last where it goes. A check returns the reason for a refusal
or None; the chain's order is the order of the tuple.

A token's request goes to the token service. What its answer resolves it to is decided about once more, by the chain of
answers: may the issuer of the card behind it be asked?
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shanfu.hosts import State
from shanfu.iso8583 import EntryMode, Message, ProcessingCode, ResponseCode
from shanfu.network.accounts import Account
from shanfu.network.forward import ForwardRow
from shanfu.network.journal import JournalRow
from shanfu.network.members import MemberRow
from shanfu.network.reasons import Reason
from shanfu.network.requests import ASKED, Arrival, Kind
from shanfu.network.routes import RouteRow

__all__ = ["CHAINS", "Check", "Facts", "decide"]


@dataclass(slots=True)
class Facts:
    """All that a decision may look at. `pin_ok` is None without a PIN, `away` tells that nobody can be asked along the route.

    `tsp` tells that the route leads to a token service. Of an answer about a token: `account`, what the token stands for, and
    `request`, what was kept of the acquirer's.
    """

    arrival: Arrival
    sender: MemberRow | None
    signed_on: bool
    authentic: bool
    before: JournalRow | None = None
    carried: ForwardRow | None = None
    original: JournalRow | None = None
    route: RouteRow | None = None
    tsp: bool = False
    away: bool = True
    pin_keys: bool = True
    pin_ok: bool | None = None
    request: Message | None = None
    account: Account | None = None


Check = Callable[[Facts], Reason | None]


# -- may it be listened to ---------------------------------------------------------------------------------------------


def sender_signed_on(facts: Facts) -> Reason | None:
    """Who has not signed on has no keys in force, so nothing it says can be trusted."""
    return None if facts.signed_on else Reason.NOT_SIGNED_ON


def message_authentic(facts: Facts) -> Reason | None:
    """DE128 must be right under a key in force."""
    return None if facts.authentic else Reason.MAC_WRONG


def name_present(facts: Facts) -> Reason | None:
    """Without DE7, 11, 32 and 33 nothing can be remembered."""
    return None if facts.arrival.name else Reason.FORMAT


def speaks_for_itself(facts: Facts) -> Reason | None:
    """DE32 and DE33, of the message and of an original it names, are the sender's: nobody asks or takes back for another."""
    sender, arrival = facts.sender, facts.arrival
    if sender is None:
        return Reason.NOT_YOURS
    own = f".{sender.institution}.{sender.institution}"
    is_own = arrival.name.endswith(own) and (not arrival.original or arrival.original.endswith(own))
    return None if is_own else Reason.NOT_YOURS


def in_time(facts: Facts) -> Reason | None:
    """A request that waited longer than its sender does is refused instead of worked."""
    return Reason.BUSY if facts.arrival.late and facts.arrival.kind in ASKED else None


# -- was it answered before --------------------------------------------------------------------------------------------


def not_repeated(facts: Facts) -> Reason | None:
    """A repeat gets the stored answer, or nothing while the issuer is asked; with other contents it is refused."""
    arrival, row, item = facts.arrival, facts.before, facts.carried
    if row is not None:
        if row.state == State.TOMBSTONE:
            return Reason.REVERSED_EARLIER
        same = (row.card, row.amount_minor, row.currency, row.processing_code, row.mti[:3]) == _contents(arrival)
        if not same:
            return Reason.DUPLICATE
        if _taken_back(row):
            return Reason.REVERSED_EARLIER
        return Reason.STILL_WAITING if row.state == State.WAITING else Reason.REPEATED
    if item is not None:
        same = (item.card, item.amount_minor, item.currency, item.original, item.mti[:3]) == (
            arrival.card, arrival.amount_minor, arrival.currency, arrival.original, arrival.message.mti[:3],
        )  # fmt: skip
        return Reason.REPEATED if same else Reason.DUPLICATE
    return None


def _taken_back(row: JournalRow) -> bool:
    """Whether the acquirer itself reversed it: its repeat must not be told that it was approved."""
    approved_once = row.state == State.REVERSED and ResponseCode.of(row.response_code).approved
    return approved_once or row.reason == Reason.REVERSED_MEANWHILE.name


def _contents(arrival: Arrival) -> tuple[str, int, str, str, str]:
    message = arrival.message
    return arrival.card, arrival.amount_minor, arrival.currency, message.text(3, ""), message.mti[:3]


# -- does it make sense ------------------------------------------------------------------------------------------------


def kind_known(facts: Facts) -> Reason | None:
    """We serve purchases, balances, voids, refunds, reversals, offline approvals and what became of scripts."""
    return Reason.UNKNOWN_KIND if facts.arrival.kind is Kind.UNKNOWN else None


def well_formed(facts: Facts) -> Reason | None:
    """All fields are there and make sense."""
    return Reason.FORMAT if facts.arrival.fault else None


def sender_acquires(facts: Facts) -> Reason | None:
    """Only an acquirer sends transactions."""
    return None if facts.sender and facts.sender.acquirer else Reason.NOT_ACQUIRER


# -- where does it go --------------------------------------------------------------------------------------------------


def issuer_known(facts: Facts) -> Reason | None:
    """Some route fits the number, and a token's leads nowhere but from a phone, which has neither contacts nor stripe."""
    if facts.route is None:
        return Reason.NO_ISSUER
    return _NOT_A_PHONES.get(facts.arrival.message.text(22, "")[:2]) if facts.tsp else None


def token_asks_online(facts: Facts) -> Reason | None:
    """A token's cryptogram is proved by its service before anybody pays, so nothing of a token is approved offline."""
    return Reason.TOKEN_OFFLINE if facts.tsp else None


def token_takes_no_script(facts: Facts) -> Reason | None:
    """A phone is kept up by its key cloud, not by issuer scripts."""
    return Reason.TOKEN_SCRIPT if facts.tsp else None


def account_is_a_card(facts: Facts) -> Reason | None:
    """What a token stands for is a card, not another token."""
    return Reason.NO_ISSUER if facts.tsp else None


def issuer_there(facts: Facts) -> Reason | None:
    """The link of the issuer, or of the token service, stands, it has signed on, and its keys are agreed."""
    if not facts.away:
        return None
    return Reason.TSP_AWAY if facts.tsp else Reason.ISSUER_AWAY


def pin_keys_there(facts: Facts) -> Reason | None:
    """Both links have a PIN key."""
    return None if facts.pin_keys else Reason.KEYS_MISSING


def pin_readable(facts: Facts) -> Reason | None:
    """The PIN block could be moved from the acquirer's key to the issuer's."""
    return Reason.PIN_UNREADABLE if facts.pin_ok is False else None


# -- what is reversed --------------------------------------------------------------------------------------------------


def original_known(facts: Facts) -> Reason | None:
    """What is told of an original is told of one that went through here."""
    original = facts.original
    return Reason.ORIGINAL_UNKNOWN if original is None or original.state == State.TOMBSTONE else None


def original_reversible(facts: Facts) -> Reason | None:
    """What a card has approved offline is done: the goods are gone, and the card's balance is debited."""
    original = facts.original
    offline = original is not None and original.mti == "0220" and original.processing_code == ProcessingCode.PURCHASE
    return Reason.NOT_REVERSIBLE if offline else None


def original_same(facts: Facts) -> Reason | None:
    """A reversal takes back the whole of its original, on the same card; what else speaks of one speaks of the same."""
    original = facts.original
    if original is None or original.state == State.TOMBSTONE:
        return None
    if original.card != facts.arrival.card:
        return Reason.ORIGINAL_ANOTHER_CARDS
    same = (original.amount_minor, original.currency) == (facts.arrival.amount_minor, facts.arrival.currency)
    return None if same else Reason.AMOUNT_DIFFERS


def original_open(facts: Facts) -> Reason | None:
    """Only what may have moved money is taken back at the issuer; the rest is over, or its reversal is under way."""
    original = facts.original
    if original is None:
        return Reason.TOMBSTONE_KEPT
    return None if original.state in (State.WAITING, State.APPROVED) else Reason.NOTHING_TO_REVERSE


_NOT_A_PHONES: Final = {mode.value: Reason.TOKEN_INSERTED for mode in EntryMode if mode.inserted} | {
    mode.value: Reason.TOKEN_SWIPED for mode in EntryMode if mode.swiped
}
_HEARD: Final[tuple[Check, ...]] = (
    sender_signed_on, message_authentic, name_present, speaks_for_itself, in_time, not_repeated, kind_known, well_formed,
    sender_acquires,
)  # fmt: skip
_ONLINE: Final[tuple[Check, ...]] = (*_HEARD, issuer_known, issuer_there, pin_keys_there, pin_readable)
_RESOLVED: Final[tuple[Check, ...]] = (issuer_known, account_is_a_card, issuer_there, pin_keys_there, pin_readable)
# fmt: off
CHAINS: Final[dict[Kind, tuple[tuple[Check, ...], Reason]]] = {
    Kind.ADVICE_ANSWER: ((issuer_known, account_is_a_card),   Reason.RESOLVED),
    Kind.ANSWER:   (_RESOLVED,                                Reason.RESOLVED),
    Kind.BALANCE:  (_ONLINE,                                  Reason.FORWARDED),
    Kind.OFFLINE:  ((*_HEARD, issuer_known, token_asks_online), Reason.ACCEPTED),
    Kind.PURCHASE: (_ONLINE,                                  Reason.FORWARDED),
    Kind.REFUND:   ((*_HEARD, issuer_known),                  Reason.ACCEPTED),
    Kind.REVERSAL: ((*_HEARD, original_same, original_reversible, original_open), Reason.ACCEPTED),
    Kind.SCRIPT_RESULT: ((*_HEARD, token_takes_no_script, original_known, original_same), Reason.ACCEPTED),
    Kind.UNKNOWN:  (_HEARD,                                   Reason.UNKNOWN_KIND),
    Kind.VOID:     (_ONLINE,                                  Reason.FORWARDED),
}
# fmt: on


def decide(facts: Facts) -> Reason:
    """Return the first refusal of the message's chain, or what becomes of it."""
    checks, outcome = CHAINS[facts.arrival.kind]
    for check in checks:
        reason = check(facts)
        if reason is not None:
            return reason
    return outcome
