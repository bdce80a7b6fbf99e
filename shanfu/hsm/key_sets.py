"""Key sets of phones: derived from a token issuer's master key, wrapped for one device, and verified again at a payment.

The token's key (option A) and the keys of the set exist here only, between two lines; what leaves is wrapped for the device
that asked. The bench's scratch cipher serves a batch: keyed anew for each token, each key, each tap. Called by `soft`.
Sources: `shanfu.crypto.luk`.
"""

from collections.abc import Sequence

from shanfu.crypto import Cipher, cryptogram_key, derive_key, pan_block, udk_option_a, wrap_secret
from shanfu.errors import DecodeError, Fault, KeyUseError
from shanfu.hsm.bench import Bench, OpenKey
from shanfu.hsm.devices import require_points
from shanfu.hsm.jobs import Algorithm, ARQCCheck, KeyScheme, KeySetJob, KeyUsage
from shanfu.tokens import key_index_text

__all__ = ["derive_key_sets", "token_session"]

LIMIT_KEYS = 1_000  # of one set: a set is worth little because it is small; a policy asks for some ten
LAST_ATC = 0xFFFF


def derive_key_sets(bench: Bench, jobs: Sequence[KeySetJob]) -> list[bytes]:
    """Return the keys of each set, wrapped; every job is checked before the first is worked."""
    require_points([job.wrap_key for job in jobs])
    for job in jobs:
        _require_sound(job)
    masters = {block: _master(bench.use(block, KeyUsage.IMK_AC)) for block in dict.fromkeys(job.imk for job in jobs)}
    udk, wrapped = bench.scratch, []
    for job in jobs:
        udk.rekey(udk_option_a(masters[job.imk], job.pan, job.psn))
        keys = b"".join(derive_key(job.scheme, udk, diversifier) for diversifier in _diversifiers(job))
        wrapped.append(wrap_secret(job.wrap_key, keys, context=job.context))
    return wrapped


def token_session(bench: Bench, key: OpenKey, job: ARQCCheck) -> bytes | None:
    """Return the key under which a phone's cryptogram of this job should be, None for a diversifier that is no index."""
    assert job.scheme is not None
    udk = bench.scratch
    udk.rekey(udk_option_a(_master(key), job.pan, job.psn))
    diversifier = job.atc.to_bytes(2) if job.scheme is KeyScheme.SUK else job.diversifier
    try:
        limited = derive_key(job.scheme, udk, diversifier)
    except DecodeError:
        return None
    return cryptogram_key(job.scheme, limited, job.atc, scratch=bench.scratch)


def _diversifiers(job: KeySetJob) -> list[bytes]:
    if job.scheme is KeyScheme.SUK:
        return [atc.to_bytes(2) for atc in range(job.atc_first, job.atc_last + 1)]
    return [job.index]


def _master(key: OpenKey) -> Cipher:
    if key.usage is not KeyUsage.IMK_AC or key.algorithm is not Algorithm.TDES:
        what = f"{key.usage.name} key: is of {key.algorithm.name}"
        raise KeyUseError(f"{what}, limited-use keys are derived from a 3DES master key IMK_AC")
    return key.cipher


def _require_sound(job: KeySetJob) -> None:
    pan_block(job.pan, job.psn)
    key_index_text(job.index)
    count = job.atc_last - job.atc_first + 1
    if not (0 < job.atc_first <= job.atc_last <= LAST_ATC and count <= LIMIT_KEYS):
        what = f"{job.atc_first} to {job.atc_last}, ATCs are 1 to {LAST_ATC} and a set has at most {LIMIT_KEYS}"
        raise DecodeError(what, fault=Fault.LIMIT, path="key set")
