"""What the back office gives terminals to download: CA keys and application parameters, by group, as plain functions.

A running host owns its books, so whoever writes here shares its store or opens it himself, as for `admin`. Nothing is checked
that the terminal checks itself: a key with a wrong check sum is given out as it was entered, and refused where it is used.
"""

from collections.abc import Sequence

from shanfu.acquirer.downloads import (
    BY_DOWNLOAD,
    BY_GROUP,
    DOWNLOADS,
    GROUPS,
    MOST_DOWNLOADS,
    OF_GROUP,
    Download,
    DownloadKind,
    Group,
    key_name,
)
from shanfu.acquirer.terminals import BY_TERMINAL, EVERYBODY, TERMINALS
from shanfu.errors import ConfigError, NotFound
from shanfu.iso8583 import AIDRecord, CAKeyRecord, encode_aid, encode_ca_key, parse_aid, parse_ca_key
from shanfu.store import Store, Transaction, bucket_of

__all__ = ["add_ca_key", "assign_terminal", "list_aids", "list_ca_keys", "remove_aid", "remove_ca_key", "set_aid"]


def add_ca_key(store: Store, key: CAKeyRecord, *, group: str = EVERYBODY) -> None:
    """Give a CA key to the terminals of a group, in place of one of its RID and index; ConfigError when it is one too many."""
    _put(store, Download(0, group, DownloadKind.CA_KEY.value, key_name(key.rid, key.index), encode_ca_key(key)))


def remove_ca_key(store: Store, rid: bytes, index: int, *, group: str = EVERYBODY) -> None:
    """Take a CA key from a group; its terminals drop it with their next download. Raise NotFound."""
    _remove(store, (0, group, DownloadKind.CA_KEY.value, key_name(rid, index)))


def list_ca_keys(store: Store, *, group: str = EVERYBODY) -> list[CAKeyRecord]:
    """Return the CA keys of a group by RID and index."""
    return [key for content in _contents(store, group, DownloadKind.CA_KEY) if (key := parse_ca_key(content))]


def set_aid(store: Store, record: AIDRecord, *, group: str = EVERYBODY) -> None:
    """Set the parameters of an application for the terminals of a group; ConfigError when it is one application too many."""
    _put(store, Download(0, group, DownloadKind.AID.value, record.aid.hex(), encode_aid(record)))


def remove_aid(store: Store, aid: bytes, *, group: str = EVERYBODY) -> None:
    """Let the terminals of a group accept an application no more; raise NotFound."""
    _remove(store, (0, group, DownloadKind.AID.value, aid.hex()))


def list_aids(store: Store, *, group: str = EVERYBODY) -> list[AIDRecord]:
    """Return the application parameters of a group by AID."""
    return [record for content in _contents(store, group, DownloadKind.AID) if (record := parse_aid(content))]


def assign_terminal(store: Store, terminal: str, group: str, *, buckets: int = 1) -> None:
    """Put a terminal into a group: it downloads that group's keys and parameters next. Raise NotFound."""
    key = (bucket_of(terminal, buckets), terminal)
    with store.begin() as tx:
        book = TERMINALS.open(tx)
        book.load(BY_TERMINAL, [key])
        row = book.find(BY_TERMINAL, key)
        if row is None:
            raise NotFound(f"terminal {terminal}: there is none")
        row.terminal_group, row.keys_offered, row.keys_held, row.parameters_offered, row.parameters_held = group, 0, 0, 0, 0
        book.save()


def _contents(store: Store, group: str, kind: DownloadKind) -> Sequence[bytes]:
    with store.begin() as tx:
        return [row.content for row in DOWNLOADS.open(tx).select(OF_GROUP, (group, kind.value))]


def _put(store: Store, new: Download) -> None:
    key = (new.bucket, new.terminal_group, new.kind, new.name)
    with store.begin() as tx:
        book = DOWNLOADS.open(tx)
        book.load(BY_DOWNLOAD, [key])
        row = book.find(BY_DOWNLOAD, key)
        if row is not None:
            row.content = new.content
        elif len(book.select(OF_GROUP, (new.terminal_group, new.kind))) >= MOST_DOWNLOADS:
            raise ConfigError(
                f"group {new.terminal_group}: it has {MOST_DOWNLOADS} of the kind {new.kind}, a terminal counts no more"
            )
        else:
            book.add(new)
        book.save()
        _renew(tx, new.terminal_group, new.kind)


def _remove(store: Store, key: tuple[int, str, str, str]) -> None:
    _, group, kind, name = key
    with store.begin() as tx:
        book = DOWNLOADS.open(tx)
        book.load(BY_DOWNLOAD, [key])
        row = book.find(BY_DOWNLOAD, key)
        if row is None:
            raise NotFound(f"{kind} {name}: group {group} has none of this name")
        book.remove(row)
        book.save()
        _renew(tx, group, kind)


def _renew(tx: Transaction, group: str, kind: str) -> None:
    """Give the group's keys, or its parameters, a new version."""
    book = GROUPS.open(tx)
    book.load(BY_GROUP, [(0, group)])
    row = book.find(BY_GROUP, (0, group)) or book.add(Group(0, group, 0, 0))
    if kind == DownloadKind.CA_KEY:
        row.keys_version += 1
    else:
        row.parameters_version += 1
    book.save()
