"""What the token service asks an issuer, and what an issuer tells it.

The service asks who the customer is, whether a card may become a token, and has one-time codes sent and verified: the issuer,
not the wallet, says how much proof is enough. The issuer tells what happened to cards and to tokens. A PAN travels only sealed
under the key that both share (`pan/ISSUER`), with the call's card reference as context.
"""

from msgspec import Struct

from shanfu.messages.requestor import (
    ChangeToken,
    FindTokens,
    Notice,
    Since,
    SinceAnswer,
    TokenList,
)  # fmt: skip
from shanfu.messages.shared import CardEvent, Colour, IDVMethod, IDVOption, KeyPolicy, TokenView
from shanfu.messages.wallet import CodeSent, LoggedIn, Login

__all__ = [
    "CardChanged", "CardJudged", "ChangeToken", "CodeSent", "CodeVerdict", "FindTokens", "JudgeCard", "LoggedIn", "Login",
    "Notice",
    "ReportCard", "SendCode", "Since", "SinceAnswer", "TokenChange", "TokenChanges", "TokenList", "VerifyCode",
]  # fmt: skip


class JudgeCard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """May this card become a token? Everything the issuer's decision may look at."""

    token: str  # the reference that the enrolment has
    card: str
    customer: str
    trid: str
    device: str
    device_name: str
    device_model: str
    storage: str
    attested: bool
    wallet_colour: Colour
    wallet_reasons: tuple[str, ...] = ()
    active_tokens: int = 0
    risk_score: int = 0  # 01 to 99, 0 not scored


class CardJudged(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The issuer's colour with reasons; unless it is red also the PAN (sealed), its expiry, product data, and his policy.

    `minimum` is the least proof he takes: methods below it are not in `options`.
    """

    colour: Colour
    reasons: tuple[str, ...] = ()
    pan: str = ""
    pan_last4: str = ""
    expiry: str = ""
    psn: str = ""
    account_group: str = ""  # the tokens of one account share it
    currency: str = ""
    credit: bool = False
    label: str = ""
    options: tuple[IDVOption, ...] = ()
    policy: KeyPolicy = KeyPolicy()


class SendCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Send a one-time code to the holder of this card for this enrolment."""

    token: str
    card: str
    method: IDVMethod


class VerifyCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Check a code (or a login's assertion) for this enrolment."""

    token: str
    card: str
    method: IDVMethod
    code: str


class CodeVerdict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code was right: the assurance it earns (EMVCo token assurance method: 11 one factor, 12 two, 14 asserted)."""

    assurance: str


class CardChanged(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something happened to a card (issuer → service). A replaced or renewed card brings its new number (sealed) and expiry.

    A card keeps its reference through replacements, so its tokens, PAR and history stay together. `remap` is the issuer's
    choice after LOST: tokens follow the new card instead of staying suspended. After STOLEN none does. `at_ms` is when it
    happened (events may overtake one another; 0: now), `trusted_ms` when the issuer last knew the card in its holder's hands
    (STOLEN: tokens that became active later are deleted; 0: not known).
    """

    card: str
    event: CardEvent
    pan: str = ""
    pan_last4: str = ""
    expiry: str = ""
    remap: bool = False
    reason: str = ""
    at_ms: int = 0
    trusted_ms: int = 0


class ReportCard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bank's own staff reports that a card (`card` is its reference) was lost, stolen, found or closed."""

    card: str
    event: CardEvent
    reason: str = ""


class OrderScript(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bank's staff have a card run a script when it is next inserted: `kind` as `put-data`, `pin-change`, `card-block` …

    Of `put-data` the `tag` and the `value`, of `pin-change` the block from the branch's PIN pad; all in hexadecimal.
    """

    card: str
    kind: str
    tag: str = ""
    value: str = ""
    pin_block: str = ""
    by: str = ""


class ScriptOrdered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order stands: its number among the card's."""

    number: int


class CancelScript(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The staff withdraw an order of a card."""

    card: str
    number: int


class TokenChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one token: the result's name (TOKEN_SUSPENDED, ALREADY_DONE, WRONG_STATE …) and the token as it is now."""

    token: str
    result: str
    view: TokenView | None = None


class TokenChanges(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line for each token that was named or found."""

    changes: tuple[TokenChange, ...] = ()
