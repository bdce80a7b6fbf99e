"""Key ceremonies of the sandbox: how a secret comes to be on both sides of a wire, and on a card.

Two sides form the same key from two components, as custodians do, each into its own HSM; no key lies on a wire or in a file in
clear. What leaves an HSM leaves as a key block. The card's maker (`Bureau`) is the one place outside a security module that
sees card keys, as it is in the world; it forgets them when the card is made.
"""

import secrets
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from shanfu.card import CardKeys, CardProfile, static_data
from shanfu.crypto import PIN, Algorithm, BlockKey, Cipher, PinFormat, RSAPrivateKey, SM2PrivateKey, encipher_pin
from shanfu.emv import Track2
from shanfu.hsm import HSM, CardCode, CardPairJob, CVVJob, KeyBlock, KeyUsage, PINCheck
from shanfu.hsm import Algorithm as KeyAlgorithm
from shanfu.oda import chain_records, icc_key_groupings
from shanfu.sandbox.authority import IssuerChain

__all__ = ["Bureau", "Components", "components"]


CARD_BITS: Final = 1024  # a signature of 128 bytes travels in the answer to a tap (JR/T 0025.12)
DDOL: Final = bytes.fromhex("9F3704")  # what the card signs of the terminal's: its unpredictable number
CVV_DIGITS: Final = 3
AIP_TOO: Final = b"\x82"  # 9F4A: the AIP is signed too (EMV B3 10.3)


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

    def chain(self, profile: CardProfile, chain: IssuerChain, serial: bytes) -> CardProfile:
        """Give a card a pair of its own, certified by its bank, and the records that show it."""
        year, month = 2000 + int(profile.expiry[:2]), int(profile.expiry[2:])
        made = self._hsm.make_card_pair(
            CardPairJob(
                issuer=chain.pair,
                under=self._kbpk,
                pan=profile.pan.digits,
                expires=date(year, month, 1),
                serial=serial,
                static=static_data(profile),
                bits=CARD_BITS,
            )
        )
        secret = self._wrapper.unwrap(made.block)[1]
        key = SM2PrivateKey(secret) if 0x9F47 not in made.values else RSAPrivateKey.decode(secret)
        shown = {**chain.values, **made.values, 0x9F49: DDOL, 0x9F4A: AIP_TOO}
        return replace(profile, oda=chain_records(shown) | icc_key_groupings(key))

    def checked(self, profile: CardProfile, cvk: KeyBlock, code: CardCode = CardCode.CHIP) -> CardProfile:
        """Put a check value into a card's track 2: the chip's is not the stripe's, so neither passes for the other."""
        job = CVVJob(
            key=cvk, pan=profile.pan.digits, expiry_yymm=profile.expiry, service_code=profile.service_code, code=code
        )  # fmt: skip
        return replace(profile, discretionary=self._hsm.make_cvv(job) + profile.discretionary[CVV_DIGITS:])

    def stripe(self, profile: CardProfile, cvk: KeyBlock) -> str:
        """Return what is encoded as track 2: as in the chip, but with the stripe's own check value."""
        own = self.checked(profile, cvk, CardCode.STRIPE)
        track = Track2(pan=own.pan, expiry=own.expiry, service_code=own.service_code, discretionary=own.discretionary)
        return track.text()

    def pvv(self, pin: str, *, pan: str, pvk: KeyBlock, pvki: str) -> str:
        """Have the issuer's HSM compute the verification value of a PIN."""
        block = encipher_pin(self._pin_cipher, PinFormat.ISO0, PIN(pin), pan=pan)
        return self._hsm.make_pvv(PINCheck(block=block, key=self._pik, pan=pan, pvk=pvk, pvki=pvki, pvv=""))
