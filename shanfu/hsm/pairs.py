"""Asymmetric pairs of payment systems, issuers and cards: made here, their private halves never seen outside.

A payment system's pair certifies issuers, an issuer's certifies its cards; both work only inside. A card's pair is made,
certified and at once put into a block under the personalisation key: this HSM keeps nothing of it. Called by `soft`.
Sources: EMV Book 2 5.1, 6.1 and annex B2 (certificates, key lengths), JR/T 0025.17 (SM2), ANSI X9.143 table 2 (S1, S2).
"""

import hashlib

from shanfu.crypto import P256Key, RSAPrivateKey, RSAPublicKey, SM2PrivateKey, SM2PublicKey
from shanfu.hsm.bench import OpenKey
from shanfu.hsm.jobs import Algorithm

__all__ = ["new_pair", "pair_check", "public_half"]

PublicKey = RSAPublicKey | SM2PublicKey


def new_pair(algorithm: Algorithm, *, bits: int, exponent: bytes) -> bytes:
    """Make a pair as it is kept: an RSAPrivateKey in DER, or the secret number of SM2 or P-256."""
    if algorithm is Algorithm.RSA:
        return RSAPrivateKey.generate(bits, exponent).encode()
    return SM2PrivateKey.generate().secret if algorithm is Algorithm.SM2 else P256Key.generate().secret


def public_half(key: OpenKey) -> PublicKey:
    """Return the public half of a pair."""
    return key.pair.public


def pair_check(key: OpenKey) -> bytes:
    """Return what shows a pair, or a P-256 key: SHA-256 of modulus and exponent, or of the point."""
    if key.algorithm is Algorithm.P256:
        return hashlib.sha256(key.signer.point).digest()
    public = public_half(key)
    shown = public.point if isinstance(public, SM2PublicKey) else public.modulus + public.exponent
    return hashlib.sha256(shown).digest()
