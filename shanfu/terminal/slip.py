"""Receipts as the terminal begins them: who and where it is, what is known of the transaction so far.

Dialogues complete them with `dataclasses.replace` when the answer is there. Who calls: payment, aftersales, management.
"""

from dataclasses import replace
from typing import Any

from shanfu.clock import local
from shanfu.money import Currency, Money
from shanfu.pan import mask_pan
from shanfu.terminal.config import ReaderKind
from shanfu.terminal.desk import Desk
from shanfu.terminal.endings import Ending
from shanfu.terminal.journal import Kind, Transaction, stan_of
from shanfu.terminal.outcome import Outcome, Reason, UIMessage
from shanfu.terminal.receipt import Receipt

__all__ = ["blank", "declined", "ended", "purchase_record", "slip_for"]


def blank(desk: Desk, title: str) -> Receipt:
    """A receipt that says only who and when; not an approval until something makes it one."""
    config, now = desk.config, local(desk.clock.now_ms())
    return Receipt(
        title=title,
        outcome=Outcome.DECLINED,
        merchant_name=config.merchant_name,
        merchant_id=config.merchant_id,
        terminal_id=config.terminal_id,
        batch=desk.journal.state.batch,
        date=now.strftime("%Y%m%d"),
        time=now.strftime("%H%M%S"),
        trace_id=desk.trace,
    )


def slip_for(desk: Desk, kept: Transaction, *, title: str) -> Receipt:
    """A receipt for a transaction that is about to be sent."""
    return replace(
        blank(desk, title),
        outcome=Outcome.ONLINE_REQUEST,
        amount=Money(kept.amount_minor, Currency.of(kept.currency)),
        masked_pan=kept.masked_pan,
        entry_mode=kept.entry_mode,
        atc=kept.atc,
        batch=kept.batch,
        stan=kept.stan,
    )


def purchase_record(desk: Desk, amount: Money, **facts: Any) -> Transaction:
    """The record of a payment, WAITING; `facts` are the card's, complete enough to make its reversal from it alone."""
    sequence = desk.journal.next_sequence
    return Transaction(
        sequence=sequence,
        kind=Kind.PURCHASE,
        batch=desk.journal.state.batch,
        stan=stan_of(sequence),
        amount_minor=amount.minor,
        currency=amount.currency.numeric,
        at_ms=desk.clock.now_ms(),
        date=desk.today,
        masked_pan=mask_pan(facts["pan"]),
        **facts,
    )


def ended(
    desk: Desk, ending: Ending, *, title: str, amount: Money | None, reader: ReaderKind = ReaderKind.CONTACTLESS
) -> Receipt:
    """The receipt of a transaction that ended at the terminal: nothing was sent."""
    desk.tell(f"{title} ends here: {ending.outcome}", reason=str(ending.reason), detail=ending.detail)
    return replace(
        blank(desk, title),
        outcome=ending.outcome,
        reason=ending.reason,
        detail=ending.detail,
        ui=ending.ui,
        amount=amount,
        interface=reader.value,
    )


def declined(desk: Desk, title: str, reason: Reason, *, amount: Money | None = None) -> Receipt:
    """The receipt of something that the terminal refuses itself."""
    desk.tell(f"{title}: refused by the terminal", reason=str(reason))
    return replace(blank(desk, title), reason=reason, ui=UIMessage.DECLINED, amount=amount)
