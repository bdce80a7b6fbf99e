"""The working surface of an HSM: opened keys with their cipher contexts, kept by block, one bench a thread.

Opening a block costs a MAC and a decryption; a host uses the same few hundred blocks all day. So the newest opened keys stay
at hand, bounded, the least used one going first. Cipher contexts must not be shared between threads, hence a bench for
each. A key is opened only for a named usage: the authenticated header decides, before anything is computed.
"""

import functools
import os
from collections import OrderedDict

from shanfu.crypto import Algorithm as CipherAlgorithm
from shanfu.crypto import (
    BlockKey,
    CardAlgorithm,
    Cipher,
    HashKey,
    IssuerCryptograms,
    KeyHeader,
    P256Key,
    RetailKey,
    RSAPrivateKey,
    SealKey,
    SM2PrivateKey,
    pad_bytes,
)
from shanfu.errors import KeyUseError
from shanfu.hsm.jobs import Algorithm, KeyBlock, KeyUsage
from shanfu.hsm.lmk import LMK
from shanfu.hsm.rules import algorithm_of, require_rule, usage_of

__all__ = ["Bench", "OpenKey", "wrap"]

LIMIT_OPEN_KEYS = 2_048  # MAK and PIK of a thousand busy terminals; an opened key takes a few kilobytes

CIPHERS = {
    Algorithm.AES: CipherAlgorithm.AES, Algorithm.SM4: CipherAlgorithm.SM4, Algorithm.TDES: CipherAlgorithm.TDES,
}  # fmt: skip


class OpenKey:
    """A key outside its block, with the forms it is used in made on first use; owned by one thread."""

    def __init__(self, header: KeyHeader, key: bytes) -> None:
        self.header, self.usage, self.algorithm = header, usage_of(header), algorithm_of(header)
        self.key = key
        require_rule(self.usage, self.algorithm, len(key))
        if self.algorithm is Algorithm.P256:
            self.signer  # noqa: B018  (refuses a number that is no key of the curve)
        elif self.algorithm in (Algorithm.RSA, Algorithm.SM2):
            self.pair  # noqa: B018  (refuses numbers that are no pair)

    def __repr__(self) -> str:
        return f"OpenKey({self.usage.name}, {self.algorithm.name})"

    @functools.cached_property
    def cipher(self) -> Cipher:
        """The key as a block cipher."""
        if self.algorithm not in CIPHERS:
            raise KeyUseError(f"{self.algorithm.name} key: is no cipher key")
        return Cipher(CIPHERS[self.algorithm], self.key)

    @functools.cached_property
    def left(self) -> Cipher:
        """The left half of a DES key, as single DES (ANSI X9.9)."""
        return Cipher(CipherAlgorithm.TDES, self.key[:8])

    @functools.cached_property
    def retail(self) -> RetailKey:
        """The two halves of a DES key for ISO 9797-1 algorithm 3."""
        return RetailKey(self.key)

    @functools.cached_property
    def hasher(self) -> HashKey:
        """The key as one that hashes."""
        return HashKey(self.key)

    @functools.cached_property
    def sealer(self) -> SealKey:
        """The key as an AEAD key."""
        return SealKey(self.key)

    @functools.cached_property
    def signer(self) -> P256Key:
        """The key as a signing key."""
        return P256Key(self.key)

    @functools.cached_property
    def pair(self) -> RSAPrivateKey | SM2PrivateKey:
        """The key as one that signs certificates."""
        return SM2PrivateKey(self.key) if self.algorithm is Algorithm.SM2 else RSAPrivateKey.decode(self.key)

    @functools.cached_property
    def protector(self) -> BlockKey:
        """The key as a key block protection key."""
        return BlockKey(self.key)


class Bench:
    """The opened keys of one thread."""

    def __init__(self, lmk: LMK) -> None:
        self._lmk = BlockKey(lmk.key)
        self._open: OrderedDict[str, OpenKey] = OrderedDict()
        self.scratch = Cipher(CipherAlgorithm.TDES, bytes(16))  # lent to one step after another, keyed anew by each
        self.cryptograms = {
            Algorithm.TDES: IssuerCryptograms(CardAlgorithm.TDES), Algorithm.SM4: IssuerCryptograms(CardAlgorithm.SM4),
        }  # fmt: skip

    def use(self, block: KeyBlock, *usages: KeyUsage) -> OpenKey:
        """Return the opened key if its usage is one of these; `KeyUseError` if not, `IntegrityError` if not ours."""
        key = self._open.get(block)
        if key is None:
            key = self._open[block] = OpenKey(*self._lmk.unwrap(block))
            if len(self._open) > LIMIT_OPEN_KEYS:
                self._open.popitem(last=False)
        else:
            self._open.move_to_end(block)
        if key.usage not in usages:
            wanted = " or ".join(usage.name for usage in usages)
            raise KeyUseError(f"{key.usage.name} key: is not for this operation, which takes {wanted}")
        return key

    def any_use(self, block: KeyBlock) -> OpenKey:
        """Return the opened key for what every usage allows: its check value, its transport."""
        return self.use(block, *KeyUsage)

    def store(self, header: KeyHeader, key: bytes) -> KeyBlock:
        """Put a key into a block under the LMK, if it is one that could be opened again."""
        OpenKey(header, key)
        return KeyBlock(wrap(self._lmk, header, key))


def wrap(protector: BlockKey, header: KeyHeader, key: bytes) -> str:
    """Put a key into a block with random fill that hides its length."""
    return protector.wrap(header, key, pad=os.urandom(pad_bytes(header, key)))
