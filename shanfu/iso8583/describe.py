"""A message in words, for people and screens: field names in English or Chinese, values with their secrets hidden.

What must not be seen is hidden here, at the source: of a card number the first six and last four digits remain, tracks,
PIN blocks, keys and identity data vanish altogether, chip data is shown tag by tag with tags 57 and 5A masked, and so is a
download, which holds no secret. Text of the peer is shown escaped, so that no terminal control sequence reaches a screen.
`shanfu decode 8583` and the console print the rows.
"""

from dataclasses import dataclass

from shanfu.errors import DecodeError
from shanfu.iso7816 import TLV, parse
from shanfu.iso8583.codec import Dialect, Message
from shanfu.iso8583.codes import ResponseCode
from shanfu.iso8583.fields import Value
from shanfu.iso8583.message_types import CHIP_CONDITIONS, DOWNLOADS, ENTRY_MODES, ChipCondition, EntryMode
from shanfu.pan import mask_pan

__all__ = ["Row", "describe"]

# fmt: off
MTI_NAMES = {
    "01": ("authorisation", "授权"),   "02": ("financial", "金融"),       "03": ("batch or file", "批量"),
    "04": ("reversal", "冲正"),        "05": ("reconciliation", "对账"),  "06": ("administrative", "管理"),
    "08": ("network management", "网络管理"),
}
MTI_FUNCTIONS = {
    "0": ("request", "请求"), "1": ("response", "应答"), "2": ("advice", "通知"), "3": ("advice response", "通知应答"),
    "4": ("notification", "告知"),
}
PAN_TAGS = frozenset({0x5A, 0x9F6B, 0x57})  # card number, track 2 of the magnetic-stripe mode, track 2 equivalent
EXPIRY_TAGS = frozenset({0x5F24})
HIDDEN_TAGS = frozenset({0x5F20, 0x9F0B, 0x9F1F, 0x9F20, 0x9F61})  # holder's name and identity, discretionary data
# fmt: on


@dataclass(frozen=True, slots=True)
class Row:
    """One line: where (`MTI`, `DE4`, `DE55/9F36`), what it is called, its value as it may be shown."""

    path: str
    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.path:<10} {self.name}: {self.value}"


def describe(message: Message, dialect: Dialect, *, lang: str = "en") -> list[Row]:
    """Return the rows of a message, its warnings at the end; secrets hidden.

    >>> from shanfu.iso8583.pos import POS
    >>> for row in describe(Message("0210", {2: "6200000000000005", 22: "072", 39: "51"}), POS): print(row)
    MTI        message type: 0210, financial response
    DE2        primary account number: 620000******0005
    DE22       point of service entry mode: 072, contactless chip (QuickPass)
    DE39       response code: 51, insufficient funds
    """
    zh = lang == "zh"
    rows = [Row("MTI", "消息类型" if zh else "message type", _mti(message.mti, zh=zh))]
    for number in sorted(message.fields):
        field = dialect.fields[number]
        value = message.fields[number]
        name, open_ = field.name_zh if zh else field.name, number == 62 and _is_download(message, dialect)
        if open_ and isinstance(value, bytes):
            rows += _download_rows(value, name)
            continue
        shown = _shown(number, value, field.secret, zh)
        rows.append(Row(field.path, name, shown + (_chip_note(value, dialect, zh) if number == 60 else "")))
        if number == 55 and isinstance(value, bytes):
            rows += _chip_rows(value)
    return rows + [Row("!", "注意" if zh else "remark", warning) for warning in message.warnings]


def _mti(mti: str, *, zh: bool) -> str:
    kind, function = MTI_NAMES.get(mti[:2]), MTI_FUNCTIONS.get(mti[2:3])
    words = (kind[zh] if kind else "?", function[zh] if function else "?")
    return f"{mti}, {('' if zh else ' ').join(words)}"


def _shown(number: int, value: Value, secret: bool, zh: bool) -> str:
    if number == 2 and isinstance(value, str):
        return mask_pan(value)
    if secret:
        return f"*** ({len(value)})"
    if isinstance(value, bytes):
        if number == 55:  # its tags follow, each with its own mask
            return f"{len(value)} 字节" if zh else f"{len(value)} bytes"
        return _mac(value) if number == 64 else value.hex().upper()
    note = ""
    if number == 39:
        note = ResponseCode.of(value).say("zh" if zh else "en")
    elif number == 22 and value[:2] in ENTRY_MODES:
        note = ENTRY_MODES[EntryMode(value[:2])][zh]
    return _printable(value) + (f", {note}" if note else "")


# DE60.5 of the terminal's dialect, 60.4 of the interbank one
_CHIP_CONDITION_AT = {"terminal": 12, "interbank": 6}


def _chip_note(value: Value, dialect: Dialect, zh: bool) -> str:
    at = _CHIP_CONDITION_AT.get(dialect.name, 0)
    digit = value[at : at + 1] if isinstance(value, str) else ""
    odd = digit in tuple(ChipCondition) and digit != ChipCondition.NORMAL
    return f", {CHIP_CONDITIONS[ChipCondition(digit)][zh]}" if odd else ""


def _is_download(message: Message, dialect: Dialect) -> bool:
    kind = message.fields.get(60, "")
    return dialect.name == "terminal" and isinstance(kind, str) and kind[:2] == "00" and kind[8:11] in DOWNLOADS


def _download_rows(raw: bytes, name: str) -> list[Row]:
    """The digits in front, which only a list or an answer has, and the tags behind them."""
    digits = len(raw) - len(raw.lstrip(b"0123"))
    head = [Row("DE62", name, _printable(raw[:digits].decode("ascii")))] if digits else []
    try:
        nodes = parse(raw[digits:])
    except DecodeError as fault:
        return [*head, Row("DE62", "BER-TLV", str(fault.under("DE62")))]
    return head + [row for node in nodes for row in _node_rows(node, "DE62")]


def _mac(value: bytes) -> str:
    return value.decode("ascii") if value.isalnum() else value.hex().upper()


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _chip_rows(raw: bytes) -> list[Row]:
    try:
        nodes = parse(raw)
    except DecodeError as fault:
        return [Row("DE55", "BER-TLV", str(fault.under("DE55")))]
    return [row for node in nodes for row in _node_rows(node, "DE55")]


def _node_rows(node: TLV, path: str) -> list[Row]:
    path = f"{path}/{node.tag_hex}"
    if node.children:
        return [row for child in node.children for row in _node_rows(child, path)]
    return [Row(path, node.tag_hex, _chip_value(node.tag, node.value))]


def _chip_value(tag: int, value: bytes) -> str:
    digits = value.hex().upper()
    if tag == 0x5A:
        return mask_pan(digits.rstrip("F"))
    if tag in PAN_TAGS:
        return mask_pan(digits.partition("D")[0]) + "D***"
    if tag in EXPIRY_TAGS or tag in HIDDEN_TAGS:
        return f"*** ({len(value)})"
    return digits
