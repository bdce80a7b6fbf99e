"""The bit fields of a PBOC transaction, one table each: TTQ, CTQ, AIP, AUC, ADA, TVR, TSI, CVR and the card's checks.

A terminal states its abilities (TTQ), the card its wishes (CTQ) and abilities (AIP); TVR and TSI tell the issuer what the
terminal saw, CVR what the card saw. Each member is a bit in the standard's coordinates with its words.

Called by card, terminal and issuer, and by the doors to explain. Unverified rows are named in the class that holds them.
Sources: EMV Book 3 Annex C, JR/T 0025.5, JR/T 0025.12.
"""

from enum import KEEP

from shanfu.emv.bits import BitField, Language, bits
from shanfu.emv.cid import CryptogramType
from shanfu.errors import DecodeError

__all__ = ["ADA", "AIP", "AUC", "CTQ", "CVR", "TSI", "TTQ", "TVR", "CardChecks"]

# fmt: off
_ = bits(width=4)


class TTQ(BitField, boundary=KEEP):
    """Terminal transaction qualifiers, 9F66 (JR/T 0025.12). Byte 2 b8 and b7 are set anew for each transaction."""

    MSD                        = _(1, 8, "magnetic-stripe mode supported", "支持磁条模式")
    FULL_PBOC                  = _(1, 7, "full PBOC over contactless supported", "支持非接触式PBOC借贷记")
    QPBOC                      = _(1, 6, "qPBOC supported", "支持qPBOC")
    CONTACT_PBOC               = _(1, 5, "contact PBOC supported", "支持接触式PBOC借贷记")
    OFFLINE_ONLY               = _(1, 4, "terminal is offline only", "终端仅支持脱机")
    ONLINE_PIN                 = _(1, 3, "online PIN supported", "支持联机PIN")
    SIGNATURE                  = _(1, 2, "signature supported", "支持签名")
    ONLINE_CRYPTOGRAM_REQUIRED = _(2, 8, "online cryptogram required", "需要联机密文")
    CVM_REQUIRED               = _(2, 7, "cardholder verification required", "需要持卡人验证")
    ISSUER_UPDATE              = _(3, 8, "issuer update supported", "支持发卡行更新")  # other kernels' reading, RFU in PBOC
    CDCVM                      = _(3, 7, "verification on the device supported", "支持设备端验证")  # the same
    FDDA_01                    = _(4, 8, "fDDA version 01 supported", "支持fDDA版本01")


_ = bits(width=2)


class CTQ(BitField, boundary=KEEP):
    """Card transaction qualifiers, 9F6C. JR/T 0025.12 confirms byte 1 b8, b7, b6, b5; the others follow EMV CL C-3 A."""

    ONLINE_PIN_REQUIRED           = _(1, 8, "online PIN required", "需要联机PIN")
    SIGNATURE_REQUIRED            = _(1, 7, "signature required", "需要签名")
    ONLINE_IF_ODA_FAILS           = _(1, 6, "go online if offline authentication fails", "脱机数据认证失败则联机")
    OTHER_INTERFACE_IF_ODA_FAILS  = _(1, 5, "change interface if offline authentication fails", "脱机数据认证失败则换界面")
    ONLINE_IF_EXPIRED             = _(1, 4, "go online if the application has expired", "应用过期则联机")
    OTHER_INTERFACE_FOR_CASH      = _(1, 3, "change interface for cash", "取现则换界面")
    OTHER_INTERFACE_FOR_CASHBACK  = _(1, 2, "change interface for cashback", "返现则换界面")
    NOT_AT_ATM                    = _(1, 1, "not valid at an ATM", "不可用于ATM")
    CDCVM_PERFORMED               = _(2, 8, "verified on the consumer's device", "已在设备端验证持卡人")
    ISSUER_UPDATE_AT_POS          = _(2, 7, "issuer update at the POS supported", "支持在POS上更新")


class AIP(BitField, boundary=KEEP):
    """Application interchange profile, 82 (EMV B3 C1; byte 2 b8 JR/T 0025.12)."""

    SDA                   = _(1, 7, "static data authentication supported", "支持SDA")
    DDA                   = _(1, 6, "dynamic data authentication supported", "支持DDA")
    CARDHOLDER_VERIFICATION = _(1, 5, "cardholder verification supported", "支持持卡人验证")
    TERMINAL_RISK         = _(1, 4, "terminal risk management to be performed", "执行终端风险管理")
    ISSUER_AUTHENTICATION = _(1, 3, "issuer authentication by EXTERNAL AUTHENTICATE", "支持外部认证发卡行")
    CDCVM                 = _(1, 2, "verification on the device supported", "支持设备端验证")  # RFU in PBOC
    CDA                   = _(1, 1, "combined data authentication supported", "支持CDA")
    FULL_PBOC             = _(2, 8, "full PBOC over contactless preferred", "优先非接触式PBOC借贷记")


class AUC(BitField, boundary=KEEP):
    """Application usage control, 9F07 (EMV B3 C2). AUC_BITS: JR/T sets b6 = b4 and b5 = b3, unverified."""

    DOMESTIC_CASH          = _(1, 8, "domestic cash", "国内现金交易有效")
    INTERNATIONAL_CASH     = _(1, 7, "international cash", "国际现金交易有效")
    DOMESTIC_GOODS         = _(1, 6, "domestic goods", "国内商品有效")
    INTERNATIONAL_GOODS    = _(1, 5, "international goods", "国际商品有效")
    DOMESTIC_SERVICES      = _(1, 4, "domestic services", "国内服务有效")
    INTERNATIONAL_SERVICES = _(1, 3, "international services", "国际服务有效")
    ATM                    = _(1, 2, "at ATMs", "ATM有效")
    NOT_ATM                = _(1, 1, "at terminals other than ATMs", "除ATM外的终端有效")
    DOMESTIC_CASHBACK      = _(2, 8, "domestic cashback", "允许国内返现")
    INTERNATIONAL_CASHBACK = _(2, 7, "international cashback", "允许国际返现")


class ADA(BitField, boundary=KEEP):
    """Application default action, 9F52: the first two bytes, which cards have; bits as in VIS, unverified for JR/T 0025.5."""

    ISSUER_AUTH_FAILED_ONLINE_NEXT = _(1, 8, "issuer authentication failed: next one online", "发卡行认证失败，下次联机")
    ISSUER_AUTH_FAILED_DECLINE     = _(1, 7, "issuer authentication failed: decline", "发卡行认证失败，拒绝")
    NO_ISSUER_AUTH_DECLINE         = _(1, 6, "issuer authentication demanded, absent: decline", "未执行强制的发卡行认证，拒绝")
    NEW_CARD_ONLINE                = _(1, 2, "new card: online", "新卡，联机")
    NEW_CARD_DECLINE_OFFLINE       = _(1, 1, "new card and unable to go online: decline", "新卡且无法联机，拒绝")
    PIN_LOCKED_BLOCK               = _(2, 8, "PIN tries exceeded now: block the application", "本次PIN尝试超限，应用锁定")
    PIN_LOCKED_DECLINE             = _(2, 7, "PIN tries exceeded before: decline", "前次PIN尝试超限，拒绝")
    PIN_LOCKED_ONLINE              = _(2, 6, "PIN tries exceeded before: online", "前次PIN尝试超限，联机")
    PIN_LOCKED_DECLINE_OFFLINE     = _(2, 5, "PIN tries exceeded before, offline: decline", "前次PIN超限且无法联机，拒绝")
    SCRIPT_FAILED_ONLINE           = _(2, 4, "issuer script failed before: online", "前次脚本失败，联机")


class TSI(BitField, boundary=KEEP):
    """Transaction status information, 9B: which steps the terminal performed (EMV B3 C6)."""

    ODA_PERFORMED             = _(1, 8, "offline data authentication performed", "已进行脱机数据认证")
    CVM_PERFORMED             = _(1, 7, "cardholder verification performed", "已进行持卡人验证")
    CARD_RISK_PERFORMED       = _(1, 6, "card risk management performed", "已进行卡片风险管理")
    ISSUER_AUTH_PERFORMED     = _(1, 5, "issuer authentication performed", "已进行发卡行认证")
    TERMINAL_RISK_PERFORMED   = _(1, 4, "terminal risk management performed", "已进行终端风险管理")
    SCRIPT_PERFORMED          = _(1, 3, "issuer script processing performed", "已进行发卡行脚本处理")


_ = bits(width=5)


class TVR(BitField, boundary=KEEP):
    """Terminal verification results, 95: what the terminal found wrong or worth telling (EMV B3 C5)."""

    ODA_NOT_PERFORMED          = _(1, 8, "offline data authentication was not performed", "未进行脱机数据认证")
    SDA_FAILED                 = _(1, 7, "SDA failed", "脱机静态数据认证失败")
    ICC_DATA_MISSING           = _(1, 6, "card data missing", "IC卡数据缺失")
    ON_EXCEPTION_FILE          = _(1, 5, "card is on the exception file", "卡片出现在终端异常文件中")
    DDA_FAILED                 = _(1, 4, "DDA failed", "脱机动态数据认证失败")
    CDA_FAILED                 = _(1, 3, "CDA failed", "复合动态数据认证失败")
    VERSIONS_DIFFER            = _(2, 8, "card and terminal have different application versions", "IC卡和终端应用版本不一致")
    EXPIRED                    = _(2, 7, "application has expired", "应用已过期")
    NOT_YET_EFFECTIVE          = _(2, 6, "application is not yet effective", "应用尚未生效")
    SERVICE_NOT_ALLOWED        = _(2, 5, "service not allowed for the card product", "卡片不允许所请求的服务")
    NEW_CARD                   = _(2, 4, "new card", "新卡")
    CVM_FAILED                 = _(3, 8, "cardholder verification was not successful", "持卡人验证失败")
    UNKNOWN_CVM                = _(3, 7, "unknown verification method", "未知的CVM")
    PIN_TRIES_EXCEEDED         = _(3, 6, "PIN try limit exceeded", "PIN重试次数超限")
    PIN_PAD_MISSING            = _(3, 5, "PIN required, PIN pad absent or broken", "要求PIN，密码键盘不存在或有故障")
    PIN_NOT_ENTERED            = _(3, 4, "PIN required, PIN pad present, PIN not entered", "要求PIN，密码键盘正常，但未输入")
    ONLINE_PIN_ENTERED         = _(3, 3, "online PIN entered", "输入联机PIN")
    FLOOR_LIMIT_EXCEEDED       = _(4, 8, "floor limit exceeded", "交易超过最低限额")
    LOWER_CONSECUTIVE_EXCEEDED = _(4, 7, "lower consecutive offline limit exceeded", "超过连续脱机交易下限")
    UPPER_CONSECUTIVE_EXCEEDED = _(4, 6, "upper consecutive offline limit exceeded", "超过连续脱机交易上限")
    RANDOMLY_ONLINE            = _(4, 5, "randomly selected for online processing", "交易被随机选择联机处理")
    MERCHANT_FORCED_ONLINE     = _(4, 4, "merchant forced the transaction online", "商户要求联机交易")
    DEFAULT_TDOL_USED          = _(5, 8, "default TDOL used", "使用缺省TDOL")
    ISSUER_AUTH_FAILED         = _(5, 7, "issuer authentication failed", "发卡行认证失败")
    SCRIPT_FAILED_BEFORE       = _(5, 6, "script failed before the last GENERATE AC", "最后一次生成密文之前脚本处理失败")
    SCRIPT_FAILED_AFTER        = _(5, 5, "script failed after the last GENERATE AC", "最后一次生成密文之后脚本处理失败")


_ = bits(width=4)


class CardChecks(BitField, boundary=KEEP):
    """Card additional processes, 9F68. Byte 2 b7 JR/T 0025.12; byte 1 by analogy with EMV CL C-3, unverified."""

    LOW_VALUE                 = _(1, 8, "low-value check supported", "支持小额检查")
    LOW_VALUE_AND_CUMULATIVE  = _(1, 7, "low-value and cumulative check supported", "支持小额和累计检查")
    COUNT_ONLINE              = _(1, 6, "online transactions are counted", "联机交易计数")
    STREAMLINED               = _(1, 5, "streamlined offline processing", "支持小额扩展")
    PIN_TRIES                 = _(1, 4, "PIN tries checked", "检查PIN尝试次数")
    OFFLINE_INTERNATIONAL     = _(1, 3, "offline international transactions allowed", "允许国际脱机交易")
    PREFER_CONTACT            = _(1, 2, "contact preferred", "优先接触界面")
    RETURN_OFFLINE_AMOUNT     = _(1, 1, "available offline amount returned", "返回可用脱机金额")
    REFUSE_CURRENCY_MISMATCH  = _(2, 7, "currency mismatch not allowed", "不允许货币不匹配的交易")


class CVR(BitField, boundary=KEEP):
    """Card verification results, bytes 4 to 7 of 9F10: the length 03, then what the card decided and saw (JR/T 0025.5)."""

    ISSUER_AUTH_FAILED                = _(2, 4, "issuer authentication failed", "发卡行认证失败")
    OFFLINE_PIN_DONE                  = _(2, 3, "offline PIN verified by the card", "已进行脱机PIN验证")
    OFFLINE_PIN_FAILED                = _(2, 2, "offline PIN verification failed", "脱机PIN验证失败")
    UNABLE_TO_GO_ONLINE               = _(2, 1, "unable to go online", "无法联机")
    LAST_ONLINE_NOT_COMPLETED         = _(3, 8, "last online transaction not completed", "上次联机交易未完成")
    PIN_LOCKED                        = _(3, 7, "PIN try limit exceeded", "PIN锁定")
    VELOCITY_EXCEEDED                 = _(3, 6, "velocity limits exceeded", "超过频度检查")
    NEW_CARD                          = _(3, 5, "new card", "新卡")
    LAST_ONLINE_ISSUER_AUTH_FAILED    = _(3, 4, "issuer authentication failed last time online", "上次联机交易发卡行认证失败")
    ISSUER_AUTH_NOT_DONE_AFTER_ONLINE = _(3, 3, "issuer authentication not done after online", "联机授权后发卡行认证未执行")
    APP_BLOCKED_BY_PIN                = _(3, 2, "application blocked because PIN tries were exceeded", "PIN尝试超限应用锁定")
    LAST_SDA_FAILED                   = _(3, 1, "SDA failed in the last transaction", "上次交易SDA失败")
    LAST_SCRIPT_FAILED                = _(4, 4, "last issuer script failed", "上次发卡行脚本失败")
    LAST_DDA_FAILED                   = _(4, 3, "DDA failed in the last transaction", "上次交易DDA失败")
# fmt: on

    @classmethod
    def parse(cls, raw: bytes) -> "CVR":
        """Read the four bytes; raise DecodeError if the first is not the length 03 (JR/T 0025.5).

        >>> cvr = CVR.parse(bytes.fromhex("03A0A802"))
        >>> cvr.first_gac.name, cvr.second_gac, CVR.VELOCITY_EXCEEDED in cvr, cvr.script_count
        ('ARQC', None, True, 0)
        """
        found = super().parse(raw)
        if raw[0] != 3:
            raise DecodeError(f"length {raw[0]}, must be 3", path="CVR", spec="JR/T 0025.5")
        return found

    @classmethod
    def of(
        cls, first: CryptogramType, second: CryptogramType | None = None, *, flags: "CVR | int" = 0, scripts: int = 0
    ) -> "CVR":
        """Build what a card reports: its decisions (second None: not requested), flags, number of scripts (at most 15).

        >>> bytes(CVR.of(CryptogramType.ARQC)).hex()
        '03a00000'
        """
        decisions = (0b10 if second is None else second >> 6) << 22 | (first >> 6) << 20
        return cls.parse((0x03000000 | decisions | int(flags) | min(scripts, 15) << 4).to_bytes(4))

    @property
    def first_gac(self) -> CryptogramType:
        """What the card answered first: byte 2 b6-b5."""
        return CryptogramType.of_cvr(bytes(self))

    @property
    def second_gac(self) -> CryptogramType | None:
        """What the card answered to the second GENERATE AC: byte 2 b8-b7; None for not requested (10) and for RFU (11)."""
        return {0: CryptogramType.AAC, 1: CryptogramType.TC}.get(int(self) >> 22 & 3)

    @property
    def second_gac_requested(self) -> bool:
        """Whether byte 2 b8-b7 speak of a second GENERATE AC at all (10: not requested)."""
        return int(self) >> 22 & 3 != 2

    @property
    def script_count(self) -> int:
        """How many script commands the card processed: byte 4 b8-b5."""
        return int(self) >> 4 & 0xF

    def _told(self, place: int) -> bool:
        in_numbers = place >= 20 or 4 <= place <= 7  # length, both decisions, script count: said in words of their own
        return super()._told(place) and not in_numbers

    def explain(self, lang: Language = "en") -> list[str]:
        """Say both decisions, each set bit, and the number of scripts."""
        second = ("AAC", "TC", "not requested", "RFU")[int(self) >> 22 & 3]
        first, count = self.first_gac.name, self.script_count
        if lang == "zh":
            second = second.replace("not requested", "未请求")
            said = [f"字节2位8-7：第二次生成密文：{second}", f"字节2位6-5：第一次生成密文：{first}", *super().explain(lang)]
            return [*said, f"字节4位8-5：已执行{count}条脚本命令"] if count else said
        said = [f"byte 2 bits 8-7: second GENERATE AC: {second}", f"byte 2 bits 6-5: first GENERATE AC: {first}"]
        said += super().explain(lang)
        return [*said, f"byte 4 bits 8-5: {count} script commands processed"] if count else said
