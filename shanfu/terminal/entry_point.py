"""The entry point: what happens before a kernel runs. Which card, which application, under which conditions.

    pre-processing   amount against limits, per application -> TTQ for this transaction, or another interface
    candidates       PPSE -> the applications that both sides have, in the card's order of priority
    kernel choice    by the directory entry's 9F2A, else by the RID

Pre-processing rules are a table (`RULES`), first refusal wins. Nothing here asks the card anything; the dialogue in
`payment.py` does, and hands the answers in.

Sources: EMV CL A 5.8, EMV CL B 3.1–3.3, JR/T 0025.12 6.2.
"""

from collections.abc import Callable
from dataclasses import dataclass

from shanfu.emv import TTQ, matches, parse_ppse
from shanfu.terminal.config import AIDParameters, TerminalConfig
from shanfu.terminal.outcome import Outcome, Reason

__all__ = ["Candidate", "Preprocessed", "candidates", "preprocess"]

ONE_UNIT_MINOR = 100  # the amount of a status check: 1.00 of the currency (JR/T 0025.12 6.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessed:
    """The result for one application: the TTQ to send, or the outcome and its reason when contactless is not allowed."""

    ttq: TTQ
    outcome: Outcome | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What the rules look at."""

    amount: int
    limits: AIDParameters
    status_check: bool
    extension: bool
    online: bool

    @property
    def floor(self) -> int | None:
        """The contactless floor limit, else the terminal's (JR/T 0025.12 6.2)."""
        return self.limits.floor if self.limits.contactless_floor is None else self.limits.contactless_floor


def _reached(amount: int, limit: int | None) -> bool:
    return limit is not None and amount >= limit


ASK_ONLINE, ASK_CVM = TTQ.ONLINE_CRYPTOGRAM_REQUIRED, TTQ.CVM_REQUIRED
Rule = tuple[Callable[[_Case], bool], TTQ | Reason]

# fmt: off
RULES: tuple[Rule, ...] = (  # JR/T 0025.12 6.2: bits to set, or the reason to change the interface
    (lambda c: c.status_check and c.amount == ONE_UNIT_MINOR,       ASK_ONLINE),
    (lambda c: c.amount == 0 and not c.extension and c.online,      ASK_ONLINE),
    (lambda c: c.amount == 0 and not c.extension and not c.online,  Reason.ZERO_AMOUNT),
    (lambda c: _reached(c.amount, c.limits.transaction_limit),      Reason.AMOUNT_OVER_LIMIT),
    (lambda c: _reached(c.amount, c.limits.cvm_limit),              ASK_CVM),
    (lambda c: c.floor is None,                                     Reason.NO_FLOOR_LIMIT),
    (lambda c: c.floor is not None and c.amount > c.floor,          ASK_ONLINE),
)
# fmt: on


def preprocess(amount_minor: int, limits: AIDParameters, config: TerminalConfig) -> Preprocessed:
    """Apply the rules to one application's limits and return its TTQ, or "try another interface" with the reason."""
    case = _Case(
        amount=amount_minor,
        limits=limits,
        status_check=config.status_check,
        extension=config.qpboc_extension,
        online=config.online_capable,
    )
    ttq = config.ttq & ~(ASK_ONLINE | ASK_CVM)  # both are set anew for each transaction (JR/T 0025.12)
    for applies, result in RULES:
        if not applies(case):
            continue
        if isinstance(result, Reason):
            return Preprocessed(ttq=ttq, outcome=Outcome.TRY_ANOTHER_INTERFACE, reason=result)
        ttq |= result
    return Preprocessed(ttq=ttq)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An application that card and terminal share, the kernel that runs it and the TTQ for it."""

    aid: bytes
    label: str
    kernel: int
    limits: AIDParameters
    ttq: TTQ


def candidates(ppse: bytes, admitted: dict[AIDParameters, TTQ]) -> list[Candidate]:
    """Return the shared applications of a PPSE answer, best first; `admitted` are those that passed pre-processing.

    Raises DecodeError when the PPSE is malformed. Equal priorities keep the card's order (EMV CL B 3.3.2.7).
    """
    found: list[tuple[int, Candidate]] = []
    for entry in parse_ppse(ppse):
        for limits, ttq in admitted.items():
            fits = matches(entry.aid, limits.aid, partial=not limits.exact)
            if fits and entry.kernel == limits.kernel:  # EMV CL B 3.3.2.6: AID and kernel must both be ours
                label = entry.label.decode("ascii", "replace")
                found.append((entry.rank, Candidate(aid=entry.aid, label=label, kernel=limits.kernel, limits=limits, ttq=ttq)))
                break
    return [candidate for _, candidate in sorted(found, key=lambda pair: pair[0])]
