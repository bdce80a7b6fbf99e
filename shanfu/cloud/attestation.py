"""Who vouches that a device's keys live in the phone they say they live in.

An `Attester` judges one form of statement; the cloud holds one for each form that it knows. Real ones (a manufacturer's
certificate chain, a platform's integrity verdict) stand behind the same Protocol. `SignedAttester` is the one of the sandbox: a
signature by a configured key over `wallet.enrolment_statement`. By default a missing or wrong attestation costs limits, never
the enrolment: every phone with NFC may have a card.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from shanfu.cloud.reasons import Reason
from shanfu.hsm import HSM
from shanfu.messages import wallet

__all__ = ["ATTESTED", "TEST_FORMAT", "Attester", "SignedAttester", "Verdict", "judge_attestations"]

TEST_FORMAT: Final = "shanfu-test"
NO_FORMAT: Final = "none"


class Lowered(Enum):
    """What is said to a phone whose limits are lowered."""

    ATTESTATION_ABSENT = "limits are lowered: the device brings no attestation"
    ATTESTATION_UNKNOWN = "limits are lowered: nobody here judges this form of attestation"
    ATTESTATION_WRONG = "limits are lowered: the attestation is not of this device"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether somebody vouched; `reason` says why not."""

    attested: bool
    reason: Reason | None = None

    @property
    def lowered(self) -> tuple[str, ...]:
        """What the phone is told."""
        return (Lowered[self.reason.name].value,) if self.reason else ()


ATTESTED: Final = Verdict(True)


class Attester(Protocol):
    """Judges statements of one form."""

    def judge(self, asked: Sequence[wallet.Enrol]) -> list[bool]:
        """Say for each enrolment whether its statement vouches for its keys and its phone."""
        ...


class SignedAttester:
    """The test attester: the statement is an ECDSA signature (r and s, hex) over `enrolment_statement`."""

    def __init__(self, hsm: HSM, point: bytes) -> None:
        self._hsm, self._point = hsm, point

    def judge(self, asked: Sequence[wallet.Enrol]) -> list[bool]:
        """Verify all signatures at once; one that is no hex is wrong."""
        return self._hsm.verify_signatures(
            [(self._point, wallet.enrolment_statement(one), _octets(one.attestation.statement)) for one in asked]
        )


def judge_attestations(asked: Sequence[wallet.Enrol], attesters: Mapping[str, Attester]) -> list[Verdict]:
    """Return a verdict for each enrolment, asking each attester once."""
    verdicts = [_unjudged(one.attestation.format, attesters) for one in asked]
    for form, attester in attesters.items():
        places = [place for place, one in enumerate(asked) if one.attestation.format == form]
        if not places:
            continue
        for place, right in zip(places, attester.judge([asked[place] for place in places]), strict=True):
            verdicts[place] = ATTESTED if right else Verdict(False, Reason.ATTESTATION_WRONG)
    return verdicts


def _unjudged(form: str, attesters: Mapping[str, Attester]) -> Verdict:
    if form in attesters:
        return Verdict(False, Reason.ATTESTATION_WRONG)
    return Verdict(False, Reason.ATTESTATION_ABSENT if form == NO_FORMAT else Reason.ATTESTATION_UNKNOWN)


def _octets(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
