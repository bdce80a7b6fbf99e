"""Private fields that are lists: token data, PAR, an SM4 PIN, new keys, totals and records of a settlement.

Interbank DE56, 63, 104 and their like are lists of usage, length, value (`positions.parse_list`). DE48 and 57 wrap such
a list in "AS" or, in the old style, hold one usage without a length. The terminal's DE59 is tag, length, value with the
same widths, its DE48 either the totals of a settlement or up to eight records of 40 digits.

Network, token service and issuer read `TokenBlock`: the token's data travels beside the PAN in DE63 usage TK. Whether
the live network writes one-byte tags and lengths inside TK is not confirmed; it is the one row `TK_WIDTHS`. What the token
service found of the cryptogram is a `TokenVerdict`, which the network writes into DE61 for the issuer. Three usages are our
own and never leave the link between token service and network: VR (the vault's sealed record) and RS (a reason's name) of
DE63, OC (how payments ended) of DE59.
Source: an open field table of the interbank dialect, public terminal implementations (docs/sources.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import Struct

from shanfu.errors import DecodeError, Fault, ProtocolError
from shanfu.iso8583.positions import encode_list, parse_list
from shanfu.iso8583.reserved import CupsDE61
from shanfu.pan import PAN

__all__ = [
    "MOST_OUTCOMES", "TK_WIDTHS", "AnswerParties", "BatchRecord", "Outcome", "SettlementTotals", "TokenAnswer", "TokenBlock",
    "TokenVerdict", "Totals", "UsageField", "encode_batch_records", "encode_de59", "encode_outcomes", "encode_par",
    "encode_sm4_pin", "parse_batch_records", "parse_de59", "parse_outcomes", "parse_par", "parse_sm4_pin",
]  # fmt: skip


# -- interbank: token, PAR, PIN ------------------------------------------------------------------------------------

TK_WIDTHS = (1, 1)  # bytes of a tag and of a length inside TK (unverified)

# fmt: off
_TK_TAGS = (
    (1, "verified"),         # the token was verified already
    (2, "token"),
    (3, "expiry"),           # YYMM
    (4, "assurance"),
    (5, "scenario"),
    (6, "trid"),             # token requestor
    (7, "reserved"),
    (8, "product"),
)
# fmt: on
_TK_NAMES = dict(_TK_TAGS)


class TokenBlock(Struct, frozen=True, kw_only=True):
    """DE63 usage TK. Empty parts are absent; tags that we do not know are kept in `extra`. The repr hides the token.

    >>> block = TokenBlock.parse(bytes.fromhex("0101310210363230303030303030303030303031330304333031320402303505023031"))
    >>> block.verified, block.expiry, block.assurance, block
    ('1', '3012', '05', TokenBlock(token=620000******0013, expiry=****, assurance='05', scenario='01', trid=''))
    """

    verified: str = ""
    token: str = ""
    expiry: str = ""
    assurance: str = ""
    scenario: str = ""
    trid: str = ""
    reserved: str = ""
    product: str = ""
    extra: tuple[tuple[int, bytes], ...] = ()

    def __repr__(self) -> str:
        token = str(PAN(self.token)) if self.token.isdecimal() and 12 <= len(self.token) <= 19 else "?"
        rest = f"assurance={self.assurance!r}, scenario={self.scenario!r}, trid={self.trid!r}"
        return f"TokenBlock(token={token}, expiry=****, {rest})"

    @classmethod
    @lru_cache(maxsize=1024)  # what the service says of a token, its issuer says again
    def parse(cls, raw: bytes) -> "TokenBlock":
        """Read the value of usage TK; DecodeError when it breaks off or holds other than ASCII in a known tag."""
        tag_width, length_width = TK_WIDTHS
        values, extra, at, end = {}, [], 0, len(raw)
        while at < end:
            start = at + tag_width + length_width
            tag, size = int.from_bytes(raw[at : at + tag_width]), int.from_bytes(raw[at + tag_width : start])
            value = raw[start : start + size]
            if start > end or len(value) < size:
                raise DecodeError("breaks off", fault=Fault.TRUNCATED, path=f"DE63/TK/{tag:02X}", offset=at)
            name = _TK_NAMES.get(tag)
            if name is None or name in values:
                extra.append((tag, value))
            elif not value.isascii():
                raise DecodeError("not ASCII", path=f"DE63/TK/{tag:02X}", offset=start)
            else:
                values[name] = value.decode("ascii")
            at = start + size
        return cls(**values, extra=tuple(extra))

    def encode(self) -> bytes:
        """Write the value of usage TK, known tags in ascending order."""
        known = [(tag, value.encode("ascii")) for tag, name in _TK_TAGS if (value := getattr(self, name))]
        tag_width, length_width = TK_WIDTHS
        parts = [tag.to_bytes(tag_width) + len(value).to_bytes(length_width) + value for tag, value in (*known, *self.extra)]
        return b"".join(parts)

    @classmethod
    def of_field(cls, raw: bytes) -> "TokenBlock | None":
        """Return the token block of a whole DE63, or None when it has no usage TK."""
        value = _usage(raw, "TK", path="DE63")
        return None if value is None else cls.parse(value)

    def field(self) -> bytes:
        """A whole DE63 with this block as its only usage."""
        return encode_list([("TK", self.encode())], path="DE63")


class TokenVerdict(StrEnum):
    """What the token service found of a token's cryptogram, as the network tells it in DE61's ARQC result.

    The place is public, the digits are not: they stand here alone (unverified).
    """

    NOT_CHECKED = "0"  # found by its original in the history: a void, a refund, a reversal
    RIGHT = "1"
    WRONG = "2"

    def field(self) -> str:
        """A whole DE61 that says this and nothing else.

        >>> TokenVerdict.RIGHT.field().rstrip("0")
        '00                    0000000001'
        """
        return CupsDE61.verdict(self.value).encode()

    @classmethod
    def of_field(cls, text: str) -> "TokenVerdict":
        """Return what a DE61 says; whatever cannot be read, or says something else, is NOT_CHECKED."""
        if (said := _VERDICTS.get(text)) is not None:
            return said
        try:
            return cls(CupsDE61.parse(text).arqc_result)
        except (DecodeError, ValueError):
            return cls.NOT_CHECKED


_VERDICTS: Final = {verdict.field(): verdict for verdict in TokenVerdict}  # what says nothing else needs no taking apart


class TokenAnswer(Struct, frozen=True, kw_only=True):
    """DE63 of the token service's answer to the network: TK and VR where the token was resolved, else RS.

    `record` is the PAN, sealed for the network's security module; `reason` names the check that failed, in ASCII.

    >>> TokenAnswer.of_field(TokenAnswer(reason="TOKEN_EXPIRED").field()).reason
    'TOKEN_EXPIRED'
    """

    block: TokenBlock | None = None
    record: bytes = b""
    reason: str = ""

    @classmethod
    def of_field(cls, raw: bytes) -> "TokenAnswer":
        """Read a whole DE63; DecodeError when a usage breaks off, or a reason is not in ASCII."""
        usages = dict(parse_list(raw, path="DE63"))
        block, reason = usages.get("TK"), usages.get("RS", b"")
        if not reason.isascii():
            raise DecodeError("not ASCII", path="DE63/RS")
        return cls(
            block=None if block is None else TokenBlock.parse(block),
            record=usages.get("VR", b""),
            reason=reason.decode("ascii"),
        )

    def field(self) -> bytes:
        """Write a whole DE63."""
        block = b"" if self.block is None else self.block.encode()
        usages = (("TK", block), ("VR", self.record), ("RS", self.reason.encode("ascii")))
        return encode_list([usage for usage in usages if usage[1]], path="DE63")

    def __repr__(self) -> str:
        return f"TokenAnswer(block={self.block!r}, record={len(self.record)} bytes, reason={self.reason!r})"


class Outcome(NamedTuple):
    """How one payment ended: its DE90, DE39 and DE38 (empty when it was not approved)."""

    original: str
    code: str
    auth_code: str


MOST_OUTCOMES: Final = 11  # in one DE59 of 600 characters


def encode_outcomes(outcomes: Sequence[Outcome]) -> str:
    """Write a DE59 of the usage OC (private): 50 characters for each payment, at most `MOST_OUTCOMES` of them.

    >>> len(encode_outcomes([Outcome("020000001711221504050009901290000099012900", "00", "123456")]))
    52
    """
    if len(outcomes) > MOST_OUTCOMES:
        raise ProtocolError(f"DE59/OC: {len(outcomes)} outcomes, at most {MOST_OUTCOMES} fit", by="us")
    return "OC" + "".join(f"{one.original}{one.code}{one.auth_code:6}" for one in outcomes)


def parse_outcomes(text: str) -> list[Outcome]:
    """Read a DE59 of the usage OC; DecodeError when it is none, holds none, breaks off, or names no payment.

    >>> parse_outcomes(encode_outcomes([Outcome("020000001711221504050009901290000099012900", "51", "")]))
    [Outcome(original='020000001711221504050009901290000099012900', code='51', auth_code='')]
    """
    if not text.startswith("OC") or len(text) == 2 or len(text) % 50 != 2:
        raise DecodeError(f"{len(text)} characters, the usage OC and 50 for each outcome wanted", path="DE59")
    entries = [text[at : at + 50] for at in range(2, len(text), 50)]
    if not all(one[:42].isdecimal() for one in entries):
        raise DecodeError("an outcome names its payment by 42 digits, as DE90 does", path="DE59")
    return [Outcome(one[:42], one[42:44], one[44:].rstrip()) for one in entries]


def _usage(raw: bytes, wanted: str, *, path: str) -> bytes | None:
    return next((value for usage, value in parse_list(raw, path=path) if usage == wanted), None)


def parse_sm4_pin(raw: bytes) -> bytes | None:
    """Return the 16-byte SM4 PIN block of DE63 usage SM, or None (DE52 is zeros and DE53 24… then)."""
    block = _usage(raw, "SM", path="DE63")
    if block is not None and len(block) != 16:
        raise DecodeError(f"{len(block)} bytes, a block has 16", fault=Fault.LENGTH, path="DE63/SM")
    return block


def encode_sm4_pin(block: bytes) -> bytes:
    """Write DE63 usage SM."""
    if len(block) != 16:
        raise ProtocolError(f"DE63/SM: {len(block)} bytes, 16 wanted", by="us")
    return encode_list([("SM", block)], path="DE63")


def parse_par(raw: bytes) -> str | None:
    """Return the payment account reference (29 characters) of DE56 usage PR, or None.

    >>> parse_par(encode_par("62AB0000000000000000000000CDE"))
    '62AB0000000000000000000000CDE'
    """
    value = _usage(raw, "PR", path="DE56")
    if value is None:
        return None
    if value[:2] != b"\x01\x1d" or len(value) < 31 or not value[2:31].isascii():
        raise DecodeError("tag 01 with 29 characters wanted", path="DE56/PR", spec="EMVCo tokenisation framework, PAR")
    return value[2:31].decode("ascii")


def encode_par(par: str) -> bytes:
    """Write DE56 usage PR with tag 01."""
    if len(par) != 29 or not par.isascii():
        raise ProtocolError(f"DE56/PR: {len(par)} characters, a PAR has 29", by="us")
    return b"PR031\x01\x1d" + par.encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageField:
    """DE48 or DE57 of the interbank dialect: "AS" and a list, or one usage of the old style."""

    items: tuple[tuple[str, bytes], ...]
    wrapped: bool = True

    @classmethod
    def parse(cls, raw: bytes, *, path: str = "DE48") -> "UsageField":
        """Take the field apart.

        >>> UsageField.parse(b"ASON003abc").items, UsageField.parse(b"NK16bytes").items
        ((('ON', b'abc'),), (('NK', b'16bytes'),))
        """
        if raw[:2] == b"AS":
            return cls(items=tuple(parse_list(raw[2:], path=path)))
        if len(raw) < 2 or not raw[:2].isalnum():
            raise DecodeError("does not begin with a usage", path=path)
        return cls(items=((raw[:2].decode("ascii"), raw[2:]),), wrapped=False)

    def encode(self) -> bytes:
        """Write the field in the style it has."""
        if self.wrapped:
            return b"AS" + encode_list(self.items, path="DE48")
        [(usage, value)] = self.items
        return usage.encode("ascii") + value

    def get(self, usage: str) -> bytes | None:
        """The value of a usage, for instance NK: the new key under the member master key."""
        return next((value for name, value in self.items if name == usage), None)

    def __repr__(self) -> str:
        return f"UsageField({', '.join(f'{usage}: {len(value)} bytes' for usage, value in self.items)})"


# -- terminal ------------------------------------------------------------------------------------------------------


def parse_de59(text: str) -> list[tuple[str, str]]:
    """Read the terminal's DE59: tag, length in bytes, value (A2 device security block, A3 QR payload).

    >>> parse_de59("A2004abcdA3001x")
    [('A2', 'abcd'), ('A3', 'x')]
    """
    return [(tag, raw.decode("gbk", "replace")) for tag, raw in parse_list(text.encode("gbk", "replace"), path="DE59")]


def encode_de59(items: list[tuple[str, str]]) -> str:
    """Write DE59."""
    return encode_list([(tag, value.encode("gbk")) for tag, value in items], path="DE59").decode("gbk")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerParties:
    """DE44 of an answer to a terminal: who decided and who received."""

    issuer: str
    acquirer: str

    @classmethod
    def parse(cls, text: str) -> "AnswerParties":
        """Cut DE44 into two columns of eleven.

        >>> AnswerParties.parse("01020000   48120000   ").issuer
        '01020000'
        """
        return cls(issuer=text[:11].rstrip(), acquirer=text[11:22].rstrip())

    def encode(self) -> str:
        """Two columns of eleven, filled with spaces."""
        return f"{self.issuer:<11}{self.acquirer:<11}"


class Totals(NamedTuple):
    """Debits and credits of one kind of cards."""

    debit_minor: int = 0
    debit_count: int = 0
    credit_minor: int = 0
    credit_count: int = 0

    def encode(self, verdict: int) -> str:
        """Amount 12, count 3, amount 12, count 3, answer digit."""
        text = f"{self.debit_minor:012d}{self.debit_count:03d}{self.credit_minor:012d}{self.credit_count:03d}{verdict:d}"
        if len(text) != 31:
            raise ProtocolError("DE48: a total is negative or too large for its twelve or three digits", by="us")
        return text


NO_TOTALS = Totals()


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementTotals:
    """DE48 of 0500 and 0510: domestic cards, foreign cards, each with the host's verdict.

    Verdict 0 in the request; in the answer 1 balanced, 2 not balanced, 3 error.
    >>> SettlementTotals.parse("000000001999001" + "0" * 47).domestic.debit_minor
    1999
    """

    domestic: Totals = NO_TOTALS
    foreign: Totals = NO_TOTALS
    domestic_verdict: int = 0
    foreign_verdict: int = 0

    @classmethod
    def parse(cls, digits: str) -> "SettlementTotals":
        """Read the 62 digits."""
        if len(digits) != 62 or not digits.isdecimal():
            raise DecodeError(f"{len(digits)} characters, 62 digits wanted", fault=Fault.LENGTH, path="DE48")
        parts = [
            Totals(int(half[:12]), int(half[12:15]), int(half[15:27]), int(half[27:30])) for half in (digits[:31], digits[31:])
        ]
        return cls(domestic=parts[0], foreign=parts[1], domestic_verdict=int(digits[30]), foreign_verdict=int(digits[61]))

    def encode(self) -> str:
        """Write the 62 digits."""
        return self.domestic.encode(self.domestic_verdict) + self.foreign.encode(self.foreign_verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """One record of a batch upload: 40 digits."""

    foreign: bool
    trace: str
    pan: PAN
    amount_minor: int


def parse_batch_records(digits: str) -> list[BatchRecord]:
    """Read DE48 of a batch upload: count 2, then records of card kind 2, trace 6, PAN 20 (zeros in front), amount 12.

    >>> parse_batch_records("010000040300006200000000000005000000001999")[0].trace
    '000403'
    """
    count = int(digits[:2]) if digits[:2].isdecimal() else -1
    if count < 0 or len(digits) != 2 + 40 * count or not digits.isdecimal():
        what = f"{len(digits)} characters, the count asks for {2 + 40 * max(count, 0)} digits"
        raise DecodeError(what, fault=Fault.LENGTH, path="DE48")
    records = [digits[at : at + 40] for at in range(2, len(digits), 40)]
    return [
        BatchRecord(foreign=r[:2] == "01", trace=r[2:8], pan=PAN(r[8:28].lstrip("0")), amount_minor=int(r[28:]))
        for r in records
    ]


def encode_batch_records(records: list[BatchRecord]) -> str:
    """Write DE48 of a batch upload; at most eight records fit."""
    if len(records) > 8:
        raise ProtocolError(f"DE48: {len(records)} records, 8 fit", by="us")
    body = "".join(f"{r.foreign:02d}{r.trace}{r.pan.digits:0>20}{r.amount_minor:012d}" for r in records)
    return f"{len(records):02d}{body}"
