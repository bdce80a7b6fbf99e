"""What the key cloud, as the token requestor of a bank's app, asks the token service, and what that tells it.

The caller is the requestor's TRID. Tokens are named by reference; only `KeysIssued` and `ProfileData` hold the token's number,
sealed under the key that both sides share (`pan/TRID`), since the keys of a token are derived from it.
"""

from msgspec import Struct

from shanfu.messages.shared import (
    Actor,
    Colour,
    IDVMethod,
    IDVOption,
    KeySetTerms,
    TokenView,
    UseReport,
)
from shanfu.messages.wallet import LoggedIn, Login

__all__ = [
    "ChangeToken", "ConfirmKeys", "FindTokens", "IssueKeys", "KeysIssued", "LoggedIn", "Login", "Notice", "ProfileAsked",
    "ProfileData", "RequestToken", "SendCode", "Since", "SinceAnswer", "TokenList", "TokenRequested", "VerifyCode",
]  # fmt: skip


class RequestToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a token of the issuer's card `card` on a device; the wallet gives its colour and its reasons."""

    card: str
    customer: str
    device: str
    device_name: str
    device_model: str
    storage: str  # token storage type 01 device memory, 04 TEE, 05 SE
    attested: bool
    terms: str
    terms_accepted_ms: int
    colour: Colour
    reasons: tuple[str, ...] = ()
    dki: int = 1


class TokenRequested(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decision of the three parties; `view` is None when it is red."""

    decision: Colour
    reasons: tuple[str, ...] = ()
    view: TokenView | None = None
    options: tuple[IDVOption, ...] = ()


class SendCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Have the issuer send a one-time code for this enrolment."""

    token: str
    method: IDVMethod


class VerifyCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Submit the code (or the assertion of a login); right, the token becomes ACTIVE."""

    token: str
    method: IDVMethod
    code: str


class FindTokens(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Find tokens by reference, device or card reference; all that are given must fit."""

    token: str = ""
    device: str = ""
    card: str = ""


class TokenList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens found."""

    tokens: tuple[TokenView, ...] = ()


class ChangeToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Suspend, resume, delete or renew tokens, up to 99 at once; each gets its own outcome."""

    tokens: tuple[str, ...]
    actor: Actor
    reason: str = "OTHER"
    expiry: str = ""  # for a renewal: the new YYMM


class IssueKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for key set `sequence` of a token for this device, with the phone's verification log."""

    token: str
    device: str
    sequence: int
    uses: tuple[UseReport, ...] = ()
    atc: int = 0
    lowered: bool = False  # the device is weakly attested: its limits are lowered


class KeysIssued(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key set's terms as the service will judge them; `number` is the token's, sealed; `psn`, `dki` for the derivation."""

    token: str
    terms: KeySetTerms
    number: str
    psn: str
    dki: int


class ConfirmKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The device has stored key set `sequence`."""

    token: str
    sequence: int


class ProfileAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for the data of the card application."""

    token: str


class ProfileData(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The data of the card application; `number` is the token's, sealed."""

    token: str
    number: str
    psn: str
    expiry: str
    par: str
    trid: str
    currency: str
    country: str
    label: str
    credit: bool
    dki: int
    phone_cvm: str
    pan_last4: str


class Since(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for every change after number `since` that concerns the caller."""

    since: int = 0
    limit: int = 99


class SinceAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The changes in order; `number` is the last of them, `more` tells that others follow."""

    notices: tuple["Notice", ...] = ()
    number: int = 0
    more: bool = False


class Notice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token changed (service → requestor and issuer), at least once; `number` rises by one for each TRID and each issuer.

    `event` is a life-cycle event, KEYS (a key set came or went) or PAYMENT. The whole view travels: a receiver keeps the one
    with the highest version, so notices may be lost, doubled and out of order.
    """

    number: int
    event: str
    actor: str
    reason: str
    at_ms: int
    view: TokenView
