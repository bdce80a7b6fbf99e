"""GET PROCESSING OPTIONS: the one command in which a contactless payment happens.

In qPBOC the answer carries the cryptogram: the card cuts the terminal's data by its PDOL, spends a transaction number
(durably, before anything leaves), decides, and signs. Over contact, and where both sides prefer full PBOC over contactless,
the answer is only where to read on (template 80).

Called through the table in `commands.py`. Sources: JR/T 0025.12 (qPBOC path, data of the answer), EMV Book 3 6.5.8,
JR/T 0025.5 (9F10), JR/T 0025.13 (issuer-defined data with a balance).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from shanfu.card.chip import Chip, refuse
from shanfu.card.decision import Request, Risk, Verdict, decide
from shanfu.card.image import GPOData, Interface
from shanfu.card.keys import Spent
from shanfu.crypto import SessionKey
from shanfu.emv import AIP, CVM, TTQ, BalanceData, CardChecks, IssuerApplicationData, cryptogram_input
from shanfu.errors import DecodeError
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord, parse, tlv

__all__ = ["get_processing_options", "idd_mac"]

WHOLE_ANSWER: Final = 0x100  # Le 00


def get_processing_options(chip: Chip, interface: Interface, command: CommandAPDU) -> ResponseAPDU:
    """Answer GPO: a cryptogram in qPBOC, profile and file locator elsewhere (EMV B3 6.5.8, JR/T 0025.12)."""
    if command.p1 or command.p2:
        return refuse(StatusWord.WRONG_P1P2)
    if not command.data or (command.le or WHOLE_ANSWER) < WHOLE_ANSWER:  # asked before a number is spent on half an answer
        return refuse(StatusWord.WRONG_LENGTH)
    filled = _template_83(command.data)
    if filled is None:
        return refuse(StatusWord.WRONG_DATA)
    try:
        said = chip.image.pdol[interface].split(filled)
    except DecodeError:
        return refuse(StatusWord.WRONG_LENGTH)
    options = _options(chip, interface, said)
    if options is None:
        return refuse(StatusWord.CONDITIONS_NOT_SATISFIED)
    spent = chip.ring.spend(said)
    if isinstance(spent, StatusWord):
        return refuse(spent)
    if options.iad is None:
        return ResponseAPDU(bytes(tlv(0x80, options.aip, options.afl)))
    return ResponseAPDU(_qpboc(chip, options, options.iad, spent=spent, said=said))


def idd_mac(key: SessionKey, *, atc: int, idd: bytes) -> bytes:
    """Return the 4-byte MAC that ends issuer-defined data; unverified: over ATC ‖ data, under the MAC session key."""
    return key.script_mac(atc.to_bytes(2) + idd)


def _template_83(data: bytes) -> bytes | None:
    try:
        objects = parse(data)
    except DecodeError:
        return None
    whole = len(objects) == 1 and objects[0].tag == 0x83 and objects[0].encoded == data
    return objects[0].value if whole else None


def _options(chip: Chip, interface: Interface, said: Mapping[int, bytes]) -> GPOData | None:
    """Choose the path by 9F66 and 82 byte 2 b8 (JR/T 0025.12); None where card and terminal share none."""
    gpo = chip.image.gpo
    if interface == Interface.CONTACT:
        return replace(gpo[interface], iad=None)
    ttq, prefers_full = TTQ.parse(said[0x9F66]), AIP.FULL_PBOC.is_in(gpo[interface].aip)
    if TTQ.QPBOC in ttq and not (TTQ.FULL_PBOC in ttq and prefers_full):
        return gpo[interface]
    if TTQ.FULL_PBOC in ttq and Interface.CONTACT in gpo:
        return replace(gpo[Interface.CONTACT], iad=None)
    return None


def _qpboc(chip: Chip, options: GPOData, template: IssuerApplicationData, *, spent: Spent, said: Mapping[int, bytes]) -> bytes:
    verdict = decide(
        Request(ttq=TTQ.parse(said[0x9F66]), amount=said[0x9F02], currency=said[0x5F2A]),
        Risk(
            checks=chip.image.checks,
            ctq=chip.image.ctq,
            cvms=(CVM.CDCVM,) if spent.cdcvm else chip.image.cvms,
            currencies=chip.image.currencies,
            pin_tries=chip.live.pin_tries,
            new_card=chip.live.last_online_atc == 0,
            single_limit=chip.image.data.get(0x9F78),
            balance=chip.live.balance,
        ),
    )
    atc = spent.atc.to_bytes(2)
    iad = bytes(replace(template, cvr=bytes(verdict.cvr), idd=_idd(template, spent, chip.live.balance)))
    signed = cryptogram_input(template.cvn, {**said, 0x82: options.aip, 0x9F36: atc, 0x9F10: iad})
    answer = {0x82: options.aip, 0x9F36: atc, 0x57: chip.image.track2, 0x9F10: iad, 0x9F26: spent.ac.cryptogram(signed)}
    answer |= _additions(chip, verdict)
    return bytes(tlv(0x77, *(tlv(tag, value) for tag, value in answer.items())))


def _idd(template: IssuerApplicationData, spent: Spent, balance: bytes | None) -> bytes | None:
    """Fill issuer-defined data of the form that begins 01 with the balance; any other goes out as personalised.

    A key ring that brings its own names the key with them (a phone), and they go out instead.
    """
    if spent.idd is not None:
        return spent.idd
    if template.idd is None or template.balance is None or balance is None or spent.mac is None:
        return template.idd
    start = bytes(BalanceData(amount_minor=int(balance.hex()) % 10**10, mac=b""))  # n10: the low five bytes of 9F79
    return start + idd_mac(spent.mac, atc=spent.atc, idd=start)


def _additions(chip: Chip, verdict: Verdict) -> dict[int, bytes]:
    """Return what else the answer carries: 5F34, 9F6C, 9F5D if 9F68 allows it, and since PBOC 3.0 9F63 (JR/T 0025.12)."""
    added = {0x5F34: chip.image.psn, 0x9F6C: bytes(verdict.ctq)}
    if CardChecks.RETURN_OFFLINE_AMOUNT in chip.image.checks:
        added[0x9F5D] = chip.available_offline
    added[0x9F63] = chip.image.data.get(0x9F63)
    return {tag: value for tag, value in added.items() if value is not None}
