"""What the card decides in the contact flow: its own answer to what the terminal asks for, first and second.

A terminal asks for approval (TC), for the issuer (ARQC) or for a decline (AAC); the card may lower that, never raise it.
`decide_first` looks at what the card remembers of earlier transactions and at its limits; `decide_second` at whether the
issuer could be asked and has proved itself. Both are pure: from `Knowledge` to a `Decision` with its bits of the CVR.

Called by `generate_ac.py`. Sources: JR/T 0025.5 (card risk management, card action analysis), EMV Book 3 6.5.5. Which
condition sends a transaction where is the application default action (9F52); its bits follow VIS and are unverified.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shanfu.card.live import Standing
from shanfu.card.session import IssuerProof
from shanfu.emv import ADA, CVR, CryptogramType

__all__ = ["Decision", "Finding", "Knowledge", "decide_first", "decide_second"]

AAC, TC, ARQC = CryptogramType.AAC, CryptogramType.TC, CryptogramType.ARQC
RANK: Final = {AAC: 0, ARQC: 1, TC: 2}  # EMV B3 table 11: what a card may answer is what was asked or less


class Finding(StrEnum):
    """What the card found against what it was asked for."""

    BLOCKED = "the application is blocked"
    NO_ECASH_LEFT = "the amount is over the e-cash balance"
    ONLINE_NOT_COMPLETED = "the last transaction went to the issuer and never came back"
    ISSUER_FAILED_BEFORE = "the issuer did not prove itself in the last online transaction"
    SCRIPT_FAILED = "a command of the issuer failed in an earlier transaction"
    NEW_CARD = "the card has never completed an online transaction"
    PIN_LOCKED = "no PIN tries are left"
    TOO_MANY = "more offline payments in a row than the issuer allows"
    TOO_MANY_ABROAD = "more offline payments in another currency than the issuer allows"
    TOO_MUCH = "the sum of offline payments is over the issuer's limit"
    ISSUER_FAILED = "the issuer's proof was wrong"
    ISSUER_SILENT = "the issuer gave no proof, which this card demands"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What the card knows at a GENERATE AC. Limits are None where the issuer set none; amounts are minor units."""

    ada: ADA
    standing: Standing
    blocked: bool
    pin_tries: int
    atc: int
    last_online_atc: int
    amount_minor: int
    home: bool  # the transaction's currency is the card's
    ecash: bool
    balance_minor: int
    lower: int | None  # 9F58: offline payments in a row after which the issuer is asked
    upper: int | None  # 9F59: after which nothing goes without the issuer
    abroad: int | None  # 9F53
    total: int | None  # 9F54
    upper_total: int | None  # 9F5C


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What goes out, the bits that the findings set in the CVR, and the findings."""

    kind: CryptogramType
    flags: CVR
    why: tuple[Finding, ...]


NO_FLAGS: Final = CVR.parse(bytes.fromhex("03000000"))
Row = tuple[Finding, bool, CVR, CryptogramType | None]  # what, whether found, what the issuer is told, the highest answer left


def decide_first(asked: CryptogramType, known: Knowledge) -> Decision:
    """Answer the first GENERATE AC (JR/T 0025.5, card risk management)."""
    if known.ecash:  # JR/T 0025.13: an e-cash payment is limited by its balance, not by counters
        spent = known.amount_minor > known.balance_minor
        return _decide(asked, (_blocked(known), (Finding.NO_ECASH_LEFT, spent, CVR.VELOCITY_EXCEEDED, ARQC)))
    past, ada = known.standing.flags, known.ada
    in_a_row, total = known.atc - known.last_online_atc, known.standing.offline_minor + known.amount_minor
    abroad = known.standing.abroad + (not known.home)
    # fmt: off
    return _decide(asked, (
        _blocked(known),
        (Finding.ONLINE_NOT_COMPLETED, CVR.LAST_ONLINE_NOT_COMPLETED in past,         CVR.LAST_ONLINE_NOT_COMPLETED, ARQC),
        (Finding.ISSUER_FAILED_BEFORE, CVR.LAST_ONLINE_ISSUER_AUTH_FAILED in past,    CVR.LAST_ONLINE_ISSUER_AUTH_FAILED,
         ARQC if ADA.ISSUER_AUTH_FAILED_ONLINE_NEXT in ada else None),
        (Finding.ISSUER_FAILED_BEFORE, CVR.ISSUER_AUTH_NOT_DONE_AFTER_ONLINE in past, CVR.ISSUER_AUTH_NOT_DONE_AFTER_ONLINE,
         ARQC),
        (Finding.SCRIPT_FAILED, CVR.LAST_SCRIPT_FAILED in past,                       CVR.LAST_SCRIPT_FAILED,
         ARQC if ADA.SCRIPT_FAILED_ONLINE in ada else None),
        (Finding.NEW_CARD, known.last_online_atc == 0,                                CVR.NEW_CARD,
         ARQC if ADA.NEW_CARD_ONLINE in ada else None),
        (Finding.PIN_LOCKED, known.pin_tries == 0,                                    CVR.PIN_LOCKED,
         AAC if ADA.PIN_LOCKED_DECLINE in ada else ARQC if ADA.PIN_LOCKED_ONLINE in ada else None),
        (Finding.TOO_MANY, known.lower is not None and in_a_row > known.lower,        CVR.VELOCITY_EXCEEDED, ARQC),
        (Finding.TOO_MANY_ABROAD, known.abroad is not None and abroad > known.abroad, CVR.VELOCITY_EXCEEDED, ARQC),
        (Finding.TOO_MUCH, known.total is not None and known.home and total > known.total, CVR.VELOCITY_EXCEEDED, ARQC),
    ))
    # fmt: on


def decide_second(asked: CryptogramType, known: Knowledge, *, unable: bool, issuer: IssuerProof, mandatory: bool) -> Decision:
    """Answer the second GENERATE AC; `unable` means that the issuer could not be reached (ARC Y3 or Z3, EMV B4 A6).

    `mandatory` is 9F56: without the issuer's proof (EXTERNAL AUTHENTICATE) the card may decline, as 9F52 says.
    """
    asked = TC if asked is TC else AAC  # EMV B3 6.5.5: a second ARQC is not asked for
    rows = _offline(known) if unable else _answered(known.ada, issuer, mandatory=mandatory)
    return _decide(asked, (_blocked(known), *rows), CVR.UNABLE_TO_GO_ONLINE if unable else NO_FLAGS)


def _offline(known: Knowledge) -> tuple[Row, ...]:
    """JR/T 0025.5: the issuer could not be asked; the upper limits and the application default action decide."""
    ada, in_a_row = known.ada, known.atc - known.last_online_atc
    total = known.standing.offline_minor + known.amount_minor
    # fmt: off
    return (
        (Finding.NO_ECASH_LEFT, known.ecash,                                       NO_FLAGS, AAC),  # else it had been a TC
        (Finding.NEW_CARD, known.last_online_atc == 0,                             CVR.NEW_CARD,
         AAC if ADA.NEW_CARD_DECLINE_OFFLINE in ada else None),
        (Finding.PIN_LOCKED, known.pin_tries == 0,                                 CVR.PIN_LOCKED,
         AAC if ADA.PIN_LOCKED_DECLINE_OFFLINE in ada else None),
        (Finding.TOO_MANY, known.upper is not None and in_a_row > known.upper,     CVR.VELOCITY_EXCEEDED, AAC),
        (Finding.TOO_MUCH, known.upper_total is not None and total > known.upper_total, CVR.VELOCITY_EXCEEDED, AAC),
    )
    # fmt: on


def _answered(ada: ADA, issuer: IssuerProof, *, mandatory: bool) -> tuple[Row, ...]:
    """JR/T 0025.5: the issuer was asked; whether it proved itself decides what its answer is worth."""
    failed, silent = issuer is IssuerProof.FAILED, issuer is IssuerProof.NONE and mandatory
    # fmt: off
    return (
        (Finding.ISSUER_FAILED, failed, CVR.ISSUER_AUTH_FAILED, AAC if ADA.ISSUER_AUTH_FAILED_DECLINE in ada else None),
        (Finding.ISSUER_SILENT, silent, CVR.ISSUER_AUTH_NOT_DONE_AFTER_ONLINE,
         AAC if ADA.NO_ISSUER_AUTH_DECLINE in ada else None),
    )
    # fmt: on


def _blocked(known: Knowledge) -> Row:
    return Finding.BLOCKED, known.blocked, NO_FLAGS, AAC


def _decide(asked: CryptogramType, rows: tuple[Row, ...], flags: CVR = NO_FLAGS) -> Decision:
    found = [(why, told, left) for why, is_so, told, left in rows if is_so]
    kind = min((asked, *(left for _, _, left in found if left is not None)), key=RANK.__getitem__)
    for _, told, _ in found:
        flags |= told
    return Decision(kind=kind, flags=flags, why=tuple(why for why, _, _ in found))
