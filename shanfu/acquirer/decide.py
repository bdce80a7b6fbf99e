"""The acquirer's judgement: a chain of small named checks per kind of request, over facts, without side effects.

Each check returns the reason to refuse, or None. What passes them all is forwarded; the issuer decides about the money. The
rules are here once, whatever database the books lie in. The order is: is it a message, is the terminal one of ours, signed in
and where it says it stands, is it really his message, may he do this, is the original what he says, can the PIN travel, is
there a network.

`repeated` stands before all of them: a name that the journal has is answered from the journal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shanfu.acquirer.forward import Forward
from shanfu.acquirer.journal import JournalRow, PaymentKind
from shanfu.acquirer.merchants import Merchant
from shanfu.acquirer.reasons import Reason
from shanfu.acquirer.requests import Request
from shanfu.acquirer.terminals import Terminal
from shanfu.hosts import State
from shanfu.iso8583 import ChipCondition, EntryMode

__all__ = ["CHAINS", "Check", "Decision", "Facts", "decide", "repeated", "reversal_outcome"]


@dataclass(slots=True)
class Facts:
    """All that a decision may look at.

    `merchant` is the terminal's, `original` what DE61 names; `mac_right` and `pin` are the HSM's verdicts. Of a script result:
    `before` and `noted` are the payment and the script result that its name was given to already.
    """

    request: Request
    terminal: Terminal | None = None
    merchant: Merchant | None = None
    original: JournalRow | None = None
    before: JournalRow | None = None
    noted: Forward | None = None
    mac_right: bool = False
    pin: bytes | None = None  # the block under the network's key
    network_up: bool = False


Check = Callable[[Facts], Reason | None]


# -- who is speaking ---------------------------------------------------------------------------------------------------


def message_form(facts: Facts) -> Reason | None:
    """The message has the fields of its kind, and they are well formed."""
    return Reason.FORMAT if facts.request.fault else None


def terminal_known(facts: Facts) -> Reason | None:
    """The terminal is one of ours."""
    return None if facts.terminal else Reason.TERMINAL_UNKNOWN


def signed_in(facts: Facts) -> Reason | None:
    """A sign-in stands."""
    assert facts.terminal
    return None if facts.terminal.signed_in else Reason.NOT_SIGNED_IN


def merchant_known(facts: Facts) -> Reason | None:
    """The terminal's merchant is still served, and is the one that the message names."""
    if facts.merchant is None or not facts.merchant.open:
        return Reason.MERCHANT_UNKNOWN
    return None if facts.request.merchant == facts.merchant.merchant else Reason.TERMINAL_ELSEWHERE


def message_mac(facts: Facts) -> Reason | None:
    """The terminal's key made DE64, over these bytes."""
    return None if facts.mac_right else Reason.MAC_WRONG


# -- what it may do ----------------------------------------------------------------------------------------------------


def still_awaited(facts: Facts) -> Reason | None:
    """The terminal still waits for the answer."""
    return Reason.BUSY if facts.request.late else None


def batch_open(facts: Facts) -> Reason | None:
    """The batch is the one that the last sign-in gave."""
    assert facts.terminal
    return None if facts.request.batch == facts.terminal.batch else Reason.BATCH_WRONG


def currency(facts: Facts) -> Reason | None:
    """The currency is the merchant's."""
    assert facts.merchant
    return None if facts.request.currency == facts.merchant.currency else Reason.CURRENCY_DIFFERS


def kind_known(facts: Facts) -> Reason | None:
    """We serve such messages."""
    return Reason.UNKNOWN_KIND if facts.request.kind is PaymentKind.UNKNOWN else None


def kind_permitted(facts: Facts) -> Reason | None:
    """The merchant may do this; an offline approval is a purchase."""
    assert facts.merchant
    kind = PaymentKind.PURCHASE if facts.request.kind is PaymentKind.OFFLINE else facts.request.kind
    return None if kind.name in facts.merchant.permits.split() else Reason.KIND_NOT_PERMITTED


def stripe_is_fallback(facts: Facts) -> Reason | None:
    """A stripe stands in for a chip that could not be read, and for nothing else (DE60.5)."""
    message = facts.request.message
    fallback = message.text(60)[12:13] == ChipCondition.FALLBACK or message.text(22)[:2] == EntryMode.FALLBACK
    return None if fallback else Reason.STRIPE_OF_A_CHIP_CARD


# -- what it takes back ------------------------------------------------------------------------------------------------


def original_known(facts: Facts) -> Reason | None:
    """The payment that DE61 names was made here, has the reference number of DE37, and is this card's."""
    original, request = facts.original, facts.request
    if original is None or original.state == State.TOMBSTONE or original.rrn != request.message.text(37):
        return Reason.ORIGINAL_UNKNOWN
    if request.original_date and request.original_date != original.local_date[4:]:
        return Reason.ORIGINAL_UNKNOWN
    return None if original.card == request.card else Reason.ORIGINAL_ANOTHER_CARDS


def original_stands(facts: Facts) -> Reason | None:
    """It is a payment that was approved and has not been taken back."""
    original = facts.original
    assert original
    if original.kind != PaymentKind.PURCHASE:
        return Reason.ORIGINAL_NOT_PAYMENT
    if original.state == State.REVERSED:
        return Reason.ORIGINAL_NOT_PAYMENT
    if original.state != State.APPROVED:
        return Reason.ORIGINAL_NOT_APPROVED
    return Reason.ALREADY_VOIDED if original.undone_by else None


def void_whole(facts: Facts) -> Reason | None:
    """A void takes back the whole payment, from the batch that is still open; what was refunded stays refunded."""
    original = facts.original
    assert original
    if original.batch != facts.request.batch:
        return Reason.BATCH_SETTLED
    if original.refunded_minor:
        return Reason.ALREADY_REFUNDED
    return None if original.amount_minor == facts.request.amount_minor else Reason.AMOUNT_DIFFERS


def refund_covered(facts: Facts) -> Reason | None:
    """All refunds together give back no more than was paid."""
    original, amount = facts.original, facts.request.amount_minor
    assert original
    return None if 0 < amount <= original.amount_minor - original.refunded_minor else Reason.REFUND_TOO_HIGH


# -- what it tells of --------------------------------------------------------------------------------------------------


def name_unspent(facts: Facts) -> Reason | None:
    """The name is new, or a repeat's of the very same script result."""
    request, noted, original = facts.request, facts.noted, facts.original
    if facts.before is not None:
        return Reason.DUPLICATE
    if noted is None:
        return None
    same = original is not None and noted.original == original.name and _same_payment(request, original)
    return None if same else Reason.DUPLICATE


def original_left(facts: Facts) -> Reason | None:
    """The issuer was asked about it, and its card can still be named to him."""
    original = facts.original
    return None if original and original.forwarded and original.sealed else Reason.ORIGINAL_UNKNOWN


def original_amount(facts: Facts) -> Reason | None:
    """It tells of the whole payment."""
    assert facts.original
    return None if _same_payment(facts.request, facts.original) else Reason.AMOUNT_DIFFERS


def _same_payment(request: Request, row: JournalRow) -> bool:
    return (row.card, row.amount_minor, row.currency) == (request.card, request.amount_minor, request.currency)


# -- how it travels ----------------------------------------------------------------------------------------------------


def pin_readable(facts: Facts) -> Reason | None:
    """The PIN block opened under the terminal's key, and lies under the network's now."""
    return Reason.PIN_UNREADABLE if 52 in facts.request.message and facts.pin is None else None


def network_up(facts: Facts) -> Reason | None:
    """We have signed on to the network and hold its keys."""
    return None if facts.network_up else Reason.NETWORK_DOWN


_SPEAKER: Final = (message_form, terminal_known, signed_in, merchant_known, message_mac)
_ASKED: Final = (*_SPEAKER, still_awaited, batch_open, currency, kind_known, kind_permitted)
_PAYMENT: Final[tuple[Check, ...]] = (*_ASKED, pin_readable, network_up)
CHAINS: Final[dict[PaymentKind, tuple[Check, ...]]] = {
    PaymentKind.BALANCE: _PAYMENT,
    PaymentKind.OFFLINE: _ASKED,  # accepted by commit, whether there is a network just now or not
    PaymentKind.PURCHASE: _PAYMENT,
    PaymentKind.REFUND: (*_ASKED, original_known, original_stands, refund_covered, network_up),
    PaymentKind.SCRIPT: (*_SPEAKER, name_unspent, original_known, original_left, original_amount),
    PaymentKind.UNKNOWN: _ASKED,
    PaymentKind.VOID: (*_ASKED, original_known, original_stands, void_whole, network_up),
}


_SWIPED: Final[tuple[Check, ...]] = (*_ASKED, stripe_is_fallback, pin_readable, network_up)


@dataclass(slots=True)
class Decision:
    """The outcome: why it is refused (None: it goes on), and how many checks of which chain were passed."""

    reason: Reason | None
    passed: int
    chain: tuple[Check, ...]


def decide(facts: Facts) -> Decision:
    """Run the request's chain over the facts; a reversal need only be its sender's."""
    request = facts.request
    chain = _SPEAKER if request.reversal else _SWIPED if request.swiped else CHAINS[request.kind]
    for passed, check in enumerate(chain):
        reason = check(facts)
        if reason is not None:
            return Decision(reason, passed, chain)
    return Decision(None, len(chain), chain)


def repeated(request: Request, row: JournalRow) -> Reason | None:
    """Judge a request whose name the journal has: None means that the stored answer, if there is one, is given again.

    What its sender has taken back stays taken back: an approval is not told again after its reversal.
    """
    if row.state == State.TOMBSTONE:
        return Reason.REVERSED_EARLIER
    same = (row.mti, row.processing_code, row.amount_minor, row.card, row.currency) == (
        request.message.mti, request.message.text(3, ""), request.amount_minor, request.card, request.currency,
    )  # fmt: skip
    if not same:
        return Reason.DUPLICATE
    undone = row.state == State.REVERSED and row.response_code == Reason.APPROVED.code
    return Reason.REVERSED_EARLIER if undone else None


def reversal_outcome(request: Request, row: JournalRow | None) -> Reason:
    """Say what a reversal that is its sender's comes to."""
    if row is None:
        return Reason.TOMBSTONE_KEPT
    if row.state == State.TOMBSTONE:
        return Reason.REVERSED_BEFORE
    if row.card != request.card:
        return Reason.ORIGINAL_ANOTHER_CARDS
    if row.amount_minor != request.amount_minor or row.currency != request.currency:
        return Reason.AMOUNT_DIFFERS
    if row.kind not in (PaymentKind.PURCHASE, PaymentKind.VOID):
        return Reason.NOT_REVERSIBLE
    if row.reversed_ms:
        return Reason.REVERSED_BEFORE
    return Reason.ALREADY_VOIDED if row.undone_by or row.refunded_minor else Reason.REVERSED
