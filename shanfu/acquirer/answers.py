"""The acquirer's answers to terminals.

An answer is built from the journal row alone, so that the network's answer, a time-out and a repeat give the same values; only
the MAC is made anew, under the key now in force. Requests that leave no row get the bare verdict with their own fields.
"""

from typing import Final

from shanfu.acquirer.journal import JournalRow, PaymentKind
from shanfu.acquirer.numbers import Moment, moment_of
from shanfu.clock import local
from shanfu.errors import DecodeError
from shanfu.iso8583 import (
    AnswerParties,
    Message,
    PosFrame,
    Value,
    encode_balances,
    is_request,
    parse_balances,
    response_mti,
)

__all__ = ["bare", "of_note", "of_reversal", "of_row", "tpdu_turned", "unreadable"]

_ECHO: Final = (3, 4, 11, 25, 41, 42, 49, 60)  # Q/CUP 009, 0210 0230
_REVERSAL_ECHO: Final = (3, 4, 11, 41, 42, 49, 60)  # Q/CUP 009, 0410
BODY: Final = 13  # of a frame: length 2, TPDU 5, header 6
APPROVED: Final = "00"
AVAILABLE: Final = "02"  # amount type of DE54, ISO 8583:1987


def of_row(row: JournalRow, *, acquirer: str) -> Message:
    """Return the answer that the journal holds; DE64 is added when it is sealed."""
    fields: dict[int, Value] = {3: row.processing_code}
    if row.kind != PaymentKind.BALANCE:
        fields[4] = f"{row.amount_minor:012d}"
    fields |= {11: row.stan, 12: row.local_time, 13: row.local_date[4:], 15: row.business_date[4:]}
    if row.condition:
        fields[25] = row.condition
    fields |= {32: acquirer, 37: row.rrn}
    if row.auth_code:
        fields[38] = row.auth_code
    fields |= {39: row.response_code, 41: row.terminal, 42: row.merchant}
    if row.issuer:
        fields[44] = AnswerParties(issuer=row.issuer, acquirer=acquirer).encode()
    fields[49] = row.currency
    if balance := _balance(row.balances):
        fields[54] = balance
    if row.chip:
        fields[55] = row.chip
    fields[60] = row.de60
    return Message(response_mti(row.mti), {number: value for number, value in fields.items() if value})


def _balance(balances: str) -> str:
    """A terminal's DE54 has room for one amount: what is available."""
    if not balances:
        return ""
    try:
        amounts = parse_balances(balances)
    except DecodeError:
        return ""
    best = next((amount for amount in amounts if amount.amount_type == AVAILABLE), amounts[0])
    return encode_balances([best])


def of_reversal(request: Message, row: JournalRow | None, code: str, *, acquirer: str, moment: Moment) -> Message:
    """Return the answer to a reversal; with the original's row, the time is that of the first one."""
    fields = request.copy(*_REVERSAL_ECHO)
    date, time = moment.date, moment.time
    if row is not None and row.reversed_ms:
        first = local(row.reversed_ms)
        date, time = first.strftime("%Y%m%d"), first.strftime("%H%M%S")
    fields |= {12: time, 13: date[4:], 32: acquirer, 39: code}
    if row is not None:
        fields[37] = row.rrn
    return Message(response_mti(request.mti), fields)


def of_note(request: Message, original: JournalRow, *, acquirer: str, noted_ms: int) -> Message:
    """Return the answer to a script result that is carried on; the time is that of the first one."""
    reply = bare(request, APPROVED, acquirer=acquirer, moment=moment_of(noted_ms))
    reply.fields[37] = original.rrn
    return reply


def bare(request: Message, code: str, *, acquirer: str, moment: Moment) -> Message:
    """Return an answer to a request that leaves no row."""
    fields = request.copy(*_ECHO) | {12: moment.time, 13: moment.date[4:], 32: acquirer, 39: code}
    return Message(response_mti(request.mti), fields)


def unreadable(frame: bytes, code: str) -> PosFrame | None:
    """Return what can be answered to a frame of which only the envelope can be read: the verdict alone; None if not that."""
    mti = frame[BODY : BODY + 2].hex()
    if len(frame) < BODY + 2 or frame[2] != 0x60 or not mti.isdecimal() or not is_request(mti):
        return None
    return PosFrame(tpdu_turned(frame[2:7].hex().upper()), frame[7:BODY].hex().upper(), Message(response_mti(mti), {39: code}))


def tpdu_turned(tpdu: str) -> str:
    """Return the TPDU with destination and source exchanged."""
    return tpdu[:2] + tpdu[6:] + tpdu[2:6]
