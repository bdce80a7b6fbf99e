"""What gateway and call centre take out of the bank's box of texts.

`messages_to` only looks, so it serves beside a running host, on books opened `read_only`: the sandbox's inbox does so. Who
*takes* a text opens the books himself and leaves an erased one behind.
"""

from collections.abc import Iterable

import msgspec

from shanfu.hosts import LOOKUP, SEAL
from shanfu.hsm import HSM, Keyring
from shanfu.issuer.books import SHELVES
from shanfu.issuer.passwords import mobile_lookup
from shanfu.issuer.sms import BY_NUMBER, OF_TOKEN, SMS, Message, SMSRow, context, empty
from shanfu.store import Store, Transaction

__all__ = ["codes_for_caller", "messages_to", "take_messages"]


def messages_to(store: Store, hsm: HSM, mobile: str, *, now_ms: int) -> list[Message]:
    """Return the texts that wait for a mobile number, oldest first; they stay."""
    with store.begin() as tx:
        keys = _keys(tx, now_ms)
        return [text for _, text in _waiting(hsm, keys, _to(tx, hsm, keys, mobile=mobile), now_ms=now_ms)]


def take_messages(store: Store, hsm: HSM, mobile: str, *, now_ms: int) -> list[Message]:
    """Take the texts that wait for a mobile number, oldest first; they are erased here."""
    with store.begin() as tx:
        keys = _keys(tx, now_ms)
        book = SMS.open(tx)
        rows = book.load(BY_NUMBER, [mobile_lookup(hsm, keys, mobile)])
        found = _waiting(hsm, keys, rows, now_ms=now_ms)
        for row, _ in found:
            empty(row)
        book.save()
        return [text for _, text in found]


def codes_for_caller(store: Store, hsm: HSM, token: str, *, now_ms: int) -> list[Message]:
    """Return what the call centre may read to a holder whom it has identified, for this enrolment."""
    with store.begin() as tx:
        keys = _keys(tx, now_ms)
        rows = SMS.open(tx).load(OF_TOKEN, [token])
        return [text for _, text in _waiting(hsm, keys, [row for row in rows if not row.mobile], now_ms=now_ms)]


def _keys(tx: Transaction, now_ms: int) -> Keyring:
    keys = Keyring(SHELVES.keys, tx, now_ms=now_ms)
    keys.load([LOOKUP, SEAL])
    return keys


def _to(tx: Transaction, hsm: HSM, keys: Keyring, *, mobile: str) -> list[SMSRow]:
    return SMS.open(tx).load(BY_NUMBER, [mobile_lookup(hsm, keys, mobile)])


def _waiting(hsm: HSM, keys: Keyring, rows: Iterable[SMSRow], *, now_ms: int) -> list[tuple[SMSRow, Message]]:
    """Open what has not been erased and has not expired, oldest first."""
    waiting = sorted((row for row in rows if row.body and now_ms < row.expires_ms), key=lambda row: (row.at_ms, row.message))
    plains = hsm.unseal(keys.current(SEAL), [(row.body, context(row.message)) for row in waiting]) if waiting else []
    return [(row, msgspec.json.decode(plain, type=Message)) for row, plain in zip(waiting, plains, strict=True)]
