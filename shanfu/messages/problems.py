"""Refusals on the JSON wire: problem documents (RFC 9457) with a stable code of ours.

One row a code: the HTTP status, whether trying again can help, the phrase in English and Chinese. `problem(code, detail)`
makes the document; `detail` says what is wrong and where, and holds no PAN, code or key. `reason` is a finer name where one
exists: the check that failed, the rule of a decision.
"""

from enum import Enum

from msgspec import Struct

__all__ = ["Problem", "ProblemCode", "problem"]


# fmt: off
class ProblemCode(Enum):
    """Why a call was refused. The value is the code on the wire."""

    status: int
    retryable: bool
    phrase: str
    phrase_zh: str

    def __new__(cls, code: str, status: int, retryable: bool, phrase: str, phrase_zh: str) -> "ProblemCode":
        """Take one row of the table."""
        member = object.__new__(cls)
        member._value_ = code
        member.status, member.retryable, member.phrase, member.phrase_zh = status, retryable, phrase, phrase_zh
        return member

    # fmt: off
    ATTESTATION_REFUSED = ("attestation-refused", 403, False, "the device's attestation is not trusted",        "设备证明不可信")
    BUSY                = ("busy",                503, True,  "try again later",                                "系统繁忙，请稍后再试")
    CODE_EXPIRED        = ("code-expired",        403, True,  "the one-time code has expired",                  "验证码已过期")
    CODE_LOCKED         = ("code-locked",         403, False, "too many wrong codes",                           "验证码错误次数过多")
    CODE_WRONG          = ("code-wrong",          403, True,  "the one-time code is wrong",                     "验证码错误")
    CONFLICT            = ("conflict",            409, False, "this was asked before with other contents",      "重复请求内容不一致")
    DEVICE_UNKNOWN      = ("device-unknown",      401, False, "the device is not enrolled",                     "设备未注册")
    FORBIDDEN           = ("forbidden",           403, False, "the caller may not ask this",                    "无权操作")
    FORMAT              = ("format",              400, False, "the request does not have the right form",       "请求格式错误")
    LOGIN_WRONG         = ("login-wrong",         403, True,  "user or password wrong",                         "用户名或密码错误")
    MALFUNCTION         = ("malfunction",         500, True,  "something failed here: try again",               "系统故障，请重试")
    MEDIA_TYPE          = ("media-type",          415, False, "the body is not JSON",                           "请求须为JSON")
    METHOD              = ("method",              405, False, "the method does not fit this place",             "请求方法不允许")
    NFC_MISSING         = ("nfc-missing",         403, False, "the device has no NFC",                          "设备不支持NFC")
    NOT_FOUND           = ("not-found",           404, False, "there is no such thing here",                    "未找到")
    OS_TOO_OLD          = ("os-too-old",          403, False, "the system is too old: Android 4.4 is the least", "系统版本过低")
    REFUSED             = ("refused",             403, False, "the rules refuse this",                          "不符合规则")
    SESSION_GONE        = ("session-gone",        401, True,  "the session is over: open a new one",            "会话已失效")
    SIGNATURE_WRONG     = ("signature-wrong",     401, False, "the signature is wrong",                         "签名错误")
    STALE               = ("stale",               401, True,  "the call is too old, or was seen before",        "请求已过期或重复")
    TOO_LARGE           = ("too-large",           413, False, "the request is too large",                       "请求过大")
    TOO_MANY            = ("too-many",            429, True,  "too many requests: wait",                        "请求过于频繁")
    UNAUTHENTICATED     = ("unauthenticated",     401, False, "say who you are",                                "未通过身份验证")
    UNAVAILABLE         = ("unavailable",         503, True,  "the other side does not answer",                 "对方无应答")
    UNKNOWN_OPERATION   = ("unknown-operation",   404, False, "there is no such operation",                     "无此操作")
    WRONG_STATE         = ("wrong-state",         409, False, "not possible in this state",                     "当前状态不允许")
    # fmt: on


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a refusal (RFC 9457 3.1) with our `code`, and `reason` where the code has a finer name."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str = ""
    reason: str = ""
    retry_after_s: int = 0

    @property
    def retryable(self) -> bool:
        """Whether trying again can help; a code that we do not know cannot."""
        return any(code.retryable for code in ProblemCode if code.value == self.code)


def problem(code: ProblemCode, detail: str = "", *, reason: str = "", retry_after_s: int = 0) -> Problem:
    """Return the problem document of this code.

    >>> problem(ProblemCode.NOT_FOUND, "no such token").status
    404
    """
    return Problem(
        title=code.phrase, status=code.status, code=code.value, detail=detail, reason=reason, retry_after_s=retry_after_s
    )
