"""RSA without padding, as EMV uses it: certificates and signatures whose contents come back out of them.

A payment signature is no PKCS#1 one: the block that is signed has its own header 6A, hash and trailer BC, is as long as the
modulus, and *recovering* it is the check (EMV Book 2 annex A2.1). The blocks are laid out by `oda`; here is the arithmetic.
Private keys work on libcrypto (constant time, blinded, CRT); where it is missing, on plain Python integers, blinded but
**not constant time**: good for tests, not for signing real certificates. Either way a result is checked under the public
key before it is given out, for one faulty CRT half would tell the factors (Boneh, DeMillo, Lipton).
Who calls: `oda`, the card, the HSM. Sources: EMV Book 2 annex B2.1, RFC 8017 3.2 and A.1.2 (encoding of private keys).
"""

import functools
import math
import secrets
from typing import Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import rsa

from shanfu.crypto.libcrypto import open_libcrypto
from shanfu.errors import DecodeError, Fault, IntegrityError, KeyUseError

__all__ = ["RSAPrivateKey", "RSAPublicKey"]

LIMITS_MODULUS_BYTES = range(64, 257)  # EMV Book 2 B2.1 ends at 248 (1984 bits); laboratory cards have as little as 64
EXPONENTS = (3, 65_537)  # EMV Book 2 B2.1

DECLARATIONS = """
typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_pkey_ctx_st EVP_PKEY_CTX;
EVP_PKEY *d2i_PrivateKey(int, void *, const unsigned char **, long);
void EVP_PKEY_free(EVP_PKEY *);
EVP_PKEY_CTX *EVP_PKEY_CTX_new(EVP_PKEY *, void *);
void EVP_PKEY_CTX_free(EVP_PKEY_CTX *);
int EVP_PKEY_decrypt_init(EVP_PKEY_CTX *);
int EVP_PKEY_CTX_set_rsa_padding(EVP_PKEY_CTX *, int);
int EVP_PKEY_decrypt(EVP_PKEY_CTX *, unsigned char *, size_t *, const unsigned char *, size_t);
void ERR_clear_error(void);
"""
NEEDED = ("d2i_PrivateKey", "EVP_PKEY_CTX_new", "EVP_PKEY_decrypt_init", "EVP_PKEY_CTX_set_rsa_padding", "EVP_PKEY_decrypt")
EVP_PKEY_RSA, RSA_NO_PADDING = 6, 3  # openssl/evp.h, openssl/rsa.h


class RSAPublicKey:
    """A public key: modulus and exponent as big-endian bytes, the modulus' length being the key's.

    `DecodeError` for a modulus that is even, begins with a zero bit or has no length that cards use, and for an exponent
    that is neither 3 nor 65,537: certificates bring these from cards, so they are strangers' bytes.
    """

    __slots__ = ("_e", "_n", "exponent", "modulus")

    def __init__(self, modulus: bytes, exponent: bytes) -> None:
        self.modulus, self.exponent = bytes(modulus), bytes(exponent)
        self._n, self._e = int.from_bytes(modulus), int.from_bytes(exponent)
        # EMV Book 2 B2.1: whole bytes, the leftmost bit one; an even number is no product of two primes
        if len(modulus) not in LIMITS_MODULUS_BYTES or not modulus[0] & 0x80 or not self._n & 1:
            raise _bad("the modulus is none: 64 to 256 bytes, first and last bit one")
        if self._e not in EXPONENTS or not self.exponent[0]:
            raise _bad("the exponent is neither 3 nor 65537")

    @property
    def size(self) -> int:
        """The length of modulus, block and signature in bytes."""
        return len(self.modulus)

    def recover(self, signature: bytes) -> bytes:
        """Return the block inside a signature, as long as the modulus; any number below the modulus gives some block.

        `DecodeError` for another length, or a number not below the modulus.
        """
        number = int.from_bytes(signature)
        if len(signature) != self.size or number >= self._n:
            what = f"{len(signature)} bytes, the modulus has {self.size} and is greater"
            raise DecodeError(what, fault=Fault.LENGTH, path="RSA signature", spec="EMV Book 2 A2.1")
        return pow(number, self._e, self._n).to_bytes(self.size)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RSAPublicKey) and (self._n, self._e) == (other._n, other._e)

    def __hash__(self) -> int:
        return hash((self._n, self._e))

    def __repr__(self) -> str:
        return f"RSAPublicKey({8 * self.size} bits, exponent {self._e})"


class RSAPrivateKey:
    r"""A private key in CRT form, big-endian bytes: `dp` = d mod p-1, `dq` = d mod q-1, `q_inv` = 1/q mod p.

    The public exponent follows from these. `KeyUseError` for numbers that do not belong together. Its repr shows the size
    alone, and it is neither pickled nor copied.

    >>> key = RSAPrivateKey.generate(1024)
    >>> key.public.recover(key.sign(b"\x6a" + bytes(126) + b"\xbc"))[::127].hex()
    '6abc'
    """

    __slots__ = ("__weakref__", "_d", "_engine", "_parts", "public")

    def __init__(self, *, p: bytes, q: bytes, dp: bytes, dq: bytes, q_inv: bytes) -> None:
        self._parts = tuple(int.from_bytes(part) for part in (p, q, dp, dq, q_inv))
        self.public, self._d = _belonging(self._parts)
        self._engine = _open_engine(self.encode())

    @classmethod
    def generate(cls, bits: int, exponent: bytes = b"\x03") -> "RSAPrivateKey":
        """Make a random one of 1,024 to 2,048 bits; the system's randomness and primes."""
        if bits % 8 or not 1024 <= bits <= 2048 or int.from_bytes(exponent) not in EXPONENTS:
            raise KeyUseError(f"RSA key: {bits} bits or its exponent, we make 1024 to 2048 with 3 or 65537 (EMV Book 2 B2.1)")
        made = rsa.generate_private_key(int.from_bytes(exponent), bits).private_numbers()
        return cls._of(made.p, made.q, made.dmp1, made.dmq1, made.iqmp)

    @classmethod
    def _of(cls, *numbers: int) -> "RSAPrivateKey":
        p, q, dp, dq, q_inv = (_bytes(number) for number in numbers)
        return cls(p=p, q=q, dp=dp, dq=dq, q_inv=q_inv)

    @classmethod
    def decode(cls, der: bytes) -> "RSAPrivateKey":
        """Read what `encode` gives; `KeyUseError` for anything else."""
        try:
            numbers = _read_integers(der)
        except (IndexError, ValueError):
            numbers = []
        if len(numbers) != 9:
            raise KeyUseError("RSA key: is no RSAPrivateKey of nine numbers (RFC 8017 A.1.2)")
        key = cls._of(*numbers[4:])
        if key.encode() != der:
            raise KeyUseError("RSA key: its numbers do not belong together (RFC 8017 3.2)")
        return key

    def encode(self) -> bytes:
        """Return the key for who keeps it: a DER RSAPrivateKey (RFC 8017 A.1.2)."""
        p, q, dp, dq, q_inv = self._parts
        return _write_integers([0, p * q, self.public._e, self._d, p, q, dp, dq, q_inv])

    @property
    def crt(self) -> tuple[bytes, bytes, bytes, bytes, bytes]:
        """The key for who gives it to a card: p, q, dp, dq, q_inv, each half as long as the modulus (EMV Book 2 B2.1)."""
        half = (self.public.size + 1) // 2
        p, q, dp, dq, q_inv = (part.to_bytes(half) for part in self._parts)
        return p, q, dp, dq, q_inv

    def sign(self, block: bytes) -> bytes:
        """Return the signature of a block as long as the modulus; `DecodeError` for another length or too great a number."""
        number = int.from_bytes(block)
        if len(block) != self.public.size or number >= self.public._n:
            what = f"{len(block)} bytes, the modulus has {self.public.size} and is greater"
            raise DecodeError(what, fault=Fault.LENGTH, path="RSA block", spec="EMV Book 2 A2.1")
        signature = self._engine(block) if self._engine else self._compute(number)
        if self.public.recover(signature) != block:
            raise IntegrityError("RSA signature: differs under the public key, the computation was disturbed")
        return signature

    def _compute(self, number: int) -> bytes:
        n, e = self.public._n, self.public._e
        p, q, dp, dq, q_inv = self._parts
        blind = secrets.randbelow(n - 2) + 2
        blinded = number * pow(blind, e, n) % n
        low = pow(blinded, dq, q)
        result = low + q * (q_inv * (pow(blinded, dp, p) - low) % p)
        return (result * pow(blind, -1, n) % n).to_bytes(self.public.size)

    def __repr__(self) -> str:
        return f"RSAPrivateKey({8 * self.public.size} bits)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an RSAPrivateKey is never pickled or copied")


def _belonging(parts: tuple[int, ...]) -> tuple[RSAPublicKey, int]:
    """Return the public key and d of CRT numbers, if they are one key's (RFC 8017 3.2)."""
    p, q, dp, dq, q_inv = parts
    try:
        exponent = pow(dp, -1, p - 1)
        public = RSAPublicKey(_bytes(p * q), _bytes(exponent))
        fits = p != q and exponent * dq % (q - 1) == 1 and q_inv < p and q_inv * q % p == 1
        d = pow(exponent, -1, math.lcm(p - 1, q - 1))
    except (ValueError, DecodeError):
        fits, public, d = False, None, 0
    if not fits or public is None:
        raise KeyUseError("RSA key: its numbers do not belong together (RFC 8017 3.2)")
    return public, d


class _Engine:
    """One private key inside libcrypto, which wipes it when it is freed; each call has a context of its own."""

    __slots__ = ("_ffi", "_key", "_lib")

    def __init__(self, ffi: Any, lib: Any, der: bytes) -> None:
        self._ffi, self._lib = ffi, lib
        start = ffi.new("unsigned char[]", der)
        at = ffi.new("const unsigned char **", start)
        key = lib.d2i_PrivateKey(EVP_PKEY_RSA, ffi.NULL, at, len(der))
        ffi.buffer(start)[:] = bytes(len(der) + 1)
        if key == ffi.NULL:
            lib.ERR_clear_error()
            raise KeyUseError("RSA key: libcrypto does not take it")
        self._key = ffi.gc(key, lib.EVP_PKEY_free)

    def __call__(self, block: bytes) -> bytes:
        ffi, lib = self._ffi, self._lib
        context = ffi.gc(lib.EVP_PKEY_CTX_new(self._key, ffi.NULL), lib.EVP_PKEY_CTX_free)
        # without padding, deciphering is the private operation and nothing else
        out, size = ffi.new("unsigned char[]", len(block)), ffi.new("size_t *", len(block))
        good = (
            lib.EVP_PKEY_decrypt_init(context) == 1
            and lib.EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING) == 1
            and lib.EVP_PKEY_decrypt(context, out, size, block, len(block)) == 1
        )
        if not good or size[0] != len(block):
            lib.ERR_clear_error()
            raise IntegrityError("RSA signature: libcrypto failed")
        return bytes(ffi.buffer(out))


@functools.cache
def _library() -> tuple[Any, Any] | None:
    try:
        return open_libcrypto(DECLARATIONS, NEEDED)
    except (ImportError, OSError, AttributeError):
        return None


def _open_engine(der: bytes) -> _Engine | None:
    library = _library()
    return _Engine(*library, der) if library else None


def _bad(what: str) -> DecodeError:
    return DecodeError(what, path="RSA public key", spec="EMV Book 2 B2.1")


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _write_integers(numbers: list[int]) -> bytes:
    body = b"".join(_der(0x02, number.to_bytes(number.bit_length() // 8 + 1)) for number in numbers)
    return _der(0x30, body)


def _der(tag: int, body: bytes) -> bytes:
    size = len(body)
    length = bytes([size]) if size < 0x80 else bytes([0x80 | len(_bytes(size))]) + _bytes(size)
    return bytes([tag]) + length + body


def _read_integers(der: bytes) -> list[int]:
    body, _ = _der_body(der, 0, 0x30)
    numbers, at = [], 0
    while at < len(body):
        part, at = _der_body(body, at, 0x02)
        numbers.append(int.from_bytes(part))
    return numbers


def _der_body(der: bytes, at: int, tag: int) -> tuple[bytes, int]:
    size, at = der[at + 1], at + 2 if der[at] == tag else len(der)
    if size & 0x80:
        size, at = int.from_bytes(der[at : at + (size & 0x7F)]), at + (size & 0x7F)
    if at + size > len(der):
        raise ValueError("the encoding ends too early")
    return der[at : at + size], at + size
