"""Making phones known and opening their sessions.

The gate has seen that the call is signed by the key it speaks of, and fresh. A phone that enrols again with the same keys is
the same device, so a lost answer costs nothing. A session's key is agreed between two ephemeral keys inside the HSM; the cloud
signs both, so that nobody stands between.
"""

from collections.abc import Mapping

import msgspec
from msgspec import structs

from shanfu.cloud.asking import Serves
from shanfu.cloud.attestation import Attester, Verdict, judge_attestations
from shanfu.cloud.books import CloudBooks
from shanfu.cloud.config import CloudConfig
from shanfu.cloud.decide import enrolment_refusal
from shanfu.cloud.devices import DeviceRow, DeviceState, key_name
from shanfu.cloud.gate import octets
from shanfu.cloud.prove import SIGN, Prover
from shanfu.cloud.reasons import Reason
from shanfu.cloud.sessions import SessionRow
from shanfu.hosts import Visit
from shanfu.messages import Problem, wallet

__all__ = ["Enrolling"]

NAME_BYTES = 16  # a device's or a session's name cannot be guessed
WORD_LENGTH = 64  # of what a phone says of itself


class Enrolling:
    """Serves the two calls that stand outside a session."""

    def __init__(self, config: CloudConfig, prover: Prover, attesters: Mapping[str, Attester]) -> None:
        self._config, self._prover, self._attesters = config, prover, attesters
        self.served: Serves = {"devices.enrol": self.enrol, "sessions.open": self.open}

    # -- devices -------------------------------------------------------------------------------------------------------

    def enrol(self, visit: Visit[CloudBooks], asked: wallet.Enrol) -> wallet.Enrolled | Problem:
        """Make a device known, or know it again."""
        books = visit.books
        verdict = judge_attestations([asked], self._attesters)[0]
        if refusal := enrolment_refusal(asked, verdict, self._config):
            return refusal.problem()
        device = books.device_of_key(key_name(asked.sign_key))
        if device is not None and (device.wrap_key, device.app) != (asked.wrap_key, asked.info.app):
            return Reason.KEYS_DIFFER.problem()
        device = device or books.devices.add(self._fresh(asked, books.now_ms))
        _describe(device, asked, verdict)
        books.keys.load([SIGN])
        cloud_key = self._prover.hsm.public_key(books.keys.current(SIGN)).hex()
        return wallet.Enrolled(device=device.device, cloud_key=cloud_key, lowered=verdict.lowered)

    def _fresh(self, asked: wallet.Enrol, now_ms: int) -> DeviceRow:
        info, empty = asked.info, msgspec.json.encode([])
        return DeviceRow(
            0, self._name(), key_name(asked.sign_key), asked.sign_key, asked.wrap_key, DeviceState.ENROLLED.value, info.app,
            self._config.apps[info.app], "", "", "", 0, empty, empty, 0, now_ms,
        )  # fmt: skip

    def _name(self) -> str:
        return self._prover.hsm.random(NAME_BYTES).hex()

    # -- sessions ------------------------------------------------------------------------------------------------------

    def open(self, visit: Visit[CloudBooks], asked: wallet.OpenSession) -> wallet.SessionOpened | Problem:
        """Agree on a session's key; the session before is over."""
        books, hsm, theirs = visit.books, self._prover.hsm, octets(asked.ephemeral)
        if asked.device != visit.name:
            return Reason.DEVICE_UNKNOWN.problem()
        if not hsm.valid_points([theirs])[0]:
            return Reason.KEY_NOT_POINT.problem()
        books.end_sessions(asked.device)
        ours, block = hsm.agree_session(theirs, asked.device.encode())
        expires_ms = books.now_ms + self._config.session_ms
        name, no_offers = self._name(), msgspec.json.encode([])
        books.sessions.add(SessionRow(0, name, asked.device, block, 0, "", no_offers, books.now_ms, expires_ms))
        opened = wallet.SessionOpened(session=name, ephemeral=ours.hex(), expires_ms=expires_ms, signature="")
        books.keys.load([SIGN])
        signature = hsm.sign(books.keys.current(SIGN), wallet.opened_statement(opened, asked))
        return structs.replace(opened, signature=signature.hex())


def _word(text: str) -> str:
    """Return as much of what a phone says of itself as may lie in books and be shown."""
    return "".join(letter for letter in text if letter.isprintable())[:WORD_LENGTH]


def _describe(device: DeviceRow, asked: wallet.Enrol, verdict: Verdict) -> None:
    """Note what the phone says of itself today, and whether somebody vouches for it."""
    info = asked.info
    device.name, device.model = _word(info.name), _word(info.model)
    device.os_version, device.attested = info.os_version, int(verdict.attested)
    device.lowered = msgspec.json.encode(verdict.lowered)
