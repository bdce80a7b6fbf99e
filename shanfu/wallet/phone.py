"""The phone: its clock, its network, its screen and its antenna; the system in which bank apps and the card service live.

What a person can do to it is here: switch the network off and on, lock and unlock it, bring an app to the front, choose the
app that pays when none is. What happens to it is here too: a push, the timer, a terminal's field. Each is a trigger, and the
tokens' policy says whether it sets a refresh off. With a `cloud` to speak to (a function from `Call` to `Reply`) the phone runs
such refreshes by itself; without one it only keeps what it must, and whoever drives it runs the dialogues of `due`.

Called by the sandbox and the doors.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from msgspec.structs import replace

from shanfu.clock import Clock
from shanfu.dialogue import Dialogue, Memory, run
from shanfu.errors import LinkClosed, StoreError
from shanfu.events import Events, nobody
from shanfu.messages import Call, Reply, wallet
from shanfu.wallet.bank_app import BankApp
from shanfu.wallet.handset import Attest, Handset, Model, Shown, no_attestation
from shanfu.wallet.hce import HostCard, paying_card
from shanfu.wallet.keystore import KeyStore
from shanfu.wallet.reasons import Reason, Refused
from shanfu.wallet.refresh import Refreshed, Trigger, due_ms, refresh, wanting
from shanfu.wallet.session import CLOUD
from shanfu.wallet.state import Screen, Switches
from shanfu.wallet.storage import Storage, Tampered

__all__ = ["Phone"]

T = TypeVar("T")


class Phone:
    """One phone: `memory` is its storage, `keystore` its key store, kept apart; one thread.

    `cloud` carries a call to the key cloud and brings the reply, or raises a LinkError; it is asked only while the phone is
    online. `attest` vouches for its keys at enrolment, `pins` are the clouds' public keys that apps were shipped with.
    """

    def __init__(
        self,
        memory: Memory,
        keystore: KeyStore,
        *,
        model: Model,
        clock: Clock,
        cloud: Callable[[Call], Reply] | None = None,
        events: Events = nobody,
        attest: Attest = no_attestation,
        pins: dict[str, bytes] | None = None,
    ) -> None:
        storage = Storage(memory, keystore)
        self.handset = Handset(
            model=model, storage=storage, keystore=keystore, clock=clock, events=events, attest=attest, pins=pins or {}
        )
        self.tap_target = HostCard(self.handset, entered=self._field_came, left=self._tap_over)
        self._memory, self._cloud = memory, cloud
        self._tapped = ""  # the token of a tap after which nobody has looked yet whether its uses run low

    def __repr__(self) -> str:
        return f"Phone({self.handset.model.name})"

    # -- what it is ----------------------------------------------------------------------------------------------------

    def app(self, package: str) -> BankApp:
        """Return a bank's app on this phone."""
        return BankApp(self.handset, package)

    @property
    def switches(self) -> Switches:
        """How its switches stand; raises Tampered when its storage is not to be trusted."""
        return self.handset.state().switches

    @property
    def trouble(self) -> Reason | None:
        """Why it will not pay until it is set up anew; None if nothing is wrong with its storage."""
        try:
            self.handset.state()
        except Tampered as fault:
            return fault.reason
        return None

    @property
    def paying_card(self) -> str:
        """The token that would answer a terminal now, "" for none."""
        return paying_card(self.handset.state())

    @property
    def shown(self) -> list[Shown]:
        """What the screen has shown, the last one last."""
        return list(self.handset.shown)

    # -- what a person does to it --------------------------------------------------------------------------------------

    def online(self, on: bool = True) -> None:
        """Switch the network on or off; on again, whatever waits for it may go."""
        before = self.switches.online
        self._switch(online=on)
        if on and not before:
            self.happened(Trigger.NETWORK_REGAINED)

    def nfc(self, on: bool = True) -> None:
        """Switch NFC on or off."""
        self._switch(nfc=on)

    def unlock(self) -> None:
        """Unlock the screen: the holder has shown who he is."""
        self._switch(screen=Screen.UNLOCKED)

    def lock(self) -> None:
        """Lock the screen and leave it lit; no app is in front of a locked screen."""
        self._switch(screen=Screen.LOCKED)

    def screen_off(self) -> None:
        """Darken the screen: the antenna is off."""
        self._switch(screen=Screen.OFF)

    def bring_to_front(self, package: str) -> None:
        """Put an app in front, "" for none; opening a bank's app is `app(package).open()`, which refreshes too."""
        self._switch(front=package)

    def make_default(self, package: str) -> None:
        """Let this app's card pay when no bank's app is in front."""
        self._switch(default_app=package)

    def reset(self) -> None:
        """Set the phone up anew: nothing of what it kept can be opened any more; its apps must be enrolled again."""
        self.handset.storage.wipe()
        self.handset.sessions.clear()

    def _switch(self, **changes: object) -> None:
        self.handset.storage.change(lambda now, _: (now.switch(**changes), {}))

    # -- speaking ------------------------------------------------------------------------------------------------------

    def ask(self, call: Call) -> Reply:
        """Be the peer `cloud` of a dialogue: nobody answers a phone without a network."""
        if self._cloud is None or not self._reaches():
            raise LinkClosed("the phone has no network")
        return self._cloud(call)

    def _reaches(self) -> bool:
        """Whether the phone can speak to its cloud: it has a network, and storage that it may trust."""
        try:
            return self._cloud is not None and self.switches.online
        except Tampered:
            return False

    def do(self, dialogue: Dialogue[T]) -> T:
        """Carry one action of an app to its end."""
        return run(dialogue, {CLOUD: self.ask}, self._memory)

    # -- what happens to it --------------------------------------------------------------------------------------------

    def happened(self, trigger: Trigger, *, token: str = "") -> list[Refreshed | Refused]:
        """Run what a trigger sets off, if the phone can speak; what it cannot do now a later trigger will."""
        if not self._reaches():
            return []
        return [self.do(dialogue) for dialogue in self.due(trigger, token=token)]

    def due(self, trigger: Trigger, *, token: str = "") -> list[Dialogue[Refreshed | Refused]]:
        """Return the refreshes that a trigger sets off (for one token only, if it is named), by the tokens' policies.

        They are to be run one after another.
        """
        found = wanting(self.handset.state(), trigger, self.handset.clock.now_ms())
        chosen = {app: [name for name in names if token in ("", name)] for app, names in found.items()}
        return [refresh(self.handset, app, only=names) for app, names in chosen.items() if names]

    def pushed(self, package: str, push: wallet.Push) -> list[Refreshed | Refused]:
        """Take a push for an app; one that is too late, or finds no network, is dropped and leaves its mark."""
        app = self.handset.state().apps.get(package)
        if app is None:
            return []
        if push.expires_ms <= self.handset.clock.now_ms() or not self._reaches():
            marked = replace(app, flagged=True)
            self.handset.storage.change(lambda now, _: (now.with_app(package, marked), {}))
            return []
        return self.happened(Trigger.PUSH)

    @property
    def timer_ms(self) -> int | None:
        """When `tick` should be called next: before the keys of an eagerly refreshed token are too old; None for never."""
        return due_ms(self.handset.state())

    def tick(self) -> list[Refreshed | Refused]:
        """Do what time asks for: look after a tap, and refresh keys that will soon be too old."""
        done: list[Any] = []
        if self._tapped:
            done += self._look_after_tap()
        moment = self.timer_ms
        if moment is not None and moment <= self.handset.clock.now_ms():
            done += self.happened(Trigger.TIMER)
        return done

    def _field_came(self, token: str) -> None:
        """Fetch a key for a token that has none in stock, if its policy says so (`at_tap`); the tap goes on either way."""
        with suppress(StoreError, Tampered):
            self.happened(Trigger.TAP, token=token)

    def _tap_over(self, token: str) -> None:
        self._tapped = token
        with suppress(StoreError, Tampered):
            self._look_after_tap()

    def _look_after_tap(self) -> list[Refreshed | Refused]:
        if not self._reaches():
            return []
        token, self._tapped = self._tapped, ""
        return self.happened(Trigger.AFTER_TAP, token=token)
