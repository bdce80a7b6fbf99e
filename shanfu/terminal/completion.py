"""Completing an online payment with the card: the issuer proves itself, its scripts run, the card has the last word.

    EXTERNAL AUTHENTICATE (91) -> scripts of 71 -> GENERATE AC 2 -> scripts of 72

The card is asked for a TC when the host approved, for an AAC when it did not; without an answer the default action codes say
which. A card that gives no TC after an approval, or is not there any more, has not paid: the payment is reversed. A card
pulled after its TC has paid.

Who calls: `contact.py`. Sources: EMV B3 10.9 to 10.11, EMV B4 6.3.8, A5 (script results) and A6 (authorisation response codes).
"""

from dataclasses import dataclass

from shanfu.dialogue import Dialogue
from shanfu.emv import AFTER, AIP, BEFORE, TSI, TVR, CryptogramType, IssuerScript, ScriptOutcome, ScriptResult, commands
from shanfu.errors import DecodeError, LinkError
from shanfu.iso7816 import CommandAPDU, TLVList, parse
from shanfu.iso8583 import ResponseCode
from shanfu.terminal.action import Decision, choose_without_host, generate_ac
from shanfu.terminal.chip import Chip
from shanfu.terminal.endings import Ending, guarded
from shanfu.terminal.host import Answer, Failure
from shanfu.terminal.outcome import Reason

__all__ = ["Completion", "complete"]

OFFLINE_APPROVED, OFFLINE_DECLINED = b"Y3", b"Z3"  # 8A when the host could not be asked (EMV B4 A6)
CONTINUES = frozenset({0x90, 0x62, 0x63})  # SW1 after which the next script command is sent (EMV B4 6.3.9)
CDOL2 = 0x8D


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the card made of the host's word. `reason` says why there is no TC though one was asked for."""

    approved: bool
    reason: Reason | None = None
    scripts: bytes = b""  # DF31


def complete(chip: Chip, answer: Answer | Failure) -> Dialogue[Completion]:
    """Bring the host's answer to the card and hear what it says; never raises, wherever the card is."""
    wanted = _wanted(chip, answer)
    objects = _issuer_data(answer)
    results: list[ScriptResult] = []
    ended = yield from guarded(_with_card(chip, wanted, objects, results))
    scripts = b"".join(map(bytes, results))
    if isinstance(ended, Ending):
        reason = ended.reason
    elif not ended.proved:
        reason = Reason.AUTHENTICATION
    else:
        reason = Reason.CARD_DECLINED
        if ended.given is CryptogramType.TC:
            return Completion(approved=True, scripts=scripts)
    return Completion(approved=False, reason=reason if wanted is CryptogramType.TC else None, scripts=scripts)


def _wanted(chip: Chip, answer: Answer | Failure) -> CryptogramType:
    if isinstance(answer, Answer):
        chip.values[0x8A] = answer.code.value.encode("ascii")
        approved = answer.code.approved and answer.code is not ResponseCode.PARTIAL_APPROVAL  # DE60.6: we take none
        return CryptogramType.TC if approved else CryptogramType.AAC
    wanted = choose_without_host(chip)
    chip.values[0x8A] = OFFLINE_APPROVED if wanted is CryptogramType.TC else OFFLINE_DECLINED
    return wanted


def _issuer_data(answer: Answer | Failure) -> TLVList:
    """Field 55 of the answer, read in its order; one that cannot be read is none (its MAC was right: it is a fault there)."""
    raw = answer.message.fields.get(55) if isinstance(answer, Answer) else None
    try:
        return parse(raw if isinstance(raw, bytes) else b"")
    except DecodeError:
        return parse(b"")


def _with_card(
    chip: Chip, wanted: CryptogramType, objects: TLVList, results: list[ScriptResult]
) -> Dialogue[Decision | Ending]:
    yield from _authenticate_issuer(chip, objects.value(0x91))
    yield from _run_scripts(chip, objects, BEFORE, results)
    decided = yield from generate_ac(chip, wanted, CDOL2)
    if isinstance(decided, Decision):
        yield from _run_scripts(chip, objects, AFTER, results)
    return decided


def _authenticate_issuer(chip: Chip, data: bytes | None) -> Dialogue[None]:
    """Give 91 to the card: by EXTERNAL AUTHENTICATE if it says so, by CDOL 2 if it asks there (EMV B3 10.9)."""
    if not data:
        return
    chip.values[0x91] = data
    if AIP.ISSUER_AUTHENTICATION not in AIP.parse(chip.card[0x82]):
        return
    answer = yield from chip.ask("EXTERNAL AUTHENTICATE", commands.external_authenticate(data))
    chip.tsi |= TSI.ISSUER_AUTH_PERFORMED
    if not answer.ok:
        chip.tvr |= TVR.ISSUER_AUTH_FAILED


def _run_scripts(chip: Chip, objects: TLVList, template: int, results: list[ScriptResult]) -> Dialogue[None]:
    """Run the scripts of one template, each command in its order (EMV B3 10.10)."""
    failed = TVR.SCRIPT_FAILED_BEFORE if template == BEFORE else TVR.SCRIPT_FAILED_AFTER
    for node in objects.all(template):
        chip.tsi |= TSI.SCRIPT_PERFORMED
        result = yield from _run_script(chip, template, node.value)
        results.append(result)
        if result.outcome is not ScriptOutcome.DONE:
            chip.tvr |= failed


def _run_script(chip: Chip, template: int, value: bytes) -> Dialogue[ScriptResult]:
    try:
        script = IssuerScript.parse(template, value)
        apdus = [CommandAPDU.parse(raw) for raw in script.commands]
    except DecodeError:
        return ScriptResult(outcome=ScriptOutcome.NOT_PERFORMED)
    for number, command in enumerate(apdus, start=1):
        try:
            answer = yield from chip.ask(f"issuer script {template:X}, command {number}", command)
        except (DecodeError, LinkError):  # the card is gone: what comes next finds out by itself
            return ScriptResult(outcome=ScriptOutcome.FAILED, failed_at=number, identifier=script.identifier)
        if answer.sw >> 8 not in CONTINUES:
            return ScriptResult(outcome=ScriptOutcome.FAILED, failed_at=number, identifier=script.identifier)
    return ScriptResult(outcome=ScriptOutcome.DONE, identifier=script.identifier)
