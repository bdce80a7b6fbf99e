"""Why the acquirer answers as it does: every outcome has a name, a response code and words for people.

A refusal is a value. `Reason` knows the DE39 that goes back to the terminal, a phrase in English and Chinese, and whether the
merchant gets further by trying again. What the issuer or the network decided keeps its own code; the reason then only says
that they did. Journals and events keep the name.

Called by `decide`, `record`, `answers` and the doors. Sources: the response codes of Q/CUP 009 as terminals show them; 77 for a
batch that is not the open one is how terminals of the trade are told to sign in again.
"""

from enum import unique

from shanfu.hosts import HostReason

__all__ = ["Reason"]


@unique
class Reason(HostReason):
    """The named outcomes: code (DE39), English, Chinese, whether trying again can help."""

    # fmt: off
    ALREADY_REFUNDED       = ("12", "payment has been refunded",                    "交易已退货",             False)
    ALREADY_VOIDED         = ("12", "payment has been voided, or is being voided",  "交易已撤销",             False)
    AMOUNT_DIFFERS         = ("64", "amount differs from the original's",           "与原交易金额不符",       False)
    APPROVED               = ("00", "approved",                                     "批准",                   False)
    APPROVED_OFFLINE       = ("00", "approved by the card, offline",                "脱机批准",               False)
    BATCH_SETTLED          = ("12", "payment's batch is settled",                   "原交易批次已结算",       False)
    BATCH_WRONG            = ("77", "batch is not the open one, sign in again",     "批次号不符，请重新签到", True)
    BUSY                   = ("96", "waited longer than the terminal does",         "处理超时",               True)
    CURRENCY_DIFFERS       = ("A1", "currency is not the merchant's",               "货币与商户不符",         False)
    DUPLICATE              = ("94", "name repeated with other contents",            "重复交易",               False)
    FORMAT                 = ("30", "message is malformed",                         "格式错误",               False)
    ISSUER_DECLINED        = ("05", "declined by the issuer or the network",        "发卡方或转接方拒绝",     False)
    KEYS_MISSING           = ("97", "terminal has no master key here",              "终端主密钥未装载",       False)
    KIND_NOT_PERMITTED     = ("58", "not permitted to this merchant",               "不允许商户进行此交易",   False)
    MAC_WRONG              = ("A0", "message authentication failed",                "MAC校验错",              True)
    MALFUNCTION            = ("96", "system malfunction",                           "系统异常",               True)
    MERCHANT_UNKNOWN       = ("03", "merchant is not registered",                   "无效商户",               False)
    NETWORK_DOWN           = ("91", "network cannot be reached",                    "转接方状态不正常",       True)
    NOT_REVERSIBLE         = ("12", "transaction is of a kind without reversal",    "该交易不可冲正",         False)
    NOT_SIGNED_IN          = ("97", "terminal has not signed in",                   "终端未签到",             True)
    NO_ANSWER              = ("98", "no answer from the network in time",           "转接方超时",             True)
    NO_VALID_ANSWER        = ("98", "answer from the network cannot be trusted",    "应答报文校验错",         True)
    ORIGINAL_ANOTHER_CARDS = ("25", "original is another card's",                   "原交易非本卡",           False)
    ORIGINAL_NOT_APPROVED  = ("25", "original was not approved",                    "原交易未成功",           False)
    ORIGINAL_NOT_PAYMENT   = ("12", "original cannot be taken back this way",       "原交易类型不符",         False)
    ORIGINAL_UNKNOWN       = ("25", "original not found",                           "未找到原交易",           False)
    PIN_UNREADABLE         = ("99", "PIN block cannot be read",                     "密码格式错",             True)
    REFUND_TOO_HIGH        = ("64", "more would go back than was paid",             "退货金额超限",           False)
    REVERSED               = ("00", "reversed",                                     "已冲正",                 False)
    REVERSED_BEFORE        = ("00", "reversed before, nothing left to do",          "此前已冲正",             False)
    REVERSED_EARLIER       = ("94", "its reversal came before",                     "冲正先于原交易到达",     False)
    STRIPE_OF_A_CHIP_CARD  = ("45", "stripe is read only when the chip cannot be",  "芯片读取失败方可刷磁条", False)
    TERMINAL_ELSEWHERE     = ("03", "terminal is not this merchant's",              "终端与商户不符",         False)
    TERMINAL_UNKNOWN       = ("97", "terminal is not registered",                   "终端未登记",             False)
    TOMBSTONE_KEPT         = ("00", "original not seen, reversal remembered",       "未见原交易，已登记冲正", False)
    UNKNOWN_KIND           = ("12", "not a kind of message we serve",               "无效交易",               False)
    # fmt: on
