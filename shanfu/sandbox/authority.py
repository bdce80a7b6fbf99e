"""The payment system's certification authority and the banks' certificates, as the sandbox makes them.

The network holds the authority's pairs, RSA and SM2, in its security module, each bank its own; each BIN of a bank has a
certificate. Terminals learn the authority's public halves from their acquirers. Source: EMV Book 2 5.1, JR/T 0025.17.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from shanfu.emv import UNIONPAY_RID
from shanfu.hsm import HSM, Algorithm, IssuerCertificateJob, KeyBlock, KeyUsage
from shanfu.oda import CAKey

__all__ = ["Authority", "IssuerChain", "pair_label"]

INDEXES: Final = {Algorithm.RSA: 0x60, Algorithm.SM2: 0x61}  # no key of the real payment system has them
CA_EXPIRES, ISSUER_EXPIRES = date(2039, 12, 31), date(2035, 12, 31)
CA_BITS = ISSUER_BITS = 1408


def pair_label(algorithm: Algorithm) -> str:
    """Return the label of an institution's pair in its keyring.

    >>> pair_label(Algorithm.RSA)
    'pair/rsa'
    """
    return f"pair/{algorithm.name.lower()}"


@dataclass(frozen=True, slots=True)
class IssuerChain:
    """A bank's pair and the certificate of one of its BINs (tags 8F, 90, 92, 9F32)."""

    pair: KeyBlock
    values: Mapping[int, bytes]


class Authority:
    """The authority's pairs by algorithm, and how many certificates it has given."""

    def __init__(self, hsm: HSM) -> None:
        self._hsm = hsm
        self.pairs = {one: hsm.generate_pair(KeyUsage.CA_PAIR, one, bits=CA_BITS) for one in INDEXES}
        self.keys = [self._key(one) for one in INDEXES]
        self._given = 0

    def _key(self, algorithm: Algorithm) -> CAKey:
        public = self._hsm.public_part(self.pairs[algorithm])
        return CAKey(rid=UNIONPAY_RID, index=INDEXES[algorithm], key=public, expires=CA_EXPIRES)

    def serial(self) -> bytes:
        """Return a certificate's number, which nobody had before."""
        self._given += 1
        return self._given.to_bytes(3)

    def certify(self, bank: HSM, pair: KeyBlock, algorithm: Algorithm, prefix: str) -> IssuerChain:
        """Certify a bank's public half for a BIN."""
        job = IssuerCertificateJob(
            ca=self.pairs[algorithm], authority=self._key(algorithm), issuer=bank.public_part(pair), issuer_id=prefix,
            expires=ISSUER_EXPIRES, serial=self.serial(),
        )  # fmt: skip
        return IssuerChain(pair, self._hsm.certify_issuer(job))
