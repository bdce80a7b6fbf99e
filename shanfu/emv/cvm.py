"""Cardholder verification: the card's list of methods (8E) and what the terminal reports about it (9F34).

In contact the list is worked through rule by rule; in qPBOC the card asks by its CTQ and the kernel reports one of
`CVM_RESULTS`.

Called by terminals, cards at personalisation, issuers and the doors.
Sources: EMV Book 3 10.5 and C3, EMV Book 4 A4, JR/T 0025.5 (method 20).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from shanfu.emv.bits import Language
from shanfu.errors import DecodeError, Fault

__all__ = ["CVM", "CVM_CONDITIONS", "CVM_METHODS", "CVM_RESULTS", "CVMList", "CVMResults", "CVMRule", "explain_cvm_results"]


class CVM(Enum):
    """How a contactless cardholder was, or is to be, verified."""

    NONE = "none"
    ONLINE_PIN = "online PIN"
    SIGNATURE = "signature"
    CDCVM = "verified on the consumer's device"


# 9F34 in qPBOC differs in the field; 010002 for CDCVM is by analogy with another kernel. Unverified: this table is the place.
CVM_RESULTS: Final[Mapping[CVM, bytes]] = MappingProxyType({
    CVM.NONE:       bytes.fromhex("3F0000"),
    CVM.ONLINE_PIN: bytes.fromhex("020300"),
    CVM.SIGNATURE:  bytes.fromhex("1E0300"),
    CVM.CDCVM:      bytes.fromhex("010002"),
})  # fmt: skip

CVM_METHODS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType({
    0x00: ("fail verification", "CVM失败处理"),                             # EMV B3 C3
    0x01: ("plain PIN verified by the card", "卡片执行明文PIN核对"),        # EMV B3 C3
    0x02: ("enciphered PIN verified online", "联机加密PIN验证"),            # EMV B3 C3
    0x03: ("plain PIN by the card and signature", "卡片明文PIN核对并签名"), # EMV B3 C3
    0x04: ("enciphered PIN verified by the card", "卡片密文PIN核对"),       # EMV B3 C3
    0x05: ("enciphered PIN by the card and signature", "卡片密文PIN核对并签名"),  # EMV B3 C3
    0x1E: ("signature", "签名"),                                            # EMV B3 C3
    0x1F: ("no verification required", "无需CVM"),                          # EMV B3 C3
    0x20: ("identity document shown", "持卡人证件出示"),                    # JR/T 0025.5
    0x3F: ("no verification performed", "未执行CVM"),                       # EMV B4 A4
})  # fmt: skip

CVM_CONDITIONS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType({
    0x00: ("always", "总是"),
    0x01: ("unattended cash", "ATM现金交易"),
    0x02: ("neither cash nor cashback", "不是现金或返现交易"),
    0x03: ("terminal supports the method", "终端支持这个CVM"),
    0x04: ("manual cash", "人工值守现金交易"),
    0x05: ("purchase with cashback", "返现交易"),
    0x06: ("application currency and under X", "交易货币为应用货币且小于X"),
    0x07: ("application currency and over X", "交易货币为应用货币且大于X"),
    0x08: ("application currency and under Y", "交易货币为应用货币且小于Y"),
    0x09: ("application currency and over Y", "交易货币为应用货币且大于Y"),
})  # EMV B3 C3  # fmt: skip

_OUTCOMES: Final = {0: ("unknown", "未知"), 1: ("failed", "失败"), 2: ("successful", "成功")}  # EMV B4 A4


@dataclass(frozen=True, slots=True)
class CVMRule:
    """One rule: the code byte (method and b7 "go on if it fails") and the condition byte (EMV B3 C3)."""

    code: int
    condition: int

    @property
    def method(self) -> int:
        """The method without its b7."""
        return self.code & 0x3F

    @property
    def next_if_fails(self) -> bool:
        """Whether the next rule is tried when this method fails: b7."""
        return bool(self.code & 0x40)

    def __bytes__(self) -> bytes:
        return bytes((self.code, self.condition))

    def explain(self, lang: Language = "en") -> str:
        """Say the rule in words."""
        method, condition = _word(CVM_METHODS, self.method, lang), _word(CVM_CONDITIONS, self.condition, lang)
        if lang == "zh":
            return f"{condition}：{method}，失败则{'应用后续规则' if self.next_if_fails else 'CVM失败'}"
        return f"{condition}: {method}; if it fails, {'next rule' if self.next_if_fails else 'verification fails'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CVMList:
    """Tag 8E: the amounts X and Y in minor units of the application currency, and the rules in order."""

    x: int = 0
    y: int = 0
    rules: tuple[CVMRule, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> "CVMList":
        """Read tag 8E; raise DecodeError on an impossible length (EMV B3 10.5).

        >>> [rule.method for rule in CVMList.parse(bytes.fromhex("000000000000000042031E031F00")).rules]
        [2, 30, 31]
        """
        if len(data) < 10 or len(data) % 2 or len(data) > 252:
            what = f"{len(data)} bytes, must be even and 10 to 252"
            raise DecodeError(what, fault=Fault.LENGTH, path="8E", spec="EMV B3 10.5")
        rules = tuple(CVMRule(data[at], data[at + 1]) for at in range(8, len(data), 2))
        return cls(x=int.from_bytes(data[:4]), y=int.from_bytes(data[4:8]), rules=rules)

    def __bytes__(self) -> bytes:
        return self.x.to_bytes(4) + self.y.to_bytes(4) + b"".join(map(bytes, self.rules))


@dataclass(frozen=True, slots=True, kw_only=True)
class CVMResults:
    """Tag 9F34: the last method tried, its condition, how it ended (0 unknown, 1 failed, 2 successful)."""

    code: int
    condition: int
    result: int

    @classmethod
    def parse(cls, data: bytes) -> "CVMResults":
        """Read the three bytes; raise DecodeError on another length (EMV B4 A4)."""
        if len(data) != 3:
            raise DecodeError(f"{len(data)} bytes, must be 3", fault=Fault.LENGTH, path="9F34", spec="EMV B4 A4")
        return cls(code=data[0], condition=data[1], result=data[2])

    def __bytes__(self) -> bytes:
        return bytes((self.code, self.condition, self.result))


def explain_cvm_results(data: bytes, lang: Language = "en") -> str:
    """Say 9F34 in words.

    >>> explain_cvm_results(bytes.fromhex("020300"))
    'enciphered PIN verified online; terminal supports the method; unknown'
    """
    found = CVMResults.parse(data)
    method = _word(CVM_METHODS, found.code & 0x3F, lang)
    separator = "；" if lang == "zh" else "; "
    return separator.join((method, _word(CVM_CONDITIONS, found.condition, lang), _word(_OUTCOMES, found.result, lang)))


def _word(table: Mapping[int, tuple[str, str]], code: int, lang: Language) -> str:
    en, zh = table.get(code, (f"code {code:02X}, not defined", f"代码{code:02X}未定义"))
    return zh if lang == "zh" else en
