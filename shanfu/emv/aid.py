"""Application identifiers: who registered an application, which UnionPay product it is, which kernel runs it.

Called by terminals (candidate list, kernel choice), by personalisation and the doors.
Sources: ISO/IEC 7816-5, UnionPay's published AIDs, EMV CL Book B table 3-6 (default kernels by RID).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["AIDS", "KERNEL_7", "PPSE", "PSE", "UNIONPAY_RID", "default_kernel", "matches", "product"]

PPSE: Final = b"2PAY.SYS.DDF01"  # EMV CL B 3.3.2
PSE: Final = b"1PAY.SYS.DDF01"  # EMV B1 12.2.2
UNIONPAY_RID: Final = bytes.fromhex("A000000333")
KERNEL_7: Final = 7

AIDS: Final[Mapping[bytes, tuple[str, str]]] = MappingProxyType({
    bytes.fromhex("A000000333010101"): ("UnionPay debit", "银联借记"),
    bytes.fromhex("A000000333010102"): ("UnionPay credit", "银联贷记"),
    bytes.fromhex("A000000333010103"): ("UnionPay quasi-credit", "银联准贷记"),
    bytes.fromhex("A000000333010106"): ("UnionPay electronic cash", "银联电子现金"),
    bytes.fromhex("A000000333010108"): ("UnionPay US common debit", "银联美国通用借记"),
})  # fmt: skip

_KERNELS: Final = {
    bytes.fromhex("A000000003"): 3,
    bytes.fromhex("A000000004"): 2,
    bytes.fromhex("A000000025"): 4,
    bytes.fromhex("A000000065"): 5,
    bytes.fromhex("A000000152"): 6,
    UNIONPAY_RID: KERNEL_7,
}  # EMV CL B table 3-6; the row of UnionPay is from memory


def default_kernel(aid: bytes) -> int | None:
    """Return the kernel that runs an application whose directory entry names none, or None for an unknown RID.

    >>> default_kernel(bytes.fromhex("A000000333010101"))
    7
    """
    return _KERNELS.get(aid[:5])


def product(aid: bytes) -> tuple[str, str] | None:
    """Return the product's name in English and Chinese; an instance's longer AID is found by its beginning."""
    return AIDS.get(aid[:8])


def matches(candidate: bytes, terminal_aid: bytes, *, partial: bool = True) -> bool:
    """Whether a card's application is one the terminal supports; partial: its AID may be longer (EMV B1 12.3.1).

    >>> matches(bytes.fromhex("A000000333010101"), bytes.fromhex("A0000003330101"))
    True
    """
    return candidate.startswith(terminal_aid) if partial else candidate == terminal_aid
