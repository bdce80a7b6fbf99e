"""What an HSM does towards devices that hold keys of their own: wrap for them, verify them, agree with them, speak in sessions.

Called by `soft`; the formulas are `shanfu.crypto.p256`, which the phone uses too.
"""

import os
from collections.abc import Sequence
from typing import Final

from shanfu.crypto import P256Key, SealKey, session_secret, valid_point, verify_signature, wrap_secret
from shanfu.errors import DecodeError, Fault, IntegrityError
from shanfu.hsm.bench import Bench
from shanfu.hsm.jobs import Algorithm, KeyBlock, KeyUsage
from shanfu.hsm.rules import header_for

__all__ = [
    "agree_session", "require_points", "seal_sessions", "unseal_sessions", "verify_signatures", "wrap_for_device",
]  # fmt: skip

NONCE_BYTES: Final = 12  # NIST SP 800-38D 8.2.2: random nonces


def wrap_for_device(items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bytes]:
    """Wrap each (point, plain, context)."""
    require_points([point for point, _, _ in items])
    return [wrap_secret(point, plain, context=context) for point, plain, context in items]


def require_points(points: Sequence[bytes]) -> None:
    """Refuse a batch in which a device's public key is none, before anything is computed."""
    for place, point in enumerate(points):
        if not valid_point(point):
            what = f"number {place} of the batch is no uncompressed point of P-256"
            raise DecodeError(what, fault=Fault.FORMAT, path="device key", spec="SEC 1 2.3.4")


def verify_signatures(jobs: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Verify each (point, data, signature); a point that is none has signed nothing."""
    return [_signed(point, data, signature) for point, data, signature in jobs]


def _signed(point: bytes, data: bytes, signature: bytes) -> bool:
    try:
        verify_signature(point, data, signature)
    except (DecodeError, IntegrityError):
        return False
    return True


def agree_session(bench: Bench, theirs: bytes, context: bytes) -> tuple[bytes, KeyBlock]:
    """Return our ephemeral point and the session's key; the ephemeral secret is forgotten here."""
    ours = P256Key.generate()
    secret = session_secret(ours, theirs, context=context + b"/" + theirs + ours.point)
    return ours.point, bench.store(header_for(KeyUsage.SESSION, Algorithm.AES), secret)


def seal_sessions(bench: Bench, jobs: Sequence[tuple[KeyBlock, bytes, bytes]]) -> list[bytes]:
    """Seal each (session key, plain, context): nonce ‖ ciphertext ‖ tag."""
    sealed = []
    for key, plain, context in jobs:
        nonce = os.urandom(NONCE_BYTES)
        sealed.append(nonce + bench.use(key, KeyUsage.SESSION).sealer.seal(nonce, plain, aad=context))
    return sealed


def unseal_sessions(bench: Bench, jobs: Sequence[tuple[KeyBlock, bytes, bytes]]) -> list[bytes | None]:
    """Open each (session key, sealed, context)."""
    sealers = [bench.use(key, KeyUsage.SESSION).sealer for key, _, _ in jobs]
    return [_opened(sealer, sealed, context) for sealer, (_, sealed, context) in zip(sealers, jobs, strict=True)]


def _opened(sealer: SealKey, sealed: bytes, context: bytes) -> bytes | None:
    try:
        return sealer.open(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad=context)
    except IntegrityError:
        return None
