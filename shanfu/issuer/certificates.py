"""Offline approvals that were booked: which counter of which card, so that no certificate (TC) is booked twice.

A card makes at most one TC on each value of its transaction counter, so card, sequence number and ATC name it, whatever message
brings it. Certificates come late and in any order: a counter lower than that of the last online payment is honest, and the
online payments' counter stands elsewhere (`Card.atc`) and is not moved by them. Payments online never read this book.
"""

from dataclasses import dataclass
from typing import Final

from shanfu.issuer.tables import METADATA
from shanfu.store import Shelf, book_of

__all__ = ["BY_COUNTER", "CERTIFICATES", "CertificateRow"]

BY_COUNTER: Final = ("bucket", "card", "psn", "atc")


@dataclass(slots=True)
class CertificateRow:
    """One TC; `name` is the journal row's that it was booked under."""

    bucket: int
    card: str
    psn: str
    atc: int
    name: str
    booked_ms: int


CERTIFICATES: Final = Shelf(book_of("certificates", METADATA, CertificateRow, "card", "psn", "atc"), CertificateRow)
