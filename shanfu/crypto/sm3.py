"""SM3, the Chinese hash, and HMAC over it (GB/T 32905; HMAC as in GB/T 15852.2).

Taken from `cryptography`, so it does not depend on the interpreter's OpenSSL. Who calls: audit seals, SM2, the cloud.
"""

from cryptography.hazmat.primitives import hashes, hmac

__all__ = ["hmac_sm3", "sm3"]


def sm3(message: bytes) -> bytes:
    """Return the 32-byte SM3 digest.

    >>> sm3(b"abc").hex().upper()[:16]
    '66C7F0F462EEEDD9'
    """
    digest = hashes.Hash(hashes.SM3())
    digest.update(message)
    return digest.finalize()


def hmac_sm3(key: bytes, message: bytes) -> bytes:
    """Return the 32-byte HMAC-SM3 of a message."""
    mac = hmac.HMAC(key, hashes.SM3())
    mac.update(message)
    return mac.finalize()
