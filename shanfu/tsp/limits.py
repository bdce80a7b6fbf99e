"""What keys and token may still do, judged again at the server, and what a payment takes from it.

The phone judges its key set before it answers a tap (`shanfu.messages.limits`); the service asks the same question with what it
has itself seen, because a phone may be modified, and counts a token's payments of a day. The issuer's limits of the card come
after that.

A use is counted by a right cryptogram, whatever the service or the issuer then say, and nothing gives it back: the phone has
spent it. The amount is counted when the token is resolved, and is given back by the payment's reversal alone, since a declined
payment's amount is little and the key set's life is short.
"""

from shanfu.messages import KeyLimits, LimitReason, Usage, judge
from shanfu.tsp.key_sets import CounterRow, KeySetRow
from shanfu.tsp.window import marked

__all__ = ["count_use", "exhausted", "give_back", "over_amount", "over_count", "spend"]


def exhausted(keys: KeySetRow, now_ms: int) -> LimitReason | None:
    """Return why a key set is dead (count, time), whatever the amount."""
    found = judge(_limits(keys), Usage(uses=keys.uses, age_ms=now_ms - keys.issued_ms, spent=0, amount=0)).reason
    return None if found is LimitReason.REPLENISH_ASAP else found


def over_amount(keys: KeySetRow, amount_minor: int) -> bool:
    """Say whether this amount is more than the key set may still pay."""
    found = judge(_limits(keys), Usage(uses=0, age_ms=0, spent=keys.spent, amount=amount_minor))
    return found.reason is LimitReason.AMOUNT_EXHAUSTED


def over_count(counter: CounterRow | None, day: str, most: int) -> bool:
    """Say whether the token has paid often enough on this day."""
    return counter is not None and counter.day == day and counter.day_uses >= most


def count_use(counter: CounterRow, keys: KeySetRow | None, *, atc: int, day: str) -> None:
    """Move the counter to a right cryptogram's ATC and count the use; never undone."""
    counter.atc, counter.seen = marked(counter.atc, counter.seen, atc)
    if counter.day != day:
        counter.day, counter.day_uses = day, 0
    counter.day_uses += 1
    if keys is not None:
        keys.uses += 1


def spend(keys: KeySetRow | None, amount_minor: int) -> None:
    """Count the amount of a payment that was resolved."""
    if keys is not None:
        keys.spent += amount_minor


def give_back(keys: KeySetRow, amount_minor: int) -> None:
    """Give back the amount of a payment that was reversed."""
    keys.spent -= amount_minor


def _limits(keys: KeySetRow) -> KeyLimits:
    return KeyLimits(max_uses=keys.max_uses, ttl_ms=keys.expires_ms - keys.issued_ms, max_amount=keys.max_amount)
