"""Status words: how a card says whether it did what it was told.

`StatusWord` names those that payment cards use, each with a phrase in English and Chinese, its family and whether asking
again can help. A word without a name stays an `int` (`status` keeps it); three families carry a number in their last
digits, which `bytes_waiting`, `right_le` and `tries_left` read.

Called by cards to answer, by terminals to decide, by the doors to explain.
Sources: ISO/IEC 7816-4 tables 5 and 6, EMV Book 1 table 33, EMV Book 3 6.3.5, JR/T 0025.5.
"""

from enum import IntEnum, StrEnum
from typing import Literal, TypeAlias

__all__ = ["Family", "StatusWord", "bytes_waiting", "family", "is_success", "phrase", "right_le", "status", "tries_left"]

Language: TypeAlias = Literal["en", "zh"]


class Family(StrEnum):
    """What a status word says at large (ISO/IEC 7816-4 5.1.3)."""

    NORMAL = "normal processing"
    WARNING = "warning"
    EXECUTION = "execution error"
    CHECKING = "checking error"


_N, _W, _E, _C = Family.NORMAL, Family.WARNING, Family.EXECUTION, Family.CHECKING


class StatusWord(IntEnum):
    """The status words of payment cards, by value; `retryable` means the same command may succeed another time."""

    family: Family
    retryable: bool
    en: str
    zh: str

    def __new__(cls, value: int, family: Family, retryable: bool, en: str, zh: str) -> "StatusWord":
        """Build a row of the table."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.family, member.retryable, member.en, member.zh = family, retryable, en, zh
        return member

    # fmt: off
    STATE_UNCHANGED = 0x6200, _W, False, "no information given, memory unchanged", "无信息，存储器未变"  # 7816-4 t6
    DATA_MAY_BE_CORRUPTED = 0x6281, _W, True, "returned data may be corrupted", "返回数据可能有误"  # 7816-4 t6
    END_OF_FILE = 0x6282, _W, False, "end of file reached before Le bytes", "读到文件尾"  # 7816-4 t6
    BLOCKED_FILE = 0x6283, _W, False, "selected file or application is blocked", "所选文件或应用已锁定"  # EMV B1 t33
    STATE_CHANGED = 0x6300, _W, False, "authentication failed", "认证失败"  # EMV B3 6.5.4.4
    MEMORY_FAILURE = 0x6581, _E, True, "memory failure", "存储器故障"  # 7816-4 t6
    WRONG_LENGTH = 0x6700, _C, False, "wrong length", "长度错误"  # 7816-4 t6
    CHANNEL_NOT_SUPPORTED = 0x6881, _C, False, "logical channel not supported", "不支持逻辑信道"  # 7816-4 t6
    SECURE_MESSAGING_NOT_SUPPORTED = 0x6882, _C, False, "secure messaging not supported", "不支持安全报文"  # 7816-4 t6
    COMMAND_INCOMPATIBLE = 0x6981, _C, False, "command does not fit the file", "命令与文件结构不符"  # 7816-4 t6
    SECURITY_STATUS = 0x6982, _C, False, "security status not satisfied", "不满足安全状态"  # 7816-4 t6
    PIN_BLOCKED = 0x6983, _C, False, "authentication method blocked", "认证方法已锁定"  # EMV B3 6.5.12
    DATA_INVALIDATED = 0x6984, _C, False, "referenced data invalidated", "引用数据无效"  # EMV B3 6.5.12
    CONDITIONS_NOT_SATISFIED = 0x6985, _C, True, "conditions of use not satisfied", "不满足使用条件"  # 7816-4 t6
    SEE_PHONE = 0x6986, _C, True, "command not allowed; see phone", "命令不允许；请看手机"  # 7816-4 t6
    MAC_MISSING = 0x6987, _C, False, "secure messaging data object missing", "安全报文数据项丢失"  # 7816-4 t6
    MAC_WRONG = 0x6988, _C, False, "secure messaging data object wrong", "安全报文数据项错误"  # 7816-4 t6
    WRONG_DATA = 0x6A80, _C, False, "wrong parameters in the data field", "数据域参数错误"  # 7816-4 t6
    FUNCTION_NOT_SUPPORTED = 0x6A81, _C, False, "function not supported, or card blocked", "功能不支持或卡已锁定"  # EMV B1 t33
    FILE_NOT_FOUND = 0x6A82, _C, False, "file or application not found", "文件或应用未找到"  # 7816-4 t6
    RECORD_NOT_FOUND = 0x6A83, _C, False, "record not found", "记录未找到"  # 7816-4 t6
    NOT_ENOUGH_MEMORY = 0x6A84, _C, False, "not enough memory in the file", "文件空间不足"  # 7816-4 t6
    WRONG_P1P2 = 0x6A86, _C, False, "wrong P1 or P2", "P1或P2错误"  # 7816-4 t6
    REFERENCED_DATA_NOT_FOUND = 0x6A88, _C, False, "referenced data not found", "引用数据未找到"  # 7816-4 t6
    WRONG_OFFSET = 0x6B00, _C, False, "offset outside the file", "偏移超出文件"  # 7816-4 t5
    INS_NOT_SUPPORTED = 0x6D00, _C, False, "instruction not supported", "指令不支持"  # 7816-4 t5
    CLA_NOT_SUPPORTED = 0x6E00, _C, False, "class not supported", "类别不支持"  # 7816-4 t5
    NO_DIAGNOSIS = 0x6F00, _C, True, "no precise diagnosis", "无准确诊断"  # 7816-4 t5
    OK = 0x9000, _N, False, "done", "成功"  # 7816-4 t5
    # fmt: on


# fmt: off
_FAMILIES = {
    0x61: (Family.NORMAL,    "more bytes waiting",   "还有数据待取"),
    0x62: (Family.WARNING,   "warning, unchanged",   "警告，状态未变"),
    0x63: (Family.WARNING,   "warning, changed",     "警告，状态已变"),
    0x64: (Family.EXECUTION, "error, unchanged",     "执行错误，状态未变"),
    0x65: (Family.EXECUTION, "error, changed",       "执行错误，状态已变"),
    0x66: (Family.EXECUTION, "security issue",       "安全错误"),
    0x67: (Family.CHECKING,  "wrong length",         "长度错误"),
    0x68: (Family.CHECKING,  "class function not supported", "类别功能不支持"),
    0x69: (Family.CHECKING,  "command not allowed",  "命令不允许"),
    0x6A: (Family.CHECKING,  "wrong parameters",     "参数错误"),
    0x6B: (Family.CHECKING,  "wrong P1 or P2",       "P1或P2错误"),
    0x6C: (Family.CHECKING,  "wrong Le",             "Le错误"),
    0x6D: (Family.CHECKING,  "instruction not supported", "指令不支持"),
    0x6E: (Family.CHECKING,  "class not supported",  "类别不支持"),
    0x6F: (Family.CHECKING,  "no precise diagnosis", "无准确诊断"),
}  # ISO/IEC 7816-4 table 5
# fmt: on


def status(sw: int) -> StatusWord | int:
    """Return the named status word, or the number itself.

    >>> status(0x6A83).name, status(0x9F0C)
    ('RECORD_NOT_FOUND', 40716)
    """
    return StatusWord._value2member_map_.get(sw, sw)  # type: ignore[return-value]  # the map's values are members


def family(sw: int) -> Family | None:
    """Return the family of any status word; None for 9xxx other than 9000, which applications define."""
    if sw == StatusWord.OK:
        return Family.NORMAL
    row = _FAMILIES.get(sw >> 8)
    return row[0] if row else None


def is_success(sw: int) -> bool:
    """Whether the command was carried out: 9000, or 61xx under T=0 (ISO/IEC 7816-4 table 5)."""
    return sw == StatusWord.OK or sw >> 8 == 0x61


def bytes_waiting(sw: int) -> int | None:
    """Return how many bytes 61xx offers to GET RESPONSE (00 means 256), None for other words (ISO/IEC 7816-4 table 5)."""
    return (sw & 0xFF or 0x100) if sw >> 8 == 0x61 else None


def right_le(sw: int) -> int | None:
    """Return the Le that 6Cxx asks for (00 means 256), None for other words (ISO/IEC 7816-4 table 5)."""
    return (sw & 0xFF or 0x100) if sw >> 8 == 0x6C else None


def tries_left(sw: int) -> int | None:
    """Return the PIN tries that 63Cx reports, None for other words (EMV B3 6.5.12.5).

    >>> tries_left(0x63C2)
    2
    """
    return sw & 0xF if sw >> 4 == 0x63C else None


def phrase(sw: int, lang: Language = "en") -> str:
    """Say what a status word means in English or Chinese.

    >>> phrase(0x6A82), phrase(0x63C2), phrase(0x63C2, "zh")
    ('file or application not found', '2 tries left', '还可尝试2次')
    """
    en = lang == "en"
    named, tries = status(sw), tries_left(sw)
    if isinstance(named, StatusWord):
        return named.en if en else named.zh
    if tries is not None:
        return f"{tries} tries left" if en else f"还可尝试{tries}次"
    if (waiting := bytes_waiting(sw)) is not None:
        return f"{waiting} bytes waiting" if en else f"还有{waiting}字节待取"
    if (le := right_le(sw)) is not None:
        return f"wrong Le, {le} is right" if en else f"Le错误，应为{le}"
    row = _FAMILIES.get(sw >> 8)
    unknown = "status of the application's own" if en else "应用自定义状态"
    return (row[1] if en else row[2]) if row else unknown
