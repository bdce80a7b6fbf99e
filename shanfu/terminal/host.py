"""The terminal and its acquirer: one exchange, the sign-in before it, the reversal after it.

`exchange` seals a request, asks, and judges the answer: whether it can be read, is this request's, has a right MAC. It
returns an `Answer`, or a `Failure` with the reason that a reversal would give (98 no answer, 96 unreadable, A0 bad MAC).

What stands before every payment is in `readiness.py`; sign-in and reversals are here. A reversal is sent up to
`reversal_sends` times in all, counted durably before each sending; then it is left to reconciliation and blocks nobody.
A link that is not there at all uses up no sending.

Sources: ISO 8583:1987 4.3, UnionPay POS flow rules (public implementations).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from shanfu.dialogue import Ask, Dialogue
from shanfu.errors import DecodeError, LinkClosed, LinkError
from shanfu.iso8583 import (
    REVERSAL_DONE,
    Action,
    Message,
    PosFrame,
    ResponseCode,
    ReversalReason,
    decode_pos,
    encode_pos,
    mab_of,
    prepare_pos,
)
from shanfu.terminal import pos_messages
from shanfu.terminal.desk import ACQUIRER, PIN_PAD, Desk
from shanfu.terminal.journal import State, Transaction
from shanfu.terminal.outcome import Reason
from shanfu.terminal.pin_pad import CheckMAC, KeysLoaded, LoadKeys, MACChecked, MACMade, MakeMAC

__all__ = [
    "Answer",
    "Failure",
    "book",
    "exchange",
    "reverse_pending",
    "seal",
    "sign_in",
    "sign_in_if_due",
    "with_year",
]

NOTHING_MORE: Mapping[str, object] = MappingProxyType({})
REQUIRES_SIGN_IN = "3"  # the header is outside the MAC and may be anything: only this digit is looked at
WANTS = {"4": "wants_keys", "5": "wants_parameters"}  # processing requirement -> what `downloads.py` is to do
BATCH = slice(2, 8)  # of DE60


@dataclass(frozen=True, slots=True)
class Answer:
    """A readable answer to this very request, with a right MAC if it approves anything that had one."""

    message: Message
    code: ResponseCode
    requirement: str = "0"  # the header's sixth digit: what the host wants the terminal to do next


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """No valid answer. `sent` tells whether the request may have reached the acquirer."""

    reason: Reason
    reversal: ReversalReason = ReversalReason.NO_ANSWER
    sent: bool = True
    closed: bool = False  # there was no link


@dataclass(frozen=True, slots=True)
class Sealed:
    """A request ready to leave."""

    message: Message
    frame: bytes


def seal(desk: Desk, message: Message) -> Dialogue[Sealed | Failure]:
    """Encode a request and have the PIN pad make its MAC."""
    unsealed = prepare_pos(PosFrame(desk.config.tpdu, desk.config.header, message))
    reply = yield Ask(PIN_PAD, MakeMAC(unsealed.mab))
    if not isinstance(reply, MACMade):
        return Failure(reason=Reason.PIN_PAD_FAULT, sent=False)
    return Sealed(Message(message.mti, {**message.fields, 64: reply.mac}), unsealed.seal(reply.mac))


def exchange(desk: Desk, title: str, request: Sealed | Message) -> Dialogue[Answer | Failure]:
    """Send a request (sealed, or of a kind without MAC) and judge what comes back."""
    if isinstance(request, Message):
        request = Sealed(request, encode_pos(PosFrame(desk.config.tpdu, desk.config.header, request)))
    desk.frame(title, request.frame, response=False)
    try:
        raw: bytes = yield Ask(ACQUIRER, request.frame)
    except LinkError as fault:
        closed = isinstance(fault, LinkClosed)
        desk.tell(f"{title}: no answer", reason=str(Reason.HOST_UNREACHABLE if closed else Reason.NO_ANSWER))
        return Failure(reason=Reason.NO_ANSWER, closed=closed)
    judged = yield from _judge(desk, title, request, raw)
    if isinstance(judged, Failure):
        desk.tell(f"{title}: the answer does not count", reason=str(judged.reason))
        if judged.reversal is ReversalReason.BAD_MAC:  # our keys and the host's may differ
            yield from desk.journal.keep_state(signed_in=False)
    return judged


def _judge(desk: Desk, title: str, request: Sealed, raw: bytes) -> Dialogue[Answer | Failure]:
    desk.frame(f"answer to {title}", raw, response=True)
    try:
        received = decode_pos(raw)
        answer, code = received.message, ResponseCode.of(received.message.text(39))
    except DecodeError:
        return Failure(reason=Reason.UNREADABLE_ANSWER, reversal=ReversalReason.NOT_PARSEABLE)
    wrong = pos_messages.differs(request.message, answer)
    if wrong is not None:
        desk.tell("answer received, but it is another request's", reason=f"DE{wrong} differs")
        return Failure(reason=Reason.NO_ANSWER)
    if (code.approved and 64 in request.message) or 64 in answer:
        mac = answer.fields.get(64, b"")
        checked = yield Ask(PIN_PAD, CheckMAC(mab_of(raw), mac if isinstance(mac, bytes) else b""))
        if not (64 in answer and isinstance(checked, MACChecked) and checked.right):
            return Failure(reason=Reason.BAD_MAC, reversal=ReversalReason.BAD_MAC)
    if _wants_sign_in(received.header, code):
        yield from desk.journal.keep_state(signed_in=False)
    return Answer(answer, code, received.header[5])


def _wants_sign_in(header: str, code: ResponseCode) -> bool:
    """97, 99, A0 and 77 clear the sign-in, as does processing requirement 3, the sixth digit of the header."""
    return code.action is Action.SIGN_IN or header[5] == REQUIRES_SIGN_IN


def sign_in(desk: Desk) -> Dialogue[Answer | Failure]:
    """Get a batch number and working keys; signed in only when the PIN pad has taken them."""
    batch = desk.journal.state.batch
    stan = yield from desk.journal.take_stan()
    answer = yield from exchange(desk, "sign-in", pos_messages.sign_in(desk.config, stan=stan, batch=batch))
    if isinstance(answer, Failure) or answer.code is not ResponseCode.APPROVED:
        return answer
    keys, text = answer.message.fields.get(62), answer.message.text(60, "")
    loaded = yield Ask(PIN_PAD, LoadKeys(keys if isinstance(keys, bytes) else b""))
    if not isinstance(loaded, KeysLoaded) or not text[BATCH].isdigit() or len(text) < BATCH.stop:
        desk.tell("sign-in: working keys or batch cannot be used", reason=str(Reason.NOT_SIGNED_IN))
        return Failure(reason=Reason.NOT_SIGNED_IN, sent=False)
    yield from desk.journal.open_batch(text[BATCH])
    wanted = WANTS.get(answer.requirement)
    if wanted is not None:
        yield from desk.journal.keep_state(**{wanted: True})
    desk.tell("signed in", batch=text[BATCH])
    return answer


def sign_in_if_due(desk: Desk) -> Dialogue[Reason | None]:
    """Sign in when no sign-in stands; return why there is still none, or None."""
    if desk.journal.state.signed_in:
        return None
    answer = yield from sign_in(desk)
    if isinstance(answer, Failure):
        return Reason.HOST_UNREACHABLE if answer.reason is Reason.NO_ANSWER else answer.reason
    return None if desk.journal.state.signed_in else Reason.NOT_SIGNED_IN


def reverse_pending(desk: Desk, *, also_given_up: bool = False) -> Dialogue[Reason | None]:
    """Send every reversal and advice that is due, oldest first; return the reason if the acquirer cannot be reached.

    `also_given_up` tries once more what was left to reconciliation.
    """
    if also_given_up:
        for transaction in [t for t in desk.journal.transactions.values() if t.given_up]:
            sends = min(transaction.sends, desk.config.reversal_sends - 1)
            yield from desk.journal.change(transaction, needs_reconciliation=False, sends=sends)
    for transaction in desk.journal.dues():
        reason = yield from _clear(desk, transaction)
        if reason is not None:
            return reason
    return None


def _clear(desk: Desk, transaction: Transaction) -> Dialogue[Reason | None]:
    """Send one reversal or advice until it is answered for good or has been sent often enough."""
    kept = transaction
    while kept.sends < desk.config.reversal_sends:
        reason = yield from sign_in_if_due(desk)  # its MAC needs keys that the acquirer knows
        if reason is not None:
            return reason
        kept = yield from desk.journal.change(kept, state=State.EXPIRED, sends=kept.sends + 1)
        answer = yield from _send_kept(desk, kept)
        if isinstance(answer, Answer) and (kept.is_advice or answer.code in REVERSAL_DONE):
            yield from _cleared(desk, kept, answer)
            return None
        if isinstance(answer, Failure) and answer.closed and not (yield from _is_there(desk)):
            yield from desk.journal.change(kept, sends=kept.sends - 1)
            return Reason.HOST_UNREACHABLE
    yield from desk.journal.change(kept, state=State.EXPIRED, needs_reconciliation=True)
    desk.tell("given up, left to reconciliation", reason="needs-reconciliation", original=kept.name)
    return None


def _send_kept(desk: Desk, kept: Transaction) -> Dialogue[Answer | Failure]:
    """Make the message from the record alone, with a MAC under the keys now in force, and ask."""
    title = "refund, sent again" if kept.is_advice else "reversal"
    make = pos_messages.refund if kept.is_advice else pos_messages.reversal
    request = yield from seal(desk, make(desk.config, kept))
    if isinstance(request, Failure):
        yield from desk.journal.keep_state(signed_in=False)
        return request
    return (yield from exchange(desk, title, request))


def _cleared(desk: Desk, kept: Transaction, answer: Answer) -> Dialogue[None]:
    if kept.is_advice:
        yield from book(desk, kept, answer)
        return
    rrn = answer.message.text(37, kept.rrn)  # the acquirer's reference, which the lost answer would have told
    yield from desk.journal.change(kept, state=State.REVERSED, rrn=rrn, pan="", expiry="", reversal_de55=b"")
    desk.tell("reversed", original=kept.name, reason=kept.reversal_reason)


def _is_there(desk: Desk) -> Dialogue[bool]:
    """Whether the acquirer answers at all: a host that hangs up on one reversal only must not block the terminal."""
    answer = yield from exchange(desk, "echo", pos_messages.echo(desk.config, batch=desk.journal.state.batch))
    return isinstance(answer, Answer)


def book(
    desk: Desk, kept: Transaction, answer: Answer | Failure, *, refused: bool = False, more: Mapping[str, object] = NOTHING_MORE
) -> Dialogue[Transaction]:
    """Settle a kept transaction by the answer: approved, declined, or expired with what its reversal will say.

    `refused`: the card did not go along with an approval. `more` are further changes for the same record.
    """
    if isinstance(answer, Failure):
        return (yield from desk.journal.change(kept, state=State.EXPIRED, reversal_reason=answer.reversal.value, **more))
    message, code = answer.message, answer.code
    facts: dict[str, object] = {
        "rrn": message.text(37, ""),
        "auth_code": message.text(38, "").strip(),
        "response_code": code.value,
    }
    facts |= more
    if refused or code is ResponseCode.PARTIAL_APPROVAL:  # DE60.6 said that we do not take these
        other = ReversalReason.OTHER.value
        return (yield from desk.journal.change(kept, state=State.EXPIRED, reversal_reason=other, **facts))
    state = State.APPROVED if code.approved else State.DECLINED
    business_date = with_year(message.text(15, ""), kept.date)
    return (yield from desk.journal.change(kept, state=state, business_date=business_date, **facts))


def with_year(month_day: str, today: str) -> str:
    """Give DE15 its year: the one that puts it nearest to the local date (YYYYMMDD).

    >>> with_year("0101", "20261231")
    '20270101'
    """
    if len(month_day) != 4 or not month_day.isdigit():
        return today
    turn = (today[4:6], month_day[:2])
    return f"{int(today[:4]) + (turn == ('12', '01')) - (turn == ('01', '12'))}{month_day}"
