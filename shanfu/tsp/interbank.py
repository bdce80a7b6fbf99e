"""The interbank token leg as the service sees it: what the network asks, and what goes back.

`read` turns a message into a `Request`. It never raises: what is missing or malformed stands in `fault` (the message) or
`Chip.fault` (DE55), so that a refusal goes through the same table as every other. `resolved` builds the answer that gives the
PAN, `refused` the one that names the check that failed, `acknowledged` that of an advice.

    0200  purchase, balance, void      -> 0210   DE2 PAN, 14, 56 PR, 63 TK and VR; or DE2 as it came and 63 RS
    0220  refund, completion           -> 0230   the same, found through the history
    0620  outcomes of payments (DE59)  -> 0630   39
    0420  reversal                     -> 0430   39

TK says what the issuer must know of the token. VR (private use) is the vault's record that this PAN is this token's, sealed for
the network's security module, which moves a PIN to the PAN by it. RS (private use) is the name of the verdict.
"""

from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Final

from msgspec import Struct

from shanfu.clock import local
from shanfu.emv import ALGORITHM_3DES, IssuerApplicationData, cryptogram_input, decode_field55
from shanfu.errors import DecodeError
from shanfu.hosts import business_date, institution, name_of, original_name
from shanfu.iso8583 import (
    InterbankFrame,
    Message,
    Outcome,
    TokenAnswer,
    TokenBlock,
    Value,
    encode_par,
    parse_outcomes,
    response_mti,
)
from shanfu.tsp.checks import Verdict

__all__ = [
    "ASKED", "FROM_HISTORY", "SCENARIO", "Account", "Chip", "Kind", "Request", "acknowledged", "read", "refused",
    "resolved",
]  # fmt: skip


class Kind(Enum):
    """What is asked."""

    BALANCE = "balance inquiry"
    COMPLETION = "completion"
    OUTCOME = "outcome advice"
    PURCHASE = "purchase"
    REFUND = "refund"
    REVERSAL = "reversal"
    UNKNOWN = "message of an unknown kind"
    VOID = "void"

    __hash__ = object.__hash__  # members are single; Enum's own hashes the name, by a call


ASKED: Final = frozenset({Kind.BALANCE, Kind.PURCHASE})  # paid with the live token
FROM_HISTORY: Final = frozenset({Kind.COMPLETION, Kind.REFUND, Kind.VOID})  # found through the original
SCENARIO: Final = "01"  # DE63 TK: contactless with a token in a phone

_COMMON: Final = frozenset({2, 3, 7, 11, 22, 25, 32, 33, 37, 41, 42, 49})
_ORIGINAL: Final = _COMMON | {4, 90}
# fmt: off
#   MTI class, DE3 -> kind, fields without which it is malformed; repeats (0221, 0421) are of their original's class
_KINDS: Final = {
    ("020", "000000"): (Kind.PURCHASE,   _COMMON | {4}),
    ("020", "200000"): (Kind.VOID,       _ORIGINAL),
    ("020", "310000"): (Kind.BALANCE,    _COMMON),
    ("022", "000000"): (Kind.COMPLETION, _ORIGINAL),
    ("022", "200000"): (Kind.REFUND,     _ORIGINAL),
}
_OUTCOME: Final =      (Kind.OUTCOME,    frozenset({7, 11, 32, 33, 59}))
_REVERSAL: Final =     (Kind.REVERSAL,   frozenset({2, 3, 4, 7, 11, 32, 33, 39, 49, 90}))
_UNKNOWN: Final =      (Kind.UNKNOWN,    frozenset({7, 11, 32, 33}))
# fmt: on
_ECHO: Final = (2, 3, 4, 7, 11, 12, 13, 15, 25, 32, 33, 37, 41, 42, 49, 60, 100)  # Q/CUP 006, 0210 0230 0430


@dataclass(slots=True)
class Chip:
    """What the phone said, from DE55. `data` is what it had MACed, `index` its key set's (YHHHHCC, "" without one)."""

    atc: int
    arqc: bytes
    dki: int
    cvr: bytes
    amount: bytes
    currency: bytes
    country: bytes
    un: bytes
    cvm: bytes  # 9F34, b"" when the terminal did not say
    index: str
    index_bytes: bytes
    data: bytes = field(repr=False)


@dataclass(slots=True)
class Request:
    """One request. `number` is filled in by the host (keyed hash of DE2); `fault` names the field that is wrong."""

    frame: InterbankFrame = field(repr=False)
    kind: Kind
    name: str
    token: str = field(repr=False)
    amount_minor: int
    currency: str
    business_date: str
    institution: str
    entry: str
    expiry: str = field(repr=False)
    original: str
    chip: Chip | None
    chip_fault: str
    fault: str
    number: str = ""
    late: bool = False  # it waited longer than its sender does
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)  # of an outcome advice: the payments' names and ends

    @property
    def message(self) -> Message:
        """The message as it came."""
        return self.frame.message

    @property
    def bin(self) -> str:
        """The token's range."""
        return self.token[:6]

    @property
    def rrn(self) -> str:
        """DE37."""
        return self.frame.message.text(37, "")

    @property
    def original_sent(self) -> str:
        """DE7 of the original, out of DE90."""
        return self.original.partition(".")[0]


def read(frame: InterbankFrame, *, now_ms: int) -> Request:
    """Return what this message asks; the first thing that is wrong with it stands in `fault`."""
    message = frame.message
    fields, text = message.fields, message.text
    kind, needed = _kind(message)
    fault = "" if needed <= fields.keys() else f"DE{min(needed - fields.keys())}"
    dated = business_date(text(15) if 15 in fields else f"{local(now_ms):%m%d}", now_ms)
    request = Request(
        frame, kind, name_of(message), text(2, ""), int(text(4, "0")), text(49, ""), dated or f"{local(now_ms):%Y%m%d}",
        institution(text(32, "")), text(22, ""), text(14, ""), original_name(text(90, "")), None, "", fault,
    )  # fmt: skip
    if not fault:
        request.fault = _more(request, dated)
    if kind in ASKED and 55 in fields:
        request.chip_fault = _read_chip(request)
    return request


def _kind(message: Message) -> tuple[Kind, frozenset[int]]:
    type_of = message.mti[:3]
    if type_of == "042":
        return _REVERSAL
    if type_of == "062":
        return _OUTCOME
    return _KINDS.get((type_of, message.text(3, "")), _UNKNOWN)


def _more(request: Request, dated: str) -> str:
    """Return the path of the first field whose value makes no sense, or ""."""
    if not dated:
        return "DE15"
    if request.kind is Kind.OUTCOME:
        return _read_outcomes(request)
    if not 12 <= len(request.token) <= 19:
        return "DE2"  # ISO 7812-1
    if 90 in request.message and not request.original:
        return "DE90"
    if request.kind is Kind.PURCHASE and request.amount_minor <= 0:
        return "DE4"
    track = request.message.text(35, "")
    if track and track[: len(request.token) + 1].rstrip("=D") != request.token:
        return "DE35"  # ISO 7813: track 2 begins with the number, then the separator
    return ""


def _read_outcomes(request: Request) -> str:
    """Read DE59; return the path of what is wrong with it, or ""."""
    try:
        ends = parse_outcomes(request.message.text(59))
    except DecodeError as fault:
        return fault.path
    request.outcomes = [(original_name(one.original), one) for one in ends]
    return "" if all(name for name, _ in request.outcomes) else "DE59"


def _read_chip(request: Request) -> str:
    """Read DE55; return the path of what is wrong with it, or ""."""
    try:
        values = decode_field55(request.message.binary(55))
        iad = values[0x9F10]
        index = iad[9:]  # issuer-defined data, behind their length
        if iad[7] != ALGORITHM_3DES:
            return "DE55/9F10: algorithm"  # token keys are 3DES
        request.chip = Chip(
            int.from_bytes(values[0x9F36]), values[0x9F26], iad[1], iad[3:7], values[0x9F02], values[0x5F2A],
            values[0x9F1A], values[0x9F37], values.get(0x9F34, b""), _index(index), index[1:],
            cryptogram_input(iad[2], values),
        )  # fmt: skip
    except DecodeError as fault:
        return f"DE55/{fault.path}".rstrip("/") if fault.path != "DE55" else "DE55"
    except LookupError as absent:
        return f"DE55/{absent.args[0]:X}"
    return ""


@lru_cache(maxsize=4096)  # the sets of one hour share their indexes
def _index(issuer_data: bytes) -> str:
    """Return the key index that these issuer-defined data hold, or ""."""
    iad = IssuerApplicationData(dki=0, cvn=0, cvr=b"", idd=issuer_data or None)
    return iad.key_index or ""


# -- answers -----------------------------------------------------------------------------------------------------------

Fields = dict[int, Value]


class Account(Struct, frozen=True, kw_only=True):
    """What an answer tells of the account behind a token."""

    pan: str
    expiry: str
    par: str
    block: TokenBlock
    record: bytes  # sealed for the network: this PAN is this token's

    def __repr__(self) -> str:
        return f"Account({self.block})"


def resolved(request: InterbankFrame, account: Account) -> InterbankFrame:
    """Return the answer that gives the PAN: to the network alone, which never passes it to an acquirer."""
    fields = _echo(request.message, Verdict.RESOLVED)
    fields[2], fields[14], fields[56] = account.pan, account.expiry, encode_par(account.par)
    fields[63] = TokenAnswer(block=account.block, record=account.record).field()
    return _answer(request, fields)


def refused(request: InterbankFrame, verdict: Verdict) -> InterbankFrame:
    """Return a refusal: DE2 as it came, and the name of the verdict."""
    fields = _echo(request.message, verdict)
    fields[63] = TokenAnswer(reason=verdict.name).field()
    return _answer(request, fields)


def acknowledged(request: InterbankFrame, verdict: Verdict) -> InterbankFrame:
    """Return the answer to an outcome or a reversal."""
    return _answer(request, _echo(request.message, verdict))


def _echo(message: Message, verdict: Verdict) -> Fields:
    fields = message.copy(*_ECHO)
    fields[39] = verdict.code
    return fields


def _answer(request: InterbankFrame, fields: Fields) -> InterbankFrame:
    message = request.message
    return request.answer(Message(response_mti(message.mti), fields, kept=message.kept))  # what was odd is echoed as odd
