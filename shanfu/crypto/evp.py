"""Block-cipher contexts of the system's libcrypto (OpenSSL ≥ 3.0), reached through cffi without compiling anything.

A payment host needs fresh keys for every cryptogram: the card key and the session key live for one message. Re-keying
a kept EVP context costs a fraction of building a cipher object, hence this engine; `pyca` is the same interface where
the library is missing. Who calls: `cipher`, nobody else. Sources: OpenSSL 3.0 manual, EVP_EncryptInit(3): EVP_Cipher
works on whole blocks without padding and carries the CBC chaining value from call to call; DES_set_key(3).

Single DES in CBC, the inner chain of the retail MAC, is three times faster as itself than as 3DES with equal keys. EVP has
it in a provider that few machines load, so it is called directly; the names belong to the library's version 3 for good.

A context belongs to the thread that opened it; libcrypto wipes its key schedule when it is freed.
"""

import functools
from typing import Any

from shanfu.crypto.libcrypto import open_libcrypto

__all__ = ["DESChain", "EVPContext", "RetailContext", "available", "open_context"]

DECLARATIONS = """
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct evp_cipher_st EVP_CIPHER;
EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void);
void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *);
EVP_CIPHER *EVP_CIPHER_fetch(void *, const char *, const char *);
int EVP_CipherInit_ex(EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const char *, const char *, int);
int EVP_Cipher(EVP_CIPHER_CTX *, char *, const char *, unsigned int);
typedef struct { unsigned int schedule[32]; } DES_key_schedule;
void DES_set_key_unchecked(const char *, DES_key_schedule *);
void DES_ncbc_encrypt(const char *, char *, long, DES_key_schedule *, char *, int);
void DES_ede3_cbc_encrypt(
    const char *, char *, long, DES_key_schedule *, DES_key_schedule *, DES_key_schedule *, char *, int);
void ERR_clear_error(void);
"""

# fmt: off
NAMES = {  # OpenSSL 3.0 manual, EVP_CIPHER-DES(7), EVP_CIPHER-AES(7), EVP_CIPHER-SM4(7)
    ("AES", 16, "CBC"): b"AES-128-CBC",
    ("AES", 16, "ECB"): b"AES-128-ECB",
    ("AES", 24, "CBC"): b"AES-192-CBC",
    ("AES", 24, "ECB"): b"AES-192-ECB",
    ("AES", 32, "CBC"): b"AES-256-CBC",
    ("AES", 32, "ECB"): b"AES-256-ECB",
    ("SM4", 16, "CBC"): b"SM4-CBC",
    ("SM4", 16, "ECB"): b"SM4-ECB",
    ("TDES", 16, "CBC"): b"DES-EDE-CBC",
    ("TDES", 16, "ECB"): b"DES-EDE-ECB",
    ("TDES", 24, "CBC"): b"DES-EDE3-CBC",
    ("TDES", 24, "ECB"): b"DES-EDE3-ECB",
}
# fmt: on

ZERO_BLOCK = bytes(8)
SCRATCH_BYTES = 1024  # longer than any MAC input of a card; longer data runs in several steps


class _Library:
    """libcrypto with the ciphers that we use, fetched once for the life of the process."""

    def __init__(self) -> None:
        needed = ("EVP_CipherInit_ex", "EVP_Cipher", "DES_set_key_unchecked", "DES_ncbc_encrypt", "DES_ede3_cbc_encrypt")
        self.ffi: Any
        self.lib: Any
        self.ffi, self.lib = open_libcrypto(DECLARATIONS, needed)
        self.ciphers = {what: self.lib.EVP_CIPHER_fetch(self.ffi.NULL, name, self.ffi.NULL) for what, name in NAMES.items()}
        if self.ffi.NULL in self.ciphers.values():  # built or configured without one of them (a FIPS-only provider)
            self.lib.ERR_clear_error()
            raise OSError("libcrypto lacks 3DES, AES or SM4")


@functools.cache
def _library() -> _Library | None:
    try:
        return _Library()
    except (ImportError, OSError, AttributeError):  # AttributeError: a libcrypto without one of the functions
        return None


def available() -> bool:
    """Tell whether this machine has a libcrypto with all the ciphers; never raises."""
    return _library() is not None


class EVPContext:
    """One cipher in one mode and one direction, kept keyed; owned by one thread."""

    __slots__ = ("_context", "_crypt", "_init", "_null", "_scratch", "_view")

    def __init__(self, algorithm: str, mode: str, key: bytes, encrypting: bool) -> None:
        library = _library()
        if library is None:
            raise RuntimeError("libcrypto is not available; ask available() first")
        ffi, lib = library.ffi, library.lib
        self._context = ffi.gc(lib.EVP_CIPHER_CTX_new(), lib.EVP_CIPHER_CTX_free)
        self._init, self._crypt, self._null = lib.EVP_CipherInit_ex, lib.EVP_Cipher, ffi.NULL
        self._scratch = ffi.new("char[]", SCRATCH_BYTES)
        self._view = ffi.buffer(self._scratch)
        cipher = library.ciphers[algorithm, len(key), mode]
        if self._init(self._context, cipher, ffi.NULL, key, bytes(16), int(encrypting)) != 1:
            raise RuntimeError(f"libcrypto refused a key for {algorithm}")

    def start(self, key: bytes) -> None:
        """Take another key of the same length."""
        if self._init(self._context, self._null, self._null, key, self._null, -1) != 1:
            raise RuntimeError("libcrypto refused a key")

    def chain(self, key: bytes, iv: bytes) -> None:
        """Begin a message under a key: set the chaining value (CBC only)."""
        if self._init(self._context, self._null, self._null, key, iv, -1) != 1:
            raise RuntimeError("libcrypto refused a key or an initial value")

    def run(self, data: bytes) -> bytes:
        """Work on whole blocks, going on where the last call ended."""
        size = len(data)
        if size > SCRATCH_BYTES:
            return self.run(data[:SCRATCH_BYTES]) + self.run(data[SCRATCH_BYTES:])
        if self._crypt(self._context, self._scratch, data, size) <= 0:
            raise RuntimeError("libcrypto failed")
        return self._view[:size]  # type: ignore[no-any-return]


class DESChain:
    """Single DES in CBC, the same interface; owned by one thread, its key schedule wiped when it goes."""

    __slots__ = ("_crypt", "_encrypting", "_iv", "_iv_view", "_schedule", "_schedule_view", "_scratch", "_set_key", "_view")

    def __init__(self, key: bytes, encrypting: bool) -> None:
        library = _library()
        if library is None:
            raise RuntimeError("libcrypto is not available; ask available() first")
        ffi, lib = library.ffi, library.lib
        self._set_key, self._crypt, self._encrypting = lib.DES_set_key_unchecked, lib.DES_ncbc_encrypt, int(encrypting)
        self._schedule, self._iv = ffi.new("DES_key_schedule *"), ffi.new("char[]", 8)
        self._scratch = ffi.new("char[]", SCRATCH_BYTES)
        self._schedule_view, self._iv_view, self._view = map(ffi.buffer, (self._schedule, self._iv, self._scratch))
        self.start(key)

    def __del__(self) -> None:
        if hasattr(self, "_schedule_view"):
            self._schedule_view[:] = bytes(len(self._schedule_view))

    def start(self, key: bytes) -> None:
        """Take another key."""
        if len(key) != 8:
            raise RuntimeError("a DES key has 8 bytes")  # libcrypto would read past a shorter one
        self._set_key(key, self._schedule)

    def chain(self, key: bytes, iv: bytes) -> None:
        """Begin a message under a key: set the chaining value."""
        self.start(key)
        self._iv_view[:] = iv

    def run(self, data: bytes) -> bytes:
        """Work on whole blocks, going on where the last call ended."""
        size = len(data)
        if size > SCRATCH_BYTES:
            return self.run(data[:SCRATCH_BYTES]) + self.run(data[SCRATCH_BYTES:])
        self._crypt(data, self._scratch, size, self._schedule, self._iv, self._encrypting)
        return self._view[:size]  # type: ignore[no-any-return]


class RetailContext:
    """ISO 9797-1 algorithm 3 under a double-length DES key, each `run` a whole message; owned by one thread.

    Both key schedules are set once for a key. Of a single block it is the two-key 3DES encryption. Schedules are wiped when
    it goes.
    """

    __slots__ = ("_chain", "_iv", "_iv_view", "_last", "_left", "_right", "_schedules_view", "_scratch", "_set_key", "_view")

    def __init__(self, key: bytes) -> None:
        library = _library()
        if library is None:
            raise RuntimeError("libcrypto is not available; ask available() first")
        ffi, lib = library.ffi, library.lib
        self._set_key, self._chain, self._last = lib.DES_set_key_unchecked, lib.DES_ncbc_encrypt, lib.DES_ede3_cbc_encrypt
        schedules, self._iv = ffi.new("DES_key_schedule[2]"), ffi.new("char[]", 8)
        self._scratch = ffi.new("char[]", SCRATCH_BYTES)
        self._schedules_view, self._iv_view, self._view = map(ffi.buffer, (schedules, self._iv, self._scratch))
        self._left, self._right = schedules + 0, schedules + 1  # the view above keeps their memory
        self.start(key)

    def __del__(self) -> None:
        if hasattr(self, "_schedules_view"):
            self._schedules_view[:] = bytes(len(self._schedules_view))

    def start(self, key: bytes) -> None:
        """Take another key."""
        if len(key) != 16:
            raise RuntimeError("a double-length DES key has 16 bytes")  # libcrypto would read past a shorter one
        self._set_key(key, self._left)
        self._set_key(key[8:], self._right)

    def run(self, data: bytes) -> bytes:
        """Return the MAC of whole blocks, at least one."""
        self._iv_view[:] = ZERO_BLOCK
        at, last = 0, len(data) - 8
        while last - at > SCRATCH_BYTES:
            self._chain(data[at : at + SCRATCH_BYTES], self._scratch, SCRATCH_BYTES, self._left, self._iv, 1)
            at += SCRATCH_BYTES
        if at < last:
            self._chain(data[at:] if at else data, self._scratch, last - at, self._left, self._iv, 1)
        self._last(data[last:], self._scratch, 8, self._left, self._right, self._left, self._iv, 1)
        return self._view[:8]  # type: ignore[no-any-return]


def open_context(algorithm: str, mode: str, key: bytes, encrypting: bool) -> EVPContext | DESChain:
    """Open a context: AES, SM4, TDES (16 or 24 bytes) in ECB and CBC, DES in CBC."""
    return DESChain(key, encrypting) if algorithm == "DES" else EVPContext(algorithm, mode, key, encrypting)
