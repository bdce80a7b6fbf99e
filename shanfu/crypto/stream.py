"""Counter mode and authenticated encryption: CTR and GCM over AES and SM4.

Used where bytes are sealed (key sets for phones, records at rest), never in card cryptograms. A nonce is the caller's:
nothing here is random, and under one key no nonce may come twice. Sources: NIST SP 800-38A 6.5, NIST SP 800-38D,
GB/T 17964, RFC 8998 (SM4-GCM).
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as _Cipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shanfu.crypto.cipher import Algorithm
from shanfu.errors import IntegrityError, KeyUseError

__all__ = ["TAG_BYTES", "SealKey", "ctr", "gcm_open", "gcm_seal"]

TAG_BYTES = 16  # NIST SP 800-38D 5.2.1.2: the full tag, never a shortened one


def ctr(algorithm: Algorithm, key: bytes, *, counter: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt in counter mode; `counter` is the whole first block (16 bytes), counted big-endian."""
    return _Cipher(_keyed(algorithm, key), modes.CTR(counter)).encryptor().update(data)


def gcm_seal(algorithm: Algorithm, key: bytes, *, nonce: bytes, data: bytes, aad: bytes = b"") -> bytes:
    """Encrypt and authenticate: ciphertext ‖ 16-byte tag; `aad` is authenticated and not hidden.

    >>> key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    >>> sealed = gcm_seal(Algorithm.SM4, key, nonce=bytes(12), data=b"key set", aad=b"device 1")
    >>> gcm_open(Algorithm.SM4, key, nonce=bytes(12), sealed=sealed, aad=b"device 1")
    b'key set'
    """
    sealer = _Cipher(_keyed(algorithm, key), modes.GCM(nonce)).encryptor()
    sealer.authenticate_additional_data(aad)
    return sealer.update(data) + sealer.finalize() + sealer.tag


def gcm_open(algorithm: Algorithm, key: bytes, *, nonce: bytes, sealed: bytes, aad: bytes = b"") -> bytes:
    """Open what `gcm_seal` made; `IntegrityError` when bytes, nonce, aad or key differ in anything."""
    if len(sealed) < TAG_BYTES:
        raise IntegrityError(f"sealed bytes: {len(sealed)}, the tag alone has {TAG_BYTES} (NIST SP 800-38D)")
    opener = _Cipher(_keyed(algorithm, key), modes.GCM(nonce, sealed[-TAG_BYTES:])).decryptor()
    opener.authenticate_additional_data(aad)
    try:
        return opener.update(sealed[:-TAG_BYTES]) + opener.finalize()
    except InvalidTag:
        raise IntegrityError("sealed bytes: the tag is wrong, they were changed or belong elsewhere") from None


class SealKey:
    """An AES key that seals many small records with GCM, kept ready; its repr tells nothing.

    >>> key = SealKey(bytes(32))
    >>> key.open(bytes(12), key.seal(bytes(12), b"record", aad=b"row 7"), aad=b"row 7")
    b'record'
    """

    __slots__ = ("_gcm",)

    def __init__(self, key: bytes) -> None:
        if len(key) not in (16, 24, 32):
            raise KeyUseError(f"sealing key: {len(key)} bytes, AES has 16, 24 or 32")
        self._gcm = AESGCM(key)

    def __repr__(self) -> str:
        return "SealKey()"

    def seal(self, nonce: bytes, data: bytes, *, aad: bytes) -> bytes:
        """Return ciphertext ‖ tag; no nonce twice under one key (NIST SP 800-38D 8.3: 2^32 random ones at most)."""
        return self._gcm.encrypt(nonce, data, aad)

    def open(self, nonce: bytes, sealed: bytes, *, aad: bytes) -> bytes:
        """Open what `seal` made; `IntegrityError` when anything differs."""
        try:
            return self._gcm.decrypt(nonce, sealed, aad)
        except (InvalidTag, ValueError):  # ValueError: a nonce of another length
            raise IntegrityError("sealed bytes: the tag is wrong, they were changed or belong elsewhere") from None


def _keyed(algorithm: Algorithm, key: bytes) -> algorithms.AES | algorithms.SM4:
    if algorithm is Algorithm.AES and len(key) in (16, 24, 32):
        return algorithms.AES(key)
    if algorithm is Algorithm.SM4 and len(key) == 16:
        return algorithms.SM4(key)
    raise KeyUseError(f"{algorithm}, {len(key)} bytes: counter modes take AES and SM4 keys")
