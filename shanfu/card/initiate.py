"""GET PROCESSING OPTIONS: the one command in which a contactless payment happens.

In qPBOC the answer carries the cryptogram: the card cuts the terminal's data by its PDOL, spends a transaction number
(durably, before anything leaves), decides, and signs. Over contact, and where both sides prefer full PBOC over contactless,
the answer is only where to read on (template 80), and the cryptogram is GENERATE AC's.

Called through the table in `commands.py`. Sources: JR/T 0025.12 (qPBOC path, data of the answer), EMV Book 3 6.5.8,
JR/T 0025.5 (9F10), JR/T 0025.13 (issuer-defined data with a balance).
"""

from collections.abc import Mapping
from dataclasses import replace

from shanfu.card.chip import Chip, refuse, wants_part
from shanfu.card.contact import contact_options
from shanfu.card.decision import Request, Risk, Verdict, decide
from shanfu.card.image import GPOData, Interface
from shanfu.card.keys import Spent
from shanfu.card.offline import approve, balance_after
from shanfu.card.session import Session
from shanfu.card.state import Event
from shanfu.crypto import SessionKey
from shanfu.emv import AIP, CVM, TTQ, BalanceData, CardChecks, CryptogramType, IssuerApplicationData, cryptogram_input
from shanfu.errors import DecodeError
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord, parse, tlv

__all__ = ["event_of_options", "get_processing_options", "idd_mac", "issuer_defined_data"]


def event_of_options(session: Session) -> Event:
    """Say what an answered GPO makes of the application."""
    return Event.OPEN if session.contact else Event.INITIATE


def get_processing_options(chip: Chip, interface: Interface, command: CommandAPDU) -> ResponseAPDU:
    """Answer GPO: a cryptogram in qPBOC, profile and file locator elsewhere (EMV B3 6.5.8, JR/T 0025.12)."""
    if command.p1 or command.p2:
        return refuse(StatusWord.WRONG_P1P2)
    if not command.data or wants_part(command):
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
    session = chip.session
    session.spent, session.said, session.filled, session.aip = spent, said, filled, options.aip
    if options.iad is None:
        session.contact = True
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
        options, chip.session.ecash = contact_options(chip, said)
        return replace(options, iad=None)
    ttq, prefers_full = TTQ.parse(said[0x9F66]), AIP.FULL_PBOC.is_in(gpo[interface].aip)
    if TTQ.QPBOC in ttq and not (TTQ.FULL_PBOC in ttq and prefers_full):
        return gpo[interface]
    if TTQ.FULL_PBOC in ttq and Interface.CONTACT in gpo:
        return replace(gpo[Interface.CONTACT], iad=None)
    return None


def _qpboc(chip: Chip, options: GPOData, template: IssuerApplicationData, *, spent: Spent, said: Mapping[int, bytes]) -> bytes:
    balance = chip.live.balance
    verdict = decide(
        Request(ttq=TTQ.parse(said[0x9F66]), amount=said[0x9F02], currency=said[0x5F2A]),
        Risk(
            checks=chip.image.checks,
            ctq=chip.image.ctq,
            cvms=(CVM.CDCVM,) if spent.cdcvm else chip.image.cvms,
            currencies=chip.image.currencies,
            pin_tries=chip.live.pin_tries,
            new_card=chip.live.last_online_atc == 0,
            single_limit=chip.value(0x9F78),
            balance=balance,
            offline_key=chip.image.icc is not None,
        ),
    )
    atc = spent.atc.to_bytes(2)
    added: dict[int, bytes] = {}
    if verdict.cryptogram is CryptogramType.TC and balance is not None:
        balance = balance_after(balance, said[0x9F02])
        added = approve(chip, options, verdict, atc=atc, said=said, balance=balance)
    iad = bytes(replace(template, cvr=bytes(verdict.cvr), idd=issuer_defined_data(template, spent, balance)))
    signed = cryptogram_input(template.cvn, {**said, 0x82: options.aip, 0x9F36: atc, 0x9F10: iad})
    answer = {0x82: options.aip, 0x9F36: atc, 0x57: chip.image.track2, 0x9F10: iad, 0x9F26: spent.ac.cryptogram(signed)}
    answer |= added | _additions(chip, verdict, balance)
    return bytes(tlv(0x77, *(tlv(tag, value) for tag, value in answer.items())))


def issuer_defined_data(template: IssuerApplicationData, spent: Spent, balance: bytes | None) -> bytes | None:
    """Fill issuer-defined data of the form that begins 01 with the balance; any other goes out as personalised.

    A key ring that brings its own names the key with them (a phone), and they go out instead.
    """
    if spent.idd is not None:
        return spent.idd
    if template.idd is None or template.balance is None or balance is None or spent.mac is None:
        return template.idd
    start = bytes(BalanceData(amount_minor=int(balance.hex()) % 10**10, mac=b""))  # n10: the low five bytes of 9F79
    return start + idd_mac(spent.mac, atc=spent.atc, idd=start)


def _additions(chip: Chip, verdict: Verdict, balance: bytes | None) -> dict[int, bytes]:
    """Return what else the answer carries (JR/T 0025.12).

    5F34, 9F6C, 9F5D if 9F68 allows it, and since PBOC 3.0 9F63 unless the card approves.
    """
    added = {0x5F34: chip.image.psn, 0x9F6C: bytes(verdict.ctq)}
    if CardChecks.RETURN_OFFLINE_AMOUNT in chip.image.checks:
        added[0x9F5D] = balance if 0x9F5D in chip.image.data else None
    if verdict.cryptogram is not CryptogramType.TC:
        added[0x9F63] = chip.image.data.get(0x9F63)
    return {tag: value for tag, value in added.items() if value is not None}
