"""What terminals download: keys of certification authorities and parameters of chip applications, for each group of terminals.

Every change gives the group's keys, or its parameters, a new version. A terminal is told of the version in force when it asks
what there is, has it when it says that it has them all, and hears at each sign-in whether that is still the one in force.

`content` is the answer as it travels in DE62, so what the back office entered is what the terminal gets, check sum and all.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import bindparam

from shanfu.acquirer.tables import METADATA
from shanfu.store import Shelf, Statement, book_of

__all__ = [
    "BY_DOWNLOAD",
    "BY_GROUP",
    "DOWNLOADS",
    "GROUPS",
    "MOST_DOWNLOADS",
    "OF_GROUP",
    "Download",
    "DownloadKind",
    "Group",
    "key_name",
]

BY_DOWNLOAD: Final = ("bucket", "terminal_group", "kind", "name")
BY_GROUP: Final = ("bucket", "terminal_group")
MOST_DOWNLOADS: Final = 99  # two digits count what a terminal knows of (DE62)


class DownloadKind(StrEnum):
    """What it is."""

    AID = "application"
    CA_KEY = "CA key"


@dataclass(slots=True)
class Download:
    """One key or application; `name` is its RID and index, or its AID, in hexadecimal."""

    bucket: int
    terminal_group: str
    kind: str
    name: str
    content: bytes


@dataclass(slots=True)
class Group:
    """A group of terminals and what is in force for it; 0 is "never any"."""

    bucket: int
    terminal_group: str
    keys_version: int
    parameters_version: int


def key_name(rid: bytes, index: int) -> str:
    """Return the name of a CA key in these books.

    >>> key_name(bytes.fromhex("A000000333"), 8)
    'a00000033308'
    """
    return f"{rid.hex()}{index:02x}"


_TABLE: Final = book_of("downloads", METADATA, Download, "terminal_group", "kind", "name")
DOWNLOADS: Final = Shelf(_TABLE, Download)
GROUPS: Final = Shelf(book_of("groups", METADATA, Group, "terminal_group"), Group)

_of_group = DOWNLOADS.select().where(
    _TABLE.c.bucket == 0, _TABLE.c.terminal_group == bindparam("terminal_group"), _TABLE.c.kind == bindparam("kind")
)
OF_GROUP: Final = Statement(_of_group.order_by(_TABLE.c.name).limit(MOST_DOWNLOADS), "terminal_group", "kind")
