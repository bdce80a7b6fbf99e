"""Everything in a payment that needs a secret, asked of the HSM once per kind for a whole stretch.

MACs of the network's link, the keyed hashes by which tokens are found, the phones' cryptograms, and in the end the PANs: opened
for those payments alone that were resolved, and sealed again as vault records for the network's own HSM.
"""

from collections.abc import Sequence
from typing import NamedTuple

from shanfu.hosts import LOOKUP, SEAL, interbank_trial, right_macs
from shanfu.hsm import HSM, Algorithm, ARQCCheck, Keyring
from shanfu.iso8583 import Message
from shanfu.tokens import KeyScheme
from shanfu.tsp.config import VAULT, TSPConfig, imk_label
from shanfu.tsp.interbank import Chip, Request
from shanfu.tsp.key_sets import KeySetRow
from shanfu.tsp.vault import CardRow, TokenRow, pan_context

__all__ = ["Claim", "Prover", "record_context"]


def record_context(token: str) -> bytes:
    """Return the context of a vault record: it fits one token's number (the network's HSM opens it with DE2)."""
    return b"token/" + token.encode()


class Claim(NamedTuple):
    """A cryptogram, with the token and the key set that are said to have made it."""

    request: Request
    chip: Chip
    token: TokenRow
    keys: KeySetRow | None


class Prover:
    """The service's side of its HSM."""

    def __init__(self, hsm: HSM, config: TSPConfig) -> None:
        self.hsm, self._config = hsm, config
        self.labels = {config.mak, config.mmk, LOOKUP, SEAL, VAULT}  # grows by the ranges met: one query a turn

    def load_keys(self, keys: Keyring, tokens: Sequence[tuple[Request, TokenRow]] = ()) -> None:
        """Fetch the keys that this turn may need."""
        self.labels |= {imk_label(request.bin, token.dki) for request, token in tokens}
        keys.load(self.labels)

    def right_macs(self, messages: Sequence[Message], keys: Keyring) -> list[bool]:
        """Say for each message whether DE128 is right under a key in force."""
        if self._config.network in self._config.inside:
            return [True] * len(messages)
        candidates = keys.candidates(self._config.mak)
        return right_macs(self.hsm, [interbank_trial(message, candidates) for message in messages])

    def lookups(self, requests: Sequence[Request], keys: Keyring) -> None:
        """Fill in the keyed hash of each token's number."""
        hashes = self.hsm.lookup(keys.current(LOOKUP), [request.token.encode() for request in requests])
        for request, number in zip(requests, hashes, strict=True):
            request.number = number

    def has_master_key(self, request: Request, token: TokenRow, keys: Keyring) -> bool:
        """Whether there is a master key for the token's range and generation."""
        return keys.has(imk_label(request.bin, token.dki))

    def cryptograms(self, claims: Sequence[Claim], keys: Keyring) -> list[bool]:
        """Say of each cryptogram whether the token's own key made it."""
        if not claims:
            return []
        return [proof is not None for proof in self.hsm.verify_arqcs([_check(claim, keys) for claim in claims])]

    def records(self, accounts: Sequence[tuple[str, CardRow]], keys: Keyring) -> list[tuple[str, bytes]]:
        """Return for each token's number and card the PAN and the vault record that ties the two."""
        if not accounts:
            return []
        opened = self.hsm.unseal(keys.current(SEAL), [(card.pan_sealed, pan_context(card)) for _, card in accounts])
        items = [(pan, record_context(token)) for pan, (token, _) in zip(opened, accounts, strict=True)]
        sealed = self.hsm.seal(keys.current(VAULT), items)
        return [(pan.decode(), record) for pan, record in zip(opened, sealed, strict=True)]


def _check(claim: Claim, keys: Keyring) -> ARQCCheck:
    request, chip, token, key_set = claim
    scheme = KeyScheme(key_set.scheme) if key_set else None  # a secure element derives as a card does
    return ARQCCheck(
        imk=keys.current(imk_label(request.bin, token.dki)),
        algorithm=Algorithm.TDES,
        pan=request.token,
        psn=token.psn,
        atc=chip.atc,
        data=chip.data,
        arqc=chip.arqc,
        final=True,  # the service answers no card
        scheme=scheme,
        diversifier=chip.index_bytes if key_set else b"",
    )
