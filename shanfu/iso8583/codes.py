"""DE39: how a host answers, in codes that every party must understand alike, and what a reversal says there.

A `ResponseCode` is a value, never an exception: a decline is an outcome. Each member knows its phrase in both languages,
its family, whether it approves, whether trying again can help, and what the terminal shall do besides showing it. It is
a `str`, so it stands in a message as it is. A code that is not in the table is still a code: `ResponseCode.of("Z9")`
gives a declined member of the family OTHER, since a terminal must not choke on an answer it does not know.

Every party uses this. The list of codes is from public terminal implementations (docs/sources.md); the action rule and
the codes marked unverified are from memory.
"""

from enum import StrEnum

__all__ = ["REVERSAL_DONE", "REVERSAL_DROPS", "Action", "Family", "ResponseCode", "ReversalReason"]


class Family(StrEnum):
    """Who has to do something about it."""

    APPROVED = "approved"
    CARD = "card or holder"
    REFER = "referral or merchant"
    SYSTEM = "system"
    OTHER = "not in the table"


class Action(StrEnum):
    """What the terminal does besides showing the phrase."""

    NONE = "none"
    KEEP_CARD = "keep card"  # only where the reader holds the card; a waved card stays in the hand
    SIGN_IN = "sign in"  # the sign-in state is cleared: new working keys are needed


_A, _C, _R, _S = Family.APPROVED, Family.CARD, Family.REFER, Family.SYSTEM
_KEEP, _SIGN = Action.KEEP_CARD, Action.SIGN_IN


class ResponseCode(StrEnum):
    """Response codes with phrase (en, zh), family, action and whether a retry can help."""

    phrase: str
    phrase_zh: str
    family: Family
    action: Action
    retryable: bool

    def __new__(  # noqa: PLR0917  (the columns of the table below)
        cls, code: str, phrase: str, phrase_zh: str, family: Family, action: Action = Action.NONE, retry: bool = False
    ) -> "ResponseCode":
        """Make one row of the table below."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.phrase, member.phrase_zh, member.family = phrase, phrase_zh, family
        member.action, member.retryable = action, retry
        return member

    # fmt: off
    APPROVED                = "00", "approved",                             "交易成功", _A
    CALL_ISSUER             = "01", "call the issuer",                      "查发卡行", _R
    INVALID_MERCHANT        = "03", "merchant is not registered",           "无效商户", _R
    CAPTURE                 = "04", "keep the card",                        "没收卡", _R, _KEEP
    DO_NOT_HONOUR           = "05", "not honoured: cardholder not authenticated", "身份认证失败", _R
    ERROR                   = "06", "error",                                "出错", _R
    CAPTURE_SPECIAL         = "07", "keep the card, special conditions",    "特定条件下没收卡", _R, _KEEP
    PARTIAL_APPROVAL        = "10", "approved for part of the amount",      "部分金额批准", _A
    VIP_APPROVAL            = "11", "approved, VIP",                        "成功，VIP客户", _A
    INVALID_TRANSACTION     = "12", "transaction is not valid",             "无效交易", _R
    INVALID_AMOUNT          = "13", "amount is not valid",                  "金额无效", _R
    INVALID_CARD_NUMBER     = "14", "no such card number",                  "卡号无效", _R
    NO_SUCH_ISSUER          = "15", "no such issuer",                       "无此发卡方", _R
    CARD_NOT_INITIALISED    = "21", "card is not initialised or sleeping",  "卡未初始化或睡眠卡", _R
    SUSPECTED_MALFUNCTION   = "22", "suspected malfunction, or too late",   "操作有误或超出允许天数", _R
    ORIGINAL_NOT_FOUND      = "25", "original transaction not found",       "没有原始交易", _R
    FORMAT_ERROR            = "30", "message format is wrong, retry",       "报文格式错误", _R, Action.NONE, True
    EXPIRED_CAPTURE         = "33", "card has expired, keep it",            "过期的卡，没收", _C, _KEEP
    FRAUD_CAPTURE           = "34", "suspected fraud, keep the card",       "作弊卡，没收", _R, _KEEP
    CALL_ACQUIRER_CAPTURE   = "35", "call the acquirer, keep the card",     "联系受理方，没收卡", _R, _KEEP
    RESTRICTED_CAPTURE      = "36", "restricted card, keep it",             "受限制的卡，没收", _R, _KEEP
    CALL_SECURITY_CAPTURE   = "37", "call security, keep the card",         "呼受理方安全保密部门，没收卡", _R, _KEEP
    PIN_TRIES_CAPTURE       = "38", "PIN tries exceeded",                   "密码错误次数超限", _R
    FUNCTION_NOT_SUPPORTED  = "40", "issuer does not support this",         "发卡方不支持的交易类型", _R
    LOST_CARD               = "41", "lost card, keep it",                   "挂失卡，没收", _C, _KEEP
    STOLEN_CARD             = "43", "stolen card, keep it",                 "被窃卡，没收", _C, _KEEP
    FALLBACK_NOT_ALLOWED    = "45", "stripe of a chip card is not allowed", "不允许降级交易", _C
    INSUFFICIENT_FUNDS      = "51", "insufficient funds",                   "余额不足", _C
    EXPIRED_CARD            = "54", "card has expired",                     "卡已过期", _C
    WRONG_PIN               = "55", "wrong PIN",                            "密码错误", _C, Action.NONE, True
    NOT_PERMITTED_TO_CARD   = "57", "not permitted to this card",           "不允许此卡交易", _C
    NOT_PERMITTED_TO_TERMINAL = "58", "not permitted to this terminal",     "发卡方不允许该卡在本终端进行此交易", _C
    CARD_CHECK_FAILED       = "59", "card verification failed",             "卡片校验错", _C
    AMOUNT_LIMIT            = "61", "amount over the limit",                "交易金额超限", _C
    RESTRICTED_CARD         = "62", "restricted card",                      "受限制的卡", _C
    ORIGINAL_AMOUNT         = "64", "amount differs from the original",     "交易金额与原交易不匹配", _C
    COUNT_LIMIT             = "65", "too many transactions",                "超出取款次数限制", _C
    SECURITY_VIOLATION      = "66", "security check failed",                "安全校验失败", _C
    KEEP_AT_ATM             = "67", "keep the card",                        "没收卡", _C, _KEEP
    TIMEOUT                 = "68", "answer came too late",                 "发卡行响应超时", _C, Action.NONE, True
    PIN_TRIES_EXCEEDED      = "75", "PIN tries exceeded",                   "允许的输入密码次数超限", _C
    SIGN_IN_AGAIN           = "77", "sign in again",                        "请重新签到", _C, _SIGN, True
    OFFLINE_DECLINED        = "79", "declined offline",                     "脱机交易被拒绝", _C
    CUT_OFF                 = "90", "day is being closed, retry later",     "系统日切，请稍后重试", _C, Action.NONE, True
    ISSUER_UNAVAILABLE      = "91", "issuer is unavailable",                "发卡方状态不正常", _S, Action.NONE, True
    FACILITY_UNAVAILABLE    = "92", "issuer line is unavailable",           "发卡方线路异常", _S, Action.NONE, True
    DUPLICATE               = "94", "duplicate transaction",                "拒绝，重复交易", _S
    SYSTEM_FAILURE          = "96", "system failure",                       "系统异常", _S, Action.NONE, True
    TERMINAL_NOT_REGISTERED = "97", "terminal is not registered",           "终端未登记", _S, _SIGN
    ISSUER_TIMED_OUT        = "98", "no answer from the issuer in time",    "发卡方超时", _S, Action.NONE, True
    PIN_FORMAT              = "99", "PIN block is wrong, sign in again",    "PIN格式错，请重新签到", _S, _SIGN, True
    MAC_FAILED              = "A0", "MAC is wrong, sign in again",          "MAC校验错，请重新签到", _S, _SIGN, True
    CURRENCY                = "A1", "currencies differ",                    "转账货币不一致", _S
    APPROVED_CONFIRM_A2     = "A2", "approved, ask the issuer to confirm",  "交易成功，请向发卡行确认", _A
    ACCOUNT                 = "A3", "account is not valid",                 "账户不正确", _S
    APPROVED_CONFIRM_A4     = "A4", "approved, ask the issuer to confirm",  "交易成功，请向发卡行确认", _A
    APPROVED_CONFIRM_A5     = "A5", "approved, ask the issuer to confirm",  "交易成功，请向发卡行确认", _A
    APPROVED_CONFIRM_A6     = "A6", "approved, ask the issuer to confirm",  "交易成功，请向发卡行确认", _A
    SECURITY_PROCESSING     = "A7", "security processing failed",           "安全处理失败", _S, Action.NONE, True
    # fmt: on

    @property
    def approved(self) -> bool:
        """The money moves (for 10: part of it)."""
        return self.family is Family.APPROVED

    @property
    def needs_confirmation(self) -> bool:
        """Approved, but the issuer is to be asked afterwards (A2, A4, A5, A6)."""
        return self.approved and self[0] == "A"

    def say(self, lang: str = "en") -> str:
        """The phrase in English or Chinese (`zh`)."""
        return self.phrase_zh if lang == "zh" else self.phrase

    @classmethod
    def of(cls, code: str) -> "ResponseCode":
        """The member for a received code; one that is not in the table is a decline of family OTHER.

        >>> ResponseCode.of("55").retryable, ResponseCode.of("Z9").approved, ResponseCode.of("Z9").family
        (True, False, <Family.OTHER: 'not in the table'>)
        """
        return cls(code)  # type: ignore[call-arg]  # a look-up by value, which mypy takes for a construction

    @classmethod
    def _missing_(cls, value: object) -> "ResponseCode | None":
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_, unknown._value_ = f"CODE_{value}", value
        unknown.phrase, unknown.phrase_zh = "declined, code not known", "交易失败，未知应答码"
        unknown.family, unknown.action, unknown.retryable = Family.OTHER, Action.NONE, False
        return unknown


class ReversalReason(StrEnum):
    """DE39 of a reversal request: why the original is taken back. 96 is from memory."""

    OTHER = "06"
    NOT_PARSEABLE = "96"
    NO_ANSWER = "98"
    BAD_MAC = "A0"


# Answers after which a reversal is over (unverified): done, the original was never there, it needs no reversal.
REVERSAL_DONE = frozenset({ResponseCode.APPROVED, ResponseCode.INVALID_TRANSACTION, ResponseCode.ORIGINAL_NOT_FOUND})

# Fields of the original that its reversal leaves out; DE55 is reduced besides.
REVERSAL_DROPS = frozenset({26, 35, 36, 37, 52, 53})
