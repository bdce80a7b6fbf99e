"""What an HSM does with PINs: move a block from one key to another, compare one with its PVV, read one for a script.

A PIN is in clear here only, between two lines; every fault of decoding has one answer. Called by `soft` and `scripts`.
Sources: ISO 9564-1 (blocks), PCI PIN (translations), Visa PTSM (PVV).
"""

import hmac
import os
import secrets

from shanfu.crypto import PIN, PinFormat, decipher_pin, encipher_pin, translation_refusal, visa_pvv
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from shanfu.hsm.bench import Bench
from shanfu.hsm.jobs import KeyBlock, KeyUsage, PINBlockFormat, PINCheck, PINTranslation, PINVerdict

__all__ = ["FORMATS", "make_pvv", "read_pin", "translate", "verify_pin"]

NONCE_BYTES = 12  # of a record that the vault sealed, NIST SP 800-38D 8.2.2

FORMATS = {
    PINBlockFormat.ISO_0: PinFormat.ISO0,
    PINBlockFormat.ISO_1: PinFormat.ISO1,
    PINBlockFormat.ISO_3: PinFormat.ISO3,
    PINBlockFormat.SM4_X98: PinFormat.SM4_X98,
    PINBlockFormat.X98_NO_PAN: PinFormat.X98_NO_PAN,
}


def translate(bench: Bench, job: PINTranslation, *, downgrade_allowed: bool) -> bytes | None:
    """Return a block under its new key, None for one that cannot be read; a forbidden change is a KeyUseError."""
    old, new = FORMATS[job.from_format], FORMATS[job.to_format]
    refusal = translation_refusal(old, new, same_pan=True, downgrade_allowed=downgrade_allowed)
    if refusal:
        raise KeyUseError(f"PIN block {job.from_format.value} to {job.to_format.value}: {refusal} (PCI PIN)")
    source, target = bench.use(job.from_key, KeyUsage.PIK), bench.use(job.to_key, KeyUsage.PIK)
    try:
        pin = decipher_pin(source.cipher, old, job.block, pan=job.pan)
        return encipher_pin(target.cipher, new, pin, pan=_account(bench, job), fill=_fill(new))
    except (DecodeError, IntegrityError):
        return None


def verify_pin(bench: Bench, job: PINCheck) -> PINVerdict:
    """Compare the PIN of a block with its PVV."""
    try:
        pvv = make_pvv(bench, job)
    except DecodeError:
        return PINVerdict.UNREADABLE
    return PINVerdict.RIGHT if hmac.compare_digest(pvv.encode(), job.pvv.encode()) else PINVerdict.WRONG


def make_pvv(bench: Bench, job: PINCheck) -> str:
    """Return the PVV of the PIN inside a block; a block that cannot be read is a DecodeError."""
    pin = read_pin(bench, job.block, key=job.key, form=job.format, pan=job.pan)
    if not (job.pvki.isascii() and job.pvki.isdecimal()):
        raise KeyUseError("PVKI: is no digit (Visa PTSM)")
    return visa_pvv(bench.use(job.pvk, KeyUsage.PVK).cipher, pin, pan=job.pan, pvki=int(job.pvki))


def read_pin(bench: Bench, block: bytes, *, key: KeyBlock, form: PINBlockFormat, pan: str) -> PIN:
    """Return the PIN inside a block under a PIK, for use in here; `DecodeError` when there is none to be read."""
    return decipher_pin(bench.use(key, KeyUsage.PIK).cipher, FORMATS[form], block, pan=pan)


def _account(bench: Bench, job: PINTranslation) -> str:
    """Return the number that the outgoing block is for: the PAN in the vault's record of the token, if there is one."""
    if job.account is None:
        return job.pan
    record, sealer = job.account.sealed, bench.use(job.account.key, KeyUsage.VAULT).sealer
    return sealer.open(record[:NONCE_BYTES], record[NONCE_BYTES:], aad=b"token/" + job.pan.encode()).decode("ascii", "replace")


def _fill(form: PinFormat) -> str:
    """Return the random nibbles that a format takes."""
    if form is PinFormat.ISO3:
        return "".join(secrets.choice("ABCDEF") for _ in range(16))
    return os.urandom(8).hex().upper() if form.needs_fill else ""
