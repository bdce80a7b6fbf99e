"""Reconciliation: every journal against its neighbour's, line by line, and the money against all of them.

A double-entry ledger sums to zero by construction, so it judges nothing; this does. Compared are terminal with acquirer (by
the terminal's name), acquirer with network and network with issuer (by the interbank name), the network's net positions with
the sums of acquirers and issuers, and the issuer's postings with its journal. What counts is the money: a line that is APPROVED
moves its amount, any other moves nothing; so a payment that was declined here and never heard of there is no difference, and
one that was approved here and reversed there is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = ["Difference", "Finding", "Line", "Report", "Verdict", "match", "net"]


class Verdict(StrEnum):
    """What a comparison of two lines found."""

    ONLY_HERE = "only here"
    ONLY_THERE = "only there"
    AMOUNT_DIFFERS = "amount differs"
    CURRENCY_DIFFERS = "currency differs"
    STATE_DIFFERS = "state differs"
    DATE_DIFFERS = "date differs"
    OPEN = "no answer yet"
    TO_UPLOAD = "to be uploaded yet"
    POSITION = "net position differs"
    LEDGER = "ledger differs"


class Line(Protocol):
    """One journal line, as docs/wires.md 4 lists its fields."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def business_date(self) -> str: ...  # noqa: D102
    @property
    def currency(self) -> str: ...  # noqa: D102
    @property
    def processing_code(self) -> str: ...  # noqa: D102
    @property
    def amount_minor(self) -> int: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that does not agree: between whom, which transaction, and what each side says."""

    between: str
    verdict: Verdict
    name: str
    here: str
    there: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison: how many lines moved money on both sides alike, and what does not agree."""

    between: str
    matched: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A business date, reconciled."""

    date: str
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether everything agrees."""
        return not any(finding.differences for finding in self.findings)

    @property
    def matched(self) -> int:
        """How many pairs of lines agree."""
        return sum(finding.matched for finding in self.findings)


def moves(line: Line) -> int:
    """Return what a line moves, in minor units: a purchase from the cardholder, a void or refund (DE3 20) back to him."""
    if line.state != "APPROVED" or not line.processing_code.startswith(("00", "20")):
        return 0
    return line.amount_minor if line.processing_code.startswith("00") else -line.amount_minor


def match(between: str, here: Sequence[Line], there: Sequence[Line]) -> Finding:
    """Compare two journals by the names of their lines."""
    left, right = {line.name: line for line in here}, {line.name: line for line in there}
    differences, matched = [], 0
    for name in sorted({*left, *right}):
        verdict = _judge(left.get(name), right.get(name))
        if verdict is None:
            matched += 1
        else:
            differences.append(Difference(between, verdict, name, _say(left.get(name)), _say(right.get(name))))
    return Finding(between, matched, tuple(differences))


def _judge(here: Line | None, there: Line | None) -> Verdict | None:
    if any(line is not None and line.state == "WAITING" for line in (here, there)):
        return Verdict.OPEN
    mine, theirs = moves(here) if here else 0, moves(there) if there else 0
    if not mine and not theirs:
        return None
    if there is None:
        return Verdict.TO_UPLOAD if getattr(here, "to_upload", False) else Verdict.ONLY_HERE
    if here is None:
        return Verdict.ONLY_THERE
    if not mine or not theirs:
        return Verdict.STATE_DIFFERS
    if here.currency != there.currency:
        return Verdict.CURRENCY_DIFFERS
    if mine != theirs:
        return Verdict.AMOUNT_DIFFERS
    return Verdict.DATE_DIFFERS if here.business_date != there.business_date else None


def _say(line: Line | None) -> str:
    return f"{line.state} {line.amount_minor} {line.currency} on {line.business_date}" if line else "nothing"


def net(lines: Iterable[tuple[str, str, int]]) -> dict[tuple[str, str], int]:
    """Sum (institution, currency, minor units) by institution and currency; zero sums are left out."""
    sums: dict[tuple[str, str], int] = {}
    for institution, currency, minor in lines:
        sums[institution, currency] = sums.get((institution, currency), 0) + minor
    return {key: total for key, total in sums.items() if total}
