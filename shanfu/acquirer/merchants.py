"""Merchants: whom the acquirer pays, in which currency, and what they may do.

The merchant number is DE42 (acquirer 3, area 4, category 4, serial 4); name and category travel to the issuer in DE43 and DE18.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from shanfu.acquirer.tables import METADATA
from shanfu.store import Shelf, book_of

__all__ = ["ALL_KINDS", "BY_MERCHANT", "MERCHANTS", "Merchant", "name_field"]

BY_MERCHANT: Final = ("bucket", "merchant")
ALL_KINDS: Final = "BALANCE PURCHASE REFUND VOID"
NAME_BYTES: Final = 40  # DE43, ISO 8583:1987


@dataclass(slots=True)
class Merchant:
    """One merchant; `permits` lists the kinds of transactions it may do, `pin_free` says whether small ones need no PIN."""

    bucket: int
    merchant: str
    name: str
    name_zh: str
    mcc: str
    currency: str  # ISO 4217, numeric
    pin_free: int
    permits: str
    open: int
    since_ms: int


@lru_cache(maxsize=4096)
def name_field(name: str) -> str:
    """Return DE43: the name cut and filled to 40 bytes of GBK, no character halved.

    >>> name_field("万福茶楼") == "万福茶楼" + " " * 32, len(name_field("Ten Thousand Blessings Teahouse"))
    (True, 40)
    """
    raw = name.encode("gbk", "replace")[:NAME_BYTES]
    whole = raw.decode("gbk", "ignore")
    return whole + " " * (NAME_BYTES - len(whole.encode("gbk")))


MERCHANTS: Final = Shelf(
    book_of("merchants", METADATA, Merchant, "merchant"),
    Merchant,
    kept=True,
)
