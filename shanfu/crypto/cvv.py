"""Card verification values: the three digits that show a card's data was issued by the bank.

One algorithm serves CVV (stripe), CVV2 (printed), iCVV (chip) and, as far as is publicly known, UnionPay's CVN and CVN2.
What differs is the service code and the order of the expiry date: `VARIANTS`. Who calls: the HSM.
Sources: Visa PTSM (CVV), ISO/IEC 7813 (service code).
"""

from dataclasses import dataclass

from shanfu.crypto.cipher import Algorithm, Cipher, xor
from shanfu.crypto.pvv import decimalise
from shanfu.errors import DecodeError, KeyUseError

__all__ = ["VARIANTS", "CvvVariant", "card_code", "cvv", "dcvv"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CvvVariant:
    """What a card code is made over: a fixed service code (or the track's own, None) and the order of the expiry."""

    service_code: str | None
    expiry_order: str


# fmt: off
VARIANTS = {
    "cvn":  CvvVariant(service_code=None,  expiry_order="YYMM"),   # UnionPay stripe: taken as CVV (unverified)
    "cvn2": CvvVariant(service_code="000", expiry_order="MMYY"),   # UnionPay printed: the order varies (unverified)
    "cvv":  CvvVariant(service_code=None,  expiry_order="YYMM"),   # Visa PTSM
    "cvv2": CvvVariant(service_code="000", expiry_order="MMYY"),   # Visa PTSM
    "icvv": CvvVariant(service_code="999", expiry_order="YYMM"),   # Visa PTSM
}
# fmt: on


def card_code(variant: str, cvk: bytes, *, pan: str, expiry_yymm: str, service_code: str) -> str:
    """Return the 3-digit code of a kind of `VARIANTS`, from the expiry date and service code as the track has them.

    >>> key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    >>> card_code("cvn", key, pan="4123456789012345", expiry_yymm="8701", service_code="101")
    '561'
    """
    row = VARIANTS[variant]
    expiry = expiry_yymm if row.expiry_order == "YYMM" else expiry_yymm[2:] + expiry_yymm[:2]
    return cvv(cvk, pan=pan, expiry=expiry, service_code=row.service_code or service_code)


def cvv(cvk: bytes, *, pan: str, expiry: str, service_code: str) -> str:
    """Return the 3-digit code; `expiry` is 4 digits in the order to be hashed, `cvk` is KA‖KB, 16 bytes.

    >>> cvv(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"), pan="4123456789012345", expiry="8701", service_code="101")
    '561'
    """
    data = pan + expiry + service_code
    if not (data.isascii() and data.isdecimal() and 12 <= len(pan) <= 19 and len(expiry) == 4 and len(service_code) == 3):
        raise DecodeError("PAN of 12-19, expiry of 4 and service code of 3 digits are needed", path="CVV", spec="Visa PTSM")
    if len(cvk) != 16:
        raise KeyUseError(f"card verification key: {len(cvk)} bytes, KA and KB have 16 (Visa PTSM)")
    blocks = bytes.fromhex(data.ljust(32, "0"))
    first = Cipher(Algorithm.TDES, cvk[:8]).encrypt(blocks[:8])
    return decimalise(Cipher(Algorithm.TDES, cvk).encrypt(xor(first, blocks[8:])), 3)


def dcvv(udk: bytes, *, pan: str, expiry: str, service_code: str, atc: int) -> str:
    """Return the dynamic code of a contactless stripe: under the card key, ATC in the 4 leftmost PAN digits (unverified)."""
    if not 0 <= atc <= 0xFFFF:
        raise DecodeError("does not fit 2 bytes", path="ATC", spec="EMV Book 3 A1")
    return cvv(udk, pan=f"{atc % 10_000:04d}{pan[4:]}", expiry=expiry, service_code=service_code)
