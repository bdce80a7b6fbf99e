"""Why the issuer answers as it does: every outcome has a name, a response code and words for people.

A refusal is a value. `Reason` knows the DE39 that goes back to the terminal, a phrase in English and Chinese, and whether the
cardholder gets further by trying again (another PIN, a smaller amount, later). Journals and events keep the name; several
names share a code where the trade has no finer one.

Called by `decide`, `record`, `answers` and the doors. Sources: the response codes of Q/CUP 009 as terminals show them; which
code stands for a wrong cryptogram or a spent ATC is our choice (59, the code for card checks).
"""

from enum import unique

from shanfu.hosts import HostReason

__all__ = ["Reason"]


@unique
class Reason(HostReason):
    """The named outcomes: code (DE39), English, Chinese, whether trying again can help."""

    # fmt: off
    ACCOUNT_CLOSED         = ("A3", "account is not open",                          "账户不可用",           False)
    ACCOUNT_OVERDRAWN      = ("00", "booked: the card has approved more than was there", "已入账，超出账户余额", False)
    ALGORITHM_NOT_ALLOWED  = ("59", "cryptogram algorithm not allowed to card",     "密文算法不符",         False)
    ALREADY_REFUNDED       = ("12", "payment has been refunded",                    "交易已退货",           False)
    ALREADY_REVERSED       = ("00", "reversed before, nothing left to do",          "此前已冲正",           False)
    ALREADY_VOIDED         = ("12", "payment has been voided already",              "交易已撤销",           False)
    AMOUNT_DIFFERS         = ("64", "amount differs from the original's",           "与原交易金额不符",     False)
    AMOUNT_INVALID         = ("13", "amount is zero",                               "金额无效",             False)
    APPROVED               = ("00", "approved",                                     "批准",                 False)
    ARQC_WRONG             = ("59", "cryptogram is wrong",                          "密文验证失败",         False)
    ATC_BEYOND_WINDOW      = ("59", "transaction counter jumped too far",           "交易计数器超出窗口",   False)
    ATC_REPLAYED           = ("59", "transaction counter was used before",          "交易计数器重复",       False)
    BUSY                   = ("96", "waited longer than the sender does",           "处理超时",             True)
    CARD_BLOCKED           = ("62", "card is blocked",                              "受限制的卡",           False)
    CARD_CLOSED            = ("14", "card is no longer valid",                      "无效卡号",             False)
    CARD_DECLINED          = ("05", "card declined the payment itself",             "卡片拒绝交易",         False)
    CARD_EXPIRED           = ("54", "card has expired",                             "过期的卡",             False)
    CARD_INACTIVE          = ("21", "card is not activated",                        "卡未初始化或睡眠卡",   False)
    CARD_LOST              = ("41", "card was reported lost",                       "挂失卡",               False)
    CARD_STOLEN            = ("43", "card was reported stolen",                     "被窃卡",               False)
    CARD_UNKNOWN           = ("14", "no such card",                                 "无效卡号",             False)
    CASH_OVERDRAWN         = ("00", "booked: the card has spent more than was loaded", "已入账，超出电子现金余额", False)
    CHIP_DATA_DIFFERS      = ("59", "chip signed other data than the message has",  "芯片数据与报文不符",   False)
    CHIP_REQUIRED          = ("45", "chip card was not read by its chip",           "芯片卡请勿降级使用",   True)
    COUNT_EXCEEDED         = ("65", "too many payments today",                      "超出取款次数限制",     True)
    CVR_REFUSED            = ("05", "card's own checks failed",                     "卡片检查未通过",       False)
    CVV_WRONG              = ("59", "check value of the stripe is wrong",           "磁道校验值错误",       False)
    DAY_LIMIT_EXCEEDED     = ("61", "day's limit exceeded",                         "超出当日金额限制",     True)
    DUPLICATE              = ("94", "name repeated with other contents",            "重复交易",             False)
    EXPIRY_DIFFERS         = ("54", "expiry date is not the card's",                "有效期不符",           False)
    FALLBACK_REFUSED       = ("45", "stripe of a chip card is not served",          "不允许降级交易",       True)
    FORMAT                 = ("30", "message is malformed",                         "格式错误",             False)
    FUNDS_INSUFFICIENT     = ("51", "not enough money",                             "余额不足",             True)
    KEY_UNKNOWN            = ("A7", "no master key of this index",                  "无此密钥索引",         False)
    MAC_WRONG              = ("A0", "message authentication failed",                "MAC校验错",            True)
    MALFUNCTION            = ("96", "system malfunction",                           "系统异常",             True)
    NOT_A_TC               = ("12", "card did not approve this by itself",          "非脱机批准交易",       False)
    NO_ACCOUNT             = ("A1", "card has no account in this currency",         "无此货币账户",         False)
    NO_CASH_ACCOUNT        = ("12", "card was not issued with e-cash",              "卡片未开通电子现金",   False)
    ORIGINAL_ANOTHER_CARDS = ("25", "original is another card's",                   "原交易非本卡",         False)
    ORIGINAL_NOT_APPROVED  = ("25", "original was not approved",                    "原交易未成功",         False)
    ORIGINAL_NOT_PAYMENT   = ("12", "original cannot be taken back this way",       "原交易类型不符",       False)
    ORIGINAL_TOO_OLD       = ("25", "original lies too far back",                   "原交易已过期限",       False)
    ORIGINAL_UNKNOWN       = ("25", "original not found",                           "未找到原交易",         False)
    PIN_LOCKED             = ("75", "PIN tries used up",                            "密码输入次数超限",     False)
    PIN_MISSING            = ("99", "PIN was entered but is not in the message",    "密码缺失",             True)
    PIN_REQUIRED           = ("55", "a stripe is served with its PIN only",         "磁条交易须输入密码",   True)
    PIN_TRIES_EXCEEDED     = ("75", "wrong PIN, no tries left",                     "密码错误且次数已用尽", False)
    PIN_UNREADABLE         = ("99", "PIN block cannot be read",                     "密码格式错",           True)
    PIN_WRONG              = ("55", "wrong PIN",                                    "密码错误",             True)
    REVERSED               = ("00", "reversed",                                     "已冲正",               False)
    REVERSED_EARLIER       = ("94", "its reversal came before",                     "冲正先于原交易到达",   False)
    SCRIPT_TOLD            = ("00", "script result taken",                          "脚本结果已登记",       False)
    SCRIPT_UNKNOWN         = ("25", "no such script was sent to this card",         "未向该卡发送此脚本",   False)
    STRIPE_RETIRED         = ("57", "card without a chip is not served",            "不受理纯磁条卡",       False)
    TC_SEEN                = ("94", "offline approval was booked before",           "脱机交易重复",         False)
    TC_WRONG               = ("12", "certificate of the offline approval is wrong", "脱机交易证书错误",     False)
    TOKEN_NOT_VERIFIED     = ("59", "token service did not find this payment right", "标记未经验证",       False)
    TOMBSTONE_KEPT         = ("00", "original not seen, reversal remembered",       "未见原交易，已登记冲正", False)
    TRANSACTION_LIMIT      = ("61", "limit of one payment exceeded",                "超出单笔金额限制",     True)
    TVR_REFUSED            = ("05", "terminal's checks failed",                     "终端检查未通过",       False)
    UNKNOWN_KIND           = ("12", "not a kind of message we serve",               "无效交易",             False)
    # fmt: on
