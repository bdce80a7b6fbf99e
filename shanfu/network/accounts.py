"""What a token stands for, as the token service said: the card's number and expiry, the account reference, the token's data.

The network holds it for two purposes only: to ask the issuer about the card behind a token, and to take that back later. It
lies sealed in the journal row meanwhile, and goes to nobody but the issuer. Source: the wires page, 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shanfu.errors import DecodeError
from shanfu.iso8583 import INTERBANK, Message, TokenBlock, TokenVerdict, Value, encode_par, parse_par
from shanfu.network.requests import Arrival

__all__ = ["Account", "account_of"]

VERIFIED: Final = "1"  # TK 01: the service has verified the token's cryptogram
FORGOTTEN: Final = (14, 23, 35)  # of a token: its expiry, sequence number and track mean nothing to the card's issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The card behind a token; `par` is "" where the service gave none, `block` is DE63 TK."""

    pan: str = field(repr=False)
    expiry: str = field(repr=False)
    par: str = field(repr=False)
    block: TokenBlock

    def sealable(self) -> bytes:
        """Return it as bytes, to be sealed into a row."""
        return INTERBANK.encode(Message("0210", {2: self.pan, **self._told(), 14: self.expiry}))

    @classmethod
    def restored(cls, plain: bytes) -> "Account":
        """Return what `sealable` gave; DecodeError when it is something else."""
        message = INTERBANK.decode(plain)
        block = TokenBlock.of_field(message.binary(63)) or TokenBlock()
        return cls(pan=message.text(2), expiry=message.text(14), par=_par(message), block=block)

    def in_place_of_token(self, fields: Mapping[int, Value]) -> dict[int, Value]:
        """Return the fields of a message about the token as its issuer gets them: the PAN, and beside it the token's data."""
        kept = {number: value for number, value in fields.items() if number not in FORGOTTEN}
        expiry: dict[int, Value] = {14: self.expiry} if 14 in fields else {}
        return kept | expiry | {2: self.pan} | self._told()

    def verdict(self) -> str:
        """Return DE61: what the service found of the cryptogram."""
        return (TokenVerdict.RIGHT if self.block.verified == VERIFIED else TokenVerdict.NOT_CHECKED).field()

    def _told(self) -> dict[int, Value]:
        reference: dict[int, Value] = {56: encode_par(self.par)} if self.par else {}
        return reference | {63: self.block.field()}


def account_of(arrival: Arrival) -> Account | None:
    """Return what the token service's answer resolves a token to; None when a part is missing or makes no sense."""
    message, words = arrival.message, arrival.words
    expiry = message.text(14, "")
    try:
        par = _par(message)
    except DecodeError:
        return None
    if words is None or words.block is None or not words.record or len(expiry) != 4 or not 12 <= len(arrival.pan) <= 19:
        return None
    return Account(pan=arrival.pan, expiry=expiry, par=par, block=words.block)


def _par(message: Message) -> str:
    raw = message.binary(56, b"")
    return (parse_par(raw) or "") if raw else ""
