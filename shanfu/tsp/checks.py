"""What the service checks before it gives out the PAN behind a token, in which order, and what it says when a check fails.

`TOKEN_CHECKS` is the one table: number, check, the verdicts it may give. `Verdict` knows of each the DE39 and the words. The
first check that fails is the answer; all of them run and stand in the explain record of the payment. A verdict's name travels
to the network (DE63 usage RS), so that every party can name the check that failed.

The order is the project's own: what needs only the message, then what needs the books, then what needs the HSM, then what is
judged of an authentic cryptogram alone. The functions stand in `resolve`.
"""

from dataclasses import dataclass
from enum import unique
from typing import Final

from shanfu.hosts import HostReason

__all__ = ["HISTORY_CHECKS", "PROOF", "TOKEN_CHECKS", "Check", "Verdict"]


@unique
class Verdict(HostReason):
    """The named outcomes of token payments: code (DE39), English, Chinese, whether trying again can help."""

    # fmt: off
    ALREADY_REVERSED       = ("00", "reversed before, nothing left to do",               "此前已冲正",             False)
    AMOUNT_DIFFERS         = ("64", "amount differs from the original's",                "与原交易金额不符",       False)
    AMOUNT_LIMIT           = ("61", "amount limit of the token or its keys exceeded",    "超出标记金额限制",       True)
    ATC_OUT_OF_WINDOW      = ("59", "transaction counter was used before or jumps",      "交易计数器不在窗口内",   False)
    BUSY                   = ("96", "waited longer than the sender does",                "处理超时",               True)
    CDCVM_MISSING          = ("05", "holder was not verified on the phone",              "缺少设备端持卡人验证",   True)
    CDCVM_WRONG            = ("05", "verification on the phone failed or is not allowed", "设备端持卡人验证无效",  True)
    CHIP_DATA_DIFFERS      = ("59", "phone signed other data than the message has",      "芯片数据与报文不符",     False)
    CHIP_DATA_ERROR        = ("30", "chip data is missing or cannot be read",            "芯片数据错误",           False)
    COUNT_LIMIT            = ("65", "too many payments of the token today",              "超出标记次数限制",       True)
    CRYPTOGRAM_WRONG       = ("59", "cryptogram is wrong",                               "密文验证失败",           False)
    DOMAIN_NOT_ALLOWED     = ("57", "token is not for this merchant, device or country", "标记不适用于此场景",     False)
    DUPLICATE              = ("94", "name repeated with other contents",                 "重复交易",               False)
    FORMAT_ERROR           = ("30", "message is malformed",                              "报文格式错误",           False)
    KEY_EXHAUSTED          = ("65", "keys on the phone are used up, open the app",       "手机密钥已用尽，请打开应用", True)
    KEY_RETIRED            = ("59", "keys have been replaced by newer ones",             "密钥已被替换",           True)
    KEY_UNKNOWN            = ("59", "no such keys for this token",                       "无此密钥",               False)
    MAC_WRONG              = ("A0", "message authentication failed",                     "MAC校验错",              True)
    MALFUNCTION            = ("96", "system malfunction",                                "系统异常",               True)
    NOTED                  = ("00", "outcome noted",                                     "已登记交易结果",         False)
    ORIGINAL_ANOTHER_CARDS = ("25", "original is another token's",                       "原交易非本标记",         False)
    ORIGINAL_NOT_RESOLVED  = ("25", "original was refused here",                         "原交易已被拒绝",         False)
    ORIGINAL_TOO_OLD       = ("12", "original lies too far back",                        "原交易已过期限",         False)
    ORIGINAL_UNKNOWN       = ("25", "original not found",                                "未找到原交易",           False)
    REQUESTOR_NOT_ALLOWED  = ("57", "requestor or entry mode not allowed",               "标记请求方或输入方式不允许", False)
    RESOLVED               = ("00", "token resolved",                                    "标记解析成功",           False)
    REVERSED               = ("00", "reversed",                                          "已冲正",                 False)
    REVERSED_EARLIER       = ("94", "its reversal came before",                          "冲正先于原交易到达",     False)
    TOKEN_EXPIRED          = ("54", "token or card has expired",                         "标记或卡已过期",         False)
    TOKEN_NOT_ACTIVE       = ("62", "token, requestor or card is not active",            "标记、请求方或卡未激活", True)
    TOKEN_UNKNOWN          = ("14", "no such token",                                     "无此标记",               False)
    TOMBSTONE_KEPT         = ("00", "original not seen, reversal remembered",            "未见原交易，已登记冲正", False)
    UNKNOWN_KIND           = ("12", "not a kind of message we serve",                    "无效交易",               False)
    # fmt: on


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table: its place, its name in the explain record, what is asked (English, Chinese), what it may say."""

    number: int
    name: str
    asked: str
    asked_zh: str
    verdicts: tuple[Verdict, ...]


_V = Verdict
# What has passed these has proved itself: its counter is spent and its use is counted, though the token be suspended, so that a
# cryptogram that was refused for another reason is worth nothing when the reason is gone.
PROOF: Final = frozenset(("token", "chip data", "atc", "key", "cryptogram"))

# fmt: off
TOKEN_CHECKS: Final = (
    Check(1,  "format",     "is the message well formed",              "报文格式正确",       (_V.FORMAT_ERROR,)),
    Check(2,  "token",      "is the token known",                      "标记存在",           (_V.TOKEN_UNKNOWN,)),
    Check(3,  "requestor",  "may the requestor pay this way",          "标记请求方允许",     (_V.REQUESTOR_NOT_ALLOWED,)),
    Check(4,  "status",     "are token, requestor and card active",    "标记、请求方与卡有效", (_V.TOKEN_NOT_ACTIVE,)),
    Check(5,  "expiry",     "are token and card not expired",          "标记与卡在有效期内", (_V.TOKEN_EXPIRED,)),
    Check(6,  "domain",     "is it for this merchant, device, country", "使用域允许",        (_V.DOMAIN_NOT_ALLOWED,)),
    Check(7,  "chip data",  "is chip data present and readable",       "芯片数据可读",       (_V.CHIP_DATA_ERROR,)),
    Check(8,  "atc",        "is the transaction counter in its window", "交易计数器在窗口内", (_V.ATC_OUT_OF_WINDOW,)),
    Check(9,  "key",        "is the key this token's, and good",       "密钥属于此标记且可用",
          (_V.KEY_UNKNOWN, _V.KEY_RETIRED, _V.KEY_EXHAUSTED)),
    Check(10, "cryptogram", "is the cryptogram right, over this payment", "密文正确",
          (_V.CRYPTOGRAM_WRONG, _V.CHIP_DATA_DIFFERS)),
    Check(11, "cdcvm",      "was the holder verified as the policy wants", "持卡人验证符合规则",
          (_V.CDCVM_MISSING, _V.CDCVM_WRONG)),
    Check(12, "limits",     "are key and token within their limits",   "未超出密钥与标记限制",
          (_V.AMOUNT_LIMIT, _V.COUNT_LIMIT)),
)
# What is asked of a void, refund or completion: the account is found through the original, whatever became of the token since.
HISTORY_CHECKS: Final = (
    Check(1,  "format",     "is the message well formed",              "报文格式正确",       (_V.FORMAT_ERROR,)),
    Check(2,  "original",   "is the original known and resolved",      "原交易存在",
          (_V.ORIGINAL_UNKNOWN, _V.ORIGINAL_NOT_RESOLVED)),
    Check(3,  "same token", "is the original this token's",            "原交易属于此标记",   (_V.ORIGINAL_ANOTHER_CARDS,)),
    Check(4,  "age",        "is the original not too old",             "原交易未过期限",     (_V.ORIGINAL_TOO_OLD,)),
    Check(5,  "account",    "is there a card to give it to",           "存在对应卡片",       (_V.TOKEN_UNKNOWN,)),
)
# fmt: on
