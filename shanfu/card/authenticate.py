"""The card proves itself (INTERNAL AUTHENTICATE), the issuer proves itself (EXTERNAL AUTHENTICATE), and GET CHALLENGE.

The issuer has one attempt a transaction; that it failed is durable, and the next cryptogram says so.

Called through the table in `commands.py`. Sources: EMV Book 3 6.5.4, 6.5.6 and 6.5.9, EMV Book 2 6.5 and 8.2.1,
JR/T 0025.5; the status words of EXTERNAL AUTHENTICATE are unverified.
"""

import hmac
from dataclasses import replace
from typing import Final

from shanfu.card.chip import Chip, refuse
from shanfu.card.image import Interface
from shanfu.card.session import IssuerProof
from shanfu.emv import AIP, CVR
from shanfu.errors import DecodeError
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord, tlv
from shanfu.oda import sign_dynamic

__all__ = ["external_authenticate", "get_challenge", "internal_authenticate"]

CHALLENGE_BYTES: Final = 8  # EMV B3 6.5.6.4
PROOF_BYTES: Final = 10  # ARPC and ARC, tag 91 (JR/T 0025.5)


def internal_authenticate(chip: Chip, _: Interface, command: CommandAPDU) -> ResponseAPDU:
    """Sign the terminal's data (DDOL) with the card's own key, in format 1 (EMV B3 6.5.9)."""
    if command.p1 or command.p2:
        return refuse(StatusWord.WRONG_P1P2)
    spent, icc = chip.session.spent, chip.image.icc
    if spent is None or icc is None:
        return refuse(StatusWord.CONDITIONS_NOT_SATISFIED)
    try:
        chip.image.ddol.split(command.data)
    except DecodeError:
        return refuse(StatusWord.WRONG_LENGTH)
    return ResponseAPDU(bytes(tlv(0x80, sign_dynamic(icc, spent.atc.to_bytes(2), command.data))))


def external_authenticate(chip: Chip, _: Interface, command: CommandAPDU) -> ResponseAPDU:
    """Check the issuer's answer to this transaction's ARQC, once (EMV B3 6.5.4, JR/T 0025.5)."""
    session = chip.session
    if command.p1 or command.p2:
        return refuse(StatusWord.WRONG_P1P2)
    if not AIP.ISSUER_AUTHENTICATION.is_in(session.aip) or session.issuer is not IssuerProof.NONE or session.spent is None:
        return refuse(StatusWord.CONDITIONS_NOT_SATISFIED)
    if len(command.data) != PROOF_BYTES:
        return refuse(StatusWord.WRONG_LENGTH)
    arpc, arc = command.data[:8], command.data[8:]
    if hmac.compare_digest(session.spent.ac.arpc(session.cryptogram, arc), arpc):
        session.issuer = IssuerProof.PASSED
        return refuse(StatusWord.OK)
    session.issuer = IssuerProof.FAILED
    standing = chip.live.standing
    chip.live.keep(standing=replace(standing, flags=standing.flags | CVR.LAST_ONLINE_ISSUER_AUTH_FAILED))
    return refuse(StatusWord.STATE_CHANGED)


def get_challenge(chip: Chip, _: Interface, command: CommandAPDU) -> ResponseAPDU:
    """Give eight random bytes, good for the next command alone (EMV B3 6.5.6)."""
    if command.p1 or command.p2:
        return refuse(StatusWord.WRONG_P1P2)
    if command.data:
        return refuse(StatusWord.WRONG_LENGTH)
    chip.session.challenge = chip.random(CHALLENGE_BYTES)
    return ResponseAPDU(chip.session.challenge)
