"""What the issuer checks of a transaction that takes an earlier one back, or tells of it: its original.

Rules as in `checks`: each returns the reason to refuse, or None. Sources: ISO 8583:1987 (DE90), the wires page.
"""

from shanfu.clock import local
from shanfu.hosts import State
from shanfu.issuer.checks import Facts
from shanfu.issuer.reasons import Reason

__all__ = [
    "authorisation_code", "not_refunded", "not_reversed", "not_voided", "original_approved_payment", "original_known",
    "original_seen", "recent", "reversible", "same_currency", "whole_amount", "within_amount",
]  # fmt: skip


def original_known(facts: Facts) -> Reason | None:
    """DE90 names a transaction of this card that we know."""
    if facts.original is None:
        return Reason.ORIGINAL_UNKNOWN
    if facts.original.card == facts.request.card:
        return None
    before, now = facts.original_card, facts.card  # a token names its card's newest number, whatever it was when it paid
    same = before is not None and now is not None and before.reference == now.reference
    return None if same else Reason.ORIGINAL_ANOTHER_CARDS


def original_approved_payment(facts: Facts) -> Reason | None:
    """It is a payment, it was approved and has not been reversed."""
    assert facts.original
    if facts.original.state != State.APPROVED:
        return Reason.ORIGINAL_NOT_APPROVED
    is_payment = facts.original.processing_code == "000000" and facts.original.amount_minor
    return None if is_payment else Reason.ORIGINAL_NOT_PAYMENT


def not_voided(facts: Facts) -> Reason | None:
    """No void has taken it back."""
    assert facts.original
    return Reason.ALREADY_VOIDED if facts.original.undone_by else None


def not_refunded(facts: Facts) -> Reason | None:
    """No refund has given part of it back."""
    assert facts.original
    return Reason.ALREADY_REFUNDED if facts.original.refunded_minor else None


def same_currency(facts: Facts) -> Reason | None:
    """The amounts are of one currency."""
    assert facts.original
    return None if facts.original.currency == facts.request.currency else Reason.AMOUNT_DIFFERS


def whole_amount(facts: Facts) -> Reason | None:
    """A void, and a reversal, is of the whole amount."""
    assert facts.original
    return None if facts.original.amount_minor == facts.request.amount_minor else Reason.AMOUNT_DIFFERS


def authorisation_code(facts: Facts) -> Reason | None:
    """DE38, when given, is the original's."""
    assert facts.original
    given = facts.request.message.text(38, "")
    return None if given in ("", facts.original.auth_code) else Reason.ORIGINAL_UNKNOWN


def within_amount(facts: Facts) -> Reason | None:
    """All refunds together are not more than was paid."""
    assert facts.original
    left = facts.original.amount_minor - facts.original.refunded_minor
    return Reason.AMOUNT_DIFFERS if facts.request.amount_minor > left else None


def recent(facts: Facts) -> Reason | None:
    """The payment does not lie too far back."""
    assert facts.original
    paid, now = local(facts.original.arrived_ms), local(facts.now_ms)
    months = (now.year - paid.year) * 12 + now.month - paid.month
    past = (months, now.day) > (facts.policy.refund_months, paid.day)
    return Reason.ORIGINAL_TOO_OLD if past else None


def original_seen(facts: Facts) -> Reason | None:
    """The original has come before its reversal; otherwise a tombstone waits for it."""
    return None if facts.original else Reason.TOMBSTONE_KEPT


def not_reversed(facts: Facts) -> Reason | None:
    """A reversal has one effect, however often it comes."""
    assert facts.original
    done = facts.original.state in (State.REVERSED, State.TOMBSTONE)
    return Reason.ALREADY_REVERSED if done else None


def reversible(facts: Facts) -> Reason | None:
    """Refunds are advices and never reversed."""
    assert facts.original
    return Reason.ORIGINAL_NOT_PAYMENT if facts.original.mti.startswith("022") else None
