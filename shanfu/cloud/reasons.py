"""Why the key cloud refuses a phone: every refusal has a name, a problem code, and words for people.

One row a reason: the code that travels (with its HTTP status), English, Chinese. `problem()` makes the document; the name
travels as its `reason`, so that a phone can say more than the code does. What the token service refuses keeps its own reason.
"""

from enum import Enum, unique

from shanfu.messages import Problem, ProblemCode, problem

__all__ = ["Reason"]

P = ProblemCode


@unique
class Reason(Enum):
    """The named refusals: problem code, English, Chinese."""

    code: ProblemCode
    en: str
    zh: str

    def __new__(cls, code: ProblemCode, en: str, zh: str) -> "Reason":
        """Take one row of the table."""
        member = object.__new__(cls)
        member._value_ = en
        member.code, member.en, member.zh = code, en, zh
        return member

    # fmt: off
    ACTOR_NOT_ALLOWED    = (P.FORBIDDEN,           "a phone may not act as this party",                 "手机无权以该身份操作")
    APP_UNKNOWN          = (P.REFUSED,             "no bank has registered this app",                   "应用未登记")
    ATTESTATION_ABSENT   = (P.ATTESTATION_REFUSED, "the device brings no attestation",                  "缺少设备证明")
    ATTESTATION_UNKNOWN  = (P.ATTESTATION_REFUSED, "nobody here judges this form of attestation",       "不支持的设备证明格式")
    ATTESTATION_WRONG    = (P.ATTESTATION_REFUSED, "the attestation is not of this device",             "设备证明无效")
    BODY_UNREADABLE      = (P.FORMAT,              "the body does not open under the session's key",    "报文无法解密")
    CALL_UNSIGNED        = (P.FORMAT,              "a phone's call bears its device's signature",       "请求缺少设备签名")
    CARD_NOT_OFFERED     = (P.REFUSED,             "this card was not offered to who is logged in",     "该卡不在可添加范围内")
    CLOCK_WRONG          = (P.STALE,               "the call is not of these minutes",                  "请求时间无效")
    COUNTER_USED         = (P.STALE,               "the counter does not rise",                         "请求序号重复")
    DEVICE_BLOCKED       = (P.FORBIDDEN,           "the device is blocked",                             "设备已停用")
    DEVICE_UNKNOWN       = (P.DEVICE_UNKNOWN,      "the device is not enrolled",                        "设备未注册")
    INBOX_FULL           = (P.BUSY,                "many phones ask at once: come again a little later", "请求较多，请稍后再试")
    KEY_NOT_POINT        = (P.FORMAT,              "a device key is an uncompressed point of P-256",    "设备公钥格式错误")
    KEY_SET_SUPERSEDED   = (P.WRONG_STATE,         "a newer key set was stored since",                  "已有更新的密钥组")
    KEY_SET_UNKNOWN      = (P.NOT_FOUND,           "no key set of this number was issued",              "无此密钥组")
    KEYS_DIFFER          = (P.CONFLICT,            "this signing key has enrolled with other data",     "设备密钥与注册时不符")
    KEYS_TOO_OFTEN       = (P.TOO_MANY,            "enough key sets for this hour",                     "密钥更新过于频繁")
    MASTER_KEY_MISSING   = (P.UNAVAILABLE,         "no master key for this token's range",              "缺少令牌主密钥")
    NAMES_MALFORMED      = (P.FORMAT,              "names are hex, the call's key is printable",         "标识格式错误")
    NFC_MISSING          = (P.NFC_MISSING,         "the device has no NFC",                             "设备不支持NFC")
    NONCE_USED           = (P.STALE,               "the nonce was used before",                         "随机数重复")
    NOT_LOGGED_IN        = (P.FORBIDDEN,           "log in first, in this session",                     "请先登录")
    OS_TOO_OLD           = (P.OS_TOO_OLD,          "Android 4.4 is the least",                          "系统版本过低")
    REPORT_MALFORMED     = (P.FORMAT,              "sets count from 1, counters have two bytes",        "更新请求数据错误")
    SERVICE_NONSENSE     = (P.UNAVAILABLE,         "the token service's answer makes no sense",         "令牌服务应答异常")
    SESSION_OVER         = (P.SESSION_GONE,        "there is no such session, or it is over",           "会话已失效")
    SIGNATURE_WRONG      = (P.SIGNATURE_WRONG,     "the signature is not this device's",                "设备签名错误")
    SM2_NOT_TAKEN        = (P.REFUSED,             "SM2 device keys are not taken yet: bring P-256",    "暂不支持SM2设备密钥")
    TERMS_NOT_ACCEPTED   = (P.REFUSED,             "the card's terms are not accepted",                 "未同意卡片条款")
    TOKEN_NOT_ACTIVE     = (P.WRONG_STATE,         "the token is not active",                           "令牌未激活")
    TOKEN_UNKNOWN        = (P.NOT_FOUND,           "this phone has no such token",                      "该手机无此令牌")
    # fmt: on

    def problem(self, detail: str = "", *, reason: str = "", retry_after_s: int = 0) -> Problem:
        """Return the document that travels; `reason` replaces the name where a finer one is known."""
        return problem(self.code, detail or self.en, reason=reason or self.name, retry_after_s=retry_after_s)
