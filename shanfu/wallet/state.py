"""What a phone keeps: its switches, its bank apps, the tokens in them with their key sets, and what was spent.

One value, sealed as one record (`storage.py`); beside it lie, sealed each for itself, a profile and the keys of each token. A
`HeldToken` names the moment (`…_at`) at which these were sealed, so that none of them can be exchanged for an older one.

**Two things die separately**: the token (its state and expiry are in `view`, as the token service told it last) and its key set
(`keys`: uses, time, amount). `atc` is the last number ever used; it never falls, whatever becomes of key sets.

Called by all of the wallet. A PAN is nowhere in it; the token's number is in the sealed profile only.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from shanfu.messages import KeySetTerms, TokenState, TokenView, UseReport

__all__ = ["GONE", "AppState", "HeldKeys", "HeldToken", "PhoneState", "Screen", "Switches", "keys_record", "profile_record"]

GONE: Final = frozenset({TokenState.DEACTIVATED, TokenState.DECLINED})  # never comes back
LOG_LINES: Final = 256  # unreported uses that are kept: two key sets of the largest size, and some


class Screen(Enum):
    """The phone's screen. Off, its antenna is off too; locked, no app is in front."""

    OFF = "off"
    LOCKED = "locked"
    UNLOCKED = "unlocked"


class Switches(Struct, frozen=True, kw_only=True):
    """What a person has set: network, NFC, the screen, the app in front and the app that pays when none is."""

    online: bool = True
    nfc: bool = True
    screen: Screen = Screen.UNLOCKED
    front: str = ""
    default_app: str = ""

    @property
    def paying_app(self) -> str:
        """The app that answers a terminal: the one in front, else the default one; nobody else's card is ever shown."""
        return (self.front if self.screen is Screen.UNLOCKED else "") or self.default_app


class AppState(Struct, frozen=True, kw_only=True):
    """One bank's app: its name as a device, the cloud's key, what a weak attestation costs, the card it pays with.

    `news` is the number of the last push seen; `flagged` says that one came too late and the next refresh must look.
    """

    device: str
    cloud_key: bytes
    lowered: tuple[str, ...] = ()
    default_token: str = ""
    news: int = 0
    flagged: bool = False


class HeldKeys(Struct, frozen=True, kw_only=True):
    """A key set and what has been spent of it; `confirmed`: the cloud knows that it is stored."""

    terms: KeySetTerms
    uses: int = 0
    spent: int = 0
    confirmed: bool = False


class HeldToken(Struct, frozen=True, kw_only=True):
    """A token on this phone. `wanted`: a payment was refused that a refresh would have allowed.

    `frozen` and `deleting` are the holder's wishes that the cloud has not heard of yet: they hold at once.
    """

    view: TokenView
    app: str
    profile_at: int = 0
    profile_expiry: str = ""
    profile_last4: str = ""
    keys: HeldKeys | None = None
    keys_at: int = 0
    atc: int = 0
    log: tuple[UseReport, ...] = ()
    wanted: bool = False
    frozen: bool = False
    deleting: bool = False

    @property
    def gone(self) -> bool:
        """Whether it is deleted, here or there."""
        return self.deleting or self.view.state in GONE

    @property
    def finished(self) -> bool:
        """Whether its holder deleted it, and the cloud has too: kept only until a list that is asked for later says so."""
        return self.deleting and self.view.state in GONE

    @property
    def sequence(self) -> int:
        """The number of its last key set, 0 before the first."""
        return self.keys.terms.sequence if self.keys else 0

    @property
    def uses_left(self) -> int:
        """How many uses its key set has left."""
        return max(0, self.keys.terms.max_uses - self.keys.uses) if self.keys else 0

    @property
    def profile_fits(self) -> bool:
        """Whether its profile still says what the token service says: expiry, and the card behind it."""
        view = self.view
        return bool(self.profile_at) and (self.profile_expiry, self.profile_last4) == (view.expiry, view.pan_last4)

    def used(self, use: UseReport, *, keys_at: int) -> "HeldToken":
        """Return it with one more use entered."""
        assert self.keys is not None
        keys = replace(self.keys, uses=self.keys.uses + 1, spent=self.keys.spent + use.amount)
        return replace(self, atc=use.atc, keys=keys, keys_at=keys_at, log=(*self.log, use)[-LOG_LINES:])

    def with_keys(self, terms: KeySetTerms, *, at: int) -> "HeldToken":
        """Return it with a new key set in place of the old one, whose uses stay in the log for one more report.

        The report that was sent may not have been the last word: a tap can fall between a lost answer and its repeat.
        """
        since = self.keys.terms.atc_first if self.keys else 0
        log = tuple(use for use in self.log if use.atc >= since)
        return replace(self, keys=HeldKeys(terms=terms), keys_at=at, log=log, wanted=False)

    def wiped(self) -> "HeldToken":
        """Return it without profile and keys; the counter and the number of its last key set stay."""
        return replace(self, profile_at=0, profile_expiry="", profile_last4="", keys_at=0)


class PhoneState(Struct, frozen=True, kw_only=True):
    """All of it; tokens by reference, apps by package."""

    switches: Switches = Switches()
    apps: dict[str, AppState] = {}
    tokens: dict[str, HeldToken] = {}

    def switch(self, **changes: object) -> "PhoneState":
        """Return it with some switches moved."""
        return replace(self, switches=replace(self.switches, **changes))

    def with_app(self, app: str, state: AppState) -> "PhoneState":
        """Return it with an app's state."""
        return replace(self, apps=self.apps | {app: state})

    def enrolled(self, app: str, state: AppState) -> tuple["PhoneState", dict[str, bytes | None]]:
        """Return it with an app that the bank knows now, and the records to remove: the first app becomes the default one.

        A phone that its bank knows by another name than before has none of the old tokens.
        """
        before = self.apps.get(app)
        if before is not None and before.device == state.device:
            kept = replace(before, cloud_key=state.cloud_key, lowered=state.lowered)
            return self.with_app(app, kept), {}
        switches = self.switches if self.switches.default_app else replace(self.switches, default_app=app)
        left = {name: held for name, held in self.tokens.items() if held.app != app}
        gone = [name for name in self.tokens if name not in left]
        after = replace(self, apps=self.apps | {app: state}, switches=switches, tokens=left)
        return after, {record: None for name in gone for record in (keys_record(name), profile_record(name))}

    def with_tokens(self, changed: Mapping[str, HeldToken | None]) -> "PhoneState":
        """Return it with tokens changed, added, or (None) removed; each app pays with a card that is still there."""
        tokens = {name: held for name, held in (self.tokens | dict(changed)).items() if held is not None}
        apps = {name: replace(app, default_token=_default(name, app, tokens)) for name, app in self.apps.items()}
        return replace(self, tokens=tokens, apps=apps)

    def of(self, app: str) -> dict[str, HeldToken]:
        """Return an app's tokens."""
        return {name: held for name, held in self.tokens.items() if held.app == app}


def _default(app: str, state: AppState, tokens: Mapping[str, HeldToken]) -> str:
    mine = {name: held for name, held in tokens.items() if held.app == app and not held.gone}
    if state.default_token in mine:
        return state.default_token
    return next((name for name, held in mine.items() if held.view.state is TokenState.ACTIVE), "")


def keys_record(token: str) -> str:
    """Return the name of the record that holds a token's keys."""
    return f"keys/{token}"


def profile_record(token: str) -> str:
    """Return the name of the record that holds what a token's card application is made of."""
    return f"profile/{token}"
