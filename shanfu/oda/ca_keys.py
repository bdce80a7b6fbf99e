"""The certification authority's public keys that a terminal trusts, and the issuer certificates that it no longer does.

A key is named by the RID of its payment system and the index that the card tells (8F). Keys come from the acquirer as
`iso8583.CAKeyRecord` (DE62 of a download); one whose check sum is wrong is refused. A test key is never used unless the
terminal is one for tests.

Called by terminals, by acquirers that hand keys out, and by `certificates.py`. Sources: EMV Book 2 5.2, 11.2 and B2.1,
UnionPay POS parameter download; JR/T 0025.17. Unverified: the check sum and the algorithm bytes of SM2 keys
(`checksum_of`, `ALGORITHMS`).
"""

import hashlib
import hmac
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Self

from shanfu.crypto import RSAPublicKey, SM2PublicKey, sm3
from shanfu.emv import UNIONPAY_RID
from shanfu.errors import DecodeError, Fault, IntegrityError
from shanfu.iso8583 import CAKeyRecord
from shanfu.oda.blocks import PublicKey, key_bytes
from shanfu.oda.results import Failure, Part, Reason

__all__ = ["CAKey", "CAKeys", "Revocation"]

RSA, SM2 = 1, 4  # DF07 of a download
ALGORITHMS: Final = {RSA: 1, SM2: 4}  # its DF06: SHA-1, SM3; in the wild SM2 keys come with several numbers
NEVER: Final = "00000000"  # DF05 of a key without a last day

# The indexes of UnionPay's test keys (RSA 08 to 0B, laboratory 80; SM2 18 and 57), known from public sample code
TEST_INDEXES: Final = {UNIONPAY_RID: frozenset({0x08, 0x09, 0x0A, 0x0B, 0x18, 0x57, 0x80})}


@dataclass(frozen=True, slots=True, kw_only=True)
class CAKey:
    """One key of a certification authority. `expires` is its last day, None for one that never ends.

    `DecodeError` for a RID that has not five bytes, or an index beyond one byte (EMV B2 11.2).
    """

    rid: bytes
    index: int
    key: PublicKey
    expires: date | None = None
    test: bool = False

    def __post_init__(self) -> None:
        if len(self.rid) != 5 or not 0 <= self.index <= 0xFF:
            what = f"RID of {len(self.rid)} bytes and index {self.index}, must be 5 bytes and 0 to 255"
            raise DecodeError(what, fault=Fault.LENGTH, path="CA key", spec="EMV B2 11.2")

    @classmethod
    def of_record(cls, record: CAKeyRecord) -> Self:
        """Take a downloaded key: `DecodeError` for what is no key, `IntegrityError` for a wrong check sum.

        Whether it is a test key its index tells.
        """
        key: PublicKey
        if record.key_algorithm == RSA:
            key = RSAPublicKey(record.modulus, record.exponent)
        elif record.key_algorithm == SM2:
            key = SM2PublicKey(record.modulus)
        else:
            what = f"{record.key_algorithm:02X} is no algorithm of ours"
            raise DecodeError(what, fault=Fault.UNKNOWN, path="CA key/DF07", spec="UnionPay POS")
        test = record.index in TEST_INDEXES.get(record.rid, ())
        found = cls(rid=record.rid, index=record.index, key=key, expires=_last_day(record.expires), test=test)
        if not hmac.compare_digest(found.checksum, record.checksum):
            raise IntegrityError(f"CA key {found.name}: wrong check sum (EMV B2 11.2)")
        return found

    @property
    def record(self) -> CAKeyRecord:
        """The key as an acquirer hands it out; `of_record` takes it back."""
        algorithm = SM2 if isinstance(self.key, SM2PublicKey) else RSA
        return CAKeyRecord(
            rid=self.rid,
            index=self.index,
            expires=f"{self.expires:%Y%m%d}" if self.expires else NEVER,
            modulus=key_bytes(self.key),
            checksum=self.checksum,
            exponent=b"" if isinstance(self.key, SM2PublicKey) else self.key.exponent,
            hash_algorithm=ALGORITHMS[algorithm],
            key_algorithm=algorithm,
        )

    @property
    def checksum(self) -> bytes:
        """What shows that the key came over unharmed (not from whom it came)."""
        return checksum_of(self.rid, self.index, self.key)

    @property
    def name(self) -> str:
        """How people name it, such as A000000333/80."""
        return f"{self.rid.hex().upper()}/{self.index:02X}"

    def refusal(self, today: date, *, allow_test: bool = False, sm: bool = True) -> Reason | None:
        """Say why this key is not to be used on that day, or None; without `sm` nobody there can compute SM2."""
        if self.test and not allow_test:
            return Reason.FOR_TESTS
        if isinstance(self.key, SM2PublicKey) and not sm:  # JR/T 0025.17: since PBOC 3.0
            return Reason.KEY_ALGORITHM
        # EMV B2 11.2: a terminal does not use a key beyond its date
        return Reason.EXPIRED if self.expires and today > self.expires else None


def checksum_of(rid: bytes, index: int, key: PublicKey) -> bytes:
    """Hash RID, index and the key's numbers: SHA-1 for RSA (EMV B2 11.2), for SM2 SM3 over the point (unverified)."""
    named = rid + bytes([index]) + key_bytes(key)
    if isinstance(key, SM2PublicKey):
        return sm3(named)
    return hashlib.sha1(named + key.exponent, usedforsecurity=False).digest()


def _last_day(digits: str) -> date | None:
    if digits == NEVER:
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise DecodeError("is no date", path="CA key/DF05", spec="UnionPay POS") from None


@dataclass(frozen=True, slots=True)
class Revocation:
    """One issuer certificate that is no longer good: the authority's key and the certificate's serial number (EMV B2 5.3)."""

    rid: bytes
    index: int
    serial: bytes


class CAKeys:
    """The keys that a terminal knows, and its list of revoked certificates; `add` replaces a key of the same name.

    It uses test keys only if told to (`allow_test`), keys for SM2 only if it has the SM algorithms (`sm`).
    """

    def __init__(
        self, keys: Iterable[CAKey] = (), *, revoked: Collection[Revocation] = (), allow_test: bool = False, sm: bool = True
    ) -> None:  # fmt: skip
        self._keys: dict[tuple[bytes, int], CAKey] = {}
        self._revoked = set(revoked)
        self.allow_test, self.sm = allow_test, sm
        for key in keys:
            self.add(key)

    def add(self, key: CAKey) -> None:
        """Know one more key."""
        self._keys[key.rid, key.index] = key

    def revoke(self, revocation: Revocation) -> None:
        """Trust one issuer certificate no longer."""
        self._revoked.add(revocation)

    def find(self, rid: bytes, index: int, *, today: date) -> CAKey | Failure:
        """Return the key to use, or why there is none (EMV B2 5.2)."""
        key = self._keys.get((rid, index))
        if key is None:
            return Failure(Part.CA_KEY, Reason.UNKNOWN)
        reason = key.refusal(today, allow_test=self.allow_test, sm=self.sm)
        return key if reason is None else Failure(Part.CA_KEY, reason)

    def is_revoked(self, key: CAKey, serial: bytes) -> bool:
        """Whether the issuer certificate with this serial number under that key is on the list (EMV B2 5.3 step 10)."""
        return Revocation(key.rid, key.index, serial) in self._revoked

    def __iter__(self) -> Iterator[CAKey]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)
