"""What the parts of a phone's wallet share: the storage, the key store, the clock, and what the screen shows.

A `Handset` is made by `phone.py` and handed to the card application, the sessions and the bank's apps. What it shows to its
holder (`Shown`) is at the same time an event for whoever watches; neither holds a number, a code or a key.

Called by all of the wallet.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from shanfu.clock import Clock
from shanfu.crypto import SealKey
from shanfu.events import Event, Events, nobody
from shanfu.messages import wallet
from shanfu.wallet.keystore import KeyStore
from shanfu.wallet.reasons import Reason
from shanfu.wallet.state import PhoneState
from shanfu.wallet.storage import Storage

__all__ = ["Attest", "Handset", "Model", "Session", "Shown", "no_attestation"]

MARGIN_MS: Final = 5_000  # a session about to end is not used any more
SHOWN: Final = 50  # notices that the screen remembers

Attest = Callable[[wallet.Enrol], wallet.Attestation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The phone as its maker describes it."""

    name: str
    model: str = "Shanfu One"
    os: str = "android"
    os_version: str = "14"
    nfc: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One notice on the screen: a payment that was signed (reason None), or why none was."""

    at_ms: int
    token: str = ""
    reason: Reason | None = None
    amount: int = 0
    uses_left: int = 0

    @property
    def en(self) -> str:
        """The sentence in English."""
        if self.reason:
            return self.reason.en
        plural = "" if self.uses_left == 1 else "s"
        return f"one use is spent, {self.uses_left} payment{plural} left without a refresh"

    @property
    def zh(self) -> str:
        """The sentence in Chinese."""
        return self.reason.zh if self.reason else f"已出示手机卡片，剩余可用次数{self.uses_left}"


@dataclass(slots=True)
class Session:
    """An open session with the cloud; `counter` was used last. It lives no longer than the process.

    Who has logged in has done so in this session, and in no other.
    """

    id: str
    key: SealKey = field(repr=False)
    expires_ms: int
    counter: int = 0
    login: wallet.LoggedIn | None = field(default=None, repr=False)


def no_attestation(_: wallet.Enrol) -> wallet.Attestation:
    """Vouch for nothing, as a phone without an attester does."""
    return wallet.Attestation()


@dataclass(slots=True, kw_only=True)
class Handset:
    """The inside of one phone; `pins` are cloud keys that an app was shipped with."""

    model: Model
    storage: Storage
    keystore: KeyStore
    clock: Clock
    events: Events = nobody
    attest: Attest = no_attestation
    pins: Mapping[str, bytes] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    shown: deque[Shown] = field(default_factory=lambda: deque(maxlen=SHOWN))

    def state(self) -> PhoneState:
        """Return what the phone keeps now; see `Storage.state`."""
        return self.storage.state()

    def session(self, app: str) -> Session | None:
        """Return the app's session if it will last for another call."""
        session = self.sessions.get(app)
        return session if session is not None and session.expires_ms > self.clock.now_ms() + MARGIN_MS else None

    def login(self, app: str) -> wallet.LoggedIn | None:
        """Return who is logged in to an app now."""
        session = self.session(app)
        return session.login if session else None

    def show(self, notice: Shown) -> None:
        """Put a notice on the screen."""
        self.shown.append(notice)
        told = {"sentence": notice.en, "uses_left": str(notice.uses_left)} if not notice.reason else {"sentence": notice.en}
        title = "a use is spent" if notice.reason is None else "the phone does not pay"
        self.tell(title, reason=str(notice.reason or ""), **told)

    def tell(self, title: str, *, target: str = "", reason: str = "", **detail: str) -> None:
        """Tell what happened to whoever watches."""
        wire = "json" if target else ""
        self.events(
            Event(
                source="phone", target=target, wire=wire, title=title, reason=reason, detail=detail, at_ms=self.clock.now_ms()
            )
        )
