"""GENERATE AC: the card's first answer in the contact flow, and its second after the issuer's.

At most two a transaction. What the first ARQC leaves open, what a TC spends and what a second cryptogram settles is durable
before it leaves; a card pulled in between has given no cryptogram. With CDA the cryptogram travels inside a signature of the
card's own key, which also covers everything that the terminal said.

Called through the table in `commands.py`. Sources: EMV Book 3 6.5.5 and 9, EMV Book 2 6.6, JR/T 0025.5 (9F10, CVR, counters),
JR/T 0025.13 (e-cash).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from shanfu.card.chip import Chip, refuse, wants_part
from shanfu.card.image import Interface
from shanfu.card.initiate import issuer_defined_data
from shanfu.card.keys import Spent
from shanfu.card.live import Standing
from shanfu.card.risk import Decision, Knowledge, decide_first, decide_second
from shanfu.card.session import IssuerProof, PINProof, Session
from shanfu.card.state import Event
from shanfu.emv import ADA, AIP, CVR, TVR, CryptogramType, cryptogram_input
from shanfu.errors import DecodeError, StoreError
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord, tlv
from shanfu.oda import sign_combined

__all__ = ["event_of_cryptogram", "generate_ac"]

CDA_ASKED: Final = 0x10  # EMV B3 table 12
UNABLE: Final = frozenset({b"Y3", b"Z3"})  # EMV B4 A6: the terminal could not go online
MANDATORY: Final = 0x80  # 9F56 b8, JR/T 0025.5


def event_of_cryptogram(session: Session) -> Event:
    """Say what the cryptogram that was just given makes of the application."""
    if session.second is not None:
        return Event.COMPLETE
    return Event.ASK_ISSUER if session.first is CryptogramType.ARQC else Event.END


def generate_ac(chip: Chip, _: Interface, command: CommandAPDU) -> ResponseAPDU:
    """Answer the first or second GENERATE AC (EMV B3 6.5.5)."""
    session = chip.session
    asked, cda = command.p1 & 0xC0, bool(command.p1 & CDA_ASKED)
    if command.p2 or asked == 0xC0 or command.p1 & 0x2F or (cda and not AIP.CDA.is_in(session.aip)):
        return refuse(StatusWord.WRONG_P1P2)
    spent = session.spent
    if spent is None:  # a write failed: what is durable is not known here, so nothing more is signed
        return refuse(StatusWord.CONDITIONS_NOT_SATISFIED)
    first = session.first is None
    if wants_part(command):
        return refuse(StatusWord.WRONG_LENGTH)
    try:
        said = chip.image.cdol[0 if first else 1].split(command.data)
    except DecodeError:
        return refuse(StatusWord.WRONG_LENGTH)
    session.said, session.filled = {**session.said, **said}, session.filled + command.data
    kind = CryptogramType(asked)
    try:
        given = _first(chip, spent, kind) if first else _second(chip, spent, kind)
    except StoreError:
        session.spent = None
        raise
    return _answer(chip, given, atc=spent.atc, cda=cda)


Given = tuple[CryptogramType, bytes, bytes]  # kind, cryptogram, 9F10


def _first(chip: Chip, spent: Spent, asked: CryptogramType) -> Given:
    session, known = chip.session, _knowledge(chip, spent)
    decision = decide_first(asked, known)
    flags = decision.flags | known.standing.flags | _pin_flags(chip)
    cvr = CVR.of(decision.kind, flags=flags, scripts=known.standing.scripts)
    tags = _ecash_debit(known, decision)
    cryptogram, iad = _sign(chip, spent, cvr, balance=tags.get(0x9F79))
    standing = _after_first(known, decision, TVR.parse(session.said[0x95]))
    if decision.kind is CryptogramType.ARQC:
        standing = replace(standing, atc=spent.atc, arqc=cryptogram)
    if tags or standing != known.standing:
        chip.live.keep(tags, standing=standing)
    session.first, session.cryptogram, session.flags = decision.kind, cryptogram, flags
    session.reported = known.standing.scripts
    return decision.kind, cryptogram, iad


def _second(chip: Chip, spent: Spent, asked: CryptogramType) -> Given:
    session, known = chip.session, _knowledge(chip, spent)
    unable, mandatory = session.said.get(0x8A, b"") in UNABLE, _mandatory(chip)
    decision = decide_second(asked, known, unable=unable, issuer=session.issuer, mandatory=mandatory)
    flags = decision.flags | (session.flags or 0)
    cvr = CVR.of(CryptogramType.ARQC, decision.kind, flags=flags, scripts=known.standing.scripts)
    cryptogram, iad = _sign(chip, spent, cvr)
    completed = not unable and (session.issuer is IssuerProof.PASSED or (session.issuer is IssuerProof.NONE and not mandatory))
    tags = {0x9F13: spent.atc.to_bytes(2)} if completed else {}
    standing = _completed(known, session) if completed else _not_completed(known, decision, session)
    chip.live.keep(tags, standing=standing)
    session.second = decision.kind
    return decision.kind, cryptogram, iad


def _knowledge(chip: Chip, spent: Spent) -> Knowledge:
    session = chip.session
    return Knowledge(
        ada=ADA.parse(chip.image.data.get(0x9F52, b"").ljust(2, b"\0")[:2]),
        standing=chip.live.standing,
        blocked=chip.live.blocked,
        pin_tries=chip.live.pin_tries,
        atc=spent.atc,
        last_online_atc=chip.live.last_online_atc,
        amount_minor=_minor(session.said.get(0x9F02, bytes(6))),
        home=session.said.get(0x5F2A) in chip.image.currencies[:1],
        ecash=session.ecash,
        balance_minor=chip.minor(0x9F79) or 0,
        lower=chip.number(0x9F58),
        upper=chip.number(0x9F59),
        abroad=chip.number(0x9F53),
        total=chip.minor(0x9F54),
        upper_total=chip.minor(0x9F5C),
    )


def _minor(amount: bytes) -> int:
    """Read n12; a terminal that sends no digits asks for more than anybody has."""
    digits = amount.hex()
    return int(digits) if digits.isdecimal() else 10**12


def _mandatory(chip: Chip) -> bool:
    return bool(chip.image.data.get(0x9F56, b"\0")[0] & MANDATORY)


def _pin_flags(chip: Chip) -> CVR | int:
    """JR/T 0025.5, CVR byte 2 b3 b2 and byte 3 b7: what this transaction's VERIFY showed."""
    pin = chip.session.pin
    done = 0 if pin is PINProof.NONE else CVR.OFFLINE_PIN_DONE
    failed = CVR.OFFLINE_PIN_FAILED if pin is PINProof.FAILED else 0
    return done | failed | (CVR.PIN_LOCKED if chip.live.pin_tries == 0 else 0)


def _ecash_debit(known: Knowledge, decision: Decision) -> dict[int, bytes]:
    """JR/T 0025.13: in the contact flow the balance falls when the TC is given."""
    if not known.ecash or decision.kind is not CryptogramType.TC:
        return {}
    return {0x9F79: bytes.fromhex(f"{known.balance_minor - known.amount_minor:012d}")}


def _after_first(known: Knowledge, decision: Decision, tvr: TVR) -> Standing:
    standing = known.standing
    if decision.kind is CryptogramType.ARQC:
        return replace(standing, flags=standing.flags | CVR.LAST_ONLINE_NOT_COMPLETED)
    failed = CVR.LAST_SDA_FAILED if TVR.SDA_FAILED in tvr else CVR(0)  # type: ignore[arg-type]  # a value
    if tvr & (TVR.DDA_FAILED | TVR.CDA_FAILED):
        failed |= CVR.LAST_DDA_FAILED
    standing = replace(standing, flags=standing.flags | failed)
    if decision.kind is CryptogramType.AAC or known.ecash:
        return standing
    return _spent_offline(known, standing)


def _spent_offline(known: Knowledge, standing: Standing) -> Standing:
    if known.home:
        return replace(standing, offline_minor=standing.offline_minor + known.amount_minor)
    return replace(standing, abroad=min(standing.abroad + 1, 0xFF))


def _completed(known: Knowledge, session: Session) -> Standing:
    """The issuer has answered: what it was told of is forgotten, and its counters begin anew (JR/T 0025.5)."""
    failed = CVR.LAST_SCRIPT_FAILED if session.script_failed else 0
    left = max(known.standing.scripts - session.reported, 0)  # those of this transaction are yet to be told
    return replace(known.standing, flags=CVR(failed), scripts=left, abroad=0, offline_minor=0)  # type: ignore[arg-type]


def _not_completed(known: Knowledge, decision: Decision, session: Session) -> Standing:
    """The issuer was not reached, or has not proved itself: the next first cryptogram tells it so (JR/T 0025.5)."""
    flags = known.standing.flags & ~CVR.LAST_ONLINE_NOT_COMPLETED
    if session.issuer is IssuerProof.FAILED:
        flags |= CVR.LAST_ONLINE_ISSUER_AUTH_FAILED
    flags |= decision.flags & CVR.ISSUER_AUTH_NOT_DONE_AFTER_ONLINE
    standing = replace(known.standing, flags=flags)
    unable = CVR.UNABLE_TO_GO_ONLINE in decision.flags
    return _spent_offline(known, standing) if unable and decision.kind is CryptogramType.TC else standing


def _sign(chip: Chip, spent: Spent, cvr: CVR, *, balance: bytes | None = None) -> tuple[bytes, bytes]:
    """Return the cryptogram and 9F10 (JR/T 0025.5)."""
    template = chip.image.iad
    assert template is not None, "personalisation refuses a contact application without 9F10"
    idd = issuer_defined_data(template, spent, chip.live.balance if balance is None else balance)
    iad = bytes(replace(template, cvr=bytes(cvr), idd=idd))
    values = {**chip.session.said, 0x82: chip.session.aip, 0x9F36: spent.atc.to_bytes(2), 0x9F10: iad}
    return spent.ac.cryptogram(cryptogram_input(template.cvn, values)), iad


def _answer(chip: Chip, given: Given, *, atc: int, cda: bool) -> ResponseAPDU:
    """EMV B3 6.5.5.4: format 1, or format 2 with the signature in the cryptogram's place; a decline is never signed."""
    kind, cryptogram, iad = given
    number = atc.to_bytes(2)
    if not cda or kind is CryptogramType.AAC or chip.image.icc is None:
        return ResponseAPDU(bytes(tlv(0x80, kind.cid + number + cryptogram + iad)))
    shown: Mapping[int, bytes] = {0x9F27: kind.cid, 0x9F36: number, 0x9F10: iad}
    hashed = chip.session.filled + b"".join(bytes(tlv(tag, value)) for tag, value in shown.items())
    signature = sign_combined(
        chip.image.icc,
        number,
        decision=(kind, cryptogram),
        unpredictable_number=chip.session.said.get(0x9F37, b""),
        transaction=hashed,
    )
    objects = {0x9F27: kind.cid, 0x9F36: number, 0x9F4B: signature, 0x9F10: iad}
    return ResponseAPDU(bytes(tlv(0x77, *(tlv(tag, value) for tag, value in objects.items()))))
