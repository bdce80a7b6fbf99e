"""Words that several messages of the JSON wire use: the states of a token, who may do what, key policies, views.

Names of states, events and results are those of the life cycle's vectors. A token is named by its reference (opaque, 32 hex
characters), never by its number; a card by the issuer's card reference, never by its PAN.
"""

from collections.abc import Iterable
from enum import Enum

from msgspec import Struct

from shanfu.tokens import KeyScheme

__all__ = [
    "Actor", "CardEvent", "Colour", "ColouredMark", "ExplainStep", "IDVMethod", "IDVOption", "KeyPolicy", "KeySetTerms",
    "LifeCycleEvent", "PhoneCVM", "TokenState", "TokenView", "TransactionView", "UseReport",
]  # fmt: skip


class TokenState(Enum):
    """Where a token's life stands (JR/T 0149 has no public list; these are the project's)."""

    REQUESTED = "REQUESTED"
    DECLINED = "DECLINED"
    INACTIVE = "INACTIVE"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    EXPIRED = "EXPIRED"
    DEACTIVATED = "DEACTIVATED"


class Actor(Enum):
    """Who changes a token's state; each lifts only its own suspension. Spelled as in the vectors."""

    CARDHOLDER = "CARDHOLDER"
    TOKEN_REQUESTOR = "TOKEN_REQUESTOR"  # noqa: S105  # a word of the trade
    ISSUER = "ISSUER"
    TSP = "TSP"
    CDCVM_LOCKED = "CDCVM_LOCKED"
    WALLET = "WALLET"  # the phone itself asks: replenish, activate


class LifeCycleEvent(Enum):
    """What happens to a token. Spelled as in the vectors; CREATE and DECLINE answer the request for it."""

    CREATE = "CREATE"
    DECLINE = "DECLINE"
    ACTIVATE = "ACTIVATE"
    IDV_FAILED = "IDV_FAILED"
    SUSPEND = "SUSPEND"
    RESUME = "RESUME"
    DELETE = "DELETE"
    EXPIRE = "EXPIRE"
    RENEW = "RENEW"
    PAN_UPDATE = "PAN_UPDATE"
    REPERSO = "REPERSO"
    REPLENISH = "REPLENISH"


class CardEvent(Enum):
    """What happened to the card behind a token, as its issuer tells it."""

    LOST = "LOST"
    STOLEN = "STOLEN"
    FOUND = "FOUND"
    REPLACED = "REPLACED"
    CLOSED = "CLOSED"
    RENEWED = "RENEWED"


class Colour(Enum):
    """The verdict of one party, or of all, on a request for a token; from the boldest to the most cautious."""

    GREEN = "GREEN"
    YELLOW = "YELLOW"
    ORANGE = "ORANGE"
    RED = "RED"

    @classmethod
    def worst(cls, colours: Iterable["Colour"]) -> "Colour":
        """Return the most cautious of these colours; of none, GREEN.

        >>> Colour.worst([Colour.GREEN, Colour.ORANGE, Colour.YELLOW])
        <Colour.ORANGE: 'ORANGE'>
        """
        return max(colours, key=list(cls).index, default=cls.GREEN)


class ColouredMark(Enum):
    """One thing that speaks against a token: the colour that it gives, English, Chinese. Each party has a table of its own."""

    colour: Colour
    en: str
    zh: str

    def __new__(cls, colour: Colour, en: str, zh: str) -> "ColouredMark":
        """Build a row of the table; the value is its English words, which differ in every row."""
        member = object.__new__(cls)
        member._value_ = en
        member.colour, member.en, member.zh = colour, en, zh
        return member


class IDVMethod(Enum):
    """How a cardholder shows who he is; the token assurance code that it earns stands beside it."""

    SMS = "sms"
    BANK_APP = "bank-app"
    CALL_CENTRE = "call-centre"


class PhoneCVM(Enum):
    """How the holder of a phone is verified: by the bank card's PIN at the POS, or on the phone."""

    ONLINE_PIN = "online_pin"
    CDCVM = "cdcvm"


class IDVOption(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way of ID&V that is open: `hint` is what the holder may see, such as 138****0001."""

    method: IDVMethod
    hint: str = ""


class KeyPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The issuer's rule for the keys of his tokens; amounts in minor units of the token's currency."""

    scheme: KeyScheme = KeyScheme.SHANFU_1
    max_uses: int = 10
    ttl_s: int = 432_000
    max_amount: int = 2_000_000
    replenish_below: int = 3
    replenish_before_s: int = 86_400
    fetch: str = "on_open"  # or "eager", "at_tap": when the phone asks for keys
    phone_cvm: PhoneCVM = PhoneCVM.ONLINE_PIN
    renewable: bool = True  # whether an expired token may be renewed by opening the app


class KeySetTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one key set may do: its index (YHHHHCC), the ATCs it may use, and its limits."""

    index: str
    sequence: int
    atc_first: int
    atc_last: int
    max_uses: int
    max_amount: int
    issued_ms: int
    expires_ms: int
    scheme: KeyScheme = KeyScheme.SHANFU_1


class UseReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the phone's verification log: a use of a key."""

    atc: int
    index: str
    at_ms: int
    amount: int = 0
    un: str = ""


class TokenView(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token as parties outside the service see it. `expiry` is YYMM; `suspended_by` names every suspender."""

    token: str
    state: TokenState
    suspended_by: tuple[Actor, ...] = ()
    version: int = 0  # rises with every change; the newest wins
    token_last4: str = ""
    pan_last4: str = ""
    expiry: str = ""
    par: str = ""
    trid: str = ""
    device: str = ""
    card: str = ""  # the issuer's card reference
    assurance: str = ""
    reason: str = ""  # why the state is what it is
    policy: KeyPolicy = KeyPolicy()


class TransactionView(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment of a token as the holder sees it; `kind` is PURCHASE or REFUND, `result` APPROVED, DECLINED or REVERSED."""

    token: str
    rrn: str
    at_ms: int
    kind: str
    result: str
    amount: int
    currency: str
    merchant: str
    response_code: str
    reason: str = ""
    atc: int = 0


class ExplainStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One check of a resolution: its name, whether it passed, and what was compared."""

    check: str
    passed: bool
    detail: str = ""
