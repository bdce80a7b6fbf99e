"""A bank with very many cards, and the cards themselves: each with an account of its own, money in it, and a PIN.

The cards are of one master key that is formed from known components, so that the load can compute each card's cryptograms
as its chip would. They hang on accounts of their own: a limit per account and day holds for them as for anybody.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

from shanfu import issuer
from shanfu.crypto import PIN, Cipher, PinFormat, encipher_pin, odd_parity
from shanfu.crypto import Algorithm as Block
from shanfu.hsm import Algorithm, KeyUsage, PINCheck, SoftHSM
from shanfu.money import Currency
from shanfu.pan import PAN, luhn_digit
from shanfu.store import Store

__all__ = ["Deck", "populate"]

CNY = Currency.of("CNY")
FAMILY, PVKI, PIN_DIGITS, EXPIRY, DKI = "bench", "9", "123456", "3012", 1
OPENING_MINOR = 500_000
AT_ONCE = 5_000  # rows of one transaction while the bank is filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Deck:
    """The cards numbered 0 to `count` - 1 of one master key."""

    count: int
    imk: bytes = field(repr=False)

    def pan(self, number: int) -> str:
        """Return a card's number."""
        payload = f"6209015{number:08d}"
        return payload + luhn_digit(payload)

    def public(self) -> dict[str, Any]:
        """Return what another process makes the same deck from."""
        return {"count": self.count, "imk": self.imk.hex()}

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Deck":
        """Make the deck that another process told of."""
        return cls(count=told["count"], imk=bytes.fromhex(told["imk"]))


def populate(store: Store, hsm: SoftHSM, count: int, *, now_ms: int) -> Deck:
    """Open accounts, pay money in and issue the cards, in bulk; the bank's own book keys must be there."""
    parts = [odd_parity(secrets.token_bytes(16)) for _ in range(2)]
    deck = Deck(count=count, imk=bytes(a ^ b for a, b in zip(*parts, strict=True)))
    label = issuer.imk_label(FAMILY, Algorithm.TDES, DKI)
    issuer.install_key(store, label, hsm.form(KeyUsage.IMK_AC, Algorithm.TDES, parts), now_ms=now_ms)
    pvk = hsm.generate(KeyUsage.PVK, Algorithm.TDES)
    issuer.install_key(store, issuer.pvk_label(PVKI), pvk, now_ms=now_ms)
    issuer.open_customer(store, "bench", name="Bench", now_ms=now_ms)
    pik = odd_parity(secrets.token_bytes(16))
    setter = hsm.form(KeyUsage.PIK, Algorithm.TDES, [pik, bytes(16)])
    cipher = Cipher(Block.TDES, pik)
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, count))
        accounts = [
            issuer.AccountOrder(customer="bench", currency=CNY, group=_group(number), paid_in_minor=OPENING_MINOR)
            for number in numbers
        ]
        issuer.open_accounts(store, accounts, now_ms=now_ms)
        orders = []
        for number in numbers:
            pan = deck.pan(number)
            block = encipher_pin(cipher, PinFormat.ISO0, PIN(PIN_DIGITS), pan=pan)
            pvv = hsm.make_pvv(PINCheck(block=block, key=setter, pan=pan, pvk=pvk, pvki=PVKI, pvv=""))
            orders.append(
                issuer.CardOrder(pan=PAN(pan), group=_group(number), expiry=EXPIRY, pvv=pvv, pvki=PVKI, imk_family=FAMILY)
            )
        issuer.issue_cards(store, hsm, orders, now_ms=now_ms)
    return deck


def _group(number: int) -> str:
    return f"bench-{number}"
