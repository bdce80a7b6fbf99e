"""What arrived, in the network's words: which kind of message, under which name, about which card.

`read` turns a decoded interbank message into an `Arrival`. It never raises: what is missing stands in `fault` (a field path),
so that the refusal goes through the same decision as every other. Kinds and their fields follow the wires page; a name is
DE7, DE11, DE32 and DE33, and DE90 holds that of an original with institutions padded to eleven digits (ISO 8583 DE90).

Token data (DE63) is read from answers, and from what comes back rejected: it says which token a message with a PAN is about.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from shanfu.errors import DecodeError
from shanfu.hosts import institution, name_of, original_name
from shanfu.iso8583 import InterbankFrame, Message, TokenAnswer, is_request

__all__ = ["ASKED", "CARRIED", "Arrival", "Kind", "read"]


class Kind(Enum):
    """What a message is to the network."""

    ADVICE_ANSWER = "answer to an advice"
    ANSWER = "answer"
    BALANCE = "balance inquiry"
    OFFLINE = "offline approval"
    PURCHASE = "purchase"
    REFUND = "refund"
    REVERSAL = "reversal"
    SCRIPT_RESULT = "script result"
    UNKNOWN = "message of an unknown kind"
    VOID = "void"

    __hash__ = object.__hash__  # members are single; Enum's own hashes the name, by a call, a dozen times a message


ASKED: Final = frozenset({Kind.BALANCE, Kind.PURCHASE, Kind.VOID})  # somebody waits for the issuer's answer
# Accepted by commit, carried on by store-and-forward.
CARRIED: Final = frozenset({Kind.OFFLINE, Kind.REFUND, Kind.REVERSAL, Kind.SCRIPT_RESULT})

_COMMON: Final = frozenset({2, 3, 7, 11, 12, 13, 18, 22, 25, 32, 33, 37, 41, 42, 43, 49, 60})
_ORIGINAL: Final = _COMMON | {4, 90}
_IDENTITY: Final = frozenset({7, 11, 32, 33})
# Token data and authentication results are the network's to say; from an acquirer they would be believed (Q/CUP 006 DE61, 63).
_FORBIDDEN: Final = frozenset({61, 63})
# fmt: off
#   MTI class, DE3 -> kind, fields without which it is malformed; repeats (0221, 0421) are of their original's class
_KINDS: Final = {
    ("020", "000000"): (Kind.PURCHASE,      _COMMON | {4}),
    ("020", "200000"): (Kind.VOID,          _ORIGINAL),
    ("020", "310000"): (Kind.BALANCE,       _COMMON),
    ("022", "000000"): (Kind.OFFLINE,       _COMMON | {4, 14, 55}),
    ("022", "200000"): (Kind.REFUND,        _ORIGINAL),
}
_BY_TYPE: Final = {
    "021":             (Kind.ANSWER,        _IDENTITY | {39}),
    "023":             (Kind.ADVICE_ANSWER, _IDENTITY | {39}),
    "042":             (Kind.REVERSAL,      _ORIGINAL | {39}),
    "043":             (Kind.ADVICE_ANSWER, _IDENTITY | {39}),
    "062":             (Kind.SCRIPT_RESULT, (_COMMON - {43}) | {55, 90}),
    "063":             (Kind.ADVICE_ANSWER, _IDENTITY | {39}),
}
# fmt: on
_UNKNOWN: Final = (Kind.UNKNOWN, _IDENTITY)


@dataclass(slots=True)
class Arrival:
    """One message; `fault` names a wrong field.

    `card` and `bucket` are filled in by the host: the keyed hash of the token it is about, where it says one, else of DE2;
    beside a token, `account` is that of DE2. `words` is what an answer says of a token.
    """

    station: str
    frame: InterbankFrame = field(repr=False)
    kind: Kind
    name: str
    original: str
    pan: str = field(repr=False)
    amount_minor: int
    currency: str
    acquirer: str
    fault: str
    words: TokenAnswer | None = None
    card: str = ""
    account: str = ""
    bucket: int = 0
    late: bool = False  # it waited longer than its sender does

    @property
    def message(self) -> Message:
        """The message as it came."""
        return self.frame.message

    @property
    def token(self) -> str:
        """The token that an answer names beside its DE2, or ""."""
        return self.words.block.token if self.words and self.words.block else ""

    @property
    def number(self) -> str:
        """What transactions are kept by: the token, where there is one, else DE2."""
        return self.token or self.pan

    @property
    def has_pin(self) -> bool:
        """Whether there is a PIN block to translate."""
        return 52 in self.frame.message.fields


def read(frame: InterbankFrame, *, station: str) -> Arrival:
    """Return what this message is; the first thing that is wrong with it stands in `fault`."""
    message = frame.message
    fields, text, type_of = message.fields, message.text, message.mti[:3]
    kind, needed = _BY_TYPE.get(type_of) or _KINDS.get((type_of, text(3, "")), _UNKNOWN)
    pan, original = text(2, ""), text(90, "")
    fault, words = "", None
    if not fields.keys() >= needed:
        fault = f"DE{min(needed - fields.keys())}"
    elif kind in ASKED or kind in CARRIED:
        fault = _more(message, kind, pan)
    if 63 in fields and (frame.header.rejected or not is_request(message.mti)):
        words = _words(message)
    return Arrival(
        station, frame, kind, name_of(message), original_name(original), pan, int(text(4, "0")), text(49, ""),
        institution(text(32, "")), fault, words,
    )  # fmt: skip


def _words(message: Message) -> TokenAnswer | None:
    """Return what an answer says of a token; what cannot be read says nothing."""
    try:
        return TokenAnswer.of_field(message.binary(63))
    except DecodeError:
        return None


def _more(message: Message, kind: Kind, pan: str) -> str:
    """Return the path of the first field whose value makes no sense here, or ""."""
    fields = message.fields
    if not 12 <= len(pan) <= 19:
        return "DE2"  # ISO 7812-1
    if not _FORBIDDEN.isdisjoint(fields):
        return f"DE{min(_FORBIDDEN & fields.keys())}"
    if kind not in (Kind.PURCHASE, Kind.BALANCE, Kind.OFFLINE) and not original_name(message.text(90, "")):
        return "DE90"
    if 52 in fields and message.text(53, "")[:2] not in ("16", "26"):
        return "DE53"  # our PIN keys are double-length 3DES, and the PIN needs its form named (Q/CUP 006 DE53)
    return ""
