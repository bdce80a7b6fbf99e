"""The phone's storage: everything it keeps, sealed, and never older than its key store remembers.

Each record is sealed under the key store's storage key, bound to its name and to the counter at which it was written. The
state is the root: it names the counter of every other record that counts. Every change is one write of the storage, durable,
and then one step of the key store's counter:

    storage   …  state 7     state 8              state 9            a kill between the two leaves the storage one ahead;
    key store …  counter 7            counter 8            counter 9  it is caught up on opening, and nothing had left the phone

On opening, the state's counter is the key store's, or one ahead. A lower one is yesterday's storage: its key sets were spent
since. The key store remembers that (`condemned`), and the phone pays no more until it is set up anew. A copied folder
without its key store cannot be opened at all. A wiped key is gone from the state; what the disk still holds of it until the
memory's log is written anew is sealed under the key store's key.

Called by all of the wallet. Sources: NIST SP 800-38D (associated data).
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from shanfu.dialogue import Memory
from shanfu.errors import IntegrityError, StoreVersion
from shanfu.wallet.keystore import KeyStore
from shanfu.wallet.reasons import Reason
from shanfu.wallet.state import PhoneState

__all__ = ["Records", "Storage", "Tampered"]

FORMAT: Final = b"\x01"  # of every record; a phone refuses what it does not know
STATE: Final = "state"
HEAD: Final = len(FORMAT) + 8  # format, counter

_decode = msgspec.msgpack.Decoder(PhoneState).decode
_encode = msgspec.msgpack.Encoder().encode

Records = Mapping[str, bytes | None]
Change = Callable[[PhoneState, int], tuple[PhoneState, Records]]


class Tampered(IntegrityError):
    """The storage is not this phone's, not of today, or damaged: `reason` is the sentence for its holder."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(f"phone storage: {reason.en}")


class Storage:
    """One phone's storage over a memory; owned by one thread."""

    def __init__(self, memory: Memory, keys: KeyStore) -> None:
        self._memory, self._keys = memory, keys
        self._raw: bytes | None = None  # what lay in the memory when the state was read
        self._counter = -1
        self._state = PhoneState()

    def __repr__(self) -> str:
        return "Storage()"

    def state(self) -> PhoneState:
        """Return what is kept now; raises Tampered, StoreVersion, and what the memories raise.

        The memory is looked at each time, since a write that failed half-way may have happened.
        """
        raw, counter = self._memory.read(STATE), self._keys.counter
        if self._keys.condemned:
            raise Tampered(Reason.ROLLED_BACK)
        if raw is None or raw != self._raw or counter != self._counter:
            self._state, self._counter = self._open(raw, counter)
            self._raw = raw
        return self._state

    def change(self, change: Change) -> PhoneState:
        """Make a change durable: `change(state, at)` gives the new state and the plain records that belong to it.

        `at` is the counter under which they will lie. Nothing may leave the phone before this returns.
        """
        state = self.state()
        at = self._counter + 1
        after, records = change(state, at)
        raw = self._seal(STATE, _encode(after), at)
        sealed = {name: None if plain is None else self._seal(name, plain, at) for name, plain in records.items()}
        self._raw = None
        self._memory.write({**sealed, STATE: raw})
        self._keys.raise_counter(at)
        self._raw, self._counter, self._state = raw, at, after
        return after

    def read(self, name: str, at: int) -> bytes:
        """Return a record as it was sealed at `at`; Tampered when it is gone, changed, or another moment's."""
        raw = self._memory.read(name)
        try:
            if raw is None or raw[:HEAD] != _head(at):
                raise IntegrityError(f"{name}: not of this moment")
            return self._keys.open(raw[HEAD:], _bound(name, at))
        except IntegrityError:
            raise Tampered(Reason.DAMAGED) from None

    def wipe(self) -> None:
        """Set the phone up anew: nothing that was sealed can be opened any more, and no record stays."""
        self._keys.renew()
        self._memory.write(dict.fromkeys(self._memory.names()))
        self._raw, self._counter = None, -1

    def _open(self, raw: bytes | None, counter: int) -> tuple[PhoneState, int]:
        if raw is None:
            return self._fresh(counter)
        if self._keys.fresh:
            raise Tampered(Reason.FOREIGN_STORAGE)
        if raw[: len(FORMAT)] > FORMAT:
            raise StoreVersion(f"phone storage: format {raw[0]}, this wallet reads {FORMAT[0]}")
        at = int.from_bytes(raw[len(FORMAT) : HEAD])
        try:
            plain = self._keys.open(raw[HEAD:], _bound(STATE, at))
            if raw[:HEAD] != _head(at):
                raise IntegrityError("state: no format of ours")
        except IntegrityError:
            raise Tampered(Reason.FOREIGN_STORAGE) from None
        if at == counter + 1:  # the kill fell between the two writes
            self._keys.raise_counter(at)
        elif at != counter:
            self._condemn()
        return _decode(plain), at

    def _fresh(self, counter: int) -> tuple[PhoneState, int]:
        if self._keys.fresh:
            self._keys.renew()
        elif counter:  # there was a state, and it is gone
            self._condemn()
        return PhoneState(), 0

    def _condemn(self) -> None:
        self._keys.condemn(Reason.ROLLED_BACK.value)
        raise Tampered(Reason.ROLLED_BACK)

    def _seal(self, name: str, plain: bytes, at: int) -> bytes:
        return _head(at) + self._keys.seal(plain, _bound(name, at))


def _head(at: int) -> bytes:
    return FORMAT + at.to_bytes(8)


def _bound(name: str, at: int) -> bytes:
    return b"shanfu-wallet-1/" + name.encode() + b"/" + _head(at)
