"""MACs of messages: proved for a whole batch at once, made for a whole turn at once.

An interbank message is authenticated with the algorithm of its link's key (X9.19 under 3DES, CBC under SM4). One that
announces the other algorithm in DE60, whose type has no MAC, or whose DE128 is not eight characters cannot be right; nobody
asks the security module about it. An answer of a type without a MAC goes without.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from shanfu.hosts.keys import try_keys
from shanfu.hsm import HSM, KeyBlock, MACAlgorithm, MACJob
from shanfu.iso8583 import (
    MAC_ALGORITHMS,
    MAC_FIELDS,
    InterbankFrame,
    Message,
    encode_interbank,
    mac_algorithm,
    mac_input,
    prepare_interbank,
)

__all__ = ["MACTrial", "interbank_algorithm", "interbank_trial", "right_macs", "seal_interbank"]

MAC_CHARACTERS: Final = 8  # of DE128: four bytes in hexadecimal (Q/CUP 006 DE128)
_OF_CIPHER: Final = {"4": MACAlgorithm.SM4_CBC}
_NAMED: Final = {name: MACAlgorithm(name) for name in MAC_ALGORITHMS.values()}


class MACTrial(NamedTuple):
    """One MAC to be proved: under one of these keys, over these bytes."""

    keys: Sequence[KeyBlock]
    algorithm: MACAlgorithm
    data: bytes
    mac: bytes


_HOPELESS: Final = MACTrial((), MACAlgorithm.X9_19, b"", b"")


def interbank_trial(message: Message, keys: Sequence[KeyBlock]) -> MACTrial:
    """Return how an interbank message is proved under one of these keys, the first tried first; never raises."""
    mac = message.fields.get(128)
    if not isinstance(mac, str) or len(mac) != MAC_CHARACTERS or not mac.isascii() or message.mti[:3] not in MAC_FIELDS:
        return _HOPELESS
    announced = _NAMED[mac_algorithm(message)]
    fitting = [key for key in keys if interbank_algorithm(key) is announced]
    return MACTrial(fitting, announced, mac_input(message), mac.encode()) if fitting else _HOPELESS


def right_macs(hsm: HSM, trials: Sequence[MACTrial]) -> list[bool]:
    """Say of each whether its MAC is right under one of its keys; one call of the security module per generation of keys."""

    def ask(asked: list[tuple[int, KeyBlock]]) -> Sequence[bool]:
        tried = [(key, trials[at]) for at, key in asked]
        return hsm.verify_macs([(MACJob(key=key, algorithm=t.algorithm, data=t.data), t.mac) for key, t in tried])

    return try_keys([trial.keys for trial in trials], ask, failed=False)


def seal_interbank(hsm: HSM, frames: Sequence[tuple[InterbankFrame, KeyBlock | None]]) -> list[bytes]:
    """Return finished frames, all MACs made at once; without a key, or of a type that has no MAC, a frame goes without."""
    unsealed = [
        (at, key, prepare_interbank(frame))
        for at, (frame, key) in enumerate(frames)
        if key is not None and frame.message.mti[:3] in MAC_FIELDS
    ]
    jobs = [MACJob(key=key, algorithm=interbank_algorithm(key), data=frame.mab) for _, key, frame in unsealed]
    macs = hsm.make_macs(jobs) if jobs else []
    sealed = {at: frame.seal(mac) for (at, _, frame), mac in zip(unsealed, macs, strict=True)}
    return [sealed.get(at) or encode_interbank(frame) for at, (frame, _) in enumerate(frames)]


def interbank_algorithm(key: KeyBlock) -> MACAlgorithm:
    """Return how a MAC key of a link authenticates: its block's header names the cipher, in clear (X9.143 4.2)."""
    return _OF_CIPHER.get(key[7], MACAlgorithm.X9_19)
