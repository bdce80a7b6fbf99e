"""Terminals: which merchant each stands at, its open batch, whether a sign-in stands, how its messages are authenticated.

Keys are in the keyring under the terminal's number (DE41): the master key that was injected, the working keys of the last
sign-ins. The MAC algorithm is agreed at installation (Q/CUP 009: most use the ECB form, some X9.9 or X9.19).
"""

from dataclasses import dataclass
from typing import Final

from shanfu.acquirer.tables import METADATA
from shanfu.store import Shelf, book_of

__all__ = ["BY_TERMINAL", "EVERYBODY", "TERMINALS", "Terminal"]

BY_TERMINAL: Final = ("bucket", "terminal")
EVERYBODY: Final = "all"  # the group of terminals that were put into none


@dataclass(slots=True)
class Terminal:
    """One terminal; `batch` is the number that the last sign-in gave, "" before the first.

    Of the CA keys and application parameters of its group: the versions it was last told of, and those it has downloaded.
    """

    bucket: int
    terminal: str
    merchant: str
    mac_algorithm: str
    batch: str
    signed_in: int
    since_ms: int
    terminal_group: str = EVERYBODY
    keys_offered: int = 0
    keys_held: int = 0
    parameters_offered: int = 0
    parameters_held: int = 0


TERMINALS: Final = Shelf(
    book_of("terminals", METADATA, Terminal, "terminal"),
    Terminal,
    kept=True,
)
