"""Offline data authentication in the slot: the best method that card and terminal share, and what its end means.

    CDA if both can (proved later, by GENERATE AC)  ->  DDA (INTERNAL AUTHENTICATE)  ->  SDA  ->  none

`shanfu.oda` judges certificates and signatures; here are the choice, the commands and the bits of TVR and TSI. Who calls:
`contact.py`, and `verification.py` for the key that enciphers a PIN. Sources: EMV B3 10.3, EMV B2 5 to 7.
"""

from datetime import date

from shanfu.clock import local
from shanfu.dialogue import Dialogue
from shanfu.emv import AIP, TSI, TVR, commands, parse_dol
from shanfu.errors import DecodeError
from shanfu.oda import (
    Authentication,
    Failure,
    Method,
    authenticate_combined,
    authenticate_dynamic,
    authenticate_static,
    choose_ddol,
    recover_chain,
)
from shanfu.terminal.chip import Chip
from shanfu.terminal.desk import Desk

__all__ = ["authenticate", "check_combined", "today"]

SDA, DDA, CDA = 0x80, 0x40, 0x08  # byte 3 of 9F33, what the terminal can do (EMV B4 A2)


def today(desk: Desk) -> date:
    """The local date, for the dates of keys and certificates."""
    return local(desk.clock.now_ms()).date()


def authenticate(chip: Chip) -> Dialogue[None]:
    """Choose the method and run it; CDA is only prepared here (EMV B3 10.3)."""
    aip, ability = AIP.parse(chip.card[0x82]), chip.values[0x9F33][2]
    day, keys = today(chip.desk), chip.desk.parameters.ca_keys
    if aip & (AIP.CDA | AIP.DDA):
        chip.chain = recover_chain(chip.for_oda, keys, today=day)
    if AIP.CDA in aip and ability & CDA:
        chip.cda = chip.chain is not None and chip.chain.key is not None
        if not chip.cda and chip.chain is not None:
            _book(chip, Authentication(method=Method.CDA, failure=chip.chain.failure))
    elif AIP.DDA in aip and ability & DDA:
        found = yield from _dynamic(chip)
        _book(chip, found)
    elif AIP.SDA in aip and ability & SDA:
        _book(chip, authenticate_static(chip.for_oda, keys, today=day))
    else:
        chip.tvr |= TVR.ODA_NOT_PERFORMED


def _dynamic(chip: Chip) -> Dialogue[Authentication]:
    assert chip.chain is not None
    if chip.chain.key is None:  # the card need not be asked for a signature that nobody can open
        return Authentication(method=Method.DDA, failure=chip.chain.failure)
    try:
        default = parse_dol(chip.application.limits.ddol)
    except DecodeError:
        default = None
    ddol = choose_ddol(chip.card, default)
    if isinstance(ddol, Failure):
        return Authentication(method=Method.DDA, failure=ddol)
    filled = ddol.fill(chip.known())
    command = commands.internal_authenticate(filled)
    answer = yield from chip.ask("INTERNAL AUTHENTICATE", command, inside=ddol.split(filled))
    return authenticate_dynamic(chip.chain, answer.data if answer.ok else b"", terminal_data=filled)


def check_combined(chip: Chip, response: bytes) -> Authentication:
    """Judge the signature in an answer to GENERATE AC and book it (EMV B2 6.6.2)."""
    assert chip.chain is not None
    found = authenticate_combined(chip.chain, response, sent=chip.sent, unpredictable_number=chip.values[0x9F37])
    _book(chip, found)
    return found


def _book(chip: Chip, found: Authentication) -> None:
    chip.tsi |= TSI.ODA_PERFORMED
    chip.tvr |= found.tvr
    chip.card.update(found.proved)
    failure = found.failure
    chip.desk.tell(
        f"{found.method.value}: {'the card is genuine' if found.ok else 'not proved'}",
        reason=failure.name if failure else "",
        detail=failure.explain() if failure else "",
    )
