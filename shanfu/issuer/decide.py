"""The issuer's judgement: which checks a kind of request has to pass, in which order, and what came of them.

The first refusal ends the chain; its place tells which proofs stood before it, and that is all `record` and `answers` need: the
ATC moves and an ARPC is made only when the cryptogram was right, the PIN counter moves only when the PIN was reached.

The order is that of an issuer host for cards (JR/T 0025.5, EMV B4 12): its month, ATC, cryptogram, state of the card, what
card and terminal saw, PIN, account, limits, money. Whose cryptogram is right gets an answer to it, so that a card which was
reported stolen can be told to block itself. A payment by phone was judged by the token service as far as the cryptogram; its
verdict takes the place of what the chip of a card would have to prove here. A stripe proves itself by its check value and the
PIN; an offline approval by its TC, and then the money has been spent, whatever has become of the card since.
"""

from dataclasses import dataclass
from typing import Final

from shanfu.hosts import State
from shanfu.issuer.checks import (
    Check,
    Facts,
    account_open,
    amount,
    atc_fresh,
    card_expiry,
    card_known,
    card_state,
    card_verdict,
    certificate,
    certificate_new,
    check_value,
    chip_agrees,
    chip_read,
    cryptogram,
    cvv_key,
    day_count,
    day_limit,
    funds,
    is_certificate,
    master_key,
    message_form,
    pin,
    script_known,
    spent_account,
    spent_covered,
    stripe_allowed,
    stripe_expiry,
    stripe_pin,
    terminal_verdict,
    token_card_expiry,
    token_state,
    token_verified,
    transaction_limit,
)
from shanfu.issuer.journal import JournalRow
from shanfu.issuer.originals import (
    authorisation_code,
    not_refunded,
    not_reversed,
    not_voided,
    original_approved_payment,
    original_known,
    original_seen,
    recent,
    reversible,
    same_currency,
    whole_amount,
    within_amount,
)
from shanfu.issuer.reasons import Reason
from shanfu.issuer.requests import Kind, Request

__all__ = ["CHAINS", "PHONE_CHAINS", "STRIPE_CHAINS", "Chain", "Decision", "decide", "repeated"]

# -- the chains --------------------------------------------------------------------------------------------------------

_CARD: Final = (
    message_form, card_known, card_expiry, chip_read, atc_fresh, master_key, cryptogram, chip_agrees, card_state,
    card_verdict, terminal_verdict, pin, account_open,
)  # fmt: skip
_STRIPE: Final = (
    message_form, card_known, stripe_allowed, cvv_key, check_value, card_state, card_expiry, stripe_expiry, stripe_pin,
    account_open,
)  # fmt: skip
_OFFLINE: Final = (
    message_form, card_known, is_certificate, master_key, certificate, chip_agrees, certificate_new, amount, spent_account,
    spent_covered,
)  # fmt: skip
_PHONE: Final = (
    message_form, card_known, token_state, token_card_expiry, token_verified, terminal_verdict, pin, account_open,
)  # fmt: skip
_MONEY: Final = (amount, transaction_limit, day_limit, day_count, funds)
_VOID: Final = (
    message_form, card_known, amount, original_known, original_approved_payment, reversible, not_voided, not_refunded,
    same_currency, whole_amount, authorisation_code,
)  # fmt: skip
_REFUND: Final = (
    message_form, card_known, amount, original_known, original_approved_payment, not_voided, same_currency, within_amount,
    recent,
)  # fmt: skip
_REVERSAL: Final = (
    message_form, original_seen, original_known, not_reversed, reversible, not_voided, not_refunded, same_currency,
    whole_amount,
)  # fmt: skip
_SCRIPT_RESULT: Final = (message_form, card_known, original_known, script_known)


class Chain:
    """The checks of one kind of request, in order; says what had been proved when one of them refused."""

    def __init__(self, checks: tuple[Check, ...], approval: Reason) -> None:
        self.checks, self.approval = checks, approval
        end = len(checks)
        self.after_cryptogram = checks.index(cryptogram) + 1 if cryptogram in checks else end + 1
        self.after_pin = next((place for place, check in enumerate(checks, 1) if check in (pin, stripe_pin)), end + 1)


CHAINS: Final = {
    Kind.BALANCE: Chain(_CARD, Reason.APPROVED),
    Kind.OFFLINE: Chain(_OFFLINE, Reason.APPROVED),
    Kind.PURCHASE: Chain((*_CARD, *_MONEY), Reason.APPROVED),
    Kind.REFUND: Chain(_REFUND, Reason.APPROVED),
    Kind.REVERSAL: Chain(_REVERSAL, Reason.REVERSED),
    Kind.SCRIPT_RESULT: Chain(_SCRIPT_RESULT, Reason.SCRIPT_TOLD),
    Kind.UNKNOWN: Chain((message_form,), Reason.UNKNOWN_KIND),
    Kind.VOID: Chain(_VOID, Reason.APPROVED),
}
PHONE_CHAINS: Final = CHAINS | {
    Kind.BALANCE: Chain(_PHONE, Reason.APPROVED),
    Kind.PURCHASE: Chain((*_PHONE, *_MONEY), Reason.APPROVED),
}
STRIPE_CHAINS: Final = CHAINS | {
    Kind.BALANCE: Chain(_STRIPE, Reason.APPROVED),
    Kind.PURCHASE: Chain((*_STRIPE, *_MONEY), Reason.APPROVED),
}


@dataclass(slots=True)
class Decision:
    """The outcome: its reason, and how many checks were passed."""

    reason: Reason
    passed: int
    chain: Chain

    @property
    def cryptogram_right(self) -> bool:
        """Whether the card has proved itself: its ATC is spent and it gets an answer to its cryptogram."""
        return self.passed >= self.chain.after_cryptogram

    @property
    def pin_right(self) -> bool:
        """Whether the PIN check was passed."""
        return self.passed >= self.chain.after_pin


def decide(facts: Facts) -> Decision:
    """Run the request's chain over the facts."""
    request = facts.request
    chain = (STRIPE_CHAINS if request.stripe else PHONE_CHAINS if request.token else CHAINS)[request.kind]
    for passed, check in enumerate(chain.checks):
        reason = check(facts)
        if reason is not None:
            return Decision(reason, passed, chain)
    return Decision(chain.approval, len(chain.checks), chain)


def repeated(request: Request, row: JournalRow) -> Reason | None:
    """Judge a request whose name the journal has: None means that the stored answer is given again."""
    if row.state == State.TOMBSTONE:
        return Reason.REVERSED_EARLIER
    same = (row.mti[:3], row.processing_code, row.amount_minor, row.card, row.currency) == (
        request.message.mti[:3], request.message.text(3, ""), request.amount_minor, request.card, request.currency,
    )  # fmt: skip
    if not same:
        return Reason.DUPLICATE
    return Reason.REVERSED_EARLIER if row.state == State.REVERSED else None
