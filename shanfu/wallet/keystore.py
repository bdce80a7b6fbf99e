"""The phone's key store: the part of a phone that is not copied with its folders.

On a real phone it is hardware (a TEE or a secure chip); here it is a small memory of its own, which whoever runs a phone keeps
apart from the phone's storage. It holds one storage key, which seals everything the wallet keeps; a counter that only rises,
which tells storage of today from storage of yesterday; for each bank's app a key to sign and a key that others wrap secrets
for; and, once storage of yesterday was seen, the mark that says so. Secret keys never leave it: it signs, agrees and opens.

    "storage-key"  32 bytes      "counter"  8 bytes      "sign/APP", "wrap/APP"  32 bytes      "condemned"  why

White-box cryptography is not shipped and would be no key store: a certified product needs a TEE or a secure element.
Called by `storage.py`, `session.py` and the bank's app. Sources: NIST SP 800-38D (GCM), FIPS 186-5 (ECDSA).
"""

import os
from typing import Final, Protocol

from shanfu.crypto import P256Key, SealKey, unwrap_secret
from shanfu.dialogue import Memory
from shanfu.errors import NotFound

__all__ = ["DeviceKeyStore", "KeyStore"]

NONCE_BYTES: Final = 12  # NIST SP 800-38D 8.2.2
COUNTER_BYTES: Final = 8


class KeyStore(Protocol):
    """What a phone's key store does; what was changed is durable when the method returns."""

    @property
    def fresh(self) -> bool:
        """Whether there is no storage key yet."""
        ...

    @property
    def counter(self) -> int:
        """The counter, 0 when new."""
        ...

    @property
    def condemned(self) -> str:
        """Why this phone must not pay any more until it is set up anew; "" if nothing speaks against it."""
        ...

    def raise_counter(self, to: int) -> None:
        """Move the counter forward."""
        ...

    def condemn(self, why: str) -> None:
        """Remember, for good, that storage was tampered with."""
        ...

    def renew(self) -> None:
        """Begin anew: another storage key, the counter at 0, no device keys, nothing condemned."""
        ...

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """Seal a record under the storage key."""
        ...

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """Open a record; IntegrityError when it was changed, belongs elsewhere or to another phone."""
        ...

    def points(self, app: str) -> tuple[bytes, bytes]:
        """Return an app's public keys (sign, wrap), made when there are none."""
        ...

    def sign(self, app: str, data: bytes) -> bytes:
        """Sign with an app's key: r ‖ s."""
        ...

    def unwrap(self, app: str, wrapped: bytes, *, context: bytes) -> bytes:
        """Open what was wrapped for an app's key; IntegrityError when it was not."""
        ...


class DeviceKeyStore:
    """A key store over a memory of its own; owned by one thread, and shows nothing of what it holds."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._seals: tuple[bytes, SealKey] | None = None
        self._keys: dict[str, P256Key] = {}

    def __repr__(self) -> str:
        return f"DeviceKeyStore(counter={self.counter})"

    @property
    def fresh(self) -> bool:
        """Whether there is no storage key yet."""
        return self._memory.read("storage-key") is None

    @property
    def counter(self) -> int:
        """The counter, 0 when new."""
        return int.from_bytes(self._memory.read("counter") or b"")

    @property
    def condemned(self) -> str:
        """Why this phone must not pay any more; "" if nothing speaks against it."""
        return (self._memory.read("condemned") or b"").decode()

    def raise_counter(self, to: int) -> None:
        """Move the counter forward; one step that is no step forward is a mistake of the caller."""
        if to <= self.counter:
            raise ValueError(f"counter {self.counter}: {to} is no step forward")
        self._memory.write({"counter": to.to_bytes(COUNTER_BYTES)})

    def condemn(self, why: str) -> None:
        """Remember, for good, that storage was tampered with."""
        self._memory.write({"condemned": why.encode()})

    def renew(self) -> None:
        """Begin anew, in one write: whatever was sealed or wrapped before can never be opened again."""
        self._keys.clear()
        gone: dict[str, bytes | None] = dict.fromkeys(self._memory.names())
        self._memory.write(gone | {"storage-key": os.urandom(32), "counter": bytes(COUNTER_BYTES)})

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """Seal a record: nonce ‖ AES-256-GCM."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._storage_key().seal(nonce, plain, aad=bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """Open a record; IntegrityError when anything differs."""
        return self._storage_key().open(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad=bound)

    def points(self, app: str) -> tuple[bytes, bytes]:
        """Return an app's public keys (sign, wrap); both are made, in one write, when there are none."""
        if self._memory.read(f"sign/{app}") is None:
            self._memory.write({f"{use}/{app}": P256Key.generate().secret for use in ("sign", "wrap")})
        return self._key("sign", app).point, self._key("wrap", app).point

    def sign(self, app: str, data: bytes) -> bytes:
        """Sign with an app's key: r ‖ s."""
        return self._key("sign", app).sign(data)

    def unwrap(self, app: str, wrapped: bytes, *, context: bytes) -> bytes:
        """Open what was wrapped for an app's key."""
        return unwrap_secret(self._key("wrap", app), wrapped, context=context)

    def _key(self, use: str, app: str) -> P256Key:
        name = f"{use}/{app}"
        if name not in self._keys:
            secret = self._memory.read(name)
            if secret is None:
                raise NotFound(f"key store: no key to {use} with for {app}")
            self._keys[name] = P256Key(secret)
        return self._keys[name]

    def _storage_key(self) -> SealKey:
        key = self._memory.read("storage-key")
        if key is None:
            raise NotFound("key store: no storage key")
        if self._seals is None or self._seals[0] != key:
            self._seals = key, SealKey(key)
        return self._seals[1]
