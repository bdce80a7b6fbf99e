"""The fixed-position fields: DE53, DE54, DE60, DE61, DE63, DE90 and DE121, in the form each dialect gives them.

`Pos…` is the terminal's, `Cups…` the interbank form. Each is a dataclass whose parts stand in wire order with their
width, so this file is the table. A sender may cut them at the right; `tail` keeps what goes beyond the table.

Terminal and acquirer read the first kind, acquirer, network and issuer the second. Sources: public terminal
implementations and an open field table of the interbank dialect (docs/sources.md). Terminal types, and 60.5 value 1, are
from memory.
"""

from dataclasses import dataclass
from typing import ClassVar

from shanfu.errors import DecodeError, Fault, ProtocolError
from shanfu.iso8583.positions import Positions, part

__all__ = [
    "TERMINAL_TYPES",
    "Balance",
    "CupsDE60",
    "CupsDE61",
    "CupsDE121",
    "OriginalData",
    "PosDE60",
    "PosDE61",
    "PosDE63",
    "SecurityControl",
    "encode_balances",
    "parse_balances",
    "track_cipher_span",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityControl(Positions):
    """DE53: how the PIN and the track of this message are protected; in an interbank key reset, which key is new.

    >>> SecurityControl.parse("2600000000000000").key_algorithm
    '6'
    >>> SecurityControl.of(pin_format="2", key_algorithm="6").encode()
    '2600000000000000'
    """

    PATH: ClassVar[str] = "DE53"

    pin_format: str = part(1)  # 0 no PIN, 1 without PAN, 2 with PAN; key reset: 1 PIN key, 2 MAC key
    key_algorithm: str = part(1)  # 0 single DES, 6 double-length 3DES, 4 SM4
    track_encryption: str = part(1)  # 0 none, 1 under the track key
    reserved: str = part(13)

    @classmethod
    def of(cls, *, pin_format: str = "0", key_algorithm: str = "0", track_encryption: str = "0") -> "SecurityControl":
        """Make it from the three digits that say something."""
        return cls(pin_format=pin_format, key_algorithm=key_algorithm, track_encryption=track_encryption, reserved="0" * 13)


def track_cipher_span(digits: int) -> slice:
    """Which digits of a track of this length are encrypted: the eight bytes that end just before its last byte.

    The exact offset is unverified; it is decided here alone.

    >>> track_cipher_span(37)
    slice(20, 36, None)
    """
    last_byte = (digits + 1) // 2 - 1
    if last_byte < 8:
        raise ProtocolError(f"track: {digits} digits, too short to encrypt eight bytes", by="us")
    return slice(2 * (last_byte - 8), 2 * last_byte)


@dataclass(frozen=True, slots=True, kw_only=True)
class PosDE60(Positions):
    """DE60 of a terminal message.

    >>> PosDE60.parse("22000024000601").batch
    '000024'
    """

    PATH: ClassVar[str] = "DE60"

    message_type: str = part(2)  # 60.1, codes.MessageType
    batch: str = part(6)  # 60.2
    management: str = part(3)  # 60.3, ManagementCode
    read_capability: str = part(1)  # 60.4: 0 unknown, 2 stripe, 5 contact chip, 6 contact and contactless
    chip_condition: str = part(1)  # 60.5: 0 none or normal, 1 last chip read was good (from memory), 2 fallback
    partial_approval: str = part(1)  # 60.6
    account_type: str = part(3)  # 60.7: 048 issuer points, 065 alliance points


@dataclass(frozen=True, slots=True, kw_only=True)
class PosDE61(Positions):
    """DE61 of a terminal message: the original that a void, refund, completion or script result is about."""

    PATH: ClassVar[str] = "DE61"

    batch: str = part(6)
    trace: str = part(6)
    date: str = part(4)  # MMDD, 0000 if unknown
    authorisation_mode: str = part(2)
    authoriser: str = part(11)


@dataclass(frozen=True, slots=True, kw_only=True)
class PosDE63(Positions):
    """DE63 of a terminal message: card scheme or operator, then text for the receipt."""

    PATH: ClassVar[str] = "DE63"

    scheme: str = part(3)  # 63.1: CUP, or the operator in sign-in and settlement; the text of 63.2 is `tail`

    @property
    def remarks(self) -> tuple[str, str, str, str]:
        """63.2 as issuer, switch, acquirer (20 bytes of GBK each) and the rest, without filling."""
        raw = self.tail.encode("gbk", "replace")
        cuts = [raw[:20], raw[20:40], raw[40:60], raw[60:]]
        issuer, switch, acquirer, rest = (cut.decode("gbk", "replace").rstrip() for cut in cuts)
        return issuer, switch, acquirer, rest


# fmt: off
TERMINAL_TYPES = {  # 60.6 of the interbank dialect; from memory
    "00": ("unknown",      "不详"),
    "01": ("cash machine", "ATM"),
    "03": ("POS",          "POS"),
    "06": ("telephone",    "电话"),
    "07": ("online",       "互联网"),
}
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class CupsDE60(Positions):
    """DE60 of an interbank message.

    >>> parts = CupsDE60.parse("000005000100000000004021002")
    >>> parts.reason, parts.read_capability, parts.reserved3[2], parts.settlement, parts.tail
    ('0000', '5', '4', '02', '')
    """

    PATH: ClassVar[str] = "DE60"

    reason: str = part(4)  # 60.1
    account_owner: str = part(1)  # 60.2
    read_capability: str = part(1)  # 60.3: 5 contact, 6 contact and contactless
    chip_condition: str = part(1)  # 60.4
    reserved: str = part(1)  # 60.5
    terminal_type: str = part(2)  # 60.6
    without_pin: str = part(1)  # 60.7
    chip_reliability: str = part(1)  # 60.8
    ecommerce: str = part(2)  # 60.9
    interaction: str = part(1)  # 60.10
    fee_type: str = part(2)  # 60.11.1
    fee_level: str = part(1)  # 60.11.2
    reserved3: str = part(3)  # 60.11.3: the third character names the MAC algorithm
    partial_approval: str = part(1)  # 60.11.4
    initiation: str = part(1)  # 60.11.5
    medium: str = part(1)  # 60.11.6
    chip_application: str = part(1)  # 60.11.7
    settlement: str = part(2)  # 60.11.8
    account_level: str = part(1)  # 60.11.9
    card_product: str = part(2)  # 60.11.10


@dataclass(frozen=True, slots=True, kw_only=True)
class CupsDE61(Positions):
    """DE61 of an interbank message: what was checked about the holder and the card. Its repr shows no value."""

    PATH: ClassVar[str] = "DE61"

    id_type: str = part(2)
    id_number: str = part(20)
    cvv_result: str = part(1)
    pvv_result: str = part(1)
    centre: str = part(3)
    cvn2: str = part(3)
    cvn2_result: str = part(1)
    arqc_result: str = part(1)
    centre2: str = part(3)  # then usages AM, AR, CR in `tail`

    def __repr__(self) -> str:
        return f"CupsDE61(arqc_result={self.arqc_result!r})"

    @classmethod
    def verdict(cls, arqc_result: str) -> "CupsDE61":
        """The field when only the cryptogram's verdict is known: everything else blank or zero."""
        return cls(
            id_type="00", id_number=" " * 20, cvv_result="0", pvv_result="0", centre="000",
            cvn2="000", cvn2_result="0", arqc_result=arqc_result, centre2="000",
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CupsDE121(Positions):
    """DE121: what the switch adds."""

    PATH: ClassVar[str] = "DE121"

    answer_reason: str = part(1)  # who answered: the issuer or the switch in its place
    conversion: str = part(1)  # between single and dual message
    card_nature: str = part(1)
    reserved: str = part(40)  # then usages ID, FD in `tail`


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalData(Positions):
    """DE90: the interbank identity of the original (ISO 8583:1987 annex; trace, DE7, DE32 and DE33).

    >>> OriginalData.of(mti="0200", stan="000403", sent="0108101530", acquirer="48120000", forwarder="48120000").encode()
    '020000040301081015300004812000000048120000'
    """

    PATH: ClassVar[str] = "DE90"

    mti: str = part(4)
    stan: str = part(6)
    sent: str = part(10)  # DE7
    acquirer: str = part(11)  # DE32, right aligned with zeros
    forwarder: str = part(11)  # DE33, right aligned with zeros

    @classmethod
    def of(cls, *, mti: str, stan: str, sent: str, acquirer: str, forwarder: str) -> "OriginalData":
        """Make it from the original's fields as they stand there."""
        return cls(mti=mti, stan=stan, sent=sent, acquirer=acquirer.zfill(11), forwarder=forwarder.zfill(11))

    def same_institution(self, institution: str) -> bool:
        """Whether DE32 of a message is the acquirer named here; the zeros in front do not count."""
        return self.acquirer.lstrip("0") == institution.lstrip("0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One amount of DE54."""

    account_type: str
    amount_type: str  # 01 ledger, 02 available
    currency: str
    amount_minor: int  # negative for a debit balance

    def encode(self) -> str:
        """The 20 characters: account 2, amount type 2, currency 3, C or D, amount 12 (ISO 8583:1987 DE54)."""
        sign = "D" if self.amount_minor < 0 else "C"
        text = f"{self.account_type}{self.amount_type}{self.currency}{sign}{abs(self.amount_minor):012d}"
        if len(text) != 20:
            raise ProtocolError(f"DE54: {len(text)} characters, 20 wanted", by="us")
        return text


def parse_balances(text: str) -> list[Balance]:
    """Read DE54: one balance from the terminal's host, up to two interbank.

    >>> parse_balances("1002156C000000012345")[0].amount_minor
    12345
    """
    if len(text) % 20:
        raise DecodeError(f"{len(text)} characters, not a multiple of 20", fault=Fault.LENGTH, path="DE54")
    return [_balance(text[at : at + 20], at) for at in range(0, len(text), 20)]


def _balance(text: str, at: int) -> Balance:
    sign, digits = text[7], text[8:]
    if sign not in "CD" or not (digits.isascii() and digits.isdecimal()):
        raise DecodeError("no sign C or D and twelve digits", path="DE54", offset=at + 7, spec="ISO 8583:1987 DE54")
    amount = -int(digits) if sign == "D" else int(digits)
    return Balance(account_type=text[:2], amount_type=text[2:4], currency=text[4:7], amount_minor=amount)


def encode_balances(balances: list[Balance]) -> str:
    """Write DE54."""
    return "".join(balance.encode() for balance in balances)
