"""What goes over the wires of a load: payments with everything fresh, as terminals and the network send them.

Each payment has a trace number of its own, its card's next ATC, an unpredictable number, the cryptogram over them, the PIN
under the PIN key of the link and the MAC under its MAC key. They are computed before the clock runs: a load that shares two
cores with what it loads would else be measured with it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from benchmarks.people import DKI, EXPIRY, PIN_DIGITS, Deck
from shanfu.clock import local
from shanfu.crypto import (
    PIN,
    CardAlgorithm,
    Cipher,
    IssuerCryptograms,
    PinFormat,
    RetailKey,
    SessionKey,
    ecb_mac,
    encipher_pin,
    left4_text,
)
from shanfu.crypto import Algorithm as Block
from shanfu.emv import cryptogram_input, encode_field55
from shanfu.iso8583 import InterbankFrame, InterbankHeader, Message, PosFrame, prepare_interbank, prepare_pos
from shanfu.iso8583.fields import Value

__all__ = ["Chips", "InterbankPayments", "PosPayments", "Speakers"]

AMOUNT_MINOR: Final = 100
CURRENCY: Final = "156"
PSN: Final = "01"
STRIDE: Final = 7919  # a prime: neighbouring payments are of cards that lie far apart
TPDU: Final = "6000030000"
HEADER: Final = "603100310000"
ENTERED: Final = PIN(PIN_DIGITS)
TAGS: Final = {
    0x9F02: bytes.fromhex(f"{AMOUNT_MINOR:012d}"), 0x9F03: bytes(6), 0x9F1A: bytes.fromhex("0156"), 0x95: bytes(5),
    0x5F2A: bytes.fromhex(f"0{CURRENCY}"), 0x9C: b"\x00", 0x82: bytes.fromhex("7C00"), 0x9F27: b"\x80",
    0x9F33: bytes.fromhex("E0E1C8"), 0x9F10: bytes((7, DKI, 1)) + bytes.fromhex("03A0000001"),
}  # fmt: skip


class Speakers(Protocol):
    """What is waved at the terminals of a load: cards, or phones with tokens."""

    psn: str
    expiry: str

    def next(self, now_ms: int) -> tuple[str, bytes]:
        """Return the number of whose turn it is, and DE55 of its next transaction."""


class Chips:
    """The chips of a deck: whose turn it is, and what it says."""

    psn, expiry = PSN, EXPIRY

    def __init__(self, deck: Deck, turn: int = 0) -> None:
        self._deck, self._imk, self._turn = deck, Cipher(Block.TDES, deck.imk), turn
        self._keys, self._session = IssuerCryptograms(CardAlgorithm.TDES), SessionKey(CardAlgorithm.TDES, bytes(16))

    def next(self, now_ms: int) -> tuple[str, bytes]:
        """Return the PAN of the next card and DE55 of its next transaction."""
        number, atc = self._turn * STRIDE % self._deck.count, self._turn // self._deck.count + 1
        self._turn += 1
        pan = self._deck.pan(number)
        date = bytes.fromhex(local(now_ms).strftime("%y%m%d"))
        values = TAGS | {0x9A: date, 0x9F37: os.urandom(4), 0x9F36: atc.to_bytes(2)}
        self._session.rekey(self._keys.session_key(self._imk, pan=pan, psn=PSN, atc=atc))
        return pan, encode_field55(values | {0x9F26: self._session.cryptogram(cryptogram_input(1, values))})


def card_fields(who: Speakers, pik: Cipher, now_ms: int) -> dict[int, Value]:
    """Return what both dialects carry of a card or phone that was waved and a PIN that was entered."""
    pan, field55 = who.next(now_ms)
    return {
        2: pan, 3: "000000", 4: f"{AMOUNT_MINOR:012d}", 14: who.expiry, 22: "071", 23: f"0{who.psn}", 25: "00", 26: "12",
        35: f"{pan}={who.expiry}2011234", 49: CURRENCY, 52: encipher_pin(pik, PinFormat.ISO0, ENTERED, pan=pan),
        53: "2600000000000000", 55: field55,
    }  # fmt: skip


@dataclass(slots=True)
class InterbankPayments:
    """The network's side of an issuer's link: 0200 with DE128 (X9.19)."""

    chips: Speakers
    network: str
    issuer: str
    acquirer: str
    mak: bytes
    pik: bytes

    def make(self, count: int, now_ms: int, *, first: int) -> Iterator[tuple[str, bytes]]:
        """Give name (trace number) and frame of each payment."""
        mak, pik = RetailKey(self.mak), Cipher(Block.TDES, self.pik)
        now, header = local(now_ms), InterbankHeader(destination=self.issuer, source=self.network)
        fixed = {
            7: now.strftime("%m%d%H%M%S"), 12: now.strftime("%H%M%S"), 13: now.strftime("%m%d"), 15: now.strftime("%m%d"),
            18: "5812", 32: self.acquirer, 33: self.acquirer, 41: "10000001", 42: "990290058120001",
            43: "TEAHOUSE".ljust(40), 60: "0000060003", 100: self.issuer,
        }  # fmt: skip
        for number in range(first, first + count):
            stan = f"{number:06d}"
            fields = card_fields(self.chips, pik, now_ms) | fixed | {11: stan, 37: f"{number:012d}"}
            unsealed = prepare_interbank(InterbankFrame(header, Message("0200", dict(sorted(fields.items())))))
            yield stan, unsealed.seal(left4_text(mak.mac(unsealed.mab, padding=1)))


@dataclass(slots=True)
class PosPayments:
    """One terminal's side of its acquirer's link: 0200 with DE64 (UnionPay ECB)."""

    chips: Speakers
    terminal: str
    merchant: str
    batch: str
    mak: Cipher
    pik: Cipher

    def make(self, count: int, now_ms: int, *, first: int) -> Iterator[tuple[str, bytes]]:
        """Give name (terminal and trace number) and frame of each payment."""
        fixed = {41: self.terminal, 42: self.merchant, 60: f"22{self.batch}000600"}
        for number in range(first, first + count):
            stan = f"{number:06d}"
            fields = card_fields(self.chips, self.pik, now_ms) | fixed | {11: stan}
            unsealed = prepare_pos(PosFrame(TPDU, HEADER, Message("0200", dict(sorted(fields.items())))))
            yield f"{self.terminal}.{stan}", unsealed.seal(ecb_mac(self.mak, unsealed.mab))
