"""Every operation of the JSON wire, once: its name, its place over HTTP, who may ask it, both structs.

The host that serves a row is named by `host`: the key cloud (asked by phones and by the token service), the token service
(asked by requestors and issuers), the issuer (asked by the token service). Whoever is not in `role` is refused; nothing that
is not in this table can be asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from shanfu.messages import issuing, requestor, wallet
from shanfu.messages.envelope import Empty

__all__ = ["OPERATIONS", "Operation", "Role", "operation"]


class Role(Enum):
    """Who may ask. A caller is written `role/name`: `requestor/90100000001`, `issuer/99010000`, `tsp/90100000`, `device/…`."""

    ANYONE = "anyone"  # a phone that has no session yet: its signature is looked at inside
    DEVICE = "device"  # a phone in a session
    REQUESTOR = "requestor"
    ISSUER = "issuer"
    TSP = "tsp"


@dataclass(frozen=True, slots=True)
class Operation:
    """One row: `host` serves it at `path` (always POST), for `role`; `asks` and `gives` are the bodies."""

    name: str
    host: str
    path: str
    role: Role
    asks: type[Struct]
    gives: type[Struct]
    summary: str
    remembered: bool = True  # whether replies are kept for repeats; not where a digest would give a password or a code away


# fmt: off
_ROWS: Final = (
    # phone -> key cloud
    Operation("devices.enrol",      "cloud",  "/wallet/v1/devices",              Role.ANYONE,    wallet.Enrol,             wallet.Enrolled,            "Make a phone known"),
    Operation("sessions.open",      "cloud",  "/wallet/v1/sessions",             Role.ANYONE,    wallet.OpenSession,       wallet.SessionOpened,       "Open a session"),
    Operation("accounts.login",     "cloud",  "/wallet/v1/login",                Role.DEVICE,    wallet.Login,             wallet.LoggedIn,            "Log in to the bank's app", remembered=False),
    Operation("cards.provision",    "cloud",  "/wallet/v1/tokens",               Role.DEVICE,    wallet.Provision,         wallet.Provisioned,         "Add a card to this phone"),
    Operation("idv.choose",         "cloud",  "/wallet/v1/idv/choose",           Role.DEVICE,    wallet.ChooseIDV,         wallet.CodeSent,            "Have a one-time code sent"),
    Operation("idv.submit",         "cloud",  "/wallet/v1/idv/submit",           Role.DEVICE,    wallet.SubmitCode,        wallet.Provisioned,         "Submit a one-time code", remembered=False),
    Operation("tokens.profile",     "cloud",  "/wallet/v1/tokens/profile",       Role.DEVICE,    wallet.ProfileAsked,      wallet.Profile,             "Fetch the card application's data"),
    Operation("keys.replenish",     "cloud",  "/wallet/v1/keys/replenish",       Role.DEVICE,    wallet.ReplenishKeys,     wallet.KeySet,              "Fetch a key set"),
    Operation("keys.confirm",       "cloud",  "/wallet/v1/keys/confirm",         Role.DEVICE,    wallet.ConfirmKeys,       Empty,                      "Confirm that a key set is stored"),
    Operation("tokens.freeze",      "cloud",  "/wallet/v1/tokens/freeze",        Role.DEVICE,    wallet.ChangeToken,       wallet.News,                "Freeze a token"),
    Operation("tokens.unfreeze",    "cloud",  "/wallet/v1/tokens/unfreeze",      Role.DEVICE,    wallet.ChangeToken,       wallet.News,                "Lift one's own freeze"),
    Operation("tokens.delete",      "cloud",  "/wallet/v1/tokens/delete",        Role.DEVICE,    wallet.ChangeToken,       wallet.News,                "Delete a token from this phone"),
    Operation("tokens.renew",       "cloud",  "/wallet/v1/tokens/renew",         Role.DEVICE,    wallet.ProfileAsked,      wallet.News,                "Renew an expired token, if its issuer allows"),
    Operation("news.take",          "cloud",  "/wallet/v1/news",                 Role.DEVICE,    wallet.NewsAsked,         wallet.News,                "The tokens of this phone, and pushes"),
    Operation("transactions.list",  "cloud",  "/wallet/v1/transactions",         Role.DEVICE,    wallet.TransactionsAsked, wallet.TransactionList,     "A token's payments"),
    # token service -> key cloud
    Operation("notices.take",       "cloud",  "/requestor/v1/notices",           Role.TSP,       requestor.Notice,         Empty,                      "A token changed"),
    # key cloud and other requestors -> token service
    Operation("tsp.login",          "tsp",    "/tsp/v1/login",                   Role.REQUESTOR, wallet.Login,             wallet.LoggedIn,            "Log a customer in at his bank", remembered=False),
    Operation("tsp.request",        "tsp",    "/tsp/v1/tokens",                  Role.REQUESTOR, requestor.RequestToken,   requestor.TokenRequested,   "Request a token"),
    Operation("tsp.code.send",      "tsp",    "/tsp/v1/idv/send",                Role.REQUESTOR, requestor.SendCode,       wallet.CodeSent,            "Have a one-time code sent"),
    Operation("tsp.code.verify",    "tsp",    "/tsp/v1/idv/verify",              Role.REQUESTOR, requestor.VerifyCode,     requestor.TokenRequested,   "Submit a one-time code", remembered=False),
    Operation("tsp.profile",        "tsp",    "/tsp/v1/tokens/profile",          Role.REQUESTOR, requestor.ProfileAsked,   requestor.ProfileData,      "The card application's data"),
    Operation("tsp.keys.issue",     "tsp",    "/tsp/v1/keys/issue",              Role.REQUESTOR, requestor.IssueKeys,      requestor.KeysIssued,       "Enter a key set"),
    Operation("tsp.keys.confirm",   "tsp",    "/tsp/v1/keys/confirm",            Role.REQUESTOR, requestor.ConfirmKeys,    Empty,                      "A key set is stored on its device"),
    Operation("tsp.find",           "tsp",    "/tsp/v1/tokens/find",             Role.REQUESTOR, requestor.FindTokens,     requestor.TokenList,        "Find one's tokens"),
    Operation("tsp.suspend",        "tsp",    "/tsp/v1/tokens/suspend",          Role.REQUESTOR, requestor.ChangeToken,    issuing.TokenChanges,       "Suspend tokens"),
    Operation("tsp.resume",         "tsp",    "/tsp/v1/tokens/resume",           Role.REQUESTOR, requestor.ChangeToken,    issuing.TokenChanges,       "Lift one's own suspension"),
    Operation("tsp.delete",         "tsp",    "/tsp/v1/tokens/delete",           Role.REQUESTOR, requestor.ChangeToken,    issuing.TokenChanges,       "Delete tokens"),
    Operation("tsp.renew",          "tsp",    "/tsp/v1/tokens/renew",            Role.REQUESTOR, requestor.ChangeToken,    issuing.TokenChanges,       "Renew tokens, as their issuer allows"),
    Operation("tsp.since",          "tsp",    "/tsp/v1/notices/since",           Role.REQUESTOR, requestor.Since,          requestor.SinceAnswer,      "What changed since number N"),
    Operation("tsp.transactions",   "tsp",    "/tsp/v1/transactions",            Role.REQUESTOR, wallet.TransactionsAsked, wallet.TransactionList,     "A token's payments"),
    # issuer -> token service
    Operation("tsp.card",           "tsp",    "/tsp/v1/issuer/cards",            Role.ISSUER,    issuing.CardChanged,      issuing.TokenChanges,       "Something happened to a card"),
    Operation("tsp.issuer.find",    "tsp",    "/tsp/v1/issuer/tokens/find",      Role.ISSUER,    requestor.FindTokens,     requestor.TokenList,        "Find tokens of one's cards"),
    Operation("tsp.issuer.suspend", "tsp",    "/tsp/v1/issuer/tokens/suspend",   Role.ISSUER,    requestor.ChangeToken,    issuing.TokenChanges,       "Suspend tokens of one's cards"),
    Operation("tsp.issuer.resume",  "tsp",    "/tsp/v1/issuer/tokens/resume",    Role.ISSUER,    requestor.ChangeToken,    issuing.TokenChanges,       "Lift the issuer's suspension"),
    Operation("tsp.issuer.delete",  "tsp",    "/tsp/v1/issuer/tokens/delete",    Role.ISSUER,    requestor.ChangeToken,    issuing.TokenChanges,       "Delete tokens of one's cards"),
    Operation("tsp.issuer.since",   "tsp",    "/tsp/v1/issuer/notices/since",    Role.ISSUER,    requestor.Since,          requestor.SinceAnswer,      "What changed since number N"),
    # token service -> issuer
    Operation("issuer.login",       "issuer", "/issuer/v1/login",                Role.TSP,       wallet.Login,             wallet.LoggedIn,            "Log a customer in", remembered=False),
    Operation("issuer.judge",       "issuer", "/issuer/v1/cards/judge",          Role.TSP,       issuing.JudgeCard,        issuing.CardJudged,         "May this card become a token"),
    Operation("issuer.code.send",   "issuer", "/issuer/v1/idv/send",             Role.TSP,       issuing.SendCode,         wallet.CodeSent,            "Send a one-time code"),
    Operation("issuer.code.verify", "issuer", "/issuer/v1/idv/verify",           Role.TSP,       issuing.VerifyCode,       issuing.CodeVerdict,        "Check a one-time code", remembered=False),
    Operation("issuer.report",      "issuer", "/issuer/v1/cards/report",         Role.ISSUER,    issuing.ReportCard,       Empty,                      "Staff report what happened to a card"),
    Operation("issuer.script",      "issuer", "/issuer/v1/scripts/order",        Role.ISSUER,    issuing.OrderScript,      issuing.ScriptOrdered,      "Have a card do something when it is next inserted"),
    Operation("issuer.script.cancel", "issuer", "/issuer/v1/scripts/cancel",     Role.ISSUER,    issuing.CancelScript,     Empty,                      "Withdraw an order for a card"),
    Operation("issuer.notice",      "issuer", "/issuer/v1/notices",              Role.TSP,       requestor.Notice,         Empty,                      "A token changed"),
)
# fmt: on
OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType({row.name: row for row in _ROWS})


def operation(name: str) -> Operation | None:
    """Return the row of this name."""
    return OPERATIONS.get(name)
