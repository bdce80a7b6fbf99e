"""The key cloud's desk: what its staff do, as plain functions over a store.

Installing keys, listing phones and their tokens, blocking a phone that was reported lost and letting it in again. The sandbox
and the command line call these; the host need not run. A running host owns its books, so whoever writes here shares its store.
"""

from dataclasses import dataclass

from shanfu.cloud.books import CloudBooks
from shanfu.cloud.devices import ALL_DEVICES, DeviceRow, DeviceState
from shanfu.errors import NotFound
from shanfu.messages import KeySetTerms, TokenView
from shanfu.store import Store

__all__ = [
    "DeviceLine", "KeySetLine", "block_device", "list_devices", "list_key_sets", "list_tokens",
    "unblock_device",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLine:
    """A phone as operators see it."""

    device: str
    app: str
    trid: str
    model: str
    os_version: str
    state: str
    attested: bool
    lowered: tuple[str, ...]
    enrolled_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySetLine:
    """A kept key set as operators see it: its terms, never its keys."""

    token: str
    device: str
    state: str
    terms: KeySetTerms


def list_devices(store: Store) -> list[DeviceLine]:
    """Return all phones in the order in which they enrolled."""
    with store.begin() as tx:
        rows = CloudBooks(tx, now_ms=0).devices.select(ALL_DEVICES)
    return [_line(row) for row in rows]


def list_tokens(store: Store, device: str) -> list[TokenView]:
    """Return the tokens of a phone as the cloud last heard of them."""
    with store.begin() as tx:
        return [row.seen for row in CloudBooks(tx, now_ms=0).tokens_of(device)]


def list_key_sets(store: Store, token: str) -> list[KeySetLine]:
    """Return the key sets of a token that are kept for repeats, oldest first."""
    with store.begin() as tx:
        rows = sorted(CloudBooks(tx, now_ms=0).key_sets_of(token), key=lambda row: row.sequence)
    return [KeySetLine(token=row.token, device=row.device, state=row.state, terms=row.message.terms) for row in rows]


def block_device(store: Store, device: str) -> None:
    """Serve a phone no longer, and end its sessions; its tokens are not ours to stop. NotFound for a name nobody has."""
    _set_state(store, device, DeviceState.BLOCKED)


def unblock_device(store: Store, device: str) -> None:
    """Serve a phone again; NotFound for a name nobody has."""
    _set_state(store, device, DeviceState.ENROLLED)


def _set_state(store: Store, device: str, state: DeviceState) -> None:
    with store.begin() as tx:
        books = CloudBooks(tx, now_ms=0)
        row = books.device(device)
        if row is None:
            raise NotFound(f"device {device}: is not enrolled")
        row.state = state.value
        if state is DeviceState.BLOCKED:
            books.end_sessions(device)
        books.save()


def _line(row: DeviceRow) -> DeviceLine:
    return DeviceLine(
        device=row.device, app=row.app, trid=row.trid, model=row.model, os_version=row.os_version, state=row.state,
        attested=bool(row.attested), lowered=row.lowered_words, enrolled_ms=row.enrolled_ms,
    )  # fmt: skip
