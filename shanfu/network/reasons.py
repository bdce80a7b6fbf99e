"""Why the network answers as it does: every outcome has a name, a response code and words for people.

A refusal is a value. Journals and events keep the name; several names share a code where the trade has no finer one. What an
issuer decided is ANSWERED, whatever its code; a payment that the token service refused keeps the service's own reason.

Called by `decide`, `record`, `answers` and the doors. Source: the response codes as terminals show them (Q/CUP 009).
"""

from enum import unique

from shanfu.hosts import HostReason

__all__ = ["Reason"]


@unique
class Reason(HostReason):
    """The named outcomes: code (DE39), English, Chinese, whether trying again can help."""

    # fmt: off
    ACCEPTED               = ("00", "accepted, is carried on",                      "已受理，转发中",         False)
    AMOUNT_DIFFERS         = ("64", "amount differs from the original's",           "与原交易金额不符",       False)
    ANSWERED               = ("",   "answered by the issuer",                       "发卡方已应答",           False)
    ANSWER_MAC_WRONG       = ("98", "issuer's answer is not authentic, reversed",   "发卡方应答MAC错，已冲正", True)
    BUSY                   = ("96", "waited longer than the sender does",           "处理超时",               True)
    DUPLICATE              = ("94", "name repeated with other contents",            "重复交易",               False)
    FORMAT                 = ("30", "message is malformed",                         "格式错误",               False)
    FORWARDED              = ("",   "forwarded, the issuer is asked",               "已转发发卡方",           False)
    ISSUER_AWAY            = ("91", "issuer is not signed on",                      "发卡方未签到",           True)
    ISSUER_REJECTED        = ("96", "issuer sent the message back",                 "发卡方拒收报文",         True)
    ISSUER_SILENT          = ("98", "no answer from the issuer in time, reversed",  "发卡方超时，已冲正",     True)
    KEYS_MISSING           = ("A7", "link has no PIN key",                          "链路无PIN密钥",          True)
    MAC_WRONG              = ("A0", "message authentication failed",                "MAC校验错",              True)
    MALFUNCTION            = ("96", "system malfunction",                           "系统异常",               True)
    NOTHING_TO_REVERSE     = ("00", "original was not approved, nothing to do",     "原交易未成功，无需冲正", False)
    NOT_ACQUIRER           = ("58", "sender is not an acquirer",                    "非收单机构",             False)
    NOT_REVERSIBLE         = ("12", "an offline approval is never taken back",      "脱机批准交易不可冲正",   False)
    NOT_SIGNED_ON          = ("91", "sender is not signed on",                      "发送方未签到",           True)
    NOT_YOURS              = ("58", "institution named is not the sender's",        "机构标识不符",           False)
    NO_ISSUER              = ("15", "no issuer of this card",                       "无此发卡方",             False)
    OFFLINE_REFUSED        = ("",   "issuer does not book the offline approval",    "发卡方拒绝脱机交易",     False)
    ORIGINAL_ANOTHER_CARDS = ("25", "original is another card's",                   "原交易非本卡",           False)
    ORIGINAL_UNKNOWN       = ("25", "original not found",                           "未找到原交易",           False)
    PIN_UNREADABLE         = ("99", "PIN block cannot be read",                     "密码格式错",             True)
    REPEATED               = ("",   "repeat, answered as before",                   "重复报文，按原结果应答", False)
    RESOLVED               = ("",   "token resolved, the issuer is asked",          "标记已还原，转发发卡方", False)
    REVERSED_EARLIER       = ("94", "its reversal came before",                     "冲正先于原交易到达",     False)
    REVERSED_MEANWHILE     = ("",   "reversed by the acquirer before the answer",   "应答前已被冲正",         False)
    STILL_WAITING          = ("",   "repeat while the issuer is asked, dropped",    "等待发卡方应答，已丢弃", False)
    TOKEN_INSERTED         = ("57", "a token has no contacts to be inserted by",    "标记不可插卡使用",       False)
    TOKEN_OFFLINE          = ("57", "a token is never approved offline",            "标记不可脱机交易",       False)
    TOKEN_REFUSED          = ("",   "refused by the token service",                 "标记服务方拒绝",         False)
    TOKEN_SCRIPT           = ("12", "no script is sent to a token",                 "标记无发卡行脚本",       False)
    TOKEN_SWIPED           = ("57", "a token has no stripe to be swiped",           "标记不可刷磁条",         False)
    TOMBSTONE_KEPT         = ("00", "original not seen, reversal remembered",       "未见原交易，已登记冲正", False)
    TSP_AWAY               = ("91", "token service is not signed on",               "标记服务方未签到",       True)
    TSP_REJECTED           = ("96", "token service sent the message back",          "标记服务方拒收报文",     True)
    TSP_SILENT             = ("98", "no answer from the token service, reversed",   "标记服务方超时，已冲正", True)
    UNKNOWN_KIND           = ("12", "not a kind of message we serve",               "无效交易",               False)
    # fmt: on
