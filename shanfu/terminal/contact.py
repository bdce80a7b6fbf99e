"""Paying by insert (插): the full PBOC flow, from the amount to the receipt.

    ready -> select -> initiate -> read -> authenticate -> restrictions -> cardholder -> risk -> GENERATE AC
    TC: approved, kept, uploaded later     AAC: declined     ARQC: keep -> ask the host -> complete with the card -> settle

Each step is a file of its own and leaves its findings in the `Chip`. The transaction is kept before its request leaves, and
settled by one `Keep` when the card has had the last word: a card that refuses after the host's approval, or is pulled, is
reversed with 06. A chip that cannot be read is noted, so that its stripe may be taken instead (`swipe.py`).

Sources: EMV B3 8 and 10, EMV B4 6, JR/T 0025.5 and 0025.6.
"""

from dataclasses import dataclass, replace

from shanfu.dialogue import Dialogue
from shanfu.emv import CryptogramType, Message55, commands, encode_field55
from shanfu.iso8583 import EntryMode
from shanfu.money import Money
from shanfu.terminal import pos_messages
from shanfu.terminal.action import Decision, choose_cryptogram, generate_ac, why_refused
from shanfu.terminal.authentication import authenticate
from shanfu.terminal.chip import Chip, ask_chip
from shanfu.terminal.completion import Completion, complete
from shanfu.terminal.config import ReaderKind
from shanfu.terminal.desk import Desk
from shanfu.terminal.endings import Ending, end, guarded
from shanfu.terminal.host import Answer, Failure, book, exchange, seal
from shanfu.terminal.journal import Transaction, stan_of
from shanfu.terminal.offline import approve_offline, batch_open, may_wait
from shanfu.terminal.outcome import Outcome, Reason, UIMessage
from shanfu.terminal.payment import concluded, settle_record
from shanfu.terminal.readiness import ready_or_not
from shanfu.terminal.reading import initiate, read_chip
from shanfu.terminal.receipt import Receipt
from shanfu.terminal.restrictions import restrict
from shanfu.terminal.risk import manage_risk
from shanfu.terminal.selection import Choose, candidate_list, first_of, pick
from shanfu.terminal.slip import ended, purchase_record, slip_for
from shanfu.terminal.verification import verify_cardholder

__all__ = ["insert"]

CDOL1, CDOL2 = 0x8C, 0x8D
UNREADABLE = frozenset({Reason.CARD_DATA, Reason.CARD_SILENT, Reason.CHIP_SILENT, Reason.MISSING_DATA})
SCRIPT_RESULTS = 0xDF31
AAC = CryptogramType.AAC


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the shop wants of this payment besides the amount."""

    choose: Choose = first_of
    force_online: bool = False


def insert(desk: Desk, amount: Money, *, choose: Choose = first_of, force_online: bool = False) -> Dialogue[Receipt]:
    """Take a payment from an inserted card."""
    return concluded(desk, _insert(desk, amount, Wishes(choose=choose, force_online=force_online)))


def _insert(desk: Desk, amount: Money, wishes: Wishes) -> Dialogue[Receipt]:
    desk.name_next()
    if ReaderKind.CONTACT not in desk.config.readers:
        return _ended(desk, amount, Ending(outcome=Outcome.TRY_ANOTHER_INTERFACE, reason=Reason.NO_READER))
    unready = yield from ready_or_not(desk)
    desk.name_next()  # a sign-in has used a trace number and may have opened a batch
    floors = any(amount.minor < (limits.floor or 0) for limits in desk.aids)
    if unready is not None and not (may_wait(desk, unready) and floors):
        return _ended(desk, amount, Ending(outcome=Outcome.DECLINED, reason=unready))
    chip = yield from guarded(_read(desk, amount, wishes))
    if isinstance(chip, Ending):
        return _ended(desk, amount, _noted(desk, chip))
    desk.chip_failed_ms = None  # this chip can be read: its stripe is not
    decided = yield from guarded(_decide(chip, wishes))
    if isinstance(decided, Ending):
        return _ended(desk, amount, decided)
    return (yield from _carry_out(chip, decided, unready))


def _read(desk: Desk, amount: Money, wishes: Wishes) -> Dialogue[Chip | Ending]:
    """Select, initiate and read; an application that refuses these conditions makes room for the next one."""
    desk.show(UIMessage.PROCESSING)
    shared = yield from candidate_list(desk)
    if isinstance(shared, Ending):
        return shared
    while shared:
        application = pick(shared, wishes.choose)
        if application is None:
            return Ending(outcome=Outcome.END_APPLICATION, reason=Reason.NOT_CHOSEN)
        selected = yield from ask_chip(desk, "SELECT application", commands.select(application.aid))
        chip = (yield from initiate(desk, amount, application, selected)) if selected.ok else None
        if isinstance(chip, Ending):
            return chip
        if chip is not None:
            return (yield from read_chip(chip)) or chip
        desk.tell("select next", reason=Outcome.SELECT_NEXT)  # EMV B3 10.1, EMV B1 12.4
    return end(Reason.NO_APPLICATION)


def _decide(chip: Chip, wishes: Wishes) -> Dialogue[Decision | Ending]:
    """Everything that terminal and card find out before the first cryptogram (EMV B3 8.2)."""
    yield from authenticate(chip)
    restrict(chip)
    stopped = yield from verify_cardholder(chip)
    if stopped is not None:
        return stopped
    yield from manage_risk(chip, force_online=wishes.force_online or not batch_open(chip.desk))
    return (yield from generate_ac(chip, choose_cryptogram(chip), CDOL1))


def _carry_out(chip: Chip, decided: Decision, unready: Reason | None) -> Dialogue[Receipt]:
    """Do what the first cryptogram says."""
    kept = _record(chip)
    if not decided.proved:  # EMV B2 6.6.2: an ARQC that is not signed well is followed by an AAC, a TC is not believed
        if decided.given is CryptogramType.ARQC:
            yield from guarded(generate_ac(chip, AAC, CDOL2))
        return _refused(chip, kept, Reason.AUTHENTICATION)
    if decided.given is AAC:
        return _refused(chip, kept, why_refused(chip, decided.asked))
    if decided.given is CryptogramType.TC:
        return (yield from approve_offline(chip.desk, kept, chip.field55(kept.stan), slip=_slip(chip, kept)))
    return (yield from _online(chip, kept, unready))


def _online(chip: Chip, kept: Transaction, unready: Reason | None) -> Dialogue[Receipt]:
    desk = chip.desk
    answer = yield from _ask_host(chip, kept, unready)
    done = yield from complete(chip, answer)
    if isinstance(answer, Failure):
        return (yield from _without_host(chip, kept, answer, done))
    more = yield from _script_notice(chip, kept, done)
    slip = _slip(chip, kept)
    if done.reason is None:
        return (yield from settle_record(desk, kept, answer, slip=slip, more=more))
    de55 = {**chip.field55(kept.stan), SCRIPT_RESULTS: done.scripts} if done.scripts else chip.field55(kept.stan)
    more["reversal_de55"] = pos_messages.reversal_field55(de55)
    yield from book(desk, kept, answer, refused=True, more=more)
    desk.tell("approved by the host, refused by the card: to be reversed", reason=str(done.reason))
    return replace(
        slip,
        outcome=Outcome.DECLINED,
        reason=done.reason,
        response_code=answer.code.value,
        response_phrase=answer.code.phrase,
        ui=UIMessage.DECLINED,
        reversal_pending=True,
    )


def _ask_host(chip: Chip, kept: Transaction, unready: Reason | None) -> Dialogue[Answer | Failure]:
    """Keep the transaction and send its request; a host that is known to be away is not asked."""
    desk = chip.desk
    if unready is not None:
        return Failure(reason=unready, sent=False)
    field55 = encode_field55(chip.field55(kept.stan))
    request = pos_messages.purchase(desk.config, kept, chip.track2, field55=field55, pin_block=chip.pin_block)
    sealed = yield from seal(desk, request)
    if isinstance(sealed, Failure):
        yield from desk.journal.keep_state(signed_in=False)
        return sealed
    yield from desk.journal.keep(kept)  # the way back is durable before the way forth
    desk.show(UIMessage.AUTHORISING)
    return (yield from exchange(desk, "purchase", sealed))


def _without_host(chip: Chip, kept: Transaction, failure: Failure, done: Completion) -> Dialogue[Receipt]:
    """No valid answer came: what was sent is reversed; the card may have approved within its and our limits (Y3)."""
    desk, slip = chip.desk, _slip(chip, kept)
    if failure.sent:
        receipt = yield from settle_record(desk, kept, failure, slip=slip)
    else:  # nothing was sent under its number, which the next payment takes
        receipt = replace(slip, stan="", outcome=Outcome.DECLINED, reason=failure.reason, ui=UIMessage.DECLINED)
    if not done.approved:
        return receipt
    own = _record(chip)  # a payment of its own: the request that got no answer is taken back
    return (yield from approve_offline(desk, own, chip.field55(own.stan), slip=_slip(chip, own)))


def _script_notice(chip: Chip, kept: Transaction, done: Completion) -> Dialogue[dict[str, object]]:
    """What the record needs to tell the issuer of its scripts; nothing when there were none."""
    if not done.scripts:
        return {}
    stan = yield from chip.desk.journal.take_stan()
    tags = {**chip.field55(kept.stan), SCRIPT_RESULTS: done.scripts}
    return {"script_de55": encode_field55(tags, Message55.SCRIPT_NOTICE), "script_stan": stan}


def _record(chip: Chip) -> Transaction:
    stan = stan_of(chip.desk.journal.next_sequence)
    track2 = chip.track2
    return purchase_record(
        chip.desk,
        chip.amount,
        pan=track2.pan.digits,
        expiry=track2.expiry,
        psn=chip.psn,
        entry_mode=f"{EntryMode.CONTACT.value}{1 if chip.pin_block else 2}",
        atc=chip.atc,
        reversal_de55=pos_messages.reversal_field55(chip.field55(stan)),
    )


def _slip(chip: Chip, kept: Transaction) -> Receipt:
    return replace(
        slip_for(chip.desk, kept, title="purchase"),
        interface=ReaderKind.CONTACT.value,
        cvm=chip.cvm,
        card_checked_pin=chip.card_checked_pin,
        aid=chip.application.aid.hex().upper(),
        cryptogram=chip.cryptogram,
        cryptogram_kind=chip.kind.name,
    )


def _refused(chip: Chip, kept: Transaction, reason: Reason) -> Receipt:
    chip.desk.tell("declined offline", reason=str(reason), tvr=" · ".join(chip.tvr.explain()))
    slip = replace(_slip(chip, kept), stan="")  # nothing was sent under it
    return replace(slip, outcome=Outcome.DECLINED, reason=reason, ui=UIMessage.DECLINED)


def _ended(desk: Desk, amount: Money, ending: Ending) -> Receipt:
    ui = UIMessage.INSERT_CARD if ending.ui is UIMessage.PRESENT_AGAIN else ending.ui
    return ended(desk, replace(ending, ui=ui), title="purchase", amount=amount, reader=ReaderKind.CONTACT)


def _noted(desk: Desk, ending: Ending) -> Ending:
    """A chip that cannot be read: its stripe may be tried for a while, where that is allowed (ISO/IEC 7813 7.3)."""
    if ending.reason not in UNREADABLE:
        return ending
    desk.chip_failed_ms = desk.clock.now_ms()
    if not desk.config.stripe_fallback or ReaderKind.STRIPE not in desk.config.readers:
        return ending
    return replace(ending, outcome=Outcome.TRY_ANOTHER_INTERFACE, ui=UIMessage.USE_STRIPE)
