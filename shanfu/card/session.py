"""What a transaction knows until power or selection is lost: its keys, what the terminal said, what has been decided.

Nothing here survives; whatever must is kept by `live.py` before an answer leaves. A selection begins with a fresh `Session`.

Called by every handler through its `Chip`. Sources: EMV Book 3 6.5 and 9 to 10, JR/T 0025.5, JR/T 0025.12.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from shanfu.card.keys import Spent
from shanfu.emv import CVR, CryptogramType

__all__ = ["Debit", "IssuerProof", "PINProof", "Session"]


class IssuerProof(Enum):
    """Whether the issuer has shown that it answered (EXTERNAL AUTHENTICATE)."""

    NONE = "not asked"
    PASSED = "passed"
    FAILED = "failed"


class PINProof(Enum):
    """How the last VERIFY of this transaction ended."""

    NONE = "not asked"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Debit:
    """An offline payment that counts once the terminal has read `record` (SFI, number): the balance afterwards, n12."""

    record: tuple[int, int]
    balance: bytes


@dataclass(slots=True)
class Session:
    """One selection's memory; shows nothing."""

    spent: Spent | None = field(default=None, repr=False)
    contact: bool = False  # the answer to GPO was a file locator: a cryptogram is yet to be asked for
    ecash: bool = False
    aip: bytes = b""
    said: Mapping[int, bytes] = field(default_factory=dict, repr=False)  # what the terminal has told so far, by tag
    filled: bytes = field(default=b"", repr=False)  # the same as it came: PDOL, then CDOL data (EMV B2 6.6.1)
    first: CryptogramType | None = None
    second: CryptogramType | None = None
    cryptogram: bytes = b""  # the first: ARPC and script MACs are bound to it
    flags: CVR | None = None  # what the first cryptogram told the issuer
    reported: int = 0  # script commands that the first cryptogram told of
    pin: PINProof = PINProof.NONE
    issuer: IssuerProof = IssuerProof.NONE
    challenge: bytes = field(default=b"", repr=False)
    script_failed: bool = False
    debit: Debit | None = None
    virtual: dict[tuple[int, int], bytes] = field(default_factory=dict, repr=False)  # records that this payment alone has
    rewritten: bool = False  # a record of the image was replaced
