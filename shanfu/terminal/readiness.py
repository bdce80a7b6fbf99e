"""What a terminal does before anything goes out that moves money: it owes nobody an answer.

    signed in -> script results told -> reversals sent -> offline approvals uploaded -> what the acquirer wants downloaded

Each step is taken from kept records alone, so that a power cut anywhere only repeats it. A script result is sent three times
in all; an offline approval until the acquirer has it, since money hangs on it: it blocks nobody, and what the acquirer
refuses for good, or three times by a code of its own, is left to reconciliation.

Sources: UnionPay POS flow rules (script notice, then reversal, then the transaction), ISO 8583:1987 4.
"""

from dataclasses import replace

from shanfu.dialogue import Dialogue
from shanfu.iso8583 import Message, ResponseCode
from shanfu.terminal import downloads, pos_messages
from shanfu.terminal.desk import Desk
from shanfu.terminal.host import Answer, Failure, exchange, reverse_pending, seal, sign_in_if_due, with_year
from shanfu.terminal.journal import Transaction
from shanfu.terminal.outcome import Reason

__all__ = ["make_ready", "ready_or_not", "send_kept"]

SCRIPT_DONE = frozenset({ResponseCode.APPROVED, ResponseCode.ORIGINAL_NOT_FOUND, ResponseCode.INVALID_TRANSACTION})
UPLOADED = frozenset({ResponseCode.APPROVED, ResponseCode.DUPLICATE})
STAYS_WRONG = frozenset({ResponseCode.SIGN_IN_AGAIN, ResponseCode.FORMAT_ERROR})  # 77: the batch will never be open again
UPLOAD_REFUSED = frozenset({ResponseCode.INVALID_TRANSACTION, ResponseCode.ORIGINAL_NOT_FOUND})


def make_ready(desk: Desk) -> Dialogue[Reason | None]:
    """Do what is due before a payment; return why none can go out now, or None."""
    steps = (sign_in_if_due, tell_scripts, reverse_pending, upload, sign_in_if_due)  # an answer may ask for a sign-in
    for step in steps:
        reason = yield from step(desk)
        if reason is not None:
            return reason
    yield from downloads.fetch_wanted(desk)
    return None


def ready_or_not(desk: Desk) -> Dialogue[Reason | None]:
    """As `make_ready`; a full batch is a reason too."""
    return (yield from make_ready(desk)) or (Reason.BATCH_FULL if desk.journal.batch_full else None)


def send_kept(desk: Desk) -> Dialogue[Reason | None]:
    """Send what is kept, without a payment to come: before a sign-off, or when the shop wants it gone."""
    for step in (tell_scripts, reverse_pending, upload):
        reason = yield from step(desk)
        if reason is not None:
            return reason
    return None


def tell_scripts(desk: Desk) -> Dialogue[Reason | None]:
    """Tell each kept script result, up to `reversal_sends` times in all, counted durably before each sending."""
    for kept in desk.journal.script_notices():
        reason = yield from sign_in_if_due(desk)
        if reason is not None:
            return reason
        counted = yield from desk.journal.change(kept, script_sends=kept.script_sends + 1)
        answer = yield from _send(desk, "script result", pos_messages.script_result(desk.config, counted))
        if isinstance(answer, Failure) and answer.closed:
            yield from desk.journal.change(counted, script_sends=kept.script_sends)
            return Reason.HOST_UNREACHABLE
        told = isinstance(answer, Answer) and answer.code in SCRIPT_DONE
        if told or counted.script_sends >= desk.config.reversal_sends:
            yield from desk.journal.change(counted, script_de55=b"")
            desk.tell("script result told" if told else "script result given up", original=kept.name)
    return None


def upload(desk: Desk) -> Dialogue[Reason | None]:
    """Tell the acquirer each offline approval that it does not know yet; only a missing link is a reason to stop."""
    for kept in desk.journal.uploads():
        reason = yield from sign_in_if_due(desk)
        if reason is not None:
            return reason
        answer = yield from _send(desk, "offline approval", pos_messages.offline_upload(desk.config, kept))
        if isinstance(answer, Answer):
            yield from _uploaded(desk, kept, answer)
        elif answer.closed:
            return Reason.HOST_UNREACHABLE
    return None


def _uploaded(desk: Desk, kept: Transaction, answer: Answer) -> Dialogue[None]:
    """Book an upload's answer: taken, refused for good, or to be sent again a few times."""
    message, code = answer.message, answer.code
    if code not in UPLOADED and _may_come_right(code):
        return
    counted = replace(kept, uploads=kept.uploads + 1, response_code=code.value)
    if code in UPLOADED:
        day = with_year(message.text(15, ""), kept.date)
        taken = replace(counted, upload_de55=b"", rrn=message.text(37, kept.rrn), business_date=day)
        yield from desk.journal.keep(taken)
        desk.tell("offline approval uploaded", original=kept.name)
    elif code in UPLOAD_REFUSED or counted.uploads >= desk.config.reversal_sends:
        yield from desk.journal.keep(replace(counted, upload_de55=b"", needs_reconciliation=True))
        desk.tell("offline approval refused, left to reconciliation", reason=str(Reason.RECORD_REFUSED), original=kept.name)
    else:
        yield from desk.journal.keep(counted)


def _may_come_right(code: ResponseCode) -> bool:
    """Whether it is the host that could not, this time."""
    return (code.retryable or code is ResponseCode.TERMINAL_NOT_REGISTERED) and code not in STAYS_WRONG


def _send(desk: Desk, title: str, message: Message) -> Dialogue[Answer | Failure]:
    request = yield from seal(desk, message)
    if isinstance(request, Failure):
        yield from desk.journal.keep_state(signed_in=False)
        return request
    return (yield from exchange(desk, title, request))
