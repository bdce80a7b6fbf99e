"""The terminal's messages in the POS dialect: how each request is made, and what its answer must repeat.

One builder a message, fields in the order of the table in docs/wires.md. Requests that carry money are made from the
kept `Transaction`, so a reversal can be made again after a power cut from the record alone.

Sources: ISO 8583:1987 4, UnionPay POS terminal dialect (public implementations), field 55 of UnionPay terminals.
"""

from collections.abc import Mapping

from shanfu.emv import Message55, Track2, encode_field55
from shanfu.errors import DecodeError
from shanfu.iso8583 import (
    MTI,
    ConditionCode,
    ManagementCode,
    Message,
    MessageType,
    PosDE60,
    PosDE61,
    ProcessingCode,
    SettlementTotals,
    Totals,
    decode_pos,
    response_mti,
)
from shanfu.terminal.config import TerminalConfig
from shanfu.terminal.journal import Kind, Transaction

__all__ = [
    "balance", "differs", "download", "echo", "matches", "offline_upload", "purchase", "refund", "reversal", "reversal_field55",
    "script_result", "settlement", "sign_in", "sign_off", "void",
]  # fmt: skip

Fields = dict[int, str | bytes]

PIN_CAPTURE = "12"  # DE26: the most digits a PIN may have
SECURITY_PIN = "2600000000000000"  # DE53: PIN in X9.8 with PAN, 3DES
SECURITY_TRACK = "0600000000000000"  # DE53: a track and no PIN
SCHEME = "CUP"  # DE63.1

# fmt: off
SHAPES = {  # kind:  DE3                       60.1
    Kind.PURCHASE: (ProcessingCode.PURCHASE,  MessageType.PURCHASE),
    Kind.REFUND:   (ProcessingCode.REFUND,    MessageType.REFUND),
    Kind.VOID:     (ProcessingCode.REFUND,    MessageType.VOID),
}
# fmt: on


def sign_in(config: TerminalConfig, *, stan: str, batch: str) -> Message:
    """Ask for a batch and working keys."""
    fields = _management(config, batch, config.key_code)
    device = b"Sequence No%02d%b" % (len(config.device_serial), config.device_serial)
    return Message(MTI.MANAGEMENT.value, {11: stan, **fields, 62: device, 63: config.operator.ljust(3)})


def sign_off(config: TerminalConfig, *, stan: str, batch: str) -> Message:
    """Say that no more payments come until the next sign-in."""
    return Message(MTI.MANAGEMENT_ADVICE.value, {11: stan, **_management(config, batch, ManagementCode.SIGN_OFF)})


def echo(config: TerminalConfig, *, batch: str) -> Message:
    """Ask whether anybody is there; it uses no trace number."""
    return Message(MTI.MANAGEMENT_ADVICE.value, _management(config, batch, ManagementCode.ECHO))


def download(config: TerminalConfig, code: ManagementCode, *, batch: str, de62: bytes = b"") -> Message:
    """Ask for the list of CA keys or applications, for one of them, or say that all have come; without MAC and trace number."""
    asked = (ManagementCode.CA_KEY_QUERY, ManagementCode.CHIP_PARAMETERS_QUERY)
    mti = MTI.MANAGEMENT_ADVICE if code in asked else MTI.MANAGEMENT
    fields = _management(config, batch, code)
    return Message(mti.value, {**fields, 62: de62} if de62 else fields)


def settlement(config: TerminalConfig, totals: Totals, *, stan: str, batch: str) -> Message:
    """Compare the batch: domestic totals, then foreign ones (none here), each followed by the answer digit's place."""
    fields = _management(config, batch, ManagementCode.BATCH)
    own = {11: stan, 48: SettlementTotals(domestic=totals).encode(), 49: config.currency.numeric, 63: config.operator.ljust(3)}
    return Message(MTI.SETTLEMENT.value, {**fields, **own})


def purchase(config: TerminalConfig, kept: Transaction, card: Track2, *, field55: bytes, pin_block: bytes | None) -> Message:
    """A payment with the card's data; of a stripe there is neither DE23 nor DE55. DE64 is added when the message is sealed."""
    own: Fields = {**_card(card, field55, pin_block), 14: kept.expiry, 23: kept.psn}
    return Message(MTI.FINANCIAL.value, {**_money(config, kept), **{n: v for n, v in own.items() if v}})


def offline_upload(config: TerminalConfig, kept: Transaction) -> Message:
    """Tell a payment that the card has approved with its TC, from the record alone."""
    text = _de60(config, MessageType.CHIP_OFFLINE, kept)
    fields: Fields = {**_money(config, kept), 14: kept.expiry, 23: kept.psn, 55: kept.upload_de55, 60: text}
    return Message(MTI.BATCH_UPLOAD.value, {n: v for n, v in fields.items() if v})


def script_result(config: TerminalConfig, kept: Transaction) -> Message:
    """Tell what became of the issuer's scripts, from the record alone; it has a trace number of its own."""
    reference = PosDE61(batch=kept.batch, trace=kept.stan, date=kept.date[4:]).encode()
    text = PosDE60(message_type=MessageType.MANAGEMENT, batch=kept.batch, management=ManagementCode.SCRIPT_RESULT).encode()
    own: Fields = {11: kept.script_stan, 23: kept.psn, 37: kept.rrn, 55: kept.script_de55, 60: text, 61: reference}
    return Message(MTI.SCRIPT_RESULT.value, {**_money(config, kept), **{n: v for n, v in own.items() if v}})


def balance(config: TerminalConfig, asked: Transaction, card: Track2, *, field55: bytes, pin_block: bytes | None) -> Message:
    """A balance inquiry: a purchase without an amount. `asked` is never kept, since nothing can have moved."""
    fields = dict(purchase(config, asked, card, field55=field55, pin_block=pin_block).fields)
    del fields[4]
    own = {3: ProcessingCode.BALANCE.value, 60: _de60(config, MessageType.BALANCE, asked)}
    return Message(MTI.FINANCIAL.value, {**fields, **own})


def void(config: TerminalConfig, kept: Transaction, original: Transaction) -> Message:
    """Cancel a payment of this batch, named by its batch and trace number."""
    fields = _money(config, kept)
    reference = PosDE61(batch=original.batch, trace=original.stan).encode()
    own = {37: original.rrn, 38: original.auth_code, 61: reference}
    return Message(MTI.FINANCIAL.value, {**fields, **{n: v for n, v in own.items() if v}})


def refund(config: TerminalConfig, kept: Transaction) -> Message:
    """Give money back for a payment of any batch, named by batch, trace number and date."""
    batch, _, trace = kept.original.partition(".")
    reference = PosDE61(batch=batch, trace=trace, date=kept.original_date[4:]).encode()
    return Message(MTI.FINANCIAL_ADVICE.value, {**_money(config, kept), 37: kept.original_rrn, 61: reference, 63: SCHEME})


def reversal(config: TerminalConfig, kept: Transaction) -> Message:
    """Take back what was asked and not answered well: the original's name and amount, and the reason in DE39."""
    fields = _money(config, kept)
    own: Fields = {14: kept.expiry, 23: kept.psn, 38: kept.auth_code, 39: kept.reversal_reason, 55: kept.reversal_de55}
    return Message(MTI.REVERSAL.value, {**fields, **{n: v for n, v in own.items() if v}})


def reversal_field55(values: Mapping[int, bytes]) -> bytes:
    """Field 55 of the reversal: the part that names the cryptogram."""
    return encode_field55(values, Message55.REVERSAL)


def differs(request: Message, answer: Message) -> int | None:
    """Return the first key field in which an answer is not this request's (0 for its type), or None.

    Fields that the answer leaves out do not count, but the trace number and the terminal must be there if asked.
    """
    if answer.mti != response_mti(request.mti):
        return 0
    for number in (11, 41, 42):
        if request.fields.get(number) != answer.fields.get(number):
            return number
    present = (n for n in (3, 4, 49) if n in request and n in answer)
    return next((n for n in present if request.fields[n] != answer.fields[n]), None)


def matches(request: bytes, reply: bytes) -> bool:
    """Whether a received frame may be the answer to this request frame; what cannot be read is the terminal's to judge.

    For a link that may still hold the late answer to an earlier request.
    """
    try:
        answer = decode_pos(reply).message
    except DecodeError:
        return True
    wrong = differs(decode_pos(request).message, answer)
    return wrong is None or wrong not in (0, 11, 41, 42)


def _money(config: TerminalConfig, kept: Transaction) -> Fields:
    """What purchase, void, refund and each one's reversal have in common."""
    processing, message_type = SHAPES[kept.kind]
    return {
        2: kept.pan,
        3: processing.value,
        4: f"{kept.amount_minor:012d}",
        11: kept.stan,
        22: kept.entry_mode,
        25: ConditionCode.NORMAL.value,
        41: config.terminal_id,
        42: config.merchant_id,
        49: kept.currency,
        60: _de60(config, message_type, kept),
    }


def _card(card: Track2, field55: bytes, pin_block: bytes | None) -> Fields:
    """Track 2, chip data and PIN as purchases and balance inquiries carry them."""
    fields: Fields = {35: card.text(), 53: SECURITY_PIN if pin_block else SECURITY_TRACK, 55: field55}
    return {**fields, 26: PIN_CAPTURE, 52: pin_block} if pin_block else fields


def _management(config: TerminalConfig, batch: str, code: str) -> Fields:
    text = PosDE60(message_type=MessageType.MANAGEMENT, batch=batch, management=code).encode()
    return {41: config.terminal_id, 42: config.merchant_id, 60: text}


def _de60(config: TerminalConfig, message_type: MessageType, kept: Transaction) -> str:
    return PosDE60(
        message_type=message_type,
        batch=kept.batch,
        management=ManagementCode.TRANSACTION,
        read_capability=config.read_capability,
        chip_condition=kept.chip_condition,
        partial_approval="0",
    ).encode()
