"""The terminal's own day: sign-in, echo, sign-off, and the settlement that closes a batch.

A settlement sends first what is still to be reversed, then compares the batch's totals with the host's. Equal totals close the
batch, others leave it open on both sides. A lost answer is asked for again under the same trace number, also after a power
cut. The closing is one kept record; dropping the card data of the closed batch follows and is taken up again at the next
sign-in if a power cut came between.

Sources: UnionPay POS flow rules (public implementations), ISO 8583:1987 4.
"""

from dataclasses import replace

from shanfu.dialogue import Dialogue
from shanfu.errors import DecodeError
from shanfu.iso8583 import Message, ResponseCode, SettlementTotals
from shanfu.terminal import host, pos_messages
from shanfu.terminal.desk import Desk
from shanfu.terminal.host import Answer, Failure, exchange
from shanfu.terminal.outcome import Outcome, Reason
from shanfu.terminal.readiness import make_ready, send_kept
from shanfu.terminal.receipt import Receipt
from shanfu.terminal.slip import blank, declined

__all__ = ["echo", "reverse_pending", "settle", "sign_in", "sign_off"]

DAY_MS = 86_400_000
BALANCED = 1  # verdict digit of DE48


def sign_in(desk: Desk) -> Dialogue[Receipt]:
    """Open the day: batch number and working keys."""
    answer = yield from host.sign_in(desk)
    yield from _tidy(desk)
    return _receipt(desk, "sign-in", answer)


def sign_off(desk: Desk) -> Dialogue[Receipt]:
    """Close the line: what is still to be reversed goes first; the sign-in state is cleared by a good answer."""
    reason = yield from send_kept(desk)
    if reason is not None:
        return declined(desk, "sign-off", reason)
    stan = yield from desk.journal.take_stan()
    request = pos_messages.sign_off(desk.config, stan=stan, batch=desk.journal.state.batch)
    answer = yield from exchange(desk, "sign-off", request)
    if isinstance(answer, Answer) and answer.code is ResponseCode.APPROVED:
        yield from desk.journal.keep_state(signed_in=False)
    return _receipt(desk, "sign-off", answer, stan=stan)


def echo(desk: Desk) -> Dialogue[Receipt]:
    """Ask whether the acquirer is there."""
    answer = yield from exchange(desk, "echo", pos_messages.echo(desk.config, batch=desk.journal.state.batch))
    return _receipt(desk, "echo", answer)


def reverse_pending(desk: Desk) -> Dialogue[Receipt]:
    """Send every reversal and unanswered advice now, also those that had been left to reconciliation."""
    reason = (yield from host.reverse_pending(desk, also_given_up=True)) or (yield from send_kept(desk))
    left = [t for t in desk.journal.transactions.values() if t.due or t.given_up]
    if reason is not None or left:
        return declined(desk, "reversal", reason or Reason.NO_ANSWER)
    return replace(blank(desk, "reversal"), outcome=Outcome.APPROVED)


def settle(desk: Desk) -> Dialogue[Receipt]:
    """Compare the batch with the host; equal totals close it, others leave it open to be compared again."""
    reason = (yield from make_ready(desk)) or (yield from host.reverse_pending(desk, also_given_up=True))
    if reason is not None:
        return declined(desk, "settlement", reason)
    batch = desk.journal.state.batch
    totals = desk.journal.totals(batch)
    stan = yield from desk.journal.take_settlement_stan()
    request = pos_messages.settlement(desk.config, totals, stan=stan, batch=batch)
    answer = yield from _ask_again(desk, request)
    receipt = replace(_receipt(desk, "settlement", answer, stan=stan), batch=batch, totals=totals)
    if isinstance(answer, Failure):
        return receipt
    if answer.code is not ResponseCode.APPROVED or not _balanced(answer.message):
        yield from desk.journal.keep_state(settling="")
        return _not_balanced(desk, receipt) if receipt.approved else receipt
    yield from desk.journal.keep_state(signed_in=False, closed_batch=batch, settling="")
    yield from _tidy(desk)
    return receipt


def _ask_again(desk: Desk, request: Message) -> Dialogue[Answer | Failure]:
    """Repeat an unanswered settlement under its trace number: the host answers a repeat as it did the first."""
    answer = yield from exchange(desk, "settlement", request)
    for _ in range(desk.config.reversal_sends - 1):
        if isinstance(answer, Answer) or answer.closed:
            break
        answer = yield from exchange(desk, "settlement, sent again", request)
    return answer


def _not_balanced(desk: Desk, receipt: Receipt) -> Receipt:
    desk.tell("settlement: the host's totals differ", reason=str(Reason.BATCH_DIFFERS))
    return replace(receipt, outcome=Outcome.DECLINED, reason=Reason.BATCH_DIFFERS)


def _balanced(answer: Message) -> bool:
    try:
        return SettlementTotals.parse(answer.text(48)).domestic_verdict == BALANCED
    except DecodeError:
        return False


def _tidy(desk: Desk) -> Dialogue[None]:
    yield from desk.journal.truncate(older_than_ms=desk.clock.now_ms() - desk.config.keep_days * DAY_MS)


def _receipt(desk: Desk, title: str, answer: Answer | Failure, *, stan: str = "") -> Receipt:
    start = replace(blank(desk, title), stan=stan)
    if isinstance(answer, Failure):
        return replace(start, outcome=Outcome.DECLINED, reason=answer.reason)
    code = answer.code
    return replace(
        start,
        outcome=Outcome.APPROVED if code.approved else Outcome.DECLINED,
        reason=None if code.approved else Reason.ACQUIRER_DECLINED,
        response_code=code.value,
        response_phrase=code.phrase,
        rrn=answer.message.text(37, ""),
    )
