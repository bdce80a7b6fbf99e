"""Approval without the host: what a TC by wave is worth, and how such a payment is kept until the acquirer hears of it.

    exception file -> records by the AFL -> expiry -> fDDA -> approved        (JR/T 0025.12 7.2 to 7.8)

The card has approved already and takes the money off its balance when its last record is read; the terminal makes sure that
it is a genuine card. What it finds wrong ends in a decline, or goes online or to another interface where the card's CTQ says
so. An approved payment is kept with the field 55 of its upload before anybody hears of it, and is never reversed.

Who calls: `payment.py`, and `contact.py` for a TC in the slot. Sources: JR/T 0025.12 6.5 and 7, EMV B3 10.3 and 10.4.
"""

from collections.abc import Mapping
from dataclasses import replace

from shanfu.dialogue import Dialogue
from shanfu.emv import CTQ, CVM, TTQ, CryptogramType, Message55, encode_field55
from shanfu.errors import DecodeError
from shanfu.oda import Authentication, CardData, authenticate_fast, recover_chain
from shanfu.terminal.authentication import today
from shanfu.terminal.config import ReaderKind
from shanfu.terminal.contactless import Admitted, Tap
from shanfu.terminal.cvm import choose_cvm
from shanfu.terminal.desk import Desk
from shanfu.terminal.endings import Ending, end
from shanfu.terminal.journal import State, Transaction
from shanfu.terminal.kernel7 import fdda_failed
from shanfu.terminal.outcome import Outcome, Reason, UIMessage
from shanfu.terminal.reading import check_lengths, read_records
from shanfu.terminal.receipt import Receipt
from shanfu.terminal.restrictions import four_digit_year
from shanfu.terminal.risk import on_exception_file

__all__ = ["all_online", "approve_offline", "batch_open", "may_wait", "offline_possible", "prove"]

APPROVED_OFFLINE = b"Y1"  # 8A (EMV B4 A6)
CASH_CODE = 0x9F74  # JR/T 0025.13: which issuer lets the balance be spent; goes into the upload
NO_BATCH = "000000"
ONE_VALUE = (0x57, 0x5A, 0x5F24)  # JR/T 0025.12 7.2: twice in records ends the transaction; the answer to GPO must agree
CAN_WAIT = frozenset({Reason.HOST_UNREACHABLE, Reason.NO_ANSWER})


def may_wait(desk: Desk, reason: Reason) -> bool:
    """Whether the host's absence need not stop a payment that nobody has to ask it about."""
    return reason in CAN_WAIT and batch_open(desk) and not desk.journal.batch_full


def batch_open(desk: Desk) -> bool:
    """Whether there is a batch that will take an upload.

    There is none before the first sign-in, nor from a settlement to the sign-in after it, and who has asked for a settlement
    and got no answer cannot know.
    """
    state = desk.journal.state
    return state.batch not in (NO_BATCH, state.closed_batch) and not state.settling


def all_online(admitted: Admitted) -> Admitted:
    """Demand an online cryptogram of every application (JR/T 0025.12, 9F66)."""
    return {limits: ttq | TTQ.ONLINE_CRYPTOGRAM_REQUIRED for limits, ttq in admitted.items()}


def offline_possible(admitted: Admitted) -> bool:
    """Whether some application may approve this amount by itself (JR/T 0025.12 6.2: the contactless floor limit)."""
    return any(TTQ.ONLINE_CRYPTOGRAM_REQUIRED not in ttq for ttq in admitted.values())


def prove(desk: Desk, tap: Tap, *, host: bool) -> Dialogue[Tap | Ending]:
    """Judge a TC: the tap as it is (approved), as one to go online, or an Ending. `host`: whether one can be asked."""
    if on_exception_file(desk, tap.card.track2.pan.digits):
        return Ending(outcome=Outcome.DECLINED, reason=Reason.EXCEPTION_FILE)
    found = yield from read_records(desk, tap.card.tags[0x94])
    if isinstance(found, Ending):
        return found
    desk.show(UIMessage.CARD_READ_OK)
    values, marked = found
    told = tap.card.tags
    twice = [tag for tag in ONE_VALUE if values.get(tag, told.get(tag)) != told.get(tag, values.get(tag))]
    if twice:
        raise DecodeError("differs from the answer to GPO", path=f"{twice[0]:X}", spec="JR/T 0025.12 7.2")
    check_lengths(values)
    if CASH_CODE in values:
        tap = replace(tap, card=replace(tap.card, tags={**told, CASH_CODE: values[CASH_CODE]}))
    known = {**values, **tap.card.tags, **tap.values}
    return _judge(desk, tap, known, marked=marked, host=host)


def _judge(desk: Desk, tap: Tap, known: dict[int, bytes], *, marked: list[tuple[int, bytes]], host: bool) -> Tap | Ending:
    ctq = CTQ.parse(known[0x9F6C]) if 0x9F6C in known else None
    online = host and desk.config.online_capable
    if 0x5F24 not in known:
        return end(Reason.MISSING_DATA, detail="5F24")
    if four_digit_year(known[0x5F24]) < four_digit_year(known[0x9A]):  # JR/T 0025.12 7.4
        if online and ctq is not None and CTQ.ONLINE_IF_EXPIRED in ctq:
            return _online(tap, ctq)
        return Ending(outcome=Outcome.DECLINED, reason=Reason.EXPIRED_CARD)
    proof = _fdda(desk, tap, known, marked)
    if proof.ok:
        desk.tell("fDDA: the card is genuine")
        return tap
    failure = proof.failure.name if proof.failure else ""
    outcome = fdda_failed(ctq, online_capable=online, contact_interface=ReaderKind.CONTACT in desk.config.readers)
    desk.tell(f"fDDA: not proved, {outcome}", reason=failure)
    if outcome is Outcome.ONLINE_REQUEST:
        return _online(tap, ctq)
    ui = UIMessage.OTHER_INTERFACE if outcome is Outcome.TRY_ANOTHER_INTERFACE else UIMessage.DECLINED
    return Ending(outcome=outcome, reason=Reason.AUTHENTICATION, ui=ui, detail=failure)


def _fdda(desk: Desk, tap: Tap, known: dict[int, bytes], marked: list[tuple[int, bytes]]) -> Authentication:
    """The signature stands in the GPO answer, or in a record where the key is too long for that (JR/T 0025.12 7.5)."""
    digits = tap.card.track2.pan.digits
    pan = known.get(0x5A) or bytes.fromhex(digits + "F" * (len(digits) % 2))
    data = CardData(rid=tap.application.aid[:5], values={**known, 0x5A: pan}, records=tuple(marked), aip=known[0x82])
    chain = recover_chain(data, desk.parameters.ca_keys, today=today(desk))
    return authenticate_fast(chain, known.get(0x9F4B), values=known, version_01=TTQ.FDDA_01 in tap.application.ttq)


def _online(tap: Tap, ctq: CTQ | None) -> Tap | Ending:
    """The issuer decides after all; the cryptogram that goes there is the TC (9F27 says so)."""
    method = choose_cvm(tap.application.ttq, ctq)
    if method is None:
        return Ending(outcome=Outcome.DECLINED, reason=Reason.CVM_NOT_POSSIBLE)
    return replace(tap, card=replace(tap.card, offline=False, cvm=method))


def approve_offline(desk: Desk, kept: Transaction, values55: Mapping[int, bytes], *, slip: Receipt) -> Dialogue[Receipt]:
    """Keep an approval that the card gave by itself, with its upload; return its receipt."""
    field55 = encode_field55({0x8A: APPROVED_OFFLINE, **values55}, Message55.OFFLINE_UPLOAD)
    yield from desk.journal.keep(replace(kept, state=State.APPROVED, offline=True, upload_de55=field55, reversal_de55=b""))
    ui = UIMessage.APPROVED_SIGN if slip.cvm is CVM.SIGNATURE else UIMessage.APPROVED
    return replace(slip, outcome=Outcome.APPROVED, ui=ui, offline=True, cryptogram_kind=CryptogramType.TC.name)
