"""What a decision changes in the books; nothing else in this party changes a row that money hangs on.

`refuse`, `forward` and `accept` enter a request, `settle` takes the network's verdict, `expire` gives up waiting, `reverse`
takes back, `note` keeps what became of scripts.
A void or a refund marks its original when it leaves, so that two of them cannot run at once, and lifts the mark when nothing
came of it.
"""

from shanfu.acquirer.books import AcquirerBooks
from shanfu.acquirer.forward import MOST_REFUSALS, Forward, ForwardKind, ForwardState, pause_ms
from shanfu.acquirer.journal import FORMAT, NEVER_MS, JournalRow, PaymentKind
from shanfu.acquirer.reasons import Reason
from shanfu.acquirer.requests import Request
from shanfu.errors import DecodeError
from shanfu.hosts import State, business_date
from shanfu.iso8583 import REVERSAL_DONE, Family, Message, ResponseCode, parse_par

__all__ = [
    "accept", "acknowledge", "carry_on", "expire", "forward", "interbank_name", "note", "refuse", "reverse", "sent",
    "settle",
]  # fmt: skip


# -- entering ----------------------------------------------------------------------------------------------------------


def refuse(books: AcquirerBooks, request: Request, reason: Reason, *, institution: str) -> JournalRow:
    """Enter a request that goes no further, so that a repeat gets the same refusal."""
    row = _row(books, request, institution=institution)
    row.state, row.response_code, row.reason = State.DECLINED.value, reason.code, reason.name
    return books.journal.add(row)


def forward(books: AcquirerBooks, request: Request, *, institution: str, deadline_ms: int) -> JournalRow:
    """Enter a request that leaves for the network, under a new interbank name, and mark what it takes back."""
    row = _row(books, request, institution=institution)
    row.name = interbank_name(books, institution)
    row.deadline_ms = deadline_ms
    _mark(books, row)
    return books.journal.add(row)


def accept(books: AcquirerBooks, request: Request, *, institution: str) -> tuple[JournalRow, Forward]:
    """Enter what a card has approved offline, and let it be told to its issuer: the money has moved already."""
    row = _row(books, request, institution=institution)
    row.name, row.state = interbank_name(books, institution), State.APPROVED.value
    row.response_code, row.reason = Reason.APPROVED_OFFLINE.code, Reason.APPROVED_OFFLINE.name
    books.journal.add(row)
    return row, _queue(books, row, ForwardKind.OFFLINE)


def note(books: AcquirerBooks, request: Request, original: JournalRow) -> Forward:
    """Let the issuer be told what became of the scripts that came with his answer to `original`."""
    return _queue(books, original, ForwardKind.SCRIPT, terminal_name=request.terminal_name)


def interbank_name(books: AcquirerBooks, institution: str) -> str:
    """Return a name that no message has had: DE7, DE11, DE32 and DE33."""
    return f"{books.moment.sent}.{books.next_number().stan()}.{institution}.{institution}"


def _row(books: AcquirerBooks, request: Request, *, institution: str) -> JournalRow:
    text, frame, moment = request.message.text, request.frame, books.moment
    return JournalRow(
        books.bucket(request.terminal), books.next_row(), FORMAT, moment.date, request.batch, institution, request.currency,
        request.terminal_name, request.terminal_name, request.kind.value, request.message.mti, text(3, ""), "",
        books.next_number().rrn(moment.day), request.amount_minor, request.merchant, request.terminal, request.stan,
        request.card, b"", 0, text(22, ""), text(23, ""), text(25, ""), moment.date, moment.time, text(60, ""),
        request.station, frame.tpdu, frame.header, int(64 in request.message), State.WAITING.value, "", "", "", "", b"", "",
        request.original, "", 0, 0, books.now_ms, NEVER_MS,
    )  # fmt: skip


def _mark(books: AcquirerBooks, row: JournalRow) -> None:
    original = books.row_of_terminal(row.bucket, row.original)
    if original is None:
        return
    if row.kind == PaymentKind.VOID:
        original.undone_by = row.terminal_name
    else:
        original.refunded_minor += row.amount_minor


def _unmark(books: AcquirerBooks, row: JournalRow) -> None:
    original = books.row_of_terminal(row.bucket, row.original)
    if original is None:
        return
    if row.kind == PaymentKind.VOID:
        original.undone_by = ""
    else:
        original.refunded_minor -= row.amount_minor


# -- the network's verdict ---------------------------------------------------------------------------------------------


def settle(books: AcquirerBooks, row: JournalRow, answer: Message) -> None:
    """Take the network's answer to a request that waited for it; what the answer tells is kept for repeats."""
    text = answer.text
    code = text(39, "")
    approved = ResponseCode.of(code).approved
    row.state = (State.APPROVED if approved else State.DECLINED).value
    row.response_code = code
    row.reason = (Reason.APPROVED if approved else Reason.ISSUER_DECLINED).name
    row.auth_code, row.balances, row.chip = text(38, ""), text(54, ""), answer.binary(55, b"")
    row.par = _account_reference(answer)
    row.issuer = text(100, "")
    row.business_date = business_date(text(15, ""), books.now_ms) or row.business_date
    row.deadline_ms = NEVER_MS
    if not approved:
        _unmark(books, row)


def _account_reference(answer: Message) -> str:
    """Return the PAR of an answer to a token; "" when there is none, or none that can be read."""
    try:
        return parse_par(answer.binary(56, b"")) or ""
    except DecodeError:
        return ""


def expire(books: AcquirerBooks, row: JournalRow, reason: Reason, *, because: str) -> Forward | None:
    """Give up a request: it is answered with `reason`, and a reversal saying `because` (DE39), returned, goes to the network.

    A balance inquiry moves nothing and is never reversed.
    """
    row.state, row.response_code, row.reason = State.EXPIRED.value, reason.code, reason.name
    row.deadline_ms = NEVER_MS
    _unmark(books, row)
    return None if row.kind == PaymentKind.BALANCE else _queue(books, row, ForwardKind.REVERSAL, because=because)


def carry_on(books: AcquirerBooks, row: JournalRow) -> None:
    """Send a refund that nobody answered again until somebody does; it still waits, and is never reversed."""
    row.deadline_ms = NEVER_MS
    _queue(books, row, ForwardKind.ADVICE)


def _queue(books: AcquirerBooks, row: JournalRow, kind: ForwardKind, *, because: str = "", terminal_name: str = "") -> Forward:
    before = int(kind is ForwardKind.ADVICE)  # a refund was sent when it came
    name = row.name if kind in (ForwardKind.ADVICE, ForwardKind.OFFLINE) else interbank_name(books, row.institution)
    item = Forward(
        row.bucket, books.next_forward(), name, row.name, kind.value, because, ForwardState.QUEUED.value, before, 0, "",
        books.now_ms, books.now_ms, terminal_name,
    )  # fmt: skip
    return books.forwards.add(item)


def sent(books: AcquirerBooks, item: Forward) -> None:
    """Note that an item was sent: it goes again after a growing pause unless it is answered."""
    item.attempts += 1
    item.deadline_ms = books.now_ms + pause_ms(item.attempts)


# -- taking back -------------------------------------------------------------------------------------------------------


def reverse(
    books: AcquirerBooks, request: Request, reason: Reason, *, institution: str
) -> tuple[JournalRow | None, Forward | None]:
    """Change what a terminal's reversal comes to; return its original, or the tombstone of one not seen, and what goes on."""
    row = books.row_of_terminal(books.bucket(request.terminal), request.terminal_name)
    if reason is Reason.TOMBSTONE_KEPT:
        row = _row(books, request, institution=institution)
        row.state, row.reversed_ms = State.TOMBSTONE.value, books.now_ms
        row.response_code, row.reason = Reason.REVERSED_EARLIER.code, Reason.REVERSED_EARLIER.name
        return books.journal.add(row), None
    if reason is not Reason.REVERSED or row is None:
        return row, None
    row.reversed_ms = books.now_ms
    because = request.message.text(39)
    if row.state == State.WAITING:
        return row, expire(books, row, Reason.REVERSED_EARLIER, because=because)
    if row.state != State.APPROVED:
        return row, None
    row.state = State.REVERSED.value
    _unmark(books, row)
    return row, _queue(books, row, ForwardKind.REVERSAL, because=because)


def acknowledge(books: AcquirerBooks, item: Forward, answer: Message) -> None:
    """Take the network's answer to an item of store-and-forward: it is done, or refused once more, or dead."""
    code = answer.text(39, "")
    row = books.row(item.bucket, item.original)
    assert row
    item.response_code = code
    offline = item.kind == ForwardKind.OFFLINE
    if code in REVERSAL_DONE and not (offline and code != ResponseCode.APPROVED):
        item.state, item.kept = ForwardState.DONE.value, b""
    else:
        item.refusals += 1
        dead = item.refusals >= MOST_REFUSALS or (offline and _final(code))
        item.state = (ForwardState.DEAD if dead else ForwardState.QUEUED).value
    if item.state == ForwardState.QUEUED:
        return
    if item.kind == ForwardKind.ADVICE:
        settle(books, row, answer)
    elif offline and item.state == ForwardState.DONE:
        row.issuer = answer.text(100, "")
        row.business_date = business_date(answer.text(15, ""), books.now_ms) or row.business_date
    elif item.kind == ForwardKind.REVERSAL and item.state == ForwardState.DONE and row.state == State.EXPIRED:
        row.state = State.REVERSED.value


def _final(code: str) -> bool:
    """Whether an offline approval that was refused so will be refused for ever."""
    known = ResponseCode.of(code)
    return known.family is not Family.OTHER and not known.retryable
