"""Everything that needs a secret, asked of the HSM once per kind for a whole batch; its verdicts are facts for `decide`.

MACs and PINs are tried under the newest key, and what fails again under the one before while the switch-over window lasts.
A PIN is checked only where the cryptogram, or a stripe's check value, was right: nobody learns about PINs without the card.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shanfu.emv import IssuerScript
from shanfu.hosts import LOOKUP, interbank_trial, right_macs, try_keys
from shanfu.hsm import (
    HSM,
    ARQCCheck,
    CVVJob,
    KeyBlock,
    Keyring,
    PINBlockFormat,
    PINCheck,
    PINVerdict,
    Proof,
    ScriptJob,
    ScriptPIN,
)
from shanfu.iso8583 import Message
from shanfu.issuer.cards import Card, imk_label
from shanfu.issuer.config import CVK, DESK_PIK, IssuerConfig, pvk_label
from shanfu.issuer.requests import Chip, Kind, PresentedPIN, Request
from shanfu.issuer.scripts import KINDS, ScriptKind, ScriptRow

__all__ = ["Errand", "Prover"]


CVV_DIGITS = 3
TAG_BYTES = 2  # of a data object that PUT DATA sets: they stand in P1 P2
Claim = tuple[Request, Card]  # a request and its card, about which something is to be proved


@dataclass(slots=True)
class Errand:
    """An order that is to go out to a card with the answer to this request, whose cryptogram was right."""

    request: Request
    card: Card
    order: ScriptRow
    proof: Proof

    def label(self, use: str) -> str:
        """The label of the master key for this use of the card's scripts."""
        chip = self.request.chip
        assert chip
        assert chip.algorithm
        return imk_label(self.card.imk_family, chip.algorithm, chip.dki, use=use)


class Prover:
    """The issuer's side of its HSM."""

    def __init__(self, hsm: HSM, config: IssuerConfig) -> None:
        self.hsm, self._config = hsm, config
        self.labels = {config.mak, config.pik, config.mmk, LOOKUP}  # grows by the card families met: one query a turn

    def load_keys(self, keys: Keyring, claims: Sequence[Claim] = ()) -> None:
        """Fetch the keys that this turn may need."""
        for request, card in claims:
            if request.chip and request.chip.algorithm:
                self.labels.add(imk_label(card.imk_family, request.chip.algorithm, request.chip.dki))
            if request.stripe:
                self.labels.add(CVK)
            if request.pin:
                self.labels.add(pvk_label(card.pvki))
        keys.load(self.labels)

    # -- messages ------------------------------------------------------------------------------------------------------

    def right_macs(self, messages: Sequence[Message], keys: Keyring) -> list[bool]:
        """Say for each message whether DE128 is right under a key in force."""
        candidates = keys.candidates(self._config.mak)
        return right_macs(self.hsm, [interbank_trial(message, candidates) for message in messages])

    def lookups(self, requests: Sequence[Request], keys: Keyring) -> None:
        """Fill in each request's card: the keyed hash of its PAN."""
        hashes = self.hsm.lookup(keys.current(LOOKUP), [request.pan.encode() for request in requests])
        for request, card in zip(requests, hashes, strict=True):
            request.card = card

    # -- cards ---------------------------------------------------------------------------------------------------------

    def cryptograms(self, claims: Sequence[Claim], keys: Keyring) -> list[tuple[bool, Proof | None]]:
        """Say for each request whether there is a master key for its card, and return the proof of a right cryptogram."""
        jobs, places = [], []
        verdicts: list[tuple[bool, Proof | None]] = [(False, None)] * len(claims)
        for place, (request, card) in enumerate(claims):
            chip = request.chip
            if chip is None or chip.algorithm is None:
                continue
            label = imk_label(card.imk_family, chip.algorithm, chip.dki)
            if not keys.has(label):
                continue
            verdicts[place] = (True, None)
            if chip.atc > card.atc or request.kind is Kind.OFFLINE:  # certificates come late, in any order
                jobs.append(_arqc_check(request, card, keys.current(label)))
                places.append(place)
        if jobs:
            for place, proof in zip(places, self.hsm.verify_arqcs(jobs), strict=True):
                verdicts[place] = (True, proof)
        return verdicts

    def stripes(self, claims: Sequence[Claim], keys: Keyring) -> list[tuple[bool, bool]]:
        """Say for each stripe whether there is a key for check values, and whether its own is right."""
        if not keys.has(CVK):
            return [(False, False)] * len(claims)
        verdicts = self.hsm.verify_cvvs([self._cvv_check(request, keys.current(CVK)) for request, _ in claims])
        return [(True, right) for right in verdicts]

    def _cvv_check(self, request: Request, key: KeyBlock) -> tuple[CVVJob, str]:
        assert request.stripe
        track, place = request.stripe.track, self._config.policy.cvv_place
        job = CVVJob(key=key, pan=request.pan, expiry_yymm=track.expiry, service_code=track.service_code)
        return job, track.discretionary[place : place + CVV_DIGITS]

    def scripts(self, errands: Sequence[Errand], keys: Keyring) -> list[tuple[bool, IssuerScript | None]]:
        """Say for each errand whether its keys are there, and return its script; None too for a PIN that cannot be read."""
        wanted = [[errand.label("mac"), *((errand.label("enc"), DESK_PIK) if _secret(errand) else ())] for errand in errands]
        self.labels.update(label for labels in wanted for label in labels)
        keys.load(self.labels)
        ready = [all(keys.has(label) for label in labels) for labels in wanted]
        jobs = [_script_job(errand, keys) for errand, there in zip(errands, ready, strict=True) if there]
        made = iter(self.hsm.make_scripts(jobs) if jobs else ())
        return [(there, _script(errand, next(made)) if there else None) for errand, there in zip(errands, ready, strict=True)]

    def pins(self, claims: Sequence[Claim], keys: Keyring) -> list[PINVerdict]:
        """Check the PIN of each request, all of which have one."""
        piks = keys.candidates(self._config.pik)
        fitting = [[pik for pik in piks if _fits(pik, request.pin)] for request, _ in claims]

        def ask(asked: list[tuple[int, KeyBlock]]) -> Sequence[PINVerdict]:
            return self.hsm.verify_pins([_pin_check(*claims[place], pik=pik, keys=keys) for place, pik in asked])

        return try_keys(fitting, ask, failed=PINVerdict.UNREADABLE)


def _fits(pik: KeyBlock, pin: PresentedPIN | None) -> bool:
    """Whether a PIN may be under this key: the block's header names the cipher, in clear (X9.143 4.2)."""
    return pin is not None and (pin.format is PINBlockFormat.SM4_X98) == (pik[7] == "4")


def _arqc_check(request: Request, card: Card, imk: KeyBlock) -> ARQCCheck:
    chip, offline = request.chip, request.kind is Kind.OFFLINE
    assert isinstance(chip, Chip)
    assert chip.algorithm
    psn = (request.psn or card.psn) if offline else card.psn  # a renewed card's older chip may still have spent
    return ARQCCheck(
        imk=imk, algorithm=chip.algorithm, pan=request.pan, psn=psn, atc=chip.atc, data=chip.data, arqc=chip.arqc,
        final=offline,
    )  # fmt: skip


def _secret(errand: Errand) -> bool:
    return errand.order.kind == ScriptKind.PIN_CHANGE


def _script_job(errand: Errand, keys: Keyring) -> ScriptJob:
    order, secret, pin = errand.order, _secret(errand), None
    if secret:
        pin = ScriptPIN(block=order.pin_block, key=keys.current(DESK_PIK), format=PINBlockFormat(order.pin_format))
    return ScriptJob(
        proof=errand.proof, header=order.header, data=order.data[TAG_BYTES:], pin=pin,
        imk_mac=keys.current(errand.label("mac")), imk_enc=keys.current(errand.label("enc")) if secret else None,
    )  # fmt: skip


def _script(errand: Errand, command: bytes | None) -> IssuerScript | None:
    if command is None:
        return None
    template = KINDS[errand.order.kind].template
    return IssuerScript(template=template, commands=(command,), identifier=errand.order.identifier)


def _pin_check(request: Request, card: Card, *, pik: KeyBlock, keys: Keyring) -> PINCheck:
    presented = request.pin
    assert isinstance(presented, PresentedPIN)
    return PINCheck(
        block=presented.block,
        key=pik,
        format=presented.format,
        pan=request.pan,
        pvk=keys.current(pvk_label(card.pvki)),
        pvki=card.pvki,
        pvv=card.pvv,
    )
