"""An HSM in software: the same door as a real one, keys at rest as key blocks under its LMK.

The rack's box for laptops, tests and closed loops. It keeps no key store: hosts hand it their blocks, it opens them, checks
usage and mode, works, and forgets what is least used. What it does keep is the proofs of cryptograms just verified: each
buys one ARPC and only for that ARQC, so no host can ask for the answer to a false one.

**It guards against the theft of a database and the curiosity of operators, not against the superuser**: keys lie in the
process's memory. PCI PIN asks for a tamper-resistant device; a production host puts one behind this Protocol.
Asked by hosts (network, issuer, acquirer), by the PIN pad's maker and the sandbox. Sources: see `protocol`.
"""

import hmac
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from shanfu.crypto import (
    KeyHeader,
    cbc_mac,
    cmac,
    combine,
    ecb_mac,
    left4_text,
    odd_parity,
    session_key_pboc,
    sm4_cbc_mac,
    udk_option_a,
    valid_point,
)
from shanfu.errors import DecodeError, Fault, IntegrityError, KeyUseError
from shanfu.hsm import card_codes, devices, key_sets, pairs, pins, scripts
from shanfu.hsm.bench import Bench, OpenKey, wrap
from shanfu.hsm.jobs import (
    Algorithm,
    ARQCCheck,
    CardCertificateJob,
    CardPair,
    CardPairJob,
    CVVJob,
    IssuerCertificateJob,
    KeyBlock,
    KeySetJob,
    KeyUsage,
    MACAlgorithm,
    MACJob,
    PINCheck,
    PINTranslation,
    PINVerdict,
    Proof,
    ScriptJob,
    WorkingKey,
)
from shanfu.hsm.lmk import LMK
from shanfu.hsm.rules import CARD_KEY_USAGE, NEW_KEY_BYTES, header_for, require_algorithm, require_shareable, strong_enough
from shanfu.oda import PublicKey, make_static_signature

__all__ = ["SoftHSM"]

LIMIT_PROOFS = 10_000  # verified and not yet answered; a host answers within its turn, the oldest are of crashed turns
LIMIT_RANDOM_BYTES = 1_024
TICKET_BYTES = 16  # a proof cannot be guessed
NONCE_BYTES = 12  # NIST SP 800-38D 8.2.2: random nonces
LOOKUP_HEX = 32
RIGHT = Proof(b"")  # of a final cryptogram: no ticket is empty, so it buys nothing

TDES, SM4 = Algorithm.TDES, Algorithm.SM4
PAIRS = frozenset({Algorithm.P256, Algorithm.RSA, Algorithm.SM2})
PAIR_BITS = 1408  # of an RSA pair when nobody says: UnionPay's issuers have 1152 to 1984
SEALING = (KeyUsage.SEAL, KeyUsage.VAULT, KeyUsage.SESSION)

# fmt: off
MACS: dict[MACAlgorithm, tuple[frozenset[Algorithm], Callable[[OpenKey, bytes], bytes]]] = {
    MACAlgorithm.SM4_CBC:      (frozenset({SM4}),       lambda key, data: left4_text(sm4_cbc_mac(key.cipher, data))),
    MACAlgorithm.UNIONPAY_ECB: (frozenset({SM4, TDES}), lambda key, data: ecb_mac(key.cipher, data)),
    MACAlgorithm.X9_19:        (frozenset({TDES}),      lambda key, data: left4_text(key.retail.mac(data, padding=1))),
    MACAlgorithm.X9_9:         (frozenset({TDES}),      lambda key, data: left4_text(cbc_mac(key.left, data, padding=1))),
}
# fmt: on


class SoftHSM:
    """`HSM` over an LMK; may be asked from several threads.

    `pin_downgrade` lets a PIN block under SM4 become one under 3DES, for a network whose members are not all of one age;
    without it such a translation is a `KeyUseError`.
    """

    def __init__(self, lmk: LMK, *, pin_downgrade: bool = False) -> None:
        self._lmk, self._pin_downgrade = lmk, pin_downgrade
        self._threads = threading.local()
        self._proofs: OrderedDict[bytes, tuple[ARQCCheck, bytes]] = OrderedDict()
        self._proofs_lock = threading.Lock()

    def __repr__(self) -> str:
        return "SoftHSM()"

    @property
    def _bench(self) -> Bench:
        bench: Bench | None = getattr(self._threads, "bench", None)
        if bench is None:
            bench = self._threads.bench = Bench(self._lmk)
        return bench

    # Messages

    def verify_macs(self, jobs: Sequence[tuple[MACJob, bytes]]) -> list[bool]:
        """Say for each job whether its 8-byte MAC is right, comparing in constant time."""
        macs = self.make_macs([job for job, _ in jobs])
        return [hmac.compare_digest(mac, given) for mac, (_, given) in zip(macs, jobs, strict=True)]

    def make_macs(self, jobs: Sequence[MACJob]) -> list[bytes]:
        """Return the 8 ASCII bytes of DE64 / DE128 for each job."""
        bench = self._bench
        opened = {block: bench.use(block, KeyUsage.MAK) for block in dict.fromkeys(job.key for job in jobs)}
        return [_mac(opened[job.key], job) for job in jobs]

    # PINs

    def translate_pins(self, jobs: Sequence[PINTranslation]) -> list[bytes | None]:
        """Return each block under its new key, None for one that cannot be read; a forbidden change is a KeyUseError."""
        bench, downgrade_allowed = self._bench, self._pin_downgrade
        return [pins.translate(bench, job, downgrade_allowed=downgrade_allowed) for job in jobs]

    def verify_pins(self, jobs: Sequence[PINCheck]) -> list[PINVerdict]:
        """Compare the PIN of each block with its PVV."""
        return [pins.verify_pin(self._bench, job) for job in jobs]

    def make_pvv(self, job: PINCheck) -> str:
        """Return the PVV of the PIN inside a block; a block that cannot be read is a DecodeError."""
        return pins.make_pvv(self._bench, job)

    # Cryptograms

    def verify_arqcs(self, jobs: Sequence[ARQCCheck]) -> list[Proof | None]:
        """Return a one-time proof for each right cryptogram, None for each wrong one."""
        bench = self._bench
        blocks = dict.fromkeys(job.imk for job in jobs)
        opened = {block: bench.use(block, KeyUsage.IMK_AC, KeyUsage.UDK_AC) for block in blocks}
        return self._prove(jobs, [_right_session(bench, opened[job.imk], job) for job in jobs])

    def _prove(self, jobs: Sequence[ARQCCheck], sessions: Sequence[bytes | None]) -> list[Proof | None]:
        """Keep the session keys of right cryptograms under fresh tickets; one call for randomness serves the batch."""
        tickets = os.urandom(TICKET_BYTES * len(jobs))
        proofs: list[Proof | None] = []
        with self._proofs_lock:
            for place, (job, session) in enumerate(zip(jobs, sessions, strict=True)):
                if session is None or job.final:
                    proofs.append(None if session is None else RIGHT)
                    continue
                ticket = tickets[TICKET_BYTES * place : TICKET_BYTES * (place + 1)]
                self._proofs[ticket] = (job, session)
                proofs.append(Proof(ticket))
            while len(self._proofs) > LIMIT_PROOFS:
                self._proofs.popitem(last=False)
        return proofs

    def make_arpcs(self, jobs: Sequence[tuple[Proof, bytes]]) -> list[bytes]:
        """Spend each proof on one ARPC; if any is unknown, spent or doubled, none is spent and it is a KeyUseError."""
        tickets = [proof.ticket for proof, _ in jobs]
        with self._proofs_lock:
            spent = [kept for ticket in tickets if (kept := self._proofs.get(ticket))]
            if len(spent) != len(set(tickets)) or len(spent) != len(tickets):
                raise KeyUseError("proof of a cryptogram: is spent, or of another HSM; verify the ARQC first")
            for ticket in tickets:
                del self._proofs[ticket]
        bench = self._bench
        return [
            bench.cryptograms[proved.algorithm].arpc(session, cryptogram=proved.arqc, arc=arc)
            for (proved, session), (_, arc) in zip(spent, jobs, strict=True)
        ]

    def make_scripts(self, jobs: Sequence[ScriptJob]) -> list[bytes | None]:
        """Return a script command for each proof, which is not spent; None where a new PIN's block cannot be read."""
        with self._proofs_lock:
            proved = [kept[0] for job in jobs if (kept := self._proofs.get(job.proof.ticket))]
        if len(proved) != len(jobs):
            raise KeyUseError("proof of a cryptogram: is spent, final or of another HSM; scripts come before the ARPC")
        return [scripts.make_script(self._bench, job, check) for job, check in zip(jobs, proved, strict=True)]

    # Card codes

    def verify_cvvs(self, jobs: Sequence[tuple[CVVJob, str]]) -> list[bool]:
        """Say for each job whether its 3 digits are right, comparing in constant time."""
        return [card_codes.verify_cvv(self._bench, job, digits) for job, digits in jobs]

    def make_cvv(self, job: CVVJob) -> str:
        """Return the 3 digits of a card code."""
        return card_codes.make_cvv(self._bench, job)

    # Books

    def seal(self, key: KeyBlock, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Encrypt each (plain, context) with AES-256-GCM: nonce ‖ ciphertext ‖ tag."""
        sealer = self._bench.use(key, *SEALING).sealer
        nonces = [os.urandom(NONCE_BYTES) for _ in items]
        return [nonce + sealer.seal(nonce, plain, aad=context) for nonce, (plain, context) in zip(nonces, items, strict=True)]

    def unseal(self, key: KeyBlock, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Open each (sealed, context); a changed byte or another context is an IntegrityError."""
        sealer = self._bench.use(key, *SEALING).sealer
        return [sealer.open(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad=context) for sealed, context in items]

    def seal_sessions(self, jobs: Sequence[tuple[KeyBlock, bytes, bytes]]) -> list[bytes]:
        """Encrypt each (SESSION key, plain, context)."""
        return devices.seal_sessions(self._bench, jobs)

    def unseal_sessions(self, jobs: Sequence[tuple[KeyBlock, bytes, bytes]]) -> list[bytes | None]:
        """Open each (SESSION key, sealed, context), None for a false one."""
        return devices.unseal_sessions(self._bench, jobs)

    def lookup(self, key: KeyBlock, items: Sequence[bytes]) -> list[str]:
        """Return HMAC-SHA-256 of each item, its first 32 hex characters."""
        mac = self._bench.use(key, KeyUsage.LOOKUP).hasher.mac
        return [mac(item).hex()[:LOOKUP_HEX] for item in items]

    # Devices

    def derive_key_sets(self, jobs: Sequence[KeySetJob]) -> list[bytes]:
        """Return each key set wrapped for its device; one bad job refuses the batch before any key is derived."""
        return key_sets.derive_key_sets(self._bench, jobs)

    def wrap_for_device(self, items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bytes]:
        """Wrap each (point, plain, context) for the device with that key."""
        return devices.wrap_for_device(items)

    def valid_points(self, points: Sequence[bytes]) -> list[bool]:
        """Say for each whether it is a P-256 public key."""
        return [valid_point(point) for point in points]

    def verify_signatures(self, jobs: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
        """Say for each (point, data, signature) whether it is right."""
        return devices.verify_signatures(jobs)

    def sign(self, key: KeyBlock, data: bytes) -> bytes:
        """Sign under a SIGN key: r ‖ s."""
        return self._bench.use(key, KeyUsage.SIGN).signer.sign(data)

    def public_key(self, key: KeyBlock) -> bytes:
        """Return the 65-byte point of a SIGN key."""
        return self._bench.use(key, KeyUsage.SIGN).signer.point

    def agree_session(self, theirs: bytes, context: bytes) -> tuple[bytes, KeyBlock]:
        """Return a fresh ephemeral point and the SESSION key agreed with theirs."""
        return devices.agree_session(self._bench, theirs, context)

    # Keys

    def generate(self, usage: KeyUsage, algorithm: Algorithm, *, exportable: bool = False) -> KeyBlock:
        """Make a random key; DES keys have odd parity and two different halves."""
        if exportable:
            require_shareable(usage)
        if algorithm in PAIRS:
            return self.generate_pair(usage, algorithm)
        key = os.urandom(NEW_KEY_BYTES[algorithm])
        return self._store(usage, algorithm, odd_parity(key) if algorithm is TDES else key, "E" if exportable else None)

    def generate_pair(
        self, usage: KeyUsage, algorithm: Algorithm, *, bits: int = PAIR_BITS, exponent: bytes = b"\x03"
    ) -> KeyBlock:
        """Make a random pair; `bits` and `exponent` are RSA's."""
        require_algorithm(usage, algorithm)
        return self._store(usage, algorithm, pairs.new_pair(algorithm, bits=bits, exponent=exponent))

    def public_part(self, key: KeyBlock) -> PublicKey:
        """Return the public half of a CA_PAIR or an ISSUER_PAIR."""
        return pairs.public_half(self._bench.use(key, KeyUsage.CA_PAIR, KeyUsage.ISSUER_PAIR))

    def certify_issuer(self, job: IssuerCertificateJob) -> dict[int, bytes]:
        """Return an issuer's certificate as tags 8F, 90, 92 and 9F32."""
        return pairs.certify_issuer(self._bench, job)

    def certify_card(self, job: CardCertificateJob) -> dict[int, bytes]:
        """Return a card's certificate as tags 9F46, 9F48 and 9F47."""
        return pairs.certify_card(self._bench, job)

    def sign_static(self, issuer: KeyBlock, *, static: bytes, code: bytes) -> dict[int, bytes]:
        """Return a card's signed static data, tag 93."""
        pair = self._bench.use(issuer, KeyUsage.ISSUER_PAIR).pair
        return make_static_signature(pair.public, static=static, code=code, sign=pair.sign)

    def make_card_pair(self, job: CardPairJob) -> CardPair:
        """Return a fresh pair, certified, its private half under the personalisation KBPK."""
        return pairs.make_card_pair(self._bench, job)

    def form(self, usage: KeyUsage, algorithm: Algorithm, components: Sequence[bytes]) -> KeyBlock:
        """Form a key from two or three full-length components."""
        return self._store(usage, algorithm, combine(list(components)))

    def _store(self, usage: KeyUsage, algorithm: Algorithm, key: bytes, exportability: str | None = None) -> KeyBlock:
        return self._bench.store(header_for(usage, algorithm, exportability=exportability), key)

    def check_value(self, key: KeyBlock, length: int = 3) -> bytes:
        """Return the first 3 to 8 bytes of E_key(zeros); of the CMAC for AES, of a hash for HMAC keys and pairs.

        HMAC-SHA-256 of nothing shows an HMAC key, SHA-256 of its public half a pair.
        """
        if not 3 <= length <= 8:
            raise DecodeError(f"{length} bytes, 3 to 8 are shown", fault=Fault.LIMIT, path="key check value")
        opened = self._bench.any_use(key)
        if opened.algorithm is Algorithm.HMAC:
            return hmac.digest(opened.key, b"", "sha256")[:length]
        if opened.algorithm in PAIRS:
            return pairs.pair_check(opened)[:length]
        zeros = bytes(opened.cipher.block_bytes)
        return (cmac(opened.cipher, zeros) if opened.algorithm is Algorithm.AES else opened.cipher.encrypt(zeros))[:length]

    def export_working_key(self, key: KeyBlock, under: KeyBlock, check_length: int = 4) -> WorkingKey:
        """Encrypt a PIK or MAK under a KEK (ECB), with its check value."""
        bench = self._bench
        working, kek = bench.use(key, KeyUsage.PIK, KeyUsage.MAK), bench.use(under, KeyUsage.KEK)
        _may_leave(working)
        strong_enough(kek.algorithm, working.algorithm)
        return WorkingKey(cryptogram=kek.cipher.encrypt(working.key), check=self.check_value(key, check_length))

    def import_working_key(self, received: WorkingKey, under: KeyBlock, usage: KeyUsage, algorithm: Algorithm) -> KeyBlock:
        """Take a PIK or MAK from under a KEK; it may not leave again."""
        kek = self._bench.use(under, KeyUsage.KEK)
        if usage not in (KeyUsage.PIK, KeyUsage.MAK):
            raise KeyUseError(f"{usage.name}: is no working key; PIK and MAK travel under a KEK")
        strong_enough(kek.algorithm, algorithm)
        block = self._store(usage, algorithm, kek.cipher.decrypt(received.cryptogram), exportability="N")
        size = len(received.check)
        if size and not (3 <= size <= 8 and hmac.compare_digest(self.check_value(block, size), received.check)):
            raise IntegrityError(f"{usage.name} from the wire: the check value differs, it is under another key")
        return block

    def export_block(self, key: KeyBlock, under: KeyBlock) -> str:
        """Return an exportable key as a version D block under a shared KBPK; there it may not be exported again."""
        bench = self._bench
        leaving, kbpk = bench.any_use(key), bench.use(under, KeyUsage.KBPK)
        _may_leave(leaving)
        return wrap(kbpk.protector, header_for(leaving.usage, leaving.algorithm, exportability="N"), leaving.key)

    def import_block(self, block: str, under: KeyBlock) -> KeyBlock:
        """Take a version D block from under a shared KBPK, its header as the sender sealed it."""
        header, key = self._bench.use(under, KeyUsage.KBPK).protector.unwrap(block)
        return self._bench.store(header, key)

    def derive_card_key(self, imk: KeyBlock, under: KeyBlock, *, pan: str, psn: str) -> str:
        """Return a card's key of a master key (option A) as a block under the personalisation KBPK."""
        bench = self._bench
        master, kbpk = bench.use(imk, *CARD_KEY_USAGE), bench.use(under, KeyUsage.KBPK)
        usage, mode = CARD_KEY_USAGE[master.usage]
        header = KeyHeader(usage=usage, algorithm=master.algorithm.value, mode=mode, exportability="N")
        return wrap(kbpk.protector, header, udk_option_a(master.cipher, pan, psn))

    def random(self, length: int) -> bytes:
        """Return random bytes of the operating system, at most 1,024."""
        if not 0 < length <= LIMIT_RANDOM_BYTES:
            raise DecodeError(f"{length} bytes, 1 to {LIMIT_RANDOM_BYTES} at a time", fault=Fault.LIMIT, path="random")
        return os.urandom(length)


def _mac(key: OpenKey, job: MACJob) -> bytes:
    algorithms, compute = MACS[job.algorithm]
    if key.algorithm not in algorithms:
        raise KeyUseError(f"MAK of {key.algorithm.name}: cannot compute {job.algorithm.value}")
    return compute(key, job.data)


def _right_session(bench: Bench, key: OpenKey, job: ARQCCheck) -> bytes | None:
    """Return the session key under which the cryptogram is right, None when it is not."""
    if key.algorithm is not job.algorithm:
        raise KeyUseError(f"{key.usage.name} key: is of {key.algorithm.name}, the cryptogram of {job.algorithm.name}")
    cryptograms = bench.cryptograms[job.algorithm]
    session: bytes | None
    if job.scheme is not None:
        session = key_sets.token_session(bench, key, job)
    elif key.usage is KeyUsage.IMK_AC:
        session = cryptograms.session_key(key.cipher, pan=job.pan, psn=job.psn, atc=job.atc)
    else:
        session = session_key_pboc(key.cipher, job.atc)
    if session is None:
        return None
    try:
        cryptograms.verify(session, data=job.data, cryptogram=job.arqc)
    except IntegrityError:
        return None
    return session


def _may_leave(key: OpenKey) -> None:
    if key.header.exportability == "N":
        raise KeyUseError(f"{key.usage.name} key: is not exportable (X9.143 table 5)")
