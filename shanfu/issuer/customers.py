"""Customers: who owns accounts. Administration only; no payment reads this book."""

from dataclasses import dataclass
from typing import Final

from shanfu.issuer.tables import METADATA
from shanfu.store import Shelf, book_of

__all__ = ["CUSTOMERS", "Customer"]


@dataclass(slots=True)
class Customer:
    """One customer; `name_zh` is how he is addressed in Chinese."""

    bucket: int
    customer: str
    name: str
    name_zh: str
    since_ms: int


CUSTOMERS: Final = Shelf(book_of("customers", METADATA, Customer, "customer"), Customer)
