"""A block cipher under one key: 3DES, AES or SM4, in ECB and CBC, with its contexts kept.

Everything else in this package is built on `Cipher`. It keeps a context per mode and direction, opened on first use, so
a static key (an issuer master key, a PIN key) pays for its key schedule once, and `rekey` lends the same contexts to
the next card's key. **A Cipher belongs to one thread**: whoever owns threads (the HSM) owns one Cipher a thread.

Single DES in ECB is run as two-key 3DES with equal halves: the same results, and libraries retire the short form. Keys are
used as given: parity bits change neither results nor comparisons here. Data is whole blocks; padding belongs to the
standard that asks for it (`mac.pad`).
Sources: FIPS 46-3, NIST SP 800-67, FIPS 197, GB/T 32907, NIST SP 800-38A.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NoReturn, Protocol

from shanfu.crypto import evp, pyca
from shanfu.errors import DecodeError, Fault, KeyUseError

__all__ = ["Algorithm", "Cipher", "engine_name", "xor"]


class Algorithm(StrEnum):
    """The block ciphers of the trade. Single DES is 3DES with three equal keys."""

    AES = "AES"
    SM4 = "SM4"
    TDES = "TDES"


BLOCK_BYTES = {Algorithm.AES: 16, Algorithm.SM4: 16, Algorithm.TDES: 8}
KEY_BYTES = {Algorithm.AES: (16, 24, 32), Algorithm.SM4: (16,), Algorithm.TDES: (8, 16, 24)}


class Context(Protocol):
    """What an engine gives: one cipher, one mode, one direction."""

    def start(self, key: bytes) -> None: ...
    def chain(self, key: bytes, iv: bytes) -> None: ...
    def run(self, data: bytes) -> bytes: ...


Engine = Callable[[str, str, bytes, bool], Context]


def default_engine() -> Engine:
    """Choose libcrypto where the machine has it, else `cryptography`: the same bytes either way."""
    return evp.open_context if evp.available() else pyca.open_context


def engine_name() -> str:
    """Say which engine computes: "libcrypto" or "cryptography"."""
    return "libcrypto" if evp.available() else "cryptography"


def retail_context(key: bytes) -> evp.RetailContext | pyca.RetailContext:
    """Open ISO 9797-1 algorithm 3 under a 16-byte key on the engine of this machine."""
    return evp.RetailContext(key) if evp.available() else pyca.RetailContext(key)


def xor(left: bytes, right: bytes) -> bytes:
    r"""Return the bitwise difference of two byte strings of one length.

    >>> xor(b"\x0f\xf0", b"\xff\xff").hex()
    'f00f'
    """
    size = len(left)
    if size != len(right):
        raise DecodeError(f"{len(right)} bytes, the other part has {size}", fault=Fault.LENGTH, path="xor")
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(size)  # big-endian both ways


class Cipher:
    """A block cipher under a key; owned by one thread; its repr tells the algorithm only.

    `key`: 8, 16 or 24 bytes for 3DES, 16, 24 or 32 for AES, 16 for SM4; another length raises `KeyUseError`.

    >>> key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")   # GB/T 32907, example 1
    >>> Cipher(Algorithm.SM4, key).encrypt(key).hex()
    '681edf34d206965e86b3e94f536e4246'
    """

    __slots__ = (
        "_cbc_in",
        "_cbc_key",
        "_cbc_name",
        "_cbc_out",
        "_ecb_in",
        "_ecb_out",
        "_engine",
        "_key",
        "_sizes",
        "algorithm",
        "block_bytes",
    )

    def __init__(self, algorithm: Algorithm, key: bytes, *, engine: Engine | None = None) -> None:
        self.algorithm, self.block_bytes = algorithm, BLOCK_BYTES[algorithm]
        self._engine = engine or default_engine()
        self._ecb_out: Context | None = None
        self._ecb_in: Context | None = None
        self._cbc_out: Context | None = None
        self._cbc_in: Context | None = None
        self._sizes = KEY_BYTES[algorithm]
        self.rekey(key)
        self._sizes = (len(key),)  # a context is opened for one length
        self._cbc_name = "DES" if len(key) == 8 else str(algorithm)

    def __repr__(self) -> str:
        return f"Cipher({self.algorithm})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Cipher holds a key and is never pickled or copied")

    def rekey(self, key: bytes) -> None:
        """Take another key of the same algorithm and length, keeping the contexts."""
        size = len(key)
        if size not in self._sizes:
            raise KeyUseError(f"{self.algorithm} key: {size} bytes, it has one of {self._sizes}")
        self._cbc_key = key
        if size == 8:
            key = key + key  # single DES: E(K, D(K, E(K, x))) = E(K, x)
        self._key = key
        if self._ecb_out is not None:
            self._ecb_out.start(key)
        if self._ecb_in is not None:
            self._ecb_in.start(key)

    def encrypt(self, blocks: bytes) -> bytes:
        """Encrypt whole blocks, each for itself (ECB)."""
        if not blocks or len(blocks) % self.block_bytes:
            raise self._ragged(blocks)
        if self._ecb_out is None:
            self._ecb_out = self._engine(self.algorithm, "ECB", self._key, True)
        return self._ecb_out.run(blocks)

    def decrypt(self, blocks: bytes) -> bytes:
        """Decrypt whole blocks, each for itself (ECB)."""
        if not blocks or len(blocks) % self.block_bytes:
            raise self._ragged(blocks)
        if self._ecb_in is None:
            self._ecb_in = self._engine(self.algorithm, "ECB", self._key, False)
        return self._ecb_in.run(blocks)

    def encrypt_cbc(self, blocks: bytes, iv: bytes | None = None) -> bytes:
        """Encrypt whole blocks in a chain that starts with `iv` (one block, zeros when absent)."""
        if not blocks or len(blocks) % self.block_bytes:
            raise self._ragged(blocks)
        if self._cbc_out is None:
            self._cbc_out = self._engine(self._cbc_name, "CBC", self._cbc_key, True)
        self._cbc_out.chain(self._cbc_key, self._iv(iv))
        return self._cbc_out.run(blocks)

    def decrypt_cbc(self, blocks: bytes, iv: bytes | None = None) -> bytes:
        """Decrypt what `encrypt_cbc` made."""
        if not blocks or len(blocks) % self.block_bytes:
            raise self._ragged(blocks)
        if self._cbc_in is None:
            self._cbc_in = self._engine(self._cbc_name, "CBC", self._cbc_key, False)
        self._cbc_in.chain(self._cbc_key, self._iv(iv))
        return self._cbc_in.run(blocks)

    def _ragged(self, blocks: bytes) -> DecodeError:
        what = f"{len(blocks)} bytes, whole blocks of {self.block_bytes} are needed"
        return DecodeError(what, fault=Fault.LENGTH, path="cipher")

    def _iv(self, iv: bytes | None) -> bytes:
        if iv is None:
            return bytes(self.block_bytes)
        if len(iv) != self.block_bytes:
            raise DecodeError(f"{len(iv)} bytes, a block has {self.block_bytes}", fault=Fault.LENGTH, path="cipher iv")
        return iv
