"""Why a phone does not pay, or an action of the bank's app came to nothing: one sentence each, for the person who holds it.

Those of the first group are refusals at the till: the card application answers the status word beside them, and nothing is
spent. Those of the second end an action in the app. Where the token service has a reason of the same meaning, the name is
the same. A refusal of the key cloud brings its own words (`shanfu.messages.ProblemCode`); `refused` finds the right sentence.

Called by all of the wallet and by the doors. Sources: JR/T 0025.12 6.5.3 (6985, 6986), the life cycle's result names.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from shanfu.iso7816 import StatusWord
from shanfu.messages import Actor, LimitReason, Problem, ProblemCode

__all__ = ["LIMITS", "SUSPENDERS", "Reason", "Refused", "refused"]

_NO, _PHONE = StatusWord.CONDITIONS_NOT_SATISFIED, StatusWord.SEE_PHONE


class Reason(Enum):
    """One reason: the status word for the terminal (None: no terminal asks), whether opening the app helps, the sentence."""

    sw: StatusWord | None
    open_app: bool
    en: str
    zh: str

    def __new__(cls, slug: str, sw: StatusWord | None, open_app: bool, en: str, zh: str) -> "Reason":
        """Build a row of the table."""
        member = object.__new__(cls)
        member._value_ = slug
        member.sw, member.open_app, member.en, member.zh = sw, open_app, en, zh
        return member

    def __str__(self) -> str:
        return str(self.value)

    # fmt: off
    # at the till
    COUNT_EXHAUSTED  = "COUNT_EXHAUSTED",  _NO, True,  "no payments are left on this phone: open the app to refresh", "可用次数已用完，请打开App刷新"
    TTL_EXPIRED      = "TTL_EXPIRED",      _NO, True,  "this card's keys are too old: open the app to refresh",      "密钥已过期，请打开App刷新"
    AMOUNT_EXHAUSTED = "AMOUNT_EXHAUSTED", _NO, True,  "more than may be paid without a refresh: open the app",      "超过可用金额，请打开App刷新"
    NO_KEYS          = "NO_KEYS",          _NO, True,  "this card has no keys yet: open the app",                    "卡片尚未下载密钥，请打开App"
    TOKEN_EXPIRED    = "TOKEN_EXPIRED",    _NO, True,  "this phone card has expired: open the app to renew it",      "手机卡片已过期，请打开App更新"
    NOT_VERIFIED     = "NOT_VERIFIED",     _NO, True,  "this card waits for its one-time code: open the app",        "卡片待验证，请打开App完成验证"
    FROZEN           = "FROZEN",           _NO, False, "you froze this card: unfreeze it in the app",                "卡片已被您冻结，请在App中解冻"
    SUSPENDED_ISSUER = "SUSPENDED_ISSUER", _NO, False, "your bank has suspended this card: call your bank",          "发卡行已暂停此卡，请联系银行"
    SUSPENDED_TSP    = "SUSPENDED_TSP",    _NO, False, "this card is suspended for safety: call your bank",          "出于安全原因卡片已暂停，请联系银行"
    SUSPENDED_WALLET = "SUSPENDED_WALLET", _NO, False, "the app has suspended this card",                            "App已暂停此卡"
    DELETED          = "DELETED",          _NO, False, "this card was deleted: add it again",                        "卡片已删除，请重新添加"
    NO_CARD          = "NO_CARD",          _NO, False, "no card of this app is ready to pay",                        "该App中没有可用卡片"
    UNLOCK           = "UNLOCK",        _PHONE, False, "unlock the phone and wave again",                            "请解锁手机后再次挥卡"
    ROLLED_BACK      = "ROLLED_BACK",      _NO, False, "the phone's storage was rolled back: enrol again",           "手机存储被回滚，请重新注册"
    FOREIGN_STORAGE  = "FOREIGN_STORAGE",  _NO, False, "this storage belongs to another phone: enrol again",         "存储属于另一部手机，请重新注册"
    DAMAGED          = "DAMAGED",          _NO, True,  "what this card is made of is damaged: open the app",         "卡片数据已损坏，请打开App"
    # in the app
    OFFLINE          = "OFFLINE",         None, False, "the phone has no network",                                   "手机未联网"
    NO_ANSWER        = "NO_ANSWER",       None, False, "the bank does not answer: try again",                        "银行无应答，请重试"
    NOT_ENROLLED     = "NOT_ENROLLED",    None, False, "this app is not set up on this phone: enrol first",          "App尚未在本机注册"
    NOT_LOGGED_IN    = "NOT_LOGGED_IN",   None, False, "log in first",                                               "请先登录"
    NO_SUCH_CARD     = "NO_SUCH_CARD",    None, False, "there is no such card on this phone",                        "本机没有该卡"
    CARD_REFUSED     = "CARD_REFUSED",    None, False, "your bank does not allow this card on this phone",           "发卡行不允许在本机添加此卡"
    CLOUD_UNTRUSTED  = "CLOUD_UNTRUSTED", None, False, "the other side is not your bank: nothing was sent",          "对方身份无法确认，未发送任何信息"
    BAD_KEYS         = "BAD_KEYS",        None, False, "what came from the bank cannot be opened on this phone",     "银行下发的数据无法在本机打开"
    REFUSED          = "REFUSED",         None, False, "the bank refused",                                           "银行拒绝"
    # fmt: on


LIMITS: Final = {
    LimitReason.COUNT_EXHAUSTED: Reason.COUNT_EXHAUSTED,
    LimitReason.TTL_EXPIRED: Reason.TTL_EXPIRED,
    LimitReason.AMOUNT_EXHAUSTED: Reason.AMOUNT_EXHAUSTED,
}
SUSPENDERS: Final = (  # the strongest first: who must be spoken to
    (Actor.ISSUER, Reason.SUSPENDED_ISSUER),
    (Actor.TSP, Reason.SUSPENDED_TSP),
    (Actor.TOKEN_REQUESTOR, Reason.SUSPENDED_WALLET),
    (Actor.WALLET, Reason.SUSPENDED_WALLET),
    (Actor.CDCVM_LOCKED, Reason.SUSPENDED_WALLET),
    (Actor.CARDHOLDER, Reason.FROZEN),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An action came to nothing; `problem` is the cloud's own word, if it spoke."""

    reason: Reason
    problem: Problem | None = None
    detail: str = ""

    @property
    def en(self) -> str:
        """The sentence in English."""
        code = self._code
        return code.phrase if code else self.reason.en

    @property
    def zh(self) -> str:
        """The sentence in Chinese."""
        code = self._code
        return code.phrase_zh if code else self.reason.zh

    @property
    def _code(self) -> ProblemCode | None:
        if self.problem is None or self.reason is not Reason.REFUSED:
            return None
        return next((code for code in ProblemCode if code.value == self.problem.code), None)


def refused(problem: Problem) -> Refused:
    """Return what a refusal of the cloud means to the holder."""
    silent = problem.code == ProblemCode.UNAVAILABLE.value
    return Refused(reason=Reason.NO_ANSWER if silent else Reason.REFUSED, problem=problem, detail=problem.detail)
