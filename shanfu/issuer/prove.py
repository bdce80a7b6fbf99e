"""Everything that needs a secret, asked of the HSM once per kind for a whole batch; its verdicts are facts for `decide`.

MACs and PINs are tried under the newest key, and what fails again under the one before while the switch-over window lasts.
A PIN is checked only where the cryptogram was right, so nobody learns about PINs without the card.
"""

from collections.abc import Sequence

from shanfu.hosts import LOOKUP, interbank_trial, right_macs, try_keys
from shanfu.hsm import (
    HSM,
    ARQCCheck,
    KeyBlock,
    Keyring,
    PINBlockFormat,
    PINCheck,
    PINVerdict,
    Proof,
)
from shanfu.iso8583 import Message
from shanfu.issuer.cards import Card, imk_label
from shanfu.issuer.config import IssuerConfig, pvk_label
from shanfu.issuer.requests import Chip, PresentedPIN, Request

__all__ = ["Prover"]


Claim = tuple[Request, Card]  # a request and its card, about which something is to be proved


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
            if chip.atc > card.atc:
                jobs.append(_arqc_check(request, card, keys.current(label)))
                places.append(place)
        if jobs:
            for place, proof in zip(places, self.hsm.verify_arqcs(jobs), strict=True):
                verdicts[place] = (True, proof)
        return verdicts

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
    chip = request.chip
    assert isinstance(chip, Chip)
    assert chip.algorithm
    return ARQCCheck(
        imk=imk, algorithm=chip.algorithm, pan=request.pan, psn=card.psn, atc=chip.atc, data=chip.data, arqc=chip.arqc
    )


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
