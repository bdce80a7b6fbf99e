"""Whether a transaction counter may come now: the window above the highest one seen, and which ones were seen.

A token's ATC rises with every use. The service keeps the highest whose cryptogram was right (the *mark*) and a bit for each of
the 62 below it. A payment is taken when its ATC lies above the mark and within the window; the window is wider by what a key
set skipped, since a phone that fetched a new set early jumps over the rest of the old one. Only in transit (a transit
merchant and its condition code) may one come from a little below, and there each once.

Strict on both ends. Sources: the vectors token_atc_window; the rule is the project's own, its shape common in published
token-service interfaces.
"""

from typing import Final

from msgspec import Struct

__all__ = ["KEPT", "Window", "atc_in_window", "bit_of", "marked", "was_seen"]

KEPT: Final = 62  # counters below the mark that are remembered: as many as fit a 64-bit column beside the mark's own bit


class Window(Struct, frozen=True, kw_only=True):
    """How far an ATC may lie from the mark; `skipped` are counters that were given to a key set and can no longer come."""

    positive: int = 50
    negative: int = 0
    skipped: int = 0


def atc_in_window(mark: int, atc: int, window: Window, *, transit: bool = False) -> bool:
    """Say whether this ATC may come after `mark`; below it only in transit.

    >>> atc_in_window(10, 59, Window()), atc_in_window(10, 60, Window()), atc_in_window(10, 10, Window())
    (True, False, False)
    >>> atc_in_window(10, 6, Window(negative=5), transit=True)
    True
    """
    lowest = mark - window.negative if transit else mark
    return lowest < atc < mark + window.positive + window.skipped


def was_seen(mark: int, seen: int, atc: int) -> bool:
    """Say whether this ATC was taken before; of those further below the mark than `KEPT` nothing is known, so: yes.

    >>> was_seen(10, 0b101, 10), was_seen(10, 0b101, 9), was_seen(10, 0b101, 8)
    (True, False, True)
    """
    below = mark - atc
    return below >= 0 and (below > KEPT or bool(seen >> below & 1))


def marked(mark: int, seen: int, atc: int) -> tuple[int, int]:
    """Return mark and bits after this ATC was taken.

    >>> marked(10, 0b101, 12)
    (12, 21)
    >>> marked(10, 0b101, 9)
    (10, 7)
    """
    if atc > mark:
        return atc, (seen << (atc - mark) | 1) & (1 << KEPT + 1) - 1 if atc - mark <= KEPT else 1
    return mark, seen | bit_of(mark, atc)


def bit_of(mark: int, atc: int) -> int:
    """Return the bit of a counter at or below the mark, 0 for one that is no longer kept."""
    return 1 << mark - atc if 0 <= mark - atc <= KEPT else 0
