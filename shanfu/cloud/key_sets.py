"""The key sets that were issued and may be asked for again.

A set is kept as it left: its terms and its keys wrapped for one device, which the cloud itself cannot open. A repeat of the
same number gets the same bytes, so a lost answer never costs a second set. When the set after it is confirmed, a set is let go;
whether its keys still pay is the token service's record, not ours.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec

from shanfu.cloud.tables import METADATA, PREFIX
from shanfu.messages import KeySetTerms, wallet
from shanfu.store import Shelf, book_of

__all__ = ["BY_SETS_TOKEN", "KEY_SETS", "KeySetRow", "KeySetState"]

BY_SETS_TOKEN: Final = ("bucket", "token")


class KeySetState(StrEnum):
    """Whether the device has said that it stored the set."""

    ISSUED = "ISSUED"
    CONFIRMED = "CONFIRMED"


@dataclass(slots=True)
class KeySetRow:
    """Key set `sequence` of a token; `terms` is its KeySetTerms as JSON."""

    bucket: int
    token: str
    sequence: int
    device: str
    state: str
    terms: bytes
    wrapped: bytes = field(repr=False)
    issued_ms: int

    @property
    def message(self) -> wallet.KeySet:
        """The set as it travels."""
        terms = msgspec.json.decode(self.terms, type=KeySetTerms)
        return wallet.KeySet(token=self.token, terms=terms, wrapped=self.wrapped.hex())


KEY_SETS: Final = Shelf(book_of(f"{PREFIX}key_sets", METADATA, KeySetRow, "token", "sequence"), KeySetRow)
