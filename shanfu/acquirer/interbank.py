"""What leaves for the network: requests made from a terminal's message, reversals and advices made from the journal.

What else an advice carries (expiry and chip data of an offline approval, script results) comes `enclosed`.

The acquirer names each message (DE7, DE11, DE32, DE33), gives the reference number (DE37), and says who the merchant is (DE18,
DE43) and how the card was read (DE60). A reversal names its original in DE90. Fields follow the wires page.
"""

from typing import Final

from shanfu.acquirer.forward import Forward
from shanfu.acquirer.journal import JournalRow, PaymentKind
from shanfu.acquirer.merchants import Merchant, name_field
from shanfu.acquirer.requests import Request
from shanfu.iso8583 import InterbankHeader, Message, OriginalData, Value

__all__ = ["advice", "header_to", "offline_approval", "request_of", "reversal", "script_result"]

Fields = dict[int, Value]
_CARD: Final = (14, 23, 26, 55)  # go on as they came
UNKNOWN: Final = "0"


def header_to(network: str, source: str) -> InterbankHeader:
    """Return the header of our messages."""
    return InterbankHeader(destination=network, source=source)


def request_of(
    row: JournalRow, request: Request, merchant: Merchant, *, pin: bytes | None, original: JournalRow | None
) -> Message:
    """Return the message that asks the issuer what the terminal asked us; DE128 is added when it is sealed."""
    message = request.message
    fields = _common(row, merchant, request.pan)
    fields |= message.copy(*_CARD)
    if row.kind in (PaymentKind.PURCHASE, PaymentKind.BALANCE):
        if 35 in message:
            fields[35] = message.text(35).replace("D", "=")
        if 53 in message:
            fields[53] = message.text(53)
        if pin is not None:
            fields[52] = pin
    if original is not None:
        if original.auth_code:
            fields[38] = original.auth_code
        fields[90] = _original_data(original)
    return Message(row.mti, dict(sorted(fields.items())))


def reversal(item: Forward, row: JournalRow, merchant: Merchant, *, pan: str, enclosed: Fields) -> Message:
    """Return the 0420 (0421 when it is sent again) that takes a request back."""
    fields = _about(item, row, merchant, pan) | enclosed | {39: item.reason}
    if row.auth_code:
        fields[38] = row.auth_code
    return Message("0421" if item.attempts else "0420", dict(sorted(fields.items())))


def script_result(item: Forward, row: JournalRow, merchant: Merchant, *, pan: str, enclosed: Fields) -> Message:
    """Return the 0620 (0621) that tells what became of the scripts that came with the answer to a request."""
    fields = _about(item, row, merchant, pan) | enclosed
    del fields[43]
    return Message("0621" if item.attempts else "0620", dict(sorted(fields.items())))


def offline_approval(item: Forward, row: JournalRow, merchant: Merchant, *, pan: str, enclosed: Fields) -> Message:
    """Return the 0220 (0221) that brings an offline approval to its issuer, under its own name."""
    fields = _common(row, merchant, pan) | enclosed
    if row.psn:
        fields[23] = row.psn
    return Message("0221" if item.attempts else "0220", dict(sorted(fields.items())))


def _about(item: Forward, row: JournalRow, merchant: Merchant, pan: str) -> dict[int, Value]:
    """The fields of a message of our own that is about a request: its own name, and the request's in DE90."""
    sent, stan = item.name.split(".")[:2]
    fields = _common(row, merchant, pan) | {7: sent, 11: stan, 90: _original_data(row)}
    return fields | {23: row.psn} if row.psn else fields


def advice(row: JournalRow, original: JournalRow | None, merchant: Merchant, *, pan: str) -> Message:
    """Return the 0221: a refund sent again under its own name."""
    fields = _common(row, merchant, pan)
    if original is not None:
        if original.auth_code:
            fields[38] = original.auth_code
        fields[90] = _original_data(original)
    return Message("0221", dict(sorted(fields.items())))


def _common(row: JournalRow, merchant: Merchant, pan: str) -> dict[int, Value]:
    sent, stan, acquirer, forwarder = row.name.split(".")
    fields: dict[int, Value] = {
        2: pan, 3: row.processing_code, 7: sent, 11: stan, 12: row.local_time, 13: row.local_date[4:], 18: merchant.mcc,
        22: row.entry, 25: row.condition, 32: acquirer, 33: forwarder, 37: row.rrn, 41: row.terminal, 42: row.merchant,
        43: name_field(merchant.name_zh or merchant.name), 49: row.currency, 60: _de60(row.de60),
    }  # fmt: skip
    if row.kind != PaymentKind.BALANCE:
        fields[4] = f"{row.amount_minor:012d}"
    return fields


def _de60(terminals: str) -> str:
    """DE60: reason 0000, owner 0, read capability and chip condition as the terminal says, POS, then zeros (Q/CUP 006 DE60).

    >>> _de60("22000024000600")
    '000006000300000000000'
    """
    capability, condition = terminals[11:12] or UNKNOWN, terminals[12:13] or UNKNOWN
    return f"00000{capability}{condition}00300000000000"


def _original_data(row: JournalRow) -> str:
    sent, stan, acquirer, forwarder = row.name.split(".")
    return OriginalData.of(mti=row.mti, stan=stan, sent=sent, acquirer=acquirer, forwarder=forwarder).encode()
