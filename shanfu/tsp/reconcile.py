"""Reconciling: whether everybody holds of each token what we hold, and how what has drifted is mended.

Our books are right: the issuer's and the requestor's views are copies. A copy that lags is told again; one that differs at the
same version, or is ahead of us (our books were set back), gets a new version above both, so that whoever keeps the highest
keeps ours. A token that only the other side knows is nobody's to mend here: it is reported.

`compare` is pure over lists of views; `mend` queues notices. Source: drift between processors and token services is a
documented case of support at processors.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shanfu.messages import TokenState, TokenView
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.changes import LifeCycle

__all__ = ["Drift", "DriftKind", "compare", "mend"]

COMPARED: Final = ("state", "suspended_by", "expiry", "pan_last4", "par", "assurance")
ENDED: Final = frozenset((TokenState.DEACTIVATED, TokenState.DECLINED, TokenState.REQUESTED))
RETOLD: Final = "STATE"  # the event of a notice that tells again what was told before


class DriftKind(StrEnum):
    """How a copy differs from ours."""

    AHEAD = "is newer there"
    BEHIND = "is older there"
    DIFFERS = "differs there"
    MISSING = "is missing there"
    STRANGE = "is unknown here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One token on which `party` (issuer/…, requestor/…) does not agree with us; `fields` are those that differ."""

    token: str
    party: str
    kind: DriftKind
    ours: int
    theirs: int
    fields: tuple[str, ...] = ()


def compare(party: str, ours: Iterable[TokenView], theirs: Iterable[TokenView]) -> list[Drift]:
    """Return where a party's views differ from ours, by token; what has ended may be forgotten there."""
    mine = {view.token: view for view in ours}
    copies = {view.token: view for view in theirs}
    found = []
    for token in sorted(mine.keys() | copies.keys()):
        view, copy = mine.get(token), copies.get(token)
        kind = _kind(view, copy)
        if kind is not None:
            both = (name for name in COMPARED if view and copy and getattr(view, name) != getattr(copy, name))
            versions = {"ours": view.version if view else 0, "theirs": copy.version if copy else 0}
            found.append(Drift(token=token, party=party, kind=kind, fields=tuple(both), **versions))
    return found


def _kind(view: TokenView | None, copy: TokenView | None) -> DriftKind | None:
    if view is None:
        return DriftKind.STRANGE
    if copy is None:
        return None if view.state in ENDED else DriftKind.MISSING
    if copy.version != view.version:
        return DriftKind.AHEAD if copy.version > view.version else DriftKind.BEHIND
    return DriftKind.DIFFERS if any(getattr(view, name) != getattr(copy, name) for name in COMPARED) else None


def mend(books: TSPBooks, life: LifeCycle, drifts: Iterable[Drift]) -> int:
    """Queue what each party lacks; return how many tokens are told again."""
    drifted: dict[str, list[Drift]] = {}
    for drift in drifts:
        drifted.setdefault(drift.token, []).append(drift)
    books.tokens.load(("token",), drifted)
    told = 0
    for token, cases in drifted.items():
        row = books.token(token)
        if row is None:
            continue
        told += 1
        if any(case.kind in (DriftKind.AHEAD, DriftKind.DIFFERS) for case in cases):
            row.version = max(row.version, *(case.theirs for case in cases)) + 1
            life.tell(books, row, RETOLD)
            continue
        for party in dict.fromkeys(case.party for case in cases):
            life.tell(books, row, RETOLD, to=party)
    return told
