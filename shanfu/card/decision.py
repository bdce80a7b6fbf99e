"""What the card decides in a qPBOC tap: ask the issuer (ARQC), approve by itself (TC) or decline (AAC), and the verification.

`decide` is a pure function from what the terminal said (`Request`, out of the PDOL data) and what the card knows (`Risk`)
to a `Verdict`. Its steps are those of the standard, top to bottom; the first that settles the matter ends it. Approval by
the card alone (TC) needs a key for offline data authentication and a balance that covers the amount; a card without goes
online instead, and declines where the terminal cannot.

The findings (`Why`) name each reason in words for whoever studies a card; the issuer sees two of them as bits of the CVR.
Called by `initiate.py`. Sources: JR/T 0025.12 (qPBOC, card risk management), JR/T 0025.5 (CVR). The order of the checks
and the reading of 9F68 byte 1 follow a related kernel and are unverified.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shanfu.emv import CTQ, CVM, CVR, TTQ, CardChecks, CryptogramType

__all__ = ["Request", "Risk", "Verdict", "Why", "decide", "offer_cvm"]

CVR_START: Final = 0x03800000  # JR/T 0025.5: length 3, second GENERATE AC not requested (byte 2 b8-b7 = 10), first AAC
FIRST_GAC_SHIFT: Final = 14  # from 9F27's b8-b7 to byte 2 b6-b5 of the CVR


class Why(StrEnum):
    """What the card found."""

    NO_COMMON_CVM = "the terminal demands a verification that card and terminal do not share"
    TERMINAL_ASKS = "the terminal demands an online cryptogram"
    PIN_LOCKED = "no PIN tries are left"
    NEW_CARD = "the card has never completed an online transaction"
    OTHER_CURRENCY = "the card does not count in this currency"
    OVER_SINGLE_LIMIT = "the amount is over the limit of one offline payment"
    OVER_BALANCE = "the amount is over the offline balance"
    ON_DEVICE = "the holder has been verified on the device"
    NO_OFFLINE_KEY = "nothing speaks against an offline payment, but the card has no key for it"
    NO_OFFLINE_MONEY = "the card has no balance for offline payments in this currency"
    PIN_IS_ONLINE = "the verification is a PIN that only the issuer can check"
    OFFLINE_ONLY = "the terminal cannot go online"


ASKED: Final = {  # JR/T 0025.12, 9F6C
    CVM.ONLINE_PIN: CTQ.ONLINE_PIN_REQUIRED,
    CVM.SIGNATURE: CTQ.SIGNATURE_REQUIRED,
    CVM.CDCVM: CTQ.CDCVM_PERFORMED,
}
# JR/T 0025.12: a card tells byte 3 b7-b5 only; that a phone tells its own verification in byte 2 b3 is unverified
TOLD: Final = {Why.PIN_LOCKED: CVR.PIN_LOCKED, Why.NEW_CARD: CVR.NEW_CARD, Why.ON_DEVICE: CVR.OFFLINE_PIN_DONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the terminal said: 9F66, 9F02 (n12, 6 bytes) and 5F2A (n3, 2 bytes)."""

    ttq: TTQ
    amount: bytes
    currency: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """What the card knows; amounts are n12 in the first of its `currencies`, None where it has no such object."""

    checks: CardChecks
    ctq: CTQ
    cvms: tuple[CVM, ...]
    currencies: tuple[bytes, ...]
    pin_tries: int
    new_card: bool
    single_limit: bytes | None
    balance: bytes | None
    offline_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What goes out: kind of cryptogram, 9F6C, CVR; and why."""

    cryptogram: CryptogramType
    ctq: CTQ
    cvr: CVR
    why: tuple[Why, ...]


def decide(request: Request, risk: Risk) -> Verdict:
    """Return the card's verdict on a tap (JR/T 0025.12, card risk management of qPBOC)."""
    cvm = offer_cvm(request.ttq, risk.cvms)
    if cvm is None:
        return _verdict(CryptogramType.AAC, risk.ctq, (Why.NO_COMMON_CVM,))
    ctq = risk.ctq | ASKED[cvm] if cvm in ASKED else risk.ctq
    refused = False
    if TTQ.ONLINE_CRYPTOGRAM_REQUIRED in request.ttq:
        why: tuple[Why, ...] = (Why.TERMINAL_ASKS,)
    else:
        why = _offline_checks(request, risk) or _offline_needs(request, risk, cvm)
        if not why:
            return _verdict(CryptogramType.TC, ctq, why)
        refused = Why.OTHER_CURRENCY in why and CardChecks.REFUSE_CURRENCY_MISMATCH in risk.checks
    if cvm is CVM.CDCVM:
        why = (*why, Why.ON_DEVICE)
    if TTQ.OFFLINE_ONLY in request.ttq:
        return _verdict(CryptogramType.AAC, ctq, (*why, Why.OFFLINE_ONLY))
    return _verdict(CryptogramType.AAC if refused else CryptogramType.ARQC, ctq, why)


def offer_cvm(ttq: TTQ, cvms: tuple[CVM, ...]) -> CVM | None:
    """Choose how the cardholder is verified: none if not demanded, online PIN before signature; None if nothing is shared.

    `CVM.CDCVM` among the card's means that a phone has verified its holder already: that is told, demanded or not.
    """
    if CVM.CDCVM in cvms:
        return CVM.CDCVM
    if TTQ.CVM_REQUIRED not in ttq:
        return CVM.NONE
    if CVM.ONLINE_PIN in cvms and TTQ.ONLINE_PIN in ttq:
        return CVM.ONLINE_PIN
    if CVM.SIGNATURE in cvms and TTQ.SIGNATURE in ttq:
        return CVM.SIGNATURE
    return None


def _offline_checks(request: Request, risk: Risk) -> tuple[Why, ...]:
    """Return what speaks against an offline payment. Amounts in n12 compare as bytes do."""
    low_value = bool(risk.checks & (CardChecks.LOW_VALUE | CardChecks.LOW_VALUE_AND_CUMULATIVE))
    # fmt: off
    findings = (
        (Why.PIN_LOCKED,        CardChecks.PIN_TRIES in risk.checks and risk.pin_tries == 0),
        (Why.NEW_CARD,          risk.new_card),
        (Why.OTHER_CURRENCY,    request.currency not in risk.currencies),
        (Why.OVER_SINGLE_LIMIT, low_value and risk.single_limit is not None and request.amount > risk.single_limit),
        (Why.OVER_BALANCE,      low_value and risk.balance is not None and request.amount > risk.balance),
    )
    # fmt: on
    return tuple(why for why, found in findings if found)


def _offline_needs(request: Request, risk: Risk, cvm: CVM) -> tuple[Why, ...]:
    """Return what a payment that nothing speaks against still lacks for an approval by the card (JR/T 0025.12)."""
    if not risk.offline_key:
        return (Why.NO_OFFLINE_KEY,)
    low_value = bool(risk.checks & (CardChecks.LOW_VALUE | CardChecks.LOW_VALUE_AND_CUMULATIVE))
    if not low_value or risk.balance is None or request.currency not in risk.currencies[:1]:
        return (Why.NO_OFFLINE_MONEY,)
    if not request.amount.hex().isdecimal():  # no balance covers what is no amount
        return (Why.OVER_BALANCE,)
    return (Why.PIN_IS_ONLINE,) if cvm is CVM.ONLINE_PIN else ()


def _verdict(cryptogram: CryptogramType, ctq: CTQ, why: tuple[Why, ...]) -> Verdict:
    cvr = CVR.parse((CVR_START | cryptogram.value << FIRST_GAC_SHIFT).to_bytes(4))
    for found in why:
        cvr = cvr | TOLD[found] if found in TOLD else cvr
    return Verdict(cryptogram=cryptogram, ctq=ctq, cvr=cvr, why=why)
