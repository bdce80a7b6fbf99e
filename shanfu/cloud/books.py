"""The key cloud's books as one turn sees them: loaded by key, changed in memory, saved in bulk.

`load` fetches what a batch of calls needs, one query per table. `leaving` and `wanted` are no books: replies to be sealed and
key sets to be derived at the end of the turn, each with one call of the HSM.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shanfu.cloud.devices import BY_DEVICE, BY_KEY, BY_NONCE, DEVICES, NONCES, OLD_NONCES, DeviceRow, NonceRow
from shanfu.cloud.key_sets import BY_SETS_TOKEN, KEY_SETS, KeySetRow
from shanfu.cloud.pushes import BY_PUSHES_DEVICE, OLD_PUSHES, PUSHES, PushRow
from shanfu.cloud.sessions import BY_SESSION, BY_SESSIONS_DEVICE, OLD_SESSIONS, SESSIONS, SessionRow
from shanfu.cloud.tables import METADATA, PREFIX
from shanfu.cloud.tokens import (
    BY_CURSOR,
    BY_TOKEN,
    BY_TOKENS_DEVICE,
    CURSORS,
    TOKENS,
    CursorRow,
    TokenRow,
    token_row,
)
from shanfu.hosts import DeskBooks, DeskShelves, Origin
from shanfu.hsm import Keyring, KeyRow, keys_table
from shanfu.messages import Reply, TokenView
from shanfu.store import Schema, Shelf, Transaction

if TYPE_CHECKING:
    from shanfu.cloud.replenish import Wanted

__all__ = ["DESK", "SCHEMA", "CloudBooks"]

KEYS: Final = Shelf(keys_table(METADATA, PREFIX), KeyRow, kept=True)
DESK: Final = DeskShelves(METADATA, PREFIX)
SCHEMA: Final = Schema(party="cloud", metadata=METADATA, migrations=Path(__file__).with_name("migrations"))


class CloudBooks:
    """The rows of one turn."""

    __slots__ = (
        "cursors", "desk", "devices", "key_sets", "keys", "leaving", "nonces", "now_ms", "pushes", "sessions", "tokens",
        "wanted",
    )  # fmt: skip

    def __init__(self, tx: Transaction, *, now_ms: int) -> None:
        self.now_ms = now_ms
        self.keys = Keyring(KEYS, tx, now_ms=now_ms)
        self.desk = DeskBooks(DESK, tx, now_ms=now_ms)
        self.devices, self.nonces, self.sessions = DEVICES.open(tx), NONCES.open(tx), SESSIONS.open(tx)
        self.tokens, self.cursors = TOKENS.open(tx), CURSORS.open(tx)
        self.key_sets, self.pushes = KEY_SETS.open(tx), PUSHES.open(tx)
        self.leaving: list[tuple[Origin, Reply]] = []
        self.wanted: list[Wanted] = []

    def save(self) -> None:
        """Write every changed and added row through the transaction."""
        self.keys.save()
        self.desk.save()
        for book in (self.devices, self.nonces, self.sessions, self.tokens, self.cursors, self.key_sets, self.pushes):
            book.save()

    # -- loading -------------------------------------------------------------------------------------------------------

    def load(self, *, devices: Iterable[str] = (), sessions: Iterable[str] = (), tokens: Iterable[str] = ()) -> None:
        """Fetch devices with their tokens, sessions, and key sets of these tokens."""
        names = [(0, device) for device in devices if device]
        self.sessions.load(BY_SESSION, [(0, session) for session in sessions if session])
        self.devices.load(BY_DEVICE, names)
        self.tokens.load(BY_TOKENS_DEVICE, names)
        keys = [(0, token) for token in tokens]
        self.tokens.load(BY_TOKEN, keys)
        self.key_sets.load(BY_SETS_TOKEN, keys)

    def load_ahead(self, *, keys: Sequence[str], news: Sequence[str]) -> None:
        """Fetch the key sets of phones that ask for keys, and the pushes of those that ask for news; they were let in."""
        tokens = [row.token for row in self.tokens.load(BY_TOKENS_DEVICE, [(0, device) for device in keys])]
        self.key_sets.load(BY_SETS_TOKEN, [(0, token) for token in tokens])
        self.pushes.load(BY_PUSHES_DEVICE, [(0, device) for device in news])

    def device(self, name: str) -> DeviceRow | None:
        """A device by its name."""
        self.devices.load(BY_DEVICE, [(0, name)])
        return self.devices.find(BY_DEVICE, (0, name))

    def device_of_key(self, key_name: str) -> DeviceRow | None:
        """The device that has enrolled with this signing key."""
        self.devices.load(BY_KEY, [(0, key_name)])
        return self.devices.find(BY_KEY, (0, key_name))

    def session(self, name: str) -> SessionRow | None:
        """A session by its name, also one that is over but not cleared away."""
        self.sessions.load(BY_SESSION, [(0, name)])
        return self.sessions.find(BY_SESSION, (0, name))

    def tokens_of(self, device: str) -> list[TokenRow]:
        """The tokens of a device."""
        return self.tokens.load(BY_TOKENS_DEVICE, [(0, device)])

    def own_token(self, device: str, token: str) -> TokenRow | None:
        """A token, if it is this device's: nobody learns whether another's exists."""
        return next((row for row in self.tokens_of(device) if row.token == token), None)

    def key_sets_of(self, token: str) -> list[KeySetRow]:
        """The key sets of a token that are kept."""
        return self.key_sets.load(BY_SETS_TOKEN, [(0, token)])

    def pushes_of(self, device: str) -> list[PushRow]:
        """The pushes that wait for a device."""
        return self.pushes.load(BY_PUSHES_DEVICE, [(0, device)])

    # -- changing ------------------------------------------------------------------------------------------------------

    def use_nonce(self, name: str) -> bool:
        """Use a nonce up; False when it was used before."""
        self.nonces.load(BY_NONCE, [(0, name)])
        if self.nonces.find(BY_NONCE, (0, name)) is not None:
            return False
        self.nonces.add(NonceRow(0, name, self.now_ms))
        return True

    def mirror(self, view: TokenView) -> bool:
        """Take a token's view over when it is newer than ours; a token of a device we do not know is nobody's here."""
        device = self.device(view.device)
        if device is None or device.trid != view.trid:
            return False
        self.tokens.load(BY_TOKEN, [(0, view.token)])
        row = self.tokens.find(BY_TOKEN, (0, view.token))
        if row is None:
            row, newer = self.tokens.add(token_row(view, now_ms=self.now_ms)), True
        else:
            newer = row.device == view.device and row.take(view, now_ms=self.now_ms)
        if newer and row.dead:
            for key_set in self.key_sets_of(row.token):
                self.key_sets.remove(key_set)
        return newer

    def push(self, view: TokenView, *, event: str, reason: str, notice: str, ttl_ms: int) -> None:
        """Queue a push for the token's device, once for each notice."""
        device = self.device(view.device)
        if device is None or any(push.notice == notice for push in self.pushes_of(device.device)):
            return
        device.pushes += 1
        row = PushRow(0, device.device, device.pushes, view.token, event, reason, notice, self.now_ms + ttl_ms)
        self.pushes.add(row)

    def cursor(self, trid: str) -> CursorRow:
        """How far this requestor's notices were heard; fetched, or begun."""
        self.cursors.load(BY_CURSOR, [(0, trid)])
        return self.cursors.find(BY_CURSOR, (0, trid)) or self.cursors.add(CursorRow(0, trid, 0, 0))

    def end_sessions(self, device: str) -> None:
        """End the sessions of a device: it opens another, or is blocked."""
        for row in self.sessions.load(BY_SESSIONS_DEVICE, [(0, device)]):
            self.sessions.remove(row)

    def forget_old(self, *, nonces_ms: int, pushes_ms: int) -> None:
        """Clear a bounded number of rows away that nobody needs any more."""
        for nonce in self.nonces.select(OLD_NONCES, (self.now_ms - nonces_ms,)):
            self.nonces.remove(nonce)
        for session in self.sessions.select(OLD_SESSIONS, (self.now_ms,)):
            self.sessions.remove(session)
        for push in self.pushes.select(OLD_PUSHES, (self.now_ms - pushes_ms,)):
            self.pushes.remove(push)
