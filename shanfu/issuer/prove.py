"""Everything that needs a secret, asked of the HSM once per kind for a whole batch; its verdicts are facts for `decide`.

MACs and PINs are tried under the newest key, and what fails again under the one before while the switch-over window lasts.
A PIN is checked only where the cryptogram was right, so nobody learns about PINs without the card.
"""

from collections.abc import Sequence
from functools import lru_cache

from shanfu.hsm import (
    HSM,
    ARQCCheck,
    KeyBlock,
    Keyring,
    MACAlgorithm,
    MACJob,
    PINBlockFormat,
    PINCheck,
    PINVerdict,
    Proof,
)
from shanfu.iso8583 import Message, Unsealed, mac_algorithm, mac_input
from shanfu.issuer.cards import Card, imk_label
from shanfu.issuer.config import LOOKUP, IssuerConfig, pvk_label
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
        return verify_macs(self.hsm, messages, keys.candidates(self._config.mak))

    def seal(self, unsealed: Sequence[tuple[Unsealed, Message]], key: KeyBlock) -> list[bytes]:
        """Return the finished frames."""
        jobs = [MACJob(key=key, algorithm=_algorithm(mac_algorithm(message)), data=frame.mab) for frame, message in unsealed]
        return [frame.seal(mac) for (frame, _), mac in zip(unsealed, self.hsm.make_macs(jobs), strict=True)]

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
        verdicts = [PINVerdict.UNREADABLE] * len(claims)
        for pik in keys.candidates(self._config.pik):
            sm4 = _cipher(pik) == "4"
            open_places = [
                place
                for place, (verdict, (request, _)) in enumerate(zip(verdicts, claims, strict=True))
                if verdict is PINVerdict.UNREADABLE and request.pin and (request.pin.format is PINBlockFormat.SM4_X98) == sm4
            ]
            jobs = [_pin_check(*claims[place], pik=pik, keys=keys) for place in open_places]
            if not jobs:
                break
            for place, verdict in zip(open_places, self.hsm.verify_pins(jobs), strict=True):
                verdicts[place] = verdict
        return verdicts


def verify_macs(hsm: HSM, messages: Sequence[Message], candidates: Sequence[KeyBlock]) -> list[bool]:
    """Say for each message whether DE128 is right under one of the keys, the first tried first."""
    right = [False] * len(messages)
    inputs = [(mac_input(m), _algorithm(mac_algorithm(m)), m.text(128, "").encode("ascii", "replace")) for m in messages]
    for key in candidates:
        sm4 = _cipher(key) == "4"
        places = [
            place
            for place, (_, algorithm, mac) in enumerate(inputs)
            if not right[place] and len(mac) == 8 and (algorithm is MACAlgorithm.SM4_CBC) == sm4
        ]
        if not places:
            break
        jobs = [(MACJob(key=key, algorithm=inputs[at][1], data=inputs[at][0]), inputs[at][2]) for at in places]
        for place, good in zip(places, hsm.verify_macs(jobs), strict=True):
            right[place] = good
    return right


def _cipher(key: KeyBlock) -> str:
    """The algorithm character of a key block's header, which is in clear (X9.143 4.2)."""
    return key[7]


@lru_cache(maxsize=8)
def _algorithm(name: str) -> MACAlgorithm:
    return MACAlgorithm(name)


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
