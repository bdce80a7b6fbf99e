"""What offline data authentication found: proved, or a named failure with its bit of the TVR.

A card may send anything, so nothing here is an error: a `Failure` says which object (`Part`) is wrong and in what way
(`Reason`), in English and Chinese; an `Authentication` is the end of one `Method` and knows the bits that the terminal sets.

Called by every file of this package and read by terminals. Sources: EMV Book 2 5 and 6, EMV Book 3 7.5, 10.3 and Annex C5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from shanfu.emv import TVR, Language

__all__ = ["Authentication", "Failure", "Method", "Part", "Reason"]


class Words(Enum):
    """An enum whose members have words in both languages."""

    en: str
    zh: str

    def __new__(cls, en: str, zh: str) -> Self:
        """Build a row of the table; the English words are its value."""
        member = object.__new__(cls)
        member._value_, member.en, member.zh = en, en, zh
        return member


# fmt: off
class Part(Words):
    """The object that a failure is about."""

    CA_KEY              = "certification authority key",          "CA公钥"                # 8F
    ISSUER_CERTIFICATE  = "issuer public key certificate",        "发卡行公钥证书"         # 90
    ISSUER_REMAINDER    = "issuer public key remainder",          "发卡行公钥余项"         # 92
    ISSUER_EXPONENT     = "issuer public key exponent",           "发卡行公钥指数"         # 9F32
    STATIC_SIGNATURE    = "signed static application data",       "签名的静态应用数据"     # 93
    ICC_CERTIFICATE     = "ICC public key certificate",           "IC卡公钥证书"           # 9F46
    ICC_REMAINDER       = "ICC public key remainder",             "IC卡公钥余项"           # 9F48
    ICC_EXPONENT        = "ICC public key exponent",              "IC卡公钥指数"           # 9F47
    DYNAMIC_SIGNATURE   = "signed dynamic application data",      "签名的动态应用数据"     # 9F4B
    PAN                 = "PAN",                                  "主账号"                 # 5A
    RECORD              = "record to be authenticated",           "待认证的记录"
    TAG_LIST            = "static data authentication tag list",  "静态数据认证标签列表"   # 9F4A
    DDOL                = "DDOL",                                 "动态数据认证数据对象列表"  # 9F49
    CARD_RELATED_DATA   = "card authentication related data",     "卡片认证相关数据"       # 9F69
    RESPONSE            = "card's answer",                        "卡片响应"


class Reason(Words):
    """In what way it is wrong; the clause is the check's, which cites it too."""

    MISSING             = "is missing",                                      "缺失"                # EMV B3 7.5
    INCOMPLETE          = "lacks mandatory data",                            "缺少必备数据"         # EMV B3 7.5
    UNKNOWN             = "is not among the terminal's",                     "终端没有"             # EMV B2 5.2
    FOR_TESTS           = "is for tests only",                               "仅供测试"             # EMV B2 11.2
    EXPIRED             = "has expired",                                     "已过期"               # EMV B2 5.3 step 9
    REVOKED             = "has been revoked",                                "已被回收"             # EMV B2 5.3 step 10
    LENGTH              = "has the wrong length",                            "长度错误"             # EMV B2 5.3 step 1
    UNREADABLE          = "cannot be recovered under its key",               "无法用公钥恢复"        # EMV B2 A2.1
    HEADER              = "recovers to a wrong header",                      "恢复数据头错误"        # EMV B2 5.3 step 3
    TRAILER             = "recovers to a wrong trailer",                     "恢复数据尾错误"        # EMV B2 5.3 step 2
    FORMAT              = "has the wrong format byte",                       "格式字节错误"          # EMV B2 5.3 step 4
    HASH_ALGORITHM      = "names an unknown hash algorithm",                 "哈希算法标识不支持"     # EMV B2 5.3 step 6
    HASH                = "has a wrong hash result",                         "哈希结果不符"          # EMV B2 5.3 step 7
    SIGNATURE           = "has a wrong SM2 signature",                       "SM2签名错误"          # JR/T 0025.17
    OTHER_CARD          = "belongs to another PAN",                          "与主账号不符"          # EMV B2 5.3 and 6.4 step 8
    DATE                = "has no month as its expiry date",                 "失效日期格式错误"       # EMV B2 5.3 step 9
    KEY_ALGORITHM       = "names an unknown public key algorithm",           "公钥算法标识不支持"     # EMV B2 5.3 step 11
    KEY_SIZE            = "holds a key longer than the key that signed it",  "所含公钥长于签名公钥"   # EMV B2 B2.1
    KEY                 = "holds no usable public key",                      "所含公钥无效"          # EMV B2 B2.1
    VALUE               = "is neither 3 nor 65537",                          "既非3也非65537"       # EMV B2 B2.1
    NOT_A_TEMPLATE      = "is not one template 70",                          "不是单一的70模板"       # EMV B3 10.3
    OTHER_TAGS          = "names other data than the AIP",                   "含有AIP以外的标签"      # EMV B3 10.3
    TOO_LONG            = "is longer than a terminal must take",             "超过终端处理上限"       # EMV B3 10.3
    DYNAMIC_DATA        = "does not hold the dynamic data it announces",     "动态数据结构错误"       # EMV B2 6.5.2
    NO_UNPREDICTABLE    = "does not ask for the unpredictable number",       "未包含不可预知数"       # EMV B2 6.5.1
    OTHER_DECISION      = "proves another decision than the answer states",  "密文信息数据不一致"     # EMV B2 6.6.2 step 6
    TRANSACTION_DATA    = "was made over other transaction data",            "交易数据哈希不符"       # EMV B2 6.6.2 step 12
    OTHER_ATC           = "was made for another transaction counter",        "应用交易计数器不符"     # JR/T 0025.12, unverified
    OTHER_CTQ           = "holds another CTQ than the card sent",            "卡片交易属性不一致"     # JR/T 0025.12, unverified
    VERSION             = "is of a version not to be used here",             "fDDA版本不适用"        # JR/T 0025.12
    MALFORMED           = "cannot be decoded",                               "无法解码"             # EMV B3 7.5


class Method(Enum):
    """A way of authentication, with the bit of its failure. The contactless fDDA shows the issuer DDA's bit."""

    bit: TVR

    SDA  = "SDA",  TVR.SDA_FAILED   # EMV B3 10.3
    DDA  = "DDA",  TVR.DDA_FAILED
    CDA  = "CDA",  TVR.CDA_FAILED
    FDDA = "fDDA", TVR.DDA_FAILED   # JR/T 0025.12

    def __new__(cls, name: str, bit: TVR) -> Self:
        """Build a row of the table."""
        member = object.__new__(cls)
        member._value_, member.bit = name, bit
        return member
# fmt: on


@dataclass(frozen=True, slots=True)
class Failure:
    """Which object is wrong, and in what way."""

    part: Part
    reason: Reason

    @property
    def name(self) -> str:
        """A stable name for programs, such as ISSUER_CERTIFICATE_HASH."""
        return f"{self.part.name}_{self.reason.name}"

    def explain(self, lang: Language = "en") -> str:
        """Say it in one sentence without a stop.

        >>> Failure(Part.ISSUER_CERTIFICATE, Reason.HASH).explain()
        'issuer public key certificate has a wrong hash result'
        """
        return f"{self.part.zh}{self.reason.zh}" if lang == "zh" else f"{self.part.en} {self.reason.en}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """How a method ended: without `failure` the card is genuine. `proved` holds what only the signature told.

    SDA proves 9F45 (data authentication code), DDA and fDDA 9F4C (dynamic number), CDA 9F4C, 9F27 and 9F26.
    """

    method: Method
    failure: Failure | None = None
    proved: Mapping[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the card is genuine."""
        return self.failure is None

    @property
    def tvr(self) -> TVR:
        """The bits to set: none, the method's, and "card data missing" when an object was absent (EMV B3 7.5, 10.3).

        >>> Authentication(method=Method.SDA, failure=Failure(Part.ISSUER_CERTIFICATE, Reason.MISSING)).tvr.explain()
        ['byte 1 bit 7: SDA failed', 'byte 1 bit 6: card data missing']
        """
        if self.failure is None:
            return TVR(0)  # type: ignore[arg-type]  # a value here, a Bit only while the table is built
        absent = self.failure.reason in (Reason.MISSING, Reason.INCOMPLETE)
        return self.method.bit | TVR.ICC_DATA_MISSING if absent else self.method.bit
