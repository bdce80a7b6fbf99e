"""How often somebody may ask: a bucket of tokens for each caller, which time refills.

Institutions have a bucket each, by name. Phones, and whoever has not shown who he is, share one by the address they come from:
wide enough for the many phones behind one address, and the key cloud has bounds of its own for each device and token.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["Buckets", "Rate"]

MOST_BUCKETS: Final = 10_000  # beyond it, full ones are forgotten: they say nothing


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second for ever, and so many at once."""

    per_s: float
    burst: float


class Buckets:
    """The buckets of one kind of caller."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, name: str, now_s: float) -> float:
        """Take one from a bucket and return 0, or the seconds after which there will be one.

        >>> buckets = Buckets(Rate(per_s=2, burst=1))
        >>> [buckets.take("a", at) for at in (0, 0, 0.5)], buckets.take("b", 0)
        ([0.0, 0.5, 0.0], 0.0)
        """
        left, at_s = self._left.get(name, (self._rate.burst, now_s))
        left = min(self._rate.burst, left + (now_s - at_s) * self._rate.per_s)
        if left < 1:
            self._left[name] = left, now_s
            return (1 - left) / self._rate.per_s
        if name not in self._left and len(self._left) >= MOST_BUCKETS:
            self._forget(now_s)
        self._left[name] = left - 1, now_s
        return 0.0

    def _forget(self, now_s: float) -> None:
        full_s = self._rate.burst / self._rate.per_s
        self._left = {name: kept for name, kept in self._left.items() if now_s - kept[1] < full_s}
        while len(self._left) >= MOST_BUCKETS:  # all are busy: the one that was seen first
            del self._left[next(iter(self._left))]
