"""What a terminal sent, in the acquirer's words: which kind of request, under which name, for which card.

`read` turns a decoded terminal message into a `Request`. It never raises: what is missing or malformed is told in `fault`
(a field path), so that the refusal goes through the same decision as every other. Kinds and their fields follow the wires
page; the name is DE42, DE41, the batch in DE60 and DE11, and a reversal keeps that of its original.
"""

from dataclasses import dataclass, field
from typing import Final

from shanfu.acquirer.journal import PaymentKind
from shanfu.errors import DecodeError
from shanfu.hsm import PINBlockFormat
from shanfu.iso7816 import parse_flat
from shanfu.iso8583 import EntryMode, Message, PosFrame, Value, use_of

__all__ = ["Request", "read"]

_COMMON: Final = frozenset({2, 3, 4, 11, 22, 25, 41, 42, 49, 60, 64})
# fmt: off
#   use of the message, as its table names it -> kind, fields without which it is malformed
_KINDS: Final = {
    "balance":           (PaymentKind.BALANCE,  _COMMON - {4}),
    "chip offline":      (PaymentKind.OFFLINE,  _COMMON | {14, 55}),
    "chip offline 0320": (PaymentKind.OFFLINE,  _COMMON | {14, 55}),
    "purchase":          (PaymentKind.PURCHASE, _COMMON),
    "refund":            (PaymentKind.REFUND,   _COMMON | {37, 61}),
    "script result":     (PaymentKind.SCRIPT,   (_COMMON - {4}) | {37, 55, 61}),
    "void":              (PaymentKind.VOID,     _COMMON | {37, 61}),
}
# fmt: on
_UNKNOWN: Final = (PaymentKind.UNKNOWN, frozenset({11, 41, 42, 60}))
_REVERSAL: Final = (PaymentKind.UNKNOWN, frozenset({2, 3, 4, 11, 25, 39, 41, 42, 49, 60, 64}))
_IDENTITY: Final = frozenset({11, 41, 42, 60})
_CHIP_MODES: Final = frozenset(mode.value for mode in EntryMode if mode.chip)
_STRIPE_MODES: Final = frozenset(mode.value for mode in EntryMode if mode.swiped)
_OF_AN_ORIGINAL: Final = frozenset({PaymentKind.VOID, PaymentKind.REFUND, PaymentKind.SCRIPT})
# What the chip data of an advice says, tag by tag: that the card approved by itself, and why nobody was asked (EMV B4 A6: Y1
# offline approved, Y3 unable to go online); what became of scripts.
_CRYPTOGRAM, _INFORMATION, _AUTHORISED, _SCRIPT_RESULTS = 0x9F26, 0x9F27, 0x8A, 0xDF31
_TC: Final = b"\x40"
_OFFLINE_CODES: Final = frozenset({b"Y1", b"Y3"})
_PIN_FORMATS: Final = {"1": PINBlockFormat.X98_NO_PAN, "2": PINBlockFormat.ISO_0}  # Q/CUP 009 DE53, first digit
PIN_ENTERED: Final = "1"  # DE22, third digit


@dataclass(slots=True)
class Request:
    """One request. `card` is filled in by the host (keyed hash of the PAN); `fault` names the field that is wrong.

    Of those that are advices, `enclosed` is what the network is to get beyond the fields of every message.
    """

    station: str
    frame: PosFrame = field(repr=False)
    mab: bytes = field(repr=False)  # of the very bytes that arrived
    kind: PaymentKind
    reversal: bool
    terminal_name: str
    merchant: str
    terminal: str
    batch: str
    stan: str
    amount_minor: int
    currency: str
    pan: str = field(repr=False)
    pin_format: PINBlockFormat | None
    fault: str
    original: str = ""  # of a void, refund or script result: the terminal's name of the payment
    original_date: str = ""  # MMDD, "" if the terminal does not say
    card: str = ""
    deadline_ms: int = 0  # when its terminal is told that there is no answer
    late: bool = False  # it waited longer than its sender does
    swiped: bool = False  # the stripe was read
    enclosed: dict[int, Value] | None = field(default=None, repr=False)

    @property
    def message(self) -> Message:
        """The message as it came."""
        return self.frame.message

    @property
    def title(self) -> str:
        """What is asked, in words."""
        return "reversal" if self.reversal else self.kind.value


def read(station: str, frame: PosFrame, *, mab: bytes) -> Request:
    """Return what this message asks; the first thing that is wrong with it stands in `fault`."""
    message = frame.message
    fields, text = message.fields, message.text
    reversal = message.mti == "0400"
    kind, needed = _REVERSAL if reversal else _kind(message)
    fault = "" if needed <= fields.keys() else f"DE{min(needed - fields.keys())}"
    merchant, terminal, batch, stan = text(42, ""), text(41, ""), text(60, "")[2:8], text(11, "")
    if not fault and len(batch) != 6:
        fault = "DE60"
    named = fields.keys() >= _IDENTITY and len(batch) == 6
    request = Request(
        station, frame, mab, kind, reversal, f"{merchant}.{terminal}.{batch}.{stan}" if named else "", merchant, terminal,
        batch, stan, int(text(4, "0")), text(49, ""), text(2, ""), None, fault,
    )  # fmt: skip
    if not fault:
        request.fault = _more(request)
    return request


def _kind(message: Message) -> tuple[PaymentKind, frozenset[int]]:
    use = use_of(message)
    return _KINDS.get(use.name, _UNKNOWN) if use else _UNKNOWN


def _more(request: Request) -> str:
    """Read what the kind carries besides; return the path of the first fault, or ""."""
    message, kind = request.message, request.kind
    if (request.reversal or kind is not PaymentKind.UNKNOWN) and not 12 <= len(request.pan) <= 19:
        return "DE2"  # ISO 7812-1
    if kind in _OF_AN_ORIGINAL:
        reference = message.text(61)  # batch 6, trace 6, date 4 (Q/CUP 009 DE61)
        if len(reference) < 12:
            return "DE61"
        request.original = f"{request.merchant}.{request.terminal}.{reference[:6]}.{reference[6:12]}"
        if kind is not PaymentKind.SCRIPT:  # DE37 names it as well, and no clock at midnight shall cost an issuer his answer
            request.original_date = reference[12:16].replace("0000", "")
    if kind in (PaymentKind.PURCHASE, PaymentKind.BALANCE):
        return _read_card(request)
    if kind is PaymentKind.OFFLINE and 52 in message:
        return "DE52"  # who approves offline has asked nobody about a PIN
    told = request.reversal or kind in (PaymentKind.OFFLINE, PaymentKind.SCRIPT)
    return _read_chip(request) if told else ""


def _read_card(request: Request) -> str:
    message = request.message
    track = message.text(35, "")
    if track and track[: len(request.pan) + 1].rstrip("=D") != request.pan:
        return "DE35"  # ISO 7813: track 2 begins with the PAN, then the separator
    entry = message.text(22)
    if entry[:2] in _CHIP_MODES and not message.binary(55, b""):
        return "DE55"
    if entry[:2] in _STRIPE_MODES:
        request.swiped = True
        if not track or 55 in message:
            return "DE55" if track else "DE35"  # a stripe is read as a whole, and no chip beside it
    return _read_pin(request, entered=entry[2:] == PIN_ENTERED)


def _read_chip(request: Request) -> str:
    """Read the chip data of an advice or reversal, as far as it is to be told to the issuer."""
    raw = request.message.binary(55, b"")
    try:
        chip = parse_flat(raw)
    except DecodeError:
        return "" if request.reversal else "DE55"
    if request.kind is PaymentKind.OFFLINE:
        if chip.get(_INFORMATION) != _TC:
            return "DE55/9F27"
        if _CRYPTOGRAM not in chip:
            return "DE55/9F26"
        if chip.get(_AUTHORISED) not in _OFFLINE_CODES:
            return "DE55/8A"
        request.enclosed = request.message.copy(14, 55)
    elif _SCRIPT_RESULTS in chip:
        request.enclosed = request.message.copy(55)
    return "DE55/DF31" if request.kind is PaymentKind.SCRIPT and not request.enclosed else ""


def _read_pin(request: Request, *, entered: bool) -> str:
    message = request.message
    if (52 in message) != entered:
        return "DE52"
    if not entered:
        return ""
    request.pin_format = _PIN_FORMATS.get(message.text(53, "")[:1])
    return "" if request.pin_format else "DE53"
