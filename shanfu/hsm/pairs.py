"""Asymmetric pairs of payment systems, issuers and cards: made here, their private halves never seen outside.

A payment system's pair certifies issuers, an issuer's certifies its cards; both work only inside. A card's pair is made,
certified and at once put into a block under the personalisation key: this HSM keeps nothing of it. Called by `soft`.
Sources: EMV Book 2 5.1, 6.1 and annex B2 (certificates, key lengths), JR/T 0025.17 (SM2), ANSI X9.143 table 2 (S1, S2).
"""

import hashlib

from shanfu.crypto import KeyHeader, P256Key, RSAPrivateKey, SM2PrivateKey, SM2PublicKey
from shanfu.hsm.bench import Bench, OpenKey, wrap
from shanfu.hsm.jobs import Algorithm, CardCertificateJob, CardPair, CardPairJob, IssuerCertificateJob, KeyUsage
from shanfu.hsm.rules import CARD_PAIR
from shanfu.oda import PublicKey, make_icc_certificate, make_issuer_certificate
from shanfu.pan import PAN

__all__ = ["certify_card", "certify_issuer", "make_card_pair", "new_pair", "pair_check", "public_half"]


def new_pair(algorithm: Algorithm, *, bits: int, exponent: bytes) -> bytes:
    """Make a pair as it is kept: an RSAPrivateKey in DER, or the secret number of SM2 or P-256."""
    if algorithm is Algorithm.RSA:
        return RSAPrivateKey.generate(bits, exponent).encode()
    return SM2PrivateKey.generate().secret if algorithm is Algorithm.SM2 else P256Key.generate().secret


def public_half(key: OpenKey) -> PublicKey:
    """Return the public half of a pair."""
    return key.pair.public


def certify_issuer(bench: Bench, job: IssuerCertificateJob) -> dict[int, bytes]:
    """Return tags 8F, 90, 92 and 9F32 (SM2: 8F and 90); `KeyUseError` if `authority` is not the pair's public half."""
    pair = bench.use(job.ca, KeyUsage.CA_PAIR).pair
    return make_issuer_certificate(
        job.issuer, job.authority, issuer_id=job.issuer_id, expires=job.expires, serial=job.serial, sign=pair.sign
    )


def certify_card(bench: Bench, job: CardCertificateJob) -> dict[int, bytes]:
    """Return tags 9F46, 9F48 and 9F47 (SM2: 9F46)."""
    pair = bench.use(job.issuer, KeyUsage.ISSUER_PAIR).pair
    return make_icc_certificate(
        job.icc, pair.public, pan=PAN(job.pan), expires=job.expires, serial=job.serial, static=job.static, sign=pair.sign
    )


def make_card_pair(bench: Bench, job: CardPairJob) -> CardPair:
    """Make, certify and wrap a card's pair."""
    algorithm, kbpk = bench.use(job.issuer, KeyUsage.ISSUER_PAIR).algorithm, bench.use(job.under, KeyUsage.KBPK)
    key = new_pair(algorithm, bits=job.bits, exponent=job.exponent)
    public = (RSAPrivateKey.decode(key) if algorithm is Algorithm.RSA else SM2PrivateKey(key)).public
    certificate = CardCertificateJob(
        issuer=job.issuer, icc=public, pan=job.pan, expires=job.expires, serial=job.serial, static=job.static
    )
    usage, mode = CARD_PAIR
    header = KeyHeader(usage=usage, algorithm=algorithm.value, mode=mode, exportability="N")
    return CardPair(values=certify_card(bench, certificate), block=wrap(kbpk.protector, header, key))


def pair_check(key: OpenKey) -> bytes:
    """Return what shows a pair, or a P-256 key: SHA-256 of modulus and exponent, or of the point."""
    if key.algorithm is Algorithm.P256:
        return hashlib.sha256(key.signer.point).digest()
    public = public_half(key)
    shown = public.point if isinstance(public, SM2PublicKey) else public.modulus + public.exponent
    return hashlib.sha256(shown).digest()
