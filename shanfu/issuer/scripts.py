"""Scripts: what the bank has its cards do, ordered by its staff, carried by the answers to payments with the card inserted.

An order waits until its card is next inserted and its cryptogram proves right; then it goes out with the answer, one order a
payment, the oldest first, so that the result (DF31 of 0620 or of a reversal) is beyond doubt which one it means: the script
identifier (9F18) is the order's number. Without a result it goes out again with the next such payment, under that payment's
own counter; a card that has run it twice is as if it had run it once. The commands are made by the HSM and kept nowhere; the
new PIN of a PIN change lies enciphered in its order and is erased when that ends.

    WAITING --sent--> SENT --result--> DONE, FAILED, or WAITING again when the card was never given it
    WAITING, SENT --by staff--> CANCELLED

Sources: EMV Book 3 10.10, JR/T 0025.7 (commands), EMV Book 4 A5 (results).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from shanfu.emv import AFTER, BEFORE, ScriptOutcome, ScriptResult
from shanfu.issuer.tables import METADATA
from shanfu.store import Shelf, book_of

__all__ = [
    "KINDS", "OF_CARD", "PUT_DATA", "SCRIPTS", "STATES", "ChipState", "ScriptKind", "ScriptRow", "ScriptState",
    "chip_state", "named_by", "next_script", "sent", "take_result",
]  # fmt: skip

OF_CARD: Final = ("bucket", "card")


class ScriptKind(StrEnum):
    """What is ordered: name, command header CLA INS P1 P2 (JR/T 0025.7), template, English, Chinese."""

    header: bytes
    template: int
    en: str
    zh: str

    def __new__(cls, name: str, header: str, template: int, en: str, zh: str) -> "ScriptKind":
        """Build a row of the table."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.header, member.template, member.en, member.zh = bytes.fromhex(header), template, en, zh
        return member

    # What changes limits or the PIN runs before the second GENERATE AC, what blocks after it, so that the payment itself ends
    # properly. P1 P2 of PUT DATA are the tag; 02 of PIN CHANGE: the block holds the new PIN only (EMV B3 6.5.10 with VIS).
    # fmt: off
    APPLICATION_BLOCK   = "application-block",   "841E0000", AFTER,  "block the application",      "锁定应用"
    APPLICATION_UNBLOCK = "application-unblock", "84180000", AFTER,  "unblock the application",    "解锁应用"
    CARD_BLOCK          = "card-block",          "84160000", AFTER,  "block the card",             "锁定卡片"
    PIN_CHANGE          = "pin-change",          "84240002", BEFORE, "change the offline PIN",     "修改脱机密码"
    PIN_UNBLOCK         = "pin-unblock",         "84240000", BEFORE, "give the PIN tries back",    "解锁脱机密码"
    PUT_DATA            = "put-data",            "04DA0000", BEFORE, "set a data object",          "修改数据对象"
    # fmt: on


# fmt: off
PUT_DATA: Final = {  # tag -> bytes, English, Chinese: the limits of card risk management (JR/T 0025.5); 9F79 is loading e-cash
    0x9F53: (1, "consecutive offline international payments, limit", "连续脱机国际交易限制数"),
    0x9F54: (6, "cumulative offline amount, limit",                  "累计脱机交易金额限制"),
    0x9F58: (1, "consecutive offline payments, lower limit",         "连续脱机交易下限"),
    0x9F59: (1, "consecutive offline payments, upper limit",         "连续脱机交易上限"),
    0x9F5C: (6, "cumulative offline amount, upper limit",            "累计脱机交易金额上限"),
    0x9F6B: (6, "amount from which the card asks for a PIN",         "卡片CVM限额"),
    0x9F6D: (6, "e-cash reset threshold",                            "电子现金重置阈值"),
    0x9F72: (1, "consecutive offline payments abroad, limit",        "连续脱机国际交易限制数（国家）"),
    0x9F77: (6, "e-cash balance limit",                              "电子现金余额上限"),
    0x9F78: (6, "e-cash single payment limit",                       "电子现金单笔交易限额"),
}
# fmt: on


class ScriptState(StrEnum):
    """What has become of an order: name, English, Chinese."""

    en: str
    zh: str

    def __new__(cls, name: str, en: str, zh: str) -> "ScriptState":
        """Build a row of the table."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.en, member.zh = en, zh
        return member

    # fmt: off
    CANCELLED = "CANCELLED", "withdrawn",                          "已撤回"
    DONE      = "DONE",      "done by the card",                   "卡片已执行"
    FAILED    = "FAILED",    "refused by the card",                "卡片拒绝执行"
    SENT      = "SENT",      "sent, its result has not come",      "已发送，等待结果"
    WAITING   = "WAITING",   "waits for the card to be inserted",  "等待插卡"
    # fmt: on


KINDS: Final = {kind.value: kind for kind in ScriptKind}
STATES: Final = {state.value: state for state in ScriptState}
OPEN: Final = frozenset((ScriptState.WAITING.value, ScriptState.SENT.value))


@dataclass(slots=True)
class ScriptRow:
    """One order. `data` is a tag and its value of PUT DATA; `pin_block` and `pvv` are of a PIN change, until it has ended.

    `name` is the payment whose answer carried it last, `times` how many did; `failed_at` which command failed, 0: not told.
    """

    bucket: int
    card: str
    number: int
    kind: str
    data: bytes
    pin_block: bytes = field(repr=False)
    pin_format: str
    pvv: str = field(repr=False)
    state: str
    name: str
    times: int
    failed_at: int
    by: str
    ordered_ms: int
    sent_ms: int
    ended_ms: int

    @property
    def identifier(self) -> bytes:
        """The script identifier, 9F18."""
        return self.number.to_bytes(4)

    @property
    def header(self) -> bytes:
        """CLA INS P1 P2 of the command."""
        header = KINDS[self.kind].header
        return header[:2] + self.data[:2] if self.kind == ScriptKind.PUT_DATA else header

    @property
    def open(self) -> bool:
        """Whether the card has still to run it."""
        return self.state in OPEN

    def end(self, state: ScriptState, now_ms: int) -> None:
        """Close the order; what was secret of it is erased."""
        self.state, self.ended_ms = state.value, now_ms
        self.pin_block, self.pvv = b"", ""


SCRIPTS: Final = Shelf(book_of("scripts", METADATA, ScriptRow, "card", "number"), ScriptRow)


def next_script(orders: Sequence[ScriptRow]) -> ScriptRow | None:
    """Return the order that the card is to be given next: the oldest that has not ended."""
    return min((order for order in orders if order.open), key=lambda order: order.number, default=None)


def named_by(results: Sequence[ScriptResult], orders: Sequence[ScriptRow]) -> tuple[ScriptRow | None, ...]:
    """Return the order that each result is of; None for one that was never sent."""
    known = {order.identifier: order for order in orders if order.times}
    return tuple(known.get(result.identifier) for result in results)


def sent(order: ScriptRow, name: str, now_ms: int) -> None:
    """Note that the answer to this payment carries the order."""
    order.state, order.name, order.sent_ms = ScriptState.SENT.value, name, now_ms
    order.times += 1


def take_result(order: ScriptRow, result: ScriptResult, now_ms: int) -> bool:
    """Note what the card made of an order; say whether that ended it. What has ended is not changed by a later result."""
    if not order.open:
        return False
    if result.outcome is ScriptOutcome.NOT_PERFORMED:
        order.state = ScriptState.WAITING.value
        return False
    order.failed_at = result.failed_at
    order.end(ScriptState.DONE if result.outcome is ScriptOutcome.DONE else ScriptState.FAILED, now_ms)
    return True


class ChipState(StrEnum):
    """How a chip stands by the scripts that it has run: name, English, Chinese. A card that is blocked is so for good."""

    en: str
    zh: str

    def __new__(cls, name: str, en: str, zh: str) -> "ChipState":
        """Build a row of the table."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.en, member.zh = en, zh
        return member

    # fmt: off
    APPLICATION_BLOCKED = "application-blocked", "application blocked", "应用已锁定"
    CARD_BLOCKED        = "card-blocked",        "card blocked",        "卡片已锁定"
    OPEN                = "open",                "not blocked",         "未锁定"
    # fmt: on


# fmt: off
_LEADS_TO: Final = {
    ScriptKind.APPLICATION_BLOCK.value:   ChipState.APPLICATION_BLOCKED,
    ScriptKind.APPLICATION_UNBLOCK.value: ChipState.OPEN,
    ScriptKind.CARD_BLOCK.value:          ChipState.CARD_BLOCKED,
}
# fmt: on


def chip_state(orders: Sequence[ScriptRow]) -> ChipState:
    """Return how the chip stands by what the card has reported as done, in the order of the reports."""
    state = ChipState.OPEN
    for order in sorted(orders, key=lambda order: order.ended_ms):
        if order.state == ScriptState.DONE and state is not ChipState.CARD_BLOCKED:
            state = _LEADS_TO.get(order.kind, state)
    return state
