"""Block-cipher contexts of `cryptography`: the engine of machines without a libcrypto of their own, and the tests' oracle.

Same interface as `evp`: open, start (another key), chain (initial value), run. 3DES lives under `hazmat.decrepit` there
and warns about short keys, so they are expanded to 24 bytes here. Who calls: `cipher`, nobody else.
"""

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

__all__ = ["PycaContext", "RetailContext", "open_context"]

ALGORITHMS: dict[str, Callable[[bytes], Any]] = {
    "AES": algorithms.AES,
    "SM4": algorithms.SM4,
    "DES": lambda key: TripleDES(key * 3),
    "TDES": lambda key: TripleDES((key * 2)[:24]),  # K1‖K2‖K1; of a 24-byte key the first 24
}


class PycaContext:
    """One cipher in one mode and one direction; a new object for each key and each CBC message."""

    __slots__ = ("_algorithm", "_cbc", "_encrypting", "_keyed", "_run")

    def __init__(self, algorithm: str, mode: str, key: bytes, encrypting: bool) -> None:
        self._algorithm, self._cbc, self._encrypting = ALGORITHMS[algorithm], mode == "CBC", encrypting
        self._keyed: Any = None
        self._run: Callable[[bytes], bytes]
        self.start(key)

    def start(self, key: bytes) -> None:
        """Take another key of the same length."""
        self._keyed = self._algorithm(key)
        if not self._cbc:
            self._begin(modes.ECB())  # noqa: S305  (single blocks, as ISO 9564 and EMV ask)

    def chain(self, key: bytes, iv: bytes) -> None:
        """Begin a message under a key: set the chaining value (CBC only)."""
        self._keyed = self._algorithm(key)
        self._begin(modes.CBC(iv))

    def run(self, data: bytes) -> bytes:
        """Work on whole blocks, going on where the last call ended."""
        return self._run(data)

    def _begin(self, mode: modes.ECB | modes.CBC) -> None:
        cipher = Cipher(self._keyed, mode)
        self._run = (cipher.encryptor() if self._encrypting else cipher.decryptor()).update


class RetailContext:
    """ISO 9797-1 algorithm 3 under a double-length DES key, each `run` a whole message."""

    __slots__ = ("_chain", "_key", "_left", "_whole")

    def __init__(self, key: bytes) -> None:
        self._chain, self._whole = PycaContext("DES", "CBC", key[:8], True), PycaContext("TDES", "CBC", key, True)
        self.start(key)

    def start(self, key: bytes) -> None:
        """Take another key."""
        self._left, self._key = key[:8], key

    def run(self, data: bytes) -> bytes:
        """Return the MAC of whole blocks, at least one."""
        state = bytes(8)
        if len(data) > 8:
            self._chain.chain(self._left, state)
            state = self._chain.run(data[:-8])[-8:]
        self._whole.chain(self._key, state)
        return self._whole.run(data[-8:])


def open_context(algorithm: str, mode: str, key: bytes, encrypting: bool) -> PycaContext:
    """Open a context: AES, SM4, TDES (16 or 24 bytes) in ECB and CBC, DES in CBC."""
    return PycaContext(algorithm, mode, key, encrypting)
