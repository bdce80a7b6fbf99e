"""Customers: who owns accounts, where one-time codes go, and how he logs in to the bank's app. No payment reads this book.

A mobile number lies sealed; what people see of it is its hint (138****0001), and it is found by its keyed hash. Of a password
only a salted hash is kept, made slow here and keyed in the HSM (`passwords`).
"""

from dataclasses import dataclass, field
from typing import Final

from shanfu.issuer.tables import METADATA
from shanfu.store import Shelf, book_of

__all__ = ["BY_CUSTOMER", "CUSTOMERS", "Customer"]

BY_CUSTOMER: Final = ("bucket", "customer")


@dataclass(slots=True)
class Customer:
    """One customer; `name_zh` is how he is addressed in Chinese. Without `mobile` or `password` he has none."""

    bucket: int
    customer: str
    name: str
    name_zh: str
    mobile: str = field(repr=False)
    mobile_hint: str
    mobile_sealed: bytes = field(repr=False)
    mobile_since_ms: int
    salt: bytes = field(repr=False)
    password: str = field(repr=False)
    wrong_logins: int
    locked_until_ms: int
    since_ms: int


CUSTOMERS: Final = Shelf(book_of("customers", METADATA, Customer, "customer"), Customer)
