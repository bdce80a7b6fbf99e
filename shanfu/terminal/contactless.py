"""The wave (挥): from "present card" to a cryptogram, as the entry point and kernel 7 prescribe.

    pre-process -> present card -> PPSE -> candidates -> SELECT -> GPO -> the card may go

Every ending that needs no host is an `Ending`: no antenna, a contact-only card, a card that leaves the field, a refusal,
bad data. Nothing here raises, whatever the card answers.

Sources: EMV CL A 5.8, EMV CL B 3.1–3.4, JR/T 0025.12 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shanfu.clock import local
from shanfu.dialogue import Dialogue
from shanfu.emv import CVM, CVM_RESULTS, DOL, TTQ, commands
from shanfu.errors import LinkTimeout
from shanfu.iso7816 import ResponseAPDU, StatusWord
from shanfu.money import Money
from shanfu.terminal.config import AIDParameters, ReaderKind
from shanfu.terminal.desk import Desk
from shanfu.terminal.endings import Ending, end, guarded, insert_card
from shanfu.terminal.entry_point import Candidate, candidates, preprocess
from shanfu.terminal.kernel7 import CardAnswer, pdol_of, read_gpo
from shanfu.terminal.outcome import Outcome, Reason, UIMessage

__all__ = ["Admitted", "Tap", "admit", "tap", "transaction_values"]

Admitted = dict[AIDParameters, TTQ]
FROM_CARD = frozenset(
    {0x82, 0x9F10, 0x9F26, 0x9F27, 0x9F36, 0x9F63, 0x9F74}
)  # a card does not speak for the terminal in field 55


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """What a wave gave: a cryptogram, with the application it came from and the terminal's own values."""

    card: CardAnswer
    application: Candidate
    values: Mapping[int, bytes] = field(repr=False)

    def field55_values(self, method: CVM, stan: str) -> dict[int, bytes]:
        """All tags of field 55: the terminal's values, the card's, and what the cardholder's verification became."""
        own = {0x84: self.application.aid, 0x9F34: CVM_RESULTS[method], 0x9F41: bytes.fromhex(stan.zfill(8))}
        card = {tag: value for tag, value in self.card.tags.items() if tag in FROM_CARD}
        return {**self.values, **card, **own}


def admit(desk: Desk, amount: Money) -> Admitted | Ending:
    """Pre-process every application; with none left the amount or the configuration asks for another interface."""
    config = desk.config
    if ReaderKind.CONTACTLESS not in config.readers:
        return insert_card(Reason.NO_READER)
    results = {limits: preprocess(amount.minor, limits, config) for limits in desk.aids}
    admitted = {limits: result.ttq for limits, result in results.items() if result.outcome is None}
    return admitted or insert_card(next(result.reason for result in results.values() if result.reason))


def tap(desk: Desk, amount: Money, admitted: Admitted, *, transaction_type: int = 0) -> Dialogue[Tap | Ending]:
    """Ask the cardholder to present the card and lead it to its cryptogram."""
    desk.show(UIMessage.PRESENT_CARD)
    found = yield from guarded(_wave(desk, amount, admitted, transaction_type=transaction_type))
    if isinstance(found, Tap) and not found.card.offline:  # a TC is followed by records
        desk.show(UIMessage.CARD_READ_OK)
    return found


def _wave(desk: Desk, amount: Money, admitted: Admitted, *, transaction_type: int) -> Dialogue[Tap | Ending]:
    shared = yield from _candidates(desk, admitted)
    if isinstance(shared, Ending):
        return shared
    return (yield from _run(desk, amount, shared, transaction_type=transaction_type))


def _candidates(desk: Desk, admitted: Admitted) -> Dialogue[list[Candidate] | Ending]:
    try:
        answer = yield from desk.ask_card("SELECT PPSE", commands.select_ppse())
    except LinkTimeout:  # nothing in the field answers: no card, or one without an antenna
        return insert_card(Reason.NO_CARD)
    if answer.sw == StatusWord.FUNCTION_NOT_SUPPORTED:  # JR/T 0025.5: a blocked card answers 6A81 to its first SELECT
        return end(Reason.APPLICATION_REFUSED)
    if not answer.ok:
        return insert_card(Reason.NO_APPLICATION)
    shared = candidates(answer.data, admitted)
    desk.tell("candidate list", applications=" ".join(f"{c.aid.hex().upper()} (kernel {c.kernel})" for c in shared))
    return shared or insert_card(Reason.NO_APPLICATION)


def _run(desk: Desk, amount: Money, shared: list[Candidate], *, transaction_type: int) -> Dialogue[Tap | Ending]:
    """Select the applications in their order until one lets itself be selected, then run its kernel."""
    for candidate in shared:
        answer = yield from desk.ask_card("SELECT application", commands.select(candidate.aid))
        if not answer.ok:  # EMV CL B 3.3.3.5: select next
            desk.tell("select next", reason=Outcome.SELECT_NEXT)
            continue
        terminal = transaction_values(desk, amount, version=candidate.limits.version, transaction_type=transaction_type)
        values = {**terminal, 0x9F66: bytes(candidate.ttq), 0x95: bytes(5)}  # JR/T 0025.12: TVR all zero in qPBOC
        return (yield from _kernel(desk, candidate, answer, values=values))
    return Ending(outcome=Outcome.TRY_ANOTHER_INTERFACE, reason=Reason.NO_APPLICATION, ui=UIMessage.OTHER_INTERFACE)


def _kernel(desk: Desk, application: Candidate, selected: ResponseAPDU, *, values: dict[int, bytes]) -> Dialogue[Tap | Ending]:
    pdol: DOL | Ending = pdol_of(selected)
    if isinstance(pdol, Ending):
        return pdol
    filled = pdol.fill(values)
    command = commands.get_processing_options(filled)
    answer = yield from desk.ask_card("GET PROCESSING OPTIONS", command, inside=pdol.split(filled))
    found = read_gpo(answer, application.ttq)
    if isinstance(found, Ending):
        return found
    desk.tell(
        "kernel 7: TC, approved offline by the card" if found.offline else "kernel 7: ARQC, go online",
        cvm=found.cvm.value,
        atc=found.atc,
        application=application.aid.hex().upper(),
        ttq=bytes(application.ttq).hex().upper(),
    )
    return Tap(card=found, application=application, values=values)


def transaction_values(desk: Desk, amount: Money, *, version: bytes, transaction_type: int = 0) -> dict[int, bytes]:
    """Return the terminal's data elements for this transaction; the unpredictable number is drawn here (EMV B4 6.5.6)."""
    config, now = desk.config, local(desk.clock.now_ms())
    return {
        0x9F02: bytes.fromhex(f"{amount.minor:012d}"),
        0x9F03: bytes(6),
        0x9F1A: bytes.fromhex(config.country.zfill(4)),
        0x5F2A: bytes.fromhex(amount.currency.numeric.zfill(4)),
        0x9A: bytes.fromhex(now.strftime("%y%m%d")),
        0x9F21: bytes.fromhex(now.strftime("%H%M%S")),
        0x9C: bytes((transaction_type,)),
        0x9F37: desk.random(4),
        0xDF60: b"\0",  # JR/T 0025.14: no sectional fare
        0xDF69: bytes((config.sm_algorithms,)),  # JR/T 0025.17; of certificates: a cryptogram is the issuer's to verify
        0x9F33: config.capabilities,
        0x9F35: config.terminal_type,
        0x9F40: config.additional_capabilities,
        0x9F1E: config.device_serial,
        0x9F09: version,
        0x9F4E: config.merchant_name.encode("ascii", "replace")[:20],
    }
