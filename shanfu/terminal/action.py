"""Terminal action analysis: the TVR against the rules of acquirer (TAC) and issuer (IAC), and the first GENERATE AC.

    denial match -> AAC      online match -> ARQC      neither -> TC
    a terminal that cannot go online asks "default" instead of "online": AAC or TC

The card may answer with less than was asked, never with more. Who calls: `contact.py`, `completion.py` for the second one.
Sources: EMV B3 10.7 and 9.3, EMV B2 6.6 (CDA), JR/T 0025.5.
"""

import hashlib
from dataclasses import dataclass

from shanfu.dialogue import Dialogue
from shanfu.emv import DOL, TSI, TVR, CryptogramType, IssuerApplicationData, commands, parse_cryptogram_response, parse_dol
from shanfu.errors import DecodeError
from shanfu.iso7816 import parse, parse_flat
from shanfu.terminal.authentication import check_combined
from shanfu.terminal.chip import Chip
from shanfu.terminal.endings import Ending, end
from shanfu.terminal.outcome import Reason

__all__ = ["Decision", "choose_cryptogram", "choose_without_host", "generate_ac", "why_refused"]

AAC, TC, ARQC = CryptogramType.AAC, CryptogramType.TC, CryptogramType.ARQC
IAC_DEFAULT, IAC_DENIAL, IAC_ONLINE = 0x9F0D, 0x9F0E, 0x9F0F
NO_BITS, ALL_BITS = bytes(5), b"\xff" * 5  # EMV B3 10.7: what an absent issuer action code counts as
MUST_ANSWER = (0x9F27, 0x9F36, 0x9F26)  # EMV B3 6.5.5.4
MOST_BYTES = {0x9F27: 1, 0x9F36: 2, 0x9F26: 8}
RANK = {AAC: 0, ARQC: 1, TC: 2}  # EMV B3 9.3: how far each goes

# fmt: off
WHY = (  # why a payment was refused offline, the first that fits
    (TVR.ON_EXCEPTION_FILE,   Reason.EXCEPTION_FILE),
    (TVR.EXPIRED,             Reason.EXPIRED_CARD),
    (TVR.SERVICE_NOT_ALLOWED, Reason.NOT_ALLOWED_HERE),
    (TVR.NOT_YET_EFFECTIVE,   Reason.NOT_ALLOWED_HERE),
    (TVR.SDA_FAILED | TVR.DDA_FAILED | TVR.CDA_FAILED, Reason.AUTHENTICATION),
    (TVR.CVM_FAILED,          Reason.CVM_NOT_POSSIBLE),
)
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was asked and what the card gave; `proved` is False when it should have signed its answer and did not."""

    asked: CryptogramType
    given: CryptogramType
    proved: bool = True


def choose_cryptogram(chip: Chip) -> CryptogramType:
    """Say what to ask the card for first (EMV B3 10.7)."""
    limits, card = chip.application.limits, chip.card
    if _match(chip.tvr, limits.tac_denial, card.get(IAC_DENIAL) or NO_BITS):
        return AAC
    if not chip.desk.config.online_capable:
        return choose_without_host(chip)
    return ARQC if _match(chip.tvr, limits.tac_online, card.get(IAC_ONLINE) or ALL_BITS) else TC


def choose_without_host(chip: Chip) -> CryptogramType:
    """Say what to ask for when the host cannot be asked (EMV B3 10.7, 10.9)."""
    return AAC if _match(chip.tvr, chip.application.limits.tac_default, chip.card.get(IAC_DEFAULT) or ALL_BITS) else TC


def _match(tvr: TVR, terminal: bytes, issuer: bytes) -> bool:
    return bool(int(tvr) & (int.from_bytes(terminal) | int.from_bytes(issuer)))


def why_refused(chip: Chip, asked: CryptogramType) -> Reason:
    """Name what speaks most against this payment; without any such thing it was the card's own choice, or ours."""
    found = next((reason for bits, reason in WHY if chip.tvr & bits), None)
    return found or (Reason.TERMINAL_DECLINED if asked is AAC else Reason.CARD_DECLINED)


def generate_ac(chip: Chip, asked: CryptogramType, cdol: int) -> Dialogue[Decision | Ending]:
    """Ask for a cryptogram over the card's CDOL (tag 8C or 8D) and judge the answer (EMV B3 6.5.5, 9.3)."""
    dol = parse_dol(chip.card[cdol])
    filled = dol.fill(_with_hash(chip, dol))
    chip.sent += filled
    signed = chip.cda and asked is not AAC  # EMV B4 6.3.2.1: CDA is not asked for with an AAC
    command = commands.generate_ac(asked, filled, cda=signed)
    answer = yield from chip.ask(f"GENERATE AC for {asked.name}", command, inside=dol.split(filled))
    if not answer.ok:
        return end(Reason.APPLICATION_REFUSED, detail=f"GENERATE AC {answer.sw:04X}")
    return _read(chip, answer.data, asked=asked, signed=signed)


def _read(chip: Chip, response: bytes, *, asked: CryptogramType, signed: bool) -> Decision | Ending:
    tags = _tags(response)
    cid = tags.get(0x9F27, b"")
    if len(cid) != 1:
        return end(Reason.MISSING_DATA, detail="9F27")
    given, proved = CryptogramType.of_cid(cid[0]), True
    if RANK[given] > RANK[asked]:
        return end(Reason.CARD_OVERREACHED, detail=f"asked for {asked.name}, got {given.name}")
    chip.tsi |= TSI.CARD_RISK_PERFORMED
    if signed and given is not AAC:  # EMV B2 6.6.2: the cryptogram is inside the signature
        found = check_combined(chip, response)
        proved = found.ok
        tags = {**tags, **found.proved} if proved else {**tags, 0x9F26: tags.get(0x9F26, bytes(8))}
    if given is not AAC:  # what goes to the host needs it; a malformed one ends here
        IssuerApplicationData.parse(tags.get(0x9F10, b""))
    missing = [tag for tag in MUST_ANSWER if len(tags.get(tag, b"")) != MOST_BYTES[tag]]
    if missing:
        return end(Reason.MISSING_DATA, detail=" ".join(f"{tag:X}" for tag in missing))
    chip.card.update({tag: tags[tag] for tag in (*MUST_ANSWER, 0x9F10) if tag in tags})
    chip.desk.tell(f"card: {given.name}", atc=chip.atc, tvr=bytes(chip.tvr).hex().upper())
    return Decision(asked=asked, given=given, proved=proved)


def _tags(response: bytes) -> dict[int, bytes]:
    objects = parse(response)
    if len(objects) == 1 and objects[0].tag == 0x77:
        return parse_flat(objects[0].value)
    return parse_cryptogram_response(response)


def _with_hash(chip: Chip, dol: DOL) -> dict[int, bytes]:
    """Values for a CDOL; the TC hash value (98) is made over the card's TDOL, or over none (EMV B3 10.8, 5.2.2)."""
    if 0x98 not in dol:
        return chip.known()
    try:
        tdol = parse_dol(chip.card[0x97]) if 0x97 in chip.card else None
    except DecodeError:
        tdol = None
    if tdol is None:
        chip.tvr |= TVR.DEFAULT_TDOL_USED
    data = (tdol or DOL()).fill(chip.known())
    return {**chip.known(), 0x98: hashlib.sha1(data, usedforsecurity=False).digest()}
