"""Who may ask for tokens, and from which numbers they are made: the registry of requestors and the token ranges.

A requestor has a TRID: eleven digits, the first three the service's own code (EMVCo). A bank's app belongs to one requestor
and a requestor to one issuer. Its row says what its tokens may do (channels, entry modes, countries, merchants); "" allows
everything. A token BIN is used for tokens alone, never for PANs.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Index

from shanfu.store import Shelf, book_of
from shanfu.tsp.tables import METADATA, PREFIX

__all__ = [
    "BY_BIN", "BY_ISSUER", "BY_TRID", "RANGES", "REQUESTORS", "RangeRow", "RequestorRow", "RequestorState",
    "caller_of", "listed",
]  # fmt: skip

BY_TRID: Final = ("trid",)
BY_BIN: Final = ("bin",)
BY_ISSUER: Final = ("issuer",)


class RequestorState(StrEnum):
    """Whether a requestor, or a range, is in use."""

    ACTIVE = "active"
    BLOCKED = "blocked"


@dataclass(slots=True)
class RequestorRow:
    """One requestor. Lists are words between spaces: `channels` (contactless), `entry_modes` (first two digits of DE22),
    `storages` (token storage types), `countries` (ISO 3166 numeric), `merchants` (DE42).
    """

    bucket: int
    trid: str
    name: str
    name_zh: str
    app: str
    issuer: str
    channels: str
    entry_modes: str
    storages: str
    countries: str
    merchants: str
    state: str
    since_ms: int


@dataclass(slots=True)
class RangeRow:
    """One token BIN of an issuer; `card_bins` are the BINs of cards it serves ("" all of the issuer's)."""

    bucket: int
    bin: str
    issuer: str
    card_bins: str
    country: str
    state: str
    since_ms: int


_REQUESTORS: Final = book_of(f"{PREFIX}requestors", METADATA, RequestorRow, "trid")
Index(f"{PREFIX}requestors_trid", _REQUESTORS.c.trid, unique=True)
REQUESTORS: Final = Shelf(_REQUESTORS, RequestorRow, kept=True)

_RANGES: Final = book_of(f"{PREFIX}ranges", METADATA, RangeRow, "bin")
Index(f"{PREFIX}ranges_bin", _RANGES.c.bin, unique=True)
Index(f"{PREFIX}ranges_issuer", _RANGES.c.issuer)
RANGES: Final = Shelf(_RANGES, RangeRow, kept=True)


def listed(allowed: str, value: str) -> bool:
    """Whether a list of a registry's row allows this value; "" allows all.

    >>> listed("156 344", "344"), listed("156", "344"), listed("", "344")
    (True, False, True)
    """
    return not allowed or value in allowed.split()


def caller_of(trid: str) -> str:
    """Return a requestor's name on the JSON wire.

    >>> caller_of("90100000001")
    'requestor/90100000001'
    """
    return f"requestor/{trid}"
