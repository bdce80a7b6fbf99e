"""The tag dictionary of EMV and PBOC: what each data element is, how it is written, who supplies it, where it stands.

`describe` finds a row, `is_numeric` decides on which side a value is padded, `masked_hex` and `sensitive_spans` hide what
may not be shown (PAN, track data, names, identity numbers) wherever a value or an exchange is displayed.

Format: n digits in BCD, right aligned; cn digits in BCD, left aligned, padded F; a, an, ans characters; b binary; t template
or list. Source: C card, T terminal, I issuer. Mask: P PAN, 2 track data, S wholly hidden. Lengths in bytes.

Called by DOL, field 55, terminals, cards and the doors. Sources: EMV Book 3 Annex A, EMV CL Book B, JR/T 0025.5,
JR/T 0025.12, JR/T 0025.13, UnionPay terminal parameter download. A row marked "unverified" rests on memory or one source.
"""

from dataclasses import dataclass
from typing import Final

from shanfu.errors import DecodeError
from shanfu.iso7816 import TLVList, parse, tag_hex

__all__ = ["TAGS", "Tag", "describe", "is_numeric", "masked_hex", "sensitive_spans"]


@dataclass(frozen=True, slots=True)
class Tag:
    """One data element. `template` names the tags it stands in, separated by spaces."""

    tag: int
    format: str
    min_length: int
    max_length: int
    source: str
    mask: str
    template: str
    name: str
    name_zh: str
    clause: str

    @property
    def tag_hex(self) -> str:
        """The tag as the standards print it."""
        return tag_hex(self.tag)


def describe(tag: int) -> Tag | None:
    """Return the row of a tag, or None for one that neither EMV nor PBOC defines.

    >>> describe(0x9F26).name, describe(0x9F26).max_length
    ('Application Cryptogram', 8)
    """
    return TAGS.get(tag)


def is_numeric(tag: int) -> bool:
    """Whether the value is BCD digits aligned to the right: such values are padded and cut on the left (EMV B3 5.4)."""
    row = TAGS.get(tag)
    return row is not None and row.format == "n"


def masked_hex(tag: int, value: bytes) -> str:
    """Show a value as hex with everything sensitive starred: of a PAN the first six and last four digits stay.

    >>> masked_hex(0x5A, bytes.fromhex("6228000100001117"))
    '622800******1117'
    >>> masked_hex(0x57, bytes.fromhex("6228000100001117D301220101234567899F"))
    '622800******1117D*******************'
    """
    if _is_template(tag):
        return _masked_template(value)
    text = value.hex().upper()
    mask = _mask_of(tag, value)
    if not mask:
        return text
    if mask == "S":
        return "*" * len(text)
    digits = _pan_digits(text)
    shown = text[:6] + "*" * (digits - 10) + text[digits - 4 : digits] if digits >= 12 else "*" * digits
    rest = text[digits:]
    return shown + (rest if mask == "P" else rest[:1] + "*" * len(rest[1:]))


def sensitive_spans(objects: TLVList) -> list[tuple[int, int]]:
    """Return the (start, end) byte ranges, in the buffer that was parsed, which must be overwritten before it is shown.

    Of a PAN the first three and the last two bytes stay, as in `masked_hex`.
    """
    spans = []
    for node in objects.walk():
        mask = "" if node.children is not None else _mask_of(node.tag, node.value)
        if not mask or not node.value:
            continue
        at, end = node.value_offset, node.value_offset + len(node.value)
        digits = 0 if mask == "S" else _pan_digits(node.value.hex().upper())
        if digits < 12:
            spans.append((at, end))
            continue
        # an odd last digit shares its byte with the separator or the pad: both nibbles stay
        spans.append((at + 3, at + (digits - 4) // 2 + digits % 2))
        if mask == "2":
            spans.append((at + (digits + 2) // 2, end))
    return [(start, end) for start, end in spans if start < end]


def _is_template(tag: int) -> bool:
    """Whether the tag is a template: b6 of its first byte (ISO/IEC 8825-1 8.1.2.5)."""
    return bool(tag >> (8 * ((tag.bit_length() + 7) // 8 - 1)) & 0x20)


def _masked_template(value: bytes) -> str:
    try:
        objects = parse(value)
    except DecodeError:
        return "*" * (2 * len(value))
    text = ""
    for node in objects:
        head = node.encoded[: len(node.encoded) - len(node.value)]
        text += head.hex().upper() + masked_hex(node.tag, node.value)
    return text


def _mask_of(tag: int, value: bytes) -> str:
    row = TAGS.get(tag)
    mask = row.mask if row else ""
    # 9F6B is the card CVM limit in PBOC and track 2 data elsewhere: longer than an amount, it is a track
    return "" if tag == 0x9F6B and len(value) <= 6 else mask


def _pan_digits(text: str) -> int:
    return next((at for at, nibble in enumerate(text) if nibble in "DEF"), len(text))


# fmt: off
_ROWS: Final = (
    Tag(0x42,   "n",   3,  3,   "I", "", "BF0C 73", "Issuer Identification Number (IIN)", "发卡行标识代码", "EMV B3 A1"),
    Tag(0x4F,   "b",   5,  16,  "C", "", "61", "Application Identifier (ADF Name)", "应用标识符（ADF名）", "EMV B3 A1"),
    Tag(0x50,   "ans", 1,  16,  "C", "", "61 A5", "Application Label", "应用标签", "EMV B3 A1"),
    Tag(0x56,   "ans", 0,  76,  "C", "S", "70", "Track 1 Data", "磁道1数据", "EMV CL C-3"),
    Tag(0x57,   "b",   0,  19,  "C", "2", "70 77", "Track 2 Equivalent Data", "磁道2等效数据", "EMV B3 A1"),
    Tag(0x5A,   "cn",  0,  10,  "C", "P", "70 77", "Application PAN", "应用主账号", "EMV B3 A1"),
    Tag(0x5F20, "ans", 2,  26,  "C", "S", "70 77", "Cardholder Name", "持卡人姓名", "EMV B3 A1"),
    Tag(0x5F24, "n",   3,  3,   "C", "", "70 77", "Application Expiration Date", "应用失效日期", "EMV B3 A1"),
    Tag(0x5F25, "n",   3,  3,   "C", "", "70 77", "Application Effective Date", "应用生效日期", "EMV B3 A1"),
    Tag(0x5F28, "n",   2,  2,   "C", "", "70 77", "Issuer Country Code", "发卡行国家代码", "EMV B3 A1"),
    Tag(0x5F2A, "n",   2,  2,   "T", "", "", "Transaction Currency Code", "交易货币代码", "EMV B3 A1"),
    Tag(0x5F2D, "an",  2,  8,   "C", "", "A5", "Language Preference", "首选语言", "EMV B3 A1"),
    Tag(0x5F30, "n",   2,  2,   "C", "", "70 77", "Service Code", "服务码", "EMV B3 A1"),
    Tag(0x5F34, "n",   1,  1,   "C", "", "70 77", "Application PAN Sequence Number", "应用主账号序列号", "EMV B3 A1"),
    Tag(0x5F36, "n",   1,  1,   "T", "", "", "Transaction Currency Exponent", "交易货币指数", "EMV B3 A1"),
    Tag(0x5F50, "ans", 0,  255, "C", "", "BF0C 73", "Issuer URL", "发卡行URL", "EMV B3 A1"),
    Tag(0x5F53, "b",   0,  34,  "C", "S", "BF0C 73", "International Bank Account Number (IBAN)", "国际银行账号", "EMV B3 A1"),
    Tag(0x5F54, "b",   8,  11,  "C", "", "BF0C 73", "Bank Identifier Code (BIC)", "银行标识代码", "EMV B3 A1"),
    Tag(0x5F55, "a",   2,  2,   "C", "", "BF0C 73", "Issuer Country Code (alpha2)", "发卡行国家代码（两字母）", "EMV B3 A1"),
    Tag(0x5F56, "a",   3,  3,   "C", "", "BF0C 73", "Issuer Country Code (alpha3)", "发卡行国家代码（三字母）", "EMV B3 A1"),
    Tag(0x5F57, "n",   1,  1,   "T", "", "", "Account Type", "账户类型", "EMV B3 A1"),
    Tag(0x61,   "t",   0,  252, "C", "", "70 BF0C", "Application Template", "应用模板", "EMV B3 A1"),
    Tag(0x6F,   "t",   0,  252, "C", "", "", "File Control Information Template", "文件控制信息模板", "EMV B3 A1"),
    Tag(0x70,   "t",   0,  252, "C", "", "", "Record Template", "记录模板", "EMV B3 A1"),
    Tag(0x71,   "t",   0,  127, "I", "", "", "Issuer Script Template 1", "发卡行脚本模板1", "EMV B3 A1"),
    Tag(0x72,   "t",   0,  127, "I", "", "", "Issuer Script Template 2", "发卡行脚本模板2", "EMV B3 A1"),
    Tag(0x73,   "t",   0,  252, "C", "", "61", "Directory Discretionary Template", "目录自定义模板", "EMV B3 A1"),
    Tag(0x77,   "t",   0,  252, "C", "", "", "Response Message Template Format 2", "响应报文模板格式2", "EMV B3 A1"),
    Tag(0x80,   "b",   0,  252, "C", "", "", "Response Message Template Format 1", "响应报文模板格式1", "EMV B3 A1"),
    Tag(0x81,   "b",   4,  4,   "T", "", "", "Amount, Authorised (Binary)", "授权金额（二进制）", "EMV B3 A1"),
    Tag(0x82,   "b",   2,  2,   "C", "", "77 80", "Application Interchange Profile", "应用交互特征", "EMV B3 A1"),
    Tag(0x83,   "b",   0,  255, "T", "", "", "Command Template", "命令模板", "EMV B3 A1"),
    Tag(0x84,   "b",   5,  16,  "C", "", "6F", "Dedicated File (DF) Name", "专用文件名", "EMV B3 A1"),
    Tag(0x86,   "b",   0,  261, "I", "", "71 72", "Issuer Script Command", "发卡行脚本命令", "EMV B3 A1"),
    Tag(0x87,   "b",   1,  1,   "C", "", "61 A5", "Application Priority Indicator", "应用优先指示符", "EMV B3 A1"),
    Tag(0x88,   "b",   1,  1,   "C", "", "A5", "Short File Identifier (SFI)", "短文件标识符", "EMV B3 A1"),
    Tag(0x89,   "an",  6,  6,   "I", "", "", "Authorisation Code", "授权码", "EMV B3 A1"),
    Tag(0x8A,   "an",  2,  2,   "IT", "", "", "Authorisation Response Code", "授权响应码", "EMV B3 A1"),
    Tag(0x8C,   "b",   0,  252, "C", "", "70 77", "Card Risk Management DOL 1 (CDOL1)", "卡片风险管理DOL1", "EMV B3 A1"),
    Tag(0x8D,   "b",   0,  252, "C", "", "70 77", "Card Risk Management DOL 2 (CDOL2)", "卡片风险管理DOL2", "EMV B3 A1"),
    Tag(0x8E,   "b",   10, 252, "C", "", "70 77", "Cardholder Verification Method List", "持卡人验证方法列表", "EMV B3 A1"),
    Tag(0x8F,   "b",   1,  1,   "C", "", "70 77", "Certification Authority Public Key Index", "CA公钥索引", "EMV B3 A1"),
    Tag(0x90,   "b",   0,  248, "C", "", "70 77", "Issuer Public Key Certificate", "发卡行公钥证书", "EMV B3 A1"),
    Tag(0x91,   "b",   8,  16,  "I", "", "", "Issuer Authentication Data", "发卡行认证数据", "EMV B3 A1"),
    Tag(0x92,   "b",   0,  248, "C", "", "70 77", "Issuer Public Key Remainder", "发卡行公钥余项", "EMV B3 A1"),
    Tag(0x93,   "b",   0,  248, "C", "", "70 77", "Signed Static Application Data", "签名的静态应用数据", "EMV B3 A1"),
    Tag(0x94,   "b",   0,  252, "C", "", "77 80", "Application File Locator (AFL)", "应用文件定位器", "EMV B3 A1"),
    Tag(0x95,   "b",   5,  5,   "T", "", "", "Terminal Verification Results", "终端验证结果", "EMV B3 A1"),
    Tag(0x97,   "b",   0,  252, "C", "", "70 77", "Transaction Certificate DOL (TDOL)", "交易证书DOL", "EMV B3 A1"),
    Tag(0x98,   "b",   20, 20,  "T", "", "", "Transaction Certificate Hash Value", "交易证书哈希值", "EMV B3 A1"),
    Tag(0x99,   "b",   0,  252, "T", "S", "", "Transaction PIN Data", "交易PIN数据", "EMV B3 A1"),
    Tag(0x9A,   "n",   3,  3,   "T", "", "", "Transaction Date", "交易日期", "EMV B3 A1"),
    Tag(0x9B,   "b",   2,  2,   "T", "", "", "Transaction Status Information", "交易状态信息", "EMV B3 A1"),
    Tag(0x9C,   "n",   1,  1,   "T", "", "", "Transaction Type", "交易类型", "EMV B3 A1"),
    Tag(0x9D,   "b",   5,  16,  "C", "", "61", "Directory Definition File (DDF) Name", "目录定义文件名", "EMV B3 A1"),
    Tag(0x9F01, "n",   6,  6,   "T", "", "", "Acquirer Identifier", "收单行标识", "EMV B3 A1"),
    Tag(0x9F02, "n",   6,  6,   "T", "", "", "Amount, Authorised (Numeric)", "授权金额", "EMV B3 A1"),
    Tag(0x9F03, "n",   6,  6,   "T", "", "", "Amount, Other (Numeric)", "其他金额", "EMV B3 A1"),
    Tag(0x9F04, "b",   4,  4,   "T", "", "", "Amount, Other (Binary)", "其他金额（二进制）", "EMV B3 A1"),
    Tag(0x9F05, "b",   1,  32,  "C", "", "70 77", "Application Discretionary Data", "应用自定义数据", "EMV B3 A1"),
    Tag(0x9F06, "b",   5,  16,  "T", "", "", "Application Identifier (AID), Terminal", "终端应用标识符", "EMV B3 A1"),
    Tag(0x9F07, "b",   2,  2,   "C", "", "70 77", "Application Usage Control", "应用用途控制", "EMV B3 A1"),
    Tag(0x9F08, "b",   2,  2,   "C", "", "70 77", "Application Version Number, Card", "卡片应用版本号", "EMV B3 A1"),
    Tag(0x9F09, "b",   2,  2,   "T", "", "", "Application Version Number, Terminal", "终端应用版本号", "EMV B3 A1"),
    Tag(0x9F0A, "b",   0,  255, "C", "", "61 BF0C", "Registered Proprietary Data (ASRPD)", "应用选择注册专有数据", "EMV B1 12"),
    Tag(0x9F0B, "ans", 27, 45,  "C", "S", "70 77", "Cardholder Name Extended", "持卡人姓名扩展", "EMV B3 A1"),
    Tag(0x9F0D, "b",   5,  5,   "C", "", "70 77", "Issuer Action Code - Default", "发卡行行为代码-缺省", "EMV B3 A1"),
    Tag(0x9F0E, "b",   5,  5,   "C", "", "70 77", "Issuer Action Code - Denial", "发卡行行为代码-拒绝", "EMV B3 A1"),
    Tag(0x9F0F, "b",   5,  5,   "C", "", "70 77", "Issuer Action Code - Online", "发卡行行为代码-联机", "EMV B3 A1"),
    Tag(0x9F10, "b",   0,  32,  "C", "", "77 80", "Issuer Application Data", "发卡行应用数据", "EMV B3 A1"),
    Tag(0x9F11, "n",   1,  1,   "C", "", "A5", "Issuer Code Table Index", "发卡行代码表索引", "EMV B3 A1"),
    Tag(0x9F12, "ans", 0,  16,  "C", "", "61 A5", "Application Preferred Name", "应用首选名称", "EMV B3 A1"),
    Tag(0x9F13, "b",   2,  2,   "C", "", "", "Last Online ATC Register", "上次联机ATC寄存器", "EMV B3 A1"),
    Tag(0x9F14, "b",   1,  1,   "C", "", "70 77", "Lower Consecutive Offline Limit", "连续脱机交易下限", "EMV B3 A1"),
    Tag(0x9F15, "n",   2,  2,   "T", "", "", "Merchant Category Code", "商户分类码", "EMV B3 A1"),
    Tag(0x9F16, "ans", 15, 15,  "T", "", "", "Merchant Identifier", "商户标识", "EMV B3 A1"),
    Tag(0x9F17, "b",   1,  1,   "C", "", "", "PIN Try Counter", "PIN尝试计数器", "EMV B3 A1"),
    Tag(0x9F18, "b",   4,  4,   "I", "", "71 72", "Issuer Script Identifier", "发卡行脚本标识", "EMV B3 A1"),
    Tag(0x9F19, "n",   6,  6,   "C", "", "70 77", "Token Requestor ID", "令牌请求方标识", "EMV Tokenisation"),
    Tag(0x9F1A, "n",   2,  2,   "T", "", "", "Terminal Country Code", "终端国家代码", "EMV B3 A1"),
    Tag(0x9F1B, "b",   4,  4,   "T", "", "", "Terminal Floor Limit", "终端最低限额", "EMV B3 A1"),
    Tag(0x9F1C, "an",  8,  8,   "T", "", "", "Terminal Identification", "终端标识", "EMV B3 A1"),
    Tag(0x9F1D, "b",   1,  8,   "T", "", "", "Terminal Risk Management Data", "终端风险管理数据", "EMV B3 A1"),
    Tag(0x9F1E, "an",  8,  8,   "T", "", "", "Interface Device (IFD) Serial Number", "接口设备序列号", "EMV B3 A1"),
    Tag(0x9F1F, "ans", 0,  77,  "C", "S", "70 77", "Track 1 Discretionary Data", "磁道1自定义数据", "EMV B3 A1"),
    Tag(0x9F20, "cn",  0,  16,  "C", "S", "70 77", "Track 2 Discretionary Data", "磁道2自定义数据", "EMV B3 A1"),
    Tag(0x9F21, "n",   3,  3,   "T", "", "", "Transaction Time", "交易时间", "EMV B3 A1"),
    Tag(0x9F22, "b",   1,  1,   "T", "", "", "CA Public Key Index, Terminal", "终端CA公钥索引", "EMV B3 A1"),
    Tag(0x9F23, "b",   1,  1,   "C", "", "70 77", "Upper Consecutive Offline Limit", "连续脱机交易上限", "EMV B3 A1"),
    Tag(0x9F24, "an",  29, 29,  "C", "", "70 77", "Payment Account Reference (PAR)", "支付账户参考号", "EMV B3 A1"),
    Tag(0x9F25, "n",   2,  2,   "C", "", "70 77", "Last 4 Digits of PAN", "主账号后四位", "EMV Tokenisation"),
    Tag(0x9F26, "b",   8,  8,   "C", "", "77 80", "Application Cryptogram", "应用密文", "EMV B3 A1"),
    Tag(0x9F27, "b",   1,  1,   "C", "", "77 80", "Cryptogram Information Data", "密文信息数据", "EMV B3 A1"),
    Tag(0x9F29, "b",   0,  16,  "C", "", "61", "Extended Selection", "扩展选择", "EMV CL B 3.3"),
    Tag(0x9F2A, "b",   0,  8,   "C", "", "61", "Kernel Identifier", "内核标识", "EMV CL B 3.3"),
    Tag(0x9F2D, "b",   0,  248, "C", "", "70 77", "ICC PIN Encipherment Key Certificate", "IC卡PIN加密公钥证书", "EMV B3 A1"),
    Tag(0x9F2E, "b",   1,  3,   "C", "", "70 77", "ICC PIN Encipherment Key Exponent", "IC卡PIN加密公钥指数", "EMV B3 A1"),
    Tag(0x9F2F, "b",   0,  248, "C", "", "70 77", "ICC PIN Encipherment Key Remainder", "IC卡PIN加密公钥余项", "EMV B3 A1"),
    Tag(0x9F32, "b",   1,  3,   "C", "", "70 77", "Issuer Public Key Exponent", "发卡行公钥指数", "EMV B3 A1"),
    Tag(0x9F33, "b",   3,  3,   "T", "", "", "Terminal Capabilities", "终端性能", "EMV B3 A1"),
    Tag(0x9F34, "b",   3,  3,   "T", "", "", "CVM Results", "持卡人验证结果", "EMV B3 A1"),
    Tag(0x9F35, "n",   1,  1,   "T", "", "", "Terminal Type", "终端类型", "EMV B3 A1"),
    Tag(0x9F36, "b",   2,  2,   "C", "", "77 80", "Application Transaction Counter (ATC)", "应用交易计数器", "EMV B3 A1"),
    Tag(0x9F37, "b",   4,  4,   "T", "", "", "Unpredictable Number", "不可预知数", "EMV B3 A1"),
    Tag(0x9F38, "b",   0,  252, "C", "", "A5", "Processing Options DOL (PDOL)", "处理选项数据对象列表", "EMV B3 A1"),
    Tag(0x9F39, "n",   1,  1,   "T", "", "", "POS Entry Mode", "POS输入方式", "EMV B3 A1"),
    Tag(0x9F3A, "b",   4,  4,   "T", "", "", "Amount, Reference Currency", "参考货币金额", "EMV B3 A1"),
    Tag(0x9F3B, "n",   2,  8,   "C", "", "70 77", "Application Reference Currency", "应用参考货币", "EMV B3 A1"),
    Tag(0x9F3C, "n",   2,  2,   "T", "", "", "Transaction Reference Currency Code", "交易参考货币代码", "EMV B3 A1"),
    Tag(0x9F3D, "n",   1,  1,   "T", "", "", "Transaction Reference Currency Exponent", "交易参考货币指数", "EMV B3 A1"),
    Tag(0x9F40, "b",   5,  5,   "T", "", "", "Additional Terminal Capabilities", "附加终端性能", "EMV B3 A1"),
    Tag(0x9F41, "n",   2,  4,   "T", "", "", "Transaction Sequence Counter", "交易序列计数器", "EMV B3 A1"),
    Tag(0x9F42, "n",   2,  2,   "C", "", "70 77", "Application Currency Code", "应用货币代码", "EMV B3 A1"),
    Tag(0x9F43, "n",   1,  4,   "C", "", "70 77", "Application Reference Currency Exponent", "应用参考货币指数", "EMV B3 A1"),
    Tag(0x9F44, "n",   1,  1,   "C", "", "70 77", "Application Currency Exponent", "应用货币指数", "EMV B3 A1"),
    Tag(0x9F45, "b",   2,  2,   "C", "", "", "Data Authentication Code", "数据认证码", "EMV B3 A1"),
    Tag(0x9F46, "b",   0,  248, "C", "S", "70 77", "ICC Public Key Certificate", "IC卡公钥证书", "EMV B3 A1"),
    Tag(0x9F47, "b",   1,  3,   "C", "", "70 77", "ICC Public Key Exponent", "IC卡公钥指数", "EMV B3 A1"),
    Tag(0x9F48, "b",   0,  248, "C", "", "70 77", "ICC Public Key Remainder", "IC卡公钥余项", "EMV B3 A1"),
    Tag(0x9F49, "b",   0,  252, "C", "", "70 77", "Dynamic Data Authentication DOL (DDOL)", "动态数据认证DOL", "EMV B3 A1"),
    Tag(0x9F4A, "b",   0,  252, "C", "", "70 77", "Static Data Authentication Tag List", "静态数据认证标签列表", "EMV B3 A1"),
    Tag(0x9F4B, "b",   0,  248, "C", "", "77 80", "Signed Dynamic Application Data", "签名的动态应用数据", "EMV B3 A1"),
    Tag(0x9F4C, "b",   2,  8,   "C", "", "", "ICC Dynamic Number", "IC卡动态数", "EMV B3 A1"),
    Tag(0x9F4D, "b",   2,  2,   "C", "", "BF0C 73", "Log Entry", "日志入口", "EMV B3 A1"),
    Tag(0x9F4E, "ans", 0,  20,  "T", "", "", "Merchant Name and Location", "商户名称和位置", "EMV B3 A1"),
    Tag(0x9F4F, "b",   0,  252, "C", "", "", "Log Format", "日志格式", "EMV B3 A1"),
    Tag(0x9F50, "n",   6,  6,   "C", "", "", "Offline Accumulator Balance", "脱机累计余额", "EMV CL C-2"),
    Tag(0x9F51, "n",   2,  2,   "C", "", "", "Application Currency Code (card risk)", "应用货币代码（卡片）", "JR/T 0025.5"),
    Tag(0x9F52, "b",   2,  4,   "C", "", "", "Application Default Action (ADA)", "应用缺省行为", "JR/T 0025.5"),
    Tag(0x9F53, "b",   1,  1,   "C", "", "", "Consecutive Limit (International)", "连续脱机交易限制数（国际）", "JR/T 0025.5"),
    Tag(0x9F54, "n",   6,  6,   "C", "", "", "Cumulative Amount Limit", "累计脱机交易金额限制", "JR/T 0025.5"),
    Tag(0x9F55, "b",   1,  1,   "C", "", "", "Geographic Indicator", "地理指示位", "JR/T 0025.5"),
    Tag(0x9F56, "b",   1,  1,   "C", "", "", "Issuer Authentication Indicator", "发卡行认证指示位", "JR/T 0025.5"),
    Tag(0x9F57, "n",   2,  2,   "C", "", "", "Issuer Country Code (card risk)", "发卡行国家代码（卡片）", "JR/T 0025.5"),
    Tag(0x9F58, "b",   1,  1,   "C", "", "", "Lower Consecutive Limit (card)", "连续脱机交易下限（卡片）", "JR/T 0025.5"),
    Tag(0x9F59, "b",   1,  1,   "C", "", "", "Upper Consecutive Limit (card)", "连续脱机交易上限（卡片）", "JR/T 0025.5"),
    Tag(0x9F5A, "b",   1,  16,  "C", "", "", "Application Program Identifier", "应用程序标识", "unverified"),
    Tag(0x9F5B, "b",   0,  252, "T", "", "", "Issuer Script Results", "发卡行脚本结果", "unverified"),
    Tag(0x9F5C, "n",   6,  6,   "C", "", "", "Cumulative Amount Upper Limit", "累计脱机交易金额上限", "JR/T 0025.5"),
    Tag(0x9F5D, "n",   6,  6,   "C", "", "77", "Available Offline Spending Amount", "可用脱机消费金额", "JR/T 0025.12"),
    Tag(0x9F61, "ans", 0,  40,  "C", "S", "70", "Cardholder Identification Number", "持卡人证件号", "JR/T 0025.5"),
    Tag(0x9F62, "cn",  1,  1,   "C", "", "70", "Cardholder Identification Type", "持卡人证件类型", "JR/T 0025.5"),
    Tag(0x9F63, "b",   16, 16,  "C", "", "70 77", "Product Identification Information", "产品标识信息", "JR/T 0025.12"),
    Tag(0x9F66, "b",   4,  4,   "T", "", "", "Terminal Transaction Qualifiers (TTQ)", "终端交易属性", "JR/T 0025.12"),
    Tag(0x9F68, "b",   4,  4,   "C", "", "", "Card Additional Processes", "卡片附加处理", "JR/T 0025.12"),
    # unverified layout: 01, card random (4), copy of the CTQ (2); absent means fDDA version 00
    Tag(0x9F69, "b",   1,  16,  "C", "", "70", "Card Authentication Related Data", "卡片认证相关数据", "JR/T 0025.12"),
    Tag(0x9F6B, "n",   6,  6,   "C", "2", "", "Card CVM Limit", "卡片CVM限额", "JR/T 0025.12"),
    Tag(0x9F6C, "b",   2,  2,   "C", "", "77", "Card Transaction Qualifiers (CTQ)", "卡片交易属性", "JR/T 0025.12"),
    Tag(0x9F6D, "n",   6,  6,   "C", "", "", "E-cash Reset Threshold", "电子现金重置阈值", "JR/T 0025.13"),
    Tag(0x9F6E, "b",   4,  32,  "C", "", "77", "Form Factor Indicator", "形态因子指示", "EMV CL C-3"),
    Tag(0x9F72, "b",   1,  1,   "C", "", "", "Consecutive Limit (Country)", "连续脱机交易限制数（国家）", "JR/T 0025.5"),
    Tag(0x9F73, "b",   4,  4,   "C", "", "", "Currency Conversion Factor", "货币转换因子", "JR/T 0025.5"),
    Tag(0x9F74, "an",  6,  6,   "C", "", "70", "E-cash Issuer Authorisation Code", "电子现金发卡行授权码", "JR/T 0025.13"),
    Tag(0x9F75, "b",   1,  1,   "C", "", "", "Cumulative Limit (Dual Currency)", "累计金额限制（双货币）", "unverified"),
    Tag(0x9F76, "n",   2,  2,   "C", "", "", "Secondary Application Currency Code", "第二应用货币代码", "JR/T 0025.5"),
    Tag(0x9F77, "n",   6,  6,   "C", "", "", "E-cash Balance Limit", "电子现金余额上限", "JR/T 0025.13"),
    Tag(0x9F78, "n",   6,  6,   "C", "", "", "E-cash Single Transaction Limit", "电子现金单笔交易限额", "JR/T 0025.13"),
    Tag(0x9F79, "n",   6,  6,   "C", "", "", "E-cash Balance", "电子现金余额", "JR/T 0025.13"),
    Tag(0x9F7A, "b",   1,  1,   "T", "", "", "E-cash Terminal Support Indicator", "电子现金终端支持指示器", "JR/T 0025.13"),
    Tag(0x9F7B, "n",   6,  6,   "T", "", "", "E-cash Terminal Transaction Limit", "电子现金终端交易限额", "JR/T 0025.13"),
    Tag(0x9F7C, "b",   0,  32,  "C", "", "77", "Customer Exclusive Data", "客户专有数据", "EMV CL C-3"),
    Tag(0xA5,   "t",   0,  252, "C", "", "6F", "FCI Proprietary Template", "FCI专有模板", "EMV B3 A1"),
    Tag(0xBF0C, "t",   0,  222, "C", "", "A5", "FCI Issuer Discretionary Data", "FCI发卡行自定义数据", "EMV B3 A1"),
    # unverified coding: 00 partial, 01 exact
    Tag(0xDF01, "b",   1,  1,   "T", "", "", "Application Selection Indicator", "应用选择指示符", "UnionPay POS"),
    Tag(0xDF02, "b",   0,  255, "T", "", "", "CA Public Key Modulus", "CA公钥模", "UnionPay POS"),
    Tag(0xDF03, "b",   20, 32,  "T", "", "", "CA Public Key Check Value", "CA公钥校验值", "UnionPay POS"),
    Tag(0xDF04, "b",   1,  3,   "T", "", "", "CA Public Key Exponent", "CA公钥指数", "UnionPay POS"),
    Tag(0xDF05, "an",  3,  8,   "T", "", "", "CA Public Key Expiry Date", "CA公钥有效期", "UnionPay POS"),
    Tag(0xDF06, "b",   1,  1,   "T", "", "", "CA Public Key Hash Algorithm", "CA公钥哈希算法标识", "UnionPay POS"),
    Tag(0xDF07, "b",   1,  1,   "T", "", "", "CA Public Key Algorithm", "CA公钥算法标识", "UnionPay POS"),
    Tag(0xDF11, "b",   5,  5,   "T", "", "", "Terminal Action Code - Default", "终端行为代码-缺省", "UnionPay POS"),
    Tag(0xDF12, "b",   5,  5,   "T", "", "", "Terminal Action Code - Online", "终端行为代码-联机", "UnionPay POS"),
    Tag(0xDF13, "b",   5,  5,   "T", "", "", "Terminal Action Code - Denial", "终端行为代码-拒绝", "UnionPay POS"),
    Tag(0xDF14, "b",   0,  252, "T", "", "", "Default DDOL", "缺省DDOL", "UnionPay POS"),
    Tag(0xDF15, "b",   4,  4,   "T", "", "", "Threshold for Biased Random Selection", "偏置随机选择的阈值", "UnionPay POS"),
    Tag(0xDF16, "n",   1,  1,   "T", "", "", "Maximum Random Percentage", "随机选择的最大目标百分数", "UnionPay POS"),
    Tag(0xDF17, "n",   1,  1,   "T", "", "", "Target Random Percentage", "随机选择的目标百分数", "UnionPay POS"),
    Tag(0xDF18, "b",   1,  1,   "T", "", "", "Online PIN Supported", "终端联机PIN支持能力", "UnionPay POS"),
    Tag(0xDF19, "n",   6,  6,   "T", "", "", "Contactless Floor Limit", "非接触脱机最低限额", "UnionPay POS"),
    Tag(0xDF20, "n",   6,  6,   "T", "", "", "Contactless Transaction Limit", "非接触交易限额", "UnionPay POS"),
    Tag(0xDF21, "n",   6,  6,   "T", "", "", "Contactless CVM Limit", "非接触CVM限额", "UnionPay POS"),
    Tag(0xDF31, "b",   5,  255, "T", "", "", "Issuer Script Results, 5 bytes a command", "发卡行脚本结果", "UnionPay POS"),
    Tag(0xDF32, "b",   0,  255, "C", "", "", "Chip Serial Number", "芯片序列号", "UnionPay POS"),
    Tag(0xDF33, "b",   0,  255, "T", "S", "", "Session Key Data", "过程密钥数据", "UnionPay POS"),
    Tag(0xDF34, "n",   0,  16,  "T", "", "", "Terminal Reading Time", "终端读取时间", "UnionPay POS"),
    Tag(0xDF4D, "b",   2,  2,   "C", "", "BF0C", "Load Log Entry", "圈存日志入口", "JR/T 0025.13"),
    Tag(0xDF4F, "b",   0,  252, "C", "", "", "Load Log Format", "圈存日志格式", "JR/T 0025.13"),
    Tag(0xDF60, "b",   1,  1,   "T", "", "", "CAPP Transaction Indicator", "CAPP交易指示位", "JR/T 0025.14"),
    Tag(0xDF61, "b",   1,  1,   "C", "", "BF0C", "Sectional-fare Application Flag", "分段扣费应用标识", "JR/T 0025.14"),
    Tag(0xDF69, "b",   1,  1,   "T", "", "", "SM Algorithm Support Indicator", "SM算法支持指示器", "JR/T 0025.17"),
    Tag(0xDF71, "n",   2,  2,   "C", "", "", "Second Application Currency Code", "第二币种应用货币代码", "JR/T 0025.13"),
    Tag(0xDF79, "n",   6,  6,   "C", "", "", "Second Currency E-cash Balance", "第二币种电子现金余额", "JR/T 0025.13"),
)
# fmt: on

TAGS: Final = {row.tag: row for row in _ROWS}
