"""Passwords of the bank's app, and mobile numbers: what is kept of them, and how they are compared.

A password is hashed twice. scrypt makes each guess cost some time; the HSM's keyed hash over that makes a stolen book useless,
since nobody guesses without the HSM. So scrypt may be cheap enough for a host that authorises payments in the same thread.
Sources: RFC 7914 (scrypt).
"""

import hashlib
import hmac
from typing import Final

from shanfu.errors import ConfigError
from shanfu.hosts import LOOKUP, SEAL
from shanfu.hsm import HSM, Keyring
from shanfu.issuer.customers import Customer

__all__ = ["LONGEST_PASSWORD", "mobile_hint", "mobile_lookup", "password_right", "set_mobile", "set_password"]

COST: Final = 2**13  # scrypt N: 8 MiB and some 30 ms a guess, during which no payment is worked
LONGEST_PASSWORD: Final = 128
SALT_BYTES: Final = 16
NOBODY: Final = bytes(SALT_BYTES)


def set_password(hsm: HSM, keys: Keyring, customer: Customer, password: str) -> None:
    """Give a customer a password; raises ConfigError for one that is empty or too long."""
    if not 1 <= len(password) <= LONGEST_PASSWORD:
        raise ConfigError(f"password of {customer.customer}: it has 1 to {LONGEST_PASSWORD} characters")
    customer.salt = hsm.random(SALT_BYTES)
    customer.password = _digest(hsm, keys, password, of=(customer.customer, customer.salt))


def password_right(hsm: HSM, keys: Keyring, customer: Customer | None, *, password: str) -> bool:
    """Say whether this is the customer's password; it takes as long when there is no such customer."""
    who, salt, kept = ("", NOBODY, "") if customer is None else (customer.customer, customer.salt, customer.password)
    given = _digest(hsm, keys, password[:LONGEST_PASSWORD], of=(who, salt or NOBODY))
    return hmac.compare_digest(given, kept) and len(password) <= LONGEST_PASSWORD


def _digest(hsm: HSM, keys: Keyring, password: str, *, of: tuple[str, bytes]) -> str:
    customer, salt = of
    slow = hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=COST, r=8, p=1)
    return hsm.lookup(keys.current(LOOKUP), [b"password/" + customer.encode() + b"/" + slow])[0]


def set_mobile(hsm: HSM, keys: Keyring, customer: Customer, *, mobile: str, now_ms: int) -> None:
    """Give a customer a mobile number, or with "" take it away; raises ConfigError for one that is none."""
    if not mobile:
        customer.mobile, customer.mobile_hint, customer.mobile_sealed = "", "", b""
    elif not (mobile.isascii() and mobile.isdigit() and 7 <= len(mobile) <= 15):  # ITU-T E.164: at most 15 digits
        raise ConfigError(f"mobile number of {customer.customer}: it has 7 to 15 digits")
    else:
        customer.mobile, customer.mobile_hint = mobile_lookup(hsm, keys, mobile), mobile_hint(mobile)
        context = f"customers/{customer.customer}/mobile".encode()
        [customer.mobile_sealed] = hsm.seal(keys.current(SEAL), [(mobile.encode(), context)])
    customer.mobile_since_ms = now_ms


def mobile_lookup(hsm: HSM, keys: Keyring, mobile: str) -> str:
    """Return the keyed hash under which a mobile number is found."""
    return hsm.lookup(keys.current(LOOKUP), [f"mobile/{mobile}".encode()])[0]


def mobile_hint(mobile: str) -> str:
    """Return as much of a mobile number as its owner knows it by.

    >>> mobile_hint("13800000001")
    '138****0001'
    """
    return f"{mobile[:3]}****{mobile[-4:]}" if len(mobile) >= 11 else f"****{mobile[-2:]}"
