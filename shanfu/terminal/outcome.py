"""How a tap can end, and what the terminal tells the people in front of it.

`Outcome` are the outcomes of the entry point with EMVCo's names; `Reason` says why, as a name that programs test and
words that people read; `UIMessage` are the numbered messages of the display. Declines and changes of interface are
values: nothing here is raised.

Sources: EMV CL A 6.2 (outcomes), EMV CL A 9.4 (messages), JR/T 0025.12 6.5; DE39 and words of UnionPay terminals.
"""

from enum import Enum, StrEnum

__all__ = ["Outcome", "Reason", "UIMessage"]


class Outcome(StrEnum):
    """What the entry point reports (EMV CL A 6.2)."""

    APPROVED = "approved"
    DECLINED = "declined"
    ONLINE_REQUEST = "online-request"
    TRY_ANOTHER_INTERFACE = "try-another-interface"
    END_APPLICATION = "end-application"
    SELECT_NEXT = "select-next"
    TRY_AGAIN = "try-again"


class UIMessage(Enum):
    """The messages of the display: identifier, English, Chinese (EMV CL A 9.4)."""

    en: str
    zh: str

    def __new__(cls, code: int, en: str, zh: str) -> "UIMessage":
        """Build a row of the table."""
        member = object.__new__(cls)
        member._value_ = code
        member.en, member.zh = en, zh
        return member

    # fmt: off
    APPROVED             = 0x03, "approved", "交易成功"
    DECLINED             = 0x07, "not authorised", "交易拒绝"
    ENTER_PIN            = 0x09, "please enter your PIN", "请输入密码"
    INCORRECT_PIN        = 0x0A, "incorrect PIN", "密码错误"  # EMV B4 11.2
    INSERT_CARD          = 0x10, "please insert the card", "请插卡"
    USE_STRIPE           = 0x12, "please swipe the card", "请刷卡"  # EMV B4 11.2
    PRESENT_CARD         = 0x15, "present card", "请挥卡"
    PROCESSING           = 0x16, "processing", "正在处理"
    CARD_READ_OK         = 0x17, "card read, please remove it", "读卡成功，请移开卡片"
    TRY_ANOTHER_CARD     = 0x18, "please try another card", "请换卡"
    ONE_CARD_ONLY        = 0x19, "please present one card only", "请只出示一张卡"
    APPROVED_SIGN        = 0x1A, "approved, please sign", "交易成功，请签名"
    AUTHORISING          = 0x1B, "authorising, please wait", "正在联机，请稍候"
    OTHER_INTERFACE      = 0x1C, "insert, swipe or try another card", "请插卡、刷卡或换卡"
    SEE_PHONE            = 0x20, "see phone", "请看手机提示"
    PRESENT_AGAIN        = 0x21, "present card again", "请再次挥卡"
    # fmt: on

    @property
    def code(self) -> str:
        """The identifier as the specifications print it."""
        return f"{self.value:02X}"


class Reason(Enum):
    """Why a transaction ended as it did: name, English, Chinese."""

    slug: str
    en: str
    zh: str

    def __new__(cls, slug: str, en: str, zh: str) -> "Reason":
        """Build a row of the table."""
        member = object.__new__(cls)
        member._value_ = member.slug = slug
        member.en, member.zh = en, zh
        return member

    def __str__(self) -> str:
        return self.slug

    # fmt: off
    ACQUIRER_DECLINED    = "acquirer-declined", "the answer was not an approval", "主机未批准"
    ALREADY_VOIDED       = "already-voided", "this payment has been voided already", "原交易已撤销"
    AMOUNT_OVER_LIMIT    = "amount-over-limit", "the amount is over the contactless limit", "金额超过非接触限额"
    AMOUNT_OVER_ORIGINAL = "amount-over-original", "more than was paid", "超过原交易金额"
    APPLICATION_REFUSED  = "application-refused", "the card refused the transaction", "卡片拒绝交易"
    AUTHENTICATION       = "offline-authentication-failed", "the card could not prove that it is genuine", "脱机数据认证失败"
    BAD_MAC              = "bad-mac", "the answer's MAC is wrong", "应答MAC错误"
    BATCH_DIFFERS        = "batch-differs", "the host's totals differ", "批结算不平"
    BATCH_FULL           = "batch-full", "the batch is full: settle first", "批次已满，请先结算"
    CA_KEY_CHECKSUM      = "ca-key-checksum-wrong", "a CA key came with a wrong check sum", "CA公钥校验值错误"
    CA_KEY_UNREADABLE    = "ca-key-unreadable", "what came is not the CA key that was asked for", "CA公钥无法解析"
    CARD_DATA            = "card-data-malformed", "the card's data is not what the standard says", "卡片数据有误"
    CARD_DECLINED        = "card-declined", "declined by the card", "卡片拒绝"
    CARD_OVERREACHED     = "card-overreached", "the card answered with more than it was asked", "卡片应答超出请求"
    CARD_REMOVED         = "card-removed", "the card left the field too early", "卡片移开过早"
    CARD_SILENT          = "card-silent", "the card stopped answering", "卡片无应答"
    CHIP_CARD            = "use-chip", "this card has a chip: insert or wave it", "芯片卡，请插卡或挥卡"
    CHIP_SILENT          = "chip-silent", "no chip answers in the slot", "插卡槽内无芯片应答"
    CVM_NOT_POSSIBLE     = "cvm-not-possible", "card and terminal share no verification method", "无共同的持卡人验证方法"
    EXCEPTION_FILE       = "on-exception-file", "the card is on the exception file", "卡片在终端异常文件中"
    EXPIRED_CARD         = "card-expired", "the application has expired", "应用已过期"
    FALLBACK_REFUSED     = "fallback-not-accepted", "this terminal takes no stripe of a chip card", "不受理芯片卡降级交易"
    FULL_PBOC            = "full-pboc-over-contactless", "full PBOC by wave is not supported", "不支持非接触式借贷记全流程"
    HOST_UNREACHABLE     = "host-unreachable", "the acquirer cannot be reached", "无法连接主机"
    MISSING_DATA         = "mandatory-data-missing", "the card left out mandatory data", "卡片缺少必备数据"
    NOTHING_TO_UNDO      = "nothing-to-undo", "there is no such approved payment", "无此原交易"
    NOT_ALLOWED_HERE     = "service-not-allowed", "the card allows no such transaction", "卡片不允许该交易"
    NOT_CHOSEN           = "no-application-chosen", "nobody chose one of the card's applications", "未选择应用"
    NOT_SIGNED_IN        = "not-signed-in", "sign-in was refused", "签到失败"
    NO_ANSWER            = "no-answer", "no answer from the acquirer", "主机无应答"
    NO_APPLICATION       = "no-common-application", "card and terminal share no application", "无共同应用"
    NO_CARD              = "no-contactless-card", "no contactless card in the field", "未检测到非接触卡"
    NO_CRYPTOGRAM        = "no-cryptogram", "the card gave no cryptogram", "卡片未返回密文"
    NO_FLOOR_LIMIT       = "no-floor-limit", "no contactless floor limit is configured", "未设置非接触限额"
    NO_READER            = "no-reader", "this terminal has no such reader", "终端无此读卡器"
    OFFLINE_APPROVAL     = "offline-approval-not-asked", "the card approved though asked to go online", "卡片未按要求联机"
    OFFLINE_PAYMENT      = "offline-payment", "the card itself approved this payment: refund it", "脱机交易不可撤销，请退货"
    PIN_CANCELLED        = "pin-cancelled", "PIN entry was cancelled", "取消输入密码"
    PIN_PAD_FAULT        = "pin-pad-refused", "the PIN pad has no working keys", "密码键盘无工作密钥"
    RECORD_REFUSED       = "record-refused", "the acquirer refused an offline approval", "主机拒绝脱机交易上送"
    SEE_PHONE            = "see-phone", "the phone asks for something first", "请按手机提示操作"
    STRIPE_NOT_ACCEPTED  = "stripe-not-accepted", "magnetic stripe is not accepted", "不受理磁条交易"
    TERMINAL_DECLINED    = "terminal-declined", "declined by the terminal's risk rules", "终端风险管理拒绝"
    TWO_CARDS            = "two-cards", "more than one card in the field", "感应区内有多张卡"
    UNREADABLE_ANSWER    = "unreadable-answer", "the acquirer's answer cannot be read", "主机应答无法解析"
    ZERO_AMOUNT          = "zero-amount-offline", "a zero amount needs an online terminal", "零金额须联机"
    # fmt: on
