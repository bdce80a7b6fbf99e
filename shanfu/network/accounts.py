"""What a token stands for, as the token service said: the card's number and expiry, the account reference, the token's data.

The network holds it for two purposes only: to ask the issuer about the card behind a token, and to take that back later. It
lies sealed in the journal row meanwhile, and goes to nobody but the issuer. Source: the wires page, 5.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from shanfu.errors import DecodeError
from shanfu.iso8583 import Message, TokenVerdict, Value, encode_par, parse_par
from shanfu.network.requests import Arrival

__all__ = ["Account", "account_of"]

VERIFIED: Final = "1"  # TK 01: the service has verified the token's cryptogram
_VERDICTS: Final = {verdict: verdict.field() for verdict in TokenVerdict}
_KEPT: Final = msgspec.msgpack.Decoder(tuple[str, str, str, bytes])
FORGOTTEN: Final = (14, 23, 35)  # of a token: its expiry, sequence number and track mean nothing to the card's issuer


class Account(Struct, frozen=True, kw_only=True):
    """The card behind a token; `par` is "" where the service gave none, `told` is DE63 with TK."""

    pan: str
    expiry: str
    par: str
    told: bytes
    verified: bool = False  # said with the service's answer, and not kept

    def __repr__(self) -> str:
        return f"Account(verified={self.verified})"

    def sealable(self) -> bytes:
        """Return it as bytes, to be sealed into a row."""
        return msgspec.msgpack.encode((self.pan, self.expiry, self.par, self.told))

    @classmethod
    def restored(cls, plain: bytes) -> "Account":
        """Return what `sealable` gave."""
        pan, expiry, par, told = _KEPT.decode(plain)
        return cls(pan=pan, expiry=expiry, par=par, told=told)

    def in_place_of_token(self, fields: Mapping[int, Value]) -> dict[int, Value]:
        """Return the fields of a message about the token as its issuer gets them: the PAN, and beside it the token's data."""
        kept = {number: value for number, value in fields.items() if number not in FORGOTTEN}
        expiry: dict[int, Value] = {14: self.expiry} if 14 in fields else {}
        reference: dict[int, Value] = {56: encode_par(self.par)} if self.par else {}
        return kept | expiry | reference | {2: self.pan, 63: self.told}

    def verdict(self) -> str:
        """Return DE61: what the service found of the cryptogram."""
        return _VERDICTS[TokenVerdict.RIGHT if self.verified else TokenVerdict.NOT_CHECKED]


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
    block = words.block
    return Account(pan=arrival.pan, expiry=expiry, par=par, told=block.field(), verified=block.verified == VERIFIED)


def _par(message: Message) -> str:
    raw = message.binary(56, b"")
    return (parse_par(raw) or "") if raw else ""
