"""Key sets of phones: derived from a token issuer's master key, wrapped for one device, and verified again at a payment.

The token's key (option A) and the keys of the set exist here only, between two lines; what leaves is wrapped for the device
that asked. One schedule context serves a batch: re-keyed for each token and each key. Called by `soft`. Sources:
`shanfu.crypto.luk`.
"""

from collections.abc import Sequence

from shanfu.crypto import Algorithm as CipherAlgorithm
from shanfu.crypto import Cipher, cryptogram_key, derive_key, udk_option_a, wrap_secret
from shanfu.errors import DecodeError, Fault, KeyUseError
from shanfu.hsm.bench import Bench, OpenKey
from shanfu.hsm.protocol import Algorithm, ARQCCheck, KeyScheme, KeySetJob, KeyUsage

__all__ = ["derive_key_sets", "token_session"]

LIMIT_KEYS = 1_000  # of one set: a set is worth little because it is small; a policy asks for some ten
LAST_ATC = 0xFFFF


def derive_key_sets(bench: Bench, jobs: Sequence[KeySetJob]) -> list[bytes]:
    """Return the keys of each set, wrapped; every job is checked before the first is worked."""
    masters = {job.imk: _master(bench.use(job.imk, KeyUsage.IMK_AC)) for job in jobs}
    for job in jobs:
        _require_range(job)
    udk = Cipher(CipherAlgorithm.TDES, bytes(16))
    wrapped = []
    for job in jobs:
        udk.rekey(udk_option_a(masters[job.imk], job.pan, job.psn))
        keys = b"".join(derive_key(job.scheme, udk, diversifier) for diversifier in _diversifiers(job))
        wrapped.append(wrap_secret(job.wrap_key, keys, context=job.context))
    return wrapped


def token_session(key: OpenKey, job: ARQCCheck) -> bytes | None:
    """Return the key under which a phone's cryptogram of this job should be, None for a diversifier that is no index."""
    assert job.scheme is not None
    if key.usage is KeyUsage.IMK_AC:
        udk = Cipher(CipherAlgorithm.TDES, udk_option_a(_master(key), job.pan, job.psn))
    else:
        udk = _master(key)
    diversifier = job.atc.to_bytes(2) if job.scheme is KeyScheme.SUK else job.diversifier
    try:
        limited = derive_key(job.scheme, udk, diversifier)
    except DecodeError:
        return None
    return cryptogram_key(job.scheme, limited, job.atc)


def _diversifiers(job: KeySetJob) -> list[bytes]:
    if job.scheme is KeyScheme.SUK:
        return [atc.to_bytes(2) for atc in range(job.atc_first, job.atc_last + 1)]
    return [job.index]


def _master(key: OpenKey) -> Cipher:
    if key.algorithm is not Algorithm.TDES:
        raise KeyUseError(f"{key.usage.name} key: is of {key.algorithm.name}, limited-use keys are derived with 3DES")
    return key.cipher


def _require_range(job: KeySetJob) -> None:
    count = job.atc_last - job.atc_first + 1
    if not (0 < job.atc_first <= job.atc_last <= LAST_ATC and count <= LIMIT_KEYS):
        what = f"{job.atc_first} to {job.atc_last}, ATCs are 1 to {LAST_ATC} and a set has at most {LIMIT_KEYS}"
        raise DecodeError(what, fault=Fault.LIMIT, path="key set")
