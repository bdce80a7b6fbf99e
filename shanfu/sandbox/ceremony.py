"""Key ceremonies of the sandbox: how a secret comes to be on both sides of a wire, and on a card.

Two sides form the same key from two components, as custodians do, each into its own HSM; no key lies on a wire or in a file in
clear. What leaves an HSM leaves as a key block. The card's maker (`Bureau`) is the one place outside a security module that
sees card keys, as it is in the world; it forgets them when the card is made.
"""

import secrets
from dataclasses import dataclass, field

from shanfu.card import CardKeys
from shanfu.crypto import PIN, Algorithm, BlockKey, Cipher, PinFormat, encipher_pin
from shanfu.hsm import HSM, KeyBlock, KeyUsage, PINCheck
from shanfu.hsm import Algorithm as KeyAlgorithm

__all__ = ["Bureau", "Components", "components"]


@dataclass(frozen=True, slots=True)
class Components:
    """Two full-length components of one key, each for one custodian."""

    parts: tuple[bytes, bytes] = field(repr=False)

    @property
    def clear(self) -> bytes:
        """The key itself, for devices into which it is injected (a PIN pad, the bureau)."""
        return bytes(a ^ b for a, b in zip(*self.parts, strict=True))


def components(length: int = 16) -> Components:
    """Draw two random components."""
    return Components((secrets.token_bytes(length), secrets.token_bytes(length)))


class Bureau:
    """The personalisation bureau of one issuer: gets card keys as blocks, sets PINs through an enciphered block."""

    def __init__(self, hsm: HSM) -> None:
        transport, pin_key = components(32), components(16)
        self._hsm = hsm
        self._kbpk = hsm.form(KeyUsage.KBPK, KeyAlgorithm.AES, transport.parts)
        self._wrapper = BlockKey(transport.clear)
        self._pik = hsm.form(KeyUsage.PIK, KeyAlgorithm.TDES, pin_key.parts)
        self._pin_cipher = Cipher(Algorithm.TDES, pin_key.clear)

    def card_keys(self, masters: tuple[KeyBlock, KeyBlock, KeyBlock], *, pan: str, psn: str) -> CardKeys:
        """Have the issuer's HSM derive a card's keys from its master keys for AC, MAC and ENC."""
        ac, mac, enc = (
            self._wrapper.unwrap(self._hsm.derive_card_key(imk, self._kbpk, pan=pan, psn=psn))[1] for imk in masters
        )
        return CardKeys(ac=ac, mac=mac, enc=enc)

    def pvv(self, pin: str, *, pan: str, pvk: KeyBlock, pvki: str) -> str:
        """Have the issuer's HSM compute the verification value of a PIN."""
        block = encipher_pin(self._pin_cipher, PinFormat.ISO0, PIN(pin), pan=pan)
        return self._hsm.make_pvv(PINCheck(block=block, key=self._pik, pan=pan, pvk=pvk, pvki=pvki, pvv=""))
