"""Giving money back: the void of a payment of this batch, the refund of any payment.

Both name their original; the terminal checks first what it can know itself: that there is such an approved payment, and that no
more goes back than was paid. A void is a request that can be reversed. A refund is an advice (0220): it is never
reversed but sent again under the same name until it is answered, or left to reconciliation after some sendings.

Sources: ISO 8583:1987 4, UnionPay POS flow rules (public implementations).
"""

from dataclasses import replace

from shanfu.dialogue import Dialogue
from shanfu.iso8583 import EntryMode, Message
from shanfu.money import Currency, Money
from shanfu.pan import PAN
from shanfu.terminal import pos_messages
from shanfu.terminal.desk import Desk
from shanfu.terminal.host import Failure, exchange, reverse_pending, seal
from shanfu.terminal.journal import Kind, State, Transaction, stan_of
from shanfu.terminal.outcome import Outcome, Reason, UIMessage
from shanfu.terminal.payment import settle_record
from shanfu.terminal.readiness import make_ready
from shanfu.terminal.receipt import Receipt
from shanfu.terminal.slip import declined, slip_for

__all__ = ["refund", "void"]

TYPED = f"{EntryMode.MANUAL.value}2"  # DE22: a typed reference, no PIN


def void(desk: Desk, stan: str) -> Dialogue[Receipt]:
    """Cancel the payment with this trace number in the current batch, whole."""
    original = desk.journal.find(stan)
    if original is None or original.kind is not Kind.PURCHASE or original.state is not State.APPROVED:
        return declined(desk, "void", Reason.NOTHING_TO_UNDO)
    if original.offline:  # the card has been debited: what goes back is a refund
        return declined(desk, "void", Reason.OFFLINE_PAYMENT)
    if desk.journal.undone_minor(original):
        return declined(desk, "void", Reason.ALREADY_VOIDED)
    reason = yield from make_ready(desk)
    if reason is not None or original.batch != desk.journal.state.batch:  # a sign-in may have opened another batch
        return declined(desk, "void", reason or Reason.NOTHING_TO_UNDO)
    kept = _undoing(desk, original, Kind.VOID, original.amount_minor)
    return (yield from _send(desk, kept, pos_messages.void(desk.config, kept, original), title="void"))


def refund(desk: Desk, original: Transaction, amount: Money, *, card: PAN | None = None) -> Dialogue[Receipt]:
    """Give back up to what was paid; `original` is a journal's transaction.

    A closed batch has no card numbers any more: then `card` is the one that the cardholder shows.
    """
    paid = Money(original.amount_minor, Currency.of(original.currency))
    shown = card.digits if card and str(card) == original.masked_pan else original.pan
    if original.kind is not Kind.PURCHASE or original.state is not State.APPROVED or not shown:
        return declined(desk, "refund", Reason.NOTHING_TO_UNDO, amount=amount)
    left = paid.minor - desk.journal.undone_minor(original)
    if amount.currency != paid.currency or not 0 < amount.minor <= left:
        return declined(desk, "refund", Reason.AMOUNT_OVER_ORIGINAL, amount=amount)
    reason = yield from make_ready(desk)
    if reason is not None:
        return declined(desk, "refund", reason, amount=amount)
    kept = replace(_undoing(desk, original, Kind.REFUND, amount.minor), pan=shown)
    return (yield from _send(desk, kept, pos_messages.refund(desk.config, kept), title="refund"))


def _undoing(desk: Desk, original: Transaction, kind: Kind, amount_minor: int) -> Transaction:
    desk.name_next()
    sequence = desk.journal.next_sequence
    return Transaction(
        sequence=sequence,
        kind=kind,
        batch=desk.journal.state.batch,
        stan=stan_of(sequence),
        amount_minor=amount_minor,
        currency=original.currency,
        at_ms=desk.clock.now_ms(),
        date=desk.today,
        pan=original.pan,
        masked_pan=original.masked_pan,
        entry_mode=TYPED,
        original=original.name,
        original_date=original.date,
        original_rrn=original.rrn,
        sends=int(kind is Kind.REFUND),  # its own sending is the first
    )


def _send(desk: Desk, kept: Transaction, request: Message, *, title: str) -> Dialogue[Receipt]:
    slip = slip_for(desk, kept, title=title)
    sealed = yield from seal(desk, request)
    if isinstance(sealed, Failure):
        return replace(slip, outcome=Outcome.DECLINED, reason=sealed.reason, ui=UIMessage.DECLINED)
    yield from desk.journal.keep(kept)
    desk.show(UIMessage.AUTHORISING)
    answer = yield from exchange(desk, title, sealed)
    receipt = yield from settle_record(desk, kept, answer, slip=slip)
    if kept.is_advice and isinstance(answer, Failure):
        receipt = yield from _insist(desk, kept, receipt)
    desk.tell(f"{title}: {receipt.outcome}", reason=str(receipt.reason or ""), code=receipt.response_code)
    return receipt


def _insist(desk: Desk, kept: Transaction, receipt: Receipt) -> Dialogue[Receipt]:
    """Send an unanswered advice again now; what stays unanswered is taken up before the next payment."""
    yield from reverse_pending(desk)
    booked = desk.journal.transactions[kept.sequence]
    if booked.state is not State.APPROVED:
        return replace(receipt, response_code=booked.response_code or receipt.response_code)
    return replace(
        receipt,
        outcome=Outcome.APPROVED,
        reason=None,
        response_code=booked.response_code,
        rrn=booked.rrn,
        auth_code=booked.auth_code,
        ui=UIMessage.APPROVED,
    )
