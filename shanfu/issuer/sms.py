"""Text messages: how the bank speaks to customers outside the app, and what its call centre reads to those who ring.

A `Messenger` takes texts. The one here is a box in our own books: each text lies sealed under the customer's hashed number, for
a gateway (in the sandbox, the inbox) to take, and is erased when it was taken, when its code was used, or when it has expired;
the row stays, to say that something was sent. A text that carries a one-time code is the only place where that code is.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import Struct
from sqlalchemy import Index, bindparam

from shanfu.hosts import SEAL
from shanfu.hsm import HSM
from shanfu.issuer.tables import METADATA
from shanfu.store import Shelf, Statement, book_of, open_index

if TYPE_CHECKING:
    from shanfu.issuer.books import IssuerBooks

__all__ = ["BY_MESSAGE", "BY_NUMBER", "OF_TOKEN", "SMS", "STALE", "Box", "Message", "Messenger", "SMSRow", "context", "empty"]

BY_MESSAGE: Final = ("bucket", "message")
BY_NUMBER: Final = ("mobile",)
OF_TOKEN: Final = ("token",)
WAITING, DONE = "WAITING", "DONE"
MOST_STALE: Final = 64  # texts that one tick erases


@dataclass(slots=True)
class SMSRow:
    """One text: `mobile` is the keyed hash of the number, "" for what the call centre reads out; `body` is sealed."""

    bucket: int
    message: str
    mobile: str = field(repr=False)
    hint: str
    token: str
    body: bytes = field(repr=False)
    state: str
    at_ms: int
    expires_ms: int


class Message(Struct, frozen=True, kw_only=True):
    """A text as its reader has it; `code` is the one-time code in it, "" when there is none."""

    text: str
    code: str = ""
    token: str = ""
    at_ms: int = 0
    expires_ms: int = 0

    def __repr__(self) -> str:
        return f"Message(token={self.token!r}, at_ms={self.at_ms})"


class Messenger(Protocol):
    """Whoever brings texts to customers. It is asked within a turn: what it does must be undone when the turn is."""

    def send(self, books: "IssuerBooks", message: Message, *, mobile: str, hint: str) -> str:
        """Take a text for a number (its keyed hash); return the name by which it can be erased."""
        ...

    def erase(self, books: "IssuerBooks", name: str) -> None:
        """Erase a text whose code is of no use any more."""
        ...


class Box:
    """Keeps texts in the bank's own books until they are taken."""

    def __init__(self, hsm: HSM) -> None:
        self._hsm = hsm

    def send(self, books: "IssuerBooks", message: Message, *, mobile: str, hint: str) -> str:
        """Seal a text into the box."""
        name = self._hsm.random(16).hex()
        [sealed] = self._hsm.seal(books.keys.current(SEAL), [(msgspec.json.encode(message), context(name))])
        books.sms.add(SMSRow(0, name, mobile, hint, message.token, sealed, WAITING, message.at_ms, message.expires_ms))
        return name

    def erase(self, books: "IssuerBooks", name: str) -> None:
        """Empty a text that lies in the box."""
        books.sms.load(BY_MESSAGE, [(0, name)])
        row = books.sms.find(BY_MESSAGE, (0, name))
        if row is not None:
            empty(row)


def empty(row: SMSRow) -> None:
    """Erase a text; that it was sent stays."""
    row.body, row.state = b"", DONE


def _context(name: str) -> bytes:
    return f"sms/{name}".encode()


def context(name: str) -> bytes:
    """Return what a text is sealed for: its own row."""
    return f"sms/{name}".encode()


_TABLE: Final = book_of("sms", METADATA, SMSRow, "message")
Index("sms_mobile", _TABLE.c.mobile)
Index("sms_token", _TABLE.c.token)
open_index("sms_waiting", _TABLE.c.expires_ms, where=_TABLE.c.state == WAITING)
SMS: Final = Shelf(_TABLE, SMSRow)
_stale = SMS.select().where(_TABLE.c.state == WAITING, _TABLE.c.expires_ms <= bindparam("now_ms"))
STALE: Final = Statement(_stale.order_by(_TABLE.c.expires_ms).limit(MOST_STALE), "now_ms")
