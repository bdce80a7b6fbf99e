"""What a transaction gives to people and programs: the outcome, its reason, and the slip of paper.

A receipt never holds a PAN: it is masked when the receipt is made. The slip is printed in English or Chinese.

Sources: UnionPay receipt practice (masked PAN, AID, ATC, cryptogram, reference, signature line).
"""

from dataclasses import dataclass

from shanfu.emv import CVM
from shanfu.iso8583 import ResponseCode, Totals
from shanfu.money import Money
from shanfu.terminal.outcome import Outcome, Reason, UIMessage

__all__ = ["Receipt", "print_receipt"]

WIDTH = 40  # characters of a thermal printer's line


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """How a transaction ended. Codes are empty, and `reason` is None on approval.

    `reversal_pending`: no valid answer came, the kept reversal goes out before the next payment.
    """

    title: str  # purchase, void, refund, balance, sign-in, sign-off, echo, settlement, reversal
    outcome: Outcome
    reason: Reason | None = None
    detail: str = ""
    ui: UIMessage | None = None
    response_code: str = ""
    response_phrase: str = ""
    amount: Money | None = None
    merchant_name: str = ""
    merchant_id: str = ""
    terminal_id: str = ""
    interface: str = ""
    masked_pan: str = ""
    entry_mode: str = ""
    cvm: CVM | None = None
    aid: str = ""
    atc: str = ""
    cryptogram: str = ""
    cryptogram_kind: str = "ARQC"  # or TC, AAC: the card's last word
    batch: str = ""
    stan: str = ""
    rrn: str = ""
    auth_code: str = ""
    date: str = ""  # local, YYYYMMDD
    time: str = ""  # hhmmss
    trace_id: str = ""
    duration_ms: int = 0
    reversal_pending: bool = False
    offline: bool = False  # the card approved; the acquirer is told later
    card_checked_pin: bool = False  # by the chip, plain or enciphered
    ask_issuer: bool = False  # approved, but the issuer is to be asked to confirm
    balances: tuple[Money, ...] = ()
    totals: Totals | None = None

    @property
    def approved(self) -> bool:
        """Whether it was done."""
        return self.outcome is Outcome.APPROVED


# fmt: off
WORDS = {
    "amount":        ("AMOUNT",            "金额"),
    "approved":      ("APPROVED",          "交易成功"),
    "approval code": ("AUTH CODE",         "授权码"),
    "batch":         ("BATCH",             "批次号"),
    "balance":       ("BALANCE",           "余额"),
    "card":          ("CARD",              "卡号"),
    "cryptogram":    ("ARQC",              "应用密文"),
    "date":          ("DATE/TIME",         "日期时间"),
    "merchant":      ("MERCHANT",          "商户"),
    "merchant id":   ("MERCHANT NO",       "商户编号"),
    "no signature":  ("PIN-FREE AND SIGNATURE-FREE", "免密免签"),
    "offline":       ("APPROVED BY THE CARD, OFFLINE", "脱机批准"),
    "pin":           ("VERIFIED BY PIN",   "已验密码"),
    "declined":      ("DECLINED",          "交易失败"),
    "device":        ("VERIFIED ON THE DEVICE", "已在设备端验证"),
    "reference":     ("REFERENCE",         "参考号"),
    "reversal":      ("WILL BE REVERSED, YOU ARE NOT CHARGED", "将自动冲正，不会扣款"),
    "signature":     ("SIGNATURE",         "持卡人签名"),
    "stan":          ("TRACE",             "凭证号"),
    "terminal":      ("TERMINAL NO",       "终端编号"),
    "type":          ("TYPE",              "交易类型"),
}
TITLES = {
    "balance":    ("BALANCE INQUIRY", "余额查询"),
    "download":   ("PARAMETER DOWNLOAD", "参数下载"),
    "echo":       ("ECHO TEST",       "回响测试"),
    "purchase":   ("SALE",            "消费"),
    "refund":     ("REFUND",          "退货"),
    "reversal":   ("REVERSAL",        "冲正"),
    "settlement": ("SETTLEMENT",      "结算"),
    "sign-in":    ("SIGN-IN",         "签到"),
    "sign-off":   ("SIGN-OFF",        "签退"),
    "void":       ("VOID",            "撤销"),
}
VERIFIED = {CVM.ONLINE_PIN: "pin", CVM.SIGNATURE: "signature", CVM.CDCVM: "device", CVM.NONE: "no signature"}
# fmt: on


def print_receipt(receipt: Receipt, lang: str = "en") -> str:
    """Return the slip as text, English or Chinese (`zh`); empty values leave no line."""
    zh = lang == "zh"
    rows = [f"{WORDS[word][zh]}: {value}" for word, value in _rows(receipt, zh) if value]
    return "\n".join([_result(receipt, zh), "-" * WIDTH, *rows, *_foot(receipt, zh)])


def _rows(receipt: Receipt, zh: bool) -> list[tuple[str, str]]:
    r = receipt
    card = f"{r.masked_pan} /{r.entry_mode[:2]}" if r.masked_pan else ""
    when = f"{r.date[:4]}-{r.date[4:6]}-{r.date[6:]} {r.time[:2]}:{r.time[2:4]}:{r.time[4:]}" if r.date else ""
    return [
        ("merchant", r.merchant_name),
        ("merchant id", r.merchant_id),
        ("terminal", r.terminal_id),
        ("type", TITLES[r.title][zh]),
        ("card", card),
        ("batch", r.batch),
        ("stan", r.stan),
        ("approval code", r.auth_code),
        ("reference", r.rrn),
        ("date", when),
        ("amount", str(r.amount) if r.amount is not None else ""),
        *(("balance", str(balance)) for balance in r.balances),
    ]


def _result(receipt: Receipt, zh: bool) -> str:
    if receipt.approved:
        return WORDS["approved"][zh]
    if receipt.outcome is Outcome.TRY_ANOTHER_INTERFACE:
        asked = receipt.ui or UIMessage.INSERT_CARD
        why = f" ({receipt.reason.zh if zh else receipt.reason.en})" if receipt.reason else ""
        return (asked.zh if zh else asked.en).upper() + why
    reason = receipt.reason
    words = (reason.zh if zh else reason.en) if reason else receipt.outcome.value
    if reason is Reason.ACQUIRER_DECLINED:  # the host's own words say more
        words = ResponseCode.of(receipt.response_code).say("zh" if zh else "en")
    code = f" ({receipt.response_code})" if receipt.response_code else ""
    return f"{WORDS['declined'][zh]}: {words}{code}"


def _foot(receipt: Receipt, zh: bool) -> list[str]:
    """The chip's own lines and how the cardholder was verified."""
    r = receipt
    chip = (
        [f"AID: {r.aid}  ATC: {r.atc}", f"{WORDS['cryptogram'][1] if zh else r.cryptogram_kind}: {r.cryptogram}"]
        if r.aid and r.atc
        else []
    )
    if r.reversal_pending:
        return [*chip, WORDS["reversal"][zh]]
    if r.approved and r.offline:
        chip.append(WORDS["offline"][zh])
    if r.approved and r.card_checked_pin:
        chip.append(WORDS["pin"][zh])
    if not (r.approved and r.cvm):
        return chip
    line = WORDS[VERIFIED[r.cvm]][zh]
    return [*chip, f"{line}: ____________________" if r.cvm is CVM.SIGNATURE else line]
