"""Why a request for a token came out as it did: every mark has a name, a colour, and words for people.

The names travel to the wallet and into the enrolment's row. Reasons of payments are in `checks`.
"""

from enum import unique

from shanfu.messages import Colour, ColouredMark

__all__ = ["Mark"]


@unique
class Mark(ColouredMark):
    """What the token service has against a request."""

    # fmt: off
    CARD_NOT_ACTIVE     = Colour.RED,    "the card is reported lost, stolen or closed", "卡片已挂失或销户"
    CLONE_SUSPECTED     = Colour.ORANGE, "keys of this device may have been copied", "设备密钥疑似被复制"
    DEVICE_CARDS        = Colour.RED,    "too many cards on this device in a day", "该设备当日绑卡过多"
    DEVICE_GUESSING     = Colour.RED,    "verification of many cards failed on this device", "该设备多张卡验证失败"
    DEVICE_NOT_ATTESTED = Colour.YELLOW, "nobody vouches for the device's keys", "设备未经证明"
    DEVICE_REPORTED     = Colour.YELLOW, "tokens on this device were suspended as lost", "该设备曾报失"
    IDV_FAILED_BEFORE   = Colour.ORANGE, "verification of this card failed before, today", "该卡当日验证曾失败"
    IDV_GUESSING        = Colour.RED,    "verification of this card failed too often, today", "该卡当日验证失败过多"
    NO_CHANNEL          = Colour.RED,    "no way to verify the holder is open", "无可用验证方式"
    NO_TOKEN_RANGE      = Colour.RED,    "the card's BIN has no token range", "该卡BIN无标记号段"
    RE_ADDED_HALF_YEAR  = Colour.RED,    "added and deleted too often in half a year", "半年内重复绑卡过多"
    RE_ADDED_MONTH      = Colour.RED,    "added and deleted too often in thirty days", "三十天内重复绑卡过多"
    REQUESTOR_BLOCKED   = Colour.RED,    "the requestor is not in use", "标记请求方已停用"
    STORAGE_NOT_ALLOWED = Colour.RED,    "the requestor may not store tokens there", "存储方式不允许"
    TERMS_NOT_ACCEPTED  = Colour.RED,    "the terms were not accepted", "未接受条款"
    TOO_MANY_DEVICES    = Colour.RED,    "the card is on too many devices", "该卡绑定设备过多"
    # fmt: on
