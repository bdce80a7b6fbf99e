"""The phones that have enrolled, and the nonces they have used.

A phone is known by its signing key: whoever enrols with the same key again, because the answer was lost, is the same device.
Its two public keys and what it says of itself are no secrets. A nonce is kept for as long as a call that bears it could still
pass as fresh.
"""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec
from sqlalchemy import Index, bindparam

from shanfu.cloud.tables import METADATA, PREFIX
from shanfu.store import Shelf, Statement, book_of

__all__ = [
    "ALL_DEVICES", "BY_DEVICE", "BY_KEY", "BY_NONCE", "DEVICES", "NONCES", "OLD_NONCES", "DeviceRow", "DeviceState",
    "NonceRow", "key_name",
]  # fmt: skip

BY_DEVICE: Final = ("bucket", "device")
BY_KEY: Final = ("bucket", "key_name")
BY_NONCE: Final = ("bucket", "nonce")
MOST_OLD: Final = 256  # rows that one tick clears away


class DeviceState(StrEnum):
    """Whether the cloud serves a phone."""

    ENROLLED = "ENROLLED"
    BLOCKED = "BLOCKED"  # by its bank: reported lost


@dataclass(slots=True)
class DeviceRow:
    """A phone. `lowered` says in words what a weak attestation costs; `customers` are those who logged in on it, as JSON."""

    bucket: int
    device: str
    key_name: str
    sign_key: str
    wrap_key: str = field(repr=False)
    state: str
    app: str
    trid: str
    name: str = field(repr=False)  # people name phones after themselves
    model: str
    os_version: str
    attested: int
    lowered: bytes
    customers: bytes = field(repr=False)
    pushes: int  # number of its last push
    enrolled_ms: int

    @property
    def lowered_words(self) -> tuple[str, ...]:
        """What a weak attestation costs."""
        return msgspec.json.decode(self.lowered, type=tuple[str, ...])

    def logged_in(self, customer: str) -> None:
        """Remember who logged in on this phone."""
        known = msgspec.json.decode(self.customers, type=list[str])
        if customer not in known:
            self.customers = msgspec.json.encode([*known, customer])

    @property
    def customers_count(self) -> int:
        """How many people logged in on this phone."""
        return len(msgspec.json.decode(self.customers, type=list[str]))


@dataclass(slots=True)
class NonceRow:
    """A nonce that a device (or a key that enrols) has used: `nonce` is `key name/nonce`."""

    bucket: int
    nonce: str
    at_ms: int


def key_name(sign_key: str) -> str:
    """Return the name under which a signing key (hex) is looked up."""
    return hashlib.sha256(sign_key.encode()).hexdigest()[:32]


_DEVICES = book_of(f"{PREFIX}devices", METADATA, DeviceRow, "device")
Index(f"{PREFIX}devices_key", _DEVICES.c.bucket, _DEVICES.c.key_name, unique=True)
_NONCES = book_of(f"{PREFIX}nonces", METADATA, NonceRow, "nonce")
Index(f"{PREFIX}nonces_age", _NONCES.c.at_ms)

DEVICES: Final = Shelf(_DEVICES, DeviceRow)
NONCES: Final = Shelf(_NONCES, NonceRow)
ALL_DEVICES: Final = Statement(DEVICES.select().order_by(_DEVICES.c.enrolled_ms, _DEVICES.c.device))
OLD_NONCES: Final = Statement(
    NONCES.select().where(_NONCES.c.at_ms <= bindparam("before_ms")).order_by(_NONCES.c.at_ms).limit(MOST_OLD), "before_ms"
)
