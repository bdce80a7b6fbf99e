"""Whether a key set may be used once more: the one evaluation that the phone makes before a tap, and the service after it.

A key set dies by count, by time, or by amount. Both sides keep the same three figures and ask `judge`, so they can differ only
where one of them has seen what the other has not. The phone asks with what it has spent; the service asks again with what it
has seen, since a phone may lie. The issuer's own card limits are another matter and stay with him.

`uses` counts finished uses before this one. A use is a GPO answered with a cryptogram, whatever became of the payment.
Sources: the limits of a limited-use key in open phone applets (time to live, number of transactions, cumulative amount).
"""

from enum import Enum

from msgspec import Struct

from shanfu.messages.shared import KeyPolicy, KeySetTerms

__all__ = ["KeyLimits", "LimitReason", "LimitVerdict", "Usage", "judge", "limits_of"]


class LimitReason(Enum):
    """What the limits say besides yes; the first three refuse."""

    COUNT_EXHAUSTED = "COUNT_EXHAUSTED"
    TTL_EXPIRED = "TTL_EXPIRED"
    AMOUNT_EXHAUSTED = "AMOUNT_EXHAUSTED"
    REPLENISH_ASAP = "REPLENISH_ASAP"


class KeyLimits(Struct, frozen=True, kw_only=True):
    """The limits of one key set; amounts in minor units. The last two say when to fetch the next."""

    max_uses: int
    ttl_ms: int
    max_amount: int
    replenish_below: int = 0
    replenish_before_ms: int = 0


class Usage(Struct, frozen=True, kw_only=True):
    """What a key set has done so far, and the amount it is to pay now."""

    uses: int
    age_ms: int
    spent: int
    amount: int


class LimitVerdict(Struct, frozen=True):
    """Whether the use is allowed; `reason` says why not, or that the next key set should be fetched soon."""

    allowed: bool
    reason: LimitReason | None = None


def limits_of(terms: KeySetTerms, policy: KeyPolicy) -> KeyLimits:
    """Return the limits of a key set: its own terms, and the issuer's thresholds for fetching the next."""
    return KeyLimits(
        max_uses=terms.max_uses,
        ttl_ms=terms.expires_ms - terms.issued_ms,
        max_amount=terms.max_amount,
        replenish_below=policy.replenish_below,
        replenish_before_ms=policy.replenish_before_s * 1000,
    )


def judge(limits: KeyLimits, usage: Usage) -> LimitVerdict:
    """Say whether this use is within the limits: count, then time, then amount; the first that is broken is named.

    >>> limits = KeyLimits(max_uses=10, ttl_ms=432_000_000, max_amount=2_000_000, replenish_below=3)
    >>> judge(limits, Usage(uses=9, age_ms=0, spent=0, amount=100)).reason.name
    'REPLENISH_ASAP'
    >>> judge(limits, Usage(uses=10, age_ms=0, spent=0, amount=100))
    LimitVerdict(allowed=False, reason=<LimitReason.COUNT_EXHAUSTED: 'COUNT_EXHAUSTED'>)
    """
    if usage.uses >= limits.max_uses:
        return LimitVerdict(False, LimitReason.COUNT_EXHAUSTED)
    if usage.age_ms >= limits.ttl_ms:
        return LimitVerdict(False, LimitReason.TTL_EXPIRED)
    if usage.spent + usage.amount > limits.max_amount:
        return LimitVerdict(False, LimitReason.AMOUNT_EXHAUSTED)
    few = limits.max_uses - usage.uses - 1 <= limits.replenish_below
    soon = limits.ttl_ms - usage.age_ms <= limits.replenish_before_ms
    return LimitVerdict(True, LimitReason.REPLENISH_ASAP if few or soon else None)
