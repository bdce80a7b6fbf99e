"""Key sets and counters: which limited-use keys a token has out, what they may still do, and which payments were seen.

The service keeps the record and judges by it; the key cloud derives. A set is ISSUED when its terms are given out, CURRENT when
the phone has stored it, in GRACE for some minutes when a newer one is CURRENT (a tap may be on its way in the switch), then
RETIRED. `effective` looks at the clock, so nobody need come by to retire a set.

    ISSUED → CURRENT → GRACE → RETIRED

The service allots the ATCs: each set begins one above the highest ever allotted to its token, so one ATC is one key. Its index
(YHHHHCC) counts the sets of one token within one hour of UTC and stops at a hundred.

Uses are counted by right cryptograms and never given back. Money spent is given back only when a payment is reversed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Index, bindparam

from shanfu.errors import DecodeError
from shanfu.messages import KeyPolicy, KeySetTerms, UseReport
from shanfu.store import Shelf, Statement, book_of
from shanfu.tokens import KeyScheme, key_index_now
from shanfu.tsp.config import TSPConfig
from shanfu.tsp.tables import METADATA, PREFIX

__all__ = [
    "BY_COUNTER", "BY_INDEX", "BY_SEQUENCE", "COUNTERS", "KEY_SETS", "LAST_ATC", "OF_ANY_TOKEN", "CounterRow", "KeySetRow",
    "KeySetState", "Seen", "allot", "confirm", "effective", "issued_within", "never_seen", "newest_names", "retired",
    "suspicion", "terms_of",
]  # fmt: skip

BY_INDEX: Final = ("key_index", "token")
BY_SEQUENCE: Final = ("bucket", "token", "sequence")
BY_COUNTER: Final = ("bucket", "token")
HOUR_MS: Final = 3_600_000
LAST_ATC: Final = 0xFFFF  # two bytes (EMV B3 A1, 9F36); a token that has used them up needs a new one


class KeySetState(StrEnum):
    """Where a key set's life stands."""

    ISSUED = "ISSUED"
    CURRENT = "CURRENT"
    GRACE = "GRACE"
    RETIRED = "RETIRED"


GRACE, RETIRED = KeySetState.GRACE.value, KeySetState.RETIRED.value


@dataclass(slots=True)
class KeySetRow:
    """One key set of a token. `uses` and `spent` are those that we have seen; `lowered` tells of a weakly attested device.

    `reported_atc` is the phone's last ATC when it asked for this set: its log covers everything up to there.
    """

    bucket: int
    token: str
    sequence: int
    key_index: str
    scheme: str
    device: str
    atc_first: int
    atc_last: int
    max_uses: int
    max_amount: int
    issued_ms: int
    expires_ms: int
    state: str
    grace_ends_ms: int
    uses: int
    spent: int
    lowered: int
    reported_atc: int


@dataclass(slots=True)
class CounterRow:
    """What a token's payments have moved: the highest ATC with a right cryptogram, those seen below it, the day's payments.

    Apart from the token's own row, which has many indexes and changes seldom, while this changes with every payment.
    `sequence` is the number of the newest key set.
    """

    bucket: int
    token: str
    atc: int
    seen: int
    day: str
    day_uses: int
    sequence: int


_KEY_SETS: Final = book_of(f"{PREFIX}key_sets", METADATA, KeySetRow, "token", "sequence")
Index(f"{PREFIX}key_sets_index", _KEY_SETS.c.key_index, _KEY_SETS.c.token, unique=True)
KEY_SETS: Final = Shelf(_KEY_SETS, KeySetRow)
COUNTERS: Final = Shelf(book_of(f"{PREFIX}counters", METADATA, CounterRow, "token"), CounterRow)

_any = KEY_SETS.select().where(_KEY_SETS.c.key_index == bindparam("key_index"))
OF_ANY_TOKEN: Final = Statement(_any.limit(1), "key_index")


# -- life --------------------------------------------------------------------------------------------------------------


def retired(row: KeySetRow, now_ms: int) -> bool:
    """Say whether a set is dead because a newer one took its place; its grace may be over though nobody wrote that down."""
    return row.state == RETIRED or (row.state == GRACE and now_ms >= row.grace_ends_ms)


def effective(row: KeySetRow, now_ms: int) -> KeySetState:
    """Return where a set stands now."""
    return KeySetState.RETIRED if retired(row, now_ms) else KeySetState(row.state)


def confirm(row: KeySetRow, others: Iterable[KeySetRow], *, now_ms: int, grace_ms: int) -> bool:
    """Note that the phone has stored this set: older ones have only their grace left. False when it was known already."""
    if row.state != KeySetState.ISSUED:
        return False
    row.state = KeySetState.CURRENT.value
    for other in others:
        if other.sequence >= row.sequence:
            continue
        if other.state in (KeySetState.ISSUED, KeySetState.CURRENT):
            other.state, other.grace_ends_ms = KeySetState.GRACE.value, now_ms + grace_ms
        elif retired(other, now_ms):
            other.state = RETIRED
    return True


# -- issuing -----------------------------------------------------------------------------------------------------------


def newest_names(counter: CounterRow, most: int) -> list[tuple[int, str, int]]:
    """Return the keys of a token's newest sets, newest first, at most so many: an hour's bound, never its whole life."""
    oldest = max(0, counter.sequence - most)
    return [(counter.bucket, counter.token, sequence) for sequence in range(counter.sequence, oldest, -1)]


def issued_within(rows: Iterable[KeySetRow], now_ms: int, *, span_ms: int = HOUR_MS) -> list[KeySetRow]:
    """Return the sets issued within the last hour, newest first: there is a bound on how many."""
    return [row for row in rows if row.issued_ms > now_ms - span_ms]


def allot(
    newest: Sequence[KeySetRow], policy: KeyPolicy, *, config: TSPConfig, lowered: bool, now_ms: int, allotted: int
) -> KeySetTerms | None:
    """Return the terms of a token's next key set; None when its ATCs, or the hour's indexes, are used up.

    `newest` are the token's sets, newest first; `allotted` is the highest ATC that any of them may use.
    """
    uses = min(policy.max_uses, config.lowered_uses) if lowered else policy.max_uses
    amount = min(policy.max_amount, config.lowered_amount) if lowered else policy.max_amount
    index = _next_index(newest, now_ms)
    if not index or allotted + uses > LAST_ATC:
        return None
    return KeySetTerms(
        index=index,
        sequence=newest[0].sequence + 1 if newest else 1,
        atc_first=allotted + 1,
        atc_last=allotted + uses,
        max_uses=uses,
        max_amount=amount,
        issued_ms=now_ms,
        expires_ms=now_ms + policy.ttl_s * 1000,
        scheme=policy.scheme,
    )


def _next_index(newest: Sequence[KeySetRow], now_ms: int) -> str:
    """Return the index after the highest one of this hour; "" when the hour has none left, since it must not wrap."""
    hour = key_index_now(now_ms, 0)[:5]
    used = [int(row.key_index[5:]) for row in newest if row.key_index[:5] == hour]
    try:
        return key_index_now(now_ms, max(used, default=-1) + 1)
    except DecodeError:
        return ""


def terms_of(row: KeySetRow) -> KeySetTerms:
    """Return the terms of a set as they were given out: a repeat gets the same."""
    return KeySetTerms(
        index=row.key_index, sequence=row.sequence, atc_first=row.atc_first, atc_last=row.atc_last, max_uses=row.max_uses,
        max_amount=row.max_amount, issued_ms=row.issued_ms, expires_ms=row.expires_ms, scheme=KeyScheme(row.scheme),
    )  # fmt: skip


# -- the phone's log against what we have seen -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """An authorisation with a right cryptogram, as our history has it."""

    atc: int
    amount: int
    un: str


def suspicion(seen: Sequence[Seen], uses: Sequence[UseReport], *, atc: int, covered: int) -> str:
    """Compare authorisations with the log of a phone that stands at `atc`; return what only a second phone explains, or "".

    The log covers the ATCs above `covered` (the one before it reached there). An authorisation there that the phone does not
    know, or knows with another amount or terminal number, was made by a copy of its keys. What the phone has used and we have
    never seen is no cause: taps are torn, and terminals decline. What lies above the phone's counter is judged next time.

    >>> suspicion([Seen(3, 100, "")], [UseReport(atc=4, index="6000000", at_ms=0)], atc=4, covered=2)
    'authorised ATC 3, which the phone has not used'
    """
    known = {use.atc: use for use in uses}
    for one in seen:
        if not covered < one.atc <= atc:
            continue
        use = known.get(one.atc)
        if use is None:
            return f"authorised ATC {one.atc}, which the phone has not used"
        if use.amount and use.amount != one.amount:
            return f"authorised ATC {one.atc} over another amount than the phone's"
        if use.un and one.un and use.un.lower() != one.un:
            return f"authorised ATC {one.atc} at another terminal than the phone's"
    return ""


def never_seen(seen: Sequence[Seen], uses: Sequence[UseReport]) -> int:
    """Return how many reported uses have never reached us: told, not punished."""
    atcs = {one.atc for one in seen}
    return sum(use.atc not in atcs for use in uses)
