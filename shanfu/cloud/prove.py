"""What the key cloud asks its HSM: one call for each kind of proof in a turn.

Signatures of phones, bodies of sessions, token numbers from the token service, key sets, wrapped profiles. No key is ever here
in the clear; a token's number is for the moment between opening it and deriving from it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from shanfu.errors import IntegrityError
from shanfu.hsm import HSM, KeyBlock, Keyring, KeySetJob

__all__ = ["SIGN", "Prover", "SealedBody", "imk_label", "numbers_label"]

SIGN = "sign"


def numbers_label(trid: str) -> str:
    """Return the key label under which token numbers travel between the service and this requestor.

    >>> numbers_label("90100000001")
    'pan/90100000001'
    """
    return f"pan/{trid}"


def imk_label(number: str, dki: int) -> str:
    """Return the key label of the issuer master key of a token's range.

    >>> imk_label("6250940000000019", 1)
    'token-imk/625094/01'
    """
    return f"token-imk/{number[:6]}/{dki:02X}"


@dataclass(frozen=True, slots=True)
class SealedBody:
    """A body of a session, sealed or to be sealed."""

    key: KeyBlock = field(repr=False)
    body: bytes = field(repr=False)
    context: bytes


class Prover:
    """The HSM as the cloud asks it."""

    def __init__(self, hsm: HSM) -> None:
        self.hsm = hsm

    def signatures(self, jobs: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
        """Say for each (point, data, signature) whether it is right."""
        return self.hsm.verify_signatures(jobs) if jobs else []

    def open_bodies(self, bodies: Sequence[SealedBody]) -> list[bytes | None]:
        """Open each body under its session's key; None for one that was changed, or sealed for another call."""
        return self.hsm.unseal_sessions([(one.key, one.body, one.context) for one in bodies]) if bodies else []

    def seal_bodies(self, bodies: Sequence[SealedBody]) -> list[bytes]:
        """Seal each body under its session's key."""
        return self.hsm.seal_sessions([(one.key, one.body, one.context) for one in bodies]) if bodies else []

    def numbers(self, keys: Keyring, sealed: Sequence[tuple[str, str, str]]) -> list[str | None]:
        """Open the token number of each (TRID, token reference, sealed hex); None where it does not open."""
        found: list[str | None] = [None] * len(sealed)
        by_trid = defaultdict[str, list[int]](list)
        for place, (trid, _, _) in enumerate(sealed):
            by_trid[trid].append(place)
        keys.load(numbers_label(trid) for trid in by_trid)
        for trid, places in by_trid.items():
            jobs = [(_octets(sealed[place][2]), b"token/" + sealed[place][1].encode()) for place in places]
            for key in keys.candidates(numbers_label(trid)):
                for place, plain in zip(places, self._unsealed(key, jobs), strict=True):
                    found[place] = found[place] or (plain.decode("ascii", "replace") if plain is not None else None)
        return found

    def _unsealed(self, key: KeyBlock, jobs: Sequence[tuple[bytes, bytes]]) -> Sequence[bytes | None]:
        """Open all at once; when one of them is wrong, one by one, so that it spoils no other."""
        try:
            return self.hsm.unseal(key, jobs)
        except IntegrityError:
            return [self._one(key, job) for job in jobs]

    def _one(self, key: KeyBlock, job: tuple[bytes, bytes]) -> bytes | None:
        try:
            return self.hsm.unseal(key, [job])[0]
        except IntegrityError:
            return None

    def key_sets(self, jobs: Sequence[KeySetJob]) -> list[bytes]:
        """Derive each key set, wrapped for its device."""
        return self.hsm.derive_key_sets(jobs) if jobs else []


def _octets(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
