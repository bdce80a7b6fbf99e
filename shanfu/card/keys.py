"""A card's keys, and where the number and the keys of one transaction come from.

`CardKeys` are the three card keys (UDK) that personalisation loads: for cryptograms (AC), for integrity (MAC) and for
enciphering (ENC) of issuer commands. `KeyRing` is the one question that an application asks before each transaction. A
chip answers it by counting its ATC and deriving session keys (`ChipKeyRing`); a phone that holds keys of limited use
answers it from its stock, with the same application around it.

**A number is never given twice**: it is durable in the memory before `spend` returns it, whatever happens afterwards.
Sources: JR/T 0025.7 (session keys), JR/T 0025.5 (ATC), EMV Book 2 A1.4.1 (card keys).
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from shanfu.card.live import LiveData
from shanfu.crypto import CardAlgorithm, Cipher, SessionKey, kcv, pin_change_key_part, session_key_pboc, udk_option_a
from shanfu.errors import IntegrityError, KeyUseError
from shanfu.iso7816 import StatusWord
from shanfu.pan import PAN

__all__ = ["ATC_LAST", "CardKeys", "ChipKeyRing", "KeyRing", "ScriptKeys", "Spent"]

ATC_LAST: Final = 0xFFFF  # JR/T 0025.5: the counter does not wrap; the transaction with this number is the last


@dataclass(frozen=True, slots=True, kw_only=True)
class CardKeys:
    """The card keys, 16 bytes each; shows none of them."""

    ac: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    enc: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not len(self.ac) == len(self.mac) == len(self.enc) == 16:
            raise KeyUseError("card keys: AC, MAC and ENC have 16 bytes each")

    @classmethod
    def derive(cls, masters: "CardKeys", algorithm: CardAlgorithm, *, pan: PAN, psn: str) -> "CardKeys":
        """Derive a card's keys from the issuer's three master keys, by option A (EMV Book 2 A1.4.1, JR/T 0025.17).

        >>> imk = bytes.fromhex("F0C34A8124CEE0A91A0B034AA97D6EAC")
        >>> masters = CardKeys(ac=imk, mac=imk, enc=imk)
        >>> CardKeys.derive(masters, CardAlgorithm.TDES, pan=PAN("6228000100001"), psn="01").ac.hex().upper()
        '014D996FCC8F49157DC8B49E3BCDFD99'
        """
        made = (udk_option_a(Cipher(algorithm.cipher, imk), pan.digits, psn) for imk in (masters.ac, masters.mac, masters.enc))
        ac, mac, enc = made
        return cls(ac=ac, mac=mac, enc=enc)

    @classmethod
    def parse(cls, grouping: bytes) -> "CardKeys":
        """Read DGI 8000 or 8002: AC, MAC, ENC one after another."""
        return cls(ac=grouping[:16], mac=grouping[16:32], enc=grouping[32:])

    def __bytes__(self) -> bytes:
        return self.ac + self.mac + self.enc

    def check_values(self, algorithm: CardAlgorithm) -> bytes:
        """Return DGI 9000 or 9002: three bytes of each key's check value (ANSI X9.24-1).

        >>> text = "112233440066778811223344550077888B4F854F0831FBF2635A212E4DDDB92A11220044556677881122330055667788"
        >>> CardKeys.parse(bytes.fromhex(text)).check_values(CardAlgorithm.TDES).hex().upper()
        '97DCB0CE4E2CB37DF3'
        """
        return b"".join(kcv(Cipher(algorithm.cipher, key)) for key in (self.ac, self.mac, self.enc))

    def verify(self, given: bytes, algorithm: CardAlgorithm) -> None:
        """Check the keys against the check values of an image; `IntegrityError` if they are others."""
        if not hmac.compare_digest(self.check_values(algorithm), given):
            raise IntegrityError("card keys: their check values differ, these are not the keys that the bureau meant")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptKeys:
    """What opens an issuer's enciphered command data: the session cipher, and the mask over a new PIN (JR/T 0025.7)."""

    cipher: Cipher
    pin_mask: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One transaction's number and keys: `ac` makes its cryptogram, `mac` vouches for the issuer-defined data.

    A phone's key ring brings issuer-defined data of its own (`idd`, which names the key) in place of what was personalised,
    and says whether the holder has been verified on the device (`cdcvm`). `scripts` derives the keys for enciphered issuer
    commands when one comes; a phone takes none.
    """

    atc: int
    ac: SessionKey
    mac: SessionKey | None = None
    idd: bytes | None = None
    cdcvm: bool = False
    scripts: Callable[[], ScriptKeys] | None = field(default=None, repr=False)


class KeyRing(Protocol):
    """Gives each transaction its number and keys."""

    def exhausted(self) -> bool:
        """Whether no transaction is left."""
        ...

    def spend(self, said: Mapping[int, bytes]) -> Spent | StatusWord:
        """Give the next transaction's number and keys, durably spent, or the status word that refuses it.

        `said` is what the terminal says of the transaction, by tag: keys of limited use look at the amount.
        """
        ...


class ChipKeyRing:
    """A chip's way: the ATC rises by one and makes session keys from the card keys. Owned by one thread."""

    __slots__ = ("_ac", "_ac_udk", "_keys", "_live", "_mac", "_mac_udk")

    def __init__(self, live: LiveData, algorithm: CardAlgorithm, keys: CardKeys) -> None:
        self._live, self._keys = live, keys
        self._ac_udk, self._mac_udk = Cipher(algorithm.cipher, keys.ac), Cipher(algorithm.cipher, keys.mac)
        self._ac, self._mac = SessionKey(algorithm, keys.ac), SessionKey(algorithm, keys.mac)

    def __repr__(self) -> str:
        return "ChipKeyRing()"

    def exhausted(self) -> bool:
        """Whether the counter has reached its end (JR/T 0025.5)."""
        return self._live.atc >= ATC_LAST

    def spend(self, _: Mapping[int, bytes]) -> Spent | StatusWord:
        """Count the ATC up, durably, and derive this transaction's keys (JR/T 0025.7)."""
        atc = self._live.atc + 1  # read anew each time: a write that failed half-way may still have counted
        if atc > ATC_LAST:
            return StatusWord.CONDITIONS_NOT_SATISFIED
        self._live.atc = atc
        self._derive(atc)
        return Spent(atc=atc, ac=self._ac, mac=self._mac, scripts=self.script_keys)

    def recall(self, atc: int) -> Spent:
        """Derive the keys of an earlier transaction again, for a command of the issuer that came too late for it."""
        self._derive(atc)
        return Spent(atc=atc, ac=self._ac, mac=self._mac)

    def script_keys(self) -> ScriptKeys:
        """Derive the keys for the enciphered commands of the transaction begun last."""
        algorithm = self._ac.algorithm
        session = session_key_pboc(Cipher(algorithm.cipher, self._keys.enc), self._live.atc)
        return ScriptKeys(cipher=Cipher(algorithm.cipher, session), pin_mask=pin_change_key_part(self._keys.ac, self._keys.enc))

    def _derive(self, atc: int) -> None:
        self._ac.rekey(session_key_pboc(self._ac_udk, atc))
        self._mac.rekey(session_key_pboc(self._mac_udk, atc))
