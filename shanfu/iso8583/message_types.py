"""What kind of message this is: MTI, processing code, entry mode, condition, and the codes of DE60 and DE70.

The acquirer tells a purchase from a void, a completion or a refund by five fields together; `USES` is that table, one
row a use, and `use_of` looks a message up in it. Parties ask here and never compare strings of digits themselves.

Called by terminal, acquirer, network and issuer. Sources: ISO 8583:1987 4.1 and annexes for MTI and codes; the
UnionPay values from public terminal implementations (docs/sources.md); rows said to be from memory are unverified.
"""

from dataclasses import dataclass
from enum import StrEnum

from shanfu.errors import ProtocolError
from shanfu.iso8583.codec import Message

__all__ = [
    "CHIP_CONDITIONS", "DOWNLOADS", "ENTRY_MODES", "MTI", "USES", "ChipCondition", "ConditionCode", "EntryMode",
    "ManagementCode", "MessageType", "NetworkCode", "ProcessingCode", "Use", "answer_needs_mac", "is_advice", "is_repeat",
    "is_request", "response_mti", "use_of",
]  # fmt: skip


class MTI(StrEnum):
    """Message types in use (ISO 8583:1987 4.1)."""

    AUTHORISATION = "0100"
    AUTHORISATION_ADVICE = "0120"
    FINANCIAL = "0200"
    FINANCIAL_ADVICE = "0220"
    BATCH_UPLOAD = "0320"
    REVERSAL = "0400"
    REVERSAL_ADVICE = "0420"
    SETTLEMENT = "0500"
    SCRIPT_RESULT = "0620"
    MANAGEMENT = "0800"
    MANAGEMENT_ADVICE = "0820"


def is_request(mti: str) -> bool:
    """Whether an answer is due: requests and advices, not answers and notifications (ISO 8583:1987 4.1)."""
    return mti[2] in "02"


def is_advice(mti: str) -> bool:
    """Whether the message tells what has happened already; it cannot be declined, only acknowledged."""
    return mti[2] in "24"


def is_repeat(mti: str) -> bool:
    """Whether the sender marks it as sent before (fourth digit odd: 0221, 0421)."""
    return mti[3] in "13"


def response_mti(mti: str) -> str:
    """Return the MTI of the answer; ProtocolError when the message takes none.

    >>> response_mti("0200"), response_mti("0220"), response_mti("0421")
    ('0210', '0230', '0430')
    """
    if len(mti) != 4 or not is_request(mti):
        raise ProtocolError(f"MTI {mti}: takes no answer", by="us")
    origin = {"1": "0", "3": "2"}.get(mti[3], mti[3])
    return f"{mti[:2]}{int(mti[2]) + 1}{origin}"


class ProcessingCode(StrEnum):
    """DE3: what is done to which account."""

    PURCHASE = "000000"  # also completion
    PRE_AUTHORISATION = "030000"
    ELECTRONIC_CASH_VOID = "170000"
    REFUND = "200000"  # also void and pre-authorisation void
    BALANCE = "310000"
    CARD_VERIFICATION = "330000"
    TRANSFER = "400000"
    TOP_UP = "630000"


class EntryMode(StrEnum):
    """DE22, first two digits: how the card data came in."""

    UNKNOWN = "00"
    MANUAL = "01"
    STRIPE = "02"
    QR = "03"
    CONTACT = "05"
    CONTACTLESS = "07"
    FALLBACK = "80"
    CONTACTLESS_STRIPE = "91"
    NOT_PRESENT = "92"
    CONTACT_UNRELIABLE = "95"
    MOBILE_LEGACY = "96"
    CONTACTLESS_UNRELIABLE = "98"

    @property
    def chip(self) -> bool:
        """The data is a chip's, so DE55 is expected."""
        return self in (self.CONTACT, self.CONTACTLESS, self.CONTACT_UNRELIABLE, self.CONTACTLESS_UNRELIABLE)

    @property
    def inserted(self) -> bool:
        """The card was in the reader, as no phone can be."""
        return self in (self.CONTACT, self.CONTACT_UNRELIABLE)

    @property
    def swiped(self) -> bool:
        """The data is a stripe's, drawn through the reader."""
        return self in (self.STRIPE, self.FALLBACK)


# fmt: off
# DE22 is the mode and one digit for the PIN: 1 entered, 2 not, 0 unknown. A fallback swipe is sent as 02 with DE60.5 = 2;
# 80 is accepted from others. 80 and 98 are from memory.
ENTRY_MODES = {
    EntryMode.UNKNOWN:                ("unknown",                                "未知"),
    EntryMode.MANUAL:                 ("keyed in",                               "手工输入"),
    EntryMode.STRIPE:                 ("magnetic stripe",                        "磁条"),
    EntryMode.QR:                     ("QR or bar code",                         "条码"),
    EntryMode.CONTACT:                ("contact chip",                           "接触式IC卡"),
    EntryMode.CONTACTLESS:            ("contactless chip (QuickPass)",           "非接触式IC卡（闪付）"),
    EntryMode.FALLBACK:               ("stripe after the chip failed",           "降级磁条"),
    EntryMode.CONTACTLESS_STRIPE:     ("contactless, stripe data",               "非接触磁条"),
    EntryMode.NOT_PRESENT:            ("card not present",                       "无卡"),
    EntryMode.CONTACT_UNRELIABLE:     ("contact chip, data may be unreliable",   "接触式IC卡，数据不可靠"),
    EntryMode.MOBILE_LEGACY:          ("mobile chip, older schemes",             "移动支付（旧）"),
    EntryMode.CONTACTLESS_UNRELIABLE: ("contactless chip, data may be unreliable", "非接触式IC卡，数据不可靠"),
}
# fmt: on


class ChipCondition(StrEnum):
    """DE60.5 of the terminal dialect, 60.4 of the interbank one: what became of the chip before this reading."""

    NORMAL = "0"  # no chip, or nothing odd about it
    LAST_READ_GOOD = "1"  # from memory
    FALLBACK = "2"  # the stripe is read because the chip could not be


# fmt: off
CHIP_CONDITIONS = {
    ChipCondition.NORMAL:         ("chip normal",                    "芯片正常"),
    ChipCondition.LAST_READ_GOOD: ("last chip read was good",        "上次读芯片成功"),
    ChipCondition.FALLBACK:       ("fallback: chip cannot be read",  "降级：芯片无法读取"),
}
# fmt: on


class ConditionCode(StrEnum):
    """DE25: under what condition."""

    NORMAL = "00"
    SELF_SERVICE = "02"
    PRE_AUTHORISATION = "06"
    MAIL_OR_TELEPHONE = "08"
    MAIL_PRE_AUTHORISATION = "18"
    PRE_AUTHORISATION_INCREMENT = "60"
    INSTALMENT = "64"
    POINTS = "65"
    STRIPE_TOP_UP = "66"
    RESERVATION = "67"
    PHONE = "82"
    CASH_LOAD = "91"


class MessageType(StrEnum):
    """DE60.1 of the terminal dialect."""

    MANAGEMENT = "00"
    BALANCE = "01"
    POINTS_BALANCE = "03"
    PRE_AUTHORISATION = "10"
    PRE_AUTHORISATION_VOID = "11"
    COMPLETION = "20"
    COMPLETION_VOID = "21"
    PURCHASE = "22"
    VOID = "23"
    COMPLETION_ADVICE = "24"
    REFUND = "25"
    CASH_REFUND = "27"
    OFFLINE_SETTLE = "30"
    ADJUST = "32"
    TIP_ADJUST = "34"
    CHIP_OFFLINE = "36"
    WALLET_LOAD = "40"
    CASH_LOAD = "45"
    CASH_LOAD_BY_CASH = "46"
    CASH_LOAD_OTHER_ACCOUNT = "47"
    STRIPE_TOP_UP = "48"
    STRIPE_TOP_UP_CONFIRM = "49"
    CASH_LOAD_VOID = "51"
    RESERVATION = "53"
    RESERVATION_VOID = "54"


class ManagementCode(StrEnum):
    """DE60.3 of the terminal dialect."""

    TRANSACTION = "000"
    SIGN_IN_DES = "001"
    SIGN_OFF = "002"
    SIGN_IN_3DES = "003"
    SIGN_IN_3DES_TRACK = "004"
    BATCH = "201"
    BATCH_END_UNBALANCED = "202"
    CHIP_ONLINE_RECORD = "203"
    CHIP_FAILED_RECORD = "204"
    CHIP_ONLINE_RECORD_UNBALANCED = "205"
    CHIP_FAILED_RECORD_UNBALANCED = "206"
    BATCH_END_BALANCED = "207"
    ECHO = "301"
    PARAMETERS = "360"
    STATUS = "362"
    SOFTWARE = "364"  # from memory
    CA_KEY = "370"
    CA_KEY_END = "371"
    CA_KEY_QUERY = "372"
    CHIP_PARAMETERS = "380"
    CHIP_PARAMETERS_END = "381"
    CHIP_PARAMETERS_QUERY = "382"
    BLACK_LIST = "390"
    BLACK_LIST_END = "391"
    POINTS_SIGN_IN = "401"
    SCRIPT_RESULT = "951"


# What is downloaded stands open in DE62, where sign-ins have keys.
DOWNLOADS = frozenset({
    ManagementCode.CA_KEY, ManagementCode.CA_KEY_END, ManagementCode.CA_KEY_QUERY, ManagementCode.CHIP_PARAMETERS,
    ManagementCode.CHIP_PARAMETERS_END, ManagementCode.CHIP_PARAMETERS_QUERY,
})  # fmt: skip


class NetworkCode(StrEnum):
    """DE70 of the interbank dialect (201, 202 and 301 from memory)."""

    SIGN_ON = "001"
    SIGN_OFF = "002"
    KEY_RESET = "101"
    CUT_OFF_START = "201"
    CUT_OFF_END = "202"
    LINE_TEST = "301"


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a terminal message: the fields that tell it, whether it can be reversed, whether it carries a MAC."""

    name: str
    mti: str
    processing: str
    condition: str
    message_type: str
    management: str
    reversible: bool = False
    mac: bool = True


# fmt: off
#       name                        MTI     DE3       DE25  60.1  60.3   reversible  MAC
USES = (
    Use("balance",                  "0200", "310000", "00", "01", ""),
    Use("batch upload",             "0320", "",       "",   "00", "",    False, False),
    Use("CA key",                   "0800", "",       "",   "00", "370", False, False),
    Use("CA keys end",              "0800", "",       "",   "00", "371", False, False),
    Use("CA keys list",             "0820", "",       "",   "00", "372", False, False),
    Use("chip offline",             "0200", "000000", "00", "36", ""),                      # or 0320, accepted below
    Use("chip offline 0320",        "0320", "000000", "00", "36", ""),
    Use("chip parameters",          "0800", "",       "",   "00", "380", False, False),
    Use("chip parameters end",      "0800", "",       "",   "00", "381", False, False),
    Use("chip parameters list",     "0820", "",       "",   "00", "382", False, False),
    Use("completion",               "0200", "000000", "06", "20", "",    True),
    Use("completion advice",        "0220", "000000", "06", "24", ""),
    Use("completion void",          "0200", "200000", "06", "21", "",    True),
    Use("echo",                     "0820", "",       "",   "00", "301", False, False),
    Use("offline adjust",           "0220", "000000", "00", "32", ""),
    Use("offline settle",           "0220", "000000", "00", "30", ""),
    Use("offline tip",              "0220", "000000", "00", "34", ""),
    Use("pre-authorisation",        "0100", "030000", "06", "10", "",    True),
    Use("pre-authorisation increment", "0100", "030000", "60", "10", "", True),
    Use("pre-authorisation void",   "0100", "200000", "06", "11", "",    True),
    Use("purchase",                 "0200", "000000", "00", "22", "",    True),
    Use("refund",                   "0220", "200000", "00", "25", ""),
    Use("script result",            "0620", "",       "",   "00", "951"),
    Use("settlement",               "0500", "",       "",   "00", "201", False, False),
    Use("sign-in",                  "0800", "",       "",   "00", "001", False, False),
    Use("sign-in 3DES",             "0800", "",       "",   "00", "003", False, False),
    Use("sign-in 3DES with track key", "0800", "",    "",   "00", "004", False, False),
    Use("sign-off",                 "0820", "",       "",   "00", "002", False, False),
    Use("void",                     "0200", "200000", "00", "23", "",    True),
)
# fmt: on
_BY_TYPE: dict[tuple[str, str], tuple[Use, ...]] = {}
for _use in USES:
    _BY_TYPE[_use.mti, _use.message_type] = (*_BY_TYPE.get((_use.mti, _use.message_type), ()), _use)


def use_of(message: Message, mti: str | None = None) -> Use | None:
    """Return the row that a terminal's message matches, or None; `mti` looks as if that were its type.

    A reversal looks up what it reverses with the original's MTI.

    >>> use_of(Message("0200", {3: "200000", 25: "00", 60: "23000024000600"})).name
    'void'
    """
    kind = message.text(60, "")
    processing, condition = message.text(3, ""), message.text(25, "")
    for use in _BY_TYPE.get((mti or message.mti, kind[:2]), ()):
        told = (use.processing in ("", processing), use.condition in ("", condition), use.management in ("", kind[8:11]))
        if all(told):
            return use
    return None


def answer_needs_mac(request: Message, code: str) -> bool:
    """Whether the answer carries a MAC: when the request did and DE39 is 00 (unverified which answers really do)."""
    return code == "00" and (64 in request or 128 in request)
