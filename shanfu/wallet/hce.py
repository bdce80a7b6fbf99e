"""Host card emulation: the phone as a terminal sees it.

The service belongs to the phone's system, not to an app: it answers when every app is closed. When a field comes, the app in
front, else the default one, is the one that pays, with the card it was told to pay with; that card alone is listed in the
PPSE and can be selected, no other app's ever silently. The application is the same as on plastic (`shanfu.card`), with the
phone's key ring. With the screen or NFC off there is no answer at all; without a card that could be shown, 6A82.

A reader holds it as it holds a card (`power_on`, `answer`, `power_off`).
Called by terminals' readers. Sources: EMV CL B 3.3 (PPSE), ISO/IEC 7816-4 5.1, Android's rules for host card services.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
from msgspec.structs import replace

from shanfu.card import RESET_ANSWERS, Application, Card, Interface, refuse
from shanfu.errors import ConfigError, DecodeError, StoreError
from shanfu.iso7816 import CommandAPDU, StatusWord
from shanfu.messages import wallet
from shanfu.store import DictMemory
from shanfu.wallet.handset import Handset, Shown
from shanfu.wallet.keyring import PhoneKeyRing
from shanfu.wallet.profile import application_of
from shanfu.wallet.reasons import Reason
from shanfu.wallet.state import HeldToken, PhoneState, Screen, profile_record
from shanfu.wallet.storage import Tampered

__all__ = ["HostCard", "paying_card"]

SELECT: Final = 0xA4

_profile = msgspec.json.Decoder(wallet.TokenProfile).decode


def paying_card(state: PhoneState) -> str:
    """Return the token that answers a terminal now, "" for none."""
    app = state.apps.get(state.switches.paying_app)
    return app.default_token if app else ""


def antenna(state: PhoneState) -> bool:
    """Say whether the phone's antenna is on: NFC is, and the screen is lit."""
    return state.switches.nfc and state.switches.screen is not Screen.OFF


class HostCard:
    """The phone in a terminal's field; one thread. `entered` and `left` are told of the field's coming and going.

    `entered(token)` may still fetch a key for the tap; `left(token)` follows a tap that spent a use.
    """

    def __init__(self, handset: Handset, *, entered: Callable[[str], None], left: Callable[[str], None]) -> None:
        self._handset, self._entered, self._left = handset, entered, left
        self._made: dict[str, tuple[int, Application]] = {}  # by token, with the moment of its profile
        self._card: Card | None = None
        self._token, self._number, self._powered = "", 0, False

    def __repr__(self) -> str:
        return "HostCard()"

    def power_on(self, interface: Interface) -> bytes:
        """Enter a field: the answer to reset of a card, or nothing from a phone whose antenna is off."""
        self.power_off()
        if interface is not Interface.CONTACTLESS:
            return b""
        state = self._state()
        if not self._handset.model.nfc or (state is not None and not antenna(state)):
            return b""
        self._powered = True
        application = self._application(paying_card(state)) if state is not None else None
        if application is None:
            return RESET_ANSWERS[interface]
        self._card = Card(applications=[application])
        return self._card.power_on(interface)

    def power_off(self) -> None:
        """Leave the field."""
        if self._card is not None:
            self._card.power_off()
        token = self._token
        spent = self._card is not None and self._last_number() != self._number
        self._card, self._token, self._powered = None, "", False
        if spent:
            self._left(token)

    def answer(self, command: bytes) -> bytes:
        """Answer one command; any bytes get a status word, a phone without power (screen off) is silent."""
        if not self._powered:
            return b""
        if self._card is not None:
            return self._card.answer(command)
        try:
            ins = CommandAPDU.parse(command).ins
        except DecodeError:
            return bytes(refuse(StatusWord.WRONG_LENGTH))
        return bytes(refuse(StatusWord.FILE_NOT_FOUND if ins == SELECT else StatusWord.INS_NOT_SUPPORTED))

    def _state(self) -> PhoneState | None:
        try:
            return self._handset.state()
        except Tampered as fault:
            self._show(fault.reason)
        except StoreError:  # the phone's storage is gone: it shows no card
            self._show(Reason.NO_CARD)
        return None

    def _last_number(self) -> int:
        """Return the last ATC of the token in the field, 0 if nothing can be said."""
        try:
            held = self._handset.state().tokens.get(self._token)
        except (StoreError, Tampered):
            return self._number
        return held.atc if held else 0

    def _application(self, token: str) -> Application | None:
        """Return the application of the token that is to pay, made anew when its profile is another one."""
        if not token:
            self._show(Reason.NO_CARD)
            return None
        self._token = token
        self._entered(token)
        state = self._state()
        if state is None:
            return None
        held = state.tokens.get(token)
        if held is None or not held.profile_at:
            self._show(Reason.NO_KEYS if held else Reason.NO_CARD)
            return None
        self._number = held.atc
        made = self._made.get(token)
        if made is None or made[0] != held.profile_at:
            try:
                made = held.profile_at, self._build(held)
            except (Tampered, StoreError, ConfigError, DecodeError, msgspec.DecodeError):
                self._show(Reason.DAMAGED)
                self._forget(held)
                return None
            self._made[token] = made
        return made[1]

    def _build(self, held: HeldToken) -> Application:
        token, memory = held.view.token, DictMemory()
        profile = _profile(self._handset.storage.read(profile_record(token), held.profile_at))
        # What GET DATA shows: the number used last (9F36), and as last completed online (9F13), so that no phone is a new card
        names: list[str] = []

        def counted(atc: int) -> None:
            memory.write(dict.fromkeys(names, atc.to_bytes(2)))

        application = application_of(profile, PhoneKeyRing(self._handset, token, counted), memory)
        names.extend(f"{application.aid.hex().upper()}/live/{tag}" for tag in ("9F36", "9F13"))
        counted(max(held.atc, 1))
        return application

    def _forget(self, held: HeldToken) -> None:
        """Let the next refresh fetch the profile anew."""
        with suppress(StoreError, Tampered):
            changed = {held.view.token: replace(held, profile_at=0)}
            self._handset.storage.change(lambda now, _: (now.with_tokens(changed), {}))

    def _show(self, reason: Reason) -> None:
        self._handset.show(Shown(at_ms=self._handset.clock.now_ms(), token=self._token, reason=reason))
