"""Message authentication codes of the card world and of UnionPay's two wires.

ISO 9797-1 algorithm 1 (CBC-MAC), 3 (retail MAC, the card's cryptogram and ANSI X9.19) and 5 (CMAC) with paddings 1 to 3;
ANSI X9.9; the "ECB" MAC of UnionPay POS terminals in its DES, 3DES and SM4 forms; the text form that the wires carry.
Which bytes are MACed is the business of `iso8583` (MAB) and `emv` (cryptogram data); here they arrive as bytes.
Who calls: the HSM for the hosts, the PIN pad of a terminal, the card. Sources: ISO/IEC 9797-1, NIST SP 800-38B,
ANSI X9.9, ANSI X9.19, UnionPay POS terminal specification (QCUP 009), message authentication.

The ECB MAC folds all blocks into one by xor, so two swapped blocks go unnoticed: it is here because terminals speak it.
"""

import hmac

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from shanfu.crypto.cipher import Algorithm, Cipher, retail_context, xor
from shanfu.errors import DecodeError, IntegrityError, KeyUseError

__all__ = [
    "HashKey", "RetailKey", "cbc_mac", "cmac", "ecb_mac", "left4_text", "pad", "sm4_cbc_mac", "unpad2", "verify_mac", "x9_9",
    "x9_19", "xor_fold",
]  # fmt: skip


ZEROS = bytes(8)  # the initial value of every chain here (ISO 9797-1 6.4: zeros)


PADDING_2 = tuple(b"" if size == 0 else b"\x80" + bytes(size - 1) for size in range(17))  # by the room left in a block


def pad(message: bytes, method: int, block_bytes: int) -> bytes:
    """Fill a message to whole blocks by padding method 1, 2 or 3 of ISO 9797-1.

    1: zeros, an empty message becomes one block; 2: one byte 80, then zeros, always added; 3: the length in bits as a
    block in front, then zeros.

    >>> pad(b"ab", 2, 8).hex()
    '6162800000000000'
    """
    match method:
        case 2:  # ISO 9797-1 6.3.3
            return message + PADDING_2[block_bytes - len(message) % block_bytes]
        case 1:  # ISO 9797-1 6.3.2
            return message + bytes(-len(message) % block_bytes) if message else bytes(block_bytes)
        case 3:  # ISO 9797-1 6.3.4
            length = (8 * len(message)).to_bytes(block_bytes, "big")
            return length + message + bytes(-len(message) % block_bytes)
    raise ValueError(f"ISO 9797-1 has padding methods 1, 2, 3, not {method}")


def unpad2(padded: bytes) -> bytes:
    """Take padding method 2 away; `DecodeError` if it is not there (ISO 9797-1 6.3.3)."""
    message = padded.rstrip(b"\x00")
    if not message.endswith(b"\x80"):
        raise DecodeError("no 80 before the trailing zeros", path="padding", offset=len(padded), spec="ISO 9797-1 6.3.3")
    return message[:-1]


def cbc_mac(cipher: Cipher, message: bytes, *, padding: int) -> bytes:
    r"""Return the whole last block of the CBC chain: ISO 9797-1 algorithm 1.

    >>> cbc_mac(Cipher(Algorithm.TDES, b"\xaa" * 8 + b"\xbb" * 8), b"hello world", padding=2).hex().upper()
    '32DC341271ACCD00'
    """
    return cipher.encrypt_cbc(pad(message, padding, cipher.block_bytes))[-cipher.block_bytes :]


class RetailKey:
    """A double-length DES key for ISO 9797-1 algorithm 3, its context kept; owned by one thread.

    Algorithm 3 equals algorithm 1 under single DES with the left half for all blocks but the last, and two-key 3DES
    on the last (the inner decryption and encryption meet there).
    """

    __slots__ = ("_context", "_key", "encrypt")

    def __init__(self, key: bytes) -> None:
        self._key = _need(key, 16)
        self._context = retail_context(key)
        self.encrypt = self._context.run  # one block under both halves: the step that makes an ARPC

    def __repr__(self) -> str:
        return "RetailKey()"

    def rekey(self, key: bytes) -> None:
        """Take another key, keeping the context."""
        if key is not self._key:  # MAC and ARPC of one transaction: the schedules are there already
            self._key = _need(key, 16)
            self._context.start(key)

    def mac(self, message: bytes, *, padding: int) -> bytes:
        """Return the 8-byte MAC.

        >>> key = RetailKey(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
        >>> key.mac(b"Now is the time for all ", padding=1).hex().upper()
        'A1C72E74EA3FA9B6'
        """
        return self._context.run(pad(message, padding, 8))


class HashKey:
    """A key for HMAC-SHA-256 of many short messages (RFC 2104), both its blocks hashed already.

    >>> HashKey(b"Jefe").mac(b"what do ya want for nothing?").hex()[:32]
    '5bdcc146bf60754e6a042426089575c7'
    """

    __slots__ = ("_begun",)

    def __init__(self, key: bytes) -> None:
        self._begun = HMAC(key, hashes.SHA256())

    def __repr__(self) -> str:
        return "HashKey()"

    def mac(self, message: bytes) -> bytes:
        """Return the 32-byte MAC."""
        going = self._begun.copy()
        going.update(message)
        return going.finalize()


def cmac(cipher: Cipher, message: bytes) -> bytes:
    """Return the CMAC, a whole block: ISO 9797-1 algorithm 5, NIST SP 800-38B.

    >>> cmac(Cipher(Algorithm.AES, bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")), b"").hex().upper()
    'BB1D6929E95937287FA37D129B756746'
    """
    size = cipher.block_bytes
    subkey = _double(cipher.encrypt(bytes(size)))  # K1
    whole = bool(message) and len(message) % size == 0
    padded = message if whole else pad(message, 2, size)
    if not whole:
        subkey = _double(subkey)  # K2
    return cipher.encrypt_cbc(padded[:-size] + xor(padded[-size:], subkey))[-size:]


def _double(block: bytes) -> bytes:
    # NIST SP 800-38B 5.3: R is 1B for 8-byte and 87 for 16-byte blocks
    value = int.from_bytes(block, "big") << 1
    bits = 8 * len(block)
    if value >> bits:
        value ^= (1 << bits) ^ (0x87 if bits == 128 else 0x1B)
    return value.to_bytes(len(block), "big")


def x9_9(key: bytes, message: bytes) -> bytes:
    """Return the 8-byte ANSI X9.9 MAC: CBC-MAC with single DES under the left half of the key, zero fill.

    >>> x9_9(bytes.fromhex("0123456789ABCDEF"), b"0123456789ABCDEFGHIJKLMN").hex().upper()
    '1B9EC040FC45A7B5'
    """
    return cbc_mac(Cipher(Algorithm.TDES, key[:8]), message, padding=1)


def x9_19(key: bytes, message: bytes) -> bytes:
    """Return the 8-byte ANSI X9.19 MAC: ISO 9797-1 algorithm 3, zero fill.

    >>> x9_19(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"), b"0123456789ABCDEFGHIJKLMN").hex().upper()
    '4A04809204E52F6D'
    """
    return RetailKey(key).mac(message, padding=1)


def sm4_cbc_mac(cipher: Cipher, message: bytes) -> bytes:
    """Return the 16-byte SM4-CBC-MAC with zero fill, as the interbank wire uses it (unverified: no published rule).

    >>> key = Cipher(Algorithm.SM4, bytes.fromhex("C5945F5BDF1E2DD83C6BFCA9699975F3"))
    >>> sm4_cbc_mac(key, b"PCK1209339432640F07BEC962141300010024402220516956").hex().upper()
    '55BD7EFE36472A824105C55A5126AE60'
    """
    return cbc_mac(cipher, message, padding=1)


def xor_fold(message: bytes, block_bytes: int) -> bytes:
    """Zero-fill a message and xor all its blocks into one: the first step of the ECB MAC.

    >>> xor_fold(bytes.fromhex("1234567890ABCDEFABCDEF1234567890"), 8).hex().upper()
    'B9F9B96AA4FDB57F'
    """
    padded = pad(message, 1, block_bytes)
    blocks, folded = len(padded) // block_bytes, int.from_bytes(padded)
    while blocks > 1:  # halves laid over one another: the order of an xor does not matter
        blocks = (blocks + 1) // 2
        bits = 8 * block_bytes * blocks
        folded = (folded >> bits) ^ (folded & ((1 << bits) - 1))
    return folded.to_bytes(block_bytes)


def ecb_mac(cipher: Cipher, mab: bytes) -> bytes:
    """Return UnionPay's ECB MAC as the 8 ASCII characters that DE64 carries.

    Fold by xor; write the block as upper-case hex characters, which are two blocks; encrypt the first, xor the second,
    encrypt again; the first 8 hex characters of the result. The cipher decides DES (8-byte MAK), 3DES or SM4. Both
    steps use the whole key: an older text has single DES in the last one, the published worked example has not.
    For SM4 the same steps run on 16-byte blocks; no final value is published.

    >>> key = Cipher(Algorithm.TDES, bytes.fromhex("2222222222222222"))
    >>> ecb_mac(key, bytes.fromhex("1234567890ABCDEFABCDEF1234567890"))
    b'E267B6E2'
    """
    size = cipher.block_bytes
    text = xor_fold(mab, size).hex().upper().encode("ascii")
    return cipher.encrypt(xor(cipher.encrypt(text[:size]), text[size:])).hex().upper()[:8].encode("ascii")


def left4_text(mac: bytes) -> bytes:
    """Return the left 4 bytes of a MAC as 8 upper-case hex characters, the form in DE64 and DE128.

    >>> left4_text(bytes.fromhex("1B9EC040FC45A7B5"))
    b'1B9EC040'
    """
    return mac[:4].hex().upper().encode("ascii")


def verify_mac(expected: bytes, given: bytes, *, what: str = "MAC") -> None:
    """Compare in constant time; `IntegrityError` when they differ in length or in any bit."""
    if not hmac.compare_digest(expected, given):
        raise IntegrityError(f"{what}: wrong, the message was changed or the keys differ")


def _need(key: bytes, size: int) -> bytes:
    if len(key) != size:
        raise KeyUseError(f"retail MAC key: {len(key)} bytes, K1 and K2 have {size} (ISO 9797-1 algorithm 3)")
    return key
