"""What arrived, in the issuer's words: which kind of request, under which name, about which card, with what proofs to check.

`read` turns a decoded interbank message into a `Request`. It never raises: what is missing or malformed is told in `fault`
(a field path), so that the refusal goes through the same decision as every other. Kinds and their fields follow the wires
page; the name is DE7, DE11, DE32 and DE33, and DE90 holds that of an original with institutions padded to eleven digits.

A payment with a token comes with the PAN in DE2 as every other, and with the token's data in DE63 TK. What its chip said was
for the token service, which has judged it; of DE55 only the TVR is read here.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from shanfu.clock import local
from shanfu.emv import (
    ALGORITHM_3DES,
    ALGORITHM_SM4,
    CVR,
    CryptogramType,
    Message55,
    ScriptResult,
    Track2,
    cryptogram_input,
    decode_field55,
    parse_script_results,
)
from shanfu.errors import DecodeError
from shanfu.hosts import business_date, institution, name_of, original_name
from shanfu.hsm import Algorithm, PINBlockFormat
from shanfu.iso8583 import EntryMode, InterbankFrame, Message, TokenBlock, TokenVerdict, parse_sm4_pin

__all__ = ["Chip", "Kind", "PaidByToken", "PresentedPIN", "Request", "Stripe", "read"]

ALGORITHMS: Final = {ALGORITHM_3DES: Algorithm.TDES, ALGORITHM_SM4: Algorithm.SM4}  # 9F10 byte 8, JR/T 0025.5


class Kind(Enum):
    """What is asked."""

    BALANCE = "balance inquiry"
    OFFLINE = "offline approval"
    PURCHASE = "purchase"
    REFUND = "refund"
    REVERSAL = "reversal"
    SCRIPT_RESULT = "script result"
    UNKNOWN = "message of an unknown kind"
    VOID = "void"


_COMMON: Final = frozenset({2, 3, 7, 11, 22, 25, 32, 33, 37, 41, 42, 49})
_ORIGINAL: Final = _COMMON | {4, 90}
# fmt: off
#   MTI class, DE3 -> kind, fields without which it is malformed; repeats (0221, 0421) are of their original's class
_KINDS: Final = {
    ("020", "000000"): (Kind.PURCHASE, _COMMON | {4}),
    ("020", "200000"): (Kind.VOID,     _ORIGINAL),
    ("020", "310000"): (Kind.BALANCE,  _COMMON),
    ("022", "000000"): (Kind.OFFLINE,  _COMMON | {4, 55}),
    ("022", "200000"): (Kind.REFUND,   _ORIGINAL),
}
# fmt: on
_UNKNOWN: Final = (Kind.UNKNOWN, frozenset({7, 11, 32, 33}))
_REVERSAL: Final = (Kind.REVERSAL, frozenset({2, 3, 4, 7, 11, 32, 33, 39, 49, 90}))
_SCRIPT_RESULT: Final = (Kind.SCRIPT_RESULT, frozenset({2, 7, 11, 32, 33, 55, 90}))
_CASH_CODE: Final = 0x9F74  # JR/T 0025.13: a card shows it with the records of an e-cash payment, in the field and in the slot
_DF31: Final = 0xDF31
_ARQC: Final = CryptogramType.ARQC.cid  # what a terminal that does not say has asked for


@dataclass(slots=True)
class Chip:
    """What the card said, from DE55. `data` is what it had MACed; the algorithm is None for a byte that nobody knows."""

    atc: int
    arqc: bytes
    dki: int
    cvr: bytes
    tvr: bytes
    algorithm: Algorithm | None
    amount: bytes
    currency: bytes
    data: bytes = field(repr=False)
    type: int = CryptogramType.ARQC  # 9F27
    cash: bool = False  # it paid with its e-cash (9F74)

    @property
    def approved_at_once(self) -> bool:
        """Whether the card's first cryptogram was a TC: 9F27 and its own word in the CVR agree (EMV B3 table 15)."""
        return {CryptogramType.of_cid(self.type), CryptogramType.of_cvr(self.cvr)} == {CryptogramType.TC}

    @property
    def approved_unreached(self) -> bool:
        """Whether the card wanted its issuer, who could not be reached, and then approved by its own limits (EMV B4 A6, Y3).

        Without "unable to go online" a TC that follows an ARQC closes an online payment, whose money has moved already.
        """
        cvr = CVR.parse(self.cvr)
        decided = (CryptogramType.of_cid(self.type), cvr.first_gac, cvr.second_gac)
        return decided == (CryptogramType.TC, CryptogramType.ARQC, CryptogramType.TC) and CVR.UNABLE_TO_GO_ONLINE in cvr


@dataclass(slots=True)
class Stripe:
    """What was swiped: track 2, and whether the terminal says that it could not read the chip (DE60.4 = 2, or DE22 80)."""

    track: Track2
    fallback: bool


@dataclass(slots=True)
class PaidByToken:
    """Which phone paid: the token's data (DE63 TK), what the token service found (DE61), and the terminal's TVR."""

    block: TokenBlock
    told: bytes = field(repr=False)  # DE63 as it came
    verdict: TokenVerdict
    tvr: bytes = b""

    @property
    def verified(self) -> bool:
        """Whether the service says that the token's own key has made the cryptogram of this payment."""
        return self.block.verified == "1" and self.verdict is TokenVerdict.RIGHT


@dataclass(slots=True)
class PresentedPIN:
    """The PIN block of DE52 (or DE63 SM) and the form that DE53 announces."""

    block: bytes = field(repr=False)
    format: PINBlockFormat


@dataclass(slots=True)
class Request:
    """One request. `card` is filled in by the host (keyed hash of the PAN); `fault` names the field that is wrong."""

    frame: InterbankFrame = field(repr=False)
    kind: Kind
    name: str
    pan: str = field(repr=False)
    amount_minor: int
    currency: str
    business_date: str
    institution: str
    entry: str
    expiry: str = field(repr=False)
    original: str
    chip: Chip | None
    pin: PresentedPIN | None
    fault: str
    card: str = ""
    late: bool = False  # it waited longer than its sender does
    token: PaidByToken | None = None
    stripe: Stripe | None = None
    script_results: tuple[ScriptResult, ...] = ()

    @property
    def psn(self) -> str:
        """The card sequence number that the terminal read (DE23, from 5F34); "" when it has told none."""
        told = self.message.text(23, "")[-2:]
        return told if told.isascii() and told.isdecimal() else ""

    @property
    def scripted(self) -> bool:
        """Whether orders to the card bear on it: it is inserted, or a result comes."""
        return self.entry[:2] in _CONTACT_MODES or bool(self.script_results)

    @property
    def contact(self) -> bool:
        """Whether the card was inserted: only then can scripts reach it."""
        return self.entry[:2] in _CONTACT_MODES

    @property
    def from_cash(self) -> bool:
        """Whether an offline approval has taken its amount off the card's e-cash; else it is the account's behind the card.

        By wave a card approves with e-cash only (JR/T 0025.12); in the slot when that was offered to it, and it says so (9F74).
        What it approves after it has asked for us (Y3) never is e-cash, which needs nobody (JR/T 0025.13).
        """
        chip = self.chip
        return chip is not None and chip.approved_at_once and (not self.contact or chip.cash)

    @property
    def message(self) -> Message:
        """The message as it came."""
        return self.frame.message

    @property
    def pin_announced(self) -> bool:
        """Whether DE22 says that a PIN was entered (its third digit 1)."""
        return self.entry[2:] == "1"


def read(frame: InterbankFrame, *, now_ms: int) -> Request:
    """Return what this message asks; the first thing that is wrong with it stands in `fault`."""
    message = frame.message
    fields = message.fields
    kind, needed = _kind(message)
    fault = "" if needed <= fields.keys() else f"DE{min(needed - fields.keys())}"
    text = message.text
    today = business_date(f"{local(now_ms):%m%d}", now_ms) if 15 not in fields else ""
    dated = today or business_date(text(15, ""), now_ms)
    request = Request(
        frame, kind, name_of(message), text(2, ""), int(text(4, "0")), text(49, ""), dated or f"{local(now_ms):%Y%m%d}",
        institution(text(32, "")), text(22, ""), text(14, ""), original_name(text(90, "")), None, None, fault,
    )  # fmt: skip
    if not fault:
        request.fault = (_read_token(request) if 63 in fields else "") or _more(request, dated)
    return request


def _read_token(request: Request) -> str:
    """Read what came of the token service (DE63 TK, DE61); a DE63 of other usages is not its."""
    message, told = request.message, request.message.binary(63)
    try:
        block = TokenBlock.of_field(told)
    except DecodeError as fault:
        return fault.path
    if block is not None:
        request.token = PaidByToken(block, told, TokenVerdict.of_field(message.text(61, "")))
    return ""


def _kind(message: Message) -> tuple[Kind, frozenset[int]]:
    type_of = message.mti[:3]
    if type_of == "042":
        return _REVERSAL
    if type_of == "062":
        return _SCRIPT_RESULT
    return _KINDS.get((type_of, message.text(3, "")), _UNKNOWN)


def _more(request: Request, dated: str) -> str:
    """Read what a payment or inquiry carries besides; return the path of the first fault, or ""."""
    if not dated:
        return "DE15"
    if not 12 <= len(request.pan) <= 19:
        return "DE2"  # ISO 7812-1
    if request.kind in (Kind.OFFLINE, Kind.SCRIPT_RESULT):
        return _read_chip(request) if request.kind is Kind.OFFLINE else _read_script_results(request)
    if request.kind is Kind.REVERSAL and 55 in request.message:
        _read_script_results(request)  # a script may have run before the card refused; what cannot be read tells nothing
    if request.kind not in (Kind.PURCHASE, Kind.BALANCE):
        return ""
    message = request.message
    track = message.text(35, "")
    if track and track[: len(request.pan) + 1].rstrip("=D") != request.pan:
        return "DE35"  # ISO 7813: track 2 begins with the PAN, then the separator
    if request.token is not None:
        _read_tvr(request, request.token)
        return _read_pin(request)
    reader = _READERS.get(request.entry[:2])
    fault = reader(request) if reader else ""
    if not fault and request.kind is Kind.PURCHASE and _paid_alone(request):
        request.kind = Kind.OFFLINE
        return ""
    return fault or _read_pin(request)


def _paid_alone(request: Request) -> bool:
    """Whether a waved card has paid by itself already, and its terminal asks all the same.

    So it is when the terminal could not check the card's signature and the card's CTQ says "go online" (EMV CL C-7): by then
    the card has taken the amount off its e-cash, and from there it is booked.
    """
    chip = request.chip
    if chip is None or chip.type == _ARQC[0] or request.entry[:2] != EntryMode.CONTACTLESS.value:
        return False
    return chip.approved_at_once


def _read_tvr(request: Request, token: PaidByToken) -> None:
    """Read what the terminal saw; what else the chip said is not ours to judge, nor whether it can be read."""
    try:
        token.tvr = decode_field55(request.message.binary(55))[0x95]
    except (DecodeError, LookupError):
        return


def _read_chip(request: Request) -> str:
    try:
        values = decode_field55(request.message.binary(55))
        iad = values[0x9F10]
        request.chip = Chip(
            int.from_bytes(values[0x9F36]),
            values[0x9F26],
            iad[1],
            iad[3:7],
            values[0x95],
            ALGORITHMS.get(iad[7]),
            values[0x9F02],
            values[0x5F2A],
            cryptogram_input(iad[2], values),
            values.get(0x9F27, _ARQC)[0],
            _CASH_CODE in values,
        )
    except DecodeError as fault:
        return f"DE55/{fault.path}".rstrip("/") if fault.path != "DE55" else "DE55"
    except LookupError as absent:
        return f"DE55/{absent.args[0]:X}"
    return ""


def _read_stripe(request: Request) -> str:
    try:
        track = Track2.from_text(request.message.text(35, ""))
    except DecodeError:
        return "DE35"
    marked = request.message.text(60, "")[_CHIP_CONDITION] == _FALLBACK
    request.stripe = Stripe(track, marked or request.entry[:2] == EntryMode.FALLBACK)
    return ""


def _read_script_results(request: Request) -> str:
    try:
        told = decode_field55(request.message.binary(55), Message55.SCRIPT_NOTICE).get(_DF31, b"")
        request.script_results = parse_script_results(told)
    except DecodeError as fault:
        return f"DE55/{fault.path}"
    return "" if request.script_results else "DE55/DF31"


_CHIP_CONDITION: Final = slice(6, 7)  # DE60.4 (Q/CUP 006)
_FALLBACK: Final = "2"
_CONTACT_MODES: Final = frozenset((EntryMode.CONTACT.value, EntryMode.CONTACT_UNRELIABLE.value))
_READERS: Final = dict.fromkeys((mode.value for mode in EntryMode if mode.chip), _read_chip) | dict.fromkeys(
    (EntryMode.STRIPE.value, EntryMode.FALLBACK.value), _read_stripe
)


def _read_pin(request: Request) -> str:
    fields = request.message.fields
    if 52 not in fields:
        return ""
    control = request.message.text(53, "")
    if control[1:2] == "4":  # an SM4 PIN stands in DE63 usage SM, DE52 is zeros (Q/CUP 006 DE53)
        return _read_sm4_pin(request)
    form = {"1": PINBlockFormat.X98_NO_PAN, "2": PINBlockFormat.ISO_0}.get(control[:1])
    if form is None:
        return "DE53"
    request.pin = PresentedPIN(request.message.binary(52), form)
    return ""


def _read_sm4_pin(request: Request) -> str:
    try:
        block = parse_sm4_pin(request.message.binary(63, b""))
    except DecodeError as fault:
        return fault.path
    if block is None:
        return "DE63/SM"
    request.pin = PresentedPIN(block, PINBlockFormat.SM4_X98)
    return ""
